// SPDX-License-Identifier: MIT
// pte_format: what the walker and the operations must know about a kind of page table.
//
// A format is a stateless type. It never sees memory: it turns meaning into bits and back, at compile time if asked.
// `format_archetype` below is the contract, member by member; it satisfies the concept and does nothing else. A real
// format is in riscv_gstage.hpp; a small one to copy from is in tiny.hpp.
#pragma once

#include <concepts>     // same_as, unsigned_integral
#include <cstdint>      // uint64_t
#include <type_traits>  // is_empty_v

#include <quire/address.hpp>        // output_address, table_address
#include <quire/attributes.hpp>     // attributes, permissions
#include <quire/format/change.hpp>  // entry_change, entry_test
#include <quire/geometry.hpp>       // geometry
#include <quire/result.hpp>         // result

namespace quire {

// What an entry is. A marker is not valid for the hardware but not empty either: an annotation of the owner, or
// `locked` while another writer is between breaking and making the entry.
enum class entry_kind : std::uint8_t { absent, table, leaf, marker, locked };

// What algorithms branch on at compile time.
struct format_facts {
  bool break_before_make = false;  // valid -> valid of another size or address must pass through an invalid entry
  bool caches_invalid = false;     // a translation cache may hold "not mapped": invalid -> valid is invalidated too
  bool sets_accessed = false;      // the hardware sets the accessed bit, at any moment
  bool sets_dirty = false;         // the hardware sets the dirty bit, at any moment
  bool has_accessed = true;        // leaves have an accessed bit; without one, each leaf counts as accessed
  bool has_dirty = false;          // leaves have a dirty bit at all
  bool table_permissions = false;  // table entries carry rights that are ANDed on the way down
  // attributes::from is about execution alone: `any` without the right, and whoever grants it grants it to both.
  bool executes_by_privilege = false;
  bool faults_retry = true;    // a fault can be retried (a CPU's can, a device's cannot)
  bool sign_extended = false;  // input addresses above the geometry repeat its top bit (two halves)
  int output_bits = 64;        // output addresses are below 1 << output_bits
  // step() is what lies between neighbours whose output addresses differ only below this bit (arm64 keeps the top bits
  // of a 52-bit address elsewhere in the entry).
  int linear_output_bits = 64;
  int software_bits = 0;  // width of attributes::software
  int marker_bits = 0;    // width of a marker's payload; at least what holds a table's address >> table_shift
};

struct format_archetype {
  using word = std::uint64_t;  // an entry; 64 or 32 bits, unsigned
  static constexpr geometry<2> shape{.page_bits = 12, .index_bits = {9, 9}};
  static constexpr format_facts facts{.output_bits = 48, .marker_bits = 36};

  // log2 of the alignment and size step of table addresses; no table is smaller.
  static constexpr int table_shift = 12;

  // Bit k set: a leaf of `level` may span a group of 2^k neighbouring, aligned entries. 0: the level holds no leaves.
  // Bit 0 set: it holds single leaves.
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept { return level == 0 ? 1U : 0U; }

