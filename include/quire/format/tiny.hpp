// SPDX-License-Identifier: MIT
// Tiny formats: page tables of a few dozen entries, for tests that try everything and for learning.
//
// No hardware walks them, but each peculiarity of a real format is here as an option, so that code which works on all
// of them has met them all: wide roots, 32-bit entries, groups of two kinds, inverted permission bits, rights in table
// entries, accessed and dirty bits set by the hardware, the writable-clean encoding, break-before-make.
//
//   narrow:  31..13 |
//   else:    63..13 | 12 11  |  10   |   9 8    | 7 | 6 | 5         | 4 3 2 | 1    | 0
//            frame  | memory | group | software | D | A | may write | X W R | leaf | valid
//
// The frame is the address >> page_bits. An entry with bit 0 clear is free for software: with bit 1 it is `locked`,
// without it bit 8 with a payload in the frame is a marker.
#pragma once

#include <concepts>     // same_as
#include <cstddef>      // size_t
#include <cstdint>      // uint32_t, uint64_t, uint8_t
#include <type_traits>  // conditional_t

#include <quire/format/concept.hpp>  // pte_format

namespace quire::tiny {

// How the entries of a group say where they lead: each for itself (arm64's contiguous bit), or all alike with the size
// as a pattern in the low frame bits (RISC-V's NAPOT).
enum class group_encoding : std::uint8_t { none, own_output, all_equal };

// No dirty bit; a bit of its own; or "D set, W clear" is writable and clean, and a write sets W (arm64's DBM).
enum class dirty_encoding : std::uint8_t { none, own_bit, writable_clean };

struct shape_options {
  int levels = 3;
  int index_bits = 2;          // of every table but a wide root
  int extra_root_bits = 0;     // a root of 2^n times as many entries
  unsigned leaf_levels = 0x3;  // bit per level
  bool narrow = false;         // 32-bit entries
  bool sign_extended = false;  // input addresses come in two halves
  int group_bits = 1;          // log2 of the entries of a group, on every leaf level
  int group_count = 1;         // of sizes: so many, each twice the one before
  group_encoding groups = group_encoding::none;
  bool inverted = false;      // bits 3 and 4 set forbid to write and to execute; every leaf is readable
  bool table_rights = false;  // table entries carry rights: table() grants all
  dirty_encoding dirty = dirty_encoding::own_bit;
  bool hardware_updates = false;  // the hardware sets the accessed bit, and the dirty bit if there is one
  bool break_before_make = false;
  bool caches_invalid = false;
};

template <shape_options O>
struct format {
  static_assert(O.levels >= 2 && O.levels <= 4);
  static_assert(O.index_bits >= 1 && O.index_bits <= 3);
  static_assert(O.extra_root_bits >= 0 && O.extra_root_bits <= 4);
  static_assert((O.leaf_levels & 1U) != 0 && O.leaf_levels >> O.levels == 0);
  static_assert(O.groups == group_encoding::none ||
                (O.group_bits >= 1 && O.group_bits + O.group_count - 1 < O.index_bits));
  static_assert(O.group_count == 1 || (O.group_count > 1 && O.groups == group_encoding::all_equal),
                "only a pattern tells one size from another");
  static_assert(O.dirty != dirty_encoding::writable_clean || O.hardware_updates);

  static constexpr shape_options options = O;
  using word = std::conditional_t<O.narrow, std::uint32_t, std::uint64_t>;
  static constexpr geometry<O.levels> shape = []() constexpr {
    geometry<O.levels> g{.page_bits = 6, .index_bits = {}};
    for (int level = 0; level < O.levels; ++level) g.index_bits[level] = O.index_bits;
    g.index_bits[O.levels - 1] += O.extra_root_bits;
    return g;
  }();
  static constexpr int table_shift = 6;

 private:
  static constexpr int frame_shift = 13;
  static constexpr int frame_bits = O.narrow ? 19 : 34;
  static constexpr bool has_dirty = O.dirty != dirty_encoding::none;
  static constexpr bool writable_clean = O.dirty == dirty_encoding::writable_clean;
  static constexpr bool equal_group = O.groups == group_encoding::all_equal;

 public:
  static constexpr format_facts facts{
      .break_before_make = O.break_before_make,
      .caches_invalid = O.caches_invalid,
      .sets_accessed = O.hardware_updates,
      .sets_dirty = O.hardware_updates && has_dirty,
      .has_dirty = has_dirty,
      .table_permissions = O.table_rights,
      .sign_extended = O.sign_extended,
      .output_bits = frame_bits + shape.page_bits,
      .software_bits = 2,
      .marker_bits = frame_bits,
  };

 private:
  static constexpr word valid = 1U << 0, is_leaf = 1U << 1, live = valid | is_leaf;
  static constexpr word r = 1U << 2, w = 1U << 3, x = 1U << 4;
  static constexpr word may_write = 1U << 5, a = 1U << 6, d = 1U << 7;
  static constexpr int software_shift = 8;
  static constexpr word software = 3U << software_shift;
  static constexpr word group_flag = 1U << 10;
  static constexpr int memory_shift = 11;
  static constexpr word memory = 3U << memory_shift;
  static constexpr word frame = static_cast<word>(((std::uint64_t{1} << frame_bits) - 1) << frame_shift);

  // Polarity: the bits that read the other way round.
  static constexpr word inverted = O.inverted ? w | x : 0;
  // The bits that say "may be written", and the test for them; likewise "was written".
  static constexpr word writes = writable_clean ? d : w;
  static constexpr word written = writable_clean ? d | w : d;
  [[nodiscard]] static constexpr entry_test<word> live_and(word bits) noexcept {
    return {live | bits, static_cast<word>(live | (bits ^ (bits & inverted)))};
  }
  // The change of live leaves that clears one meaning and sets another, whatever the polarity.
  [[nodiscard]] static constexpr entry_change<word> change(entry_test<word> whom, word clear, word set) noexcept {
    return {whom, static_cast<word>(~(clear | set)), static_cast<word>((set ^ inverted) & (clear | set))};
  }

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= O.levels || ((O.leaf_levels >> level) & 1U) == 0) return 0;
    return 1U | (O.groups != group_encoding::none ? ((1U << O.group_count) - 1) << O.group_bits : 0U);
  }

  [[nodiscard]] static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if ((entry & valid) == 0)
      return entry == 0 ? entry_kind::absent : (entry & is_leaf) != 0 ? entry_kind::locked : entry_kind::marker;
    if ((entry & is_leaf) != 0) return group_sizes(level) != 0 ? entry_kind::leaf : entry_kind::marker;
    return level > 0 ? entry_kind::table : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{address_of(entry)};
  }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    if (O.groups == group_encoding::none || (entry & group_flag) == 0) return 0;
    int group = O.group_bits;
    while (group < O.group_bits + O.group_count - 1 &&
           (address_of(entry) & (shape.leaf_bytes(level) << (group - 1))) == 0)
      ++group;
    return group;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{address_of(entry)}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    const word rights = entry ^ inverted;
    permissions allowed = no_access;
    if (O.inverted || (rights & r) != 0) allowed = allowed | readable;
    if ((rights & writes) != 0) allowed = allowed | writable;
    if ((rights & x) != 0) allowed = allowed | executable;
    return {.allowed = allowed,
            .may_write = (entry & may_write) != 0,
            .memory = (entry & memory) >> (memory_shift + 1) != 0 ? memory_type::device
                      : (entry & memory) != 0                     ? memory_type::non_cacheable
                                                                  : memory_type::normal,
            .accessed = (entry & a) != 0,
            .dirty = is_dirty(entry),
            .software = static_cast<std::uint8_t>((entry & software) >> software_shift)};
  }
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    if (!O.table_rights) return all_access;
    const word rights = entry ^ inverted;
    return ((rights & r) != 0 ? readable : no_access) | ((rights & w) != 0 ? writable : no_access) |
           ((rights & x) != 0 ? executable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & frame) >> frame_shift;
  }
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & valid) == 0) return true;
    if ((entry & is_leaf) == 0) return level > 0;
    if (group_sizes(level) == 0 || (entry & memory) == memory) return false;
    const std::uint64_t inside = equal_group ? leaf_bytes_of(entry, level) : shape.leaf_bytes(level);
    const std::uint64_t pattern = equal_group && group_of(entry, level) != 0 ? inside >> 1U : 0;
    return (address_of(entry) & (inside - 1)) == pattern;
  }

  [[nodiscard]] static constexpr result<word> leaf(output_address output, const attributes& wanted, int level,
                                                   int group = 0) noexcept {
    if (group < 0 || group > 31 || ((group_sizes(level) >> group) & 1U) == 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!can_have(wanted.allowed) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if (wanted.dirty && !has_dirty) return errc::unsupported_attribute;
    if (wanted.dirty && writable_clean && !wanted.allowed.contains(writable)) return errc::unsupported_attribute;
    const word set = rights_of(wanted.allowed) | (wanted.dirty ? written : 0);
    const std::uint64_t pattern = equal_group && group != 0 ? shape.leaf_bytes(level) << (group - 1) : 0;
    return static_cast<word>(frame_of(output.value | pattern) | live |
                             ((set ^ inverted) & (r | w | x | d | may_write)) | (wanted.may_write ? may_write : 0) |
                             (wanted.accessed ? a : 0) | (word{wanted.software} << software_shift) |
                             (static_cast<word>(wanted.memory) << memory_shift) | (group != 0 ? group_flag : 0));
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return frame_of(child.value) | valid | (O.table_rights ? ((r | w | x) ^ inverted) | a : 0);
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return (static_cast<word>(payload << frame_shift) & frame) | (1U << software_shift);
  }
  // A locked table has the memory type that no leaf has; the lock of nothing has a software bit, too, which no table
  // has.
  static constexpr word locked = is_leaf | memory | (1U << software_shift);
  [[nodiscard]] static constexpr word lock(word live_entry) noexcept {
    return static_cast<word>((live_entry & ~valid) | ((live_entry & is_leaf) != 0 ? 0 : is_leaf | memory));
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return static_cast<word>(((locked_entry & memory) == memory ? locked_entry & ~(is_leaf | memory) : locked_entry) |
                             valid);
  }

  [[nodiscard]] static constexpr word step(int level, int group) noexcept {
    return equal_group && group != 0 ? 0 : frame_of(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable = live_and(writes);
  static constexpr entry_test<word> is_accessed = live_and(a);
  static constexpr entry_test<word> is_dirty = has_dirty ? live_and(written) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable{live | may_write | group_flag, live | may_write};

  static constexpr entry_change<word> make_writable =
      change(live_and(0), 0, writes | may_write | (has_dirty ? written : 0));
  static constexpr entry_change<word> write_protect = change(is_writable, writes | (writable_clean ? w : 0), 0);
  static constexpr entry_change<word> set_accessed = change(live_and(0), 0, a);
  static constexpr entry_change<word> clear_accessed = change(is_accessed, a, 0);
  static constexpr entry_change<word> make_clean = change(is_dirty, writable_clean ? w : has_dirty ? d : word{0}, 0);

  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!can_have(allowed)) return errc::unsupported_attribute;
    const word dirt = writable_clean && !allowed.contains(writable) ? w : word{0};
    return change(live_and(0), (O.inverted ? word{0} : r) | writes | dirt | x | may_write, rights_of(allowed));
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return change(live_and(0), 0, rights_of(more) | (has_dirty && more.contains(writable) ? written : 0));
  }
  static constexpr word may_write_bit = may_write;
  // Where "written" is a clear bit, no set bit tells so: then r, which no leaf of an inverted format has.
  static constexpr word quiet_when_dirty = (written & inverted) != 0 ? r : writable_clean ? w : d;
  static constexpr word quiet_bits = O.hardware_updates ? a | (has_dirty ? quiet_when_dirty : 0) : 0;

 private:
  [[nodiscard]] static constexpr std::uint64_t leaf_bytes_of(word entry, int level) noexcept {
    return shape.leaf_bytes(level) << group_of(entry, level);
  }
  [[nodiscard]] static constexpr std::uint64_t address_of(word entry) noexcept {
    return std::uint64_t{(entry & frame) >> frame_shift} << shape.page_bits;
  }
  [[nodiscard]] static constexpr word frame_of(std::uint64_t address) noexcept {
    return static_cast<word>((address >> shape.page_bits) << frame_shift);
  }
  [[nodiscard]] static constexpr bool can_have(permissions allowed) noexcept {
    return !O.inverted || allowed.contains(readable);
  }
  // The meanings to be set, before polarity.
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) && !O.inverted ? r : 0) | (allowed.contains(writable) ? writes | may_write : 0) |
           (allowed.contains(executable) ? x : 0);
  }
};