  // ---- decode. Never fails: every word is something.
  [[nodiscard]] static constexpr entry_kind kind_of(word entry, int level) noexcept {
    return (entry & 1U) == 0 ? (entry == 0              ? entry_kind::absent
                                : (entry & locked) != 0 ? entry_kind::locked
                                                        : entry_kind::marker)
           : level == 0      ? entry_kind::leaf
                             : entry_kind::table;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{entry & ~word{0xfff}};
  }
  // Of a leaf: log2 of the entries it spans (0: one), and the output address of the first byte of the whole leaf, the
  // group included.
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int) noexcept {
    return output_address{entry & ~word{0xfff}};
  }
  [[nodiscard]] static constexpr attributes attributes_of(word, int) noexcept {
    return {.allowed = read_write, .may_write = true};
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept { return marker_entry >> 12; }
  // No: the hardware takes the entry for valid and faults because of its form, or the manual leaves open what it does
  // (reserved bits, a reserved combination, a block whose address is not aligned, a group whose entries cannot be
  // right). Whatever the hardware takes for invalid is well formed, and so is all that is encoded here.
  [[nodiscard]] static constexpr bool is_well_formed(word, int) noexcept { return true; }

  // Only where facts.table_permissions says that table entries carry rights: those that this one leaves to what is
  // below it. table() leaves all.
  [[nodiscard]] static constexpr permissions table_rights_of(word, int) noexcept { return all_access; }

  // ---- encode. What cannot be encoded is an error and never dropped: beyond_output, unaligned (to the whole leaf),
  // unsupported_attribute, unsupported_level (also for a group size that the level lacks).
  // leaf() gives the first entry of the leaf; entry i of a group is leaf + i * step(level, group).
  [[nodiscard]] static constexpr result<word> leaf(output_address output, const attributes& wanted, int level,
                                                   int group = 0) noexcept {
    if (level != 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(4096)) return errc::unaligned;
    if (output.value >> 48 != 0) return errc::beyond_output;
    if (wanted != attributes_of(0, 0)) return errc::unsupported_attribute;
    return output.value | 1U;
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept { return child.value | 1U; }
  // A marker with a payload of facts.marker_bits bits. Markers, locked entries and 0 (absent) read as not valid by the
  // hardware, and answer no to is_writable, is_accessed and is_dirty.
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept { return (payload << 12) | 2U; }
  // lock() takes a leaf or a table away from the hardware and keeps all it says, for who locked it; unlock() is the way
  // back. `locked` is the lock of an absent entry, and differs from that of every leaf and table.
  static constexpr word locked = 4;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~word{1}) | locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~locked) | 1U; }

  // The difference between neighbouring leaves with neighbouring output (group == 0), or neighbouring entries of one
  // group (0 where all entries of a group are equal).
  [[nodiscard]] static constexpr word step(int level, int) noexcept { return word{1} << shape.shift(level); }
  // The first entry of the table of single leaves that a single leaf of `level` splits into: same translation, every
  // attribute kept.
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  // ---- questions; no for table, absent, marker and locked entries alike
  static constexpr entry_test<word> is_writable{1, 1};  // where the hardware manages dirty: also writable-clean
  static constexpr entry_test<word> is_accessed{1, 1};
  static constexpr entry_test<word> is_dirty{0, 1};  // never: this format has no dirty bit
  // Of an entry of level 0: a single leaf that has may_write_bit and may have the right to write besides those that it
  // has. One fault of one page may make it writable.
  static constexpr entry_test<word> is_grantable{0, 1};

  // ---- changes, for leaves; each keeps all other bits
  // make_writable also sets dirty where the hardware would trap on a writable, clean leaf. It does not ask may_write.
  // write_protect keeps may_write.
  static constexpr entry_change<word> make_writable{{1, 1}, ~word{0}, 0};
  static constexpr entry_change<word> write_protect{{1, 1}, ~word{0}, 0};
  static constexpr entry_change<word> set_accessed{{1, 1}, ~word{0}, 0};
  static constexpr entry_change<word> clear_accessed{{1, 1}, ~word{0}, 0};
  static constexpr entry_change<word> make_clean{{1, 1}, ~word{0}, 0};
  // A leaf to which protect or relax does not apply cannot have these rights (execution of device memory).
  // Exactly these rights; may_write follows the write permission. unsupported_attribute where they cannot be had.
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions) noexcept {
    return errc::unsupported_attribute;
  }
  // These rights besides those that are there; does not ask may_write and sets it along with the write permission.
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions) noexcept {
    return errc::unsupported_attribute;
  }

  static constexpr word may_write_bit = 0;  // set in an entry: it may become writable
  // A leaf whose quiet bits are all set is never written by the hardware.
  static constexpr word quiet_bits = 0;
};

template <class F>
concept pte_format_decodes = requires(typename F::word entry, int level) {
  { F::kind_of(entry, level) } -> std::same_as<entry_kind>;
  { F::table_of(entry, level) } -> std::same_as<table_address>;
  { F::group_of(entry, level) } -> std::same_as<int>;
  { F::output_of(entry, level) } -> std::same_as<output_address>;
  { F::attributes_of(entry, level) } -> std::same_as<attributes>;
  { F::payload_of(entry) } -> std::same_as<std::uint64_t>;
  { F::is_well_formed(entry, level) } -> std::same_as<bool>;
};