// Every two values of two options that can stand together do so in one of these; a name says what the format is there
// for, and only `plain` is plain. Structs, not aliases, so that symbols and diagnostics stay short.
// clang-format off
struct plain : format<shape_options{}> {};
struct wide_root : format<shape_options{
    .levels = 2, .extra_root_bits = 4, .narrow = true, .groups = group_encoding::own_output, .inverted = true,
    .table_rights = true, .dirty = dirty_encoding::writable_clean, .hardware_updates = true,
    .break_before_make = true, .caches_invalid = true}> {};
struct narrow32 : format<shape_options{
    .levels = 4, .extra_root_bits = 1, .leaf_levels = 0x1, .narrow = true, .sign_extended = true,
    .groups = group_encoding::all_equal, .table_rights = true, .dirty = dirty_encoding::none,
    .hardware_updates = true}> {};
struct grouped : format<shape_options{
    .extra_root_bits = 1, .sign_extended = true, .groups = group_encoding::own_output, .inverted = true,
    .dirty = dirty_encoding::none, .break_before_make = true, .caches_invalid = true}> {};
struct napot : format<shape_options{
    .leaf_levels = 0x1, .narrow = true, .groups = group_encoding::all_equal, .inverted = true, .table_rights = true,
    .break_before_make = true, .caches_invalid = true}> {};
struct inverted : format<shape_options{
    .levels = 4, .index_bits = 1, .extra_root_bits = 4, .leaf_levels = 0xf, .sign_extended = true, .inverted = true,
    .hardware_updates = true, .break_before_make = true}> {};
struct table_rights : format<shape_options{
    .index_bits = 1, .extra_root_bits = 4, .leaf_levels = 0x7, .narrow = true, .table_rights = true,
    .dirty = dirty_encoding::none, .caches_invalid = true}> {};
struct signed_input : format<shape_options{
    .levels = 2, .index_bits = 1, .leaf_levels = 0x1, .sign_extended = true, .dirty = dirty_encoding::writable_clean,
    .hardware_updates = true}> {};
struct hardware_ad : format<shape_options{
    .levels = 4, .index_bits = 1, .leaf_levels = 0x7, .narrow = true, .table_rights = true, .hardware_updates = true,
    .break_before_make = true, .caches_invalid = true}> {};
struct dbm : format<shape_options{
    .index_bits = 1, .extra_root_bits = 1, .narrow = true, .dirty = dirty_encoding::writable_clean,
    .hardware_updates = true, .caches_invalid = true}> {};
struct bbm : format<shape_options{
    .levels = 2, .groups = group_encoding::all_equal, .inverted = true, .dirty = dirty_encoding::none,
    .break_before_make = true, .caches_invalid = true}> {};
struct deep : format<shape_options{
    .levels = 4, .index_bits = 1, .leaf_levels = 0xf, .sign_extended = true, .inverted = true, .table_rights = true,
    .dirty = dirty_encoding::writable_clean, .hardware_updates = true, .caches_invalid = true}> {};
struct pages_only : format<shape_options{
    .levels = 4, .leaf_levels = 0x1, .sign_extended = true, .groups = group_encoding::own_output}> {};
struct cached_invalid : format<shape_options{
    .levels = 2, .index_bits = 1, .extra_root_bits = 1, .narrow = true, .inverted = true, .caches_invalid = true}> {};
struct inverted_dbm : format<shape_options{
    .extra_root_bits = 4, .sign_extended = true, .groups = group_encoding::all_equal, .inverted = true,
    .dirty = dirty_encoding::writable_clean, .hardware_updates = true, .break_before_make = true,
    .caches_invalid = true}> {};
struct napot_ad : format<shape_options{
    .extra_root_bits = 4, .leaf_levels = 0x1, .narrow = true, .sign_extended = true,
    .groups = group_encoding::all_equal, .inverted = true, .hardware_updates = true}> {};
struct napot_sizes : format<shape_options{
    .levels = 2, .index_bits = 3, .group_count = 2, .groups = group_encoding::all_equal, .table_rights = true,
    .hardware_updates = true}> {};
// clang-format on

static_assert(pte_format<plain> && pte_format<narrow32> && pte_format<napot>);
static_assert(plain::shape.input_bits() == 12 && table_bytes<plain>(0) == 32);
static_assert(root_table_bytes<wide_root> == 64 * 4 && table_unit_bytes<wide_root> == 64);
static_assert(*plain::leaf(output_address{0x1240}, {.allowed = read_write, .may_write = true}, 0) == 0x09'206f);

}  // namespace quire::tiny