// Whoever follows tables that others made needs it; our own leave all rights.
template <class F>
concept states_table_rights = !F::facts.table_permissions || requires(typename F::word entry, int level) {
  { F::table_rights_of(entry, level) } -> std::same_as<permissions>;
};

template <class F>
concept pte_format_encodes = requires(output_address out, table_address table, const attributes& wanted, int level,
                                      typename F::word entry, std::uint64_t payload) {
  { F::leaf(out, wanted, level, 0) } -> std::same_as<result<typename F::word>>;
  { F::table(table, level) } -> std::same_as<typename F::word>;
  { F::marker(payload) } -> std::same_as<typename F::word>;
  { F::locked } -> std::convertible_to<typename F::word>;
  { F::lock(entry) } -> std::same_as<typename F::word>;
  { F::unlock(entry) } -> std::same_as<typename F::word>;
  { F::step(level, 0) } -> std::same_as<typename F::word>;
  { F::child(entry, level) } -> std::same_as<typename F::word>;
};

template <class F>
concept pte_format_changes = requires(permissions rights) {
  { F::is_writable } -> std::convertible_to<entry_test<typename F::word>>;
  { F::is_accessed } -> std::convertible_to<entry_test<typename F::word>>;
  { F::is_dirty } -> std::convertible_to<entry_test<typename F::word>>;
  { F::is_grantable } -> std::convertible_to<entry_test<typename F::word>>;
  { F::make_writable } -> std::convertible_to<entry_change<typename F::word>>;
  { F::write_protect } -> std::convertible_to<entry_change<typename F::word>>;
  { F::set_accessed } -> std::convertible_to<entry_change<typename F::word>>;
  { F::clear_accessed } -> std::convertible_to<entry_change<typename F::word>>;
  { F::make_clean } -> std::convertible_to<entry_change<typename F::word>>;
  { F::protect(rights) } -> std::same_as<result<entry_change<typename F::word>>>;
  { F::relax(rights) } -> std::same_as<result<entry_change<typename F::word>>>;
  { F::may_write_bit } -> std::convertible_to<typename F::word>;
  { F::quiet_bits } -> std::convertible_to<typename F::word>;
};

template <class F>
concept pte_format = std::is_empty_v<F> && std::unsigned_integral<typename F::word> && requires(int level) {
  { F::shape.levels } -> std::convertible_to<int>;
  { F::facts } -> std::convertible_to<format_facts>;
  { F::table_shift } -> std::convertible_to<int>;
  { F::group_sizes(level) } -> std::same_as<unsigned>;
} && pte_format_decodes<F> && pte_format_encodes<F> && pte_format_changes<F>;

static_assert(pte_format<format_archetype>);
static_assert(!pte_format<int>);

// The bytes of a table of `level`, and the one size in which tables below the root are handed out.
template <pte_format F>
[[nodiscard]] constexpr std::uint64_t table_bytes(int level) noexcept {
  return F::shape.entries(level) * sizeof(typename F::word);
}
template <pte_format F>
inline constexpr std::uint64_t table_unit_bytes = []() constexpr {
  const std::uint64_t most = F::shape.most_entries_below_root() * sizeof(typename F::word);
  const std::uint64_t unit = std::uint64_t{1} << F::table_shift;
  return most < unit ? unit : most;
}();
template <pte_format F>
inline constexpr std::uint64_t root_table_bytes = []() constexpr {
  const std::uint64_t bytes = table_bytes<F>(F::shape.root_level);
  const std::uint64_t unit = std::uint64_t{1} << F::table_shift;
  return bytes < unit ? unit : bytes;
}();

// Whether any level has groups: where not, everything about them vanishes.
template <pte_format F>
inline constexpr bool has_groups = []() constexpr {
  for (int level = 0; level < F::shape.levels; ++level)
    if ((F::group_sizes(level) & ~1U) != 0) return true;
  return false;
}();

}  // namespace quire
