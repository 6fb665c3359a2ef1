// SPDX-License-Identifier: MIT
//
// Quire 0.1.0: page tables, one walker for every format. The whole freestanding core in one file.
//
// Generated from the headers in include/quire by cmake/single_header/amalgamate.py: change those, then run
// ./dev single-header --write.
//
// A translation unit has this file or <quire/...>, never both; other translation units of the program may have the
// other, of the same version. All it needs is GSL's <gsl/assert>, or QUIRE_CONTRACT_VIOLATION (see there) of your own.
//
// MIT License
//
// Copyright (c) 2026 The Quire authors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy
// of this software and associated documentation files (the "Software"), to deal
// in the Software without restriction, including without limitation the rights
// to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
// copies of the Software, and to permit persons to whom the Software is
// furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all
// copies or substantial portions of the Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
// IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
// FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
// LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
// OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
// SOFTWARE.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

// ---- quire/version.hpp --------------------------------------------------------------------------

// The version of this copy of Quire, for #if. Written here and in CMakeLists.txt; a test compares the two.
//
// Every other header of the core includes this one, itself or by others, before it says anything: so two copies in one
// translation unit, the single header and <quire/...> or those of two directories, are refused here and by name.

#ifdef QUIRE_VERSION_MAJOR
#error "two copies of Quire in one translation unit: take <quire/...> or the single header, and of one directory"
#endif

#define QUIRE_VERSION_MAJOR 0
#define QUIRE_VERSION_MINOR 1
#define QUIRE_VERSION_PATCH 0

// ---- quire/error.hpp ----------------------------------------------------------------------------

// What can go wrong, by name. Bad input and lack of memory are values; they change nothing unless the operation says
// how far it came.

namespace quire {

enum class errc : std::uint8_t {
  none,
  empty_range,            // a range of no bytes
  range_overflow,         // the end lies before the start, or past the end of the 64-bit space
  unaligned,              // an address is not a multiple of the page (or of the leaf asked for)
  beyond_input,           // an input address that the geometry cannot translate
  beyond_output,          // an output address that an entry cannot hold
  unsupported_attribute,  // an attribute or combination that the format cannot encode
  unsupported_level,      // the level holds no leaves, or does not exist
  no_memory,              // the table source has too few tables
  already_mapped,         // something else is mapped there
  marked,                 // a marker stands there; it must be removed first
  not_mapped,             // nothing is mapped there
  crosses_leaf,           // the range covers part of a leaf, and the caller asked not to split
  not_permitted,          // the leaf may not be given that right (the host page is read-only)
  busy,                   // another writer is at work on the entry: retry from the start
  not_uniform,            // the entries below do not form one leaf
  no_root,                // the table has no root (never made, or destroyed)
  stopped,                // a callback asked to stop
  malformed,              // a foreign table says there what no table can say, or cannot be read
  beyond_identifier,      // a VMID or ASID that its register cannot hold, or the CPU does not tell apart
};
inline constexpr errc last_errc = errc::beyond_identifier;

// Every name, for messages; the enumerator's own spelling.
[[nodiscard]] constexpr const char* name_of(errc code) noexcept {
  switch (code) {
    case errc::none: return "none";
    case errc::empty_range: return "empty_range";
    case errc::range_overflow: return "range_overflow";
    case errc::unaligned: return "unaligned";
    case errc::beyond_input: return "beyond_input";
    case errc::beyond_output: return "beyond_output";
    case errc::unsupported_attribute: return "unsupported_attribute";
    case errc::unsupported_level: return "unsupported_level";
    case errc::no_memory: return "no_memory";
    case errc::already_mapped: return "already_mapped";
    case errc::marked: return "marked";
    case errc::not_mapped: return "not_mapped";
    case errc::crosses_leaf: return "crosses_leaf";
    case errc::not_permitted: return "not_permitted";
    case errc::busy: return "busy";
    case errc::not_uniform: return "not_uniform";
    case errc::no_root: return "no_root";
    case errc::stopped: return "stopped";
    case errc::malformed: return "malformed";
    case errc::beyond_identifier: return "beyond_identifier";
  }
  return "unknown";
}

// An error: what, at which input address (bytes), at which level (-1: no level is to blame).
struct error {
  errc code = errc::none;
  std::int8_t level = -1;
  std::uint64_t at = 0;

  friend constexpr bool operator==(const error&, const error&) noexcept = default;
};

}  // namespace quire

// ---- quire/address.hpp --------------------------------------------------------------------------

// Addresses that do not convert into each other, and ranges of input addresses.

namespace quire {

// A byte address of one kind. Arithmetic is in bytes and stays within the kind; `value` is the way out.
template <class Kind>
struct address {
  std::uint64_t value = 0;

  constexpr address() = default;
  constexpr explicit address(std::uint64_t bytes) noexcept : value(bytes) {}

  friend constexpr auto operator<=>(address, address) noexcept = default;
  friend constexpr address operator+(address a, std::uint64_t bytes) noexcept { return address{a.value + bytes}; }
  friend constexpr address operator-(address a, std::uint64_t bytes) noexcept { return address{a.value - bytes}; }
  friend constexpr std::uint64_t operator-(address a, address b) noexcept { return a.value - b.value; }

  [[nodiscard]] constexpr bool is_aligned(std::uint64_t power_of_two) const noexcept {
    return (value & (power_of_two - 1)) == 0;
  }
  [[nodiscard]] constexpr address align_down(std::uint64_t power_of_two) const noexcept {
    return address{value & ~(power_of_two - 1)};
  }
};

using input_address = address<struct input_address_kind>;    // what is translated
using output_address = address<struct output_address_kind>;  // what comes out
using table_address = address<struct table_address_kind>;    // where a table lies, as the hardware walker names it

// A non-empty range of input addresses. Written half-open or as a size; `closed` is for the range that ends with the
// last byte of a 64-bit space. Inside, the last byte is kept, so nothing overflows.
//
// Errors: a range that is empty, reversed or wraps remembers so, and every operation rejects it by that name. It ends
// before it begins then, where it is empty right before: two words say it all, and travel in registers. (What would be
// empty at 0 is empty at 1.)
class input_range {
 public:
  constexpr input_range() noexcept = default;  // an empty range
  [[nodiscard]] static constexpr input_range half_open(input_address first, input_address end) noexcept {
    if (end == first) return empty(first);
    return end < first ? reversed(first) : input_range{first, end - 1};
  }
  [[nodiscard]] static constexpr input_range closed(input_address first, input_address last) noexcept {
    return {first, last};
  }
  [[nodiscard]] static constexpr input_range sized(input_address first, std::uint64_t bytes) noexcept {
    return bytes == 0 ? empty(first) : input_range{first, first + (bytes - 1)};
  }

  [[nodiscard]] constexpr input_address first() const noexcept { return first_; }
  [[nodiscard]] constexpr input_address last() const noexcept { return last_; }
  [[nodiscard]] constexpr errc defect() const noexcept {
    if (first_ <= last_) return errc::none;
    return first_ - last_ == 1 ? errc::empty_range : errc::range_overflow;
  }

  // The part of this range inside `other`; both without defect and overlapping.
  [[nodiscard]] constexpr bool overlaps(input_range other) const noexcept {
    return first_ <= other.last_ && other.first_ <= last_;
  }
  [[nodiscard]] constexpr input_range clamped_to(input_range other) const noexcept {
    return {first_ < other.first_ ? other.first_ : first_, last_ < other.last_ ? last_ : other.last_};
  }
  friend constexpr bool operator==(input_range, input_range) noexcept = default;

 private:
  constexpr input_range(input_address first, input_address last) noexcept : first_(first), last_(last) {}
  [[nodiscard]] static constexpr input_range empty(input_address first) noexcept {
    const input_address from = first.value == 0 ? input_address{1} : first;
    return {from, from - 1};
  }

  [[nodiscard]] static constexpr input_range reversed(input_address first) noexcept {
    return {first.value == 1 ? input_address{2} : first, input_address{0}};  // [1, 0] is empty
  }

  input_address first_{1};
  input_address last_{0};
};

}  // namespace quire

// ---- quire/attributes.hpp -----------------------------------------------------------------------

// What a leaf says besides where it leads, independent of any format's bits.

namespace quire {

// A set of rights.
struct permissions {
  std::uint8_t bits = 0;

  [[nodiscard]] constexpr bool contains(permissions other) const noexcept { return (bits & other.bits) == other.bits; }
  friend constexpr permissions operator|(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits | b.bits)};
  }
  friend constexpr permissions operator&(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits & b.bits)};
  }
  friend constexpr permissions operator-(permissions a, permissions b) noexcept {
    return {static_cast<std::uint8_t>(a.bits & ~b.bits)};
  }
  friend constexpr bool operator==(permissions, permissions) noexcept = default;
};

inline constexpr permissions no_access{0};
inline constexpr permissions readable{1};
inline constexpr permissions writable{2};
inline constexpr permissions executable{4};
inline constexpr permissions read_write = readable | writable;
inline constexpr permissions read_execute = readable | executable;
inline constexpr permissions all_access = readable | writable | executable;

enum class memory_type : std::uint8_t { normal, non_cacheable, device };

// Whose accesses the rights are for: those of both privileges, or of one alone. What one of them has besides (an EL1
// that reads what EL0 may read, a supervisor with SUM set) is the manual's affair.
enum class privilege : std::uint8_t { any, user, supervisor };

// Whether everybody that `wanted` speaks of is among those that `have` speaks of.
[[nodiscard]] constexpr bool includes(privilege have, privilege wanted) noexcept {
  return have == privilege::any || have == wanted;
}

// `may_write` is the software bit "may become writable": the host page behind the leaf is writable, so a write fault
// may be answered by setting the write permission alone. A writable leaf always has it. `accessed` and `dirty` are
// the state of the leaf's own bits, where the format has them; a format without a dirty bit refuses `dirty`.
// `software` is for the owner of the table; how many of its low bits exist is the format's fact software_bits.
// `from` and `global` (translations of every address space) are refused by formats that do not know them.
// An accessed bit that a format lacks counts as set.
struct attributes {
  permissions allowed{};
  bool may_write = false;
  memory_type memory = memory_type::normal;
  bool accessed = true;
  bool dirty = false;
  std::uint8_t software = 0;
  privilege from = privilege::any;
  bool global = false;

  friend constexpr bool operator==(const attributes&, const attributes&) noexcept = default;
};

// Whether anything is wanted that most leaves have not: owner's bits, one privilege, every address space. One test, as
// it is asked for every leaf.
[[nodiscard]] constexpr bool is_special(const attributes& wanted) noexcept {
  constexpr auto any = std::bit_cast<std::uint64_t>(
      attributes{.accessed = false, .software = 0xff, .from = privilege{0xff}, .global = true});
  return (std::bit_cast<std::uint64_t>(wanted) & any) != 0;
}

}  // namespace quire

// ---- quire/format/change.hpp --------------------------------------------------------------------

// Changes of an entry as bit masks: polarity is the format's business, so that one loop serves every format.

namespace quire {

// A question about an entry: do the bits of `mask` read `value`?
template <class Word>
struct entry_test {
  Word mask;
  Word value;

  [[nodiscard]] constexpr bool operator()(Word entry) const noexcept { return (entry & mask) == value; }
  friend constexpr bool operator==(const entry_test&, const entry_test&) noexcept = default;
};

// A change of the entries that answer `applies_to` with yes; it keeps every bit it was not asked to touch.
template <class Word>
struct entry_change {
  entry_test<Word> applies_to;
  Word keep;  // and-mask
  Word set;   // or-mask

  // Requires: applies_to(entry).
  [[nodiscard]] constexpr Word made(Word entry) const noexcept { return static_cast<Word>((entry & keep) | set); }
  [[nodiscard]] constexpr Word operator()(Word entry) const noexcept { return applies_to(entry) ? made(entry) : entry; }
  // The bits that it turns over, where they are the same in every entry that it applies to; 0 where they are not.
  [[nodiscard]] constexpr Word flips() const noexcept {
    if (((~keep | set) & ~applies_to.mask) != 0) return 0;
    return static_cast<Word>((applies_to.value & ~(keep | set)) | (applies_to.mask & ~applies_to.value & set));
  }
};

}  // namespace quire

// ---- quire/geometry.hpp -------------------------------------------------------------------------

// How an input address is cut into indices.
//
//   input address   | index of the root | ... | index of level 1 | index of level 0 | offset in the page |
//                     index_bits[n-1]           index_bits[1]      index_bits[0]      page_bits
//
// Levels count up from the leaves: level 0 holds only pages, level n-1 is the root. Widths may differ per level; a
// root that is wider than the other tables (RISC-V's 16 KiB root, arm64's concatenated root tables) is a wider
// index_bits[n-1] and nothing else.

namespace quire {

template <int Levels>
struct geometry {
  static_assert(Levels >= 1 && Levels <= 8);
  static constexpr int levels = Levels;
  static constexpr int root_level = Levels - 1;

  int page_bits;                                     // log2 of the bytes of a page
  int index_bits[static_cast<std::size_t>(Levels)];  // log2 of the entries of a table, by level

  // log2 of the bytes that one entry of `level` translates; level == levels gives the whole input space.
  [[nodiscard]] constexpr int shift(int level) const noexcept {
    int bits = page_bits;
    for (int below = 0; below < level; ++below) bits += index_bits[below];
    return bits;
  }
  [[nodiscard]] constexpr int input_bits() const noexcept { return shift(levels); }
  [[nodiscard]] constexpr std::uint64_t page_bytes() const noexcept { return std::uint64_t{1} << page_bits; }
  [[nodiscard]] constexpr std::uint64_t leaf_bytes(int level) const noexcept {
    return std::uint64_t{1} << shift(level);
  }
  [[nodiscard]] constexpr std::size_t entries(int level) const noexcept { return std::size_t{1} << index_bits[level]; }

  // The last byte of what a table of `level` translates, relative to its first.
  [[nodiscard]] constexpr std::uint64_t table_last_offset(int level) const noexcept {
    return shift(level + 1) >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << shift(level + 1)) - 1;
  }
  [[nodiscard]] constexpr std::size_t index(std::uint64_t address, int level) const noexcept {
    return static_cast<std::size_t>(address >> shift(level)) & (entries(level) - 1);
  }
  // The most entries that any table below the root has: the size of what a table source hands out.
  [[nodiscard]] constexpr std::size_t most_entries_below_root() const noexcept {
    std::size_t most = 1;
    for (int level = 0; level < root_level; ++level) most = entries(level) > most ? entries(level) : most;
    return most;
  }
};

// Tables of one size on every level; a format whose root is wider or narrower changes index_bits[root_level].
template <int Levels>
[[nodiscard]] constexpr geometry<Levels> uniform_geometry(int page_bits, int index_bits) noexcept {
  geometry<Levels> shape{.page_bits = page_bits, .index_bits = {}};
  for (int level = 0; level < Levels; ++level) shape.index_bits[level] = index_bits;
  return shape;
}

}  // namespace quire

// ---- quire/contract.hpp -------------------------------------------------------------------------

// Contracts: what a caller or a policy promised, checked where it is relied on.
//
// Bad input from a user of a page table is an error value (error.hpp), never a contract violation. A contract
// violation is a broken promise of the *policy* side (a table source that hands out an unaligned table, a lock that
// is not held). What then happens is the embedder's choice:
//   QUIRE_CONTRACT_VIOLATION(text)   define it before the first include to panic in your own way; it must not return.
//   QUIRE_CONTRACTS                  0 = nothing is checked, 1 (default) = cheap checks, 2 = audits as well.
// Undefined, a violation goes to GSL's Expects, which calls std::terminate; defined, GSL is not needed at all.

#ifndef QUIRE_CONTRACT_VIOLATION
#include <gsl/assert>  // Expects
#endif

#ifndef QUIRE_CONTRACTS
#define QUIRE_CONTRACTS 1
#endif

#ifdef QUIRE_CONTRACT_VIOLATION
#define QUIRE_CHECK_CONTRACT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : QUIRE_CONTRACT_VIOLATION(#condition))
#else
#define QUIRE_CHECK_CONTRACT(condition) Expects(condition)
#endif

#if QUIRE_CONTRACTS >= 1
#define QUIRE_EXPECTS(condition) QUIRE_CHECK_CONTRACT(condition)
#else
#define QUIRE_EXPECTS(condition) static_cast<void>(0)
#endif

#if QUIRE_CONTRACTS >= 2
#define QUIRE_AUDIT(condition) QUIRE_CHECK_CONTRACT(condition)
#else
#define QUIRE_AUDIT(condition) static_cast<void>(0)
#endif

// Hot leaves of the call tree must be inlined for the level and the policy to become constants; cold ones (split,
// allocation, error) must not, or every operation carries them.
#define QUIRE_INLINE [[gnu::always_inline]] inline
#define QUIRE_COLD [[gnu::noinline, gnu::cold]]
// Behind the parameters of a lambda, whose operator() has no place for such an attribute in C++20.
#define QUIRE_INLINE_LAMBDA __attribute__((always_inline))

// ---- quire/result.hpp ---------------------------------------------------------------------------

// result<T>: a value or an error, with the interface of std::expected (C++23) as far as it is needed.
//
// Trivially destructible, so T must be; reading the value of an error is a contract violation when contracts are
// checked and the value-initialised T otherwise, never undefined. In constant evaluation the violation is a compile
// error that names the error.

namespace quire {

namespace detail {

// No part of a constant expression: there the compiler stops, and this name with the error's is in its message.
template <errc Code>
void value_of_an_error() noexcept {}

using every_errc = std::make_index_sequence<static_cast<std::size_t>(last_errc) + 1>;
template <std::size_t... Code>
constexpr void expect_no_error(errc code, std::index_sequence<Code...>) noexcept {
  (..., (Code != 0 && code == errc{Code} ? value_of_an_error<errc{Code}>() : void()));
}

}  // namespace detail

template <class T>
class [[nodiscard]] result {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  using value_type = T;

  constexpr result(T value) noexcept : value_(value) {}
  constexpr result(quire::error failure) noexcept : error_(failure) { QUIRE_EXPECTS(failure.code != errc::none); }
  constexpr result(errc code) noexcept : result(quire::error{.code = code}) {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_.code == errc::none; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] constexpr const T& value() const noexcept {
    if (QUIRE_CONTRACTS != 0 && std::is_constant_evaluated())
      detail::expect_no_error(error_.code, detail::every_errc{});
    QUIRE_EXPECTS(has_value());
    return value_;
  }
  [[nodiscard]] constexpr const T& operator*() const noexcept { return value(); }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return &value(); }
  [[nodiscard]] constexpr T value_or(T other) const noexcept {
    if (has_value()) return value_;  // not ?:, which would choose between two places in memory
    return other;
  }
  [[nodiscard]] constexpr quire::error error() const noexcept { return error_; }

 private:
  T value_{};
  quire::error error_{};
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  constexpr result() noexcept = default;
  constexpr result(quire::error failure) noexcept : error_(failure) {}
  constexpr result(errc code) noexcept : error_{.code = code} {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return error_.code == errc::none; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] constexpr quire::error error() const noexcept { return error_; }

 private:
  quire::error error_{};
};

}  // namespace quire

// ---- quire/format/concept.hpp -------------------------------------------------------------------

// pte_format: what the walker and the operations must know about a kind of page table.
//
// A format is a stateless type. It never sees memory: it turns meaning into bits and back, at compile time if asked.
// `format_archetype` below is the contract, member by member; it satisfies the concept and does nothing else. A real
// format is in riscv_gstage.hpp; a small one to copy from is in tiny.hpp.

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

// ---- quire/format/arm64_granule.hpp -------------------------------------------------------------

// The translation granules of arm64 (VMSAv8-64) in numbers: levels, root tables, block and group sizes.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.2.2 "Concatenated translation tables", D8.2.8
// to D8.2.10 "VMSAv8-64 translation using the 4KB, 16KB, 64KB granule", D8.7.1 "The Contiguous bit". The manual counts
// levels down to the pages: its level is 3 - ours.
//
//   the manual's level |   -1        0        1        2       3
//   ours               |    4        3        2        1       0
//   4 KiB granule      | 256 TiB  512 GiB*  1 GiB    2 MiB   4 KiB
//   16 KiB             |          128 TiB  64 GiB*  32 MiB  16 KiB
//   64 KiB             |                    4 TiB* 512 MiB  64 KiB
//
// That is what one entry translates; with * it may be a block only where descriptors hold 52 bits of output address.

namespace quire::arm64 {

enum class granule : std::uint8_t { k4, k16, k64 };

struct granule_numbers {
  int page_bits;
  int block_levels;   // levels 1 .. block_levels hold blocks, with 48 bits of output address
  int table_levels;   // levels there are, with 48 bits of input address
  int group_bits[3];  // log2 of the entries of a contiguous group, at level 0, 1 and 2; 0: none

  [[nodiscard]] constexpr int index_bits() const noexcept { return page_bits - 3; }  // of 8-byte entries in a page
  // Levels that hold leaves, from 0 on: Tables D8-17, D8-27 and D8-36.
  [[nodiscard]] constexpr int leaf_levels(int output_bits = 48) const noexcept {
    return block_levels + (output_bits > 48 ? 2 : 1);
  }
  // The index of a root table for this many bits of input address, under so many levels.
  [[nodiscard]] constexpr int root_bits(int input_bits, int levels) const noexcept {
    return input_bits - page_bits - (levels - 1) * index_bits();
  }
  // Stage 1: as many as the bits need.
  [[nodiscard]] constexpr int stage1_levels(int input_bits) const noexcept {
    return (input_bits - page_bits + index_bits() - 1) / index_bits();
  }
  // Stage 2: up to 16 root tables may be concatenated, so 4 bits need no level of their own. Never fewer than two, or
  // there would be no blocks.
  [[nodiscard]] constexpr int levels(int ipa_bits) const noexcept {
    const int wanted = (ipa_bits - 8) / index_bits();
    return wanted < 2 ? 2 : wanted;
  }
  // The manual's tables of permitted concatenated translation tables, D8-20 to D8-24, D8-30 to D8-33 and D8-39 to
  // D8-41: one table of two entries or more, or up to 16 of them. More levels than 48 bits need exist for 52 bits
  // alone, at 4 KiB (level -1) and 16 KiB (level 0, where 48 bits take two tables of the level below instead: R_DXBSH).
  [[nodiscard]] constexpr bool stage2_starts(int ipa_bits, int levels, int output_bits) const noexcept {
    const int bits = root_bits(ipa_bits, levels);
    const bool wide = output_bits > 48 && page_bits < 16;
    const int most = (page_bits == 14 ? table_levels - 1 : table_levels) + (wide ? 1 : 0);
    return levels >= 1 && levels <= most && bits >= 1 && bits <= index_bits() + 4;
  }
};

[[nodiscard]] constexpr granule_numbers numbers_of(granule size) noexcept {
  switch (size) {
    case granule::k16: return {.page_bits = 14, .block_levels = 1, .table_levels = 4, .group_bits = {7, 5, 0}};
    case granule::k64: return {.page_bits = 16, .block_levels = 1, .table_levels = 3, .group_bits = {5, 5, 0}};
    case granule::k4: break;
  }
  return {.page_bits = 12, .block_levels = 2, .table_levels = 4, .group_bits = {4, 4, 4}};
}

static_assert(numbers_of(granule::k4).levels(43) == 3 && numbers_of(granule::k4).levels(44) == 4);
static_assert(numbers_of(granule::k16).levels(40) == 2 && numbers_of(granule::k16).levels(41) == 3);
static_assert(numbers_of(granule::k64).levels(46) == 2 && numbers_of(granule::k64).levels(47) == 3);
static_assert(numbers_of(granule::k4).stage1_levels(39) == 3 && numbers_of(granule::k4).stage1_levels(40) == 4 &&
              numbers_of(granule::k4).stage1_levels(49) == 5);
static_assert(numbers_of(granule::k16).stage1_levels(47) == 3 && numbers_of(granule::k16).stage1_levels(48) == 4);
static_assert(numbers_of(granule::k64).stage1_levels(42) == 2 && numbers_of(granule::k64).stage1_levels(52) == 3);
static_assert(!numbers_of(granule::k16).stage2_starts(48, 4, 48) && numbers_of(granule::k16).stage2_starts(48, 3, 48));

}  // namespace quire::arm64

// ---- quire/format/arm64_descriptor.hpp ----------------------------------------------------------

// What the descriptors of both stages of arm64 (VMSAv8-64) have in common: where addresses lie, and which entry is
// what.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats".
//
//   48 bits           | 47..12 output address                                        | 1    | 0
//   52 bits, 64 KiB   | 47..16 output address 47..16 | 15..12 output address 51..48  | type | valid
//   52 bits, 4, 16 KiB| 49..12 output address 49..12 | 9 8 output address 51 50      |
//
// An entry with bit 0 clear is free for software (Tables D8-54, D8-55): bit 1 with a payload from the page's bits on is
// a marker, bit 58 makes it `locked`.

namespace quire::arm64::detail {

struct descriptor_layout {
  granule size;
  int input_bits;
  int levels;
  int output_bits;
  int group_levels;  // levels 0 .. group_levels - 1 may have contiguous groups
};

template <descriptor_layout L>
struct descriptor {
  using word = std::uint64_t;

 protected:
  static constexpr granule_numbers size = numbers_of(L.size);
  static constexpr int levels = L.levels;
  static constexpr word valid = 1U << 0, type = 1U << 1;
  static constexpr word contig = word{1} << 52;
  static constexpr word sw_may_write = word{1} << 56, sw_owner = word{1} << 57, sw_locked = word{1} << 58;
  static constexpr bool has_contiguous = L.group_levels > 0;
  // Bits 9:8 hold the shareability, if they do not hold an address.
  static constexpr bool has_shareability = L.output_bits == 48 || L.size == granule::k64;

 public:
  static constexpr geometry<L.levels> shape = []() constexpr {
    geometry<L.levels> g{.page_bits = size.page_bits, .index_bits = {}};
    for (int level = 0; level < levels - 1; ++level) g.index_bits[level] = size.index_bits();
    g.index_bits[levels - 1] = size.root_bits(L.input_bits, levels);
    return g;
  }();
  static constexpr int table_shift = size.page_bits;

 protected:
  static constexpr bool wide = L.output_bits > 48;
  // Output address bits below this one stand in their own place; those above do not.
  static constexpr int in_place_bits = !wide ? 48 : L.size == granule::k64 ? 48 : 50;

 private:
  static constexpr word below(int bits) noexcept { return (word{1} << bits) - 1; }
  static constexpr word page = below(size.page_bits);
  static constexpr word in_place = below(in_place_bits) & ~page;
  static constexpr word payload = below(L.output_bits) & ~page;
  static constexpr word high = !wide ? 0 : L.size == granule::k64 ? 0xf000 : 0x300;
  static constexpr int high_shift = L.size == granule::k64 ? 48 - 12 : 50 - 8;
  // A group is part of a table: none where it would be all of the root.
  struct group_table {
    int bits[static_cast<std::size_t>(L.levels)]{};
  };
  static constexpr group_table groups = []() constexpr {
    group_table g;
    const int end = levels < L.group_levels ? levels : L.group_levels;
    for (int level = 0; level < end; ++level)
      if (size.group_bits[level] < shape.index_bits[level]) g.bits[level] = size.group_bits[level];
    return g;
  }();

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= levels || level >= size.leaf_levels(L.output_bits)) return 0;
    return 1U | (has_contiguous && groups.bits[level] != 0 ? 1U << groups.bits[level] : 0U);
  }
  // Whether group_sizes() has it.
  [[nodiscard]] static constexpr bool is_leaf_size(int level, int group) noexcept {
    return group_sizes(level) != 0 && (group == 0 || (has_contiguous && group == groups.bits[level]));
  }

  // Type 0 is a block; at level 0, and where the level has no blocks, it is reserved and taken for invalid. The table
  // first, it is what a descent asks for: adding 1 clears both bits exactly when both are set, one instruction less
  // than comparing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (((entry + 1) & (valid | type)) == 0) return level == 0 ? entry_kind::leaf : entry_kind::table;
    if ((entry & valid) != 0) return level != 0 && group_sizes(level) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{address_of(entry)};
  }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    return has_contiguous && (entry & contig) != 0 ? groups.bits[level] : 0;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{address_of(entry)}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & payload) >> size.page_bits;
  }

  [[nodiscard]] static constexpr word marker(std::uint64_t value) noexcept {
    return ((value << size.page_bits) & payload) | type;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~valid) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | valid; }

  // Each entry of a contiguous group holds its own output address.
  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry | type : leaf_entry;
  }

 protected:
  [[nodiscard]] static constexpr std::uint64_t address_of(word entry) noexcept {
    return (entry & in_place) | ((entry & high) << high_shift);
  }
  // Requires: page-aligned, below 1 << output_bits.
  [[nodiscard]] static constexpr word field_of(std::uint64_t address) noexcept {
    if constexpr (wide) return (address & in_place) | ((address >> high_shift) & high);
    else return address;
  }
  // The address of a valid table or leaf. With FEAT_LPA, bits 15:12 of a 64 KiB descriptor lie beyond the 48 bits that
  // the type stands for, so they fault. Below a block are reserved bits, nT (bit 16: FEAT_BBM) among them.
  [[nodiscard]] static constexpr bool has_legal_address(word entry, int level, entry_kind kind) noexcept {
    if (L.size == granule::k64 && !wide && (entry & 0xf000) != 0) return false;
    return kind != entry_kind::leaf || (address_of(entry) & (shape.leaf_bytes(level) - 1)) == 0;
  }
};

}  // namespace quire::arm64::detail

// ---- quire/format/arm64_stage2.hpp --------------------------------------------------------------

// arm64 stage 2 tables (VMSAv8-64): 4, 16 and 64 KiB granules, 32 to 52 bits of input address.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats" (Table
// D8-53), D8.4.2 "Stage 2 permissions", D8.6.5 and D8.6.6 (memory types). Where addresses lie is in
// arm64_descriptor.hpp, levels and block sizes in arm64_granule.hpp: the manual's level is 3 - ours.
//
//   58..55   | 54 53 | 52     | 51  | 47..12         | 10 | 9 8 | 7 6  | 5..2    | 1    | 0
//   software | XN    | contig | DBM | output address | AF | SH  | S2AP | MemAttr | type | valid
//
// Software bit 56 is "may become writable", 57 is the owner's. 55 and 58 stay 0: they have a meaning in a Realm's
// tables (NS) and with FEAT_THE (AssuredOnly).
//
// VTCR_EL2 must say the same as the type; arm64_vtcr.hpp computes it. A table entry is nothing but address, type and
// valid: stage 2 has no hierarchical permissions.

namespace quire::arm64 {

struct stage2_options {
  bool forced_write_back = false;  // HCR_EL2.FWB: MemAttr overrides stage 1 instead of combining with it
  bool hardware_accessed = true;   // VTCR_EL2.HA: the hardware sets AF
  bool hardware_dirty = false;     // VTCR_EL2.HD: a write through a leaf with DBM sets S2AP[1]
  // Neighbours may form a group: 16 (4 KiB), 128 (16 KiB) or 32 (64 KiB) pages; 16, 32 or 32 of the smallest blocks.
  bool contiguous = false;
  bool contiguous_gigabytes = false;  // 16 blocks of 1 GiB as well
  bool execute_by_privilege = false;  // FEAT_XNX: EL0 and EL1 each have a right to execute
  // 48, or 52: FEAT_LPA for the 64 KiB granule, FEAT_LPA2 and VTCR_EL2.DS = 1 for the others. With that, shareability
  // comes from VTCR_EL2.SH0.
  int output_bits = 48;
  int levels = 0;  // 0: as few as concatenated root tables make do with
};

// Whether there can be such tables at all. unsupported_attribute: of two options, one needs another. beyond_output:
// output_bits. beyond_input: an IPA has 32 bits or more, and no more than output_bits. unsupported_level: levels.
[[nodiscard]] constexpr result<void> check_stage2(granule size, int ipa_bits, const stage2_options& options) noexcept {
  if (options.hardware_dirty && !options.hardware_accessed) return errc::unsupported_attribute;
  if (options.contiguous_gigabytes && !(options.contiguous && size == granule::k4)) return errc::unsupported_attribute;
  if (options.output_bits != 48 && options.output_bits != 52) return errc::beyond_output;
  if (ipa_bits < 32 || ipa_bits > options.output_bits) return errc::beyond_input;
  const granule_numbers numbers = numbers_of(size);
  const int levels = options.levels != 0 ? options.levels : numbers.levels(ipa_bits);
  if (!numbers.stage2_starts(ipa_bits, levels, options.output_bits)) return errc::unsupported_level;
  return {};
}

namespace detail {

[[nodiscard]] constexpr descriptor_layout stage2_layout(granule size, int ipa_bits,
                                                        const stage2_options& options) noexcept {
  return {.size = size,
          .input_bits = ipa_bits,
          .levels = options.levels != 0 ? options.levels : numbers_of(size).levels(ipa_bits),
          .output_bits = options.output_bits,
          .group_levels = !options.contiguous            ? 0
                          : options.contiguous_gigabytes ? 3
                                                         : 2};
}

}  // namespace detail

template <granule Granule, int IpaBits, stage2_options Options = stage2_options{}>
struct stage2 : detail::descriptor<detail::stage2_layout(Granule, IpaBits, Options)> {
  static_assert(Options.output_bits == 48 || Options.output_bits == 52, "an output address has 48 or 52 bits");
  static_assert(IpaBits >= 32 && IpaBits <= Options.output_bits,
                "an IPA has 32 to 48 bits; more needs 52 output_bits, FEAT_LPA or FEAT_LPA2");
  static_assert(check_stage2(Granule, IpaBits, Options).error().code != errc::unsupported_level,
                "no stage 2 walk can start at this level: a root has 2 entries to 16 tables");
  static_assert(Options.hardware_accessed || !Options.hardware_dirty, "VTCR_EL2.HD needs VTCR_EL2.HA");
  static_assert(check_stage2(Granule, IpaBits, Options).has_value(), "groups of 1 GiB: 4 KiB granule and contiguous");

 private:
  using base = detail::descriptor<detail::stage2_layout(Granule, IpaBits, Options)>;
  using base::contig, base::has_contiguous, base::sw_may_write, base::sw_owner, base::type, base::valid;

 public:
  using base::shape;
  using typename base::word;
  static constexpr granule granule_size = Granule;
  static constexpr stage2_options options = Options;
  static constexpr format_facts facts{
      .break_before_make = true,
      .caches_invalid = false,  // a translation that faults is not cached, AF = 0 included
      .sets_accessed = Options.hardware_accessed,
      .sets_dirty = Options.hardware_dirty,
      .has_dirty = Options.hardware_dirty,
      .executes_by_privilege = Options.execute_by_privilege,
      .output_bits = Options.output_bits,
      .linear_output_bits = base::in_place_bits,
      .software_bits = 1,
      .marker_bits = Options.output_bits - base::table_shift,
  };

 private:
  static constexpr int mem_attr_shift = 2;
  static constexpr word mem_attr = 0xfU << mem_attr_shift;
  static constexpr word not_device =
      4U << mem_attr_shift;  // set in both normal values of both encodings, not in device
  static constexpr word s2ap_read = 1U << 6, s2ap_write = 1U << 7;
  static constexpr word sh = 3U << 8;
  static constexpr word sh_inner = base::has_shareability ? 3U << 8 : 0;
  static constexpr word af = 1U << 10;
  static constexpr word dbm = word{1} << 51;
  // XN[1:0]: 00 for both, 01 for EL0, 11 for EL1, 10 for none. Without FEAT_XNX, XN[0] is reserved.
  static constexpr word xn = word{1} << 54, xn0 = word{1} << 53;
  static constexpr word execution = xn | (Options.execute_by_privilege ? xn0 : 0);
  static constexpr bool has_dirty = Options.hardware_dirty;
  // The bit that says "may be written". With the hardware dirty bit that is DBM, on every writable leaf, and S2AP[1]
  // says that it was; without, S2AP[1] itself.
  static constexpr word writes = has_dirty ? dbm : s2ap_write;

 public:
  // S2AP[1] without DBM, which leaf() never makes, is a right to write that leaves no trace: as good as written to.
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & s2ap_read) != 0) allowed = allowed | readable;
    if ((entry & (writes | s2ap_write)) != 0) allowed = allowed | writable;
    if ((entry & execution) != xn) allowed = allowed | executable;
    const word memory = entry & mem_attr;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = memory == mem_attr_of(memory_type::normal)          ? memory_type::normal
                      : memory == mem_attr_of(memory_type::non_cacheable) ? memory_type::non_cacheable
                                                                          : memory_type::device,
            .accessed = (entry & af) != 0,
            .dirty = has_dirty && (entry & s2ap_write) != 0,
            .software = static_cast<std::uint8_t>((entry & sw_owner) != 0),
            .from = !Options.execute_by_privilege || (entry & xn0) == 0 ? privilege::any
                    : (entry & xn) == 0                                 ? privilege::user
                                                                        : privilege::supervisor};
  }
  // Reserved: values of MemAttr and SH (of cacheable memory alone), and addresses. The rest of the bits without a
  // meaning is ignored, and what is no table, block or page is taken for invalid (Tables D8-48 and D8-53).
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    const entry_kind kind = base::kind_of(entry, level);
    if ((entry & valid) == 0 || kind == entry_kind::marker) return true;
    if (!base::has_legal_address(entry, level, kind)) return false;
    if (kind == entry_kind::table) return true;
    const word memory = (entry & mem_attr) >> mem_attr_shift;
    return !is_reserved(memory) && (!base::has_shareability || !is_cacheable(memory) || (entry & sh) != word{1} << 8);
  }

  // All eight sets of rights exist, but instruction fetch from device memory is unpredictable and refused. A dirty leaf
  // that is not writable does not exist: S2AP[1] alone would be a write permission.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (!base::is_leaf_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    word special = 0;
    if (is_special(wanted)) {
      if (wanted.software > 1 || wanted.global) return errc::unsupported_attribute;
      if (wanted.from != privilege::any && !(Options.execute_by_privilege && wanted.allowed.contains(executable)))
        return errc::unsupported_attribute;
      special = execution_of(wanted.from) | (wanted.software != 0 ? sw_owner : 0);
    }
    if (wanted.memory == memory_type::device && wanted.allowed.contains(executable)) return errc::unsupported_attribute;
    if (wanted.dirty && !(has_dirty && wanted.allowed.contains(writable))) return errc::unsupported_attribute;
    return word{base::field_of(output.value) | valid | (level == 0 ? type : 0) | mem_attr_of(wanted.memory) | sh_inner |
                rights_of(wanted.allowed) | special | (wanted.may_write ? sw_may_write : 0) |
                (wanted.accessed ? af : 0) | (wanted.dirty ? s2ap_write : 0) | (group != 0 ? contig : 0)};
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return base::field_of(child.value) | type | valid;
  }

  static constexpr entry_test<word> is_writable{valid | writes, valid | writes};
  static constexpr entry_test<word> is_accessed{valid | af, valid | af};
  static constexpr entry_test<word> is_dirty =
      has_dirty ? entry_test<word>{valid | dbm | s2ap_write, valid | dbm | s2ap_write} : entry_test<word>{0, 1};

  static constexpr entry_test<word> is_grantable{valid | type | sw_may_write | (has_contiguous ? contig : 0),
                                                 valid | type | sw_may_write};

  // With DBM, S2AP[1] comes along: the write that faulted is about to happen. Protecting takes both, so ask is_dirty
  // of the old entry first.
  static constexpr entry_change<word> make_writable{{valid, valid}, ~word{0}, writes | s2ap_write | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~(writes | s2ap_write), 0};
  static constexpr entry_change<word> set_accessed{{valid, valid}, ~word{0}, af};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~af, 0};
  static constexpr entry_change<word> make_clean{is_dirty, has_dirty ? ~s2ap_write : ~word{0}, 0};

  // Neither applies to a device leaf if the right to execute is among the rights.
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    const word gone = allowed.contains(writable) ? writes : writes | s2ap_write;
    return entry_change<word>{may_have(allowed), ~(s2ap_read | gone | execution | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return entry_change<word>{may_have(more), more.contains(executable) ? ~execution : ~word{0},
                              (rights_of(more) & ~xn) | (more.contains(writable) ? s2ap_write : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = (Options.hardware_accessed ? af : 0) | (has_dirty ? s2ap_write : 0);

 private:
  // Tables D8-96 (without) and D8-101 (with forced write-back).
  [[nodiscard]] static constexpr word mem_attr_of(memory_type memory) noexcept {
    constexpr word normal = Options.forced_write_back ? 6 : 0xf;
    return (memory == memory_type::device ? 1 : memory == memory_type::non_cacheable ? 5 : normal) << mem_attr_shift;
  }
  // Reserved on a CPU without FEAT_MTE_PERM (0100 without, 10xx and 1101 with forced write-back) or on every one.
  [[nodiscard]] static constexpr bool is_reserved(word memory) noexcept {
    if constexpr (Options.forced_write_back) return (memory & 7U) == 4 || (memory & 0xcU) == 8 || memory == 0xd;
    else return memory == 4 || memory == 8 || memory == 0xc;
  }
  [[nodiscard]] static constexpr bool is_cacheable(word memory) noexcept { return memory > 5; }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? s2ap_read : 0) | (allowed.contains(writable) ? writes | sw_may_write : 0) |
           (allowed.contains(executable) ? 0 : xn);
  }
  [[nodiscard]] static constexpr word execution_of(privilege from) noexcept {
    if constexpr (Options.execute_by_privilege)
      return from == privilege::user ? xn0 : from == privilege::supervisor ? xn | xn0 : 0;
    else return 0;
  }
  [[nodiscard]] static constexpr entry_test<word> may_have(permissions allowed) noexcept {
    const word mask = allowed.contains(executable) ? valid | not_device : valid;
    return {mask, mask};
  }
};

template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_4k = stage2<granule::k4, IpaBits, Options>;
template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_16k = stage2<granule::k16, IpaBits, Options>;
template <int IpaBits, stage2_options Options = stage2_options{}>
using stage2_64k = stage2<granule::k64, IpaBits, Options>;

static_assert(pte_format<stage2_4k<40>> &&
              pte_format<stage2_4k<48, stage2_options{.hardware_dirty = true, .contiguous = true}>>);
static_assert(pte_format<stage2_16k<40>> && pte_format<stage2_64k<52, stage2_options{.output_bits = 52}>>);
// IPA bits -> levels and concatenated root tables.
static_assert(stage2_4k<32>::shape.levels == 2 && root_table_bytes<stage2_4k<32>> == 4 * 4096);
static_assert(stage2_4k<40>::shape.levels == 3 && root_table_bytes<stage2_4k<40>> == 2 * 4096);
static_assert(stage2_4k<44>::shape.levels == 4 && root_table_bytes<stage2_4k<44>> == 4096);
static_assert(stage2_16k<40>::shape.levels == 2 && root_table_bytes<stage2_16k<40>> == 16 * 16384);
static_assert(stage2_64k<46>::shape.levels == 2 && root_table_bytes<stage2_64k<46>> == 16 * 65536);
static_assert(*stage2_4k<40>::leaf(output_address{0x8020'0000}, {.allowed = all_access}, 1) == 0x0100'0000'8020'07fd);
static_assert(stage2_4k<40>::table(table_address{0x8000'1000}, 1) == 0x8000'1003);

}  // namespace quire::arm64

// ---- quire/format/riscv_entry.hpp ---------------------------------------------------------------

// RISC-V page table entries: what G-stage and stage 1 have in common.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv32", "Sv39", "Sv48", "Sv57" (entry layout), "Svnapot",
// "Svpbmt", "Svrsw60t59b", "Svvptc", "Svadu". The manual numbers levels as we do: level 0 holds pages.
//
//   63 | 62 61 | 60 59 | 58..54   | 53..10 | 9 8 | 7 6 5 4 3 2 1 0      Sv39, Sv48, Sv57: 64 bits
//    N |  PBMT |  RSW  | reserved |  PPN   | RSW | D A G U X W R V
//                                 | 31..10 | 9 8 | 7 6 5 4 3 2 1 0      Sv32: 32 bits
//
// Bit 8 is "may become writable"; bit 9 is the owner's software bit, and with Svrsw60t59b bits 59 and 60 are two more.
// An entry with V clear is free for software: bit 9 with a payload in the PPN field is a marker; how an entry is locked
// is the stage's affair. R, W and X clear lead to a table, so no leaf is without rights, and "W without R is reserved".

namespace quire::riscv {

// What a hart has, by the names of the manual.
struct extensions {
  bool svadu = false;        // the hardware sets A and D (menvcfg.ADUE, henvcfg.ADUE); without it, it faults (Svade)
  bool svnapot = false;      // 16 equal entries may form a group of 64 KiB
  bool svpbmt = true;        // memory types besides normal; entries of 32 bits have none in any case
  bool svrsw60t59b = false;  // bits 59 and 60 are for software
  bool svvptc = false;       // an entry that becomes valid is seen in bounded time: "not mapped" need not be forgotten
};

template <int Levels, extensions Extensions>
struct entry_layout {
  static_assert(Levels >= 2 && Levels <= 5, "Sv32 has 2 levels, Sv39 3, Sv48 4, Sv57 5");
  static_assert(Levels != 2 || !Extensions.svnapot, "Svnapot depends on Sv39");
  static_assert(Levels != 2 || !Extensions.svrsw60t59b, "Svrsw60t59b depends on Sv39");

  using word = std::conditional_t<Levels == 2, std::uint32_t, std::uint64_t>;
  static constexpr int table_shift = 12;

 protected:
  static constexpr bool narrow = Levels == 2, has_groups = Extensions.svnapot, hardware = Extensions.svadu;
  static constexpr bool has_types = Extensions.svpbmt && !narrow;

  [[nodiscard]] static constexpr word bit(int number) noexcept { return static_cast<word>(std::uint64_t{1} << number); }
  static constexpr word v = bit(0), r = bit(1), w = bit(2), x = bit(3), u = bit(4), g = bit(5), a = bit(6), d = bit(7);
  static constexpr word rights = r | w | x, all = static_cast<word>(~word{0});
  static constexpr word rsw0 = bit(8), rsw1 = bit(9);
  static constexpr int ppn_bits = narrow ? 22 : 44;  // "PPN": a physical address of 34 or 56 bits
  static constexpr word ppn = static_cast<word>(((std::uint64_t{1} << ppn_bits) - 1) << 10);
  static constexpr word rsw_high = Extensions.svrsw60t59b ? bit(59) | bit(60) : 0;
  static constexpr word pbmt_nc = has_types ? bit(61) : 0, pbmt_io = has_types ? bit(62) : 0;
  static constexpr word n = has_groups ? bit(63) : 0;
  static constexpr int group_bits = 4;  // "64 KiB contiguous region"
  static constexpr int software_bits = Extensions.svrsw60t59b ? 3 : 1;
  static constexpr unsigned most_software = (1U << software_bits) - 1;

  [[nodiscard]] static constexpr geometry<Levels> shape_with(int more_root_bits) noexcept {
    auto shape = uniform_geometry<Levels>(12, narrow ? 10 : 9);
    shape.index_bits[Levels - 1] += more_root_bits;
    return shape;
  }
  [[nodiscard]] static constexpr format_facts facts_with(bool sign_extended) noexcept {
    return {
        .caches_invalid = !Extensions.svvptc,  // "implementations may cache invalid entries"
        .sets_accessed = hardware,
        .sets_dirty = hardware,
        .has_dirty = true,
        .sign_extended = sign_extended,
        .output_bits = ppn_bits + 12,
        .software_bits = software_bits,
        .marker_bits = ppn_bits,
    };
  }
  static constexpr geometry<Levels> pages = shape_with(0);  // how wide the root is does not matter to a leaf

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    if (level < 0 || level >= Levels) return 0;
    return 1U | (has_groups && level == 0 ? 1U << group_bits : 0U);
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept {
    return table_address{std::uint64_t{entry & ppn} << 2};
  }
  [[nodiscard]] static constexpr int group_of([[maybe_unused]] word entry, [[maybe_unused]] int level) noexcept {
    if constexpr (!has_groups) return 0;
    else return level == 0 && (entry & n) != 0 ? group_bits : 0;
  }
  // In a group the low bits of PPN say how large it is.
  [[nodiscard]] static constexpr output_address output_of(word entry, [[maybe_unused]] int level) noexcept {
    const output_address output{std::uint64_t{entry & ppn} << 2};
    if constexpr (has_groups)
      if (group_of(entry, level) != 0) return output.align_down(pages.leaf_bytes(0) << group_bits);
    return output;
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & ppn) >> 10;
  }
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return static_cast<word>(child.value >> 2) | v;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return (static_cast<word>(payload << 10) & ppn) | rsw1;
  }
  [[nodiscard]] static constexpr word step(int level, [[maybe_unused]] int group) noexcept {
    if constexpr (has_groups)
      if (group != 0) return 0;
    return word{1} << (pages.shift(level) - 2);
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable{v | w, v | w};
  static constexpr entry_test<word> is_accessed{v | a, v | a};
  static constexpr entry_test<word> is_dirty{v | d, v | d};
  static constexpr entry_test<word> is_grantable{v | r | rsw0 | n, v | r | rsw0};  // W needs R

  // Svade hardware traps a store to a clean leaf, so whoever grants W sets D with it.
  static constexpr entry_change<word> make_writable{{v, v}, all, r | w | d | rsw0};
  static constexpr entry_change<word> write_protect{is_writable, static_cast<word>(~w), 0};
  static constexpr entry_change<word> set_accessed{{v, v}, all, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, static_cast<word>(~a), 0};
  static constexpr entry_change<word> make_clean{is_dirty, static_cast<word>(~d), 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    const auto wanted = rights_of(allowed);
    if (!wanted) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, static_cast<word>(~(rights | rsw0)), *wanted};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions allowed) noexcept {
    const auto wanted = rights_of(allowed);
    if (!wanted) return errc::unsupported_attribute;
    return entry_change<word>{{v, v}, all, *wanted | (allowed.contains(writable) ? d : 0)};
  }
  static constexpr word may_write_bit = rsw0;
  static constexpr word quiet_bits = hardware ? a | d : 0;

 protected:
  // Everything but whose the leaf is.
  [[nodiscard]] QUIRE_INLINE static constexpr attributes common_attributes_of(word entry) noexcept {
    permissions allowed = no_access;
    if ((entry & r) != 0) allowed = allowed | readable;
    if ((entry & w) != 0) allowed = allowed | writable;
    if ((entry & x) != 0) allowed = allowed | executable;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = (entry & pbmt_io) != 0   ? memory_type::device
                      : (entry & pbmt_nc) != 0 ? memory_type::non_cacheable
                                               : memory_type::normal,
            .accessed = (entry & a) != 0,
            .dirty = (entry & d) != 0,
            .software = software_of(entry)};
  }
  // `owner_of` gives the bits that say whose the leaf is, or an error.
  template <class OwnerOf>
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf_for(output_address output, const attributes& wanted,
                                                                    int level, int group, OwnerOf owner_of) noexcept {
    if (level < 0 || level >= Levels || !is_group_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(pages.leaf_bytes(level) << (has_groups ? group : 0))) return errc::unaligned;
    if (output.value >> (ppn_bits + 12) != 0) return errc::beyond_output;
    const result<word> allowed = rights_of(wanted.allowed);
    if (!allowed || wanted.software > most_software) return errc::unsupported_attribute;
    if (!has_types && wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    const result<word> owner = owner_of(wanted);
    if (!owner) return owner;
    return static_cast<word>(static_cast<word>(output.value >> 2) | v | *owner | *allowed |
                             (wanted.may_write ? rsw0 : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                             software_for(wanted.software) | (has_groups && group != 0 ? n | napot_pattern : 0) |
                             (wanted.memory == memory_type::device          ? pbmt_io
                              : wanted.memory == memory_type::non_cacheable ? pbmt_nc
                                                                            : 0));
  }
  // Reserved: bits 58..54 and those of the extensions that are not there, PBMT 3, W without R, N above level 0 or with
  // another pattern, PPN below the superpage; in a non-leaf D, A, U, N and PBMT. What G says there is the stage's.
  [[nodiscard]] static constexpr bool is_common_form(word entry, int level) noexcept {
    if ((entry & v) == 0) return true;
    if ((entry & static_cast<word>(~(ppn | low_bits | rsw_high | pbmt_nc | pbmt_io | n))) != 0) return false;
    if ((entry & rights) == 0) return level > 0 && (entry & (u | a | d | n | pbmt_nc | pbmt_io)) == 0;
    if ((entry & (r | w)) == w) return false;
    if (has_types && (entry & (pbmt_nc | pbmt_io)) == (pbmt_nc | pbmt_io)) return false;
    if ((entry & n) != 0) return level == 0 && (entry & napot_pattern_bits) == napot_pattern;
    return output_of(entry, level).is_aligned(pages.leaf_bytes(level));
  }

 private:
  static constexpr word low_bits = 0x3ff;  // RSW to V
  // "x xxxx 1000" in PPN[0]
  static constexpr word napot_pattern = bit(10 + group_bits - 1), napot_pattern_bits = bit(10 + group_bits) - bit(10);

  [[nodiscard]] static constexpr bool is_group_size(int level, int group) noexcept {
    return group == 0 || (has_groups && level == 0 && group == group_bits);
  }
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> rights_of(permissions allowed) noexcept {
    if (allowed == no_access) return errc::unsupported_attribute;
    if (allowed.contains(writable) && !allowed.contains(readable)) return errc::unsupported_attribute;
    return static_cast<word>((allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | rsw0 : 0) |
                             (allowed.contains(executable) ? x : 0));
  }
  [[nodiscard]] QUIRE_INLINE static constexpr std::uint8_t software_of(word entry) noexcept {
    const auto low = static_cast<std::uint8_t>((entry & rsw1) != 0);
    if constexpr (rsw_high == 0) return low;
    else return static_cast<std::uint8_t>(low | ((entry & rsw_high) >> 59) << 1);
  }
  [[nodiscard]] QUIRE_INLINE static constexpr word software_for(std::uint8_t software) noexcept {
    const word low = (software & 1U) != 0 ? rsw1 : 0;
    if constexpr (rsw_high == 0) return low;
    else return low | word{static_cast<unsigned>(software) >> 1U} << 59;
  }
};

}  // namespace quire::riscv

// ---- quire/format/riscv_gstage.hpp --------------------------------------------------------------

// RISC-V G-stage (second stage) tables: Sv32x4, Sv39x4, Sv48x4 and Sv57x4.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Two-Stage Address Translation" of the hypervisor extension;
// entries are those of riscv_entry.hpp. The root has 2 more index bits, so it takes 16 KiB and is aligned to that;
// guest-physical addresses have 34, 41, 50 or 59 bits.
//
// The G-stage checks each access as a user access: every leaf has U. "The G bit in all G-stage PTEs is currently not
// used": it makes an entry with V clear `locked`.

namespace quire::riscv {

template <int Levels, extensions Extensions = extensions{}>
struct gstage : entry_layout<Levels, Extensions> {
 protected:
  using layout = entry_layout<Levels, Extensions>;
  using layout::v, layout::u, layout::g, layout::a, layout::d, layout::rights;

 public:
  using typename layout::word;
  static constexpr geometry<Levels> shape = layout::shape_with(2);
  static constexpr format_facts facts = layout::facts_with(false);

  // The table first, by one comparison of the low byte: it is what a descent asks for. D, A and U are reserved in a
  // non-leaf, and no table is written with G (but see foreign_gstage); so V without R, W, X and with one of those, or
  // at level 0, maps nothing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && static_cast<std::uint8_t>(entry) == v) return entry_kind::table;
    if ((entry & v) != 0) return (entry & rights) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & g) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    return layout::common_attributes_of(entry);
  }
  // A leaf without U faults always; G "must be ignored by hardware".
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    return layout::is_common_form(entry, level) && ((entry & v) == 0 || (entry & rights) == 0 || (entry & u) != 0);
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    return layout::leaf_for(output, wanted, level, group, [](const attributes& whose) -> result<word> {
      if (whose.from != privilege::any || whose.global) return errc::unsupported_attribute;
      return u;
    });
  }
  static constexpr word locked = g | d;  // no leaf has D alone, no table has D
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & static_cast<word>(~v)) | g; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & static_cast<word>(~g)) | v;
  }
};

// The same, to read tables that others made: a table entry with G leads to its table, as it does for the hardware. That
// costs an instruction a level where tables of one's own need none.
template <class Gstage>
struct foreign_gstage : Gstage {
  using typename Gstage::word;

  // One less takes V away and leaves the rest, or borrows from it.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    const word not_table = Gstage::v | Gstage::rights | Gstage::u | Gstage::a | Gstage::d;
    if (level > 0 && ((entry - 1) & not_table) == 0) return entry_kind::table;
    return Gstage::kind_of(entry, level);
  }
};

using sv32x4 = gstage<2>;
using sv39x4 = gstage<3>;
using sv48x4 = gstage<4>;
using sv57x4 = gstage<5>;

static_assert(pte_format<sv32x4> && pte_format<sv39x4> && pte_format<sv48x4> && pte_format<sv57x4>);
static_assert(pte_format<gstage<3, extensions{.svadu = true, .svnapot = true, .svrsw60t59b = true, .svvptc = true}>>);
static_assert(pte_format<foreign_gstage<sv39x4>>);
static_assert(sv32x4::shape.input_bits() == 34 && sv39x4::shape.input_bits() == 41 &&
              sv48x4::shape.input_bits() == 50 && sv57x4::shape.input_bits() == 59);
static_assert(root_table_bytes<sv32x4> == 16384 && root_table_bytes<sv39x4> == 16384 &&
              root_table_bytes<sv48x4> == 16384 && root_table_bytes<sv57x4> == 16384);
static_assert(table_unit_bytes<sv32x4> == 4096 && table_unit_bytes<sv39x4> == 4096);
static_assert(sv39x4::shape.leaf_bytes(1) == 0x20'0000 && sv39x4::shape.leaf_bytes(2) == 0x4000'0000);
static_assert(sv32x4::shape.leaf_bytes(1) == 0x40'0000);
static_assert(*sv39x4::leaf(output_address{0x8020'0000}, {.allowed = all_access, .may_write = true, .dirty = true},
                            1) == ((0x8020'0000ULL >> 2) | 0x1df));
static_assert(sv39x4::table(table_address{0x8000'1000}, 1) == 0x2000'0401);
static_assert(!sv39x4::leaf(output_address{0}, {.allowed = writable}, 0));

}  // namespace quire::riscv

// ---- quire/format/riscv_stage1.hpp --------------------------------------------------------------

// RISC-V stage 1 tables, of a supervisor or of a guest's supervisor (VS-stage): Sv32, Sv39, Sv48 and Sv57.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Sv32", "Sv39", "Sv48", "Sv57"; entries are those of
// riscv_entry.hpp. Virtual addresses of Sv39 and above repeat their top bit; those of Sv32 are all of 32 bits.
//
// U says whose a leaf is: set, the user's; clear, the supervisor's. Nobody else may use it, but for the supervisor's
// loads and stores while sstatus.SUM is set; so privilege::any cannot be encoded, and whoever maps says for whom. G is
// attributes::global. In a table entry it makes everything below global, whatever the leaves say: such a table is
// walked, and none is written.
//
// An entry with V clear is `locked` if one of R, W, X is set: a leaf keeps its own, and a table gets W, which no leaf
// has alone ("W without R is reserved").

namespace quire::riscv {

template <int Levels, extensions Extensions = extensions{}>
struct stage1 : entry_layout<Levels, Extensions> {
 private:
  using layout = entry_layout<Levels, Extensions>;
  using layout::v, layout::w, layout::u, layout::g, layout::a, layout::d, layout::rights;

 public:
  using typename layout::word;
  static constexpr geometry<Levels> shape = layout::shape_with(0);
  static constexpr format_facts facts = layout::facts_with(Levels != 2);

  // The table first, it is what a descent asks for: one less takes V away and leaves the other bits, or borrows from
  // them. D, A and U are reserved in a non-leaf; so V without R, W, X and with one of those, or at level 0, maps
  // nothing.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && ((entry - 1) & (v | rights | u | a | d)) == 0) return entry_kind::table;
    if ((entry & v) != 0) return (entry & rights) != 0 ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & rights) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    attributes seen = layout::common_attributes_of(entry);
    seen.from = (entry & u) != 0 ? privilege::user : privilege::supervisor;
    seen.global = (entry & g) != 0;
    return seen;
  }
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    return layout::is_common_form(entry, level);
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    return layout::leaf_for(output, wanted, level, group, [](const attributes& whose) -> result<word> {
      if (whose.from == privilege::any) return errc::unsupported_attribute;
      return (whose.from == privilege::user ? u : 0) | (whose.global ? g : 0);
    });
  }
  static constexpr word locked = w | d;  // no table has D
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & static_cast<word>(~v)) | ((live & rights) == 0 ? w : 0);
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & static_cast<word>((locked_entry & rights) == w ? ~w : ~word{0})) | v;
  }
};

using sv32 = stage1<2>;
using sv39 = stage1<3>;
using sv48 = stage1<4>;
using sv57 = stage1<5>;

static_assert(pte_format<sv32> && pte_format<sv39> && pte_format<sv48> && pte_format<sv57>);
static_assert(sv32::shape.input_bits() == 32 && sv39::shape.input_bits() == 39 && sv48::shape.input_bits() == 48 &&
              sv57::shape.input_bits() == 57);
static_assert(root_table_bytes<sv32> == 4096 && root_table_bytes<sv39> == 4096 && root_table_bytes<sv57> == 4096);
static_assert(!sv32::facts.sign_extended && sv39::facts.sign_extended);
static_assert(*sv39::leaf(output_address{0x8020'0000},
                          {.allowed = read_execute, .from = privilege::supervisor, .global = true},
                          1) == ((0x8020'0000ULL >> 2) | 0x6b));
static_assert(!sv39::leaf(output_address{0}, {.allowed = read_execute}, 0));

}  // namespace quire::riscv

// ---- quire/atomic.hpp ---------------------------------------------------------------------------

// Atomic access to plain words. libstdc++'s <atomic> does not compile with clang and -mgeneral-regs-only, and entries
// are words of memory that nobody constructed; so the compiler's builtins are wrapped here, and nowhere else.

namespace quire {

enum class order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
  seq_cst = __ATOMIC_SEQ_CST,
};

namespace atomic {

template <class T>
[[nodiscard]] QUIRE_INLINE T load(const T* from, order o) noexcept {
  return __atomic_load_n(from, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE void store(T* to, T value, order o) noexcept {
  __atomic_store_n(to, value, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T exchange(T* at, T value, order o) noexcept {
  return __atomic_exchange_n(at, value, static_cast<int>(o));
}
// GCC before 14 makes of RISC-V's exchange a pair of lr and sc that releases nothing unless the order of failure does,
// which none may: seen in what GCC 12 makes; later ones take both orders together.
#if defined __riscv && defined __GNUC__ && !defined __clang__ && __GNUC__ < 14
inline constexpr bool exchange_lacks_release = true;
#else
inline constexpr bool exchange_lacks_release = false;
#endif
// On failure `expected` becomes what was read (relaxed: the caller decides anew from it).
template <class T>
[[nodiscard]] QUIRE_INLINE bool compare_exchange(T* at, T& expected, T desired, order o) noexcept {
  if constexpr (exchange_lacks_release) {
    if (o == order::seq_cst) __atomic_thread_fence(__ATOMIC_SEQ_CST);
    else if (o == order::release || o == order::acq_rel) __atomic_thread_fence(__ATOMIC_RELEASE);
  }
  return __atomic_compare_exchange_n(at, &expected, desired, false, static_cast<int>(o), __ATOMIC_RELAXED);
}
template <class T>
QUIRE_INLINE T fetch_and(T* at, T mask, order o) noexcept {
  return __atomic_fetch_and(at, mask, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T fetch_or(T* at, T mask, order o) noexcept {
  return __atomic_fetch_or(at, mask, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T fetch_add(T* at, T amount, order o) noexcept {
  return __atomic_fetch_add(at, amount, static_cast<int>(o));
}
QUIRE_INLINE constexpr void fence(order o) noexcept {
  if (!std::is_constant_evaluated()) __atomic_thread_fence(static_cast<int>(o));
}

}  // namespace atomic
}  // namespace quire

// ---- quire/policy/memory.hpp --------------------------------------------------------------------

// Memory policy: from a table's address to its entries. Every read and write of an entry goes through it.
//
// Requires of a policy, for Word = 32- and 64-bit unsigned: load, store, exchange, compare_exchange, fetch_and and
// fetch_or of entry `index` of `table`, each a single atomic access with the order given (compare_exchange: strong, on
// failure `expected` becomes what was read).
//
// Optional run capability: own(table, first, n) gives the words themselves, written(table, first, n) closes the access.
// Plain accesses vectorise and relaxed atomics do not (5 instructions an entry against 1). The caller's side of the
// bargain: it is legal on a table nobody else can reach, and on a live one only for an exclusive holder, over entries
// that the hardware does not write, with no software walker beside it. Without the capability (a policy that lacks it,
// or QUIRE_NO_RUN_CAPABILITY for thread sanitizers) every operation works word by word.

namespace quire {

template <class M, class Word>
concept memory_policy = requires(M& m, table_address table, std::size_t index, Word word, Word& expected, order o) {
  { m.template load<Word>(table, index, o) } -> std::same_as<Word>;
  { m.template store<Word>(table, index, word, o) } -> std::same_as<void>;
  { m.template exchange<Word>(table, index, word, o) } -> std::same_as<Word>;
  { m.template compare_exchange<Word>(table, index, expected, word, o) } -> std::same_as<bool>;
  { m.template fetch_and<Word>(table, index, word, o) } -> std::same_as<Word>;
  { m.template fetch_or<Word>(table, index, word, o) } -> std::same_as<Word>;
};

#ifdef QUIRE_NO_RUN_CAPABILITY
template <class M, class Word>
concept run_memory = false;
#else
template <class M, class Word>
concept run_memory = memory_policy<M, Word> && requires(M& m, table_address table, std::size_t n) {
  { m.template own<Word>(table, n, n) } -> std::same_as<Word*>;
  { m.template written<Word>(table, n, n) } -> std::same_as<void>;
};
#endif

// How a loop holds a memory policy: a small, plain one by value, so that nothing of it is read again after every store.
template <class M>
using memory_in_loop =
    std::conditional_t<std::is_trivially_copyable_v<M> && sizeof(M) <= 2 * sizeof(void*), const M, M&>;

namespace detail {

// Accesses to tables that the CPU sees at Memory::displacement() bytes from their address.
template <class Memory>
class displaced_words {
 public:
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word load(table_address t, std::size_t i, order o) const noexcept {
    return atomic::load(at<Word>(t, i), o);
  }
  template <class Word>
  QUIRE_INLINE void store(table_address t, std::size_t i, Word w, order o) const noexcept {
    atomic::store(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word exchange(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::exchange(at<Word>(t, i), w, o);
  }
  template <class Word>
  [[nodiscard]] QUIRE_INLINE bool compare_exchange(table_address t, std::size_t i, Word& e, Word w,
                                                   order o) const noexcept {
    return atomic::compare_exchange(at<Word>(t, i), e, w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_and(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::fetch_and(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_or(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::fetch_or(at<Word>(t, i), w, o);
  }
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word* own(table_address t, std::size_t first, std::size_t) const noexcept {
    return at<Word>(t, first);
  }
  template <class Word>
  QUIRE_INLINE void written(table_address, std::size_t, std::size_t) const noexcept {}

 private:
  friend Memory;
  displaced_words() = default;

  // The table source handed the address out, aligned for entries; what lies there is an array of Word.
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word* at(table_address t, std::size_t i) const noexcept {
    const std::uint64_t displacement = static_cast<const Memory&>(*this).displacement();
    return reinterpret_cast<Word*>(static_cast<std::uintptr_t>(t.value + displacement)) + i;
  }
};

}  // namespace detail

// A direct map whose displacement is known when the kernel has started.
class direct_memory : public detail::displaced_words<direct_memory> {
 public:
  constexpr direct_memory() = default;
  constexpr explicit direct_memory(std::uint64_t displacement) noexcept : displacement_(displacement) {}
  [[nodiscard]] constexpr std::uint64_t displacement() const noexcept { return displacement_; }

 private:
  std::uint64_t displacement_ = 0;
};

// One that the compiler knows: an addition less for every level that is gone down, and a load less for every call.
template <std::uint64_t Displacement>
class direct_memory_at : public detail::displaced_words<direct_memory_at<Displacement>> {
 public:
  constexpr direct_memory_at() = default;
  [[nodiscard]] static constexpr std::uint64_t displacement() noexcept { return Displacement; }
};
using identity_memory = direct_memory_at<0>;

static_assert(memory_policy<identity_memory, std::uint64_t> && memory_policy<identity_memory, std::uint32_t>);
static_assert(memory_policy<direct_memory, std::uint64_t> && memory_policy<direct_memory, std::uint32_t>);

}  // namespace quire

// ---- quire/policy/array_memory.hpp --------------------------------------------------------------

// Tables in an array of words: for constant evaluation, tests and simulators. A table's address is its byte offset in
// the array plus a base that the user chooses (not 0, so that no table lies at address 0).

namespace quire {

// Memory policy over words that the user owns. In constant evaluation accesses are plain, at run time atomic.
template <class Word>
class array_memory {
 public:
  constexpr array_memory(Word* words, std::size_t count, std::uint64_t base) noexcept
      : words_(words), count_(count), base_(base) {}

  template <class W>
  [[nodiscard]] constexpr W load(table_address t, std::size_t i, order o) const noexcept {
    if (std::is_constant_evaluated()) return *at<W>(t, i);
    return atomic::load(at<W>(t, i), o);
  }
  template <class W>
  constexpr void store(table_address t, std::size_t i, W w, order o) const noexcept {
    if (std::is_constant_evaluated()) *at<W>(t, i) = w;
    else atomic::store(at<W>(t, i), w, o);
  }
  template <class W>
  constexpr W exchange(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::exchange(at<W>(t, i), w, o);
    const W old = *at<W>(t, i);
    *at<W>(t, i) = w;
    return old;
  }
  template <class W>
  [[nodiscard]] constexpr bool compare_exchange(table_address t, std::size_t i, W& e, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::compare_exchange(at<W>(t, i), e, w, o);
    const W old = *at<W>(t, i);
    if (old == e) *at<W>(t, i) = w;
    const bool done = old == e;
    e = old;
    return done;
  }
  template <class W>
  constexpr W fetch_and(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_and(at<W>(t, i), w, o);
    return exchange<W>(t, i, static_cast<W>(*at<W>(t, i) & w), o);
  }
  template <class W>
  constexpr W fetch_or(table_address t, std::size_t i, W w, order o) const noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_or(at<W>(t, i), w, o);
    return exchange<W>(t, i, static_cast<W>(*at<W>(t, i) | w), o);
  }
  template <class W>
  [[nodiscard]] constexpr W* own(table_address t, std::size_t first, std::size_t) const noexcept {
    return at<W>(t, first);
  }
  template <class W>
  constexpr void written(table_address, std::size_t, std::size_t) const noexcept {}

 private:
  template <class W>
  [[nodiscard]] constexpr W* at(table_address t, std::size_t i) const noexcept {
    static_assert(sizeof(W) == sizeof(Word));
    const std::size_t word = static_cast<std::size_t>((t.value - base_) / sizeof(Word)) + i;
    QUIRE_EXPECTS(t.value >= base_ && word < count_);
    return words_ + word;
  }

  Word* words_;
  std::size_t count_;
  std::uint64_t base_;
};

static_assert(memory_policy<array_memory<std::uint64_t>, std::uint64_t>);

}  // namespace quire

// ---- quire/policy/observed_memory.hpp -----------------------------------------------------------

// Memory policy that tells an observer of every access: recorders, counters, oracles, schedulers.
//
// The observer gets loaded(table, index, word), stored(table, index, before, after) and owned(table, first, n,
// written), and before(kind) in front of every access: the place where a test lets another actor run. It has no run
// capability of its own unless `Runs` says so, because plain accesses cannot be seen one by one.

namespace quire {

enum class access_kind : unsigned char { load, store, exchange, compare_exchange, fetch_and, fetch_or, own };

// An observer that does nothing: derive from it and hide what is of interest.
struct memory_observer {
  constexpr void before(access_kind) noexcept {}
  template <class Word>
  constexpr void loaded(table_address, std::size_t, Word) noexcept {}
  template <class Word>
  constexpr void stored(table_address, std::size_t, Word /*before*/, Word /*after*/, order) noexcept {}
  constexpr void owned(table_address, std::size_t /*first*/, std::size_t /*n*/) noexcept {}
};

template <class Base, class Observer, bool Runs = false>
class observed_memory {
 public:
  constexpr observed_memory(Base base, Observer* observer) noexcept : base_(base), observer_(observer) {}

  template <class Word>
  [[nodiscard]] constexpr Word load(table_address t, std::size_t i, order o) const noexcept {
    observer_->before(access_kind::load);
    const Word word = base_.template load<Word>(t, i, o);
    observer_->loaded(t, i, word);
    return word;
  }
  template <class Word>
  constexpr void store(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::store);
    // An exchange, so that the observer sees what a plain store overwrote.
    observer_->stored(t, i, base_.template exchange<Word>(t, i, w, o == order::release ? order::acq_rel : o), w, o);
  }
  template <class Word>
  constexpr Word exchange(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::exchange);
    const Word old = base_.template exchange<Word>(t, i, w, o);
    observer_->stored(t, i, old, w, o);
    return old;
  }
  template <class Word>
  [[nodiscard]] constexpr bool compare_exchange(table_address t, std::size_t i, Word& e, Word w,
                                                order o) const noexcept {
    observer_->before(access_kind::compare_exchange);
    const Word expected = e;
    if (!base_.template compare_exchange<Word>(t, i, e, w, o)) return false;
    observer_->stored(t, i, expected, w, o);
    return true;
  }
  template <class Word>
  constexpr Word fetch_and(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::fetch_and);
    const Word old = base_.template fetch_and<Word>(t, i, w, o);
    observer_->stored(t, i, old, static_cast<Word>(old & w), o);
    return old;
  }
  template <class Word>
  constexpr Word fetch_or(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::fetch_or);
    const Word old = base_.template fetch_or<Word>(t, i, w, o);
    observer_->stored(t, i, old, static_cast<Word>(old | w), o);
    return old;
  }
  template <class Word>
  [[nodiscard]] constexpr Word* own(table_address t, std::size_t first, std::size_t n) const noexcept
    requires(Runs && run_memory<Base, Word>)
  {
    observer_->before(access_kind::own);
    observer_->owned(t, first, n);
    return base_.template own<Word>(t, first, n);
  }
  template <class Word>
  constexpr void written(table_address t, std::size_t first, std::size_t n) const noexcept
    requires(Runs && run_memory<Base, Word>)
  {
    base_.template written<Word>(t, first, n);
  }

 private:
  Base base_;
  Observer* observer_;
};

static_assert(memory_policy<observed_memory<direct_memory, memory_observer>, std::uint64_t>);

}  // namespace quire

// ---- quire/policy/foreign_memory.hpp ------------------------------------------------------------

// Foreign memory: tables that we did not build and do not trust, read only. A guest's own tables, a dump.
//
// Where a table of ours lies is a promise; where a foreign one says it lies is a number that anybody may have written.
// So this policy may fail, and that is all that sets it apart from the load of memory.hpp.
//
// Requires, for Word = 32- and 64-bit unsigned: load<Word>(table, index) gives entry `index` of the table at `table`,
// or nothing where it is not all there. It answers for every address and index without reading out of bounds, and
// without a step that overflows. Where others may write meanwhile (the guest runs), it reads the entry by one access.

namespace quire {

template <class M, class Word>
concept foreign_memory = requires(M& m, table_address table, std::size_t index) {
  { m.template load<Word>(table, index) } -> std::same_as<std::optional<Word>>;
};

// The bytes of a flat dump; byte 0 has the address `base`. The dump need not be aligned in our memory nor have the byte
// order of this machine.
class memory_dump {
 public:
  constexpr memory_dump(const std::byte* bytes, std::size_t count, std::uint64_t base,
                        std::endian byte_order = std::endian::little) noexcept
      : bytes_(bytes), count_(count), base_(base), byte_order_(byte_order) {}

  template <std::unsigned_integral Word>
  [[nodiscard]] constexpr std::optional<Word> load(table_address table, std::size_t index) const noexcept {
    // Compared as entries that fit: a product or a sum of hostile numbers could wrap into the dump.
    if (table.value < base_ || table.value - base_ > count_) return {};
    const std::size_t first = static_cast<std::size_t>(table.value - base_);
    if (index >= (count_ - first) / sizeof(Word)) return {};
    Word word = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
      const std::size_t at = byte_order_ == std::endian::little ? sizeof(Word) - 1 - i : i;  // the highest byte first
      word = static_cast<Word>((word << 8) | std::to_integer<Word>(bytes_[first + index * sizeof(Word) + at]));
    }
    return word;
  }

 private:
  const std::byte* bytes_;
  std::size_t count_;
  std::uint64_t base_;
  std::endian byte_order_;
};

static_assert(foreign_memory<memory_dump, std::uint64_t> && foreign_memory<memory_dump, std::uint32_t>);
static_assert(!foreign_memory<int, std::uint64_t>);

}  // namespace quire

// ---- quire/policy/table_source.hpp --------------------------------------------------------------

// Table source: where tables come from and go to.
//
// A table_source hands out tables below the root, all of one size, aligned to it. An operation first reserves what it
// may need, then takes: a take within a reservation cannot fail, and that is what makes operations all or nothing.
//   reserve(n)        true: at least n takes will succeed. May be called under the table's lock, so a source whose
//                     allocator may sleep answers from what it has in stock (table_cache.hpp) and is topped up outside.
//   take(contents)    a table, zeroed or not (when every entry will be written). An error when the stock is empty.
//   give_back(table)  a table that nobody can reach any more, contents undefined.
// A table_allocator stands behind it and also hands out roots; it may sleep:
//   allocate(bytes)   contiguous, aligned to `bytes`, zeroed.     free(table, bytes)

namespace quire {

enum class table_contents : unsigned char { zeroed, any };

template <class S>
concept table_source = requires(S& s, std::size_t n, table_address table, table_contents contents) {
  { s.reserve(n) } -> std::same_as<bool>;
  { s.take(contents) } -> std::same_as<result<table_address>>;
  { s.give_back(table) } -> std::same_as<void>;
};

template <class A>
concept table_allocator = requires(A& a, std::uint64_t bytes, table_address table) {
  { a.allocate(bytes) } -> std::same_as<result<table_address>>;
  { a.free(table, bytes) } -> std::same_as<void>;
};

// What page_table itself needs: tables, and a root.
template <class S>
concept root_source = table_source<S> && requires(S& s, std::uint64_t bytes, table_address table) {
  { s.take_root(bytes) } -> std::same_as<result<table_address>>;
  { s.give_back_root(table, bytes) } -> std::same_as<void>;
};

// A source may say roots_are_tables = true: a root as large as its tables is one of them, so that take() may give what
// give_back_root() gets, and the other way round. Tables that grow need it.
template <class S>
concept roots_are_tables = requires { requires S::roots_are_tables; };

// No tables at all: for operations that must not need any, and for tables that are only read.
struct no_tables {
  [[nodiscard]] constexpr bool reserve(std::size_t n) noexcept { return n == 0; }
  constexpr result<table_address> take(table_contents) noexcept { return errc::no_memory; }
  constexpr void give_back(table_address) noexcept {}
  constexpr result<table_address> take_root(std::uint64_t) noexcept { return errc::no_memory; }
  constexpr void give_back_root(table_address, std::uint64_t) noexcept {}
};

static_assert(root_source<no_tables> && !table_source<int>);

}  // namespace quire

// ---- quire/policy/constant_tables.hpp -----------------------------------------------------------

// Tables in one block of words whose physical address is a constant: for tables that the compiler builds.
//
//   | root              | table 0      | table 1      | ...
//     Base, aligned to    each of TableBytes
//     the larger size
//
// An entry holds a physical address, and no relocation can mend one; so Base is part of the type, and whoever links the
// block places it there. The block itself is nothing but the words: trivially copyable, aligned as its tables must be.
// array_memory over its words is the memory policy, block_tables the table source.

namespace quire {

template <class Word, std::uint64_t Base, std::uint64_t RootBytes, std::uint64_t TableBytes, std::size_t Tables>
struct alignas(RootBytes < TableBytes ? TableBytes : RootBytes) table_block {
  static constexpr std::uint64_t alignment = RootBytes < TableBytes ? TableBytes : RootBytes;
  static constexpr std::uint64_t first_table = (RootBytes + TableBytes - 1) / TableBytes * TableBytes;
  static constexpr std::size_t count = static_cast<std::size_t>((first_table + Tables * TableBytes) / sizeof(Word));
  static_assert(Base % alignment == 0 && Base != 0, "the physical address of the block must be aligned as its root");

  Word words[count]{};

  [[nodiscard]] static constexpr table_address root() noexcept { return table_address{Base}; }
  [[nodiscard]] static constexpr table_address table(std::size_t number) noexcept {
    return table_address{Base + first_table + number * TableBytes};
  }
  [[nodiscard]] static constexpr std::size_t number_of(table_address table) noexcept {
    return static_cast<std::size_t>((table.value - Base - first_table) / TableBytes);
  }
  [[nodiscard]] constexpr array_memory<Word> memory() noexcept { return {words, count, Base}; }
  friend constexpr bool operator==(const table_block&, const table_block&) noexcept = default;
};

// Hands out the root and the tables of a block, the lowest first. What is free is written here, not in the block.
template <class Block>
class block_tables;

template <class Word, std::uint64_t Base, std::uint64_t RootBytes, std::uint64_t TableBytes, std::size_t Tables>
class block_tables<table_block<Word, Base, RootBytes, TableBytes, Tables>> {
 public:
  using block_type = table_block<Word, Base, RootBytes, TableBytes, Tables>;

  constexpr explicit block_tables(block_type& block) noexcept : block_(&block) {}

  [[nodiscard]] constexpr std::size_t left() const noexcept { return Tables - used_ + given_back_; }
  [[nodiscard]] constexpr bool reserve(std::size_t n) const noexcept { return n <= left(); }
  constexpr result<table_address> take(table_contents contents) noexcept {
    if (left() == 0) return errc::no_memory;
    const bool fresh = given_back_ == 0;  // and still zero
    const table_address table = block_type::table(fresh ? used_++ : free_[--given_back_]);
    if (!fresh && contents == table_contents::zeroed) clear(table, TableBytes);
    return table;
  }
  constexpr void give_back(table_address table) noexcept { free_[given_back_++] = block_type::number_of(table); }
  constexpr result<table_address> take_root(std::uint64_t bytes) noexcept {
    QUIRE_EXPECTS(bytes == RootBytes && !has_root_);
    has_root_ = true;
    return block_type::root();
  }
  constexpr void give_back_root(table_address root, std::uint64_t bytes) noexcept {
    clear(root, bytes);
    has_root_ = false;
  }

 private:
  constexpr void clear(table_address table, std::uint64_t bytes) noexcept {
    Word* const first = block_->words + (table.value - Base) / sizeof(Word);
    for (std::size_t i = 0; i < bytes / sizeof(Word); ++i) first[i] = 0;
  }

  block_type* block_;
  std::size_t used_ = 0;  // the tables from this one on were never taken
  std::size_t given_back_ = 0;
  std::size_t free_[Tables == 0 ? 1 : Tables]{};
  bool has_root_ = false;
};

static_assert(root_source<block_tables<table_block<std::uint64_t, 0x4000, 0x4000, 0x1000, 2>>>);
static_assert(table_block<std::uint64_t, 0x4000, 0x4000, 0x1000, 2>::table(1) == table_address{0x9000});

}  // namespace quire

// ---- quire/policy/maintenance.hpp ---------------------------------------------------------------

// Maintenance policy: what the architecture wants done between a store to a table and its effect.
//
// Requires: four functions, called in this order around a change.
//   table_filled(table, bytes)   a table nobody can reach yet is complete; clean it for a walker that does not snoop
//                                caches. Called before the entry that links it is stored (with release order).
//   published()                  entries became visible to the hardware (arm64: dsb ishst). Once per operation.
//   before_invalidation()        stores to entries must be seen before the invalidation that follows (arm64: dsb ish).
//   code_visible(output, bytes)  memory is about to become executable through a leaf (instruction cache).

namespace quire {

template <class M>
concept maintenance_policy = requires(M& m, table_address table, output_address output, std::uint64_t bytes) {
  { m.table_filled(table, bytes) } -> std::same_as<void>;
  { m.published() } -> std::same_as<void>;
  { m.before_invalidation() } -> std::same_as<void>;
  { m.code_visible(output, bytes) } -> std::same_as<void>;
};

// Coherent walkers that order their own reads: nothing to do beyond the release stores.
struct no_maintenance {
  constexpr void table_filled(table_address, std::uint64_t) noexcept {}
  constexpr void published() noexcept {}
  constexpr void before_invalidation() noexcept {}
  constexpr void code_visible(output_address, std::uint64_t) noexcept {}
};

static_assert(maintenance_policy<no_maintenance> && !maintenance_policy<int>);

}  // namespace quire

// ---- quire/policy/table_cache.hpp ---------------------------------------------------------------

// A stock of tables, filled outside the lock and drawn from under it.
//
// The stock is a list threaded through the first word of the free tables themselves, so it needs no storage and has no
// capacity. One cache serves one context (a vCPU, the eager splitter): it has no lock of its own.

namespace quire {

// `Allocator` stays the owner of the memory and must outlive the cache; tables given back return to it at once.
// `Word` is any word that holds a table's address divided by its alignment. `Grows`: reserve() may itself allocate
// (boot, tests, user space); otherwise only top_up() does.
template <table_allocator Allocator, class Memory, class Word = std::uint64_t, bool Grows = false>
  requires memory_policy<Memory, Word>
class table_cache {
 public:
  static constexpr bool roots_are_tables = true;  // allocate() and free() do not tell them apart

  constexpr table_cache(Allocator* allocator, Memory memory, std::uint64_t table_bytes) noexcept
      : allocator_(allocator), memory_(memory), bytes_(table_bytes) {}
  table_cache(const table_cache&) = delete;
  table_cache& operator=(const table_cache&) = delete;
  constexpr table_cache(table_cache&& other) noexcept
      : allocator_(other.allocator_),
        memory_(other.memory_),
        bytes_(other.bytes_),
        top_(other.top_),
        stock_(other.stock_) {
    other.stock_ = 0;
  }
  table_cache& operator=(table_cache&&) = delete;
  constexpr ~table_cache() { drain(); }

  // Brings the stock to at least n tables; false (and what could be had stays in stock) when memory runs out. Not to
  // be called under a lock that the allocator may not be called under.
  [[nodiscard]] constexpr bool top_up(std::size_t n) noexcept {
    while (stock_ < n) {
      const auto table = allocator_->allocate(bytes_);
      if (!table) return false;
      push(*table);
    }
    return true;
  }
  // Returns the whole stock to the allocator.
  constexpr void drain() noexcept {
    while (stock_ != 0) allocator_->free(pop(), bytes_);
  }
  [[nodiscard]] constexpr std::size_t stock() const noexcept { return stock_; }

  [[nodiscard]] constexpr bool reserve(std::size_t n) noexcept {
    if constexpr (Grows) return top_up(n);
    else return stock_ >= n;
  }
  // Tables in stock are zero but for the word that holds the list.
  constexpr result<table_address> take(table_contents) noexcept {
    if (stock_ == 0) return errc::no_memory;
    return pop();
  }
  constexpr void give_back(table_address table) noexcept { allocator_->free(table, bytes_); }
  constexpr result<table_address> take_root(std::uint64_t bytes) noexcept { return allocator_->allocate(bytes); }
  constexpr void give_back_root(table_address table, std::uint64_t bytes) noexcept { allocator_->free(table, bytes); }

 private:
  // Free tables are reachable by nobody else: relaxed order is enough.
  constexpr void push(table_address table) noexcept {
    QUIRE_EXPECTS(table.is_aligned(bytes_));
    memory_.template store<Word>(table, 0, static_cast<Word>(top_.value >> shift()), order::relaxed);
    top_ = table;
    ++stock_;
  }
  constexpr table_address pop() noexcept {
    const table_address table = top_;
    const Word next = memory_.template load<Word>(table, 0, order::relaxed);
    memory_.template store<Word>(table, 0, Word{0}, order::relaxed);
    top_ = table_address{static_cast<std::uint64_t>(next) << shift()};
    --stock_;
    return table;
  }
  [[nodiscard]] constexpr int shift() const noexcept { return std::countr_zero(bytes_); }

  Allocator* allocator_;
  [[no_unique_address]] Memory memory_;
  std::uint64_t bytes_;
  table_address top_{};
  std::size_t stock_ = 0;
};

}  // namespace quire

// ---- quire/invalidation_request.hpp -------------------------------------------------------------

// What changed in a table, as the translation caches are told: a value that whoever changes tables, whoever issues
// instructions and whoever checks them have in common.

namespace quire {

enum class invalidation_reason : unsigned char {
  installed,  // invalid -> valid; only where the format caches invalid entries
  relaxed,    // rights were added: the CPU that faults needs it, others may take one spurious fault
  reduced,    // rights, accessed or dirty were taken away
  resized,    // same translation in leaves of another size; only before something relies on the new size
  removed,    // the translation is gone, and what it led to may be given away
};

struct invalidation_request {
  input_address first;  // the first and the last byte whose translations changed
  input_address last;
  int level;       // of the leaves that changed; -1: unknown or mixed
  bool leaf_only;  // no table entry changed: caches of the upper levels may be kept
  invalidation_reason reason;

  friend constexpr bool operator==(const invalidation_request&, const invalidation_request&) = default;
};

}  // namespace quire

// ---- quire/policy/invalidation.hpp --------------------------------------------------------------

// Invalidation policy: telling the translation caches. An instance speaks for one table (its VMID, ASID or domain).
//
//   add(request)   issue it now or keep it; the caches need not have obeyed when it returns.
//   complete()     everything added so far is issued and obeyed by every CPU that could hold a translation.
//   local(request) rights were added: obeyed by the calling CPU when it returns. The one call that a session makes for
//                  a single page, so several CPUs may be in it at once, beside anything else.
// An operation adds what it changed, one request where it can, and none when nothing changed. A session completes
// before it lets go of its lock, and an operation that hands memory back, or breaks before it makes, completes by
// itself.
//
// A policy that keeps requests until complete() may keep them in the session: with a type `batch` each session has one,
// and the calls are add(batch, request) and complete(batch). Sessions of locking::concurrent are in add() and
// complete() at once; a policy for them says that this is right: reentrant = true.

namespace quire {

template <class I>
concept invalidation_at_large = requires(I& i, const invalidation_request& request) {
  { i.add(request) } -> std::same_as<void>;
  { i.local(request) } -> std::same_as<void>;
  { i.complete() } -> std::same_as<void>;
};
template <class I>
concept invalidation_in_batches = requires { typename I::batch; };

// Such a policy with the batch of one session.
template <invalidation_in_batches I>
struct with_batch {
  using batch_type = typename I::batch;
  I& policy;
  batch_type batch{};

  constexpr void add(const invalidation_request& request) noexcept
    requires requires(I& i, batch_type& b) { i.add(b, request); }
  {
    policy.add(batch, request);
  }
  constexpr void local(const invalidation_request& request) noexcept
    requires requires(I& i) { i.local(request); }
  {
    policy.local(request);
  }
  constexpr void complete() noexcept
    requires requires(I& i, batch_type& b) { i.complete(b); }
  {
    policy.complete(batch);
  }
};

// What a session has of a policy: the policy, or it and a batch.
template <class I>
struct session_part {
  using type = I&;
};
template <invalidation_in_batches I>
struct session_part<I> {
  using type = with_batch<I>;
};

template <class I>
using seen_by_session = std::remove_reference_t<typename session_part<I>::type>;

template <class I>
concept invalidation_policy = invalidation_at_large<seen_by_session<I>>;

// Whether sessions may be in add() and complete() at once.
template <class I>
inline constexpr bool is_reentrant = false;
template <class I>
  requires requires { I::reentrant; }
inline constexpr bool is_reentrant<I> = I::reentrant;

// For tables that no hardware walks.
struct no_invalidation {
  static constexpr bool reentrant = true;
  constexpr void add(const invalidation_request&) noexcept {}
  constexpr void local(const invalidation_request&) noexcept {}
  constexpr void complete() noexcept {}
};

// Merges everything into one covering request that goes to `Backend` on complete(). Backend: an invalidation policy
// without batches of its own.
template <invalidation_at_large Backend>
class batching_invalidation {
 public:
  static constexpr bool reentrant = is_reentrant<Backend>;

  class batch {
   public:
    [[nodiscard]] constexpr bool pending() const noexcept { return pending_; }

   private:
    friend batching_invalidation;
    invalidation_request merged_{};
    bool pending_ = false;
  };

  constexpr batching_invalidation() = default;
  constexpr explicit batching_invalidation(Backend backend) noexcept : backend_(backend) {}

  constexpr void add(batch& b, const invalidation_request& request) noexcept {
    if (!b.pending_) {
      b.merged_ = request;
      b.pending_ = true;
      return;
    }
    invalidation_request& merged = b.merged_;
    if (request.first < merged.first) merged.first = request.first;
    if (merged.last < request.last) merged.last = request.last;
    if (request.level != merged.level) merged.level = -1;
    merged.leaf_only = merged.leaf_only && request.leaf_only;
    if (merged.reason < request.reason) merged.reason = request.reason;
  }
  constexpr void complete(batch& b) noexcept {
    if (!b.pending_) return;
    backend_.add(b.merged_);
    backend_.complete();
    b.pending_ = false;
  }
  constexpr void local(const invalidation_request& request) noexcept { backend_.local(request); }
  [[nodiscard]] constexpr Backend& backend() noexcept { return backend_; }

 private:
  [[no_unique_address]] Backend backend_{};
};

static_assert(invalidation_policy<no_invalidation> && invalidation_policy<batching_invalidation<no_invalidation>>);
static_assert(!invalidation_policy<int>);

}  // namespace quire

// ---- quire/policy/reclaim.hpp -------------------------------------------------------------------

// Reclaim policy: what becomes of a table that was detached from the tree.
//
//   retire(source, table)   called once per table, after the invalidation that covers it has completed. The table must
//                           reach source.give_back() once no software walker can be inside it either.

namespace quire {

template <class R, class Source>
concept reclaim_policy = requires(R& r, Source& source, table_address table) {
  { r.retire(source, table) } -> std::same_as<void>;
};

// No software walker is ever beside a structural change: the table goes back at once.
struct immediate_reclaim {
  template <table_source Source>
  constexpr void retire(Source& source, table_address table) noexcept {
    source.give_back(table);
  }
};

// Keeps retired tables until collect(): for owners whose lockless readers end at a point the owner knows (a grace
// period). The list lives in the retired tables' second word; readers that are still inside see an entry that is not
// theirs to follow only if it reads as valid, so the link is shifted to leave the low bits (valid) clear.
template <class Memory, class Word = std::uint64_t>
  requires memory_policy<Memory, Word>
class deferred_reclaim {
 public:
  constexpr deferred_reclaim() = default;
  constexpr explicit deferred_reclaim(Memory memory) noexcept : memory_(memory) {}

  template <table_source Source>
  constexpr void retire(Source&, table_address table) noexcept {
    memory_.template store<Word>(table, 1, static_cast<Word>(top_.value), order::relaxed);
    top_ = table;
    ++waiting_;
  }
  // Gives back everything retired so far. Caller must: know that every reader begun before the last retire has ended.
  template <table_source Source>
  constexpr void collect(Source& source) noexcept {
    for (; waiting_ != 0; --waiting_) {
      const table_address table = top_;
      top_ = table_address{memory_.template load<Word>(table, 1, order::relaxed)};
      source.give_back(table);
    }
  }
  [[nodiscard]] constexpr std::size_t waiting() const noexcept { return waiting_; }

 private:
  [[no_unique_address]] Memory memory_{};
  table_address top_{};
  std::size_t waiting_ = 0;
};

static_assert(reclaim_policy<immediate_reclaim, no_tables> && !reclaim_policy<int, no_tables>);

}  // namespace quire

// ---- quire/policy/yield.hpp ---------------------------------------------------------------------

// Yield policy: whether a long operation should let go of its lock for a moment.
//
//   should_yield()   asked at bounded steps, under the lock.
//   pause()          called with the lock dropped: reschedule, top caches up.
// What happens around it is in one place, table/session.hpp.

namespace quire {

template <class Y>
concept yield_policy = requires(Y& y) {
  { y.should_yield() } -> std::same_as<bool>;
  { y.pause() } -> std::same_as<void>;
};

struct never_yield {
  [[nodiscard]] constexpr bool should_yield() noexcept { return false; }
  constexpr void pause() noexcept {}
};

// Yields at every n-th question; n == 1 exercises every yield point there is.
class yield_every {
 public:
  constexpr explicit yield_every(unsigned n) noexcept : n_(n) {}
  [[nodiscard]] constexpr bool should_yield() noexcept { return ++asked_ % n_ == 0; }
  constexpr void pause() noexcept { ++yields_; }
  [[nodiscard]] constexpr unsigned yields() const noexcept { return yields_; }

 private:
  unsigned n_;
  unsigned asked_ = 0;
  unsigned yields_ = 0;
};

static_assert(yield_policy<never_yield> && yield_policy<yield_every> && !yield_policy<int>);

}  // namespace quire

// ---- quire/policy/locking.hpp -------------------------------------------------------------------

// Locking policy: who may be at work on a table at the same time. The lock itself lives outside the table.
//
//   none                 one thread, or constant evaluation.
//   exclusive<Mutex>     one holder at a time; nobody else touches entries, but the hardware may (accessed, dirty).
//   shared<RwMutex>      the read side may add rights to, or age, one existing page leaf: compare-exchange on that
//                        entry and nothing else. Everything structural, every protection and every harvest is the write
//                        side.
//   concurrent<Section>  everything, by several at once, each in a read section: by compare-exchange, an entry locked
//                        where a cache may hold what it said, tables given back after all sections that may be inside
//                        them (table/concurrent/).
//
// Requires of Mutex: lock(), unlock(). Of RwMutex: also lock_shared(), unlock_shared(). Optional: is_contended(), asked
// by long operations at their yield points; assert_held(), called where a caller says that it already holds the lock.
//
// Requires of Section: enter(), leave(); pause(), called while a range operation waits for another's entry; and
// retire(links, source, table) for a table that is unlinked and forgotten by every cache: source.give_back(table) once
// all sections entered before have been left (epoch.hpp is one without an OS; `links` keeps lists of such tables).
//
// Two orders of dirty logging are a property of the policy: `dirty`, in which a fault marks a page and makes it
// writable, and `harvest`, in which the log is cleared and the pages are protected again. Of the four combinations each
// is right where `harvest_excludes_faults`, and the stock policies mark first there, so that who sees the write
// permission sees the mark. Without a lock between them one alone loses no page: make writable, then mark; clear, then
// protect. What is written before the mark is reported by the next harvest, so the last one must come when no fault is
// on its way. page_table refuses the other three (sound_dirty_orders).
//
// reader_order is what a session loads entries with. Relaxed under a lock: a table that a reader may find was published
// before the lock changed hands, or by the reader itself. Acquire without.

namespace quire {

template <class L>
concept lockable = requires(L& lock) {
  lock.lock();
  lock.unlock();
};
template <class L>
concept shared_lockable = lockable<L> && requires(L& lock) {
  lock.lock_shared();
  lock.unlock_shared();
};

template <class S>
concept read_section = requires(S& section) {
  section.enter();
  section.leave();
  section.pause();
};

enum class dirty_order : bool { mark_then_grant, grant_then_mark };
enum class harvest_order : bool { clear_then_protect, protect_then_clear };

namespace locking {

// What the policies with a lock have in common.
struct under_a_lock {
  static constexpr bool harvest_excludes_faults = true;
  static constexpr dirty_order dirty = dirty_order::mark_then_grant;
  static constexpr harvest_order harvest = harvest_order::clear_then_protect;
  static constexpr order reader_order = order::relaxed;
};

struct none : under_a_lock {
  using mutex = void;
  static constexpr bool has_read_side = false;
};

template <lockable Mutex>
struct exclusive : under_a_lock {
  using mutex = Mutex;
  static constexpr bool has_read_side = false;
};

template <shared_lockable RwMutex>
struct shared : under_a_lock {
  using mutex = RwMutex;
  static constexpr bool has_read_side = true;
};

template <read_section Section>
struct concurrent {
  using mutex = concurrent;  // nothing to lock
  using section = Section;
  static constexpr bool has_read_side = false;
  static constexpr bool harvest_excludes_faults = false;
  static constexpr dirty_order dirty = dirty_order::grant_then_mark;
  static constexpr harvest_order harvest = harvest_order::clear_then_protect;
  static constexpr order reader_order = order::acquire;
};

}  // namespace locking

template <class L>
concept locking_policy = requires {
  typename L::mutex;
  { L::has_read_side } -> std::convertible_to<bool>;
  { L::harvest_excludes_faults } -> std::convertible_to<bool>;
  { L::dirty } -> std::convertible_to<dirty_order>;
  { L::harvest } -> std::convertible_to<harvest_order>;
  { L::reader_order } -> std::convertible_to<order>;
};

// Whether no page is lost from the log. `loses_pages_on_purpose` is for a test that shows what the orders guard
// against.
template <class L>
concept sound_dirty_orders =
    L::harvest_excludes_faults ||
    (L::dirty == dirty_order::grant_then_mark && L::harvest == harvest_order::clear_then_protect) ||
    requires { typename L::loses_pages_on_purpose; };

template <class L>
concept concurrent_locking = locking_policy<L> && requires { typename L::section; };

// Whether the policy's read sections are of this type.
template <class S, class L>
concept section_of = concurrent_locking<L> && std::is_same_v<S, typename L::section>;

// Whether `Lock` is what the policy locks; void where it locks nothing.
template <class Lock, class L>
concept lock_of = std::is_same_v<Lock, typename L::mutex>;

// The lock of locking::none.
struct no_lock {
  constexpr void lock() noexcept {}
  constexpr void unlock() noexcept {}
};

// Says that the caller holds the lock already and keeps it.
struct already_held_t {};
inline constexpr already_held_t already_held{};

static_assert(locking_policy<locking::none> && sound_dirty_orders<locking::none> && !locking_policy<int>);

}  // namespace quire

// ---- quire/policy/shared_words.hpp --------------------------------------------------------------

// Shared words: the counters and flags that sessions share besides the entries of a table. How many sessions have taken
// rights away, the epoch, whether a log is on, whether the host's mapping is changing.
//
// Every access to one goes through this policy, so that a test can see and schedule it. Requires: load, store,
// fetch_add, compare_exchange (strong; on failure `expected` becomes what was read) of an unsigned word or a bool, each
// a single atomic access with the order given; fence.

namespace quire {

template <class S>
concept shared_words_policy = requires(const S& s, const std::uint64_t& seen, std::uint64_t& word, order o) {
  { s.load(seen, o) } -> std::same_as<std::uint64_t>;
  { s.store(word, seen, o) } -> std::same_as<void>;
  { s.fetch_add(word, seen, o) } -> std::same_as<std::uint64_t>;
  { s.compare_exchange(word, word, seen, o) } -> std::same_as<bool>;
  { s.fence(o) } -> std::same_as<void>;
};

struct direct_words {
  template <class T>
  [[nodiscard]] QUIRE_INLINE static constexpr T load(const T& from, order o) noexcept {
    if (std::is_constant_evaluated()) return from;
    return atomic::load(&from, o);
  }
  template <class T>
  QUIRE_INLINE static constexpr void store(T& to, T value, order o) noexcept {
    if (std::is_constant_evaluated()) to = value;
    else atomic::store(&to, value, o);
  }
  template <class T>
  QUIRE_INLINE static constexpr T fetch_add(T& at, T amount, order o) noexcept {
    if (!std::is_constant_evaluated()) return atomic::fetch_add(&at, amount, o);
    const T before = at;
    at = static_cast<T>(at + amount);
    return before;
  }
  template <class T>
  [[nodiscard]] QUIRE_INLINE static constexpr bool compare_exchange(T& at, T& expected, T desired, order o) noexcept {
    if (!std::is_constant_evaluated()) return atomic::compare_exchange(&at, expected, desired, o);
    const bool done = at == expected;
    if (done) at = desired;
    else expected = at;
    return done;
  }
  QUIRE_INLINE static constexpr void fence(order o) noexcept { atomic::fence(o); }
};

static_assert(shared_words_policy<direct_words> && !shared_words_policy<int>);

}  // namespace quire

// ---- quire/policy/epoch.hpp ---------------------------------------------------------------------

// epoch_reclaim: gives tables back once every read section that could be inside them has ended, without an OS.
//
//   epoch_reclaim domain{slots, count};          one slot for each thread that is in sections at the same time
//   epoch_section section{domain, 3};            a thread's own handle, for slot 3
//   table.concurrent(section)                    enters; its end leaves, then retires what it unlinked
//   section.collect(links, source)               gives back what may go; call it now and then, and at the end
//
// An epoch is an odd number, the next one two more; 0 says "in none". Who writes what: a slot is written by its owner
// alone, the epoch by whoever advances it (compare-exchange). A table waits in its owner's slot, on a list that is
// threaded through the waiting tables (`links`: links.set(table, next), links.next(table)).
//
// Why it is right. A reader announces the epoch e that it read, then fences; so whoever unlinks a table, fences, and
// then reads the epoch, reads e or a later one if the reader may have seen the table (a table is tagged with what was
// read). The epoch moves on only when every announced epoch is the present one. So while that reader is inside, the
// epoch is at most one step past the table's tag, and a table is given back only when it is two steps past it.
//
// Progress: entering, leaving and retiring never wait. Tables wait as long as the longest section.
//
// `Words`: the policy through which the epoch and the slots are reached (shared_words.hpp).

namespace quire {

// A list of tables through their own words.
struct table_list {
  table_address top{};
  std::size_t count = 0;

  template <class Links>
  constexpr void push(Links& links, table_address table) noexcept {
    links.set(table, top);
    top = table;
    ++count;
  }
  template <class Links>
  constexpr table_address pop(Links& links) noexcept {
    QUIRE_EXPECTS(count != 0);
    const table_address table = top;
    top = links.next(table);
    --count;
    return table;
  }
};

// One thread's part. Its own cache line: entering a section must not disturb other threads.
struct alignas(64) epoch_slot {
  std::uint64_t announced = 0;  // 0: outside
  struct {
    table_list tables;
    std::uint64_t epoch = 0;
  } waiting[3];
};

template <shared_words_policy Words>
class basic_epoch_section;

template <shared_words_policy Words>
class basic_epoch_reclaim {
 public:
  constexpr basic_epoch_reclaim(epoch_slot* slots, std::size_t count, Words words = {}) noexcept
      : slots_(slots), count_(count), words_(words) {}
  basic_epoch_reclaim(const basic_epoch_reclaim&) = delete;
  basic_epoch_reclaim& operator=(const basic_epoch_reclaim&) = delete;

  [[nodiscard]] std::uint64_t epoch() const noexcept { return words_.load(epoch_, order::acquire); }

  // One step, if no section stands in the way; gives the epoch then.
  std::uint64_t advance() noexcept {
    std::uint64_t now = epoch();
    words_.fence(order::seq_cst);
    for (std::size_t i = 0; i < count_; ++i) {
      // Acquire: what the section did is over before its tables are given back.
      const std::uint64_t announced = words_.load(slots_[i].announced, order::acquire);
      if (announced != 0 && announced != now) return now;
    }
    // Release: who reads the new epoch knows of the sections that were seen to be left. Acquire: of those others saw.
    if (words_.compare_exchange(epoch_, now, now + step, order::acq_rel)) return now + step;
    return now;
  }
  // Returns when every section that is open now has been left; pause() while one holds it up. Caller must: be in none.
  template <class Pause>
  void wait_for_sections(Pause&& pause) noexcept {
    words_.fence(order::seq_cst);  // what the caller did before is seen by every section that is not waited for
    std::uint64_t now = epoch();
    for (const std::uint64_t wanted = now + 2 * step; now < wanted;) {
      const std::uint64_t next = advance();
      if (next == now) pause();
      now = next;
    }
  }

 private:
  friend class basic_epoch_section<Words>;
  [[nodiscard]] epoch_slot& slot(std::size_t i) noexcept {
    QUIRE_EXPECTS(i < count_);
    return slots_[i];
  }

  static constexpr std::uint64_t step = 2;

  epoch_slot* slots_;
  std::size_t count_;
  [[no_unique_address]] Words words_;
  std::uint64_t epoch_ = 1;
};

// A thread's handle. Sections do not nest.
template <shared_words_policy Words>
class basic_epoch_section {
 public:
  basic_epoch_section(basic_epoch_reclaim<Words>& domain, std::size_t slot) noexcept
      : domain_(domain), mine_(domain.slot(slot)) {}

  QUIRE_INLINE void enter() noexcept {
    QUIRE_AUDIT(mine_.announced == 0);
    const Words& words = domain_.words_;
    // Relaxed: an old epoch holds the next ones back for longer, and the fence orders the rest.
    const std::uint64_t now = words.load(domain_.epoch_, order::relaxed);
    words.store(mine_.announced, now, order::relaxed);
    words.fence(order::seq_cst);  // announced before any entry is read
  }
  // Release: what was read inside was read before.
  QUIRE_INLINE void leave() noexcept { domain_.words_.store(mine_.announced, std::uint64_t{0}, order::release); }
  void pause() const noexcept {}

  // Requires: nothing leads to the table any more, no translation cache knows it, and the section was left.
  template <class Links, class Source>
  void retire(Links links, Source& source, table_address table) noexcept {
    domain_.words_.fence(order::seq_cst);  // unlinked before the epoch is read
    const std::uint64_t now = domain_.epoch();
    auto& bag = mine_.waiting[now / step % 3];
    if (bag.epoch != now) {  // three or more epochs old
      give_back(links, source, bag.tables);
      bag.epoch = now;
    }
    bag.tables.push(links, table);
  }
  // Gives back what nobody can be inside any more; gives how many still wait.
  template <class Links, class Source>
  std::size_t collect(Links links, Source& source) noexcept {
    const std::uint64_t now = domain_.advance();
    std::size_t left = 0;
    for (auto& bag : mine_.waiting) {
      if (bag.tables.count != 0 && bag.epoch + 2 * step <= now) give_back(links, source, bag.tables);
      left += bag.tables.count;
    }
    return left;
  }

 private:
  static constexpr std::uint64_t step = basic_epoch_reclaim<Words>::step;

  template <class Links, class Source>
  static void give_back(Links& links, Source& source, table_list& tables) noexcept {
    while (tables.count != 0) source.give_back(tables.pop(links));
  }

  basic_epoch_reclaim<Words>& domain_;
  epoch_slot& mine_;
};

using epoch_reclaim = basic_epoch_reclaim<direct_words>;
using epoch_section = basic_epoch_section<direct_words>;

}  // namespace quire

// ---- quire/policy/update.hpp --------------------------------------------------------------------

// Update policy: how a valid entry becomes a valid entry of another size or address.
//
//   direct              one store; the invalidation may come later.
//   break_before_make   entry -> locked, invalidate and wait, then the new entry. Up to `batch` entries of a table are
//                       broken together, so that one invalidation serves them all.
// A format that needs break-before-make refuses `direct` at compile time; a format that does not may still ask for it.
// A format whose faults cannot be retried (a device's) refuses break_before_make on a live table.

namespace quire::update {

struct direct {
  static constexpr bool breaks = false;
  static constexpr int batch = 1;
};

template <int Batch = 8>
struct break_before_make {
  static_assert(Batch >= 1 && Batch <= 64, "the new entries wait on the stack");
  static constexpr bool breaks = true;
  static constexpr int batch = Batch;
};

// The weakest policy that the format allows.
struct as_format_needs {
  static constexpr int batch = 8;
};

template <class U, class Format>
concept policy = requires {
  { U::batch } -> std::convertible_to<int>;
};

// Whether table changes of `Format` under `U` break before they make.
template <class U, class Format>
inline constexpr bool breaks = Format::facts.break_before_make;
template <class Format>
inline constexpr bool breaks<direct, Format> = false;
template <int Batch, class Format>
inline constexpr bool breaks<break_before_make<Batch>, Format> = true;

}  // namespace quire::update

// ---- quire/policy/policies.hpp ------------------------------------------------------------------

// All policies of a table in one struct. Derive from it and hide what differs; name the derived struct, and symbols
// stay short:
//
//   struct my_kernel : quire::policies {
//     using locking = quire::locking::shared<my_rwlock>;
//     my_tables tables;
//     my_shootdown invalidation;
//   };
//   quire::page_table<quire::riscv::sv39x4, my_kernel> guest{my_kernel{...}};
//
// (Inside such a struct `locking` and `update` name its own members: write quire::locking::, quire::update::.)

namespace quire {

struct policies {
  using locking = locking::none;
  using update = update::as_format_needs;
  [[no_unique_address]] direct_memory memory{};
  [[no_unique_address]] no_maintenance maintenance{};
  [[no_unique_address]] no_tables tables{};
  [[no_unique_address]] no_invalidation invalidation{};
  [[no_unique_address]] immediate_reclaim reclaim{};
  [[no_unique_address]] never_yield yield{};
  [[no_unique_address]] direct_words words{};
};

// One named concept per member, so that a mistake is reported by the name of what is missing.
template <class P, class Format>
concept has_memory = memory_policy<decltype(P::memory), typename Format::word>;
template <class P>
concept has_maintenance = maintenance_policy<decltype(P::maintenance)>;
// Both, though the second implies the first: what a table_source lacks is then said one step earlier.
template <class P>
concept has_tables = table_source<std::remove_reference_t<decltype(P::tables)>> &&
                     root_source<std::remove_reference_t<decltype(P::tables)>>;
// Spelled out, so that what a policy lacks is said one step earlier.
template <class P>
concept has_invalidation = invalidation_at_large<seen_by_session<std::remove_reference_t<decltype(P::invalidation)>>>;
template <class P>
concept has_reclaim =
    reclaim_policy<std::remove_reference_t<decltype(P::reclaim)>, std::remove_reference_t<decltype(P::tables)>>;
template <class P>
concept has_yield = yield_policy<std::remove_reference_t<decltype(P::yield)>>;
template <class P>
concept has_words = shared_words_policy<std::remove_reference_t<decltype(P::words)>>;
template <class P>
concept has_locking = locking_policy<typename P::locking>;
// Sessions that are at work at once are in the invalidation policy at once.
template <class P>
concept has_reentrant_invalidation =
    !concurrent_locking<typename P::locking> || is_reentrant<std::remove_reference_t<decltype(P::invalidation)>>;
template <class P>
concept has_sound_dirty_orders = sound_dirty_orders<typename P::locking>;
template <class P, class Format>
concept has_update = update::policy<typename P::update, Format> &&
                     (!Format::facts.break_before_make || update::breaks<typename P::update, Format>) &&
                     (Format::facts.faults_retry || !update::breaks<typename P::update, Format>);
// Sessions in sections lock the entries whose structure they change; until they are done the hardware faults there.
template <class P, class Format>
concept has_retried_faults = Format::facts.faults_retry || !concurrent_locking<typename P::locking>;

template <class P, class Format>
concept policies_for =
    has_memory<P, Format> && has_maintenance<P> && has_tables<P> && has_invalidation<P> && has_reclaim<P> &&
    has_yield<P> && has_words<P> && has_locking<P> && has_reentrant_invalidation<P> && has_sound_dirty_orders<P> &&
    has_update<P, Format> && has_retried_faults<P, Format>;

}  // namespace quire

// ---- quire/walk/flags.hpp -----------------------------------------------------------------------

// Walk flags: what a walk calls its visitor for. All of it is known at compile time; a flag that is off costs nothing.

namespace quire {

// What a walk does when a visitor says `retry`: the caller must choose.
enum class on_retry : unsigned char { unsaid, stop, go_on };

struct walk_flags {
  bool leaf = false;        // every entry that is not a table, absent ones included
  bool table_pre = false;   // a table entry, before its children
  bool table_post = false;  // a table entry, after its children
  bool shared = false;      // other software may change entries meanwhile: table entries are read with acquire order
  unsigned skipped = 0;     // bit n: entries of level n get no call of their own
  on_retry retry = on_retry::unsaid;

  friend constexpr walk_flags operator|(walk_flags a, walk_flags b) noexcept {
    return {a.leaf || b.leaf,     a.table_pre || b.table_pre, a.table_post || b.table_post,
            a.shared || b.shared, a.skipped | b.skipped,      a.retry == on_retry::unsaid ? b.retry : a.retry};
  }

  // The skip flag is asked before the kind of call: no other flag can bring a skipped level back.
  [[nodiscard]] constexpr bool skips(int level) const noexcept { return ((skipped >> level) & 1U) != 0; }
  [[nodiscard]] constexpr bool calls_leaf(int level) const noexcept { return !skips(level) && leaf; }
  [[nodiscard]] constexpr bool calls_pre(int level) const noexcept { return !skips(level) && level > 0 && table_pre; }
  [[nodiscard]] constexpr bool calls_post(int level) const noexcept { return !skips(level) && level > 0 && table_post; }
  // Whether any call is wanted at `level` or below it: a table whose entries would bring none is not stepped into.
  [[nodiscard]] constexpr bool wants(int level) const noexcept {
    for (int l = level; l >= 0; --l)
      if (calls_leaf(l) || calls_pre(l) || calls_post(l)) return true;
    return false;
  }
};

namespace walk_flag {
inline constexpr walk_flags leaf{.leaf = true};
inline constexpr walk_flags table_pre{.table_pre = true};
inline constexpr walk_flags table_post{.table_post = true};
inline constexpr walk_flags shared{.shared = true};
template <int Level>
inline constexpr walk_flags skip_level{.skipped = 1U << Level};
inline constexpr walk_flags stop_on_retry{.retry = on_retry::stop};
inline constexpr walk_flags go_on_after_retry{.retry = on_retry::go_on};
}  // namespace walk_flag

}  // namespace quire

// ---- quire/walk/walker.hpp ----------------------------------------------------------------------

// THE walker: one loop per level, the next level is the next instantiation.
//
//   walk<Flags, Format>(memory, root, range, visitor) -> error   (code none: the whole range was walked)
//
// A visitor takes runs. leaves(run) is given neighbouring entries [first, last] of one table, of a level known at
// compile time, and works through those that are not tables. It comes back when it is done, or at the first table it
// meets, or at an entry it turned into a table, and says which (run_stop). Table entries come one by one:
// table_pre(position) before the children, table_post(position) after them; both give an errc.
//
// Guarantees
// - Entries come in ascending order; an entry brings either leaves() or table_pre(), never both.
// - After a callback the entry is judged anew: what leaves() made a table is descended (and gets table_post, not
//   table_pre) unless nothing below it is wanted; what table_pre() made no table is not. In a shared walk it may have
//   been another who did that, so leaves() gets the entry after all.
// - A skipped level brings no calls of its own; deeper levels that are wanted are still reached. Where nothing below
//   is wanted the table is not read at all (Run::passes_tables then tells the visitor to step over tables itself),
//   but table_pre and table_post of the table entry still come.
// - errc::busy is "retry": per flag it ends the walk and is returned, or is swallowed and the walk goes on with the
//   entry as it then reads. Any other error ends the walk at once, without table_post for the tables above.
//
// Requires: range inside the geometry and free of defects (table/range.hpp checks), page aligned.

namespace quire {

// Where an entry is: its table, its index, and the input address of its first byte.
template <pte_format Format, int Level>
struct entry_position {
  static constexpr int level = Level;
  table_address table;
  std::size_t index;
  input_address address;
  typename Format::word entry;  // as it was read
};

// Neighbouring entries of one table. `base` is the input address of entry 0.
template <pte_format Format, int Level, bool PassesTables>
struct entry_run {
  using format = Format;
  static constexpr int level = Level;
  static constexpr bool passes_tables = PassesTables;
  table_address table;
  std::uint64_t base;
  std::size_t first;
  std::size_t last;

  [[nodiscard]] constexpr input_address address(std::size_t index) const noexcept {
    return input_address{base + (std::uint64_t{index} << Format::shape.shift(Level))};
  }
  [[nodiscard]] constexpr entry_run from(std::size_t index) const noexcept { return {table, base, index, last}; }
};

enum class stop_reason : unsigned char { done, at_table, made_table, retry, failed };

// Why leaves() came back; for at_table and made_table with the entry as it now reads, so it is not read twice.
template <class Word>
struct run_stop {
  stop_reason why = stop_reason::done;
  errc code = errc::none;
  std::size_t index = 0;
  Word entry = 0;

  [[nodiscard]] static constexpr run_stop done() noexcept { return {}; }
  [[nodiscard]] static constexpr run_stop at_table(std::size_t i, Word e) noexcept {
    return {stop_reason::at_table, errc::none, i, e};
  }
  [[nodiscard]] static constexpr run_stop made_table(std::size_t i, Word e) noexcept {
    return {stop_reason::made_table, errc::none, i, e};
  }
  [[nodiscard]] static constexpr run_stop retry(std::size_t i) noexcept {
    return {stop_reason::retry, errc::busy, i, 0};
  }
  [[nodiscard]] static constexpr run_stop failed(std::size_t i, errc code) noexcept {
    return {stop_reason::failed, code, i, 0};
  }
};

namespace detail {

template <walk_flags Flags, pte_format Format, class Memory, class Visitor>
struct walker {
  using word = typename Format::word;
  static constexpr order load_order = Flags.shared ? order::acquire : order::relaxed;

  Memory& memory;
  Visitor& visitor;

  template <int Level>
  static constexpr bool needs_tables = Level > 0 &&
                                       (Flags.calls_pre(Level) || Flags.calls_post(Level) || Flags.wants(Level - 1));

  [[nodiscard]] static constexpr bool ends_walk(errc code) noexcept {
    return code != errc::none && !(code == errc::busy && Flags.retry == on_retry::go_on);
  }

  // Where one entry holds the whole range, and the entry is a table that brings no call of its own, goes straight down;
  // the loops begin at the lowest table that holds the range. Arguments as for level().
  template <int Level>
  QUIRE_INLINE constexpr error start(table_address table, std::uint64_t base, std::uint64_t first, std::uint64_t last) {
    if constexpr (Level > 0 && Flags.wants(Level - 1) && !Flags.calls_pre(Level) && !Flags.calls_post(Level)) {
      constexpr int shift = Format::shape.shift(Level);
      constexpr std::uint64_t inside = (std::uint64_t{1} << shift) - 1;
      if ((first ^ last) >> shift == 0) [[likely]] {
        const std::size_t i = static_cast<std::size_t>(first >> shift);
        const word entry = memory.template load<word>(table, i, load_order);
        if (Format::kind_of(entry, Level) == entry_kind::table) [[likely]]
          return start<Level - 1>(Format::table_of(entry, Level), base + (std::uint64_t{i} << shift), first & inside,
                                  last & inside);
      }
    }
    return level<Level>(table, base, first, last);
  }

  // The table at `table` translates from input address `base`; [first, last] are the byte offsets in it to walk.
  template <int Level>
  constexpr error level(table_address table, std::uint64_t base, std::uint64_t first, std::uint64_t last) {
    constexpr int shift = Format::shape.shift(Level);
    constexpr std::uint64_t inside = (std::uint64_t{1} << shift) - 1;
    const std::size_t first_index = static_cast<std::size_t>(first >> shift);
    const std::size_t last_index = static_cast<std::size_t>(last >> shift);

    for (std::size_t i = first_index; i <= last_index; ++i) {
      word entry = 0;
      bool made = false;
      if constexpr (Flags.calls_leaf(Level)) {
        const entry_run<Format, Level, !needs_tables<Level>> run{table, base, i, last_index};
        const run_stop<word> stop = visitor.leaves(run);
        if (stop.why == stop_reason::done) break;
        i = stop.index;
        entry = stop.entry;
        made = stop.why == stop_reason::made_table;
        if (stop.why == stop_reason::failed) return at<Level>(stop.code, run.address(i));
        if (stop.why == stop_reason::retry) {
          if (ends_walk(errc::busy)) return at<Level>(errc::busy, run.address(i));
          if constexpr (!needs_tables<Level>) continue;
          entry = memory.template load<word>(table, i, load_order);
          if (Format::kind_of(entry, Level) != entry_kind::table) continue;
          made = true;
        }
      } else if constexpr (needs_tables<Level>) {
        entry = memory.template load<word>(table, i, load_order);
        if (Format::kind_of(entry, Level) != entry_kind::table) continue;
      }
      if constexpr (!needs_tables<Level>) continue;
      else {
        entry_position<Format, Level> position{table, i, input_address{base + (std::uint64_t{i} << shift)}, entry};
        if constexpr (Flags.calls_pre(Level)) {
          if (!made) {
            const errc said = visitor.table_pre(position);
            if (ends_walk(said)) return at<Level>(said, position.address);
            position.entry = memory.template load<word>(table, i, load_order);
            if (Format::kind_of(position.entry, Level) != entry_kind::table) {
              if constexpr (Flags.shared && Flags.calls_leaf(Level)) --i;  // another may have made a leaf of it
              continue;
            }
          }
        }
        if constexpr (Flags.wants(Level - 1)) {
          const error below =
              level<Level - 1>(Format::table_of(position.entry, Level), position.address.value,
                               i == first_index ? first & inside : 0, i == last_index ? last & inside : inside);
          if (below.code != errc::none) return below;
        }
        if constexpr (Flags.calls_post(Level)) {
          const errc said = visitor.table_post(position);
          if (ends_walk(said)) return at<Level>(said, position.address);
        }
      }
    }
    return {};
  }

  template <int Level>
  [[nodiscard]] static constexpr error at(errc code, input_address address) noexcept {
    return {code, static_cast<std::int8_t>(Level), address.value};
  }
};

}  // namespace detail

// Bits of an input address above the geometry say nothing (zero, or the sign): they are kept in reported addresses.
template <pte_format Format>
[[nodiscard]] constexpr std::uint64_t input_offset(input_address address) noexcept {
  return address.value & Format::shape.table_last_offset(Format::shape.root_level);
}

template <walk_flags Flags, pte_format Format, class Memory, class Visitor>
constexpr error walk(Memory& memory, table_address root, input_range range, Visitor&& visitor) {
  static_assert(Flags.retry != on_retry::unsaid,
                "say what a retry does: walk_flag::stop_on_retry or go_on_after_retry");
  constexpr int top = Format::shape.root_level;
  if constexpr (!Flags.wants(top)) return {};
  else {
    detail::walker<Flags, Format, Memory, std::remove_reference_t<Visitor>> w{memory, visitor};
    const std::uint64_t first = input_offset<Format>(range.first());
    return w.template start<top>(root, range.first().value - first, first, input_offset<Format>(range.last()));
  }
}

}  // namespace quire

// ---- quire/walk/entry_visitor.hpp ---------------------------------------------------------------

// A visitor of single entries, for those who do not want runs: leaf(position) for every entry that is not a table,
// table_pre(position) and table_post(position) as in walker.hpp, all giving an errc.

namespace quire {

// Adapts a visitor of entries to a visitor of runs. After each call the entry is read again, so a leaf() that made a
// table is seen to have made one. `Shared` as the walk's flag.
template <class Memory, class EntryVisitor, bool Shared = false>
class each_entry {
 public:
  constexpr each_entry(Memory& memory, EntryVisitor& visitor) noexcept : memory_(memory), visitor_(visitor) {}

  template <class Run>
  constexpr auto leaves(Run run) {
    using format = typename Run::format;
    using word = typename format::word;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = load<word>(run.table, i);
      if (format::kind_of(entry, Run::level) == entry_kind::table) {
        if constexpr (Run::passes_tables) continue;
        else return run_stop<word>::at_table(i, entry);
      }
      const errc said = visitor_.leaf(entry_position<format, Run::level>{run.table, i, run.address(i), entry});
      if (said == errc::busy) return run_stop<word>::retry(i);
      if (said != errc::none) return run_stop<word>::failed(i, said);
      if constexpr (Run::level > 0 && !Run::passes_tables) {
        const word now = load<word>(run.table, i);
        if (format::kind_of(now, Run::level) == entry_kind::table) return run_stop<word>::made_table(i, now);
      }
    }
    return run_stop<word>::done();
  }
  template <class Position>
  constexpr errc table_pre(const Position& position) {
    return visitor_.table_pre(position);
  }
  template <class Position>
  constexpr errc table_post(const Position& position) {
    return visitor_.table_post(position);
  }

 private:
  template <class Word>
  [[nodiscard]] constexpr Word load(table_address table, std::size_t i) {
    return memory_.template load<Word>(table, i, Shared ? order::acquire : order::relaxed);
  }

  Memory& memory_;
  EntryVisitor& visitor_;
};

}  // namespace quire

// ---- quire/table/foreign_finding.hpp ------------------------------------------------------------

// What can be wrong with a foreign table, and how far a walk of one may go and came.

namespace quire {

enum class foreign_defect : std::uint8_t {
  unreadable,     // the memory has no such entry; told once for neighbours that are all missing
  malformed,      // valid to the hardware, and faults because of its form (Format::is_well_formed)
  misplaced,      // a leaf or a table at a level that holds none, and one at another level
  cycle,          // a table entry that leads into a table on the way to itself
  torn_group,     // a leaf of a group whose entries do not agree, or are not all there; told once for neighbours
  beyond_output,  // a leaf or a table that reaches beyond the last output address
  out_of_budget,  // the walk ends before this entry
};

[[nodiscard]] constexpr const char* name_of(foreign_defect what) noexcept {
  switch (what) {
    case foreign_defect::unreadable: return "unreadable";
    case foreign_defect::malformed: return "malformed";
    case foreign_defect::misplaced: return "misplaced";
    case foreign_defect::cycle: return "cycle";
    case foreign_defect::torn_group: return "torn_group";
    case foreign_defect::beyond_output: return "beyond_output";
    case foreign_defect::out_of_budget: return "out_of_budget";
  }
  return "unknown";
}

struct foreign_finding {
  foreign_defect what;
  int level;
  input_address address;  // the first byte that the entry would translate
  table_address table;
  std::size_t index;
  std::uint64_t entry;  // as it was read; 0 where it was not

  friend constexpr bool operator==(const foreign_finding&, const foreign_finding&) noexcept = default;
};

struct foreign_bounds {
  std::uint64_t budget = ~std::uint64_t{0};  // entries to be asked for: shared tables make a tree that is exponential
  output_address last_output{~std::uint64_t{0}};  // the last that exists, where that is less than an entry can hold
};

struct foreign_summary {
  std::uint64_t entries = 0;   // that were asked for
  std::uint64_t findings = 0;  // out_of_budget included
  bool complete = true;        // no: out of budget, and nothing from `unvisited` on was looked at
  input_address unvisited{};   // a walk of the rest of the range from here goes on
};

}  // namespace quire

// ---- quire/table/invalidator.hpp ----------------------------------------------------------------

// Where the operations of one session announce what they changed, and what it is a proof of that they did.

namespace quire {

// Says that every invalidation that its session had added is complete. Tables are retired for one of these only: no
// walker of the hardware and no translation cache leads into them any more.
class invalidated {
 private:
  template <class P>
  friend class invalidator;
  constexpr invalidated() noexcept = default;
};

// What a session knows of the invalidation policy: what it has added, and whether that is complete.
template <class P>
class invalidator {
  using policy_type = std::remove_reference_t<decltype(P::invalidation)>;
  static constexpr bool in_batches = invalidation_in_batches<policy_type>;

 public:
  QUIRE_INLINE constexpr explicit invalidator(P& policies) noexcept : invalidator(policies.invalidation, false) {}
  invalidator(const invalidator&) = delete;
  invalidator& operator=(const invalidator&) = delete;

  // For a function that is not inlined: a copy where that says all, so that an invalidator which nobody points to need
  // not be in memory. take_back() before anything else is done with the one it is of.
  [[nodiscard]] QUIRE_INLINE constexpr decltype(auto) lend() noexcept {
    if constexpr (in_batches) return static_cast<invalidator&>(*this);
    else return invalidator{*part_, owed_};
  }
  QUIRE_INLINE constexpr void take_back(const invalidator& lent) noexcept { owed_ = lent.owed_; }
  // The same for a session that has nothing else to keep over the call: takes where to announce from the copy as well,
  // so that no register need be saved for it.
  QUIRE_INLINE constexpr void go_on_as(const invalidator& lent) noexcept {
    if constexpr (!in_batches) part_ = lent.part_;
    take_back(lent);
  }

  // Whoever calls has told maintenance.before_invalidation() since the change.
  QUIRE_INLINE constexpr void add(const invalidation_request& request) noexcept {
    owed_ = true;
    part().add(request);
  }
  QUIRE_INLINE constexpr invalidated complete() noexcept {
    if (owed_) {
      owed_ = false;
      part().complete();
    }
    return {};
  }

 private:
  QUIRE_INLINE constexpr invalidator(policy_type& to, bool owed) noexcept : part_{kept(to)}, owed_(owed) {}

  using part_type = typename session_part<policy_type>::type;
  using kept_type = std::conditional_t<in_batches, part_type, std::remove_reference_t<part_type>*>;

  [[nodiscard]] QUIRE_INLINE static constexpr kept_type kept(policy_type& to) noexcept {
    if constexpr (in_batches) return {to};
    else return &to;
  }
  [[nodiscard]] QUIRE_INLINE constexpr auto& part() noexcept {
    if constexpr (in_batches) return part_;
    else return *part_;
  }

  kept_type part_;
  bool owed_ = false;
};

}  // namespace quire

// ---- quire/table/detached.hpp -------------------------------------------------------------------

// Tables that were unlinked and wait for the invalidation, without a heap.
//
// The list is threaded through the first two entries of each waiting table, as markers: a hardware walker that is still
// inside reads "not valid" there. What those two entries led to is put on the list as well, so nothing is lost; the
// rest of the subtree is read only when it is freed.

namespace quire {

template <pte_format Format>
class detached_tables {
  using word = typename Format::word;

 public:
  [[nodiscard]] constexpr bool empty() const noexcept { return count_ == 0; }

  // Requires: no table entry leads to `table` (of `Level`) any more.
  template <int Level, class Memory>
  constexpr void push(Memory& memory, table_address table) noexcept {
    const word first = memory.template load<word>(table, 0, order::relaxed);
    const word second = memory.template load<word>(table, 1, order::relaxed);
    memory.template store<word>(table, 0, Format::marker(top_.value >> Format::table_shift), order::relaxed);
    memory.template store<word>(table, 1, Format::marker(static_cast<unsigned>(Level)), order::relaxed);
    top_ = table;
    ++count_;
    if constexpr (Level > 0) {
      if (Format::kind_of(first, Level) == entry_kind::table) push<Level - 1>(memory, Format::table_of(first, Level));
      if (Format::kind_of(second, Level) == entry_kind::table) push<Level - 1>(memory, Format::table_of(second, Level));
    }
  }

  // Retires every waiting table and everything below it, now that the invalidation that covers them has completed.
  template <class Memory, class Reclaim, class Source>
  constexpr void release(invalidated, Memory& memory, Reclaim& reclaim, Source& source) noexcept {
    for (; count_ != 0; --count_) {
      const table_address table = top_;
      const word link = memory.template load<word>(table, 0, order::relaxed);
      const int level = static_cast<int>(Format::payload_of(memory.template load<word>(table, 1, order::relaxed)));
      top_ = table_address{Format::payload_of(link) << Format::table_shift};
      retire_of_level<Format::shape.root_level - 1>(level, memory, reclaim, source, table);
    }
  }

 private:
  template <int Level, class Memory, class Reclaim, class Source>
  static constexpr void retire_of_level(int level, Memory& memory, Reclaim& reclaim, Source& source,
                                        table_address table) noexcept {
    if constexpr (Level >= 0) {
      if (level == Level) retire_subtree<Level>(memory, reclaim, source, table);
      else retire_of_level<Level - 1>(level, memory, reclaim, source, table);
    }
  }
  template <int Level, class Memory, class Reclaim, class Source>
  static constexpr void retire_subtree(Memory& memory, Reclaim& reclaim, Source& source, table_address table) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        const word entry = memory.template load<word>(table, i, order::relaxed);
        if (Format::kind_of(entry, Level) == entry_kind::table)
          retire_subtree<Level - 1>(memory, reclaim, source, Format::table_of(entry, Level));
      }
    }
    reclaim.retire(source, table);
  }

  table_address top_{};
  std::size_t count_ = 0;
};

}  // namespace quire

// ---- quire/table/range.hpp ----------------------------------------------------------------------

// Is a range, or an address, one that a table can translate? Asked by every operation before it does anything.

namespace quire {

// Whether the bits above the geometry are what the format wants: zero, or copies of the top bit.
template <pte_format Format>
[[nodiscard]] constexpr bool is_translatable(input_address address) noexcept {
  constexpr int bits = Format::shape.input_bits();
  if constexpr (bits >= 64) return true;
  else if constexpr (Format::facts.sign_extended) {
    const std::uint64_t above = address.value >> (bits - 1);
    return above == 0 || above == ~std::uint64_t{0} >> (bits - 1);
  } else {
    // Asked of the root's index, which a descent needs next.
    constexpr int root = Format::shape.root_level;
    return address.value >> Format::shape.shift(root) < Format::shape.entries(root);
  }
}

// Whether a page that a table can translate begins there.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr bool is_page(input_address address) noexcept {
  constexpr std::uint64_t inside = Format::shape.page_bytes() - 1;
  if constexpr (Format::facts.sign_extended || Format::shape.input_bits() >= 64)
    return (address.value & inside) == 0 && is_translatable<Format>(address);
  else return (address.value & (inside | ~std::uint64_t{0} << Format::shape.input_bits())) == 0;
}

// Whether one entry of the level decides about all of the range. Requires: a sound range.
template <pte_format Format, int Level>
[[nodiscard]] QUIRE_INLINE constexpr bool is_within_leaf(input_range range) noexcept {
  return (range.first().value ^ range.last().value) >> Format::shape.shift(Level) == 0;
}

namespace detail {
template <pte_format Format>
[[nodiscard]] QUIRE_COLD constexpr error range_error(input_range range) noexcept {
  constexpr std::uint64_t page = Format::shape.page_bytes();
  if (range.defect() == errc::empty_range) return {errc::empty_range, -1, range.first().value & ~std::uint64_t{1}};
  if (range.defect() != errc::none) return {range.defect(), -1, range.first().value};
  if (!range.first().is_aligned(page)) return {errc::unaligned, -1, range.first().value};
  if (!(range.last() + 1).is_aligned(page)) return {errc::unaligned, -1, range.last().value};
  if (!is_translatable<Format>(range.first())) return {errc::beyond_input, -1, range.first().value};
  return {errc::beyond_input, -1, range.last().value};
}
}  // namespace detail

// Whether check_range() has nothing to say: by few tests, for it is nearly always so.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr bool is_sound(input_range range) noexcept {
  const std::uint64_t first = range.first().value, last = range.last().value;
  if (range.defect() != errc::none || ((first | (last + 1)) & (Format::shape.page_bytes() - 1)) != 0) return false;
  if constexpr (Format::facts.sign_extended) {
    if ((first ^ last) >> (Format::shape.input_bits() - 1) != 0) return false;
  }
  return is_translatable<Format>(range.last());
}

// Errors: the range's own defect; unaligned (first byte, or the byte after the last, is no multiple of a page);
// beyond_input, also for a range that spans the hole between the halves of a sign-extended space.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr error check_range(input_range range) noexcept {
  if (is_sound<Format>(range)) [[likely]]
    return {};
  return detail::range_error<Format>(range);
}

// All input addresses of a format: one range, or the lower and the upper half (`upper` is empty otherwise).
struct input_space {
  input_range lower;
  input_range upper{};
};
template <pte_format Format>
inline constexpr input_space input_space_of = []() constexpr -> input_space {
  constexpr std::uint64_t last = Format::shape.table_last_offset(Format::shape.root_level);
  if (!Format::facts.sign_extended || Format::shape.input_bits() >= 64)
    return {input_range::closed(input_address{0}, input_address{last})};
  return {input_range::closed(input_address{0}, input_address{last >> 1U}),
          input_range::closed(input_address{~(last >> 1U)}, input_address{~std::uint64_t{0}})};
}();

// The page that an address (of any byte) lies in.
template <pte_format Format>
[[nodiscard]] constexpr input_range page_of(input_address address) noexcept {
  return input_range::sized(address.align_down(Format::shape.page_bytes()), Format::shape.page_bytes());
}

// The pages from the first to the last bit of a mask that is not 0 (bit b: the page b pages after `first`). One that
// would wrap is a range that remembers so.
template <pte_format Format>
[[nodiscard]] constexpr input_range masked_range(input_address first, std::uint64_t mask) noexcept {
  constexpr int bits = Format::shape.page_bits;
  const auto low = static_cast<unsigned>(__builtin_ctzll(mask));
  const auto high = 63 - static_cast<unsigned>(__builtin_clzll(mask));
  const input_address from = first + (std::uint64_t{low} << bits);
  return input_range::closed(from < first ? first : from, first + ((std::uint64_t{high} + 1) << bits) - 1);
}

}  // namespace quire

// ---- quire/table/operation.hpp ------------------------------------------------------------------

// What one operation of an exclusive holder carries along: the policies, the root, what must be invalidated, and the
// tables it unlinked.

namespace quire {

// The leaves that changed, from the first byte to the last; level -1: of several levels. A value of its own, so that it
// can stay in registers.
struct changed_leaves {
  input_address first{};
  input_address last{};
  int level = -1;
  bool any = false;

  constexpr void add(const changed_leaves& more) noexcept {
    if (!more.any) return;
    if (!any) {
      *this = more;
      return;
    }
    if (more.first < first) first = more.first;
    if (last < more.last) last = more.last;
    if (more.level != level) level = -1;
  }
};

[[nodiscard]] constexpr invalidation_request request_for(const changed_leaves& leaves,
                                                         invalidation_reason why) noexcept {
  return {leaves.first, leaves.last, leaves.level, true, why};
}

// Tells the caches, at the next completion, what was changed before.
template <class P>
QUIRE_INLINE constexpr void announce_changes(P& policies, invalidator<P>& invalidations,
                                             const invalidation_request& request) noexcept {
  policies.maintenance.published();
  policies.maintenance.before_invalidation();
  invalidations.add(request);
}

// The end of what made entries of `range` valid that were invalid, and did nothing else.
template <pte_format Format, class P>
QUIRE_INLINE constexpr void announce_install(P& policies, invalidator<P>& session, input_range range) noexcept {
  policies.maintenance.published();
  if constexpr (Format::facts.caches_invalid) {
    policies.maintenance.before_invalidation();
    session.add({range.first(), range.last(), -1, true, invalidation_reason::installed});
  }
}

template <pte_format Format, class P>
class operation {
 public:
  using format = Format;
  using word = typename Format::word;
  using memory_type = decltype(P::memory);
  static constexpr bool breaks = update::breaks<typename P::update, Format>;
  static constexpr int batch = breaks ? P::update::batch : 1;

  constexpr operation(P& p, table_address r, invalidator<P>& session) noexcept
      : policies(p), root(r), invalidations_(session) {}
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  // Leaves of `level` between `first` and `last` (bytes, inclusive) changed.
  constexpr void changed(input_address first, input_address last, int level, invalidation_reason why) noexcept {
    if (!pending_) {
      request_ = {first, last, level, true, why};
      pending_ = true;
      return;
    }
    if (first < request_.first) request_.first = first;
    if (request_.last < last) request_.last = last;
    if (request_.level != level) request_.level = -1;
    if (request_.reason < why) request_.reason = why;
  }
  // The table entry of `level` that translates [first, last] was taken away or replaced.
  constexpr void changed_table(input_address first, input_address last, invalidation_reason why) noexcept {
    changed(first, last, -1, why);
    request_.leaf_only = false;
  }
  template <int Level>
  constexpr void detach(table_address table) noexcept {
    detached_.template push<Level>(policies.memory, table);
  }
  [[nodiscard]] constexpr bool any_change() const noexcept { return pending_; }

  // Breaks: the entries of one table between `first` and `last` have gone to `locked` (or absent) and must be forgotten
  // by every cache before anything else is stored there.
  constexpr invalidated invalidate_now(input_address first, input_address last, int level, bool leaf_only) noexcept {
    policies.maintenance.before_invalidation();
    invalidations_.add({first, last, level, leaf_only, invalidation_reason::removed});
    return invalidations_.complete();
  }

  // The end of every operation: hands the pending invalidation over (the session completes it before it unlocks), and,
  // when tables were unlinked, sees it through and retires them.
  constexpr void finish() noexcept {
    if (!pending_) return;
    pending_ = false;
    announce_changes(policies, invalidations_, request_);
    if (!detached_.empty())
      detached_.release(invalidations_.complete(), policies.memory, policies.reclaim, policies.tables);
  }
  // An invalid entry became valid.
  constexpr void installed() noexcept { installed_ = true; }
  // The end of an operation that made valid what was invalid, unless it was all there already.
  constexpr void finish_install(input_range range) noexcept {
    if (pending_) {
      if (Format::facts.caches_invalid && installed_)
        changed(range.first(), range.last(), -1, invalidation_reason::installed);
      finish();
    } else if (installed_) announce_install<Format>(policies, invalidations_, range);
  }

  P& policies;
  table_address root;

 private:
  invalidator<P>& invalidations_;
  invalidation_request request_{};
  bool pending_ = false;
  bool installed_ = false;
  detached_tables<Format> detached_{};
};

}  // namespace quire

// ---- quire/walk/run_kernels.hpp -----------------------------------------------------------------

// The loops over owned words: fill, gather, scan, apply and flip. Vector code lives here and nowhere else.
//
// GNU vector extensions, because plain loops vectorise on one compiler or the other, never on both. Constant evaluation
// takes the plain loop.

namespace quire::kernel {

// The words of a vector register: a vector that is larger is a pair of them at best, and a piece of the stack where
// many are in use or, as kernels have it with -mgeneral-regs-only, none may be used.
template <class Word>
inline constexpr std::size_t lanes =
#if defined __AVX2__
    32 / sizeof(Word);
#elif defined __SSE2__ || defined __ARM_NEON || defined __riscv_vector
    16 / sizeof(Word);
#else
    1;
#endif

// Words are owned as an array of Word; the vector type may alias them and asks no more alignment than they have.
template <class Word>
struct vector {
  using type [[gnu::vector_size(lanes<Word> * sizeof(Word)), gnu::may_alias, gnu::aligned(sizeof(Word))]] = Word;
};
template <class Word>
using vector_of = typename vector<Word>::type;

// The same word, but one that the compiler takes for unknown: it stays in a register, and nothing is worked out
// for it beforehand.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr Word in_register(Word word) noexcept {
  if (!std::is_constant_evaluated()) asm("" : "+r"(word));
  return word;
}

// words[i] = first + i * step
template <class Word>
QUIRE_INLINE constexpr void fill(Word* words, std::size_t n, Word first, Word step) noexcept {
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    const Word stride = static_cast<Word>(l * step);
    vector_of<Word> v0{};
    for (std::size_t lane = 0; lane < l; ++lane) v0[lane] = static_cast<Word>(first + lane * step);
    vector_of<Word> v1 = v0 + stride, v2 = v1 + stride, v3 = v2 + stride;
    const Word block = static_cast<Word>(4 * l * step);
    const auto fill_block = [&]() QUIRE_INLINE_LAMBDA {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words);
      at[0] = v0;
      at[1] = v1;
      at[2] = v2;
      at[3] = v3;
      v0 += block;
      v1 += block;
      v2 += block;
      v3 += block;
      words += 4 * l;
    };
    // Unknown: of a whole table the compiler would write out every store.
    for (std::size_t pairs = in_register(n / (8 * l)); pairs != 0; --pairs) {
      fill_block();
      fill_block();
    }
    if (n % (8 * l) >= 4 * l) fill_block();
    first = static_cast<Word>(first + (n / (4 * l)) * block);
    n %= 4 * l;
  }
  for (std::size_t i = 0; i < n; ++i) words[i] = static_cast<Word>(first + i * step);
}

// The first of several words that is not 0, or their end.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr const Word* find_nonzero(const Word* words, const Word* end) noexcept {
  if (!std::is_constant_evaluated()) {
    const auto skip = [&]<std::size_t Vectors>(std::integral_constant<std::size_t, Vectors>) {
      constexpr std::size_t block = Vectors * lanes<Word>;
      for (auto blocks = static_cast<std::size_t>(end - words) / block; blocks != 0; --blocks, words += block) {
        const vector_of<Word>* const at = reinterpret_cast<const vector_of<Word>*>(words);
        vector_of<Word> any{};
        for (std::size_t v = 0; v < Vectors; ++v) any |= at[v];
        Word bits = 0;
        for (std::size_t lane = 0; lane < lanes<Word>; ++lane) bits = static_cast<Word>(bits | any[lane]);
        if (bits != 0) break;
      }
    };
    skip(std::integral_constant<std::size_t, 16>{});
    skip(std::integral_constant<std::size_t, 4>{});
    skip(std::integral_constant<std::size_t, 1>{});
  }
  while (words != end && *words == 0) ++words;
  return words;
}

// The bits that every one, and that any one, of several words has: all that need be known of words that are alike.
template <class Word>
struct gathered_bits {
  Word every = static_cast<Word>(~Word{0});
  Word any = 0;

  constexpr void add(Word word) noexcept {
    every = static_cast<Word>(every & word);
    any = static_cast<Word>(any | word);
  }
  // Whether all words answer yes; whether, for certain, none does.
  [[nodiscard]] constexpr bool all(const entry_test<Word>& test) const noexcept {
    return (every & test.mask) == test.value && (any & test.mask) == test.value;
  }
  [[nodiscard]] constexpr bool none(const entry_test<Word>& test) const noexcept {
    return ((test.value & ~(any & test.mask)) | (test.mask & ~test.value & every)) != 0;
  }
  // Whether some word answers yes if not none(): the words differ in no two of the bits asked for.
  [[nodiscard]] constexpr bool decides(const entry_test<Word>& test) const noexcept {
    const Word differing = static_cast<Word>(any & ~every & test.mask);
    return (differing & (differing - 1)) == 0 || none(test);
  }
};

template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr gathered_bits<Word> gather(const Word* words, std::size_t n) noexcept {
  gathered_bits<Word> bits;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    vector_of<Word> every = ~vector_of<Word>{}, any{};
    for (std::size_t blocks = n / (4 * l); blocks != 0; --blocks, words += 4 * l) {
      const vector_of<Word>* const at = reinterpret_cast<const vector_of<Word>*>(words);
      const vector_of<Word> v0 = at[0], v1 = at[1], v2 = at[2], v3 = at[3];
      every &= v0 & v1 & v2 & v3;
      any |= v0 | v1 | v2 | v3;
    }
    for (std::size_t lane = 0; lane < l; ++lane) {
      bits.every = static_cast<Word>(bits.every & every[lane]);
      bits.any = static_cast<Word>(bits.any | any[lane]);
    }
    n %= 4 * l;
  }
  for (std::size_t i = 0; i < n; ++i) bits.add(words[i]);
  return bits;
}

// What a change would do to a run.
template <class Word>
struct scan_result {
  Word changed;  // the bits that would change in any word
  Word busy;     // of the words it applies to, the bits of `quiet` that are missing in any: the hardware may be writing
                 // there
  bool all = false;  // it is known to change these bits of every word: flip(changed) does the same
};

// Most tables are alike all over: then the bits that every word has and the bits that any word has are the answer, and
// no word need be asked by itself.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr scan_result<Word> scan(const Word* words, std::size_t n,
                                                            const entry_change<Word>& change, Word quiet) noexcept {
  const Word mask = change.applies_to.mask, value = change.applies_to.value;
  const Word cleared = static_cast<Word>(~(change.keep | change.set));
  Word ones = 0, zeros = 0;  // bits that some word to which the change applies has, and lacks
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    if (n >= 4 * l) {
      const gathered_bits<Word> bits = gather(words, n);
      if (bits.all(change.applies_to)) {
        const Word changed = static_cast<Word>((bits.any & cleared) | (~bits.every & change.set));
        return {changed, static_cast<Word>(~bits.every & quiet), ((bits.every ^ bits.any) & changed) == 0};
      }
      if (bits.none(change.applies_to)) return {0, 0};
    }
    vector_of<Word> some_ones{}, some_zeros{};
    for (const std::size_t whole = n - n % l; i < whole; i += l) {
      const auto v = *reinterpret_cast<const vector_of<Word>*>(words + i);
      const auto applies = reinterpret_cast<vector_of<Word>>((v & mask) == value);
      some_ones |= v & applies;
      some_zeros |= ~v & applies;
    }
    for (std::size_t lane = 0; lane < l; ++lane) {
      ones = static_cast<Word>(ones | some_ones[lane]);
      zeros = static_cast<Word>(zeros | some_zeros[lane]);
    }
  }
  for (; i < n; ++i) {
    if (!change.applies_to(words[i])) continue;
    ones = static_cast<Word>(ones | words[i]);
    zeros = static_cast<Word>(zeros | ~words[i]);
  }
  return {static_cast<Word>((ones & cleared) | (zeros & change.set)), static_cast<Word>(zeros & quiet)};
}

// words[i] ^= bits
template <class Word>
QUIRE_INLINE constexpr void flip(Word* words, std::size_t n, Word bits) noexcept {
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    for (std::size_t blocks = n / (4 * l); blocks != 0; --blocks, i += 4 * l) {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words + i);
      at[0] ^= bits;
      at[1] ^= bits;
      at[2] ^= bits;
      at[3] ^= bits;
    }
  }
  for (; i < n; ++i) words[i] = static_cast<Word>(words[i] ^ bits);
}

// The bits that any lane has: one half and the other, `Step` lanes apart, and so on.
template <class Word, std::size_t Step, std::size_t... Lane>
[[nodiscard]] QUIRE_INLINE Word any_lane(const vector_of<Word>& v, std::index_sequence<Lane...> all) noexcept {
  if constexpr (Step == 0) return v[0];
  else return any_lane<Word, Step / 2>(v | __builtin_shufflevector(v, v, ((Lane + Step) % sizeof...(Lane))...), all);
}

// Whether any_of() and flip_alike() know an answer: for whole blocks of four vectors.
template <class Word>
[[nodiscard]] QUIRE_INLINE constexpr bool is_whole_blocks(std::size_t n) noexcept {
  return !std::is_constant_evaluated() && n % (4 * lanes<Word>) == 0 && n != 0;
}

// The bits that any word has. Requires: is_whole_blocks(n).
template <class Word>
[[nodiscard]] QUIRE_INLINE Word any_of(const Word* words, std::size_t n) noexcept {
  constexpr std::size_t l = lanes<Word>;
  const vector_of<Word>* at = reinterpret_cast<const vector_of<Word>*>(words);
  vector_of<Word> v0{}, v1{}, v2{}, v3{};
  std::size_t blocks = n / (4 * l);
  do {
    v0 |= at[0];
    v1 |= at[1];
    v2 |= at[2];
    v3 |= at[3];
    at += 4;
  } while (--blocks != 0);
  return any_lane<Word, l / 2>((v0 | v1) | (v2 | v3), std::make_index_sequence<l>{});
}

// words[i] ^= bits if every word reads `value` in the bits of `mask`; gives whether. Requires: is_whole_blocks(n);
// `value` has no bit that `mask` lacks.
template <class Word>
[[nodiscard]] QUIRE_INLINE bool flip_alike(Word* words, std::size_t n, Word mask, Word value, Word bits) noexcept {
  constexpr std::size_t l = lanes<Word>;
  vector_of<Word>* at = reinterpret_cast<vector_of<Word>*>(words);
  vector_of<Word> unlike{};
  std::size_t blocks = n / (4 * l);
  do {
    unlike |= at[0] ^ value;
    unlike |= at[1] ^ value;
    unlike |= at[2] ^ value;
    unlike |= at[3] ^ value;
    at += 4;
  } while (--blocks != 0);
  if ((any_lane<Word, l / 2>(unlike, std::make_index_sequence<l>{}) & mask) != 0) return false;
  blocks = n / (4 * l);
  do {
    at -= 4;
    at[0] ^= bits;
    at[1] ^= bits;
    at[2] ^= bits;
    at[3] ^= bits;
  } while (--blocks != 0);
  return true;
}

template <class Word>
QUIRE_INLINE constexpr void apply(Word* words, std::size_t n, const entry_change<Word>& change) noexcept {
  const Word mask = change.applies_to.mask, value = change.applies_to.value, keep = change.keep, set = change.set;
  std::size_t i = 0;
  if (!std::is_constant_evaluated()) {
    constexpr std::size_t l = lanes<Word>;
    for (const std::size_t whole = n - n % l; i < whole; i += l) {
      vector_of<Word>* const at = reinterpret_cast<vector_of<Word>*>(words + i);
      const auto v = *at;
      const auto applies = reinterpret_cast<vector_of<Word>>((v & mask) == value);
      *at = (((v & keep) | set) & applies) | (v & ~applies);
    }
  }
  for (; i < n; ++i) words[i] = change(words[i]);
}

}  // namespace quire::kernel

// ---- quire/table/entry.hpp ----------------------------------------------------------------------

// How an exclusive holder writes a live entry. It is the only software at work, so what is left to race with is the
// hardware: it may set accessed or dirty in a leaf whose quiet bits are not all set. Such an entry is changed by an
// exchange or a compare-exchange, every other one by a store. This follows from the format alone; it is no choice.

namespace quire {

template <pte_format Format>
[[nodiscard]] constexpr bool hardware_may_write(typename Format::word entry) noexcept {
  if constexpr (Format::quiet_bits == 0) return false;
  else return (entry & Format::quiet_bits) != Format::quiet_bits;
}

// Stores `now` over `before`, a leaf or not, and gives what really stood there last: `before` and what the hardware
// added. Release: what `now` leads to must be complete before a walker can follow it.
template <pte_format Format, class Memory>
constexpr typename Format::word replace_entry(Memory& memory, table_address table, std::size_t i,
                                              typename Format::word before, typename Format::word now) noexcept {
  using word = typename Format::word;
  if (hardware_may_write<Format>(before)) return memory.template exchange<word>(table, i, now, order::acq_rel);
  memory.template store<word>(table, i, now, order::release);
  return before;
}

// Applies `change` to an entry read as `before`; gives what stood there before the change. Relaxed: a change of rights
// or accessed publishes nothing; the invalidation that follows orders it (maintenance.before_invalidation).
template <pte_format Format, class Memory>
QUIRE_INLINE constexpr typename Format::word change_entry(Memory& memory, table_address table, std::size_t i,
                                                          typename Format::word before,
                                                          const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  for (;;) {
    const word after = change(before);
    if (after == before) return before;
    if (!hardware_may_write<Format>(before)) [[likely]] {
      memory.template store<word>(table, i, after, order::relaxed);
      return before;
    }
    if (memory.template compare_exchange<word>(table, i, before, after, order::relaxed)) return before;
  }
}

// The entries that a loop over words takes in one round, written out: compilers do not unroll loops of atomic accesses.
using words_of_a_round = std::make_index_sequence<8>;
using words_after_the_first = std::index_sequence<1, 2, 3, 4, 5, 6, 7>;

// Calls function(first + K) for each.
template <class Function, std::size_t... K>
QUIRE_INLINE constexpr void each_of_round(std::size_t first, const Function& function,
                                          std::index_sequence<K...>) noexcept {
  (..., function(first + K));
}
// The bits that any of their words has.
template <class Word, class Load, std::size_t... K>
[[nodiscard]] QUIRE_INLINE constexpr Word any_of_round(std::size_t first, const Load& load,
                                                       std::index_sequence<K...>) noexcept {
  Word any = 0;
  (..., (any = static_cast<Word>(any | load(first + K))));
  return any;
}
// Calls function(i) for `first` and the n - 1 indices that follow.
template <class Function>
QUIRE_INLINE constexpr void each_index(std::size_t first, std::size_t n, const Function& function) noexcept {
  constexpr std::size_t round = words_of_a_round::size();
  for (; n >= round; n -= round, first += round) each_of_round(first, function, words_of_a_round{});
  for (; n != 0; --n, ++first) function(first);
}

// A change as a loop over entries needs it, in words that stores to entries cannot change. Where `tested`, the change
// is never made in vain and its test tells all the bits that it touches: what is to be made of an entry that a plain
// store may change is then the entry with `flipped` turned over, and those entries are the ones that lack, of the bits
// of `mask`, those of `zeros` and no other.
template <pte_format Format>
struct loop_change {
  using word = typename Format::word;
  entry_change<word> change;
  word mask;
  word zeros;
  word flipped;
  bool tested;

  QUIRE_INLINE constexpr explicit loop_change(const entry_change<word>& c) noexcept
      : change{{c.applies_to.mask, c.applies_to.value}, c.keep, c.set},
        mask(kernel::in_register(static_cast<word>(c.applies_to.mask | Format::quiet_bits))),
        zeros(static_cast<word>(c.applies_to.mask & ~c.applies_to.value)),
        flipped(of_plain(c).flips()),
        tested(flipped != 0 && (c.applies_to.value & ~c.applies_to.mask) == 0 && (zeros & Format::quiet_bits) == 0) {}

  [[nodiscard]] QUIRE_INLINE constexpr bool is_plain(word entry) const noexcept {
    return (static_cast<word>(~entry) & mask) == zeros;
  }
  [[nodiscard]] QUIRE_INLINE constexpr bool changes(word entry) const noexcept { return change(entry) != entry; }
  // Whether, for certain, none of the entries changes that together have the bits `any`.
  [[nodiscard]] QUIRE_INLINE constexpr bool leaves_alone(word any) const noexcept {
    return (change.applies_to.value & ~any) != 0;
  }

 private:
  // The change of those entries that a plain store may change.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_change<word> of_plain(const entry_change<word>& c) noexcept {
    constexpr word quiet = Format::quiet_bits;
    const entry_test<word> plain{static_cast<word>(c.applies_to.mask | quiet),
                                 static_cast<word>(c.applies_to.value | quiet)};
    return {plain, c.keep, c.set};
  }
};

// A change that is known where the code is made, wherever one is asked for.
template <const auto& Change>
struct constant_change {
  constexpr operator decltype(Change)() const noexcept { return Change; }
};

// What a plain store may do for an entry: it did it, nothing was to be done, or the hardware may be writing there.
enum class plain_change : unsigned char { made, needless, contended };

// Applies a change to an entry read as `before`, if a plain store will do.
template <pte_format Format, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr plain_change change_plainly(Memory& memory, table_address table, std::size_t i,
                                                                 typename Format::word before,
                                                                 const loop_change<Format>& wanted,
                                                                 bool tested) noexcept {
  using word = typename Format::word;
  if (tested ? wanted.is_plain(before) : wanted.changes(before) && !hardware_may_write<Format>(before)) [[likely]] {
    const word after = tested ? static_cast<word>(before ^ wanted.flipped) : wanted.change.made(before);
    memory.template store<word>(table, i, after, order::relaxed);
    return plain_change::made;
  }
  return hardware_may_write<Format>(before) && wanted.changes(before) ? plain_change::contended
                                                                      : plain_change::needless;
}

// Applies `change` to the entries [first, last] of one table, none of which is a table; gives whether any changed.
// Where the hardware may write some of them. Apart from the loops that need it rarely, which then call nobody.
template <pte_format Format, class Memory>
QUIRE_COLD constexpr bool change_contended(Memory& memory, table_address table, std::size_t first, std::size_t last,
                                           const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  bool any = false;
  for (std::size_t i = first; i <= last; ++i) {
    const word seen = memory.template load<word>(table, i, order::relaxed);
    const word before = change_entry<Format>(memory, table, i, seen, change);
    any = any || change(before) != before;
  }
  return any;
}

// The same, by stores, and by an exchange where the hardware may write. Neighbours are alike most of the time: a round
// that begins with an entry to be left alone is asked as a whole whether all are. Relaxed, as in change_entry().
template <pte_format Format, class Memory>
[[gnu::noinline]] constexpr bool change_words(Memory& memory, table_address table, std::size_t first, std::size_t last,
                                              const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  constexpr std::size_t round = words_of_a_round::size();
  const loop_change<Format> wanted{change};
  memory_in_loop<Memory> in_loop = memory;
  const auto load = [&](std::size_t i)
                        QUIRE_INLINE_LAMBDA { return in_loop.template load<word>(table, i, order::relaxed); };
  bool contended = false;
  const auto each = [&](bool tested) QUIRE_INLINE_LAMBDA {
    std::size_t kept = 0;
    const auto change_read = [&](std::size_t i, word before) QUIRE_INLINE_LAMBDA {
      const plain_change done = change_plainly<Format>(in_loop, table, i, before, wanted, tested);
      if (done == plain_change::made) [[likely]]
        return;
      contended = contended || done == plain_change::contended;
      ++kept;
    };
    const auto change_one = [&](std::size_t i) QUIRE_INLINE_LAMBDA { change_read(i, load(i)); };
    std::size_t i = first, left = last - first + 1;
    for (; tested && left >= round; left -= round, i += round) {
      const word begins = load(i);
      if (!wanted.is_plain(begins) && wanted.leaves_alone(any_of_round<word>(i, load, words_of_a_round{}))) {
        kept += round;
        continue;
      }
      change_read(i, begins);
      each_of_round(i, change_one, words_after_the_first{});
    }
    for (; left != 0; --left, ++i) change_one(i);
    return kept <= last - first;
  };
  const bool any = wanted.tested ? each(true) : each(false);
  return contended ? change_contended<Format>(memory, table, first, last, change) || any : any;
}
// The same to owned words.
template <pte_format Format, class Memory>
[[gnu::noinline]] constexpr bool change_owned(Memory& memory, table_address table, std::size_t first, std::size_t n,
                                              const entry_change<typename Format::word>& change) noexcept {
  using word = typename Format::word;
  word* words = memory.template own<word>(table, first, n);
  const auto seen = kernel::scan<word>(words, n, change, Format::quiet_bits);
  if (seen.changed != 0 && seen.busy == 0) {
    if (seen.all) kernel::flip<word>(words, n, seen.changed);
    else kernel::apply<word>(words, n, change);
  }
  memory.template written<word>(table, first, n);
  if (seen.changed == 0 || seen.busy == 0) return seen.changed != 0;
  return change_words<Format>(memory, table, first, first + n - 1, change);
}
// The same: to owned words where the memory has the run capability and no word that would change can be written by the
// hardware. Most tables are alike, and then the same bits are flipped in all of their entries.
template <pte_format Format, class Memory, class Change>
[[gnu::noinline]] constexpr bool change_entries(Memory& memory, table_address table, std::size_t first,
                                                std::size_t last, const Change& how) noexcept {
  using word = typename Format::word;
  const entry_change<word>& change = how;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const loop_change<Format> wanted{change};
    if (wanted.tested && kernel::is_whole_blocks<word>(n)) {
      word* words = memory.template own<word>(table, first, n);
      // The first says what to expect of the others.
      const bool expected = wanted.is_plain(words[0]);
      const bool alike =
          expected ? kernel::flip_alike<word>(words, n, wanted.mask, wanted.mask ^ wanted.zeros, wanted.flipped)
                   : wanted.leaves_alone(kernel::any_of<word>(words, n));
      memory.template written<word>(table, first, n);
      if (alike) [[likely]]
        return expected;
    } else if (n < kernel::lanes<word>) return change_words<Format>(memory, table, first, last, change);
    return change_owned<Format>(memory, table, first, n, change);
  } else return change_words<Format>(memory, table, first, last, change);
}

// What the entries [first, last] of one table have in common.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr kernel::gathered_bits<typename Format::word> gather_entries(Memory& of, table_address table,
                                                                                    std::size_t first,
                                                                                    std::size_t last) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const auto bits = kernel::gather<word>(of.template own<word>(table, first, n), n);
    of.template written<word>(table, first, n);
    return bits;
  } else {
    memory_in_loop<Memory> memory = of;
    word every = static_cast<word>(~word{0}), any = 0;
    each_index(first, last - first + 1, [&](std::size_t i) {
      const word entry = memory.template load<word>(table, i, order::relaxed);
      every = static_cast<word>(every & entry);
      any = static_cast<word>(any | entry);
    });
    return {every, any};
  }
}

// The first of the entries [first, last] of one table that is not absent, or last + 1.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr std::size_t find_present(Memory& of, table_address table, std::size_t first,
                                                 std::size_t last) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    const std::size_t n = last - first + 1;
    const word* const words = of.template own<word>(table, first, n);
    const word* const found = kernel::find_nonzero<word>(words, words + n);
    of.template written<word>(table, first, n);
    return first + static_cast<std::size_t>(found - words);
  } else {
    memory_in_loop<Memory> memory = of;
    const auto load = [&](std::size_t i) { return memory.template load<word>(table, i, order::relaxed); };
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      while (last - first >= sizeof...(K) && (... | load(first + K)) == 0) first += sizeof...(K);
    }(words_of_a_round{});
    while (first <= last && load(first) == 0) ++first;
    return first;
  }
}

// Fills a table (or part of one) that nobody can reach, or entries that are absent.
template <pte_format Format, class Memory>
constexpr void fill_entries(Memory& in, table_address table, std::size_t first, std::size_t n,
                            typename Format::word entry, typename Format::word step) noexcept {
  using word = typename Format::word;
  if constexpr (run_memory<Memory, word>) {
    kernel::fill<word>(in.template own<word>(table, first, n), n, entry, step);
    in.template written<word>(table, first, n);
  } else {
    memory_in_loop<Memory> memory = in;
    each_index(first, n, [&](std::size_t i) {
      memory.template store<word>(table, i, entry, order::relaxed);
      entry = static_cast<word>(entry + step);
    });
  }
}

// The entries of the group that entry `i` belongs to: [first, last], just i for a single leaf or no leaf.
struct entry_span {
  std::size_t first;
  std::size_t last;

  [[nodiscard]] constexpr bool empty() const noexcept { return last < first; }
};
template <pte_format Format>
[[nodiscard]] constexpr entry_span group_span(typename Format::word entry, int level, std::size_t i) noexcept {
  if constexpr (has_groups<Format>) {
    if (Format::kind_of(entry, level) == entry_kind::leaf) {
      const std::size_t size = std::size_t{1} << Format::group_of(entry, level);
      return {i & ~(size - 1), i | (size - 1)};
    }
  }
  return {i, i};
}

}  // namespace quire

// ---- quire/walk/descend.hpp ---------------------------------------------------------------------

// One descent, unrolled over the levels: for one address, to the entry that decides about it; for a range, to the one
// table that has all of its entries.

namespace quire {

// The lowest entry on the way to an address: not a table, or a table at `floor`.
template <pte_format Format>
struct found_entry {
  table_address table;
  std::size_t index;
  typename Format::word entry;
  int level;
};

namespace detail {
template <pte_format Format, int Level, int Floor, order Order, class Memory, class Then>
[[nodiscard]] QUIRE_INLINE constexpr auto descend_from(Memory& memory, table_address table, std::uint64_t offset,
                                                       Then& then) noexcept {
  const std::size_t i = Format::shape.index(offset, Level);
  const auto entry = memory.template load<typename Format::word>(table, i, Order);
  if constexpr (Level > Floor) {
    if (Format::kind_of(entry, Level) == entry_kind::table) [[likely]]
      return descend_from<Format, Level - 1, Floor, Order>(memory, Format::table_of(entry, Level), offset, then);
  }
  return then.template operator()<Level>(table, i, entry);
}
}  // namespace detail

// Gives then.operator()<Level>(table, index, entry) of that entry: the level is a constant in what follows, as a
// decoder wants it. Requires: address inside the geometry. `Order`: acquire where tables may be published meanwhile.
template <pte_format Format, order Order = order::acquire, int Floor = 0, class Memory, class Then>
[[nodiscard]] QUIRE_INLINE constexpr auto descend_then(Memory& memory, table_address root, input_address address,
                                                       Then&& then) noexcept {
  return detail::descend_from<Format, Format::shape.root_level, Floor, Order>(memory, root, address.value, then);
}

// The same as a value.
template <pte_format Format, order Order = order::acquire, int Floor = 0, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_entry<Format> descend(Memory& memory, table_address root,
                                                                 input_address address) noexcept {
  return descend_then<Format, Order, Floor>(
      memory, root, address, []<int Level>(table_address table, std::size_t i, typename Format::word entry) {
        return found_entry<Format>{table, i, entry, Level};
      });
}

// The entries of one table, which has all of them, that [first, last] is.
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr Run run_in(table_address table, std::uint64_t first, std::uint64_t last) noexcept {
  constexpr auto& shape = Run::format::shape;
  return {table, first & ~shape.table_last_offset(Run::level), shape.index(first, Run::level),
          shape.index(last, Run::level)};
}

// A run, if there is one.
template <class Run>
struct found_run {
  bool found = false;
  Run run{};
};

namespace detail {
template <class Run, int Level, order Order, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_run<Run> descend_to_table(Memory& memory, table_address table,
                                                                     std::uint64_t first, std::uint64_t last) noexcept {
  using format = typename Run::format;
  if constexpr (Level == Run::level) {
    return {true, run_in<Run>(table, first, last)};
  } else {
    const auto entry = memory.template load<typename format::word>(table, format::shape.index(first, Level), Order);
    if (format::kind_of(entry, Level) != entry_kind::table) [[unlikely]]
      return {};
    return descend_to_table<Run, Level - 1, Order>(memory, format::table_of(entry, Level), first, last);
  }
}
}  // namespace detail

// The entries of `Floor` that [first, last] is, where one table has them all: most ranges are a few pages. For a walk
// whose visitor gets no call above that level for the tables on the way; where nothing is found, that walk is to be
// done. Requires: `first` inside the geometry; addresses of pages, from the first byte to the last.
template <pte_format Format, int Floor, bool PassesTables, order Order = order::relaxed, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr found_run<entry_run<Format, Floor, PassesTables>> descend_to_run(
    Memory& memory, table_address root, input_address from, input_address to) noexcept {
  const std::uint64_t first = from.value, last = to.value;
  constexpr int above = Format::shape.shift(Floor) + Format::shape.index_bits[Floor];
  if constexpr (above < 64) {
    if ((first ^ last) >> above != 0) [[unlikely]]
      return {};
  }
  return detail::descend_to_table<entry_run<Format, Floor, PassesTables>, Format::shape.root_level, Order>(memory, root,
                                                                                                           first, last);
}

}  // namespace quire

// ---- quire/table/lookup.hpp ---------------------------------------------------------------------

// Reading a table: what an address translates to, and every mapping of a range.

namespace quire {

// One leaf: `bytes` from `input` translate to `bytes` from `output`. A group is one mapping.
struct mapping {
  input_address input;
  output_address output;
  std::uint64_t bytes;
  attributes attrs;
  int level;
  int group;  // log2 of the entries

  [[nodiscard]] constexpr output_address translate(input_address address) const noexcept {
    return output + (address - input);
  }
  friend constexpr bool operator==(const mapping&, const mapping&) noexcept = default;
};

// The mapping that the leaf `entry` makes for the address `within` it.
template <pte_format Format>
[[nodiscard]] constexpr mapping mapping_of(typename Format::word entry, int level, input_address within) noexcept {
  const int group = Format::group_of(entry, level);
  const std::uint64_t bytes = Format::shape.leaf_bytes(level) << group;
  return {within.align_down(bytes),
          Format::output_of(entry, level),
          bytes,
          Format::attributes_of(entry, level),
          level,
          group};
}

// The same, read from its place: accessed and dirty of a group are those of all its entries.
template <pte_format Format, class Memory>
[[nodiscard]] constexpr mapping mapping_at(Memory& memory, table_address table, std::size_t index,
                                           typename Format::word entry, int level, input_address within) noexcept {
  mapping found = mapping_of<Format>(entry, level, within);
  if constexpr (has_groups<Format>) {
    const entry_span span = group_span<Format>(entry, level, index);
    for (std::size_t i = span.first; i <= span.last; ++i) {
      const auto other = memory.template load<typename Format::word>(table, i, order::relaxed);
      found.attrs.accessed = found.attrs.accessed || Format::is_accessed(other);
      found.attrs.dirty = found.attrs.dirty || (Format::facts.has_dirty && Format::is_dirty(other));
    }
  }
  return found;
}

// Why an entry that is no leaf translates nothing.
template <pte_format Format>
[[nodiscard]] constexpr error no_leaf(typename Format::word entry, int level, input_address address) noexcept {
  const entry_kind kind = Format::kind_of(entry, level);
  const errc code = kind == entry_kind::marker   ? errc::marked
                    : kind == entry_kind::locked ? errc::busy
                                                 : errc::not_mapped;
  return {code, static_cast<std::int8_t>(level), address.value};
}

// Errors: not_mapped, marked, busy with the level of the entry that says so (so a caller can step over it). Requires:
// an address inside the geometry.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] constexpr result<mapping> look_up_in_reach(Memory& memory, table_address root,
                                                         input_address address) noexcept {
  return descend_then<Format, Order>(
      memory, root, address,
      [&]<int Level>(table_address table, std::size_t i, typename Format::word entry) -> result<mapping> {
        if (Format::kind_of(entry, Level) != entry_kind::leaf) [[unlikely]]
          return no_leaf<Format>(entry, Level, address);
        return mapping_at<Format>(memory, table, i, entry, Level, address);
      });
}
// The same of any address. Errors: beyond_input as well.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] constexpr result<mapping> look_up(Memory& memory, table_address root, input_address address) noexcept {
  if (!is_translatable<Format>(address)) return error{errc::beyond_input, -1, address.value};
  return look_up_in_reach<Format, Order>(memory, root, address);
}

// Where `address` leads, and no more. Errors, and what it requires, as for look_up_in_reach.
template <pte_format Format, order Order = order::acquire, class Memory>
[[nodiscard]] QUIRE_INLINE constexpr result<output_address> translate_in_reach(Memory& memory, table_address root,
                                                                               input_address address) noexcept {
  return descend_then<Format, Order>(memory, root, address,
                                     [&]<int Level>(table_address, std::size_t, typename Format::word entry)
                                         QUIRE_INLINE_LAMBDA -> result<output_address> {
                                           if (Format::kind_of(entry, Level) != entry_kind::leaf) [[unlikely]]
                                             return no_leaf<Format>(entry, Level, address);
                                           const std::uint64_t inside =
                                               (Format::shape.leaf_bytes(Level) << Format::group_of(entry, Level)) - 1;
                                           return Format::output_of(entry, Level) + (address.value & inside);
                                         });
}

namespace detail {

template <pte_format Format, class Memory, class Function>
class each_mapping {
  using word = typename Format::word;

 public:
  constexpr each_mapping(Memory& memory, Function& function) noexcept : memory_(memory), function_(function) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory_.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = Format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind != entry_kind::leaf) continue;
      const mapping found = mapping_at<Format>(memory_, run.table, i, entry, Run::level, run.address(i));
      if constexpr (std::is_same_v<decltype(function_(found)), bool>) {
        if (!function_(found)) return run_stop<word>::failed(i, errc::stopped);
      } else function_(found);
      i = group_span<Format>(entry, Run::level, i).last;
    }
    return run_stop<word>::done();
  }

 private:
  Memory& memory_;
  Function& function_;
};

}  // namespace detail

}  // namespace quire

// ---- quire/table/foreign_visitor.hpp ------------------------------------------------------------

// The visitor that walks foreign tables (foreign.hpp says what is promised).
//
// The walker is the library's own. It never reads an entry here, which is what makes "once" hold: with leaf calls it
// takes each entry from the visitor, and with table_post calls it has no shortcut through the upper levels.

namespace quire {

// `effective`: the rights of the leaf less those that table entries on the way take away. attrs.allowed is what the
// leaf says by itself, as everywhere.
struct foreign_mapping : mapping {
  permissions effective;
};

namespace detail {

template <pte_format Format>
[[nodiscard]] constexpr permissions rights_below(typename Format::word entry, int level) noexcept {
  if constexpr (Format::facts.table_permissions) return Format::table_rights_of(entry, level);
  else return all_access;
}

// What the walker asks when it reads: nothing, here.
struct read_by_the_visitor {
  template <class Word>
  [[nodiscard]] static constexpr Word load(table_address, std::size_t, order) noexcept {
    return 0;
  }
};

// `Receiver`: foreign_walk() in foreign.hpp says what it has. One that is to be told a little at a time (by a cursor)
// has pauses() as well, asked after each entry.
template <pte_format Format, class Memory, class Receiver>
class foreign_visitor {
  using word = typename Format::word;
  using stop = run_stop<word>;
  static_assert(states_table_rights<Format>,
                "table entries of this format carry rights: Format::table_rights_of must say which they leave");
  static_assert(foreign_memory<Memory, word>, "memory must be a foreign_memory for the format's word");
  static constexpr int top = Format::shape.root_level;
  static constexpr std::uint64_t last_of_format =
      Format::facts.output_bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << Format::facts.output_bits) - 1;

  // The table of a level that the walk is in.
  struct place {
    table_address table{};
    permissions rights = all_access;  // what the entries above it leave
    bool begun = false;
    bool in_hole = false;   // the last entry was unreadable
    std::size_t first = 0;  // the first entry that is wanted
    entry_span torn{1, 0};  // the last group that was told to be torn
    bool kept = false;      // the next entry was read when the walk was put down
    word entry = 0;
  };

 public:
  constexpr foreign_visitor(Memory& memory, table_address root, const foreign_bounds& bounds,
                            Receiver& receiver) noexcept
      : memory_(memory), receiver_(receiver), budget_(bounds.budget), last_output_(bounds.last_output.value) {
    if (last_output_ > last_of_format) last_output_ = last_of_format;
    way_[top].table = root;
  }

  template <class Run>
  constexpr stop leaves(Run run) {
    constexpr int level = Run::level;
    place& here = way_[level];
    if (!here.begun) {
      here.begun = true;
      here.first = run.first;
    }
    word entry = here.entry;
    // A neighbour that turned out not to be of the group was read already.
    bool in_hand = std::exchange(here.kept, false);
    for (std::size_t i = run.first; i <= run.last; ++i) {
      if (!in_hand && !read(run, i, entry)) {
        if (over_) return ends_at(run, i);
        if (is_to_pause()) return stop::failed(i, errc::stopped);
        continue;
      }
      in_hand = false;
      const entry_kind kind = Format::kind_of(entry, level);
      if (!Format::is_well_formed(entry, level)) {
        const bool misplaced = kind != entry_kind::leaf && kind != entry_kind::table && is_of_another_level(entry);
        if (!tell(misplaced ? foreign_defect::misplaced : foreign_defect::malformed, run, i, entry))
          return ends_at(run, i);
      } else if (kind == entry_kind::table) {
        if (enters(run, i, entry)) return stop::at_table(i, entry);
        if (over_) return ends_at(run, i);
      } else if (kind == entry_kind::leaf) {
        const std::size_t at = i;
        if (!leaf(run, i, entry, in_hand)) return ends_at(run, at);
        if (in_hand) --i;
      } else receiver_.unmapped(entry, level, run.address(i));
      if (is_to_pause()) {
        here.kept = in_hand;
        here.entry = entry;
        return stop::failed(i, errc::stopped);
      }
    }
    return stop::done();
  }
  template <class Position>
  constexpr errc table_post(const Position&) noexcept {
    return errc::none;
  }

  [[nodiscard]] constexpr const foreign_summary& summary() const noexcept { return summary_; }

 private:
  template <class Run>
  constexpr stop ends_at(const Run& run, std::size_t i) {
    if (!summary_.complete) {
      summary_.unvisited = run.address(i);
      static_cast<void>(tell(foreign_defect::out_of_budget, run, i, 0));
    }
    return stop::failed(i, errc::stopped);
  }

  // Whether the walk is put down behind an entry, to be taken up again.
  [[nodiscard]] constexpr bool is_to_pause() const noexcept {
    if constexpr (requires { receiver_.pauses(); }) return receiver_.pauses();
    else return false;
  }

  // Gives whether to go on.
  template <class Run>
  constexpr bool tell(foreign_defect what, const Run& run, std::size_t i, word entry) {
    ++summary_.findings;
    if (!receiver_.found({what, Run::level, run.address(i), run.table, i, entry})) over_ = true;
    return !over_;
  }

  // One entry, once. No: it cannot be had, or the walk is over.
  template <class Run>
  constexpr bool read(const Run& run, std::size_t i, word& entry) {
    if (summary_.entries == budget_) {
      summary_.complete = false;
      over_ = true;
      return false;
    }
    ++summary_.entries;
    const auto loaded = memory_.template load<word>(run.table, i);
    bool& in_hole = way_[Run::level].in_hole;
    if (!loaded && !in_hole) static_cast<void>(tell(foreign_defect::unreadable, run, i, 0));
    in_hole = !loaded;
    if (loaded) {
      entry = *loaded;
      if constexpr (requires { receiver_.seen(run.table, i, entry, Run::level, run.address(i)); })
        receiver_.seen(run.table, i, entry, Run::level, run.address(i));
    }
    return loaded && !over_;
  }

  [[nodiscard]] static constexpr bool is_of_another_level(word entry) noexcept {
    for (int level = 0; level <= top; ++level) {
      const entry_kind kind = Format::kind_of(entry, level);
      if (kind == entry_kind::leaf || kind == entry_kind::table) return true;
    }
    return false;
  }

  // Whether the table may be walked; no if that is a finding.
  template <class Run>
  constexpr bool enters(const Run& run, std::size_t i, word entry) {
    constexpr int level = Run::level;
    if constexpr (level > 0) {
      const std::uint64_t child = Format::table_of(entry, level).value;
      constexpr std::uint64_t bytes = table_bytes<Format>(level - 1);
      if (child > last_output_ || last_output_ - child < bytes - 1) {
        static_cast<void>(tell(foreign_defect::beyond_output, run, i, entry));
        return false;
      }
      for (int above = level; above <= top; ++above) {
        const std::uint64_t ancestor = way_[above].table.value;
        if (child - ancestor < table_bytes<Format>(above) || ancestor - child < bytes) {
          static_cast<void>(tell(foreign_defect::cycle, run, i, entry));
          return false;
        }
      }
      way_[level - 1] = {table_address{child}, way_[level].rights & rights_below<Format>(entry, level)};
      if constexpr (requires { receiver_.entered(entry, level, run.address(i)); })
        receiver_.entered(entry, level, run.address(i));
    }
    return true;
  }

  // A leaf and, where it is one of a group, the others: afterwards `i` is the last entry that was dealt with, or with
  // `in_hand` the one that `entry` was read from. Gives whether to go on.
  template <class Run>
  constexpr bool leaf(const Run& run, std::size_t& i, word& entry, bool& in_hand) {
    constexpr int level = Run::level;
    place& here = way_[level];
    const std::size_t at = i;
    const entry_span group = group_span<Format>(entry, level, at);
    if (group.first == here.torn.first && group.last == here.torn.last) return true;
    foreign_mapping found{mapping_of<Format>(entry, level, run.address(at)), no_access};
    const word head = entry;
    if (group.first != group.last) {
      bool whole = at == group.first || at == here.first;
      for (std::size_t member = at == here.first ? group.first : at + 1; whole && member <= group.last; ++member) {
        if (member == at) continue;
        word other = 0;
        whole = read(run, member, other);
        if (over_) return false;
        if (member > at) i = member;
        if (!whole) break;
        whole = agree(head, at, other, member, level);
        if (!whole && member > at) {
          entry = other;
          in_hand = true;
        }
        found.attrs.accessed = found.attrs.accessed || Format::is_accessed(other);
        found.attrs.dirty = found.attrs.dirty || (Format::facts.has_dirty && Format::is_dirty(other));
      }
      if (!whole) {
        here.torn = group;
        return tell(foreign_defect::torn_group, run, at, head);
      }
    }
    if (found.output.value > last_output_ || last_output_ - found.output.value < found.bytes - 1)
      return tell(foreign_defect::beyond_output, run, at, head);
    found.effective = found.attrs.allowed & here.rights;
    over_ = !receiver_.mapped(found);
    return !over_;
  }

  // Whether two entries make one leaf: but for accessed and dirty they are as many steps apart as they stand apart, and
  // lead to the same group.
  [[nodiscard]] static constexpr bool agree(word head, std::size_t at, word other, std::size_t member,
                                            int level) noexcept {
    const word step = Format::step(level, Format::group_of(head, level));
    const word expected = static_cast<word>(aged(head) + (static_cast<word>(member) - static_cast<word>(at)) * step);
    return aged(other) == expected && Format::output_of(other, level) == Format::output_of(head, level);
  }
  [[nodiscard]] static constexpr word aged(word entry) noexcept {
    return Format::make_clean(Format::clear_accessed(entry));
  }

  Memory& memory_;
  Receiver& receiver_;
  std::uint64_t budget_;
  std::uint64_t last_output_;
  foreign_summary summary_{};
  bool over_ = false;
  place way_[Format::shape.levels]{};
};

}  // namespace detail

}  // namespace quire

// ---- quire/table/foreign.hpp --------------------------------------------------------------------

// Foreign tables: tables that we did not build and do not trust, read and never written. A guest's own tables under a
// debugger, the tables in a memory dump.
//
//   const memory_dump dump{bytes, count, base};
//   foreign_for_each_mapping<riscv::sv39x4>(dump, root, range, [](const foreign_mapping& m) {...},
//                                           [](const foreign_finding& f) {...}, {.budget = 1 << 20});
//
// Guarantees
// - Whatever the words are: no access but those that the memory policy grants, no endless walk (a table that lies in
//   one of its own ancestors is not entered, and no more entries are asked for than the budget says), no recursion.
// - Each entry on the way is read once, so that what was checked is what is used, whoever writes meanwhile. (A table
//   that hangs in two places is read for each.)
// - Every irregularity is a finding, and nothing is mapped by what one names: what the hardware would do there is the
//   manual's affair. Entries that the hardware takes for invalid, markers and locked ones among them, are no finding.

namespace quire {

namespace detail {

// Calls a function of the user, who may give whether to go on.
template <class Function, class T>
constexpr bool goes_on(Function& function, const T& with) {
  if constexpr (std::is_same_v<decltype(function(with)), bool>) return function(with);
  else {
    function(with);
    return true;
  }
}

template <pte_format Format, class OnMapping, class OnFinding>
struct each_foreign_mapping {
  OnMapping& on_mapping;
  OnFinding& on_finding;

  constexpr bool mapped(const foreign_mapping& found) { return goes_on(on_mapping, found); }
  constexpr bool found(const foreign_finding& finding) { return goes_on(on_finding, finding); }
  constexpr void unmapped(typename Format::word, int, input_address) const noexcept {}
};

template <pte_format Format, class OnFinding>
struct foreign_answer {
  OnFinding& on_finding;
  result<foreign_mapping> answer;

  constexpr bool mapped(const foreign_mapping& found) noexcept {
    answer = found;
    return false;
  }
  constexpr bool found(const foreign_finding& finding) {
    answer = error{errc::malformed, static_cast<std::int8_t>(finding.level), answer.error().at};
    return goes_on(on_finding, finding);
  }
  constexpr void unmapped(typename Format::word entry, int level, input_address) noexcept {
    answer = no_leaf<Format>(entry, level, input_address{answer.error().at});
  }
};

}  // namespace detail

// For who wants to see more than mappings: what a walk comes to is told to the receiver, in the order of the table.
//   mapped(foreign_mapping), found(foreign_finding)   give whether to go on; no ends the walk with errc::stopped
//   unmapped(entry, level, address)                   an absent entry, a marker or a locked one
//   seen(table, index, entry, level, address)         if it has that: each entry, when it is read
//   entered(entry, level, address)                    if it has that: a table entry whose table is walked next
// Errors: those of check_range; stopped.
template <pte_format Format, class Memory, class Receiver>
constexpr result<foreign_summary> foreign_walk(Memory&& memory, table_address root, input_range range,
                                               Receiver&& receiver, const foreign_bounds& bounds = {}) {
  if (const error bad = check_range<Format>(range); bad.code != errc::none) return bad;
  detail::foreign_visitor<Format, std::remove_reference_t<Memory>, std::remove_reference_t<Receiver>> visitor{
      memory, root, bounds, receiver};
  detail::read_by_the_visitor none;
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::table_post | walk_flag::stop_on_retry;
  const error ended = walk<flags, Format>(none, root, range, visitor);
  if (ended.code != errc::none && visitor.summary().complete) return ended;
  return visitor.summary();
}

// Calls on_mapping(foreign_mapping) for every leaf that overlaps the range, in ascending order, and
// on_finding(foreign_finding) for what is wrong; either may give false, which ends the walk with errc::stopped. A walk
// that runs out of budget is a success that is not complete; one whose budget is less than a root-to-page path with the
// largest group may get nowhere. Errors: those of check_range; stopped.
template <pte_format Format, class Memory, class OnMapping, class OnFinding>
constexpr result<foreign_summary> foreign_for_each_mapping(Memory&& memory, table_address root, input_range range,
                                                           OnMapping&& on_mapping, OnFinding&& on_finding,
                                                           const foreign_bounds& bounds = {}) {
  detail::each_foreign_mapping<Format, std::remove_reference_t<OnMapping>, std::remove_reference_t<OnFinding>> receiver{
      on_mapping, on_finding};
  return foreign_walk<Format>(memory, root, range, receiver, bounds);
}

// The leaf that translates `address`. A budget below a path and a group counts as a finding. Errors: beyond_input;
// not_mapped, marked, busy with the level, as of a table of ours; malformed with the level where a finding stands in
// the way, which on_finding is told.
template <pte_format Format, class Memory, class OnFinding>
constexpr result<foreign_mapping> foreign_lookup(Memory&& memory, table_address root, input_address address,
                                                 OnFinding&& on_finding, const foreign_bounds& bounds = {}) {
  if (!is_translatable<Format>(address)) return error{errc::beyond_input, -1, address.value};
  detail::foreign_answer<Format, std::remove_reference_t<OnFinding>> receiver{
      on_finding, error{errc::not_mapped, -1, address.value}};
  // The receiver stops the walk where it has the answer; what else could end it was asked above.
  static_cast<void>(foreign_walk<Format>(memory, root, page_of<Format>(address), receiver, bounds));
  return receiver.answer;
}
template <pte_format Format, class Memory>
constexpr result<foreign_mapping> foreign_lookup(Memory&& memory, table_address root, input_address address,
                                                 const foreign_bounds& bounds = {}) {
  return foreign_lookup<Format>(memory, root, address, [](const foreign_finding&) {}, bounds);
}

}  // namespace quire

// ---- quire/table/filled_table.hpp ---------------------------------------------------------------

// The order of filling a table and publishing it, as a type: the entry that links a table comes from a filled_table
// only, and whoever makes one says that the table is complete.

namespace quire {

// A table of `Level`, below the root, whose every entry is written (or that came zeroed) and that nobody reaches yet.
// Making one tells maintenance.table_filled(); the entry is then stored with release order, or by a compare-exchange
// that has it.
template <pte_format Format, int Level>
class filled_table {
 public:
  template <class Maintenance>
  constexpr filled_table(Maintenance& maintenance, table_address table) noexcept : address_(table) {
    maintenance.table_filled(table, table_bytes<Format>(Level));
  }

  [[nodiscard]] constexpr table_address address() const noexcept { return address_; }
  // The entry, of Level + 1, that links it.
  [[nodiscard]] constexpr typename Format::word link() const noexcept { return Format::table(address_, Level + 1); }

 private:
  table_address address_;
};

}  // namespace quire

// ---- quire/table/subtree.hpp --------------------------------------------------------------------

// Tables that translate exactly as one leaf does, built where nobody can reach them yet.

namespace quire {

// Tables that a leaf of `level` becomes when it is split down to leaves of `target`.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_to_split(int level, int target) noexcept {
  std::size_t tables = 0;
  std::size_t at_level = 1;
  for (int l = level - 1; l >= target; --l) {
    tables += at_level;
    at_level *= Format::shape.entries(l);
  }
  return tables;
}

namespace detail {

// Writes the leaves of a subtree; `Fresh` takes its tables from `source`, otherwise they are there and only the leaves
// are written again (the hardware touched the original meanwhile). The table's entries translate `leaf` of level Level
// + 1.
template <pte_format Format, int Level, bool Fresh, class Memory, class Maintenance, class Source>
constexpr filled_table<Format, Level> write_subtree(Memory& memory, Maintenance& maintenance, Source& source,
                                                    table_address table, typename Format::word leaf,
                                                    int target) noexcept {
  using word = typename Format::word;
  const word child = Format::child(leaf, Level + 1);
  const word step = Format::step(Level, 0);
  if constexpr (Level > 0) {
    if (Level > target) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        table_address below{};
        if constexpr (Fresh) {
          const auto taken = source.take(table_contents::any);
          QUIRE_EXPECTS(taken.has_value());  // reserved by the caller
          below = *taken;
        } else below = Format::table_of(memory.template load<word>(table, i, order::relaxed), Level);
        const auto filled = write_subtree<Format, Level - 1, Fresh>(memory, maintenance, source, below,
                                                                    static_cast<word>(child + i * step), target);
        if constexpr (Fresh) memory.template store<word>(table, i, filled.link(), order::relaxed);
      }
      return {maintenance, table};
    }
  }
  fill_entries<Format>(memory, table, 0, Format::shape.entries(Level), child, step);
  return {maintenance, table};
}

}  // namespace detail

// A table, with everything below it, that translates as the single leaf `leaf` of `Level` does, in leaves of `target`.
// Requires: tables_to_split(Level, target) tables reserved at `source`.
template <int Level, pte_format Format, class P, class Source>
[[nodiscard]] constexpr filled_table<Format, Level - 1> build_subtree(operation<Format, P>& op, Source& source,
                                                                      typename Format::word leaf, int target) noexcept {
  const auto table = source.take(table_contents::any);
  QUIRE_EXPECTS(table.has_value());
  return detail::write_subtree<Format, Level - 1, true>(op.policies.memory, op.policies.maintenance, source, *table,
                                                        leaf, target);
}

// Writes the leaves of such a subtree again from `leaf`, before it is published.
template <int Level, pte_format Format, class P>
constexpr void rewrite_subtree(operation<Format, P>& op, table_address table, typename Format::word leaf,
                               int target) noexcept {
  no_tables none;
  static_cast<void>(detail::write_subtree<Format, Level - 1, false>(op.policies.memory, op.policies.maintenance, none,
                                                                    table, leaf, target));
}

// Gives such a subtree back that was never published.
template <pte_format Format, int Level, class Memory, class Source>
constexpr void give_back_subtree(Memory& memory, Source& source, table_address table, int target) noexcept {
  if constexpr (Level > 1) {
    if (Level - 1 > target) {
      for (std::size_t i = 0; i < Format::shape.entries(Level - 1); ++i) {
        const auto entry = memory.template load<typename Format::word>(table, i, order::relaxed);
        give_back_subtree<Format, Level - 1>(memory, source, Format::table_of(entry, Level - 1), target);
      }
    }
  }
  source.give_back(table);
}

}  // namespace quire

// ---- quire/table/map.hpp ------------------------------------------------------------------------

// Mapping a range: check, reserve, commit. All or nothing.
//
// A child table that the range covers wholly is filled where nobody can reach it (unzeroed) and then published; one
// that is covered partly is installed empty and filled in place, entry by entry from absent, which every walker may
// watch.

namespace quire {

// What to map where. The defaults choose the largest leaves that alignment allows.
struct map_options {
  int largest_level = 7;  // no leaf above this level; not negative
  bool groups = true;     // use groups (contiguous, NAPOT) where the format has them
  bool replace = false;   // take away what is mapped there; otherwise that is already_mapped
};

// The leaf sizes that map may use for one range.
template <pte_format Format>
struct leaf_choice {
  std::uint64_t skew;  // input xor output address of the range's first byte: low zero bits are common alignment
  int largest_level;
  bool groups;

  [[nodiscard]] constexpr bool level_fits(int level) const noexcept {
    return level <= largest_level && (Format::group_sizes(level) & 1U) != 0 &&
           (skew & (Format::shape.leaf_bytes(level) - 1)) == 0;
  }
  // The largest level at which this mapping has leaves (pages always fit).
  [[nodiscard]] constexpr int highest() const noexcept {
    int level = Format::shape.root_level;
    while (level > 0 && !level_fits(level)) --level;
    return level;
  }
  // The largest group that starts at entry `first` and ends by `last`.
  [[nodiscard]] constexpr int group(int level, std::size_t first, std::size_t last) const noexcept {
    if constexpr (has_groups<Format>) {
      for (int k = groups ? Format::shape.index_bits[level] : 0; k > 0; --k) {
        const std::size_t size = std::size_t{1} << k;
        if (((Format::group_sizes(level) >> k) & 1U) != 0 && (first & (size - 1)) == 0 && last - first + 1 >= size &&
            (skew & ((Format::shape.leaf_bytes(level) << k) - 1)) == 0)
          return k;
      }
    }
    return 0;
  }
};

// Tables that mapping [first, last] (byte offsets in a table of `level`) takes below that table, when nothing is there
// yet.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_below(int level, std::uint64_t first, std::uint64_t last,
                                                 const leaf_choice<Format>& choice) noexcept {
  if (level == 0) return 0;
  const std::uint64_t inside = Format::shape.leaf_bytes(level) - 1;
  std::uint64_t i = first >> Format::shape.shift(level);
  std::uint64_t end = (last >> Format::shape.shift(level)) + 1;
  std::size_t tables = 0;
  const bool head = (first & inside) != 0;
  const bool tail = (last & inside) != inside;
  if (head || (tail && i + 1 == end)) {
    const std::uint64_t to = i + 1 == end ? last & inside : inside;
    tables += 1 + tables_below<Format>(level - 1, first & inside, to, choice);
    ++i;
  }
  if (tail && i < end) {
    tables += 1 + tables_below<Format>(level - 1, 0, last & inside, choice);
    --end;
  }
  if (i < end && !choice.level_fits(level)) {
    int target = level - 1;
    while (target > 0 && !choice.level_fits(target)) --target;
    tables += static_cast<std::size_t>(end - i) * tables_to_split<Format>(level, target);
  }
  return tables;
}

// An upper bound of the tables, without the root, that mapping `range` to `output` can take: for whoever fills a cache.
// Requires: a range that check_range accepts.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_needed(input_range range, output_address output,
                                                  map_options options = {}) noexcept {
  const leaf_choice<Format> choice{range.first().value ^ output.value, options.largest_level, options.groups};
  return tables_below<Format>(Format::shape.root_level, input_offset<Format>(range.first()),
                              input_offset<Format>(range.last()), choice);
}

namespace detail {

// Whether a leaf that is there does for one that is wanted, but for its rights.
[[nodiscard]] constexpr bool translates_alike(const attributes& have, const attributes& wanted) noexcept {
  return have.memory == wanted.memory && includes(have.from, wanted.from) && have.global == wanted.global;
}

// What a mapping is made of.
template <pte_format Format>
struct mapping_plan {
  input_range range;
  output_address output;  // of the range's first byte
  attributes wanted;
  leaf_choice<Format> choice;

  [[nodiscard]] constexpr output_address output_at(input_address address) const noexcept {
    return output + (address - range.first());
  }
  [[nodiscard]] constexpr bool covers(input_address first, input_address last) const noexcept {
    return range.first() <= first && last <= range.last();
  }
  // Requires: encodable, as check_mapping() found.
  [[nodiscard]] constexpr typename Format::word leaf_at(input_address address, int level, int group) const noexcept {
    return *Format::leaf(output_at(address), wanted, level, group);
  }
};

// Check pass: does anything stand in the way, and how many tables does the rest take? And what is there of pages: is
// any absent, and is each of the others, word for word, what would be written there, with nothing left for the hardware
// to write? Then who owns runs of entries may write over all of them.
template <class Operation>
class check_map {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr check_map(Operation& op, const mapping_plan<format>& plan) noexcept : op_(op), plan_(plan) {}

  std::size_t tables = 0;
  bool any_page_absent = false;
  bool pages_alike = true;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      if constexpr (Run::level == 0) {  // an absent page takes no table
        const std::size_t present = find_present<format>(op_.policies.memory, run.table, i, run.last);
        any_page_absent = any_page_absent || present != i;
        i = present;
        if (i > run.last) break;
      }
      const word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::absent: count(run, i); break;
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::leaf: {
          const errc said = fits(run, i, entry);
          if (said != errc::none) return run_stop<word>::failed(i, said);
          break;
        }
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::locked: return run_stop<word>::failed(i, errc::busy);
      }
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr void count(const Run& run, std::size_t i) noexcept {
    if constexpr (Run::level > 0) {
      const input_address first = run.address(i), last = run.address(i + 1) - 1;
      if (plan_.covers(first, last) && plan_.choice.level_fits(Run::level)) return;
      const input_range part = input_range::closed(first, last).clamped_to(plan_.range);
      tables += 1 + tables_below<format>(Run::level - 1, part.first() - first, part.last() - first, plan_.choice);
    }
  }
  // An existing leaf is no obstacle when it translates the same way for the same accesses, and rights can be added to
  // the whole of it.
  template <class Run>
  constexpr errc fits(const Run& run, std::size_t i, word entry) noexcept {
    if constexpr (Run::level == 0) {
      if (entry == plan_.leaf_at(run.address(i), 0, 0) && !hardware_may_write<format>(entry)) return errc::none;
      pages_alike = false;
    }
    const entry_span span = group_span<format>(entry, Run::level, i);
    const input_address first = run.address(span.first), last = run.address(span.last + 1) - 1;
    const attributes have = format::attributes_of(entry, Run::level);
    if (format::output_of(entry, Run::level) != plan_.output_at(first) || !translates_alike(have, plan_.wanted))
      return errc::already_mapped;
    if (have.allowed.contains(plan_.wanted.allowed)) return errc::none;
    return plan_.covers(first, last) && format::relax(plan_.wanted.allowed).has_value() ? errc::none
                                                                                        : errc::already_mapped;
  }

  Operation& op_;
  const mapping_plan<format>& plan_;
};

// Commit pass. Nothing in it can fail: the check pass found no obstacle and the tables are reserved.
template <class Operation, class Source>
class commit_map {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr commit_map(Operation& op, Source& source, const mapping_plan<format>& plan, bool write_over) noexcept
      : op_(op), source_(source), plan_(plan), write_over_(write_over) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && run_memory<typename Operation::memory_type, word> && !has_groups<format>) {
      if (write_over_) {
        op_.installed();
        publish(run, run.last);
        return run_stop<word>::done();
      }
    }
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf) {
        i = relax(run, i, entry) + 1;
        continue;
      }
      op_.installed();
      const bool whole = plan_.covers(run.address(i), run.address(i + 1) - 1);
      if (whole && plan_.choice.level_fits(Run::level)) {
        i = install(run, i) + 1;
        continue;
      }
      if constexpr (Run::level > 0) {
        const auto child = source_.take(whole ? table_contents::any : table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = (whole ? fill<Run::level - 1>(*child, run.address(i))
                                 : filled_table<format, Run::level - 1>{op_.policies.maintenance, *child})
                              .link();
        memory.template store<word>(run.table, i, made, order::release);
        if (!whole) return run_stop<word>::made_table(i, made);
        ++i;
      }
    }
    return run_stop<word>::done();
  }

 protected:
  // Of entries of which the range covers one, the last that it covers.
  template <class Run>
  [[nodiscard]] constexpr std::size_t last_covered(const Run& run) const noexcept {
    return plan_.covers(run.address(run.last), run.address(run.last + 1) - 1) ? run.last : run.last - 1;
  }
  // Leaves over the absent entries from i on; gives the last entry written.
  template <class Run>
  constexpr std::size_t install(const Run& run, std::size_t i) noexcept {
    const std::size_t end = find_present<format>(op_.policies.memory, run.table, i, last_covered(run)) - 1;
    publish(run.from(i), end);
    return end;
  }
  template <class Run>
  constexpr void publish(const Run& run, std::size_t last) noexcept {
    // What is mapped is complete before the leaves, which are stored relaxed, can be followed.
    atomic::fence(order::release);
    write<Run::level>(run.table, run.first, last, run.base);
  }
  template <int Level>
  constexpr void write(table_address table, std::size_t first, std::size_t last, std::uint64_t base) noexcept {
    constexpr int shift = format::shape.shift(Level);
    for (std::size_t i = first; i <= last;) {
      const int group = plan_.choice.group(Level, i, last);
      const std::size_t wanted = group != 0           ? std::size_t{1} << group
                                 : has_groups<format> ? singles(Level, i, last)
                                                      : last - i + 1;
      const std::size_t n = linear(Level, input_address{base + (std::uint64_t{i} << shift)}, wanted);
      fill_entries<format>(op_.policies.memory, table, i, n,
                           plan_.leaf_at(input_address{base + (std::uint64_t{i} << shift)}, Level, group),
                           format::step(Level, group));
      i += n;
    }
  }
  [[nodiscard]] constexpr std::size_t singles(int level, std::size_t first, std::size_t last) const noexcept {
    std::size_t n = 1;
    while (first + n <= last && plan_.choice.group(level, first + n, last) == 0) ++n;
    return n;
  }
  // How many of n leaves from `at` on are a step apart (facts.linear_output_bits); the others are for another fill. A
  // group lies on one side of the place where they are not.
  [[nodiscard]] QUIRE_INLINE constexpr std::size_t linear(int level, input_address at, std::size_t n) const noexcept {
    if constexpr (format::facts.linear_output_bits < format::facts.output_bits) {
      const std::uint64_t inside = (std::uint64_t{1} << format::facts.linear_output_bits) - 1;
      const std::uint64_t left = (inside - (plan_.output_at(at).value & inside)) >> format::shape.shift(level);
      return left < n - 1 ? static_cast<std::size_t>(left) + 1 : n;
    } else return n;
  }
  // A table that nobody can reach and that the range covers wholly.
  template <int Level>
  constexpr filled_table<format, Level> fill(table_address table, input_address base) noexcept {
    if constexpr (Level > 0) {
      if (!plan_.choice.level_fits(Level)) {
        for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
          const auto child = source_.take(table_contents::any);
          QUIRE_EXPECTS(child.has_value());
          const auto filled = fill<Level - 1>(*child, base + (std::uint64_t{i} << format::shape.shift(Level)));
          op_.policies.memory.template store<word>(table, i, filled.link(), order::relaxed);
        }
        return {op_.policies.maintenance, table};
      }
    }
    write<Level>(table, 0, format::shape.entries(Level) - 1, base.value);
    return {op_.policies.maintenance, table};
  }
  // Adds the rights that an existing, equal leaf lacks. Gives its last entry.
  template <class Run>
  constexpr std::size_t relax(const Run& run, std::size_t i, word entry) noexcept {
    const entry_span span = group_span<format>(entry, Run::level, i);
    const std::size_t last = span.last < run.last ? span.last : run.last;
    if (format::attributes_of(entry, Run::level).allowed.contains(plan_.wanted.allowed)) return last;
    if (change_entries<format>(op_.policies.memory, run.table, span.first, span.last,
                               *format::relax(plan_.wanted.allowed)))
      op_.changed(run.address(span.first), run.address(span.last + 1) - 1, Run::level, invalidation_reason::relaxed);
    return last;
  }

  Operation& op_;
  Source& source_;
  const mapping_plan<format>& plan_;
  bool write_over_;
};

}  // namespace detail

// Whether the arguments of map make sense at all. Errors: those of check_range; unaligned and beyond_output (output);
// whatever Format::leaf says of the attributes at a level that the mapping would use.
template <pte_format Format>
[[nodiscard]] constexpr result<void> check_mapping(input_range range, output_address output, const attributes& wanted,
                                                   const map_options& options) noexcept {
  if (const error bad = check_range<Format>(range); bad.code != errc::none) return bad;
  const std::uint64_t at = range.first().value;
  if (options.largest_level < 0) return error{errc::unsupported_level, -1, at};
  if (!output.is_aligned(Format::shape.page_bytes())) return error{errc::unaligned, -1, output.value};
  const std::uint64_t last_output = output.value + (range.last() - range.first());
  if (last_output < output.value || (Format::facts.output_bits < 64 && last_output >> Format::facts.output_bits != 0))
    return error{errc::beyond_output, -1, output.value};
  const leaf_choice<Format> choice{at ^ output.value, options.largest_level, options.groups};
  for (int level = 0; level <= choice.highest(); ++level) {
    if ((Format::group_sizes(level) & 1U) == 0) continue;
    const auto trial =
        Format::leaf(output_address{output.value & ~(Format::shape.leaf_bytes(level) - 1)}, wanted, level, 0);
    if (!trial) return error{trial.error().code, static_cast<std::int8_t>(level), at};
  }
  return {};
}

// Errors, all before anything is changed: those of check_mapping; already_mapped, marked, busy (at the first entry in
// the way); no_memory.
template <pte_format Format, class P, class Source>
[[gnu::noinline]] constexpr result<void> map_range(operation<Format, P>& op, Source& source, input_range range,
                                                   output_address output, const attributes& wanted,
                                                   const map_options& options) noexcept {
  if (const auto legal = check_mapping<Format>(range, output, wanted, options); !legal) return legal;
  const detail::mapping_plan<Format> plan{
      range, output, wanted, {range.first().value ^ output.value, options.largest_level, options.groups}};
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::stop_on_retry;
  detail::check_map<operation<Format, P>> check{op, plan};
  if (const error found = walk<flags, Format>(op.policies.memory, op.root, range, check); found.code != errc::none)
    return found;
  if (!source.reserve(check.tables)) return error{errc::no_memory, -1, range.first().value};
  if (wanted.allowed.contains(executable))
    op.policies.maintenance.code_visible(output, range.last() - range.first() + 1);
  detail::commit_map<operation<Format, P>, Source> commit{op, source, plan, check.any_page_absent && check.pages_alike};
  static_cast<void>(walk<flags, Format>(op.policies.memory, op.root, range, commit));
  return {};
}

}  // namespace quire

// ---- quire/table/annotate.hpp -------------------------------------------------------------------

// Annotations: markers that say something about memory that is not mapped (an owner, a poison).

namespace quire {

namespace detail {

// Two passes of one visitor: first it looks and counts, then it writes.
template <class Operation, class Source, bool Commit>
class annotate_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr annotate_leaves(Operation& op, Source& source, input_range range, word marker) noexcept
      : op_(op), source_(source), range_(range), marker_(marker) {}

  std::size_t tables = 0;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf) return run_stop<word>::failed(i, errc::already_mapped);
      if (kind != entry_kind::absent)
        return run_stop<word>::failed(i, kind == entry_kind::marker ? errc::marked : errc::busy);
      if constexpr (Run::level == 0) {
        if constexpr (Commit) memory.template store<word>(run.table, i, marker_, order::relaxed);
      } else if constexpr (Commit) {
        const auto child = source_.take(table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = filled_table<format, Run::level - 1>{op_.policies.maintenance, *child}.link();
        memory.template store<word>(run.table, i, made, order::release);
        return run_stop<word>::made_table(i, made);
      } else {
        const input_range part = input_range::closed(run.address(i), run.address(i + 1) - 1).clamped_to(range_);
        const leaf_choice<format> pages{0, 0, false};
        tables += 1 + tables_below<format>(Run::level - 1, part.first() - run.address(i), part.last() - run.address(i),
                                           pages);
      }
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  input_range range_;
  word marker_;
};

}  // namespace detail

// One marker a page.
template <class Operation, class Source>
constexpr result<void> annotate_range(Operation& op, Source& source, input_range range,
                                      std::uint64_t payload) noexcept {
  using format = typename Operation::format;
  constexpr walk_flags flags = walk_flag::leaf | walk_flag::stop_on_retry;
  const auto marker = format::marker(payload);
  detail::annotate_leaves<Operation, Source, false> look{op, source, range, marker};
  if (const error found = walk<flags, format>(op.policies.memory, op.root, range, look); found.code != errc::none)
    return found;
  if (!source.reserve(look.tables)) return error{errc::no_memory, -1, range.first().value};
  detail::annotate_leaves<Operation, Source, true> write{op, source, range, marker};
  return walk<flags, format>(op.policies.memory, op.root, range, write);
}

}  // namespace quire

// ---- quire/table/change.hpp ---------------------------------------------------------------------

// One change of attributes over a range: what protect, write_protect and the accessed and dirty bits have in common.

namespace quire {

// Leaves changed between two entries of a run.
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr changed_leaves changed_in(const Run& run, entry_span entries) noexcept {
  return {run.address(entries.first), run.address(entries.last + 1) - 1, Run::level, true};
}

// Called as report(input address, bytes) for every leaf (a group: all of it) that was found dirty.
struct nothing_reported {
  constexpr void operator()(input_address, std::uint64_t) const noexcept {}
};

// Whether "writable" and "dirty" share bits (arm64's hardware dirty bit): then taking the write permission away takes
// the dirty state with it, and whoever does so must say where it goes.
template <pte_format Format>
inline constexpr bool protecting_loses_dirty =
    Format::facts.has_dirty && (Format::is_dirty.mask & ~(Format::write_protect.keep | Format::write_protect.set)) != 0;

// Gives the write permission back where may_write is set.
template <pte_format Format>
inline constexpr entry_change<typename Format::word> restore_write_change{
    {Format::make_writable.applies_to.mask | Format::may_write_bit,
     Format::make_writable.applies_to.value | Format::may_write_bit},
    Format::make_writable.keep,
    Format::make_writable.set};

// Whether nobody wants to hear of leaves that become clean.
template <pte_format Format, class Report>
inline constexpr bool reports_nothing = std::is_same_v<Report, const nothing_reported> || !Format::facts.has_dirty;

// Applies `change` to entries of a run, whole groups and no tables; gives whether any changed. What the change makes
// clean is reported from the value that the exchange returned, so nothing that the hardware added meanwhile is lost.
template <class Memory, class Run, class Change, class Report>
constexpr bool change_reporting(Memory& memory, const Run& run, std::size_t first, std::size_t last, const Change& how,
                                Report& report) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  if constexpr (reports_nothing<format, Report>) {
    return change_entries<format>(memory, run.table, first, last, how);
  } else {
    const entry_change<word>& change = how;
    bool any = false;
    for (std::size_t i = first; i <= last; ++i) {
      word seen = memory.template load<word>(run.table, i, order::relaxed);
      if (change(seen) == seen) continue;
      const entry_span span = group_span<format>(seen, Run::level, i);
      bool cleaned = false;
      for (;;) {
        const word before = change_entry<format>(memory, run.table, i, seen, change);
        any = any || change(before) != before;
        cleaned = cleaned || (format::is_dirty(before) && !format::is_dirty(change(before)));
        if (i == span.last) break;
        seen = memory.template load<word>(run.table, ++i, order::relaxed);
      }
      if (cleaned)  // a store through any entry of a group may have gone to any page of it
        report(run.address(span.first), (span.last - span.first + 1) * format::shape.leaf_bytes(Run::level));
    }
    return any;
  }
}

// Finds the first leaf in the range to which `change` does not apply: unsupported_attribute there, or no error.
template <class Operation>
class find_misfits {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr find_misfits(Operation& op, const entry_change<word>& change) noexcept : op_(op), change_(change) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
      if (kind == entry_kind::leaf && !change_.applies_to(entry))
        return run_stop<word>::failed(i, errc::unsupported_attribute);
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  entry_change<word> change_;
};
template <class Operation>
constexpr error find_misfit(Operation& op, input_range range,
                            const entry_change<typename Operation::word>& change) noexcept {
  find_misfits<Operation> visitor{op, change};
  return walk<(walk_flag::leaf | walk_flag::stop_on_retry), typename Operation::format>(op.policies.memory, op.root,
                                                                                        range, visitor);
}

// Entries of a table of pages: bit b is entry origin + b.
struct masked_entries {
  std::size_t origin;
  std::uint64_t bits;

  [[nodiscard]] constexpr std::uint64_t lowest() const noexcept { return bits & (~bits + 1); }
  [[nodiscard]] constexpr std::size_t first() const noexcept {
    return origin + static_cast<unsigned>(__builtin_ctzll(bits));
  }
  [[nodiscard]] constexpr std::size_t last() const noexcept {
    return origin + 63 - static_cast<unsigned>(__builtin_clzll(bits));
  }
};

// Which pages of a range are meant: all of them, or those of a mask (bit b: the page at base + b pages). any(first,
// last): whether any page of a leaf is. in(run): the entries of a run of pages that are. first(), last(): a window with
// range() in it that is had for less; is_sound<Format>(): whether nothing is wrong with range() if one table has the
// window; of_window(run): the entries of the run that is the window.
struct every_page {
  input_range all_of{};

  [[nodiscard]] constexpr input_range range() const noexcept { return all_of; }
  [[nodiscard]] constexpr input_address first() const noexcept { return all_of.first(); }
  [[nodiscard]] constexpr input_address last() const noexcept { return all_of.last(); }
  template <pte_format Format>
  [[nodiscard]] constexpr bool is_sound() const noexcept {
    return quire::is_sound<Format>(all_of);
  }
  [[nodiscard]] constexpr bool any(input_address, input_address) const noexcept { return true; }
  template <class Run>
  [[nodiscard]] constexpr entry_span in(const Run& run) const noexcept {
    return {run.first, run.last};
  }
  template <class Run>
  [[nodiscard]] constexpr entry_span of_window(const Run& run) const noexcept {
    return {run.first, run.last};
  }
};
template <pte_format Format>
struct masked_pages {
  input_address base;
  std::uint64_t mask;

  [[nodiscard]] constexpr input_range range() const noexcept { return masked_range<Format>(base, mask); }
  [[nodiscard]] constexpr input_address first() const noexcept { return base; }
  // Where tables have room for it, of as many pages as a mask has bits: then it need not be looked for.
  [[nodiscard]] constexpr input_address last() const noexcept {
    if constexpr (Format::shape.entries(0) < 64) return range().last();
    else return base + ((std::uint64_t{64} << Format::shape.page_bits) - 1);
  }
  template <pte_format>
  [[nodiscard]] constexpr bool is_sound() const noexcept {
    return is_page<Format>(base);
  }
  // The bits of `pages` pages from `at`, which is not below base.
  [[nodiscard]] constexpr std::uint64_t from(input_address at, std::uint64_t pages) const noexcept {
    const std::uint64_t skip = (at - base) >> Format::shape.page_bits;
    if (skip >= 64) return 0;
    const std::uint64_t bits = mask >> skip;
    return pages >= 64 ? bits : bits & ((std::uint64_t{1} << pages) - 1);
  }
  // The leaf may begin below base.
  [[nodiscard]] constexpr bool any(input_address first, input_address last) const noexcept {
    const input_address at = first < base ? base : first;
    return from(at, ((last - at) >> Format::shape.page_bits) + 1) != 0;
  }
  template <class Run>
  [[nodiscard]] constexpr masked_entries in(const Run& run) const noexcept {
    return {run.first, from(run.address(run.first), run.last - run.first + 1)};
  }
  template <class Run>
  [[nodiscard]] constexpr masked_entries of_window(const Run& run) const noexcept {
    return {run.first, mask};
  }
};

// Between which entries anything changed, if at all.
struct changed_entries {
  entry_span span{1, 0};
  bool any = false;
};

// Applies `change` to entries of a run of pages, and to the rest of the groups that they belong to.
template <class Memory, class Run, class Change, class Report>
QUIRE_INLINE constexpr changed_entries change_pages(Memory& memory, const Run& run, entry_span pages,
                                                    const Change& change, Report& report) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  if constexpr (has_groups<format>) {
    const auto group = [&](std::size_t i) {
      return group_span<format>(memory.template load<word>(run.table, i, order::relaxed), 0, i);
    };
    pages = {group(pages.first).first, group(pages.last).last};
  }
  return {pages, change_reporting(memory, run, pages.first, pages.last, change, report)};
}

// Those entries that did change, of entries that a plain store would not change: the hardware may write there.
template <pte_format Format, class Memory>
QUIRE_COLD constexpr std::uint64_t change_contended(Memory& memory, table_address table, masked_entries entries,
                                                    const entry_change<typename Format::word>& change) noexcept {
  std::uint64_t changed = 0;
  for (; entries.bits != 0; entries.bits &= entries.bits - 1)
    if (change_contended<Format>(memory, table, entries.first(), entries.first(), change)) changed |= entries.lowest();
  return changed;
}

// Entry by entry; what changed is announced in one piece. Without groups.
template <class Memory, class Run, class Report>
QUIRE_INLINE constexpr changed_entries change_singly(Memory& memory, const Run& run, masked_entries pages,
                                                     const entry_change<typename Run::format::word>& change,
                                                     Report& report) noexcept {
  using format = typename Run::format;
  const loop_change<format> wanted{change};
  memory_in_loop<Memory> in_loop = memory;
  std::uint64_t kept = 0;
  for (masked_entries left = pages; left.bits != 0; left.bits &= left.bits - 1) {
    if constexpr (reports_nothing<format, Report>) {
      const std::size_t i = left.first();
      const auto before = in_loop.template load<typename format::word>(run.table, i, order::relaxed);
      if (change_plainly<format>(in_loop, run.table, i, before, wanted, wanted.tested) != plain_change::made)
        kept |= left.lowest();
    } else if (!change_reporting(memory, run, left.first(), left.first(), change, report)) kept |= left.lowest();
  }
  if constexpr (reports_nothing<format, Report> && format::quiet_bits != 0) {
    if (kept != 0) [[unlikely]]
      kept ^= change_contended<format>(memory, run.table, masked_entries{pages.origin, kept}, change);
  }
  pages.bits ^= kept;
  if (pages.bits == 0) [[unlikely]]
    return {};
  return {{pages.first(), pages.last()}, true};
}

// Whether all bits that are set are neighbours.
[[nodiscard]] constexpr bool is_one_stretch(std::uint64_t bits) noexcept {
  return (bits & (bits + (bits & (~bits + 1)))) == 0;
}
// Whether 8 bits in a row are set: then runs are worth their overhead.
[[nodiscard]] constexpr bool has_stretch(std::uint64_t bits) noexcept {
  bits &= bits >> 1U;
  bits &= bits >> 2U;
  return (bits & (bits >> 4U)) != 0;
}

// Neighbours together where there are enough of them. Gives an empty span where nothing changed.
template <class Run, class Memory, class Report>
[[gnu::noinline]] constexpr entry_span change_in_stretches(Memory& memory, table_address table, std::uint64_t base,
                                                           masked_entries pages,
                                                           const entry_change<typename Run::format::word>& change,
                                                           Report& report) noexcept {
  const Run run{table, base, pages.first(), pages.last()};
  if (!has_groups<typename Run::format> && !has_stretch(pages.bits))
    return change_singly(memory, run, pages, change, report).span;
  entry_span done{1, 0};
  while (pages.bits != 0) {
    const std::uint64_t gaps = ~(pages.bits | (pages.bits - 1));  // the zeros above the first stretch
    const std::size_t last = gaps == 0 ? pages.origin + 63 : masked_entries{pages.origin, gaps}.first() - 1;
    const changed_entries part = change_pages(memory, run, entry_span{pages.first(), last}, change, report);
    if (part.any) done = {done.empty() ? part.span.first : done.first, part.span.last};
    pages.bits &= gaps == 0 ? 0 : ~std::uint64_t{0} << static_cast<unsigned>(__builtin_ctzll(gaps));
  }
  return done;
}
template <class Memory, class Run, class Change, class Report>
QUIRE_INLINE constexpr changed_entries change_pages(Memory& memory, const Run& run, masked_entries pages,
                                                    const Change& change, Report& report) noexcept {
  if constexpr (has_groups<typename Run::format>) {
    if (pages.bits == 0) return {};
  } else if ((pages.bits & (pages.bits >> 1U)) == 0) return change_singly(memory, run, pages, change, report);
  if (is_one_stretch(pages.bits))
    return change_pages(memory, run, entry_span{pages.first(), pages.last()}, change, report);
  const entry_span done = change_in_stretches<Run>(memory, run.table, run.base, pages, change, report);
  return {done, !done.empty()};
}

// Whether a change of pages changed anything, and whether it is known that no leaf there is left to be split.
struct change_outcome {
  bool any = false;
  bool is_split = false;
};
[[nodiscard]] QUIRE_INLINE constexpr result<bool> any_of(const result<change_outcome>& done) noexcept {
  if (!done) return done.error();
  return done->any;
}

// Applies `change` to one leaf, an entry of which was read as `entry`; gives whether it changed. Entries of a group may
// differ in their state.
template <class Memory, class Run, class Report>
QUIRE_INLINE constexpr bool change_leaf(Memory& memory, const Run& run, entry_span span,
                                        typename Run::format::word entry,
                                        const entry_change<typename Run::format::word>& change,
                                        Report& report) noexcept {
  using format = typename Run::format;
  if (span.first != span.last) return change_reporting(memory, run, span.first, span.last, change, report);
  const auto before = change_entry<format>(memory, run.table, span.first, entry, change);
  const auto after = change(before);
  if constexpr (!reports_nothing<format, Report>) {
    if (format::is_dirty(before) && !format::is_dirty(after))
      report(run.address(span.first), format::shape.leaf_bytes(Run::level));
  }
  return after != before;
}

// Visitor: applies `change` to every leaf that holds one of the pages, a block or group that is only partly among them
// as a whole.
template <pte_format Format, class Memory, class Pages, class Report>
class change_leaves {
  using word = typename Format::word;

 public:
  constexpr change_leaves(Memory& memory, const Pages& pages, const entry_change<word>& change, Report& report) noexcept
      : memory_(memory), pages_(pages), change_(change), report_(report) {}

  changed_leaves done{};

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0) {
      const changed_entries changed = change_pages(memory_, run, pages_.in(run), change_, report_);
      if (changed.any) done.add(changed_in(run, changed.span));
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        const word entry = memory_.template load<word>(run.table, i, order::relaxed);
        if (Format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
        const entry_span span = group_span<Format>(entry, Run::level, i);
        i = span.last;
        if (!pages_.any(run.address(span.first), run.address(span.last + 1) - 1)) continue;
        if (change_leaf(memory_, run, span, entry, change_, report_)) done.add(changed_in(run, span));
      }
    }
    return run_stop<word>::done();
  }

 private:
  Memory& memory_;
  Pages pages_;
  entry_change<word> change_;
  Report& report_;
};

// Changes every leaf that overlaps the pages, whole leaves. Never allocates, never fails on a checked range.
template <pte_format Format, class Pages, class Memory, class Report>
QUIRE_INLINE constexpr changed_leaves change_range(Memory& memory, table_address root, const Pages& pages,
                                                   const entry_change<typename Format::word>& change,
                                                   Report& report) noexcept {
  if constexpr (Format::shape.root_level > 0) {
    // Few pages, of one table or of a block: as in the first harvest of memory that was not split when logging began.
    // Relaxed: who changes here is alone with the tables, but for marks of the hardware.
    if (const input_range range = pages.range(); is_within_leaf<Format, 1>(range)) {
      const auto here = descend_to_run<Format, 1, false>(memory, root, range.first(), range.last());
      if (here.found) {
        const std::size_t i = here.run.first;
        const auto entry = memory.template load<typename Format::word>(here.run.table, i, order::relaxed);
        if (Format::kind_of(entry, 1) == entry_kind::table) {
          const auto run =
              run_in<entry_run<Format, 0, true>>(Format::table_of(entry, 1), range.first().value, range.last().value);
          const changed_entries done = change_pages(memory, run, pages.in(run), change, report);
          return done.any ? changed_in(run, done.span) : changed_leaves{};
        }
        const entry_span span = group_span<Format>(entry, 1, i);
        return change_leaf(memory, here.run, span, entry, change, report) ? changed_in(here.run, span)
                                                                          : changed_leaves{};
      }
    }
  }
  change_leaves<Format, Memory, Pages, Report> visitor{memory, pages, change, report};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), Format>(memory, root, pages.range(), visitor));
  return visitor.done;
}

}  // namespace quire

// ---- quire/table/collapse.hpp -------------------------------------------------------------------

// Collapse: a table whose leaves continue one another becomes one leaf. Prune: a table without any entry is freed.

namespace quire {

struct collapse_result {
  std::size_t leaves = 0;  // leaves made
};

namespace detail {

// Visitor: collapses every table wholly inside the range, bottom up, into leaves of at most `largest_level`.
//
// The bits that the hardware may add while it happens (accessed, dirty) are collected last, from the old leaves, once
// no walker can reach them: nothing is lost.
template <class Operation>
class collapse_tables {
  using format = typename Operation::format;
  using word = typename format::word;
  // Leaves may differ in these bits and still become one.
  static constexpr word state_bits =
      static_cast<word>(~format::clear_accessed.keep | format::clear_accessed.set |
                        (format::facts.has_dirty ? ~format::make_clean.keep | format::make_clean.set : 0));

 public:
  constexpr collapse_tables(Operation& op, input_range range, int largest_level) noexcept
      : op_(op), range_(range), largest_level_(largest_level) {}

  collapse_result made{};

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    constexpr int level = Position::level;
    const input_address last = at.address + (format::shape.leaf_bytes(level) - 1);
    if (level > largest_level_ || (format::group_sizes(level) & 1U) == 0) return errc::none;
    if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    const table_address table = format::table_of(at.entry, level);
    const result<word> leaf = uniform<level - 1>(table);
    if (!leaf) return errc::none;
    auto& memory = op_.policies.memory;
    if constexpr (Operation::breaks) {
      memory.template store<word>(at.table, at.index, format::locked, order::relaxed);
      op_.invalidate_now(at.address, last, -1, false);
      memory.template store<word>(at.table, at.index, with_state<level - 1>(table, *leaf), order::release);
    } else {
      memory.template store<word>(at.table, at.index, *leaf, order::release);
      op_.changed_table(at.address, last, invalidation_reason::resized);
      if constexpr (format::facts.sets_accessed || format::facts.sets_dirty) {
        op_.invalidate_now(at.address, last, -1, false);
        word now = *leaf;
        for (;;) {
          const word wanted = with_state<level - 1>(table, now);
          if (wanted == now || memory.template compare_exchange<word>(at.table, at.index, now, wanted, order::relaxed))
            break;
        }
      }
    }
    op_.template detach<level - 1>(table);
    if constexpr (Operation::breaks) op_.changed_table(at.address, last, invalidation_reason::resized);
    ++made.leaves;
    return errc::none;
  }

 private:
  // The leaf that the table's entries make together, or not_uniform.
  template <int Level>
  [[nodiscard]] constexpr result<word> uniform(table_address table) noexcept {
    auto& memory = op_.policies.memory;
    const word first = memory.template load<word>(table, 0, order::relaxed);
    if (format::kind_of(first, Level) != entry_kind::leaf) return errc::not_uniform;
    const word step = format::step(Level, 0);
    const output_address output = format::output_of(first, Level);
    for (std::size_t i = 1; i < format::shape.entries(Level); ++i) {
      const word entry = memory.template load<word>(table, i, order::relaxed);
      if constexpr (has_groups<format>) {
        // Singles and groups of any size may stand side by side.
        if (format::kind_of(entry, Level) != entry_kind::leaf) return errc::not_uniform;
        const std::size_t begins = group_span<format>(entry, Level, i).first;
        if (format::output_of(entry, Level) != output + begins * format::shape.leaf_bytes(Level))
          return errc::not_uniform;
        if (without_state(format::attributes_of(entry, Level)) != without_state(format::attributes_of(first, Level)))
          return errc::not_uniform;
      } else {
        if (((entry ^ static_cast<word>(first + i * step)) & ~state_bits) != 0) return errc::not_uniform;
      }
    }
    const result<word> leaf = format::leaf(output, without_state(format::attributes_of(first, Level)), Level + 1, 0);
    if (!leaf) return leaf;
    return with_state<Level>(table, *leaf);
  }
  [[nodiscard]] static constexpr attributes without_state(attributes a) noexcept {
    a.accessed = !format::facts.has_accessed;
    a.dirty = false;
    return a;
  }
  // `leaf` with the accessed and dirty bits of the table's entries added.
  template <int Level>
  [[nodiscard]] constexpr word with_state(table_address table, word leaf) noexcept {
    attributes sum = format::attributes_of(leaf, Level + 1);
    for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
      const word entry = op_.policies.memory.template load<word>(table, i, order::relaxed);
      sum.accessed = sum.accessed || format::is_accessed(entry);
      sum.dirty = sum.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    return *format::leaf(format::output_of(leaf, Level + 1), sum, Level + 1, 0);  // encodable: uniform() tried
  }

  Operation& op_;
  input_range range_;
  int largest_level_;
};

template <class Operation>
class prune_tables {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr explicit prune_tables(Operation& op) noexcept : op_(op) {}

  std::size_t freed = 0;

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    auto& memory = op_.policies.memory;
    const table_address table = format::table_of(at.entry, Position::level);
    for (std::size_t i = 0; i < format::shape.entries(Position::level - 1); ++i)
      if (memory.template load<word>(table, i, order::relaxed) != 0) return errc::none;
    memory.template store<word>(at.table, at.index, word{0}, order::relaxed);
    op_.template detach<Position::level - 1>(table);
    op_.changed_table(at.address, at.address + (format::shape.leaf_bytes(Position::level) - 1),
                      invalidation_reason::removed);
    ++freed;
    return errc::none;
  }

 private:
  Operation& op_;
};

}  // namespace detail

template <class Operation>
constexpr collapse_result collapse_range(Operation& op, input_range range, int largest_level) noexcept {
  detail::collapse_tables<Operation> visitor{op, range, largest_level};
  static_cast<void>(walk<(walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.made;
}

template <class Operation>
constexpr std::size_t prune_range(Operation& op, input_range range) noexcept {
  detail::prune_tables<Operation> visitor{op};
  static_cast<void>(walk<(walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.freed;
}

}  // namespace quire

// ---- quire/table/dirty.hpp ----------------------------------------------------------------------

// Reading and clearing the dirty bits that the entries themselves hold.

namespace quire {

namespace detail {

template <class Operation, class Report>
class dirty_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr dirty_leaves(Operation& op, Report& report, bool clear) noexcept
      : op_(op), report_(report), clear_(clear) {}

  bool any = false;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
      const entry_span span = group_span<format>(entry, Run::level, i);
      bool dirty = false;
      for (std::size_t k = span.first; k <= span.last; ++k) dirty = clean(run, k) || dirty;
      if (dirty) {
        any = true;
        report_(run.address(span.first), (span.last - span.first + 1) * format::shape.leaf_bytes(Run::level));
        if (clear_)
          op_.changed(run.address(span.first), run.address(span.last + 1) - 1, Run::level,
                      invalidation_reason::reduced);
      }
      i = span.last;
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr bool clean(const Run& run, std::size_t i) noexcept {
    auto& memory = op_.policies.memory;
    const word entry = memory.template load<word>(run.table, i, order::relaxed);
    if (!format::is_dirty(entry)) return false;
    if (clear_) static_cast<void>(change_entry<format>(memory, run.table, i, entry, format::make_clean));
    return true;
  }

  Operation& op_;
  Report& report_;
  bool clear_;
};

}  // namespace detail

template <class Operation, class Report>
constexpr bool take_dirty(Operation& op, input_range range, Report& report, bool clear) noexcept {
  detail::dirty_leaves<Operation, Report> visitor{op, report, clear};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.any;
}

}  // namespace quire

// ---- quire/table/found_root.hpp -----------------------------------------------------------------

// The root of a table as a session finds it when it begins, and again when it has let go in between. Whoever takes the
// table away meanwhile waits for the session: by its lock, or for the sections that were open at close().

namespace quire {

template <pte_format Format>
class found_root {
 public:
  static constexpr std::uint64_t open = 1;  // beside the root's address, in a bit of it that is 0: there is a root

  constexpr found_root() = default;  // there is none
  // Without a branch, so that who asks only one of these questions pays for no other.
  QUIRE_INLINE constexpr explicit found_root(std::uint64_t word) noexcept
      : word_(word), entries_((word & open) * Format::shape.entries(Format::shape.root_level)) {}

  [[nodiscard]] QUIRE_INLINE constexpr bool exists() const noexcept { return (word_ & open) != 0; }
  // Whether there is a root and `address` lies in its geometry: one comparison, of the index that a descent needs next.
  [[nodiscard]] QUIRE_INLINE constexpr bool reaches(input_address address) const noexcept {
    if constexpr (Format::facts.sign_extended) return exists() && is_translatable<Format>(address);
    else return address.value >> Format::shape.shift(Format::shape.root_level) < entries_;
  }
  // Errors, where it does not: no_root, beyond_input.
  [[nodiscard]] QUIRE_COLD constexpr error why_not(input_address address) const noexcept {
    if (!exists()) return {errc::no_root};
    return {errc::beyond_input, -1, address.value};
  }
  // Requires: exists().
  [[nodiscard]] QUIRE_INLINE constexpr table_address table() const noexcept { return table_address{word_ - open}; }
  // Errors: no_root.
  [[nodiscard]] QUIRE_INLINE constexpr result<table_address> get() const noexcept {
    if (!exists()) [[unlikely]]
      return errc::no_root;
    return table();
  }

 private:
  std::uint64_t word_ = 0;
  std::uint64_t entries_ = 0;  // none where there is no root: then nothing is in reach
};

}  // namespace quire

// ---- quire/table/map_leaf.hpp -------------------------------------------------------------------

// Mapping one leaf where nothing is: the common answer to a fault, by one descent and one store. What it does not
// answer is for map_range() (map.hpp) or map_concurrently() (concurrent/map.hpp), which do the same and more.

namespace quire {

namespace detail {

// For whoever is alone: what its session took away is forgotten before anything is made there.
template <pte_format Format, class P>
struct install_alone {
  using word = typename Format::word;
  static constexpr bool compares = false;
  invalidator<P>& session;

  template <class Memory>
  QUIRE_INLINE constexpr bool operator()(Memory& memory, table_address table, std::size_t i, word leaf) const noexcept {
    static_cast<void>(session.complete());
    memory.template store<word>(table, i, leaf, order::release);
    return true;
  }
};
// For a section: the exchange finds out whether the entry is absent, for nothing else can.
template <pte_format Format>
struct install_beside_others {
  using word = typename Format::word;
  static constexpr bool compares = true;

  template <class Memory>
  QUIRE_INLINE constexpr bool operator()(Memory& memory, table_address table, std::size_t i, word leaf) const noexcept {
    word absent = 0;
    return memory.template compare_exchange<word>(table, i, absent, leaf, order::acq_rel);
  }
};

}  // namespace detail

// Maps a range that is one leaf, where the entry that decides about it is absent and of that leaf's level: all that
// most faults need. False, and nothing is mapped: there is more to do, or an error, and map_range() or
// map_concurrently() knows which. The size is asked first, so that the level is a constant in what follows.
// install(memory, table, index, leaf) gives whether it wrote the entry, with release order: what is mapped is complete
// before the leaf can be followed. One that compares is not spared entries that are not absent.
template <pte_format Format, order Order, int Level = 0, class P, class Install>
[[nodiscard]] QUIRE_INLINE constexpr bool map_absent_leaf(P& policies, found_root<Format> root, invalidator<P>& session,
                                                          input_range range, output_address output,
                                                          const attributes& wanted, int largest_level,
                                                          Install install) noexcept {
  constexpr std::uint64_t bytes = Format::shape.leaf_bytes(Level);
  // What wraps has this size as well, but does not begin at a multiple of it.
  if ((Format::group_sizes(Level) & 1U) == 0 || range.last() - range.first() != bytes - 1) {
    if constexpr (Level < Format::shape.root_level)
      return map_absent_leaf<Format, Order, Level + 1>(policies, root, session, range, output, wanted, largest_level,
                                                       install);
    else return false;
  }
  if (largest_level < Level || !root.exists()) [[unlikely]]
    return false;
  if (!is_translatable<Format>(range.first()) || !range.first().is_aligned(bytes)) [[unlikely]]
    return false;
  memory_in_loop<decltype(policies.memory)> memory = policies.memory;
  const auto here = descend_to_run<Format, Level, true, Order>(memory, root.table(), range.first(), range.first());
  if (!here.found) [[unlikely]]
    return false;
  const table_address at = here.run.table;
  const std::size_t i = here.run.first;
  if (!Install::compares && memory.template load<typename Format::word>(at, i, Order) != 0) [[unlikely]]
    return false;
  const auto leaf = Format::leaf(output, wanted, Level, 0);
  if (!leaf) [[unlikely]]
    return false;
  if (wanted.allowed.contains(executable)) policies.maintenance.code_visible(output, bytes);
  if (!install(memory, at, i, *leaf)) [[unlikely]]
    return false;
  announce_install<Format>(policies, session, range);
  return true;
}

// What a session that is alone tells of a call of map() when there is more to do: in one piece of memory, which only
// that call fills. Every call of map() would make way for arguments in registers.
template <class Table, class Source>
struct map_call {
  Table& table;
  found_root<typename Table::format> root;
  input_address first;
  std::uint64_t length;  // from there to the last byte: what map_absent_leaf() has asked for
  output_address output;
  const attributes& wanted;
  Source& source;
  map_options options;
  decltype(std::declval<invalidator<typename Table::policies_type>&>().lend()) invalidations;

  [[nodiscard]] constexpr input_range range() const noexcept { return input_range::closed(first, first + length); }
};

}  // namespace quire

// ---- quire/table/reading_session.hpp ------------------------------------------------------------

// What every session can do: read. Sessions that change things derive from it.

namespace quire {

// `KeepsRoot`: begins all of its calls from the root that it found first. A session of a single call asks for it then,
// which costs fewer registers.
template <class Table, bool KeepsRoot = true>
class reading_session {
 public:
  using format = typename Table::format;
  using table_type = Table;

  // The leaf that translates `address`. Errors: no_root; those of look_up.
  [[nodiscard]] constexpr result<mapping> lookup(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) [[unlikely]]
      return root.why_not(address);
    return look_up_in_reach<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
  }
  // Where `address` leads.
  [[nodiscard]] QUIRE_INLINE constexpr result<output_address> translate(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) [[unlikely]]
      return root.why_not(address);
    return translate_in_reach<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
  }
  // The payload of the marker at `address`. Errors: no_root, beyond_input; not_mapped where there is none.
  [[nodiscard]] constexpr result<std::uint64_t> annotation(input_address address) noexcept {
    const auto root = reach();
    if (!root.reaches(address)) return root.why_not(address);
    const auto found = descend<format, Table::locking::reader_order>(table_->policies().memory, root.table(), address);
    if (format::kind_of(found.entry, found.level) != entry_kind::marker)
      return error{errc::not_mapped, static_cast<std::int8_t>(found.level), address.value};
    return format::payload_of(found.entry);
  }
  // Calls function(mapping) for every leaf that overlaps the range, in ascending order; a function that gives false
  // ends it with errc::stopped.
  template <class Function>
  constexpr result<void> for_each_mapping(input_range range, Function&& function) {
    const auto root = reach().get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    auto& memory = table_->policies().memory;
    detail::each_mapping<format, std::remove_reference_t<decltype(memory)>, std::remove_reference_t<Function>> visitor{
        memory, function};
    return walk<(walk_flag::leaf | walk_flag::shared | walk_flag::stop_on_retry), format>(memory, *root, range,
                                                                                          visitor);
  }
  // The tables themselves, for whoever reads in other ways (views/, a dump) as long as the session lasts. Errors:
  // no_root.
  [[nodiscard]] constexpr result<table_address> root() const noexcept { return reach().get(); }
  [[nodiscard]] constexpr auto& memory() const noexcept { return table_->policies().memory; }

 protected:
  constexpr explicit reading_session(Table& table) noexcept : table_(&table) {}
  // Once the session has what keeps the root from going, its lock or its section.
  QUIRE_INLINE constexpr void find_root() noexcept
    requires KeepsRoot
  {
    root_ = table_->find_root();
  }
  [[nodiscard]] QUIRE_INLINE constexpr found_root<format> reach() const noexcept {
    if constexpr (KeepsRoot) return root_;
    else return table_->find_root();
  }

  Table* table_;

 private:
  struct nothing {};
  [[no_unique_address]] std::conditional_t<KeepsRoot, found_root<format>, nothing> root_{};
};

}  // namespace quire

// ---- quire/table/split.hpp ----------------------------------------------------------------------

// Splitting: a leaf becomes a table of smaller leaves with the same translation and every attribute kept.
//
// Order. The new tables are complete before they are published: by one release store, or compare-exchange where the
// hardware may add accessed or dirty meanwhile (then the children are written again). With break-before-make up to
// `batch` leaves of a table are built, then all broken (-> locked), then invalidated once, then made; what the hardware
// added until the break is carried into the children.

namespace quire {

// What a split did. `out_of_memory`: it stopped at `stopped_at`, all before it is split; the table is whole.
struct split_result {
  std::size_t leaves = 0;  // leaves that became tables
  std::size_t tables = 0;  // tables taken
  bool out_of_memory = false;
  input_address stopped_at{};
};

// A leaf, and the entry that links the subtree which is to take its place.
template <class Word>
struct split_work {
  std::size_t index;
  Word entry;
  Word link;
  int target;
};

// Turns groups into single leaves, keeping translation and attributes; accessed and dirty of the group go to each.
template <int Level, pte_format Format, class P>
constexpr void break_group(operation<Format, P>& op, table_address table, std::uint64_t base,
                           entry_span span) noexcept {
  using word = typename Format::word;
  auto& memory = op.policies.memory;
  const auto address = [&](std::size_t i) {
    return input_address{base + (std::uint64_t{i} << Format::shape.shift(Level))};
  };
  const word sample = memory.template load<word>(table, span.first, order::relaxed);
  attributes kept = Format::attributes_of(sample, Level);
  const output_address output = Format::output_of(sample, Level);
  const auto collect = [&](word entry) {
    kept.accessed = kept.accessed || Format::is_accessed(entry);
    kept.dirty = kept.dirty || (Format::facts.has_dirty && Format::is_dirty(entry));
  };
  const auto single = [&]() { return *Format::leaf(output, kept, Level, 0); };  // a part of an encodable leaf
  const word step = Format::step(Level, 0);
  if constexpr (operation<Format, P>::breaks) {
    for (std::size_t i = span.first; i <= span.last; ++i)
      collect(memory.template exchange<word>(table, i, Format::locked, order::acq_rel));
    op.invalidate_now(address(span.first), address(span.last + 1) - 1, Level, true);
    const word first = single();
    for (std::size_t i = span.first; i <= span.last; ++i)
      memory.template store<word>(table, i, static_cast<word>(first + (i - span.first) * step), order::release);
    op.policies.maintenance.published();
    // `locked` may have been cached as "not mapped" since it was invalidated.
    if constexpr (Format::facts.caches_invalid)
      op.changed(address(span.first), address(span.last + 1) - 1, Level, invalidation_reason::installed);
  } else {
    // Entries are rewritten one by one; a bit that the hardware sets in a later one after an earlier one was written is
    // found by the exchange and given to all in a second round.
    for (std::size_t i = span.first; i <= span.last; ++i) collect(memory.template load<word>(table, i, order::relaxed));
    attributes written;
    do {
      written = kept;
      const word first = single();
      for (std::size_t i = span.first; i <= span.last; ++i)
        collect(memory.template exchange<word>(table, i, static_cast<word>(first + (i - span.first) * step),
                                               order::acq_rel));
    } while (written != kept);
    op.changed(address(span.first), address(span.last + 1) - 1, Level, invalidation_reason::resized);
  }
}

// Publishes the subtrees of `work` (n of them, one table) in place of their leaves. Gives the last table entry.
template <int Level, pte_format Format, class P>
constexpr typename Format::word publish_splits(operation<Format, P>& op, table_address table, std::uint64_t base,
                                               split_work<typename Format::word>* work, int n) noexcept {
  using word = typename Format::word;
  auto& memory = op.policies.memory;
  constexpr int shift = Format::shape.shift(Level);
  const auto address = [&](std::size_t i) { return input_address{base + (std::uint64_t{i} << shift)}; };
  word last{};
  if constexpr (operation<Format, P>::breaks) {
    for (int k = 0; k < n; ++k) {
      const word seen = memory.template exchange<word>(table, work[k].index, Format::locked, order::acq_rel);
      if (seen != work[k].entry)
        rewrite_subtree<Level>(op, Format::table_of(work[k].link, Level), seen, work[k].target);
    }
    op.invalidate_now(address(work[0].index), address(work[n - 1].index + 1) - 1, Level, true);
    for (int k = 0; k < n; ++k) {
      last = work[k].link;
      memory.template store<word>(table, work[k].index, last, order::release);
      if constexpr (Format::facts.caches_invalid)
        op.changed(address(work[k].index), address(work[k].index + 1) - 1, Level, invalidation_reason::installed);
    }
    op.policies.maintenance.published();
  } else {
    for (int k = 0; k < n; ++k) {
      last = work[k].link;
      word seen = work[k].entry;
      if (!hardware_may_write<Format>(seen)) memory.template store<word>(table, work[k].index, last, order::release);
      else
        while (!memory.template compare_exchange<word>(table, work[k].index, seen, last, order::acq_rel))
          rewrite_subtree<Level>(op, Format::table_of(last, Level), seen, work[k].target);
      op.changed(address(work[k].index), address(work[k].index + 1) - 1, Level, invalidation_reason::resized);
    }
  }
  return last;
}

// The first entry from `i` to `last` that is no table, or the one after `last`. Alone with what it needs, in registers.
template <int Level, pte_format Format, order Order = order::relaxed, class Memory>
[[nodiscard, gnu::noinline]] constexpr std::size_t skip_tables(Memory& of, table_address table, std::size_t i,
                                                               std::size_t last) noexcept {
  using word = typename Format::word;
  memory_in_loop<Memory> memory = of;
  for (; i <= last; ++i)
    if (Format::kind_of(memory.template load<word>(table, i, Order), Level) != entry_kind::table) [[unlikely]]
      return i;
  return i;
}

// Visitor: splits every leaf above `target` that overlaps the range, and breaks groups at or above it. A leaf wholly
// inside the range goes down to `target` in one piece when `source` has the tables for it, else one level at a time; a
// leaf that reaches out of the range goes one level at a time, along the range only.
template <class Operation, class Source>
class split_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr split_leaves(Operation& op, Source& source, input_range range, int target) noexcept
      : op_(op), source_(source), range_(range), target_(target) {}

  [[nodiscard]] constexpr const split_result& result() const noexcept { return result_; }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if (Run::level < target_) return run_stop<word>::done();
    return leaves(run, op_.policies.memory.template load<word>(run.table, run.first, order::relaxed));
  }
  // The same where the first entry has been read. Requires: a level that is not below `target`.
  template <class Run>
  constexpr run_stop<word> leaves(const Run& run, word entry) noexcept {
    auto& memory = op_.policies.memory;
    const auto next = [&](std::size_t i) {
      return i <= run.last ? memory.template load<word>(run.table, i, order::relaxed) : word{0};
    };
    split_work<word> work[Operation::batch];
    int n = 0;
    const auto publish = [&]() { return publish_splits<Run::level>(op_, run.table, run.base, work, n); };
    for (std::size_t i = run.first; i <= run.last; entry = next(++i)) {
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) {
        if constexpr (Run::passes_tables) {
          i = skip_tables<Run::level, format>(memory, run.table, i + 1, run.last) - 1;
          continue;
        } else {
          if (n != 0) publish();
          return run_stop<word>::at_table(i, entry);
        }
      }
      if (kind != entry_kind::leaf) continue;
      if constexpr (has_groups<format>) {
        if (format::group_of(entry, Run::level) != 0) {
          break_group<Run::level>(op_, run.table, run.base, group_span<format>(entry, Run::level, i));
          entry = memory.template load<word>(run.table, i, order::relaxed);
        }
      }
      if constexpr (Run::level > 0) {
        if (Run::level == target_) continue;
        const bool inside = range_.first() <= run.address(i) && run.address(i + 1) - 1 <= range_.last();
        const bool whole = inside && source_.reserve(tables_to_split<format>(Run::level, target_));
        const int target = whole ? target_ : Run::level - 1;
        if (!whole && !source_.reserve(1)) {
          if (n != 0) publish();
          return out_of_memory(run, i);
        }
        work[n++] = {i, entry, build_subtree<Run::level>(op_, source_, entry, target).link(), target};
        ++result_.leaves;
        result_.tables += tables_to_split<format>(Run::level, target);
        if (target != target_ && !Run::passes_tables) {
          const word made = publish();
          return run_stop<word>::made_table(i, made);
        }
        if (n == Operation::batch) {
          publish();
          n = 0;
        }
      }
    }
    if constexpr (Run::level > 0) {
      if (n != 0) publish();
    }
    return run_stop<word>::done();
  }

 private:
  template <class Run>
  constexpr run_stop<word> out_of_memory(const Run& run, std::size_t i) noexcept {
    result_.out_of_memory = true;
    result_.stopped_at = run.address(i);
    return run_stop<word>::failed(i, errc::no_memory);
  }

  Operation& op_;
  Source& source_;
  input_range range_;
  int target_;
  split_result result_{};
};

// Splits every leaf above `target` in the range. `Skip`: levels whose entries need not be looked at, since a table at
// the level above says that they are split already.
template <walk_flags Skip, class Operation, class Source>
constexpr split_result split_range(Operation& op, Source& source, input_range range, int target) noexcept {
  split_leaves<Operation, Source> visitor{op, source, range, target};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry | Skip), typename Operation::format>(
      op.policies.memory, op.root, range, visitor));
  return visitor.result();
}

// The same for a range inside one entry of level 1, which is in `table` and reads `entry`.
template <class Operation, class Source>
constexpr split_result split_entry(Operation& op, Source& source, table_address table, typename Operation::word entry,
                                   input_range range, int target) noexcept {
  using format = typename Operation::format;
  split_leaves<Operation, Source> visitor{op, source, range, target};
  const std::uint64_t first = range.first().value;
  const std::size_t i = format::shape.index(first, 1);
  const entry_run<format, 1, true> run{table, first & ~format::shape.table_last_offset(1), i, i};
  if (target <= 1) static_cast<void>(visitor.leaves(run, entry));
  return visitor.result();
}

// The levels that an eager split down to pages may skip: level 0, unless it has groups to break.
template <pte_format Format>
inline constexpr walk_flags split_skips = (Format::group_sizes(0) & ~1U) == 0 ? walk_flag::skip_level<0> : walk_flags{};

// ---- boundaries: no leaf may straddle the byte at `boundary`.

// Whether a leaf (or group) reaches over `boundary`, and the tables that splitting it there takes at most.
struct boundary_need {
  bool straddled = false;
  std::size_t tables = 0;
};

template <class Operation>
[[nodiscard]] constexpr boundary_need needs_at_boundary(Operation& op, input_address boundary) noexcept {
  using format = typename Operation::format;
  if (!is_translatable<format>(boundary)) return {};
  const auto found = descend<format, order::relaxed>(op.policies.memory, op.root, boundary);
  if (format::kind_of(found.entry, found.level) != entry_kind::leaf) return {};
  boundary_need need;
  for (int level = found.level; level > 0 && !boundary.is_aligned(format::shape.leaf_bytes(level)); --level)
    ++need.tables;
  need.straddled = need.tables != 0 || group_span<format>(found.entry, found.level, found.index).first != found.index;
  return need;
}

// Visitor over one page: splits, one level at a time, until a leaf begins at the page.
template <class Operation, class Source>
class split_at_boundary {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr split_at_boundary(Operation& op, Source& source, input_address boundary) noexcept
      : op_(op), source_(source), boundary_(boundary) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    const std::size_t i = run.first;
    word entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
    const entry_kind kind = format::kind_of(entry, Run::level);
    if (kind == entry_kind::table) return run_stop<word>::at_table(i, entry);
    if (kind != entry_kind::leaf) return run_stop<word>::done();
    if constexpr (has_groups<format>) {
      const entry_span span = group_span<format>(entry, Run::level, i);
      if (span.first != span.last && run.address(span.first) != boundary_) {
        break_group<Run::level>(op_, run.table, run.base, span);
        entry = op_.policies.memory.template load<word>(run.table, i, order::relaxed);
      }
    }
    if constexpr (Run::level > 0) {
      if (run.address(i) == boundary_) return run_stop<word>::done();
      split_work<word> work{i, entry, build_subtree<Run::level>(op_, source_, entry, Run::level - 1).link(),
                            Run::level - 1};
      return run_stop<word>::made_table(i, publish_splits<Run::level>(op_, run.table, run.base, &work, 1));
    } else return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  input_address boundary_;
};

// Requires: what needs_at_boundary() says reserved at `source`.
template <class Operation, class Source>
QUIRE_COLD constexpr void make_boundary(Operation& op, Source& source, input_address boundary) noexcept {
  using format = typename Operation::format;
  split_at_boundary<Operation, Source> visitor{op, source, boundary};
  static_cast<void>(walk<(walk_flag::leaf | walk_flag::stop_on_retry), format>(op.policies.memory, op.root,
                                                                               page_of<format>(boundary), visitor));
}

// Part of a leaf: split it (needs tables; nothing outside the range changes), take the whole leaf (never allocates; the
// result says what was really covered), or refuse.
enum class partial : unsigned char { split, whole, error };

// Makes both ends of the range leaf boundaries as `part` says. Errors, before anything is changed: crosses_leaf,
// no_memory.
template <class Operation, class Source>
constexpr result<void> settle_ends(Operation& op, Source& source, input_range range, partial part) noexcept {
  if (part == partial::whole) return {};
  const input_address ends[] = {range.first(), range.last() + 1};
  std::size_t tables = 0;
  for (const input_address end : ends) {
    const boundary_need need = needs_at_boundary(op, end);
    if (part == partial::error && need.straddled) return error{errc::crosses_leaf, -1, end.value};
    tables += need.tables;
  }
  if (!source.reserve(tables)) return error{errc::no_memory, -1, range.first().value};
  for (const input_address end : ends) {
    if (needs_at_boundary(op, end).straddled) make_boundary(op, source, end);
  }
  return {};
}

}  // namespace quire

// ---- quire/table/unmap.hpp ----------------------------------------------------------------------

// Taking mappings away: unmap reads every leaf and says what was there, discard detaches whole tables unread.

namespace quire {

// What unmap found: leaves (a group counts once per entry), whether any had been accessed or written, and the range
// whose translations are gone.
struct unmap_result {
  std::uint64_t entries = 0;
  bool accessed = false;
  bool dirty = false;
  input_range covered;
};

// One leaf entry that unmap took away. Of a group every entry is as accessed and dirty as the whole.
struct removed_leaf {
  input_address address;
  output_address output;
  std::uint64_t bytes;
  attributes was;
};

// A function of a removed_leaf, or nullptr: nobody asks.
template <class R>
concept removal_report =
    std::is_null_pointer_v<std::remove_cvref_t<R>> || requires(R& report, const removed_leaf& leaf) { report(leaf); };

namespace detail {

// Leaves of one table that were taken away, gathered where a loop has them in registers.
struct taken_leaves {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t entries = 0;
  bool accessed = false;
  bool dirty = false;

  // In ascending order.
  QUIRE_INLINE constexpr void add(entry_span span, bool was_accessed, bool was_dirty) noexcept {
    if (entries == 0) first = span.first;
    last = span.last;
    entries += span.last - span.first + 1;
    accessed = accessed || was_accessed;
    dirty = dirty || was_dirty;
  }
  // `from`, `to`: the first byte of entry `first` and the last of entry `last`. Requires: entries != 0.
  constexpr void add_to(unmap_result& found, input_address from, input_address to) const noexcept {
    found.entries += entries;
    found.accessed = found.accessed || accessed;
    found.dirty = found.dirty || dirty;
    const input_range& covered = found.covered;
    found.covered =
        input_range::closed(from < covered.first() ? from : covered.first(), covered.last() < to ? to : covered.last());
  }
};

// Takes a table entry away, and its table out of the tree, where the range covers all that it translates.
template <class Operation, class Position>
constexpr void unlink_covered(Operation& op, input_range range, const Position& at) noexcept {
  using format = typename Operation::format;
  using word = typename format::word;
  const input_address last = at.address + (format::shape.leaf_bytes(Position::level) - 1);
  if (!(range.first() <= at.address && last <= range.last())) return;
  op.policies.memory.template store<word>(at.table, at.index, word{0}, order::relaxed);
  op.template detach<Position::level - 1>(format::table_of(at.entry, Position::level));
  op.changed_table(at.address, last, invalidation_reason::removed);
}

// Visitor of unmap: clears leaves and markers, then unlinks the tables that the range covers wholly.
template <class Operation, class Report>
class unmap_leaves {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool reports_each = !std::is_same_v<Report, std::nullptr_t>;

 public:
  constexpr unmap_leaves(Operation& op, input_range range, Report& report) noexcept
      : op_(op), range_(range), report_(report), found{.covered = range} {}

 private:
  Operation& op_;
  input_range range_;
  Report& report_;

 public:
  unmap_result found;

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && Run::level < format::shape.root_level && !reports_each) {
      if (run.first == 0 && run.last + 1 == format::shape.entries(0) && goes_unwritten(run))
        return run_stop<word>::done();
    }
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    std::size_t last = run.last;
    std::size_t i = run.first;
    if constexpr (has_groups<format>) {  // `whole`: a group is one leaf
      i = group_span<format>(memory.template load<word>(run.table, i, order::relaxed), Run::level, i).first;
      last = group_span<format>(memory.template load<word>(run.table, last, order::relaxed), Run::level, last).last;
    }
    taken_leaves taken;
    auto stop = run_stop<word>::done();
    for (; i <= last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (entry == 0) continue;
      const entry_kind kind = format::kind_of(entry, Run::level);
      if constexpr (Run::level > 0) {
        if (kind == entry_kind::table) {
          stop = run_stop<word>::at_table(i, entry);
          break;
        }
      }
      if (kind == entry_kind::leaf) {
        i = remove(run, i, entry, taken);
      } else {
        memory.template store<word>(run.table, i, word{0}, order::relaxed);
      }
    }
    if (taken.entries != 0) note(run, taken);
    return stop;
  }
  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    unlink_covered(op_, range_, at);
    return errc::none;
  }

 private:
  // Whether a whole table of pages can go as it is, for table_post() to unlink: all entries are leaves that the
  // hardware no longer writes, so that what they say now is the last that they say, and they are alike enough to say it
  // together.
  template <class Run>
  constexpr bool goes_unwritten(const Run& run) noexcept {
    const auto bits = gather_entries<format>(op_.policies.memory, run.table, run.first, run.last);
    if (!bits.all(format::set_accessed.applies_to) || hardware_may_write<format>(bits.every)) return false;
    if (!bits.decides(format::is_accessed) || !bits.decides(format::is_dirty)) return false;
    taken_leaves taken;
    taken.add({run.first, run.last}, !bits.none(format::is_accessed), !bits.none(format::is_dirty));
    note(run, taken);
    return true;
  }
  // Takes the leaf away that begins at entry `i`, all of a group; gives its last entry.
  template <class Run>
  QUIRE_INLINE constexpr std::size_t remove(const Run& run, std::size_t i, word entry, taken_leaves& taken) noexcept {
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    const entry_span span = group_span<format>(entry, Run::level, i);
    bool accessed = false, dirty = false;
    for (std::size_t k = i;; ++k) {
      const word was = replace_entry<format>(memory, run.table, k, entry, word{0});
      accessed = accessed || format::is_accessed(was);
      dirty = dirty || (format::facts.has_dirty && format::is_dirty(was));
      if (k == span.last) break;
      entry = memory.template load<word>(run.table, k + 1, order::relaxed);
    }
    taken.add({i, span.last}, accessed, dirty);
    if constexpr (reports_each) report(run, i, span.last, entry, accessed, dirty);
    return span.last;
  }
  template <class Run>
  constexpr void report(const Run& run, std::size_t first, std::size_t last, word was, bool accessed,
                        bool dirty) noexcept {
    attributes attrs = format::attributes_of(was, Run::level);
    attrs.accessed = accessed;
    attrs.dirty = dirty;
    const std::uint64_t bytes = format::shape.leaf_bytes(Run::level);
    const output_address output = format::output_of(was, Run::level);
    for (std::size_t k = first; k <= last; ++k)
      report_(removed_leaf{run.address(k), output + (k - first) * bytes, bytes, attrs});
  }
  template <class Run>
  constexpr void note(const Run& run, const taken_leaves& taken) noexcept {
    const input_address first = run.address(taken.first), last = run.address(taken.last + 1) - 1;
    taken.add_to(found, first, last);
    op_.changed(first, last, Run::level, invalidation_reason::removed);
  }
};

// Visitor of discard: unlinks wholly covered tables before anything below them is read; clears leaves elsewhere.
template <class Operation>
class discard_leaves {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr discard_leaves(Operation& op, input_range range) noexcept : op_(op), range_(range) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    std::size_t i = run.first, last = run.last;
    if constexpr (has_groups<format>) {
      i = group_span<format>(memory.template load<word>(run.table, i, order::relaxed), Run::level, i).first;
      last = group_span<format>(memory.template load<word>(run.table, last, order::relaxed), Run::level, last).last;
    }
    for (; i <= last; ++i) {
      const word entry = memory.template load<word>(run.table, i, order::relaxed);
      if (entry == 0) continue;
      if constexpr (Run::level > 0) {
        if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
      }
      memory.template store<word>(run.table, i, word{0}, order::relaxed);
      op_.changed(run.address(i), run.address(i + 1) - 1, Run::level, invalidation_reason::removed);
    }
    return run_stop<word>::done();
  }
  template <class Position>
  constexpr errc table_pre(const Position& at) noexcept {
    unlink_covered(op_, range_, at);
    return errc::none;
  }

 private:
  Operation& op_;
  input_range range_;
};

}  // namespace detail

template <class Operation, class Report>
constexpr unmap_result unmap_range(Operation& op, input_range range, Report& report) noexcept {
  detail::unmap_leaves<Operation, Report> visitor{op, range, report};
  static_cast<void>(
      walk<(walk_flag::leaf | walk_flag::table_post | walk_flag::stop_on_retry), typename Operation::format>(
          op.policies.memory, op.root, range, visitor));
  return visitor.found;
}

template <class Operation>
constexpr void discard_range(Operation& op, input_range range) noexcept {
  detail::discard_leaves<Operation> visitor{op, range};
  static_cast<void>(
      walk<(walk_flag::leaf | walk_flag::table_pre | walk_flag::stop_on_retry), typename Operation::format>(
          op.policies.memory, op.root, range, visitor));
}

}  // namespace quire

// ---- quire/table/replace.hpp --------------------------------------------------------------------

// All that map() of an exclusive holder may have to do: what is in the way goes first, if that is asked for.

namespace quire {

// Room for the new mapping is reserved, then what overlaps it goes, to be forgotten before anything is made there.
// Errors, before anything is changed: those of check_mapping; no_memory.
template <class Operation, class Source, class Report>
[[gnu::noinline]] constexpr result<void> take_away(Operation& op, Source& source, input_range range,
                                                   output_address output, const attributes& wanted,
                                                   const map_options& options, Report& report) noexcept {
  using format = typename Operation::format;
  if (const auto legal = check_mapping<format>(range, output, wanted, options); !legal) return legal;
  std::size_t tables = tables_needed<format>(range, output, options);
  for (const input_address end : {range.first(), range.last() + 1}) tables += needs_at_boundary(op, end).tables;
  if (!source.reserve(tables)) return error{errc::no_memory, -1, range.first().value};
  if (const auto settled = settle_ends(op, source, range, partial::split); !settled) return settled;
  static_cast<void>(unmap_range(op, range, report));
  op.finish();
  return {};
}

// Maps the range. What an earlier operation of the session took away, or this one, is forgotten before anything is made
// there. Errors: those of take_away, if options.replace; those of map_range.
template <class Operation, class P, class Source, class Report>
constexpr result<void> map_over(Operation& op, invalidator<P>& invalidations, Source& source, input_range range,
                                output_address output, const attributes& wanted, const map_options& options,
                                Report& report) noexcept {
  static_cast<void>(invalidations.complete());
  if (options.replace) {
    const auto replaced = take_away(op, source, range, output, wanted, options, report);
    if (!replaced) return replaced;
    static_cast<void>(invalidations.complete());
  }
  const auto done = map_range(op, source, range, output, wanted, options);
  if (done) op.finish_install(range);
  return done;
}

}  // namespace quire

// ---- quire/table/session.hpp --------------------------------------------------------------------

// The exclusive session: every operation of a table, for whoever holds its lock alone. (What the read side may do is in
// shared_session.hpp.) When it ends it completes the invalidations it owes and then unlocks: no change that takes
// something away outlives the lock unannounced.
//
// Every operation checks its input first; an error names the address and changes nothing. Operations that may take
// tables accept a source for them (a cache topped up outside the lock); without one they use Policies::tables.

namespace quire {

template <class Table, class Lock>
class exclusive_session : public reading_session<Table> {
  using base = reading_session<Table>;
  using base::table_;
  using policies_type = typename Table::policies_type;
  using operation_type = operation<typename Table::format, policies_type>;
  using word = typename Table::format::word;

 public:
  using format = typename Table::format;

  QUIRE_INLINE constexpr exclusive_session(Table& table, Lock* lock, bool take) noexcept
      : base(table), lock_(lock), taken_(take), invalidations_(table.policies()) {
    if (taken_) lock_->lock();
    this->find_root();
  }
  exclusive_session(const exclusive_session&) = delete;
  exclusive_session& operator=(const exclusive_session&) = delete;
  QUIRE_INLINE constexpr ~exclusive_session() {
    complete();
    if (taken_) lock_->unlock();
  }

  // Maps `range` to the addresses from `output` on. Over an existing mapping: the same output and memory type with at
  // least these rights is success and changes nothing; missing rights are added; anything else is already_mapped unless
  // options.replace: then it is taken away as unmap does, report(removed_leaf) for each leaf entry if given, forgotten
  // by every cache, and the new mapping made. All or nothing. Errors: map.hpp.
  template <table_source Source, removal_report Report = std::nullptr_t>
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          Source& source, map_options options = {},
                                          Report&& report = nullptr) noexcept {
    if (!options.replace && map_absent_leaf<format, order::relaxed>(
                                table_->policies(), this->reach(), invalidations_, range, output, wanted,
                                options.largest_level, detail::install_alone<format, policies_type>{invalidations_}))
        [[likely]]
      return {};
    map_call<Table, Source> call{*table_, this->reach(), range.first(), range.last() - range.first(), output,
                                 wanted,  source,        options,       invalidations_.lend()};
    const auto done = map_any<Source, Report>(call, static_cast<Report&&>(report));
    invalidations_.go_on_as(call.invalidations);
    return done;
  }
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          map_options options = {}) noexcept {
    return map(range, output, wanted, table_->policies().tables, options);
  }

  // Takes mappings and annotations away and says what was there; report(removed_leaf) for each leaf entry if given.
  // Tables that become unused because the range covers them are freed after the invalidation. Errors, before anything
  // is changed: crosses_leaf, no_memory.
  template <table_source Source, removal_report Report>
  constexpr result<unmap_result> unmap(input_range range, partial part, Source& source, Report&& report) noexcept {
    return with(range, [&](operation_type& op) -> result<unmap_result> {
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled.error();
      const unmap_result found = unmap_range(op, range, report);
      op.finish();
      return found;
    });
  }
  template <table_source Source>
  constexpr result<unmap_result> unmap(input_range range, partial part, Source& source) noexcept {
    return unmap(range, part, source, nullptr);
  }
  constexpr result<unmap_result> unmap(input_range range, partial part = partial::split) noexcept {
    return unmap(range, part, table_->policies().tables, nullptr);
  }

  // As unmap, without looking: accessed and dirty are lost, whole tables are detached unread.
  template <table_source Source>
  constexpr result<void> discard(input_range range, partial part, Source& source) noexcept {
    return with(range, [&](operation_type& op) -> result<void> {
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled;
      discard_range(op, range);
      op.finish();
      return {};
    });
  }
  constexpr result<void> discard(input_range range, partial part = partial::split) noexcept {
    return discard(range, part, table_->policies().tables);
  }

  // Gives every leaf in the range exactly these rights; holes stay holes. Taking the write permission away takes
  // may_write with it. Gives whether anything changed. Errors, before anything is changed: unsupported_attribute,
  // crosses_leaf, no_memory. `report` as for write_protect.
  template <table_source Source, class Report = const nothing_reported>
  constexpr result<bool> protect(input_range range, permissions rights, partial part, Source& source,
                                 Report& report = ignore) noexcept {
    static_assert(!protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
                  "with this format protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    const auto change = format::protect(rights);
    if (!change) return error{change.error().code, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<bool> {
      if (change->applies_to != format::set_accessed.applies_to) {  // not every leaf can have these rights
        if (const error found = find_misfit(op, range, *change); found.code != errc::none) return found;
      }
      const auto settled = settle_ends(op, source, range, part);
      if (!settled) return settled.error();
      return change_everywhere(op, every_page{range}, *change, invalidation_reason::reduced, report);
    });
  }
  constexpr result<bool> protect(input_range range, permissions rights, partial part = partial::split) noexcept {
    return protect(range, rights, part, table_->policies().tables);
  }

  // Takes the write permission from every leaf that overlaps the range, whole leaves, and leaves may_write alone. Never
  // allocates. Gives whether anything changed. report(address, bytes): leaves whose dirty state this took along.
  template <class Report = const nothing_reported>
  constexpr result<bool> write_protect(input_range range, Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(range, report));
  }
  // The same for the pages of a mask: bit b is the page b pages after `first`. A block with a page in the mask is
  // protected whole.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<bool> write_protect(input_address first, std::uint64_t mask,
                                                    Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(first, mask, report));
  }
  // The same for whoever splits next: says as well whether there is nothing to split, if it is known.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_range range,
                                                                       Report& report = ignore) noexcept {
    return write_protecting(every_page{range}, report);
  }
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_address first, std::uint64_t mask,
                                                                       Report& report = ignore) noexcept {
    if (mask == 0) return change_outcome{.any = false, .is_split = true};
    return write_protecting(masked_pages<format>{first, mask}, report);
  }

  // Gives the write permission back to every leaf in the range that has may_write: the end of tracking. Gives whether
  // anything changed.
  constexpr result<bool> restore_write(input_range range) noexcept {
    return any_of(changing<restore_write_change<format>>(every_page{range}, invalidation_reason::relaxed, ignore));
  }

  // Adds rights to the whole leaf that translates `address`; with the write permission also may_write, so the caller
  // must know that the page behind it may be written. Success when they are there already. Errors: not_mapped, marked,
  // busy, unsupported_attribute.
  constexpr result<void> relax(input_address address, permissions rights) noexcept {
    const auto change = format::relax(rights);
    if (!change) return error{change.error().code, -1, address.value};
    const input_range page = page_of<format>(address);
    return with(page, [&](operation_type& op) -> result<void> {
      const auto found = this->lookup(address);
      if (!found) return found.error();
      if (change_everywhere(op, every_page{page}, *change, invalidation_reason::relaxed, ignore)) return {};
      if (!found->attrs.allowed.contains(rights))  // no leaf of this kind can have them: execution of device memory
        return error{errc::unsupported_attribute, static_cast<std::int8_t>(found->level), address.value};
      table_->policies().invalidation.local(
          {found->input, found->input + (found->bytes - 1), found->level, true, invalidation_reason::relaxed});
      return {};
    });
  }

  // Sets the accessed bit of every leaf that overlaps the range: the answer to a fault of hardware that does not set it
  // itself. Gives whether any was clear.
  constexpr result<bool> set_accessed(input_range range) noexcept {
    const nothing_reported none;
    return any_of(changing<format::set_accessed>(every_page{range}, invalidation_reason::relaxed, none));
  }
  // Clears the accessed bit of every leaf that overlaps the range; gives whether any was set.
  constexpr result<bool> test_and_clear_accessed(input_range range) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    const nothing_reported none;
    return any_of(changing<format::clear_accessed>(every_page{range}, invalidation_reason::reduced, none));
  }
  // Calls report(address, bytes) for every leaf entry (a group: all of it) that is dirty, and makes it clean if
  // `clear`.
  template <class Report>
  constexpr result<bool> read_and_clear_dirty(input_range range, Report&& report, bool clear = true) noexcept {
    static_assert(format::facts.has_dirty, "this format has no dirty bit: track writes by write_protect()");
    return with(range, [&](operation_type& op) -> result<bool> {
      const bool any = take_dirty(op, range, report, clear);
      op.finish();
      return any;
    });
  }

  // Splits every leaf above `target` that overlaps the range, and breaks groups down to it. Runs out of memory quietly:
  // all that was split stays split, the result says where it stopped. `Skip`: split_skips, or {} to look at every
  // entry.
  template <walk_flags Skip = split_skips<typename Table::format>, table_source Source>
  QUIRE_INLINE constexpr result<split_result> split(input_range range, int target, Source& source) noexcept {
    static_assert((Skip.skipped & ~split_skips<format>.skipped) == 0,
                  "a split may skip only the levels of split_skips: leaves of others would stay as they are");
    if (target < 0 || target > format::shape.root_level || (format::group_sizes(target) & 1U) == 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(target), range.first().value};
    if constexpr (Skip.skips(0) && format::shape.root_level > 0) {
      const auto root = this->reach();
      if (root.exists() && is_sound<format>(range) && is_within_leaf<format, 1>(range)) [[likely]] {
        auto& memory = table_->policies().memory;
        const auto here = descend_to_run<format, 1, true>(memory, root.table(), range.first(), range.last());
        if (here.found) [[likely]] {
          const word entry = memory.template load<word>(here.run.table, here.run.first, order::relaxed);
          if (format::kind_of(entry, 1) == entry_kind::table) [[likely]]
            return split_result{};  // one table of pages has it all
          decltype(auto) invalidations = invalidations_.lend();
          const auto done = split_found(*table_, invalidations, root.table().value, here.run.table.value, entry, range,
                                        target, source);
          invalidations_.go_on_as(invalidations);
          return done;
        }
      }
    }
    decltype(auto) invalidations = invalidations_.lend();
    const auto done = split_by_walk<Skip>(*table_, this->reach(), invalidations, range, target, source);
    invalidations_.go_on_as(invalidations);
    return done;
  }
  constexpr result<split_result> split(input_range range, int target = 0) noexcept {
    return split(range, target, table_->policies().tables);
  }

  // Makes one leaf, of at most `largest_level`, of every table wholly inside the range whose leaves continue one
  // another with equal attributes; accessed and dirty become the OR. Caller must: know that the memory behind it is one
  // piece and that nobody tracks it by pages.
  constexpr result<collapse_result> collapse(input_range range, int largest_level = 7) noexcept {
    return with(range, [&](operation_type& op) -> result<collapse_result> {
      const collapse_result made = collapse_range(op, range, largest_level);
      op.finish();
      return made;
    });
  }
  // Frees tables in the range that have no entries. Gives how many.
  constexpr result<std::size_t> prune(input_range range) noexcept {
    return with(range, [&](operation_type& op) -> result<std::size_t> {
      const std::size_t freed = prune_range(op, range);
      op.finish();
      return freed;
    });
  }

  // Writes a marker with `payload` (facts.marker_bits bits) over a range in which nothing is mapped; unmap takes it
  // away. All or nothing. Errors: already_mapped, marked, no_memory; unsupported_attribute for a payload that does not
  // fit.
  template <table_source Source>
  constexpr result<void> annotate(input_range range, std::uint64_t payload, Source& source) noexcept {
    if (payload >> format::facts.marker_bits != 0) return error{errc::unsupported_attribute, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<void> { return annotate_range(op, source, range, payload); });
  }
  constexpr result<void> annotate(input_range range, std::uint64_t payload) noexcept {
    return annotate(range, payload, table_->policies().tables);
  }

  // Sees every invalidation through that this session owes.
  QUIRE_INLINE constexpr void complete() noexcept { static_cast<void>(invalidations_.complete()); }

  // The lock-drop contract. When the yield policy or a contended lock asks for it, or `now`: complete the
  // invalidations, unlock, pause, refill() (top caches up; may sleep), lock. Gives whether the table still has its
  // root; a caller that goes on starts from it, and must have made progress since it last asked.
  template <class Refill>
  constexpr bool let_go(bool now, Refill&& refill) noexcept {
    auto& yield = table_->policies().yield;
    bool asked = now || yield.should_yield();
    if constexpr (requires(Lock& l) { l.is_contended(); }) asked = asked || (lock_ != nullptr && lock_->is_contended());
    if (asked) {
      complete();
      if (lock_ != nullptr) lock_->unlock();
      yield.pause();
      refill();
      if (lock_ != nullptr) lock_->lock();
      this->find_root();
    }
    return this->root().has_value();
  }

  [[nodiscard]] constexpr Table& table() noexcept { return *table_; }

 private:
  static constexpr nothing_reported ignore{};

  // Runs `body` on an operation, once the root is there and the range makes sense.
  template <class Body>
  static constexpr auto with(Table& table, found_root<format> found, invalidator<policies_type>& invalidations,
                             input_range range, Body&& body) noexcept
      -> decltype(body(std::declval<operation_type&>())) {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations};
    return body(op);
  }
  template <class Body>
  constexpr auto with(input_range range, Body&& body) noexcept -> decltype(body(std::declval<operation_type&>())) {
    return with(*table_, this->reach(), invalidations_, range, static_cast<Body&&>(body));
  }
  // One change and nothing else. Most are of a few pages, which one table has; whatever else there may be to do or to
  // complain of is for the walk.
  template <const auto& Change, class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> changing(const Pages& pages, invalidation_reason why,
                                                         Report& report) noexcept {
    policies_type& policies = table_->policies();
    if (const auto root = this->reach(); root.exists() && pages.template is_sound<format>()) [[likely]] {
      const auto here = descend_to_run<format, 0, true>(policies.memory, root.table(), pages.first(), pages.last());
      if (here.found) [[likely]] {
        const changed_entries done =
            change_pages(policies.memory, here.run, pages.of_window(here.run), constant_change<Change>{}, report);
        if (done.any) announce_changes(policies, invalidations_, request_for(changed_in(here.run, done.span), why));
        return change_outcome{.any = done.any, .is_split = split_skips<format>.skips(0)};
      }
    }
    const auto done = change_by_walk(*table_, pages, Change, report);
    if (!done) return done.error();
    if (done->any) announce_changes(policies, invalidations_, request_for(*done, why));
    return change_outcome{.any = done->any, .is_split = false};
  }
  template <class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> write_protecting(const Pages& pages, Report& report) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    return changing<format::write_protect>(pages, invalidation_reason::reduced, report);
  }
  // Of the session it knows nothing, so that what the session is need not be in memory.
  template <class Pages, class Report>
  [[nodiscard, gnu::noinline]] static constexpr result<changed_leaves> change_by_walk(Table& table, Pages pages,
                                                                                      const entry_change<word>& change,
                                                                                      Report& report) noexcept {
    const auto root = table.root();  // the lock keeps it what it was
    if (!root) return root.error();
    if (const error bad = check_range<format>(pages.range()); bad.code != errc::none) return bad;
    return change_range<format>(table.policies().memory, *root, pages, change, report);
  }
  template <class Pages, class Report>
  static constexpr bool change_everywhere(operation_type& op, const Pages& pages, const entry_change<word>& change,
                                          invalidation_reason why, Report& report) noexcept {
    const changed_leaves done = change_range<format>(op.policies.memory, op.root, pages, change, report);
    if (done.any) op.changed(done.first, done.last, done.level, why);
    op.finish();
    return done.any;
  }
  // The range is one entry of level 1 of the table at `at`, or a part of it. (Addresses as numbers: for an argument
  // that is a class the compiler has it in memory from where it is known.)
  template <class Source>
  [[nodiscard, gnu::noinline]] static constexpr split_result split_found(Table& table,
                                                                         invalidator<policies_type>& invalidations,
                                                                         std::uint64_t root, std::uint64_t at,
                                                                         word entry, input_range range, int target,
                                                                         Source& source) noexcept {
    operation_type op{table.policies(), table_address{root}, invalidations};
    const split_result done = split_entry(op, source, table_address{at}, entry, range, target);
    op.finish();
    return done;
  }
  template <walk_flags Skip, class Source>
  [[nodiscard, gnu::noinline]] static constexpr result<split_result> split_by_walk(
      Table& table, found_root<format> root, invalidator<policies_type>& invalidations, input_range range, int target,
      Source& source) noexcept {
    return with(table, root, invalidations, range, [&](operation_type& op) -> result<split_result> {
      const split_result done = split_range<Skip>(op, source, range, target);
      op.finish();
      return done;
    });
  }
  // All that map() may have to do; out of line, so that what most faults need is little code where they need it.
  template <class Source, class Report>
  QUIRE_COLD static constexpr result<void> map_any(map_call<Table, Source>& call, Report report) noexcept {
    const auto range = call.range();
    return with(call.table, call.root, call.invalidations, range, [&](operation_type& op) -> result<void> {
      return map_over(op, call.invalidations, call.source, range, call.output, call.wanted, call.options, report);
    });
  }

  Lock* lock_;
  bool taken_;
  invalidator<policies_type> invalidations_;
};

}  // namespace quire

// ---- quire/table/concurrent/operation.hpp -------------------------------------------------------

// What one operation in a read section carries along, and how it comes to own an entry.
//
// Who may write what. Several operations are at work at once, and the hardware sets accessed and dirty at any moment.
//   - Rights are added and taken, and accessed and dirty changed, by a compare-exchange of one leaf.
//   - Everything else (installing under a check, splitting, collapsing, unmapping, any change of a group) first locks
//     the entry: a compare-exchange from what was read to locked. A locked entry is written by nobody but its owner,
//     not even the hardware; the owner invalidates where an old translation may still be cached, then stores what is to
//     be.
//   - A table that is unlinked has all its entries locked first, and they stay so: whoever still is inside it fails at
//     its next compare-exchange, and starts from the root again.
// Order. An operation waits for a locked entry only while it owns no entry of that table or of one above it: it walks
// on from the root (concurrent_walk). So nobody waits in a circle, and an owner waits for nothing but invalidations.
// Faults do not wait at all: they are told `busy`.

namespace quire {

// Where a table that was unlinked keeps the next one of its list: in its first entry, which reads as locked to whoever
// is still inside.
template <pte_format Format, class Memory>
class table_links {
  using word = typename Format::word;

 public:
  constexpr explicit table_links(Memory& memory) noexcept : memory_(&memory) {}
  constexpr void set(table_address table, table_address next) noexcept {
    memory_->template store<word>(table, 0, Format::lock(Format::table(next, 1)), order::relaxed);
  }
  [[nodiscard]] constexpr table_address next(table_address table) noexcept {
    return Format::table_of(Format::unlock(memory_->template load<word>(table, 0, order::relaxed)), 1);
  }

 private:
  Memory* memory_;
};

// What the sessions of one table share: how many of them have taken rights away that a cache may still hold. Written
// before the first such compare-exchange of a session and after its invalidations are complete, never by a fault.
struct reduction_count {
  std::uint64_t sessions = 0;
};

// Whether a session is one of those.
template <shared_words_policy Words>
class reducing {
 public:
  constexpr reducing(Words& words, reduction_count& all) noexcept : words_(&words), all_(&all) {}

  bool counted = false;

  // Before the first compare-exchange, for the reason `why`, that may take something away without a lock. Relaxed: the
  // compare-exchange that follows releases it to whoever finds the entry changed.
  QUIRE_INLINE constexpr void begin(invalidation_reason why) noexcept {
    if (why != invalidation_reason::reduced || counted) return;
    counted = true;
    words_->fetch_add(all_->sessions, std::uint64_t{1}, order::relaxed);
  }
  // Once the invalidations are complete. Release: whoever finds this session no longer counted finds them so.
  QUIRE_INLINE constexpr void end() noexcept {
    if (!counted) return;
    counted = false;
    words_->fetch_add(all_->sessions, ~std::uint64_t{0}, order::release);
  }
  // Whether another session has taken something away that a cache may still hold. Asked after an entry was found
  // changed. The fence: a compare-exchange that failed has read it relaxed. Acquire: a session that is no longer
  // counted has completed its invalidation.
  [[nodiscard]] constexpr bool others() const noexcept {
    words_->fence(order::acquire);
    return words_->load(all_->sessions, order::acquire) != (counted ? 1 : 0);
  }
  // Whether this session has to invalidate, for such another, what it found as a change with the reason `why` would
  // leave it.
  [[nodiscard]] QUIRE_INLINE constexpr bool joins(invalidation_reason why) noexcept {
    if (why != invalidation_reason::reduced || !others()) return false;
    begin(why);
    return true;
  }

 private:
  Words* words_;
  reduction_count* all_;
};

// What a session keeps from one operation to the next, besides the invalidations that it owes.
template <class P>
struct concurrent_debt {
  reducing<std::remove_reference_t<decltype(P::words)>> reductions;
  table_list unlinked{};
};

template <pte_format Format, class P>
class concurrent_operation : public operation<Format, P> {
  using base = operation<Format, P>;

 public:
  using format = Format;
  using word = typename Format::word;
  using base::policies;

  constexpr concurrent_operation(P& p, table_address r, invalidator<P>& session, concurrent_debt<P>& debt) noexcept
      : base(p, r, session), reductions(debt.reductions), unlinked_(debt.unlinked) {}

  // Makes this operation the owner of entry `i` if it still reads `seen`, a leaf or a table; else `seen` becomes what
  // it reads. Acquire: what the last writer of the entry did is over. Release: what this operation did before is not
  // late.
  [[nodiscard]] constexpr bool lock(table_address table, std::size_t i, word& seen) noexcept {
    return policies.memory.template compare_exchange<word>(table, i, seen, Format::lock(seen), order::acq_rel);
  }
  // The same for an absent entry.
  [[nodiscard]] constexpr bool lock_absent(table_address table, std::size_t i, word& seen) noexcept {
    seen = 0;
    return policies.memory.template compare_exchange<word>(table, i, seen, Format::locked, order::acq_rel);
  }
  // What a leaf or table that this operation has locked said: `locked` keeps it.
  [[nodiscard]] constexpr word owned(table_address table, std::size_t i) noexcept {
    return Format::unlock(policies.memory.template load<word>(table, i, order::relaxed));
  }
  // Ends the ownership. Release: what the entry leads to, and the invalidation, come first.
  constexpr void store(table_address table, std::size_t i, word now) noexcept {
    policies.memory.template store<word>(table, i, now, order::release);
  }

  // A table all of whose entries are locked, and into which neither an entry nor the hardware leads any more.
  constexpr void unlinked(invalidated, table_address table) noexcept {
    table_links<Format, decltype(P::memory)> links{policies.memory};
    unlinked_.push(links, table);
  }

  reducing<std::remove_reference_t<decltype(P::words)>>& reductions;

 private:
  table_list& unlinked_;
};

// Locks a whole group, its first entry before the rest: while that is locked no software touches the others, and only
// the hardware is to be raced with. False: the group is another's, or no longer there.
template <int Level, class Operation>
[[nodiscard]] constexpr bool lock_group(Operation& op, table_address table, entry_span span) noexcept {
  using format = typename Operation::format;
  using word = typename Operation::word;
  const auto still = [&](word entry) {
    if (format::kind_of(entry, Level) != entry_kind::leaf) return false;
    const entry_span now = group_span<format>(entry, Level, span.first);
    return now.first == span.first && now.last == span.last;
  };
  word seen = op.policies.memory.template load<word>(table, span.first, order::acquire);
  do
    if (!still(seen)) return false;
  while (!op.lock(table, span.first, seen));
  for (std::size_t k = span.first + 1; k <= span.last; ++k) {
    word member = op.policies.memory.template load<word>(table, k, order::relaxed);
    while (!op.lock(table, k, member)) {
    }
  }
  return true;
}

// Walks the range, from the root again wherever an entry is locked. The visitor owns nothing when it says retry.
template <walk_flags Flags, class Operation, class Section, class Visitor>
constexpr error concurrent_walk(Operation& op, Section& section, input_range range, Visitor& visitor) noexcept {
  using format = typename Operation::format;
  for (input_range rest = range;;) {
    const error said = walk<(Flags | walk_flag::shared | walk_flag::stop_on_retry), format>(op.policies.memory, op.root,
                                                                                            rest, visitor);
    if (said.code != errc::busy) return said;
    section.pause();
    // The locked entry may begin before the range.
    if (rest.first() < input_address{said.at}) rest = input_range::closed(input_address{said.at}, range.last());
  }
}

}  // namespace quire

// ---- quire/table/concurrent/annotate.hpp --------------------------------------------------------

// Annotating in a read section: absent entries become markers by compare-exchange, page by page.

namespace quire::detail {

template <class Operation, class Source>
class concurrent_annotate {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_annotate(Operation& op, Source& source, word marker) noexcept
      : op_(op), source_(source), marker_(marker) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::leaf: return run_stop<word>::failed(i, errc::already_mapped);
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::locked: return run_stop<word>::retry(i);
        case entry_kind::absent: break;
      }
      if constexpr (Run::level == 0) {
        // Relaxed: a marker leads nowhere.
        if (memory.template compare_exchange<word>(run.table, i, entry, marker_, order::relaxed)) ++i;
      } else {
        if (!source_.reserve(1)) return run_stop<word>::failed(i, errc::no_memory);
        const auto child = source_.take(table_contents::zeroed);
        QUIRE_EXPECTS(child.has_value());
        const word made = filled_table<format, Run::level - 1>{op_.policies.maintenance, *child}.link();
        // Release: a walker that follows it finds the table zeroed.
        if (memory.template compare_exchange<word>(run.table, i, entry, made, order::acq_rel))
          return run_stop<word>::made_table(i, made);
        source_.give_back(*child);
      }
    }
    return run_stop<word>::done();
  }

 private:
  Operation& op_;
  Source& source_;
  word marker_;
};

}  // namespace quire::detail

namespace quire {

// Errors, with the first page that is not annotated: already_mapped, marked, no_memory.
template <class Operation, class Section, class Source>
constexpr result<void> annotate_concurrently(Operation& op, Section& section, Source& source, input_range range,
                                             std::uint64_t payload) noexcept {
  detail::concurrent_annotate<Operation, Source> visitor{op, source, Operation::format::marker(payload)};
  const error said = concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, range, visitor);
  if (said.code != errc::none) return said;
  return {};
}

}  // namespace quire

// ---- quire/table/concurrent/change.hpp ----------------------------------------------------------

// One change of attributes over a range in a read section: by compare-exchange of each leaf, of a group under its lock.
//
// A right that is taken away may stay in a cache until the invalidation; whoever then finds the entry as wanted must
// not take that for done. So a session that takes away counts itself first (reducing::begin), and one that finds
// entries as wanted while another is counted invalidates the range itself (reducing::joins).

namespace quire {

// What became of entries of a run of pages.
struct page_changes {
  std::size_t first = 0;  // the entries that changed lie in [first, end)
  std::size_t end = 0;
  std::size_t at = 0;            // where `stopped`
  bool stopped = false;          // another owns the entry `at`; to those from there on nothing is done
  bool found_as_wanted = false;  // some leaf needed no change
  bool counted = false;          // the session is, in reduction_count

  [[nodiscard]] constexpr bool any() const noexcept { return end > first; }
  [[nodiscard]] constexpr entry_span changed() const noexcept { return {first, end - 1}; }
};

namespace detail {

// One entry after the other of those that are meant. end(): behind the last one passed, or 0.
class next_in_span {
 public:
  constexpr explicit next_in_span(entry_span span) noexcept : left_(span) {}
  [[nodiscard]] constexpr bool more() const noexcept { return !left_.empty(); }
  [[nodiscard]] constexpr std::size_t index() const noexcept { return left_.first; }
  [[nodiscard]] constexpr std::size_t end() const noexcept { return left_.first; }
  constexpr void next() noexcept { ++left_.first; }

 private:
  entry_span left_;
};
class next_in_mask {
 public:
  constexpr explicit next_in_mask(masked_entries entries) noexcept : left_(entries), all_(entries.bits) {}
  [[nodiscard]] constexpr bool more() const noexcept { return left_.bits != 0; }
  [[nodiscard]] constexpr std::size_t index() const noexcept { return left_.first(); }
  [[nodiscard]] constexpr std::size_t end() const noexcept {
    const masked_entries passed{left_.origin, all_ ^ left_.bits};
    return passed.bits == 0 ? 0 : passed.last() + 1;
  }
  constexpr void next() noexcept { left_.bits &= left_.bits - 1; }

 private:
  masked_entries left_;
  std::uint64_t all_;
};

// Nearly all of the work: no tables, no groups, and little is asked for each entry. What the loop needs is copied:
// stores to entries cannot change it. `Flipping`: the change has flips().
template <bool Flipping, class Run, class Entries, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_each_page(Memory& of, const Run& run, Entries entries,
                                                     const entry_change<typename Run::format::word>& of_each,
                                                     Report& report, Reducing reductions,
                                                     invalidation_reason why) noexcept {
  using format = typename Run::format;
  using word = typename format::word;
  const entry_change<word> change = of_each;
  const word flips = change.flips(), zeros = static_cast<word>(change.applies_to.mask & ~change.applies_to.value);
  memory_in_loop<Memory> memory = of;
  const table_address table = run.table;
  page_changes done;
  bool found_as_wanted = false;
  std::size_t i = 0;
  word entry = 0, after = 0;
  const auto changes = [&] {  // of what is no leaf it changes nothing
    i = entries.index();
    // Acquire: whoever left the entry as wanted was counted before (reducing::others).
    entry = memory.template load<word>(table, i, order::acquire);
    after = Flipping ? static_cast<word>(entry ^ flips) : change(entry);
    return Flipping ? static_cast<word>(~entry & change.applies_to.mask) == zeros : after != entry;
  };
  while (entries.more()) {
    if (!changes()) {
      const entry_kind kind = format::kind_of(entry, 0);
      if (kind == entry_kind::locked) {
        done.stopped = true;
        done.at = i;
        break;
      }
      found_as_wanted = found_as_wanted || kind == entry_kind::leaf;
      entries.next();
      continue;
    }
    if (!done.any()) {
      reductions.begin(why);
      done.first = i;
    }
    do {
      // Release: whoever finds the entry changed also finds this operation counted.
      if (!memory.template compare_exchange<word>(table, i, entry, after, order::release)) [[unlikely]]
        continue;
      if constexpr (!reports_nothing<format, Report>) {
        if (format::is_dirty(entry) && !format::is_dirty(after)) report(run.address(i), format::shape.leaf_bytes(0));
      }
      entries.next();
    } while (entries.more() && changes());
    done.end = entries.end();
  }
  done.found_as_wanted = found_as_wanted;
  done.counted = reductions.counted;
  return done;
}
template <class Run, class Entries, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_each_page(Memory& memory, const Run& run, Entries entries,
                                                     const entry_change<typename Run::format::word>& change,
                                                     Report& report, Reducing reductions,
                                                     invalidation_reason why) noexcept {
  if (change.flips() != 0) return change_each_page<true>(memory, run, entries, change, report, reductions, why);
  return change_each_page<false>(memory, run, entries, change, report, reductions, why);
}

}  // namespace detail

// Applies `change` to entries of a run of pages, by a compare-exchange each. Without groups.
template <class Run, class Memory, class Report, class Reducing>
[[gnu::noinline]] constexpr page_changes change_pages_concurrently(
    Memory& memory, const Run& run, entry_span pages, const entry_change<typename Run::format::word>& change,
    Report& report, Reducing reductions, invalidation_reason why) noexcept {
  return detail::change_each_page(memory, run, detail::next_in_span{pages}, change, report, reductions, why);
}
template <class Run, class Memory, class Report, class Reducing>
QUIRE_INLINE constexpr page_changes change_pages_concurrently(Memory& memory, const Run& run, masked_entries pages,
                                                              const entry_change<typename Run::format::word>& change,
                                                              Report& report, Reducing reductions,
                                                              invalidation_reason why) noexcept {
  // A mask without holes: the next entry need not be looked for.
  if ((pages.bits & (pages.bits >> 1U)) != 0 && is_one_stretch(pages.bits)) {
    const page_changes done = change_pages_concurrently(memory, run, entry_span{pages.first(), pages.last()}, change,
                                                        report, reductions, why);
    // One by one: a struct that a call has written stays in memory.
    return {done.first, done.end, done.at, done.stopped, done.found_as_wanted, done.counted};
  }
  return detail::change_each_page(memory, run, detail::next_in_mask{pages}, change, report, reductions, why);
}

namespace detail {

template <class Operation, class Report, class Pages>
class concurrent_change {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_change(Operation& op, const entry_change<word>& change, invalidation_reason why, Report& report,
                              const Pages& pages) noexcept
      : op_(op), change_(change), why_(why), report_(report), pages_(pages) {}

  bool any = false;
  bool found_as_wanted = false;  // some leaf needed no change

  constexpr void announce(const changed_leaves& leaves) noexcept {
    any = true;
    op_.changed(leaves.first, leaves.last, leaves.level, why_);
  }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    if constexpr (Run::level == 0 && !has_groups<format>) {
      const auto done =
          change_pages_concurrently(op_.policies.memory, run, pages_.in(run), change_, report_, op_.reductions, why_);
      op_.reductions.counted = done.counted;
      found_as_wanted = found_as_wanted || done.found_as_wanted;
      if (done.any()) announce(changed_in(run, done));
      return done.stopped ? run_stop<word>::retry(done.at) : run_stop<word>::done();
    } else {
      for (std::size_t i = run.first; i <= run.last; ++i) {
        word entry = op_.policies.memory.template load<word>(run.table, i, order::acquire);
        for (;;) {
          if (format::kind_of(entry, Run::level) == entry_kind::table) return run_stop<word>::at_table(i, entry);
          const entry_span span = group_span<format>(entry, Run::level, i);
          if (!pages_.any(run.address(span.first), run.address(span.last + 1) - 1)) {
            i = span.last;
            break;
          }
          if (span.first != span.last) {
            if (!change_group(run, span)) return run_stop<word>::retry(span.first);
            i = span.last;
            break;
          }
          const word after = change_(entry);
          if (after == entry) {
            const entry_kind kind = format::kind_of(entry, Run::level);
            if (kind == entry_kind::locked) return run_stop<word>::retry(i);
            found_as_wanted = found_as_wanted || kind == entry_kind::leaf;
            break;
          }
          op_.reductions.begin(why_);
          // Release: whoever finds the entry changed also finds this operation counted.
          if (op_.policies.memory.template compare_exchange<word>(run.table, i, entry, after, order::release)) {
            if (loses_dirty(entry)) report_(run.address(i), format::shape.leaf_bytes(Run::level));
            announce(changed_in(run, span));
            break;
          }
        }
      }
      return run_stop<word>::done();
    }
  }

 private:
  [[nodiscard]] constexpr bool loses_dirty(word entry) const noexcept {
    return format::facts.has_dirty && format::is_dirty(entry) && !format::is_dirty(change_(entry));
  }
  // False: another owns it.
  template <class Run>
  constexpr bool change_group(const Run& run, entry_span span) noexcept {
    auto& memory = op_.policies.memory;
    bool all = true;
    for (std::size_t k = span.first; k <= span.last && all; ++k) {
      const word entry = memory.template load<word>(run.table, k, order::relaxed);
      if (format::kind_of(entry, Run::level) != entry_kind::leaf) return false;
      all = change_(entry) == entry;
    }
    if (all) {
      found_as_wanted = true;
      return true;
    }
    const input_address begin = run.address(span.first), end = run.address(span.last + 1) - 1;
    if (!lock_group<Run::level>(op_, run.table, span)) return false;
    op_.invalidate_now(begin, end, Run::level, true);
    bool cleaned = false;
    for (std::size_t k = span.first; k <= span.last; ++k) cleaned = cleaned || loses_dirty(op_.owned(run.table, k));
    // From the last to the first: the first is the lock.
    for (std::size_t k = span.last + 1; k-- > span.first;) op_.store(run.table, k, change_(op_.owned(run.table, k)));
    op_.policies.maintenance.published();
    any = true;
    if constexpr (format::facts.caches_invalid) op_.changed(begin, end, Run::level, invalidation_reason::installed);
    if (cleaned) report_(begin, end - begin + 1);
    return true;
  }

  Operation& op_;
  entry_change<word> change_;
  invalidation_reason why_;
  Report& report_;
  Pages pages_;
};

}  // namespace detail

// How far a change has come: nothing is left to do below `from`.
struct change_progress {
  input_address from{};
  changed_leaves changed{};
  bool found_as_wanted = false;
};
template <class Run>
[[nodiscard]] QUIRE_INLINE constexpr changed_leaves changed_in(const Run& run, const page_changes& done) noexcept {
  if (!done.any()) return {};
  return changed_in(run, done.changed());
}

// Changes every leaf that overlaps the rest of `pages`, whole leaves. Gives whether any changed.
template <class Operation, class Section, class Report, class Pages>
constexpr bool change_concurrently(Operation& op, Section& section, const Pages& pages,
                                   const entry_change<typename Operation::word>& change, invalidation_reason why,
                                   Report& report, const change_progress& so_far) noexcept {
  detail::concurrent_change<Operation, Report, Pages> visitor{op, change, why, report, pages};
  if (so_far.changed.any) visitor.announce(so_far.changed);
  visitor.found_as_wanted = so_far.found_as_wanted;
  const input_range all = pages.range();
  const input_range rest = all.first() < so_far.from ? input_range::closed(so_far.from, all.last()) : all;
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, rest, visitor));
  const bool any = visitor.any;
  if (visitor.found_as_wanted && op.reductions.joins(why)) visitor.announce({all.first(), all.last(), -1, true});
  return any;
}

}  // namespace quire

// ---- quire/table/concurrent/collapse.hpp --------------------------------------------------------

// Collapse and prune in a read section: cut the table off, lock every entry of it, and only then judge it. What does
// not fit is put back as it was.

namespace quire::detail {

// Visitor: collapses every table wholly inside the range, bottom up; or, with Prune, frees those without entries.
template <class Operation, bool Prune>
class concurrent_collapse {
  using format = typename Operation::format;
  using word = typename format::word;

 public:
  constexpr concurrent_collapse(Operation& op, input_range range, int largest_level) noexcept
      : op_(op), range_(range), largest_level_(largest_level) {}

  std::size_t tables = 0;

  template <class Position>
  constexpr errc table_post(const Position& at) noexcept {
    constexpr int level = Position::level;
    const input_address last = at.address + (format::shape.leaf_bytes(level) - 1);
    if constexpr (!Prune) {
      if (level > largest_level_ || (format::group_sizes(level) & 1U) == 0) return errc::none;
      if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    }
    const table_address table = format::table_of(at.entry, level);
    if (!fits<level - 1>([&](std::size_t i) { return load(table, i); })) return errc::none;
    word entry = at.entry;
    if (!op_.lock(at.table, at.index, entry)) return errc::none;
    const std::size_t owned = freeze<level - 1>(table);
    const bool all =
        owned == format::shape.entries(level - 1) && fits<level - 1>([&](std::size_t i) { return opened(table, i); });
    if (!all) {
      for (std::size_t i = owned; i-- != 0;) op_.store(table, i, opened(table, i));
      op_.store(at.table, at.index, at.entry);
      op_.policies.maintenance.published();
      if constexpr (format::facts.caches_invalid) op_.changed_table(at.address, last, invalidation_reason::installed);
      return errc::none;
    }
    const word now = Prune ? word{0} : *whole<level - 1>(table);
    op_.unlinked(op_.invalidate_now(at.address, last, -1, false), table);
    op_.store(at.table, at.index, now);
    op_.policies.maintenance.published();
    if constexpr (!Prune && format::facts.caches_invalid)
      op_.changed(at.address, last, level, invalidation_reason::installed);
    ++tables;
    return errc::none;
  }

 private:
  [[nodiscard]] constexpr word load(table_address table, std::size_t i) noexcept {
    return op_.policies.memory.template load<word>(table, i, order::acquire);
  }
  [[nodiscard]] constexpr word opened(table_address table, std::size_t i) noexcept {
    const word shut = op_.policies.memory.template load<word>(table, i, order::relaxed);
    return shut == format::locked ? word{0} : format::unlock(shut);
  }
  // Locks entries from the first on, as long as they are such as can be collapsed; gives how many.
  template <int Level>
  constexpr std::size_t freeze(table_address table) noexcept {
    std::size_t owned = 0;
    for (; owned < format::shape.entries(Level); ++owned) {
      for (;;) {
        word entry = load(table, owned);
        const entry_kind kind = format::kind_of(entry, Level);
        if (kind != (Prune ? entry_kind::absent : entry_kind::leaf)) return owned;
        if (Prune ? op_.lock_absent(table, owned, entry) : op_.lock(table, owned, entry)) break;
      }
    }
    return owned;
  }
  // Whether the entries make one leaf (or are all absent).
  template <int Level, class Read>
  [[nodiscard]] constexpr bool fits(Read&& read) noexcept {
    const word first = read(std::size_t{0});
    if constexpr (Prune) {
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i)
        if (read(i) != 0) return false;
      return true;
    } else {
      if (format::kind_of(first, Level) != entry_kind::leaf) return false;
      const attributes wanted = without_state(format::attributes_of(first, Level));
      const output_address output = format::output_of(first, Level);
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
        const word entry = read(i);
        if (format::kind_of(entry, Level) != entry_kind::leaf) return false;
        const std::size_t begins = group_span<format>(entry, Level, i).first;
        if (format::output_of(entry, Level) != output + begins * format::shape.leaf_bytes(Level)) return false;
        if (without_state(format::attributes_of(entry, Level)) != wanted) return false;
      }
      return format::leaf(output, wanted, Level + 1, 0).has_value();
    }
  }
  // The leaf that the frozen table makes, accessed and dirty if any of it was.
  template <int Level>
  [[nodiscard]] constexpr result<word> whole(table_address table) noexcept {
    const word first = opened(table, 0);
    attributes sum = format::attributes_of(first, Level);
    for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
      const word entry = opened(table, i);
      sum.accessed = sum.accessed || format::is_accessed(entry);
      sum.dirty = sum.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    return format::leaf(format::output_of(first, Level), sum, Level + 1, 0);
  }
  [[nodiscard]] static constexpr attributes without_state(attributes a) noexcept {
    a.accessed = !format::facts.has_accessed;
    a.dirty = false;
    return a;
  }

  Operation& op_;
  input_range range_;
  int largest_level_;
};

}  // namespace quire::detail

namespace quire {

template <class Operation, class Section>
constexpr collapse_result collapse_concurrently(Operation& op, Section& section, input_range range,
                                                int largest_level) noexcept {
  detail::concurrent_collapse<Operation, false> visitor{op, range, largest_level};
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::table_post}>(op, section, range, visitor));
  return {visitor.tables};
}

template <class Operation, class Section>
constexpr std::size_t prune_concurrently(Operation& op, Section& section, input_range range) noexcept {
  detail::concurrent_collapse<Operation, true> visitor{op, range, Operation::format::shape.root_level};
  static_cast<void>(concurrent_walk<walk_flags{walk_flag::table_post}>(op, section, range, visitor));
  return visitor.tables;
}

}  // namespace quire

// ---- quire/table/concurrent/map.hpp -------------------------------------------------------------

// Mapping in a read section: absent entries become leaves or tables by compare-exchange, entry by entry.
//
// A guard is asked whether what the caller knows of the host's memory still holds, between locking an entry and storing
// what is to be there. Whoever invalidates the range first says so (invalidation_sequence.hpp), fences, and then waits
// at entries that are locked: so either the guard sees the announcement, or the invalidation sees the leaf. Without the
// lock an installer that has asked could still store after the invalidation went by.

namespace quire {

// The guard of a caller who knows that nothing is invalidated meanwhile.
struct unguarded {};

namespace detail {

template <class Operation, class Source, class Guard>
class concurrent_map : commit_map<Operation, Source> {
  using base = commit_map<Operation, Source>;
  using base::op_;
  using base::plan_;
  using base::source_;
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool guarded = !std::is_same_v<Guard, unguarded>;

 public:
  constexpr concurrent_map(Operation& op, Source& source, const mapping_plan<format>& plan, Guard& guard) noexcept
      : base(op, source, plan, false), guard_(guard) {}

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    for (std::size_t i = run.first; i <= run.last;) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      switch (format::kind_of(entry, Run::level)) {
        case entry_kind::table: return run_stop<word>::at_table(i, entry);
        case entry_kind::locked: return run_stop<word>::retry(i);
        case entry_kind::marker: return run_stop<word>::failed(i, errc::marked);
        case entry_kind::leaf: {
          const entry_span span = group_span<format>(entry, Run::level, i);
          const errc said = add_rights(run, span, entry);
          if (said == errc::busy) continue;  // it changed meanwhile
          if (said != errc::none) return run_stop<word>::failed(i, said);
          i = span.last + 1;
          continue;
        }
        case entry_kind::absent: break;
      }
      bool whole = plan_.covers(run.address(i), run.address(i + 1) - 1);
      const std::size_t first = i;
      word made = 0;
      const errc said =
          whole && plan_.choice.level_fits(Run::level) ? install_leaves(run, i) : install_table(run, i, whole, made);
      if (i != first) op_.installed();
      if (said != errc::none && said != errc::busy) return run_stop<word>::failed(i, said);
      if (made != 0 && !whole && said == errc::none) return run_stop<word>::made_table(first, made);
    }
    return run_stop<word>::done();
  }

 private:
  // Stores `now` over the absent entry. busy: it is not absent any more. stopped: the guard says no.
  constexpr errc install(table_address table, std::size_t i, word now) noexcept {
    word seen = 0;
    if constexpr (!guarded) {
      // Release: what the entry leads to is complete before a walker can follow it.
      return op_.policies.memory.template compare_exchange<word>(table, i, seen, now, order::acq_rel) ? errc::none
                                                                                                      : errc::busy;
    } else {
      if (!op_.lock_absent(table, i, seen)) return errc::busy;
      const bool stale = must_retry();
      op_.store(table, i, stale ? word{0} : now);
      return stale ? errc::stopped : errc::none;
    }
  }
  [[nodiscard]] constexpr bool must_retry() noexcept {
    if constexpr (guarded) {
      atomic::fence(order::seq_cst);  // the lock is seen before the guard looks
      return guard_();
    } else return false;
  }

  // Leaves over the absent entries from i on, which becomes the first that was not written.
  template <class Run>
  constexpr errc install_leaves(const Run& run, std::size_t& i) noexcept {
    std::size_t n = this->last_covered(run) - i + 1;
    if constexpr (has_groups<format>) {
      const int group = plan_.choice.group(Run::level, i, i + n - 1);
      if (group != 0) return install_group(run, i, group);
      n = this->singles(Run::level, i, i + n - 1);
    }
    n = this->linear(Run::level, run.address(i), n);
    word leaf = plan_.leaf_at(run.address(i), Run::level, 0);
    for (const std::size_t end = i + n; i != end; ++i) {
      if (const errc said = install(run.table, i, leaf); said != errc::none) return said;
      leaf = static_cast<word>(leaf + format::step(Run::level, 0));
    }
    return errc::none;
  }
  // Where not all entries are absent, those before the first that is not become smaller leaves: who has locked an entry
  // has always done something with it, or two who meet here could undo each other's locks for ever.
  template <class Run>
  constexpr errc install_group(const Run& run, std::size_t& next, int group) noexcept {
    const std::size_t size = std::size_t{1} << group, first = next;
    std::size_t owned = 0;
    word seen = 0;
    while (owned < size && op_.lock_absent(run.table, first + owned, seen)) ++owned;
    if (owned == 0) return errc::busy;
    const std::size_t last = first + owned - 1;
    const bool stale = must_retry();
    for (std::size_t i = first; i <= last;) {
      const int fitting = plan_.choice.group(Run::level, i, last);
      const word leaf = plan_.leaf_at(run.address(i), Run::level, fitting);
      const word step = format::step(Run::level, fitting);
      for (std::size_t k = std::size_t{1} << fitting; k-- != 0;)  // the first last: it is the lock
        op_.store(run.table, i + k, stale ? word{0} : static_cast<word>(leaf + k * step));
      i += std::size_t{1} << fitting;
    }
    if (stale) return errc::stopped;
    next = last + 1;
    return errc::none;
  }
  // A table in place of the absent entry: filled if the range covers it and there are tables enough, else empty.
  template <class Run>
  constexpr errc install_table(const Run& run, std::size_t& i, bool& whole, word& made) noexcept {
    if constexpr (Run::level == 0) return errc::unsupported_level;  // pages always fit
    else {
      int target = Run::level - 1;
      while (target > 0 && !plan_.choice.level_fits(target)) --target;
      whole = whole && source_.reserve(tables_to_split<format>(Run::level, target));
      if (!whole && !source_.reserve(1)) return errc::no_memory;
      const auto child = source_.take(whole ? table_contents::any : table_contents::zeroed);
      QUIRE_EXPECTS(child.has_value());
      made = (whole ? this->template fill<Run::level - 1>(*child, run.address(i))
                    : filled_table<format, Run::level - 1>{op_.policies.maintenance, *child})
                 .link();
      const errc said = install(run.table, i, made);
      if (said != errc::none)
        give_back_subtree<format, Run::level>(op_.policies.memory, source_, *child, whole ? target : Run::level - 1);
      else ++i;
      return said;
    }
  }

  // A leaf that is there already must lead to the same place; rights that it lacks are added to the whole of it.
  template <class Run>
  constexpr errc add_rights(const Run& run, entry_span span, word entry) noexcept {
    const input_address first = run.address(span.first), last = run.address(span.last + 1) - 1;
    const attributes have = format::attributes_of(entry, Run::level);
    if (format::output_of(entry, Run::level) != plan_.output_at(first) || !translates_alike(have, plan_.wanted))
      return errc::already_mapped;
    if (have.allowed.contains(plan_.wanted.allowed)) return errc::none;
    const auto change = format::relax(plan_.wanted.allowed);
    if (!plan_.covers(first, last) || !change || !change->applies_to(entry)) return errc::already_mapped;
    if (span.first != span.last ? !lock_group<Run::level>(op_, run.table, span)
                                : !op_.lock(run.table, span.first, entry))
      return errc::busy;
    const bool stale = must_retry();
    for (std::size_t k = span.last + 1; k-- > span.first;) {
      const word was = op_.owned(run.table, k);
      op_.store(run.table, k, stale ? was : (*change)(was));
    }
    if (stale) return errc::stopped;
    op_.changed(first, last, Run::level, invalidation_reason::relaxed);
    return errc::none;
  }

  Guard& guard_;
};

}  // namespace detail

// Errors: those of check_mapping, before anything is changed. With the input address of the first entry not mapped:
// already_mapped, marked; no_memory; stopped (the guard said that the host's mapping is changing).
template <pte_format Format, class P, class Section, class Source, class Guard>
[[gnu::noinline]] constexpr result<void> map_concurrently(concurrent_operation<Format, P>& op, Section& section,
                                                          Source& source, input_range range, output_address output,
                                                          const attributes& wanted, const map_options& options,
                                                          Guard& guard) noexcept {
  if (const auto legal = check_mapping<Format>(range, output, wanted, options); !legal) return legal;
  const detail::mapping_plan<Format> plan{
      range, output, wanted, {range.first().value ^ output.value, options.largest_level, options.groups}};
  if (wanted.allowed.contains(executable))
    op.policies.maintenance.code_visible(output, range.last() - range.first() + 1);
  detail::concurrent_map<concurrent_operation<Format, P>, Source, Guard> visitor{op, source, plan, guard};
  const error said = concurrent_walk<walk_flags{walk_flag::leaf}>(op, section, range, visitor);
  if (said.code != errc::none) return said;
  return {};
}

}  // namespace quire

// ---- quire/table/concurrent/split.hpp -----------------------------------------------------------

// Splitting in a read section: lock up to `batch` leaves, invalidate once, then publish their tables.
//
// Every format breaks before it makes here: until the invalidation a cache may hold the block, and somebody else's
// invalidation of a page of it, announced with the page's level, need not reach that.

namespace quire::detail {

// Visitor: as split_leaves of split.hpp.
template <class Operation, class Source>
class concurrent_split {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr int batch = 8;

 public:
  constexpr concurrent_split(Operation& op, Source& source, input_range range, int target) noexcept
      : op_(op), source_(source), range_(range), target_(target) {}

  [[nodiscard]] constexpr const split_result& result() const noexcept { return result_; }

  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    split_work<word> work[batch];
    int n = 0;
    const auto stop = [&](run_stop<word> why) {
      if constexpr (Run::level > 0) publish(run, work, n);
      return why;
    };
    for (std::size_t i = run.first; i <= run.last; ++i) {
      word entry = memory.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::table) {
        if constexpr (!Run::passes_tables) return stop(run_stop<word>::at_table(i, entry));
        i = skip_tables<Run::level, format, order::acquire>(memory, run.table, i + 1, run.last) - 1;
        continue;
      }
      if (kind == entry_kind::locked) return stop(run_stop<word>::retry(i));
      if (kind != entry_kind::leaf || Run::level < target_) continue;
      if constexpr (has_groups<format>) {
        const entry_span span = group_span<format>(entry, Run::level, i);
        if (span.first != span.last) {
          if (!break_group(run, span)) return stop(run_stop<word>::retry(span.first));
          --i;  // now single leaves: judged anew
          continue;
        }
      }
      if constexpr (Run::level > 0) {
        if (Run::level == target_) continue;
        const bool inside = range_.first() <= run.address(i) && run.address(i + 1) - 1 <= range_.last();
        const bool whole = inside && source_.reserve(tables_to_split<format>(Run::level, target_));
        const int target = whole ? target_ : Run::level - 1;
        if (!whole && !source_.reserve(1)) {
          result_.out_of_memory = true;
          result_.stopped_at = run.address(i);
          return stop(run_stop<word>::failed(i, errc::no_memory));
        }
        const auto subtree = build_subtree<Run::level>(op_, source_, entry, target);
        if (!own(run, i, entry, subtree.address(), target)) {
          give_back_subtree<format, Run::level>(memory, source_, subtree.address(), target);
          return stop(run_stop<word>::retry(i));
        }
        work[n++] = {i, entry, subtree.link(), target};
        ++result_.leaves;
        result_.tables += tables_to_split<format>(Run::level, target);
        if (target != target_ && !Run::passes_tables) {
          const word made = publish(run, work, n);
          return run_stop<word>::made_table(i, made);
        }
        if (n == batch) publish(run, work, n);
      }
    }
    return stop(run_stop<word>::done());
  }

 private:
  // Locks the leaf that the subtree was built from; what the hardware or another added meanwhile goes into the subtree.
  template <class Run>
  constexpr bool own(const Run& run, std::size_t i, word& entry, table_address table, int target) noexcept {
    while (!op_.lock(run.table, i, entry)) {
      if (format::kind_of(entry, Run::level) != entry_kind::leaf || format::group_of(entry, Run::level) != 0)
        return false;
      rewrite_subtree<Run::level>(op_, table, entry, target);
    }
    return true;
  }
  template <class Run>
  constexpr word publish(const Run& run, split_work<word>* work, int& n) noexcept {
    if (n == 0) return 0;
    const input_address first = run.address(work[0].index), last = run.address(work[n - 1].index + 1) - 1;
    op_.invalidate_now(first, last, Run::level, true);
    word made = 0;
    for (int k = 0; k < n; ++k) {
      made = work[k].link;
      op_.store(run.table, work[k].index, made);
    }
    op_.policies.maintenance.published();
    // `locked` may have been cached as "not mapped" since it was invalidated.
    if constexpr (format::facts.caches_invalid) op_.changed(first, last, -1, invalidation_reason::installed);
    n = 0;
    return made;
  }
  // A group becomes single leaves; what was accessed or dirty of it, all of them are.
  template <class Run>
  constexpr bool break_group(const Run& run, entry_span span) noexcept {
    if (!lock_group<Run::level>(op_, run.table, span)) return false;
    const input_address begin = run.address(span.first), end = run.address(span.last + 1) - 1;
    op_.invalidate_now(begin, end, Run::level, true);
    const word sample = op_.owned(run.table, span.first);
    attributes kept = format::attributes_of(sample, Run::level);
    for (std::size_t k = span.first; k <= span.last; ++k) {
      const word entry = op_.owned(run.table, k);
      kept.accessed = kept.accessed || format::is_accessed(entry);
      kept.dirty = kept.dirty || (format::facts.has_dirty && format::is_dirty(entry));
    }
    const word first = *format::leaf(format::output_of(sample, Run::level), kept, Run::level, 0);
    const word step = format::step(Run::level, 0);
    for (std::size_t k = span.last + 1; k-- > span.first;)
      op_.store(run.table, k, static_cast<word>(first + (k - span.first) * step));
    op_.policies.maintenance.published();
    if constexpr (format::facts.caches_invalid) op_.changed(begin, end, Run::level, invalidation_reason::installed);
    return true;
  }

  Operation& op_;
  Source& source_;
  input_range range_;
  int target_;
  split_result result_{};
};

}  // namespace quire::detail

namespace quire {

// Splits every leaf above `target` in the range. All or nothing for each leaf; the result says how far it came.
template <walk_flags Skip, class Operation, class Section, class Source>
constexpr split_result split_concurrently(Operation& op, Section& section, Source& source, input_range range,
                                          int target) noexcept {
  detail::concurrent_split<Operation, Source> visitor{op, source, range, target};
  static_cast<void>(concurrent_walk<(walk_flag::leaf | Skip)>(op, section, range, visitor));
  return visitor.result();
}

}  // namespace quire

// ---- quire/table/concurrent/unmap.hpp -----------------------------------------------------------

// Unmapping in a read section: lock, collect, invalidate, then absent; a table that the range covers wholly is
// unlinked.
//
// An entry reads as absent only once no cache knows what it said: whoever finds it absent may install at once.

namespace quire::detail {

template <class Operation, class Section, class Report>
class concurrent_unmap {
  using format = typename Operation::format;
  using word = typename format::word;
  static constexpr bool reports_each = !std::is_same_v<Report, std::nullptr_t>;

 public:
  constexpr concurrent_unmap(Operation& op, Section& section, input_range range, Report& report) noexcept
      : op_(op), section_(section), range_(range), report_(report), found{.covered = range} {}

 private:
  Operation& op_;
  Section& section_;
  input_range range_;
  Report& report_;

 public:
  unmap_result found;

  // Locks the leaves of the run, up to 64 entries at a time, so that one invalidation serves them.
  template <class Run>
  constexpr run_stop<word> leaves(Run run) noexcept {
    auto& memory = op_.policies.memory;
    std::size_t begin = run.first, end = run.last;
    if constexpr (has_groups<format>) {  // a group is one leaf
      begin = group_span<format>(memory.template load<word>(run.table, begin, order::acquire), Run::level, begin).first;
      end = group_span<format>(memory.template load<word>(run.table, end, order::acquire), Run::level, end).last;
    }
    std::size_t base = begin;
    std::uint64_t mine = 0;  // bit b: entry base + b is locked by this operation
    taken_leaves taken;      // what those said
    for (std::size_t i = begin; i <= end;) {
      if (i - base >= 64) {
        clear(run, base, mine, taken);
        base = i;
      }
      word entry = memory.template load<word>(run.table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Run::level);
      if (kind == entry_kind::absent) {
        ++i;
      } else if (kind == entry_kind::table || kind == entry_kind::locked) {
        clear(run, base, mine, taken);
        return kind == entry_kind::table ? run_stop<word>::at_table(i, entry) : run_stop<word>::retry(i);
      } else if (kind == entry_kind::marker) {
        // No cache knows a marker.
        if (memory.template compare_exchange<word>(run.table, i, entry, word{0}, order::acq_rel)) ++i;
      } else {
        const entry_span span = group_span<format>(entry, Run::level, i);
        if (span.first < i || span.last - base >= 64) {
          clear(run, base, mine, taken);
          base = i = span.first;
        }
        const std::size_t behind =
            take<Run::level>(run.table, span, end < base + 63 ? end : base + 63, entry, run.base, taken);
        if (behind == i) continue;
        const std::size_t size = behind - i;
        mine |= (size >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1) << (i - base);
        i = behind;
      }
    }
    clear(run, base, mine, taken);
    return run_stop<word>::done();
  }

  // A table whose every translation is in the range is unlinked, with all below it.
  template <class Position>
  constexpr errc table_pre(const Position& at) noexcept {
    const input_address last = at.address + (format::shape.leaf_bytes(Position::level) - 1);
    if (!(range_.first() <= at.address && last <= range_.last())) return errc::none;
    word entry = at.entry;
    if (!op_.lock(at.table, at.index, entry)) return errc::busy;
    const table_address table = format::table_of(at.entry, Position::level);
    freeze<Position::level - 1>(table, at.address);
    unlink<Position::level - 1>(op_.invalidate_now(at.address, last, -1, false), table);
    op_.store(at.table, at.index, word{0});
    return errc::none;
  }

 private:
  // Locks every entry of a table that this operation has cut off, and of those below it, and says what was there.
  // Waits for the owners of entries in it: they wait for nothing that this operation has.
  template <int Level>
  constexpr void freeze(table_address table, input_address base) noexcept {
    auto& memory = op_.policies.memory;
    const std::uint64_t bytes = format::shape.leaf_bytes(Level);
    constexpr std::size_t last = format::shape.entries(Level) - 1;
    taken_leaves taken;
    for (std::size_t i = 0; i <= last;) {
      word entry = memory.template load<word>(table, i, order::acquire);
      const entry_kind kind = format::kind_of(entry, Level);
      if (kind == entry_kind::locked) {
        section_.pause();
      } else if (kind == entry_kind::absent || kind == entry_kind::marker) {
        // Locked as if it were absent: a marker's payload goes with it.
        if (memory.template compare_exchange<word>(table, i, entry, format::locked, order::acq_rel)) ++i;
      } else if (kind == entry_kind::leaf) {
        i = take<Level>(table, group_span<format>(entry, Level, i), last, entry, base.value, taken);
      } else if (op_.lock(table, i, entry)) {
        if constexpr (Level > 0) freeze<Level - 1>(format::table_of(entry, Level), base + i * bytes);
        ++i;
      }
    }
    if (taken.entries != 0) taken.add_to(found, base + taken.first * bytes, base + ((taken.last + 1) * bytes - 1));
  }
  // Puts a frozen table, and those below it, on the list of those to be retired.
  template <int Level>
  constexpr void unlink(invalidated done, table_address table) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < format::shape.entries(Level); ++i) {
        const word locked = op_.policies.memory.template load<word>(table, i, order::relaxed);
        if (locked == format::locked) continue;
        const word was = format::unlock(locked);
        if (format::kind_of(was, Level) == entry_kind::table) unlink<Level - 1>(done, format::table_of(was, Level));
      }
    }
    op_.unlinked(done, table);
  }
  // Locks the leaf of entries `span`, which read as `seen`, and, if it is a single one, those single ones up to entry
  // `last` that follow it. Gives the first entry that is not locked: that of the leaf where it is no longer what it
  // was.
  template <int Level>
  constexpr std::size_t take(table_address table, entry_span span, std::size_t last, word seen, std::uint64_t base,
                             taken_leaves& taken) noexcept {
    if (span.first == span.last) return take_singles<Level>(table, span.first, last, seen, base, taken);
    if (!lock_group<Level>(op_, table, span)) return span.first;
    bool accessed = false, dirty = false;
    for (std::size_t k = span.first; k <= span.last; ++k) {
      const word was = op_.owned(table, k);
      accessed = accessed || format::is_accessed(was);
      dirty = dirty || is_dirty(was);
    }
    taken.add(span, accessed, dirty);
    if constexpr (reports_each) report<Level>(op_.owned(table, span.first), span, base, accessed, dirty);
    return span.last + 1;
  }
  template <int Level>
  QUIRE_INLINE constexpr std::size_t take_singles(table_address table, std::size_t first, std::size_t last, word entry,
                                                  std::uint64_t base, taken_leaves& taken) noexcept {
    memory_in_loop<typename Operation::memory_type> memory = op_.policies.memory;
    kernel::gathered_bits<word> bits;
    std::size_t i = first;
    // As operation::lock(). What is locked stays what it was until clear().
    while (memory.template compare_exchange<word>(table, i, entry, format::lock(entry), order::acq_rel)) {
      bits.add(entry);
      if constexpr (reports_each) report<Level>(entry, {i, i}, base, format::is_accessed(entry), is_dirty(entry));
      if (i++ == last) break;
      entry = memory.template load<word>(table, i, order::acquire);
      if (format::kind_of(entry, Level) != entry_kind::leaf || format::group_of(entry, Level) != 0) break;
    }
    if (i == first) return i;
    const auto any = [&](const auto& test) {
      if (bits.decides(test)) return !bits.none(test);
      for (std::size_t k = first; k < i; ++k)
        if (test(op_.owned(table, k))) return true;
      return false;
    };
    taken.add({first, i - 1}, any(format::is_accessed), format::facts.has_dirty && any(format::is_dirty));
    return i;
  }
  [[nodiscard]] static constexpr bool is_dirty(word entry) noexcept {
    return format::facts.has_dirty && format::is_dirty(entry);
  }
  template <int Level>
  constexpr void report(word was, entry_span span, std::uint64_t base, bool accessed, bool dirty) noexcept {
    attributes attrs = format::attributes_of(was, Level);
    attrs.accessed = accessed;
    attrs.dirty = dirty;
    const std::uint64_t bytes = format::shape.leaf_bytes(Level);
    const input_address address = input_address{base} + span.first * bytes;
    for (std::size_t k = 0; k <= span.last - span.first; ++k)
      report_(removed_leaf{address + k * bytes, format::output_of(was, Level) + k * bytes, bytes, attrs});
  }
  // Ends what leaves() began: forgotten by every cache, then absent, the first entry of a group last. A group that is
  // met afterwards may begin before what was taken here, so that is told now.
  template <class Run>
  constexpr void clear(const Run& run, std::size_t base, std::uint64_t& mine, taken_leaves& taken) noexcept {
    if (mine == 0) return;
    const std::size_t first = taken.first, last = taken.last;
    taken.add_to(found, run.address(first), run.address(last + 1) - 1);
    op_.invalidate_now(run.address(first), run.address(last + 1) - 1, Run::level, true);
    const bool all = last - first >= 64;  // a group that is larger than a batch, and by itself
    for (std::size_t i = last + 1; i-- > first;)
      if (all || (mine >> (i - base) & 1U) != 0) op_.store(run.table, i, word{0});
    mine = 0;
    taken = {};
  }
};

}  // namespace quire::detail

namespace quire {

// Takes whole leaves and markers away that overlap the range. All or nothing for each leaf and each table.
template <class Operation, class Section, class Report>
constexpr unmap_result unmap_concurrently(Operation& op, Section& section, input_range range, Report& report) noexcept {
  detail::concurrent_unmap<Operation, Section, Report> visitor{op, section, range, report};
  static_cast<void>(concurrent_walk<(walk_flag::leaf | walk_flag::table_pre)>(op, section, range, visitor));
  return visitor.found;
}

}  // namespace quire

// ---- quire/table/shared.hpp ---------------------------------------------------------------------

// What the read side may do to one existing page leaf: add rights, or age it, by compare-exchange.
//
// Who may write what: other readers change rights and accessed of the same entry by the same means, and the hardware
// adds accessed and dirty. Structure cannot change: that is the write side, which the lock keeps out. So an entry that
// is a page leaf stays one, and its output and memory type stay as they are.

namespace quire {

// What became of a write fault on the read side. Only the first two mean that the guest may go on.
enum class write_grant : unsigned char {
  granted,        // this call made the leaf writable
  already,        // somebody else had: nothing written
  not_mapped,     // no leaf there (or a marker)
  not_page,       // a block or a group: only the write side may split it
  not_permitted,  // may_write is not set: the host page behind it is read-only
  busy,           // another writer owns the entry (locking::concurrent): try again
};

namespace detail {

template <pte_format Format, class P>
QUIRE_INLINE constexpr void announce_locally(P& policies, input_address address) noexcept {
  const input_address page = address.align_down(Format::shape.page_bytes());
  policies.invalidation.local({page, page + (Format::shape.page_bytes() - 1), 0, true, invalidation_reason::relaxed});
}

// Of an entry that is not grantable.
template <pte_format Format>
[[nodiscard]] QUIRE_INLINE constexpr write_grant why_not_granted(typename Format::word entry, int level) noexcept {
  const entry_kind kind = Format::kind_of(entry, level);
  if (kind == entry_kind::locked) return write_grant::busy;
  if (kind != entry_kind::leaf) return write_grant::not_mapped;
  if (level != 0 || Format::group_of(entry, 0) != 0) return write_grant::not_page;
  return write_grant::not_permitted;
}

}  // namespace detail

// Makes the page leaf that translates `address` writable, and sets what the hardware would trap on if it were clear:
// dirty, and accessed where the hardware does not set it itself.
//
// mark() runs once, on the side of the exchange that the locking policy says.
// - Before it, under a lock that keeps the harvest out: an observer that sees the write permission must already see the
//   mark. The exchange has release order for that. A mark without a grant (the entry was changed away meanwhile)
//   over-reports, which is harmless.
// - After it, without a lock, and behind a full fence: a harvest that takes the mark sees the grant; and a mark() that
//   asks whether the log is on sees that it was switched on, or whoever switched it on sees the grant
//   (dirty/dirty_log.hpp).
// The compare-exchange expects the whole entry, so an accessed bit that the hardware adds meanwhile is kept by going
// round again. The loser of a race ends its own stale translation too, or it would fault forever.
template <pte_format Format, class P, class Mark>
[[nodiscard]] QUIRE_INLINE constexpr write_grant grant_write(P& policies, table_address root, input_address address,
                                                             Mark&& mark) noexcept {
  constexpr bool mark_first = P::locking::dirty == dirty_order::mark_then_grant;
  using word = typename Format::word;
  memory_in_loop<std::remove_reference_t<decltype(policies.memory)>> memory = policies.memory;
  return descend_then<Format, P::locking::reader_order>(
      memory, root, address,
      [&]<int Level>(table_address table, std::size_t i, word entry) QUIRE_INLINE_LAMBDA -> write_grant {
        if constexpr (Level != 0) return detail::why_not_granted<Format>(entry, Level);
        else {
          if (!Format::is_grantable(entry)) [[unlikely]]
            return detail::why_not_granted<Format>(entry, 0);
          if constexpr (mark_first) mark();
          for (;;) {
            // made() and not operator(): of a leaf, both changes apply.
            word writable_entry = Format::make_writable.made(entry);
            if constexpr (!Format::facts.sets_accessed) writable_entry = Format::set_accessed.made(writable_entry);
            if (writable_entry == entry) {
              detail::announce_locally<Format>(policies, address);
              return write_grant::already;
            }
            if (memory.template compare_exchange<word>(table, i, entry, writable_entry, order::release)) [[likely]] {
              if constexpr (!mark_first) {
                policies.words.fence(order::seq_cst);
                mark();
              }
              policies.maintenance.published();
              detail::announce_locally<Format>(policies, address);
              return write_grant::granted;
            }
            if (!Format::is_grantable(entry)) return detail::why_not_granted<Format>(entry, 0);
          }
        }
      });
}

template <pte_format Format, class P>
constexpr result<void> relax_page(P& policies, table_address root, input_address address, permissions rights) noexcept {
  using word = typename Format::word;
  const auto change = Format::relax(rights);
  if (!change) return error{change.error().code, -1, address.value};
  auto found = descend<Format, P::locking::reader_order>(policies.memory, root, address);
  for (;;) {
    if (Format::kind_of(found.entry, found.level) != entry_kind::leaf)
      return no_leaf<Format>(found.entry, found.level, address);
    if (found.level != 0 || Format::group_of(found.entry, 0) != 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(found.level), address.value};
    if (rights.contains(writable) && (found.entry & Format::may_write_bit) == 0)
      return error{errc::not_permitted, 0, address.value};
    const word relaxed = (*change)(found.entry);
    if (relaxed == found.entry && !Format::attributes_of(relaxed, 0).allowed.contains(rights))
      return error{errc::unsupported_attribute, 0, address.value};
    if (relaxed == found.entry ||
        policies.memory.template compare_exchange<word>(found.table, found.index, found.entry, relaxed, order::release))
      break;
  }
  policies.maintenance.published();
  detail::announce_locally<Format>(policies, address);
  return {};
}

// Relaxed: the bit publishes nothing. The next sample is only as fresh as the caller's invalidation makes it.
template <pte_format Format, class P>
constexpr result<bool> age_page(P& policies, table_address root, input_address address) noexcept {
  using word = typename Format::word;
  auto found = descend<Format, P::locking::reader_order>(policies.memory, root, address);
  for (;;) {
    if (Format::kind_of(found.entry, found.level) != entry_kind::leaf)
      return no_leaf<Format>(found.entry, found.level, address);
    if (found.level != 0 || Format::group_of(found.entry, 0) != 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(found.level), address.value};
    if (!Format::is_accessed(found.entry)) return false;
    const word aged = Format::clear_accessed(found.entry);
    if (policies.memory.template compare_exchange<word>(found.table, found.index, found.entry, aged, order::relaxed))
      return true;
  }
}

}  // namespace quire

// ---- quire/table/page_session.hpp ---------------------------------------------------------------

// What a session may do that has others beside it, with one page leaf and by one compare-exchange: shared.hpp.

namespace quire {

template <class Table, bool KeepsRoot>
class page_session : public reading_session<Table, KeepsRoot> {
  using base = reading_session<Table, KeepsRoot>;

 public:
  using format = typename Table::format;

  // The write-fault fast path. mark() is called once, before or after the leaf becomes writable as the locking policy
  // has it.
  template <class Mark>
  [[nodiscard]] QUIRE_INLINE constexpr write_grant make_writable(input_address address, Mark&& mark) noexcept {
    const auto root = this->reach();
    if (!root.exists() || !is_translatable<format>(address)) return write_grant::not_mapped;
    return grant_write<format>(table_->policies(), root.table(), address, mark);
  }
  // Adds rights to the page leaf that translates `address`; the write permission only where may_write is set. Errors:
  // not_mapped; busy; unsupported_level for a block or a group; not_permitted.
  constexpr result<void> relax(input_address address, permissions rights) noexcept {
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return relax_page<format>(table_->policies(), *root, address, rights);
  }
  // Clears the accessed bit of the page leaf that translates `address`; gives whether it was set.
  constexpr result<bool> test_and_clear_accessed(input_address address) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (!is_translatable<format>(address)) return error{errc::beyond_input, -1, address.value};
    return age_page<format>(table_->policies(), *root, address);
  }

  // Makes the calling CPU forget what it has cached of the page, "not mapped" as well: for whoever found done what he
  // came to do, while another's invalidation may still be on its way.
  constexpr void forget_locally(input_address address) noexcept {
    const input_range page = page_of<format>(address);
    table_->policies().invalidation.local({page.first(), page.last(), -1, false, invalidation_reason::installed});
  }

 protected:
  using base::table_;
  constexpr explicit page_session(Table& table) noexcept : base(table) {}
};

}  // namespace quire

// ---- quire/table/concurrent/session.hpp ---------------------------------------------------------

// The session of locking::concurrent: every operation of a table inside a read section, beside any other session.
//
// Each leaf and each table changes at once or not at all; a range may be changed in part when another session works on
// it, and the result says how far it came. When the session ends it completes the invalidations it owes, leaves the
// section, and retires the tables it unlinked.
//
// Progress. Operations of one leaf (make_writable, relax, test_and_clear_accessed, lookup) never wait: at an entry that
// another owns they say busy, and their caller tries again. Operations of a range wait for such an entry
// (section.pause() in between) for as long as its owner takes for one invalidation; nobody waits in a circle
// (operation.hpp). Sessions on disjoint ranges write no common word but a table entry above both of them, when it is
// absent.
//
// Caller must: be able to take part in an invalidation while it waits (an interprocessor interrupt, say).

namespace quire {

template <class Table, class Section>
class concurrent_session : public page_session<Table, true> {
  using base = page_session<Table, true>;
  using base::table_;
  using policies_type = typename Table::policies_type;
  using operation_type = concurrent_operation<typename Table::format, policies_type>;
  using word = typename Table::format::word;

 public:
  using format = typename Table::format;

  constexpr concurrent_session(Table& table, Section& section, reduction_count& reductions) noexcept
      : base(table),
        section_(section),
        invalidations_(table.policies()),
        debt_{.reductions = {table.policies().words, reductions}} {
    section_.enter();
    this->find_root();
  }
  concurrent_session(const concurrent_session&) = delete;
  concurrent_session& operator=(const concurrent_session&) = delete;
  QUIRE_INLINE constexpr ~concurrent_session() {
    complete();
    section_.leave();
    retire_unlinked();
  }

  // Maps `range` to the addresses from `output` on. Over an existing mapping: the same output and memory type with at
  // least these rights is success and writes nothing; missing rights are added; anything else is already_mapped.
  // Errors: map_concurrently.
  template <table_source Source>
  QUIRE_INLINE constexpr result<void> map(input_range range, output_address output, const attributes& wanted,
                                          Source& source, map_options options = {}) noexcept {
    if (map_absent_leaf<format, order::acquire>(table_->policies(), this->reach(), invalidations_, range, output,
                                                wanted, options.largest_level, detail::install_beside_others<format>{}))
        [[likely]]
      return {};
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> same = debt_;  // a mapping unlinks no table and takes no right away
    const map_options asked = options;
    unguarded guard;
    const auto done =
        map_any(*table_, this->reach(), section_, lent, same, range, output, wanted, source, asked, guard);
    invalidations_.take_back(lent);
    return done;
  }
  // The same for a fault: `guard()` says whether what the caller knows of the host's mapping is out of date, under the
  // protocol of map.hpp; then `stopped`.
  template <table_source Source, class Guard>
  constexpr result<void> map_guarded(input_range range, output_address output, const attributes& wanted, Source& source,
                                     map_options options, Guard&& guard) noexcept {
    return map_any(*table_, this->reach(), section_, invalidations_, debt_, range, output, wanted, source, options,
                   guard);
  }

  // Takes whole leaves and markers away that overlap the range, and says what was there; report(removed_leaf) for each
  // leaf entry if given.
  template <removal_report Report = std::nullptr_t>
  constexpr result<unmap_result> unmap(input_range range, Report&& report = nullptr) noexcept {
    return with(range, [&](operation_type& op) -> result<unmap_result> {
      const unmap_result found = unmap_concurrently(op, section_, range, report);
      op.finish();
      return found;
    });
  }

  // As unmap, and says nothing. Unlike the discard of a session that is alone it reads the tables that go: whoever is
  // inside one must fail at its next entry.
  constexpr result<void> discard(input_range range) noexcept {
    const auto found = unmap(range);
    if (!found) return found.error();
    return {};
  }
  // Writes a marker with `payload` (facts.marker_bits bits) over every page of a range in which nothing is mapped;
  // unmap takes it away. Errors: unsupported_attribute for a payload that does not fit; with the first page that is not
  // annotated already_mapped, marked, no_memory.
  template <table_source Source>
  constexpr result<void> annotate(input_range range, std::uint64_t payload, Source& source) noexcept {
    if (payload >> format::facts.marker_bits != 0) return error{errc::unsupported_attribute, -1, range.first().value};
    return with(range, [&](operation_type& op) -> result<void> {
      return annotate_concurrently(op, section_, source, range, payload);
    });
  }

  // Gives every leaf that overlaps the range exactly these rights, whole leaves. Taking the write permission away takes
  // may_write with it. Gives whether anything changed. Errors: unsupported_attribute. A leaf that cannot have these
  // rights (execution of device memory) stays as it is.
  template <class Report = const nothing_reported>
  constexpr result<bool> protect(input_range range, permissions rights, Report& report = ignore) noexcept {
    static_assert(!protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
                  "with this format protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    const auto change = format::protect(rights);
    if (!change) return error{change.error().code, -1, range.first().value};
    return any_of(changing(every_page{range}, *change, invalidation_reason::reduced, report));
  }
  // Takes the write permission from every leaf that overlaps the range, whole leaves, and leaves may_write alone. When
  // complete() has returned no CPU can write there without a new fault, also where another session protected first.
  template <class Report = const nothing_reported>
  constexpr result<bool> write_protect(input_range range, Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(range, report));
  }
  // The same for the pages of a mask: bit b is the page b pages after `first`. A block with a page in the mask is
  // protected whole.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<bool> write_protect(input_address first, std::uint64_t mask,
                                                    Report& report = ignore) noexcept {
    return any_of(write_protect_to_split(first, mask, report));
  }
  // The same for whoever splits next: says as well whether there was nothing to split, if it is known.
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_range range,
                                                                       Report& report = ignore) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    return changing(every_page{range}, format::write_protect, invalidation_reason::reduced, report);
  }
  template <class Report = const nothing_reported>
  QUIRE_INLINE constexpr result<change_outcome> write_protect_to_split(input_address first, std::uint64_t mask,
                                                                       Report& report = ignore) noexcept {
    static_assert(
        !protecting_loses_dirty<format> || !std::is_same_v<Report, const nothing_reported>,
        "with this format write_protect() makes dirty leaves clean: say where the dirty pages are to be reported");
    if (mask == 0) return change_outcome{.any = false, .is_split = true};
    return changing(masked_pages<format>{first, mask}, format::write_protect, invalidation_reason::reduced, report);
  }
  // Gives the write permission back to every leaf in the range that has may_write.
  constexpr result<bool> restore_write(input_range range) noexcept {
    return any_of(changing(every_page{range}, restore_write_change<format>, invalidation_reason::relaxed, ignore));
  }
  // Sets the accessed bit of every leaf that overlaps the range.
  constexpr result<bool> set_accessed(input_range range) noexcept {
    return any_of(changing(every_page{range}, format::set_accessed, invalidation_reason::relaxed, ignore));
  }
  using base::test_and_clear_accessed;  // of one page
  // Clears the accessed bit of every leaf that overlaps the range; gives whether any was set.
  constexpr result<bool> test_and_clear_accessed(input_range range) noexcept {
    static_assert(format::facts.has_accessed,
                  "this format has no accessed bit: each leaf counts as accessed, and stays so");
    return any_of(changing(every_page{range}, format::clear_accessed, invalidation_reason::reduced, ignore));
  }
  // Calls report(address, bytes) for every dirty leaf (a group: all of it), and makes it clean if `clear`.
  template <class Report>
  constexpr result<bool> read_and_clear_dirty(input_range range, Report&& report, bool clear = true) noexcept {
    static_assert(format::facts.has_dirty, "this format has no dirty bit: track writes by write_protect()");
    if (!clear) {
      bool any = false;
      const auto read = this->for_each_mapping(range, [&](const mapping& leaf) {
        if (!leaf.attrs.dirty) return;
        any = true;
        report(leaf.input, leaf.bytes);
      });
      if (!read) return read.error();
      return any;
    }
    return any_of(changing(every_page{range}, format::make_clean, invalidation_reason::reduced, report));
  }

  // Splits every leaf above `target` that overlaps the range, and breaks groups down to it.
  template <walk_flags Skip = split_skips<typename Table::format>, table_source Source>
  QUIRE_INLINE constexpr result<split_result> split(input_range range, int target, Source& source) noexcept {
    static_assert((Skip.skipped & ~split_skips<format>.skipped) == 0,
                  "a split may skip only the levels of split_skips: leaves of others would stay as they are");
    if (target < 0 || target > format::shape.root_level || (format::group_sizes(target) & 1U) == 0)
      return error{errc::unsupported_level, static_cast<std::int8_t>(target), range.first().value};
    if constexpr (Skip.skips(0) && format::shape.root_level > 0) {
      const auto root = this->reach();
      if (root.exists() && is_sound<format>(range) && is_within_leaf<format, 1>(range)) [[likely]] {
        auto& memory = table_->policies().memory;
        // Acquire: other sessions publish tables meanwhile.
        const auto here =
            descend_to_run<format, 1, true, order::acquire>(memory, root.table(), range.first(), range.last());
        if (here.found && format::kind_of(memory.template load<word>(here.run.table, here.run.first, order::acquire),
                                          1) == entry_kind::table) [[likely]]
          return split_result{};  // one table of pages has it all
      }
    }
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> debt = debt_;
    const auto given = split_by_walk<Skip>(*table_, this->reach(), section_, lent, debt, range, target, source);
    invalidations_.take_back(lent);
    debt_ = debt;
    return given;
  }
  // Makes one leaf, of at most `largest_level`, of every table wholly inside the range whose leaves continue one
  // another with equal attributes. Caller must: know that the memory behind it is one piece and that nobody tracks it
  // by pages.
  constexpr result<collapse_result> collapse(input_range range, int largest_level = 7) noexcept {
    return with(range, [&](operation_type& op) -> result<collapse_result> {
      const collapse_result made = collapse_concurrently(op, section_, range, largest_level);
      op.finish();
      return made;
    });
  }
  // Frees tables in the range that have no entries. Gives how many.
  constexpr result<std::size_t> prune(input_range range) noexcept {
    return with(range, [&](operation_type& op) -> result<std::size_t> {
      const std::size_t freed = prune_concurrently(op, section_, range);
      op.finish();
      return freed;
    });
  }

  // Sees every invalidation through that this session owes.
  QUIRE_INLINE constexpr void complete() noexcept {
    static_cast<void>(invalidations_.complete());
    debt_.reductions.end();
  }
  // Lets go of the section for a moment: what was retired may be given back, and nothing that was read before is to be
  // relied on. Gives whether the table still has its root.
  template <class Refill>
  constexpr bool let_go(bool now, Refill&& refill) noexcept {
    auto& yield = table_->policies().yield;
    if (now || yield.should_yield()) {
      complete();
      section_.leave();
      retire_unlinked();
      yield.pause();
      refill();
      section_.enter();
      this->find_root();
    }
    return this->root().has_value();
  }

  [[nodiscard]] constexpr Table& table() noexcept { return *table_; }

 private:
  static constexpr nothing_reported ignore{};

  template <class Body>
  QUIRE_INLINE constexpr auto with(input_range range, Body&& body) noexcept
      -> decltype(body(std::declval<operation_type&>())) {
    const auto root = this->reach().get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table_->policies(), *root, invalidations_, debt_};
    return body(op);
  }
  // Without the session, which would live in memory for its sake.
  template <class Source, class Guard>
  QUIRE_COLD static constexpr result<void> map_any(Table& table, found_root<format> found, Section& section,
                                                   invalidator<policies_type>& invalidations,
                                                   concurrent_debt<policies_type>& debt, input_range range,
                                                   output_address output, const attributes& wanted, Source& source,
                                                   map_options options, Guard& guard) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const auto done = map_concurrently(op, section, source, range, output, wanted, options, guard);
    op.finish_install(range);
    return done;
  }
  // One change and nothing else. Most are of a few pages, which one table has, and nobody works on them; whatever else
  // there may be to do or to complain of is for the walk.
  template <class Pages, class Report>
  QUIRE_INLINE constexpr result<change_outcome> changing(const Pages& pages, const entry_change<word>& change,
                                                         invalidation_reason why, Report& report) noexcept {
    policies_type& policies = table_->policies();
    found_run<entry_run<format, 0, true>> here{};
    page_changes done{};
    if (const auto root = this->reach(); !has_groups<format> && root.exists() && pages.template is_sound<format>())
        [[likely]] {
      here =
          descend_to_run<format, 0, true, order::acquire>(policies.memory, root.table(), pages.first(), pages.last());
      if (here.found) [[likely]] {
        done = change_pages_concurrently(policies.memory, here.run, pages.of_window(here.run), change, report,
                                         debt_.reductions, why);
        debt_.reductions.counted = done.counted;
        if (!done.stopped) [[likely]] {
          changed_leaves changed = changed_in(here.run, done);
          if (done.found_as_wanted && debt_.reductions.joins(why)) [[unlikely]]
            changed = {pages.range().first(), pages.range().last(), -1, true};
          if (changed.any) announce_changes(policies, invalidations_, request_for(changed, why));
          return change_outcome{.any = done.any(), .is_split = split_skips<format>.skips(0)};
        }
      }
    }
    decltype(auto) lent = invalidations_.lend();
    concurrent_debt<policies_type> debt = debt_;
    const auto any =
        changing_by_walk(*table_, this->reach(), section_, lent, debt, pages, change, why, report,
                         change_progress{here.run.address(done.at), changed_in(here.run, done), done.found_as_wanted});
    invalidations_.take_back(lent);
    debt_ = debt;
    if (!any) return any.error();
    return change_outcome{.any = *any, .is_split = false};
  }
  template <class Pages, class Report>
  QUIRE_COLD static constexpr result<bool> changing_by_walk(Table& table, found_root<format> found, Section& section,
                                                            invalidator<policies_type>& invalidations,
                                                            concurrent_debt<policies_type>& debt, Pages pages,
                                                            const entry_change<word>& change, invalidation_reason why,
                                                            Report& report, change_progress so_far) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(pages.range()); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const bool any = change_concurrently(op, section, pages, change, why, report, so_far);
    op.finish();
    return any;
  }
  template <walk_flags Skip, class Source>
  [[gnu::noinline]] static constexpr result<split_result> split_by_walk(
      Table& table, found_root<format> found, Section& section, invalidator<policies_type>& invalidations,
      concurrent_debt<policies_type>& debt, input_range range, int target, Source& source) noexcept {
    const auto root = found.get();
    if (!root) return root.error();
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    operation_type op{table.policies(), *root, invalidations, debt};
    const split_result done = split_concurrently<Skip>(op, section, source, range, target);
    op.finish();
    return done;
  }
  QUIRE_INLINE constexpr void retire_unlinked() noexcept {
    if (debt_.unlinked.count == 0) [[likely]]
      return;
    retire(table_->policies(), section_, std::exchange(debt_.unlinked, {}));
  }
  // Without the session, which would live in memory for its sake.
  QUIRE_COLD static constexpr void retire(policies_type& policies, Section& section, table_list unlinked) noexcept {
    table_links<format, std::remove_reference_t<decltype(policies.memory)>> links{policies.memory};
    while (unlinked.count != 0) section.retire(links, policies.tables, unlinked.pop(links));
  }

  Section& section_;
  invalidator<policies_type> invalidations_;
  concurrent_debt<policies_type> debt_;
};

}  // namespace quire

// ---- quire/table/growing.hpp --------------------------------------------------------------------

// Which tables can grow: a table becomes one of a level more, whose root's entry 0 leads to the old root.
//
//   old root  ->  | 0 | 1 | 2 | ...   new root
//                   |
//                   old root, now a table like any other
//
// What the old root translated is translated as before, at the same input addresses; the space above is new.

namespace quire {

// Whether what is below the root of `Taller` may be a table of `Lower`: the same entries of the same levels, each as
// Lower has them, and an old root that is handed out in the size of Taller's tables. It may be narrower: what it has no
// entries for was not translated, and reads as absent. (Entries are compared by example: a page, a block or group of
// every size, a table, a marker and a lock.)
template <pte_format Taller, pte_format Lower>
[[nodiscard]] constexpr bool holds_tables_of() noexcept {
  if constexpr (!std::is_same_v<typename Taller::word, typename Lower::word> ||
                Taller::shape.levels != Lower::shape.levels + 1) {
    return false;
  } else {
    constexpr int top = Lower::shape.root_level;
    if (Taller::facts.sign_extended || Lower::facts.sign_extended) return false;  // the upper half would move
    if (Taller::shape.page_bits != Lower::shape.page_bits || Taller::table_shift != Lower::table_shift) return false;
    for (int level = 0; level < top; ++level)
      if (Taller::shape.index_bits[level] != Lower::shape.index_bits[level]) return false;
    if (Taller::shape.index_bits[top] < Lower::shape.index_bits[top]) return false;
    if (root_table_bytes<Lower> != table_unit_bytes<Taller> || root_table_bytes<Taller> != table_unit_bytes<Taller>)
      return false;
    const auto same = [](const auto& one, const auto& other) {
      return one.has_value() == other.has_value() && (!one.has_value() || *one == *other);
    };
    for (int level = 0; level <= top; ++level) {
      if (Taller::group_sizes(level) != Lower::group_sizes(level)) return false;
      const output_address somewhere{(std::uint64_t{1} << (Lower::facts.output_bits - 1))};
      for (int group = 0; group < 16; ++group)
        if (!same(Taller::leaf(somewhere, {.allowed = read_write}, level, group),
                  Lower::leaf(somewhere, {.allowed = read_write}, level, group)))
          return false;
      const table_address table{std::uint64_t{3} << Lower::table_shift};
      if (level > 0 && Taller::table(table, level) != Lower::table(table, level)) return false;
    }
    return Taller::marker(1) == Lower::marker(1) && Taller::locked == Lower::locked;
  }
}

template <class Taller, class Lower>
concept grows_from = pte_format<Taller> && pte_format<Lower> && holds_tables_of<Taller, Lower>();

}  // namespace quire

// ---- quire/table/shared_session.hpp -------------------------------------------------------------

// Sessions that may add rights to, or age, one existing page leaf at a time: on the read side of locking::shared,
// beside other readers; in a read section of locking::concurrent, beside anything.

namespace quire {

// Several may be at work at once, beside the hardware; never beside an exclusive session.
template <class Table, shared_lockable RwLock>
class shared_session : public page_session<Table, false> {
 public:
  constexpr shared_session(Table& table, RwLock& lock) noexcept : page_session<Table, false>(table), lock_(lock) {
    lock_.lock_shared();
  }
  shared_session(const shared_session&) = delete;
  shared_session& operator=(const shared_session&) = delete;
  constexpr ~shared_session() { lock_.unlock_shared(); }

 private:
  RwLock& lock_;
};

// What a fault needs of a section, and no more: it has nothing to complete and nothing to retire.
template <class Table, read_section Section>
class section_session : public page_session<Table, false> {
 public:
  constexpr section_session(Table& table, Section& section) noexcept
      : page_session<Table, false>(table), section_(section) {
    section_.enter();
  }
  section_session(const section_session&) = delete;
  section_session& operator=(const section_session&) = delete;
  constexpr ~section_session() { section_.leave(); }

 private:
  Section& section_;
};

}  // namespace quire

// ---- quire/table/page_table.hpp -----------------------------------------------------------------

// page_table<Format, Policies>: a root and the policies that act on its tables.
//
//   page_table<riscv::sv39x4, my_kernel> guest{my_kernel{...}};
//   if (!guest.create()) ...                       takes the root
//   auto session = guest.exclusive(lock);          every change happens in a session (session.hpp)
//   session.map(range, output, attributes)
//
// The lock lives outside. What the locking policy allows is what the session's type offers.

namespace quire {

template <pte_format Format, class Policies>
class page_table {
  static_assert(has_memory<Policies, Format>, "Policies::memory must be a memory_policy for the format's word");
  static_assert(has_maintenance<Policies>, "Policies::maintenance must be a maintenance_policy");
  static_assert(has_tables<Policies>, "Policies::tables must be a root_source");
  static_assert(has_invalidation<Policies>, "Policies::invalidation must be an invalidation_policy");
  static_assert(has_reclaim<Policies>, "Policies::reclaim must be a reclaim_policy for Policies::tables");
  static_assert(has_yield<Policies>, "Policies::yield must be a yield_policy");
  static_assert(has_words<Policies>, "Policies::words must be a shared_words_policy");
  static_assert(has_locking<Policies>, "Policies::locking must be a locking_policy");
  static_assert(has_sound_dirty_orders<Policies>,
                "Policies::locking loses pages: without a lock a page must be made writable before it is marked, and "
                "the log cleared before the pages are protected");
  static_assert(has_reentrant_invalidation<Policies>,
                "Policies::invalidation is entered by several sessions at once under locking::concurrent: it must say "
                "that it may be (reentrant = true)");
  static_assert(has_update<Policies, Format>,
                "Policies::update must break before it makes where the format needs it, and must not where faults "
                "cannot be retried");
  static_assert(has_retried_faults<Policies, Format>,
                "Policies::locking is concurrent, which locks entries while it changes them: a device that meets one "
                "faults, and its faults cannot be retried");

 public:
  using format = Format;
  using policies_type = Policies;
  using locking = typename Policies::locking;

  constexpr explicit page_table(Policies p) noexcept : policies_(std::move(p)) {}
  page_table(const page_table&) = delete;
  page_table& operator=(const page_table&) = delete;
  constexpr page_table(page_table&& other) noexcept
      : policies_(std::move(other.policies_)), root_(std::exchange(other.root_, none)) {}
  // Grows: a root of a level more, whose entry 0 leads to the root of `lower`; that one becomes an ordinary table. All
  // that was mapped is mapped as before, and no translation need be invalidated. Requires: `lower` has a root, and
  // lower.policies().tables.reserve(1) has said yes, so that growing cannot fail. Caller must: keep everybody else off
  // the table, as for any move, and then tell the hardware the new root() and number of levels, both at once; until
  // then it walks the old root, which is good for what lay below.
  template <pte_format Lower>
    requires grows_from<Format, Lower>
  constexpr explicit page_table(page_table<Lower, Policies>&& lower) noexcept : policies_(std::move(lower.policies_)) {
    static_assert(roots_are_tables<std::remove_reference_t<decltype(Policies::tables)>>,
                  "the old root is to be given back as a table: Policies::tables must say roots_are_tables = true");
    const std::uint64_t old = std::exchange(lower.root_, none);
    QUIRE_EXPECTS((old & open) != 0);
    const auto root = policies_.tables.take(table_contents::zeroed);
    QUIRE_EXPECTS(root.has_value());  // reserved by the caller
    // Relaxed: nobody reaches the root before it is stored below.
    policies_.memory.template store<word>(*root, 0, Format::table(table_address{old - open}, Format::shape.root_level),
                                          order::relaxed);
    policies_.maintenance.table_filled(*root, root_table_bytes<Format>);
    policies_.words.store(root_, root->value | open, order::release);
  }
  page_table& operator=(page_table&&) = delete;
  // Frees what is left, without yielding. Caller must: be the only one left, hardware included.
  constexpr ~page_table() {
    while (!destroy(~std::size_t{0})) {
    }
  }

  // Takes an empty root: root_table_bytes<Format>, aligned to that. A session that is open does not find it. Errors:
  // no_memory.
  [[nodiscard]] constexpr result<void> create() noexcept {
    if (root_ != none) return {};
    const auto root = policies_.tables.take_root(root_table_bytes<Format>);
    if (!root) return root.error();
    QUIRE_EXPECTS(root->is_aligned(root_table_bytes<Format>));
    policies_.maintenance.table_filled(*root, root_table_bytes<Format>);
    policies_.words.store(root_, root->value | open, order::release);
    return {};
  }

  // No session that begins from here on finds the root: its operations say no_root. One that is open goes on with the
  // root that it found. How a table of locking::concurrent
  // goes while others use it: close(); wait until the sections that are open now have been left (a grace period of the
  // user's RCU, epoch_reclaim::wait_for_sections); take the root from every CPU; destroy(). Idempotent.
  constexpr void close() noexcept {
    // Release: what the caller did to the table is seen by whoever waits for the sections.
    if ((root_ & open) != 0) policies_.words.store(root_, root_ ^ (open | closed), order::release);
  }

  // Gives back at most `most` tables, then says whether all are gone, the root too. Idempotent; resumable; the table
  // translates less and less meanwhile. Caller must: have taken the root from every CPU, invalidated its translations,
  // and be sure that no software walker and no session is left and that none begins (close()).
  constexpr bool destroy(std::size_t most) noexcept {
    if (root_ == none) return true;
    const table_address root{root_ & ~(open | closed)};
    if (!destroy_below<Format::shape.root_level>(root, most)) return false;
    policies_.words.store(root_, none, order::relaxed);
    policies_.tables.give_back_root(root, root_table_bytes<Format>);
    return true;
  }

  // Where the hardware finds the root; no_root before create() and after close() or destroy(). Relaxed: whoever may ask
  // was told of the table after create(), and a section that is entered after close() was waited for sees it by the
  // fence in enter().
  [[nodiscard]] QUIRE_INLINE constexpr result<table_address> root() const noexcept { return find_root().get(); }
  // The same for a session, which asks more of it.
  [[nodiscard]] QUIRE_INLINE constexpr found_root<Format> find_root() const noexcept {
    return found_root<Format>{policies_.words.load(root_, order::relaxed)};
  }
  [[nodiscard]] constexpr Policies& policies() noexcept { return policies_; }

  // ---- sessions; the forms with a lock take it, or are told that it is held (and then neither take nor release it).
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive() noexcept
    requires lock_of<void, locking>
  {
    return exclusive_session<page_table, no_lock>{*this, nullptr, false};
  }
  template <lockable Lock>
    requires lock_of<Lock, locking>
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive(Lock& lock) noexcept {
    return exclusive_session<page_table, Lock>{*this, &lock, true};
  }
  template <lockable Lock>
    requires lock_of<Lock, locking>
  [[nodiscard]] QUIRE_INLINE constexpr auto exclusive(Lock& lock, already_held_t) noexcept {
    if constexpr (requires { lock.assert_held(); }) lock.assert_held();
    return exclusive_session<page_table, Lock>{*this, &lock, false};
  }
  template <shared_lockable Lock>
    requires(locking::has_read_side && lock_of<Lock, locking>)
  [[nodiscard]] constexpr auto shared(Lock& lock) noexcept {
    return shared_session<page_table, Lock>{*this, lock};
  }
  template <read_section Section>
    requires section_of<Section, locking>
  [[nodiscard]] constexpr auto concurrent(Section& section) noexcept {
    return concurrent_session<page_table, Section>{*this, section, reductions_};
  }
  // Whatever the locking policy: the session that may change everything, and the one that may change single pages.
  // `guard` is the lock, or the section.
  template <class Guard>
  [[nodiscard]] QUIRE_INLINE constexpr auto session(Guard& guard) noexcept {
    if constexpr (concurrent_locking<locking>) return concurrent(guard);
    else return exclusive(guard);
  }
  template <class Guard>
    requires(locking::has_read_side || concurrent_locking<locking>)
  [[nodiscard]] constexpr auto one_page_session(Guard& guard) noexcept {
    if constexpr (concurrent_locking<locking>) return section_session<page_table, Guard>{*this, guard};
    else return shared(guard);
  }
  // Gives back the tables that sessions of this section unlinked and that nobody can be inside any more; gives how many
  // still wait. For sections that have a collect(), as epoch_section.
  template <read_section Section>
    requires section_of<Section, locking>
  std::size_t collect(Section& section) noexcept {
    return section.collect(table_links<Format, decltype(policies_.memory)>{policies_.memory}, policies_.tables);
  }

 private:
  template <pte_format F, class P>
  friend class page_table;
  using word = typename Format::word;

  template <int Level>
  constexpr bool destroy_below(table_address table, std::size_t& most) noexcept {
    if constexpr (Level > 0) {
      for (std::size_t i = 0; i < Format::shape.entries(Level); ++i) {
        const word entry = policies_.memory.template load<word>(table, i, order::relaxed);
        if (Format::kind_of(entry, Level) != entry_kind::table) continue;
        const table_address child = Format::table_of(entry, Level);
        if (!destroy_below<Level - 1>(child, most) || most == 0) return false;
        --most;
        // Cleared before it is freed, so that a later call does not walk into it.
        policies_.memory.template store<word>(table, i, word{0}, order::relaxed);
        policies_.tables.give_back(child);
      }
    }
    return true;
  }

  // The root's address with one of these in its low bits, where it has none; or nothing.
  static constexpr std::uint64_t none = 0, open = found_root<Format>::open, closed = 2;

  Policies policies_;
  std::uint64_t root_ = none;
  struct nothing {};
  [[no_unique_address]] std::conditional_t<concurrent_locking<locking>, reduction_count, nothing> reductions_{};
};

static_assert(policies_for<policies, format_archetype>);

}  // namespace quire

// ---- quire/table/one_of.hpp ---------------------------------------------------------------------

// one_of<T...>: one of several instantiations, chosen at run time. What the CPU can do is found out at boot, and the
// number of levels is part of a format's type; so a program that runs on several CPUs holds several types, and at
// run time one of them.
//
//   using guest_table = quire::one_of<page_table<riscv::gstage<3>, my_kernel>, page_table<riscv::gstage<4>,
//   my_kernel>>; guest_table guest{quire::find_format<guest_table>([&]<class F>() { return F::shape.levels == probed;
//   }).value(), ...}; guest.visit([&](auto& table) { auto session = table.exclusive(lock); ... });
//
// visit() compares once and is then in the ordinary instantiation: put whole operations into it, sessions and loops,
// not single look-ups. No virtual call, no table of functions, no heap. What goes along with a table (its lock, its
// log, its fault handler) may stand beside it in a struct: the alternatives are any types.
//
// Moved as its alternatives are; not copied, not assigned. What it was moved from keeps its (moved-from) alternative.

namespace quire {

template <class... Alternatives>
class one_of {
  static constexpr std::size_t count = sizeof...(Alternatives);
  static_assert(count >= 1 && count <= 255);
  static_assert((std::is_nothrow_move_constructible_v<Alternatives> && ...));

  template <std::size_t I, class First, class... Rest>
  struct nth : nth<I - 1, Rest...> {};
  template <class First, class... Rest>
  struct nth<0, First, Rest...> {
    using type = First;
  };

 public:
  template <std::size_t I>
  using alternative = typename nth<I, Alternatives...>::type;
  static constexpr std::size_t size = count;

  // Makes the alternative of that number from `arguments`, which all of them must accept. Requires: which < size.
  template <class... Arguments>
  explicit one_of(std::size_t which, Arguments&&... arguments) noexcept : which_(static_cast<std::uint8_t>(which)) {
    QUIRE_EXPECTS(which < count);
    at_chosen([&]<std::size_t I>() { ::new (place()) alternative<I>(std::forward<Arguments>(arguments)...); });
  }
  one_of(one_of&& other) noexcept : which_(other.which_) {
    at_chosen([&]<std::size_t I>() { ::new (place()) alternative<I>(std::move(other.template get<I>())); });
  }
  one_of(const one_of&) = delete;
  one_of& operator=(const one_of&) = delete;
  one_of& operator=(one_of&&) = delete;
  ~one_of() {
    at_chosen([&]<std::size_t I>() {
      using type = alternative<I>;
      get<I>().~type();
    });
  }

  [[nodiscard]] std::size_t which() const noexcept { return which_; }

  // visitor(alternative&), which gives the same type for each.
  template <class Visitor>
  QUIRE_INLINE decltype(auto) visit(Visitor&& visitor) {
    return at_chosen([&]<std::size_t I>() -> decltype(auto) { return visitor(get<I>()); });
  }
  template <class Visitor>
  QUIRE_INLINE decltype(auto) visit(Visitor&& visitor) const {
    return at_chosen([&]<std::size_t I>() -> decltype(auto) { return visitor(get<I>()); });
  }

 private:
  // Comparisons one after the other, the last is not needed.
  template <std::size_t I = 0, class Function>
  QUIRE_INLINE decltype(auto) at_chosen(Function&& function) const {
    if constexpr (I + 1 == count) return function.template operator()<I>();
    else {
      static_assert(
          std::is_same_v<decltype(function.template operator()<I>()), decltype(function.template operator()<I + 1>())>,
          "the visitor must give the same type for every alternative");
      if (which_ == I) return function.template operator()<I>();
      return at_chosen<I + 1>(function);
    }
  }
  [[nodiscard]] void* place() noexcept { return storage_; }
  [[nodiscard]] const void* place() const noexcept { return storage_; }
  template <std::size_t I>
  [[nodiscard]] QUIRE_INLINE alternative<I>& get() noexcept {
    return *std::launder(static_cast<alternative<I>*>(place()));
  }
  template <std::size_t I>
  [[nodiscard]] QUIRE_INLINE const alternative<I>& get() const noexcept {
    return *std::launder(static_cast<const alternative<I>*>(place()));
  }

  static constexpr std::size_t bytes = []() constexpr {
    std::size_t most = 1;
    ((most = sizeof(Alternatives) > most ? sizeof(Alternatives) : most), ...);
    return most;
  }();

  alignas(Alternatives...) std::byte storage_[bytes];
  std::uint8_t which_;
};

namespace detail {
template <class Choice, std::size_t I, class Predicate>
constexpr result<std::size_t> find_format_from(Predicate& wanted) noexcept {
  if constexpr (I == Choice::size) return errc::unsupported_level;
  else {
    using format = typename Choice::template alternative<I>::format;
    if (wanted.template operator()<format>()) return I;
    return find_format_from<Choice, I + 1>(wanted);
  }
}
}  // namespace detail

// The number of the first alternative with a format that is wanted: wanted.operator()<Format>() gives a bool. Errors:
// unsupported_level where there is none.
template <class Choice, class Predicate>
[[nodiscard]] constexpr result<std::size_t> find_format(Predicate&& wanted) noexcept {
  return detail::find_format_from<Choice, 0>(wanted);
}

}  // namespace quire

// ---- quire/table/constant_table.hpp -------------------------------------------------------------

// A whole table that the compiler builds: a boot table in read-only data, finished before the first instruction.
//
//   [[gnu::section(".boot_tables")]] constinit const auto boot_tables =
//       quire::constant_table<format, 0x8020'0000, 3>([](auto& session) {
//         return session.map(ram, quire::output_address{0x8000'0000}, {.allowed = quire::all_access, .dirty = true});
//       });
//
// The object is the root and then the tables, and nothing else; the linker must place it at the physical address that
// is named here (entries cannot be relocated). What cannot be had (a range that is not aligned, too few tables) does
// not compile, and the error's name is in the message. What is left over of the tables stays zero: tables_needed() says
// how many a mapping takes.
//
// Read-only data is for tables that the hardware does not write: where it sets accessed or dirty itself, map with both
// set, or place the object in writable data.
//
// The compiler counts its steps in one evaluation. By default GCC 12 and clang 14 and 19 have enough for a root of 2048
// entries and 512 tables of 512 leaves: a gigabyte in pages of 4 KiB.

namespace quire {

// The words of a finished table, and a look at what they say.
template <pte_format Format, std::uint64_t Base, std::size_t Tables>
struct table_image
    : table_block<typename Format::word, Base, root_table_bytes<Format>, table_unit_bytes<Format>, Tables> {
  using format = Format;
  static constexpr std::uint64_t last_byte = Base + (table_image::first_table + Tables * table_unit_bytes<Format> - 1);
  static_assert(Format::facts.output_bits >= 64 || last_byte >> Format::facts.output_bits == 0,
                "no entry can hold these addresses");

  // As of any table; for static_assert in the first place.
  [[nodiscard]] constexpr result<mapping> lookup(input_address address) const noexcept {
    const read_only image{*this};
    return look_up<Format>(image, this->root(), address);
  }

 private:
  struct read_only {
    const table_image& of;

    template <class Word>
    [[nodiscard]] constexpr Word load(table_address table, std::size_t i, order) const noexcept {
      return of.words[(table.value - Base) / sizeof(Word) + i];
    }
  };
};

// The policies that build an image, in constant evaluation or at run time.
template <class Image>
struct image_policies;
template <pte_format Format, std::uint64_t Base, std::size_t Tables>
struct image_policies<table_image<Format, Base, Tables>> : policies {
  using block = table_block<typename Format::word, Base, root_table_bytes<Format>, table_unit_bytes<Format>, Tables>;

  array_memory<typename Format::word> memory;
  block_tables<block> tables;

  constexpr explicit image_policies(block& to) noexcept : memory(to.memory()), tables(to) {}
};

// `build(session)` works on an empty table and gives the result<...> of the last thing it did; see above.
template <pte_format Format, std::uint64_t Base, std::size_t Tables, class Build>
[[nodiscard]] consteval table_image<Format, Base, Tables> constant_table(Build build) {
  using image = table_image<Format, Base, Tables>;
  image words{};
  page_table<Format, image_policies<image>> table{image_policies<image>{words}};
  const auto created = table.create();
  detail::expect_no_error(created.error().code, detail::every_errc{});
  {
    auto session = table.exclusive();
    const auto built = build(session);
    detail::expect_no_error(built.error().code, detail::every_errc{});
  }
  const image finished = words;  // the table takes its own words apart when it goes
  return finished;
}

}  // namespace quire

// ---- quire/dirty/memory_slot.hpp ----------------------------------------------------------------

// A memory slot: guest memory with one host mapping behind it, and what leaf sizes that allows.

namespace quire {

// `pages` pages of the format from `first` on. `host` is where the slot's first byte lies in the host's own address
// space: only its alignment matters here. `rights` is the most that any leaf of the slot may allow.
struct memory_slot {
  input_address first;
  std::uint64_t pages = 0;
  std::uint64_t host = 0;
  permissions rights = all_access;
  bool read_only = false;

  template <pte_format Format>
  [[nodiscard]] constexpr input_range range() const noexcept {
    return input_range::sized(first, pages << Format::shape.page_bits);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr bool contains(input_address address) const noexcept {
    return address >= first && (address - first) >> Format::shape.page_bits < pages;
  }
  template <pte_format Format>
  [[nodiscard]] constexpr std::uint64_t page_index(input_address address) const noexcept {
    return (address - first) >> Format::shape.page_bits;
  }
  // The largest level at which a leaf may cover `address`: the block lies wholly inside the slot, and guest and host
  // address agree in the bits inside the block. Never above `largest`.
  template <pte_format Format>
  [[nodiscard]] constexpr int largest_level(input_address address, int largest) const noexcept {
    int level = largest < Format::shape.root_level ? largest : Format::shape.root_level;
    const std::uint64_t last = first.value + ((pages << Format::shape.page_bits) - 1);
    for (; level > 0; --level) {
      if ((Format::group_sizes(level) & 1U) == 0) continue;
      const std::uint64_t bytes = Format::shape.leaf_bytes(level);
      const std::uint64_t block = address.value & ~(bytes - 1);
      if (((first.value ^ host) & (bytes - 1)) == 0 && block >= first.value && block + (bytes - 1) <= last) break;
    }
    return level;
  }
};

// What the host has behind a page: where it is, whether it may be written, and the largest level at which the host's
// own mapping around it is one aligned piece.
struct host_page {
  output_address output;
  bool writable = false;
  int largest_level = 0;
};

// resolve(slot, address, write) -> host_page of the page at `address`, faulting it in for writing if `write`. May
// sleep; it is called without the table's lock, after the invalidation sequence was sampled. mapped_level(slot,
// address) -> the largest level as above, now; called under the lock when blocks are recovered.
template <class B>
concept memory_backing = requires(B& backing, const memory_slot& slot, input_address address, bool write) {
  { backing.resolve(slot, address, write) } -> std::same_as<result<host_page>>;
  { backing.mapped_level(slot, address) } -> std::same_as<int>;
};

}  // namespace quire

// ---- quire/dirty/sink.hpp -----------------------------------------------------------------------

// Dirty sinks: where "this page was written" goes.
//
//   mark(page)   page is an index in the slot. Called by several vCPUs at once, under the read or the write side, or in
//                a read section.
// A harvestable sink also keeps the marks, 64 pages a word, until a harvest takes them:
//   peek(word), take(word, bits) -> the bits that were set (and are now clear), set_all(), clear_all(), pages().
// Where the locking policy has a lock the harvest holds its write side, and nobody marks beside it.

namespace quire {

template <class S>
concept dirty_sink = requires(S& sink, std::uint64_t page) {
  { sink.mark(page) } -> std::same_as<void>;
};

template <class S>
concept harvestable_sink = dirty_sink<S> && requires(S& sink, std::size_t word, std::uint64_t bits) {
  { sink.peek(word) } -> std::same_as<std::uint64_t>;
  { sink.take(word, bits) } -> std::same_as<std::uint64_t>;
  { sink.set_all() } -> std::same_as<void>;
  { sink.clear_all() } -> std::same_as<void>;
  { sink.pages() } -> std::same_as<std::uint64_t>;
};

// Words that a bitmap of `pages` pages takes.
[[nodiscard]] constexpr std::size_t bitmap_words(std::uint64_t pages) noexcept {
  return static_cast<std::size_t>(pages / 64 + (pages % 64 != 0 ? 1 : 0));
}

// A bit a page in words that the user owns, bitmap_words(pages) of them. Bits past the last page are always clear.
class dirty_bitmap {
 public:
  constexpr dirty_bitmap(std::uint64_t* words, std::uint64_t pages) noexcept : words_(words), pages_(pages) {}

  // Relaxed: the exchange that makes the page writable releases it, or the fence after that exchange comes before it
  // (table/shared.hpp). The bit is not looked at first:
  // whoever marks found the page not writable, so the bit is nearly always clear, and a look would fetch the line
  // twice.
  QUIRE_INLINE void mark(std::uint64_t page) noexcept {
    QUIRE_AUDIT(page < pages_);
    atomic::fetch_or(words_ + page / 64, std::uint64_t{1} << (page % 64), order::relaxed);
  }
  [[nodiscard]] std::uint64_t peek(std::size_t word) const noexcept {
    return atomic::load(words_ + word, order::relaxed);
  }
  // Acquire: whoever takes a mark that was made without a lock sees the grant before it, and protects that.
  [[nodiscard]] std::uint64_t take(std::size_t word, std::uint64_t bits) noexcept {
    if ((peek(word) & bits) == 0) return 0;
    return atomic::fetch_and(words_ + word, ~bits, order::acquire) & bits;
  }
  void set_all() noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages_); ++w) atomic::store(words_ + w, valid_bits(w), order::relaxed);
  }
  void clear_all() noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages_); ++w) atomic::store(words_ + w, std::uint64_t{0}, order::relaxed);
  }
  [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; }

 private:
  [[nodiscard]] std::uint64_t valid_bits(std::size_t word) const noexcept {
    const std::uint64_t left = pages_ - std::uint64_t{word} * 64;
    return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
  }

  std::uint64_t* words_;
  std::uint64_t pages_;
};

// Hands every mark to a function; whoever keeps the marks brings them back as the bits of dirty_log::clear().
template <class Function>
class dirty_callback {
 public:
  constexpr explicit dirty_callback(Function function) noexcept : function_(function) {}
  constexpr void mark(std::uint64_t page) noexcept { function_(page); }

 private:
  Function function_;
};

struct no_sink {
  constexpr void mark(std::uint64_t) noexcept {}
};

static_assert(harvestable_sink<dirty_bitmap> && dirty_sink<no_sink> && !harvestable_sink<no_sink> && !dirty_sink<int>);

}  // namespace quire

// ---- quire/dirty/eager_split.hpp ----------------------------------------------------------------

// Eager splitting: all blocks of a range become pages before the guest writes them, in chunks, letting go of the lock
// between chunks when asked.

namespace quire {

// The run-time switch, read at the start of every call that may split. `chunk_bytes` is the most that is split without
// a chance to let go of the lock: the size of a page or a block of the format, or another power of two of pages; 0
// switches eager splitting off. Relaxed: a call sees the old or the new setting.
class eager_split_control {
 public:
  constexpr eager_split_control() noexcept = default;  // off
  constexpr eager_split_control(bool enabled, std::uint64_t chunk_bytes) noexcept
      : enabled_(enabled), chunk_bytes_(chunk_bytes) {}

  void set_enabled(bool enabled) noexcept { atomic::store(&enabled_, enabled, order::relaxed); }
  void set_chunk_bytes(std::uint64_t bytes) noexcept { atomic::store(&chunk_bytes_, bytes, order::relaxed); }
  // The chunk to split by; 0: do not split.
  [[nodiscard]] std::uint64_t chunk() const noexcept {
    return atomic::load(&enabled_, order::relaxed) ? atomic::load(&chunk_bytes_, order::relaxed) : 0;
  }

 private:
  bool enabled_ = true;
  std::uint64_t chunk_bytes_ = 0;
};

struct eager_split_result {
  std::size_t leaves = 0;  // leaves that became tables
  std::size_t tables = 0;  // tables taken
  std::uint64_t missed =
      0;               // bytes at the end of the range that were not looked at: out of memory, or the root is gone
  unsigned drops = 0;  // times the lock was let go

  constexpr eager_split_result& operator+=(const eager_split_result& other) noexcept {
    leaves += other.leaves;
    tables += other.tables;
    missed += other.missed;
    drops += other.drops;
    return *this;
  }
};

// Tables that one chunk can take: one for each block of each level that it may touch.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_for_chunk(std::uint64_t chunk_bytes) noexcept {
  std::size_t tables = 0;
  for (int level = 1; level < Format::shape.levels; ++level) {
    if (Format::group_sizes(level) == 0) continue;
    const std::uint64_t bytes = Format::shape.leaf_bytes(level);
    tables += static_cast<std::size_t>(chunk_bytes / bytes + (chunk_bytes % bytes != 0 ? 1 : 0));
  }
  return tables;
}

// Tables that splitting the pages from `first` to `last` can take: one for each block of each level that they touch.
template <pte_format Format>
[[nodiscard]] constexpr std::size_t tables_for_piece(input_address first, input_address last) noexcept {
  std::size_t tables = 0;
  for (int level = 1; level < Format::shape.levels; ++level) {
    if (Format::group_sizes(level) == 0) continue;
    const int shift = Format::shape.shift(level);
    tables += static_cast<std::size_t>((last.value >> shift) - (first.value >> shift)) + 1;
  }
  return tables;
}

// Whether a chunk size makes sense for a format.
template <pte_format Format>
[[nodiscard]] constexpr bool is_chunk_size(std::uint64_t chunk_bytes) noexcept {
  return chunk_bytes % Format::shape.page_bytes() == 0 && (chunk_bytes & (chunk_bytes - 1)) == 0;
}

// Splits every block that overlaps `range` into pages. Best effort: without memory it stops quietly and says what it
// missed.
//
// `cache` is a table_cache that serves nobody else. When it has less than the next piece can take, it is topped up to
// one chunk's need with the lock dropped, so that many small ranges share a drop. Each round makes progress or ends: a
// chunk is split before the lock is let go again. Requires: a session that holds the lock and may drop it, even if its
// caller took it (let_go in table/session.hpp).
template <walk_flags Skip, class Session, class Cache>
eager_split_result split_eagerly(Session& session, Cache& cache, input_range range,
                                 std::uint64_t chunk_bytes) noexcept {
  using format = typename Session::format;
  QUIRE_EXPECTS(is_chunk_size<format>(chunk_bytes) && chunk_bytes != 0);
  eager_split_result result;
  input_address at = range.first();
  for (bool refilled = false;;) {
    const std::uint64_t boundary = (at.value & ~(chunk_bytes - 1)) + (chunk_bytes - 1);
    const input_address last = range.last().value < boundary ? range.last() : input_address{boundary};
    // A chunk may need less than the worst case: only when it runs dry is a failed top-up the end.
    bool stocked = true;
    const bool low = cache.stock() < tables_for_piece<format>(at, last) && !refilled;
    const bool alive = session.let_go(low, [&] {
      stocked = cache.top_up(tables_for_chunk<format>(chunk_bytes));
      ++result.drops;
    });
    refilled = low && !stocked;
    if (!alive) break;
    const auto done = session.template split<Skip>(input_range::closed(at, last), 0, cache);
    if (!done) break;
    result.leaves += done->leaves;
    result.tables += done->tables;
    if (done->out_of_memory) {
      if (cache.stock() != 0 || refilled || done->leaves == 0) {
        if (done->stopped_at > at) at = done->stopped_at;
        break;
      }
      continue;
    }
    if (last == range.last()) return result;
    at = last + 1;
    refilled = false;
  }
  result.missed = range.last() - at + 1;
  return result;
}

}  // namespace quire

// ---- quire/dirty/harvest.hpp --------------------------------------------------------------------

// Harvesting: marks are taken from the log, and their pages protected again.
//
// For each word of 64 pages, or for up to eight that are set whole: take the bits and protect those pages, then split.
// Nothing between the first two lets go of the lock; splitting, the only part that needs memory, comes last. In which
// order the first two come is the locking policy's.

namespace quire {

// What a call did besides its purpose.
struct dirty_log_work {
  std::uint64_t words_taken = 0;  // bitmap words in which something was set
  eager_split_result split{};
  std::size_t blocks_recovered = 0;
};

// Whether a walk looks at entries whose answer is known: skip_level, or for comparison not.
enum class split_walk : bool { skip_level, every_level };

// What is split for the sake of a log, and from what.
template <class Session, class Cache>
struct eager_splitter {
  Session& session;
  Cache& cache;
  const eager_split_control& control;
  split_walk walk;

  eager_split_result operator()(input_range range) const noexcept {
    const std::uint64_t chunk = control.chunk();
    if (chunk == 0) return {};
    if (walk == split_walk::skip_level)
      return split_eagerly<split_skips<typename Session::format>>(session, cache, range, chunk);
    return split_eagerly<walk_flags{}>(session, cache, range, chunk);
  }
};

// With arm64's hardware dirty bit protecting makes clean. What was dirty then is what the harvest reports (or, when
// logging begins, what the first full copy takes), so it need not be marked again.
struct dropped_dirty {
  constexpr void operator()(input_address, std::uint64_t) const noexcept {}
};
template <pte_format Format>
inline constexpr std::conditional_t<protecting_loses_dirty<Format>, dropped_dirty, nothing_reported> drop_dirty{};

// One harvest of `sink`. `splitter`: what splits the pages that were taken, or none.
template <harvest_order Order, class Session, class Cache, dirty_sink Sink>
class dirty_harvest {
  using format = typename Session::format;
  static constexpr int page_bits = format::shape.page_bits;
  static constexpr bool clear_first = Order == harvest_order::clear_then_protect;

 public:
  dirty_harvest(Session& session, const memory_slot& slot, Sink& sink,
                const eager_splitter<Session, Cache>* splitter) noexcept
      : session_(session), slot_(slot), sink_(sink), splitter_(splitter) {}

  // Those of the `pages` pages from word `first` on that `asked` names; what was taken goes to `taken`, which may be
  // `asked`, or to nowhere. Errors: no_root, when the table was destroyed while the lock was let go.
  result<dirty_log_work> take(std::size_t first, std::uint64_t pages, const std::uint64_t* asked,
                              std::uint64_t* taken) noexcept {
    for (std::size_t w = 0; w < bitmap_words(pages);) {
      const std::size_t whole = whole_words(first + w, asked + w, static_cast<std::size_t>(pages / 64) - w);
      if (whole > 1) {
        take_whole(first + w, whole);
        if (taken)
          for (std::size_t i = 0; i < whole; ++i) taken[w + i] = ~std::uint64_t{0};
        w += whole;
      } else {
        const std::uint64_t left = pages - std::uint64_t{w} * 64;
        const std::uint64_t there = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
        const std::uint64_t bits = take_word(first + w, asked[w] & there);
        if (taken) taken[w] = bits;
        ++w;
      }
      if (!session_.let_go(false, [] {})) return errc::no_root;
    }
    return work_;
  }

 private:
  // Takes `asked` from a word of the log (of a sink that keeps none: all of it) and protects those pages. Gives what
  // was taken.
  std::uint64_t take_word(std::size_t word, std::uint64_t asked) noexcept {
    std::uint64_t taken = asked;
    if constexpr (harvestable_sink<Sink>) taken = clear_first ? sink_.take(word, asked) : sink_.peek(word) & asked;
    if (taken == 0) return 0;
    ++work_.words_taken;
    const input_address base = address_of(word);
    const auto done = session_.write_protect_to_split(base, taken, drop_dirty<format>);
    if constexpr (harvestable_sink<Sink> && !clear_first) static_cast<void>(sink_.take(word, taken));
    split(done, masked_range<format>(base, taken));
    return taken;
  }
  // How many words from `word` on, of `most` at the most, are asked for and set whole: those are harvested together.
  // Not many, for nothing is let go of in between.
  [[nodiscard]] std::size_t whole_words(std::size_t word, const std::uint64_t* asked, std::size_t most) const noexcept {
    constexpr std::size_t at_once = 8;
    const auto whole = [&](std::size_t i) {
      std::uint64_t bits = asked[i];
      if constexpr (harvestable_sink<Sink>) bits &= sink_.peek(word + i);
      return bits == ~std::uint64_t{0};
    };
    std::size_t n = 0;
    while (n < at_once && n < most && whole(n)) ++n;
    return n;
  }
  // As take_word(), of all the pages of `n` words.
  void take_whole(std::size_t word, std::size_t n) noexcept {
    const input_range pages = input_range::sized(address_of(word), std::uint64_t{n} * 64 << page_bits);
    const auto take = [&] {
      if constexpr (harvestable_sink<Sink>)
        for (std::size_t i = 0; i < n; ++i) static_cast<void>(sink_.take(word + i, ~std::uint64_t{0}));
    };
    work_.words_taken += n;
    if constexpr (clear_first) take();
    const auto done = session_.write_protect_to_split(pages, drop_dirty<format>);
    if constexpr (!clear_first) take();
    split(done, pages);
  }
  // What comes after the protection, if it left anything to split.
  void split(const result<change_outcome>& done, input_range pages) noexcept {
    // The slot was checked when logging began, and the root is there: but for a table of locking::concurrent that was
    // closed.
    QUIRE_EXPECTS(done.has_value() || done.error().code == errc::no_root);
    if (splitter_ == nullptr) return;
    if (done && done->is_split && splitter_->walk == split_walk::skip_level) return;
    work_.split += (*splitter_)(pages);
  }
  [[nodiscard]] input_address address_of(std::size_t word) const noexcept {
    return slot_.first + (std::uint64_t{word} * 64 << page_bits);
  }

  Session& session_;
  const memory_slot& slot_;
  Sink& sink_;
  const eager_splitter<Session, Cache>* splitter_;
  dirty_log_work work_{};
};

}  // namespace quire

// ---- quire/dirty/dirty_log.hpp ------------------------------------------------------------------

// The dirty log of one slot: enable, get, clear, disable.
//
// Tracking by write protection. A fault marks a page and makes it writable (fault.hpp); a harvest takes the mark and
// protects the page again; when it returns, the invalidation is complete. So whatever was written before the harvest
// returned is in what it gave, or in the next. In which order the two steps of either come is the locking policy's
// (policy/locking.hpp); where a lock separates faults and harvest, each pair is one critical section of it.
//
// Without such a lock (locking::concurrent) a page is marked after it became writable. So
// - the last harvest must come when no fault is on its way: the vCPUs have stopped, and left their fault handlers;
// - whether the log is on is asked after the page became writable, behind a full fence, and enable() switches it on,
//   fences, and then protects: either the fault sees the switch and marks, or the protection finds the page writable,
//   and takes it back before the first full copy.
//
// Modes, as in KVM's dirty log protocol:
//   manual_protect   get() only copies; clear() takes the bits it is given and protects those pages. Without it get()
//                    does both.
//   initially_set    (needs manual_protect) the log starts with every page set, and enabling neither protects nor
//                    splits: clear() does, piece by piece.
// Eager split: at enable() of the whole slot, or with initially_set at clear() of the blocks touched; switched at run
// time.
//
// `Guard`: what a session of the table is opened with. A lock is the table's own; a section belongs to the thread that
// calls enable, get, clear and disable. Caller must: make these calls of one log one at a time (they may drop the lock
// or leave the section on the way); faults may come at any moment beside them.

namespace quire {

struct dirty_log_mode {
  bool manual_protect = true;
  bool initially_set = false;
};

// What becomes of the pages when logging ends: they stay pages and regain their rights on demand; they become blocks at
// once; or each block is made by the first fault in it (fault.hpp).
enum class block_recovery : unsigned char { none, in_place, on_fault };

template <class Table, class Guard, dirty_sink Sink>
class dirty_log {
  using format = typename Table::format;
  using locking = typename Table::locking;

 public:
  // `control` may be changed at any time between calls; the next call heeds it.
  dirty_log(Table& table, Guard& guard, const memory_slot& slot, Sink sink, const eager_split_control& control) noexcept
      : table_(table), guard_(guard), slot_(slot), sink_(sink), control_(control) {}
  dirty_log(const dirty_log&) = delete;
  dirty_log& operator=(const dirty_log&) = delete;

  // Acquire: who sees the log on finds it as enable() made it.
  [[nodiscard]] bool enabled() const noexcept { return words().load(enabled_, order::acquire); }
  [[nodiscard]] const memory_slot& slot() const noexcept { return slot_; }
  // Relaxed: a hint for faults.
  [[nodiscard]] block_recovery recovery() const noexcept {
    return static_cast<block_recovery>(words().load(recovery_, order::relaxed));
  }
  // Caller must: hold the read or the write side, and have found enabled(); or without a lock, have made the page
  // writable, fenced, and found enabled() since.
  void mark(input_address address) noexcept { sink_.mark(slot_.template page_index<format>(address)); }

  // Which walk the eager split uses; every_level is there to measure against.
  split_walk walk = split_walk::skip_level;

  // Starts logging. `cache` feeds the eager split alone. Errors: unsupported_attribute (initially_set without
  // manual_protect); those of check_range, no_root. On an error logging stays off.
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> enable(dirty_log_mode mode, Cache& cache) noexcept {
    if (mode.initially_set && !mode.manual_protect) return errc::unsupported_attribute;
    const input_range range = slot_.template range<format>();
    dirty_log_work work;
    auto session = table_.session(guard_);
    if (const error bad = check_range<format>(range); bad.code != errc::none) return bad;
    if (const auto root = table_.root(); !root) return root.error();
    mode_ = mode;
    set_recovery(block_recovery::none);
    if constexpr (harvestable_sink<Sink>) {
      if (mode.initially_set) sink_.set_all();
      else sink_.clear_all();
    }
    // Release, and before the protection: from here on every fault that gives a page its right to be written marks it.
    words().store(enabled_, true, order::release);
    if constexpr (!locking::harvest_excludes_faults) words().fence(order::seq_cst);
    if (mode.initially_set) return work;
    const auto all =
        in_pieces(session, range, [&](input_range piece) { return session.write_protect(piece, drop_dirty<format>); });
    if (!all) return all.error();
    work.split = splitter(session, cache)(range);
    return work;
  }

  // Copies the log into `words` (bitmap_words(pages) of them). Without manual_protect it is taken and the pages are
  // protected again. Errors: not_mapped when logging is off; no_root, before anything is taken, or on the way when the
  // table was destroyed while the lock was let go (then `words` names at least what was taken).
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> get(std::uint64_t* words, Cache& cache) noexcept
    requires harvestable_sink<Sink>
  {
    const std::size_t n = bitmap_words(slot_.pages);
    auto session = table_.session(guard_);
    if (!enabled()) return errc::not_mapped;
    if (mode_.manual_protect) {
      for (std::size_t w = 0; w < n; ++w) words[w] = sink_.peek(w);
      return dirty_log_work{};
    }
    if (const auto root = table_.root(); !root) return root.error();
    for (std::size_t w = 0; w < n; ++w) words[w] = ~std::uint64_t{0};
    return harvest(session, cache, 0, slot_.pages, words, words);
  }

  // Takes from the log those of the pages [first_page, first_page + pages) that `words` names, and protects them again;
  // bit b of words[0] is first_page + b. Requires manual_protect. Errors, before anything is taken: not_mapped (logging
  // is off), unsupported_attribute (not in manual_protect mode), unaligned (first_page, or pages that do not reach the
  // slot's end, is no multiple of 64), beyond_input (past the slot), no_root (also as in get()).
  template <class Cache>
  [[nodiscard]] result<dirty_log_work> clear(std::uint64_t first_page, std::uint64_t pages, const std::uint64_t* words,
                                             Cache& cache) noexcept {
    auto session = table_.session(guard_);
    if (!enabled()) return error{errc::not_mapped, -1, slot_.first.value};
    if (!mode_.manual_protect) return error{errc::unsupported_attribute, -1, slot_.first.value};
    if (first_page > slot_.pages || pages > slot_.pages - first_page) return error{errc::beyond_input, -1, first_page};
    if (first_page % 64 != 0 || (pages % 64 != 0 && first_page + pages != slot_.pages))
      return error{errc::unaligned, -1, first_page};
    if (const auto root = table_.root(); !root) return root.error();
    return harvest(session, cache, static_cast<std::size_t>(first_page / 64), pages, words, nullptr);
  }

  // Ends logging. With block_recovery::in_place the slot's leaves regain the write permission where may_write is set,
  // and become blocks where slot and host allow; with the others that is left to the faults.
  template <memory_backing Backing>
  [[nodiscard]] result<dirty_log_work> disable(block_recovery recovery, Backing& backing) noexcept {
    dirty_log_work work;
    auto session = table_.session(guard_);
    if (!enabled()) return errc::not_mapped;
    words().store(enabled_, false, order::release);
    set_recovery(recovery);
    if (recovery != block_recovery::in_place) return work;
    const input_range range = slot_.template range<format>();
    const auto all = in_pieces(session, range, [&](input_range piece) { return session.restore_write(piece); });
    if (!all) return all.error();
    const auto level_at = [&](input_address at) {
      return slot_.template largest_level<format>(at, backing.mapped_level(slot_, at));
    };
    for (input_address at = range.first();;) {
      const int level = level_at(at);
      const std::uint64_t bytes = format::shape.leaf_bytes(level);
      // Neighbours of one size go together, for one invalidation serves them all; up to a boundary, for that is done in
      // one go.
      constexpr int highest = format::shape.root_level;
      const std::uint64_t together =
          format::shape.leaf_bytes(level == 0 ? (highest < 1 ? highest : 1) : (highest < 2 ? highest : 2));
      input_address last = at.align_down(bytes) + (bytes - 1);
      while (!(last + 1).is_aligned(together) && last < range.last() && level_at(last + 1) == level)
        last = last + bytes;
      if (level > 0) {
        const auto made = session.collapse(input_range::closed(at.align_down(bytes), last), level);
        if (made) work.blocks_recovered += made->leaves;
      }
      if (last >= range.last()) break;
      at = last + 1;
      if (!session.let_go(false, [] {})) return errc::no_root;
    }
    return work;
  }

 private:
  template <class Session, class Cache>
  [[nodiscard]] eager_splitter<Session, Cache> splitter(Session& session, Cache& cache) const noexcept {
    return {session, cache, control_, walk};
  }
  // Harvests those of the `pages` pages from word `first` on that `asked` names.
  template <class Session, class Cache>
  result<dirty_log_work> harvest(Session& session, Cache& cache, std::size_t first, std::uint64_t pages,
                                 const std::uint64_t* asked, std::uint64_t* taken) noexcept {
    const auto splits = splitter(session, cache);
    dirty_harvest<locking::harvest, Session, Cache, Sink> harvest{session, slot_, sink_,
                                                                  mode_.initially_set ? &splits : nullptr};
    return harvest.take(first, pages, asked, taken);
  }

  [[nodiscard]] const auto& words() const noexcept { return table_.policies().words; }
  void set_recovery(block_recovery recovery) noexcept {
    words().store(recovery_, static_cast<std::uint8_t>(recovery), order::relaxed);
  }

  // Calls change(piece) for pieces of the range, with a chance to let go of the lock between them. Errors: those of
  // change(); no_root.
  template <class Session, class Change>
  static result<void> in_pieces(Session& session, input_range range, Change&& change) noexcept {
    constexpr std::uint64_t piece_bytes = format::shape.leaf_bytes(format::shape.root_level);
    for (input_address at = range.first();;) {
      const input_address end{at.value | (piece_bytes - 1)};
      const input_address last = end < range.last() ? end : range.last();
      const auto done = change(input_range::closed(at, last));
      if (!done) return done.error();
      if (last == range.last()) return {};
      at = last + 1;
      if (!session.let_go(false, [] {})) return errc::no_root;
    }
  }

  Table& table_;
  Guard& guard_;
  memory_slot slot_;
  Sink sink_;
  const eager_split_control& control_;
  dirty_log_mode mode_{};
  std::uint8_t recovery_ = 0;  // a block_recovery
  bool enabled_ = false;
};

}  // namespace quire

// ---- quire/dirty/install.hpp --------------------------------------------------------------------

// The end of a fault's slow path: the page that the host gave becomes what the guest was missing.
//
// install() for a session that has the table to itself; install_concurrently() for one that has others beside it. Both
// take a plan, and leave the leaf that translates the faulting address as it says: larger leaves split, rights added to
// what is there, a mapping made where nothing is or where the host's page lies elsewhere now.
//
// Without a lock nothing that was found stays as it is. What is written is written under a guard, while the entry is
// owned: it asks again whether the host's mapping is as it was when the plan was made (table/concurrent/map.hpp). What
// somebody else changed meanwhile ends in `retry`: the guest faults again.

namespace quire {

enum class fault_outcome : unsigned char {
  fixed,       // the guest can go on
  fixed_fast,  // likewise, by the fast path
  retry,       // the host's mapping is changing, or another owns the entry: let the guest fault again
  not_memory,  // no slot there, or a write to a read-only slot: emulate the access
};

struct fault_report {
  fault_outcome outcome = fault_outcome::retry;
  std::size_t splits = 0;   // leaves that this fault split
  bool made_block = false;  // pages became a block again
};

// What a fault wants to be there.
struct fault_plan {
  input_address address;  // the faulting one
  output_address output;  // where it leads
  int level;              // of the leaf to make
  attributes wanted{};
  bool logging = false;  // the log is on: pages only
  bool rebuild = false;  // pages may become a block of `level` again

  [[nodiscard]] constexpr bool grants_write() const noexcept { return wanted.allowed.contains(writable); }
  // Whether a leaf may not stay: it is larger than the plan's, or a group of which one page is to be tracked.
  [[nodiscard]] constexpr bool too_large(const mapping& leaf) const noexcept {
    return leaf.level > level || (leaf.level == level && leaf.group != 0 && logging);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr input_range block() const noexcept {
    const std::uint64_t bytes = Format::shape.leaf_bytes(level);
    return input_range::sized(address.align_down(bytes), bytes);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr output_address block_output() const noexcept {
    return output.align_down(Format::shape.leaf_bytes(level));
  }
  // Whether the page at the faulting address leads where it should.
  template <pte_format Format>
  [[nodiscard]] constexpr bool agrees(const mapping& leaf) const noexcept {
    const std::uint64_t page = Format::shape.page_bytes();
    return leaf.translate(address.align_down(page)) == output.align_down(page);
  }
};

namespace detail {

// Splits what is too large, along the faulting address only. Errors: no_memory.
template <class Session, class Cache>
[[nodiscard]] result<std::size_t> split_for(Session& session, const fault_plan& plan, int found_level,
                                            Cache& cache) noexcept {
  using format = typename Session::format;
  const auto split = session.split(page_of<format>(plan.address), plan.level, cache);
  if (!split) return split.error();
  if (split->out_of_memory) return error{errc::no_memory, static_cast<std::int8_t>(found_level), plan.address.value};
  return split->leaves;
}

}  // namespace detail

// Caller must: hold the write side, have checked the invalidation sequence since, and mark the page before it lets go.
template <class Session, class Cache>
[[nodiscard]] result<fault_report> install(Session& session, const fault_plan& plan, Cache& cache) noexcept {
  using format = typename Session::format;
  const input_address address = plan.address;
  const input_range block = plan.block<format>();
  fault_report report{fault_outcome::fixed};
  // The leaf that translates the faulting address, not the first one of the block that it will be in.
  auto found = session.lookup(address);
  const bool same = found && plan.agrees<format>(*found);
  if (found && plan.too_large(*found)) {
    const auto split = detail::split_for(session, plan, found->level, cache);
    if (!split) return split.error();
    report.splits = *split;
    found = session.lookup(address);
  }
  if (same && found) {
    if (found->level < plan.level && plan.rebuild) {
      // Pages that lie in one piece of host memory: holes are filled, rights added, then they are one block.
      if (session.map(block, plan.block_output<format>(), plan.wanted, cache, {.largest_level = plan.level})) {
        const auto made = session.collapse(block, plan.level);
        report.made_block = made && made->leaves != 0;
      }
      if (report.made_block) return report;
    }
    const auto relaxed = session.relax(address, plan.wanted.allowed);
    if (!relaxed) return relaxed.error();
    if constexpr (format::facts.has_accessed && !format::facts.sets_accessed) {
      const auto aged = session.set_accessed(page_of<format>(address));
      if (!aged) return aged.error();
    }
    return report;
  }
  const auto done = session.map(block, plan.block_output<format>(), plan.wanted, cache,
                                {.largest_level = plan.level, .replace = found.has_value()});
  if (done) return report;
  if (done.error().code != errc::already_mapped) return done.error();
  // A neighbour in the block leads elsewhere: take the page alone.
  const output_address page_output = plan.output.align_down(format::shape.page_bytes());
  const auto alone = session.map(page_of<format>(address), page_output, plan.wanted, cache, {.largest_level = 0});
  if (!alone) return alone.error();
  return report;
}

// `stale()`: whether what the plan was made from may be out of date. granted(range): called after anything in the range
// may have become writable; it marks what is to be marked (fault.hpp).
template <class Session, class Cache, class Stale, class Granted>
class concurrent_install {
  using format = typename Session::format;

 public:
  concurrent_install(Session& session, const fault_plan& plan, Cache& cache, Stale& stale, Granted& granted) noexcept
      : session_(session), plan_(plan), cache_(cache), stale_(stale), granted_(granted) {}

  [[nodiscard]] result<fault_report> operator()() noexcept {
    const auto done = install();
    // Another may have done it all, and his invalidation may not have reached this CPU: it would fault again.
    if (done && done->outcome == fault_outcome::fixed) session_.forget_locally(plan_.address);
    return done;
  }

 private:
  [[nodiscard]] result<fault_report> install() noexcept {
    auto found = session_.lookup(plan_.address);
    if (!found && found.error().code == errc::busy) return retry();
    if (found && plan_.too_large(*found)) {
      const auto split = detail::split_for(session_, plan_, found->level, cache_);
      if (!split) return split.error();
      report_.splits = *split;
      found = session_.lookup(plan_.address);
      if (!found || plan_.too_large(*found)) return retry();
    }
    if (found && plan_.agrees<format>(*found))
      return found->level < plan_.level && plan_.rebuild && rebuild() ? report_ : add_rights(*found);
    if (found) {  // the host's page lies elsewhere now
      if (stale_()) return retry();
      const auto gone = session_.unmap(page_of<format>(plan_.address));
      if (!gone) return gone.error();
    }
    return make();
  }
  [[nodiscard]] fault_report retry() noexcept {
    report_.outcome = fault_outcome::retry;
    return report_;
  }
  // What somebody else caused is tried again, for he made progress; the rest is the caller's.
  [[nodiscard]] result<fault_report> ended(error why) noexcept {
    if (why.code == errc::busy || why.code == errc::stopped || why.code == errc::already_mapped) return retry();
    return why;
  }
  [[nodiscard]] result<void> map(input_range range, output_address output, const attributes& wanted,
                                 int level) noexcept {
    const auto done = session_.map_guarded(range, output, wanted, cache_, {.largest_level = level}, stale_);
    if (plan_.grants_write()) granted_(range);  // also after an error: part of the range may be mapped
    return done;
  }

  // Pages that lie in one piece of host memory: holes are filled, rights added, then they are one block. False: not all
  // pages are there.
  [[nodiscard]] bool rebuild() noexcept {
    const input_range block = plan_.block<format>();
    if (!map(block, plan_.block_output<format>(), plan_.wanted, plan_.level)) return false;
    if (stale_()) return true;
    const auto made = session_.collapse(block, plan_.level);
    report_.made_block = made && made->leaves != 0;
    return true;
  }
  // To the whole leaf, as a mapping of it.
  [[nodiscard]] result<fault_report> add_rights(const mapping& leaf) noexcept {
    attributes wanted = plan_.wanted;
    wanted.memory = leaf.attrs.memory;
    const auto done = map(input_range::sized(leaf.input, leaf.bytes), leaf.output, wanted, leaf.level);
    if (!done) {
      const auto now = session_.lookup(plan_.address);
      const bool same = done.error().code == errc::already_mapped && now && *now == leaf;
      if (same)  // no leaf of this kind can have these rights
        return error{errc::unsupported_attribute, static_cast<std::int8_t>(leaf.level), plan_.address.value};
      return ended(done.error());
    }
    if constexpr (format::facts.has_accessed && !format::facts.sets_accessed) {
      const auto aged = session_.set_accessed(page_of<format>(plan_.address));
      if (!aged) return aged.error();
    }
    return report_;
  }
  [[nodiscard]] result<fault_report> make() noexcept {
    const auto done = map(plan_.block<format>(), plan_.block_output<format>(), plan_.wanted, plan_.level);
    if (done) return report_;
    if (done.error().code != errc::already_mapped || plan_.level == 0) return ended(done.error());
    // A neighbour in the block leads elsewhere: take the page alone.
    const output_address page_output = plan_.output.align_down(format::shape.page_bytes());
    const auto alone = map(page_of<format>(plan_.address), page_output, plan_.wanted, 0);
    if (!alone) return ended(alone.error());
    return report_;
  }

  Session& session_;
  const fault_plan& plan_;
  Cache& cache_;
  Stale& stale_;
  Granted& granted_;
  fault_report report_{fault_outcome::fixed};
};

}  // namespace quire

// ---- quire/dirty/invalidation_sequence.hpp ------------------------------------------------------

// The invalidation sequence: how a fault learns that the host changed its mapping while the fault was on its way.
//
// The host side, for every change of its mapping of some guest range:
//   change = begin(range); unmap the range     change the host's mapping     end(change)
// The fault side:
//   snapshot = sample()        before it asks the host for the page
//   look the page up           may sleep, no lock
//   if (must_retry(snapshot, range)) start over;  else use the page
//
// Where a lock separates the two, begin() and the unmapping are one critical section of the write side, end() is in
// another, and must_retry() and what follows from it in one of either side. Without a lock the fault owns the entry
// that it is about to write when it asks, behind a full fence (table/concurrent/map.hpp): begin() ends with one, too,
// so either the fault sees the announcement, or the unmapping sees the entry owned and waits for it.
//
// Who writes what, and in which order. One word holds how many changes have ended and how many are announced; so a
// fault that finds it as it was, with none announced, has asked all there is to ask. Otherwise it looks whether one of
// those announced is of its range. Each has a slot of its own, taken by compare-exchange, with its range stored before
// it is announced; changes that find no slot speak of all addresses. end() moves the word on before it frees the slot,
// and a fault that has looked at the slots looks at the word again: if it read a range that was written after the
// announcement which it found, that one has ended, and the word has moved. So a change that was announced when the
// fault looked is never missed; one of another range may be taken for its own, which costs another try.

namespace quire {

template <shared_words_policy Words>
class basic_invalidation_sequence {
 public:
  // One change of the host's mapping, from begin() to end().
  struct [[nodiscard]] change {
    unsigned slot;
  };

  constexpr basic_invalidation_sequence() noexcept = default;
  constexpr explicit basic_invalidation_sequence(Words words) noexcept : words_(words) {}

  // Acquire, paired with the release in end(): a fault that samples the new number sees the new mapping.
  [[nodiscard]] std::uint64_t sample() const noexcept { return words_.load(state_, order::acquire); }

  // Caller must: unmap the range when it returns. At most 65535 changes at once.
  change begin(input_range range) noexcept {
    QUIRE_EXPECTS(range.defect() == errc::none);
    words_.fetch_add(state_, one_announced, order::relaxed);  // the fence below orders all of it
    unsigned taken = 0;
    for (; taken < slots; ++taken) {
      slot& one = announced_[taken];
      std::uint64_t seen = words_.load(one.stage, order::relaxed);
      // Acquire, and release of the range: who reads the range sees that what was in the slot before has ended.
      if (seen != unused || !words_.compare_exchange(one.stage, seen, being_written, order::acquire)) continue;
      words_.store(one.first, range.first().value, order::release);
      words_.store(one.last, range.last().value, order::release);
      words_.store(one.stage, in_use, order::release);
      break;
    }
    if (taken == slots) words_.fetch_add(without_slot_, std::uint64_t{1}, order::relaxed);
    words_.fence(order::seq_cst);  // announced before any entry is read
    return change{taken};
  }
  // Release: what the host changed is seen by whoever samples the new number, and that by whoever finds the slot free.
  void end(change which) noexcept {
    QUIRE_EXPECTS(in_progress());
    words_.fetch_add(state_, one_ended - one_announced, order::release);
    if (which.slot == slots) words_.fetch_add(without_slot_, ~std::uint64_t{0}, order::release);
    else words_.store(announced_[which.slot].stage, unused, order::release);
  }
  // True: what was looked up after `snapshot` may be out of date in the range.
  [[nodiscard]] QUIRE_INLINE bool must_retry(std::uint64_t snapshot, input_range range) const noexcept {
    const std::uint64_t now = words_.load(state_, order::acquire);
    if (now == snapshot && now % one_ended == 0) [[likely]]
      return false;
    if (now % one_ended != 0 && is_announced(range)) return true;
    return words_.load(state_, order::relaxed) / one_ended != snapshot / one_ended;  // acquire loads came before
  }
  [[nodiscard]] QUIRE_INLINE bool must_retry(std::uint64_t snapshot, input_address address) const noexcept {
    return must_retry(snapshot, input_range::closed(address, address));
  }
  [[nodiscard]] bool in_progress() const noexcept { return words_.load(state_, order::acquire) % one_ended != 0; }

 private:
  static constexpr std::uint64_t one_announced = 1, one_ended = std::uint64_t{1} << 16U;  // in state_
  static constexpr unsigned slots = 4;
  static constexpr std::uint64_t unused = 0, being_written = 1, in_use = 2;
  struct slot {
    std::uint64_t stage = unused;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };

  QUIRE_INLINE bool is_announced(input_range range) const noexcept {
    if (words_.load(without_slot_, order::acquire) != 0) return true;
    for (const slot& one : announced_) {
      const std::uint64_t stage = words_.load(one.stage, order::acquire);
      if (stage == unused) continue;
      if (stage == being_written) return true;
      const input_address first{words_.load(one.first, order::acquire)}, last{words_.load(one.last, order::acquire)};
      if (first <= range.last() && range.first() <= last) return true;
    }
    return false;
  }

  [[no_unique_address]] Words words_{};
  std::uint64_t state_ = 0;         // how many changes have ended, and in the low 16 bits how many are announced
  std::uint64_t without_slot_ = 0;  // how many of those
  slot announced_[slots]{};
};

using invalidation_sequence = basic_invalidation_sequence<direct_words>;

}  // namespace quire

// ---- quire/dirty/fault.hpp ----------------------------------------------------------------------

// Handling a guest's fault: the write-fault fast path for one page, and the slow path with its splits.
//
// Fast path (a read side or read sections, a write, logging on): one page leaf that is read-only for the log's sake
// becomes writable by one compare-exchange, under the read lock or in a section; no memory, no host page, no structure.
// Everything else falls through to the slow path, which has the write side, or a section.
//
// Order of the slow path: top the vCPU's cache up, sample the invalidation sequence, ask the host for the page (no lock
// is held), open the session, check the sequence, change the table. A page is marked before or after it becomes
// writable as the locking policy says; where that is after, whether the log is on is asked then, behind a full fence
// (dirty_log.hpp).

namespace quire {

// A fault as the hardware tells it. `writes_guest_tables`: the fault came from the hardware's own write to a guest page
// table (RISC-V htinst 0x3020, an accessed or dirty update): it is a write whatever the access was.
struct guest_fault {
  input_address address;
  permissions access;
  bool writes_guest_tables = false;

  [[nodiscard]] constexpr bool is_write() const noexcept { return writes_guest_tables || access.contains(writable); }
};

enum class fault_path : bool { slow, fast };

// `Guard`: what sessions are opened with. A lock is the table's own and one handler may serve every vCPU; with sections
// each vCPU has a handler, for a section belongs to a thread.
template <class Table, class Guard, memory_backing Backing, dirty_sink Sink>
class fault_handler {
  using format = typename Table::format;
  using locking = typename Table::locking;
  using words_type = std::remove_reference_t<decltype(Table::policies_type::words)>;
  using log_type = dirty_log<Table, Guard, Sink>;
  static constexpr bool alone = !concurrent_locking<locking>;
  static constexpr bool has_fast_path = locking::has_read_side || !alone;
  static constexpr bool mark_first = locking::dirty == dirty_order::mark_then_grant;

 public:
  using sequence_type = basic_invalidation_sequence<words_type>;

  fault_handler(Table& table, Guard& guard, sequence_type& sequence, Backing& backing, fault_path path) noexcept
      : table_(table), guard_(guard), sequence_(sequence), backing_(backing), path_(path) {}

  // `log` is the slot that holds the address, or null. `cache` belongs to the vCPU. Caller must: hold no lock of the
  // table, be in no section. Errors: no_memory (nothing lost: try again with memory); not_permitted (a write, and the
  // host page or the slot's rights do not allow it); and what the backing says.
  template <class Cache>
  [[nodiscard]] result<fault_report> handle(const guest_fault& fault, log_type* log, Cache& cache) noexcept {
    const bool write = fault.is_write();
    if (log == nullptr || (write && log->slot().read_only)) return fault_report{fault_outcome::not_memory};
    if constexpr (has_fast_path) {
      if (path_ == fault_path::fast && write && log->enabled()) {
        const write_grant given = fix_fast(fault.address, *log);
        if (given == write_grant::granted || given == write_grant::already)
          return fault_report{fault_outcome::fixed_fast};
        if (given == write_grant::busy) return fault_report{fault_outcome::retry};
      }
    }
    return fix_slow(fault, write, *log, cache);
  }

 private:
  // The sequence is sampled before the session begins: a change of the host's mapping in between makes this fall back.
  [[nodiscard]] write_grant fix_fast(input_address address, log_type& log) noexcept
    requires has_fast_path
  {
    const std::uint64_t snapshot = sequence_.sample();
    auto session = table_.one_page_session(guard_);
    // With a lock it is asked again now that nobody can switch it; in a section, after the grant.
    if ((alone && !log.enabled()) || sequence_.must_retry(snapshot, address)) return write_grant::not_mapped;
    return session.make_writable(address, [&] {
      if (alone || log.enabled()) log.mark(address);
    });
  }

  template <class Cache>
  [[nodiscard]] result<fault_report> fix_slow(const guest_fault& fault, bool write, log_type& log,
                                              Cache& cache) noexcept {
    // Enough to split along any one path from the root down, and then for a mapping in place of what was there. What is
    // in stock may do without more: the table says so if not.
    static_cast<void>(cache.top_up(2 * static_cast<std::size_t>(format::shape.root_level)));
    const std::uint64_t snapshot = sequence_.sample();
    const auto host = backing_.resolve(log.slot(), fault.address, write);
    if (!host) return host.error();
    const bool may_write = host->writable && !log.slot().read_only && log.slot().rights.contains(writable);
    if (write && !may_write) return error{errc::not_permitted, -1, fault.address.value};
    auto session = table_.session(guard_);
    const fault_plan plan = plan_for(fault.address, *host, write, may_write, log);
    const auto stale = [&] { return sequence_.must_retry(snapshot, plan.block<format>()); };
    if (stale()) return fault_report{fault_outcome::retry};
    if constexpr (alone) {
      const bool marks = plan.logging && plan.grants_write();
      if (marks && mark_first) log.mark(fault.address);
      const auto done = install(session, plan, cache);
      if (marks && !mark_first && done) log.mark(fault.address);
      return done;
    } else {
      const auto granted = [&](input_range range) {
        table_.policies().words.fence(order::seq_cst);
        if (!log.enabled()) return;
        const input_range pages = range.clamped_to(log.slot().template range<format>());
        for (input_address at = pages.first(); at <= pages.last(); at = at + format::shape.page_bytes()) log.mark(at);
      };
      return concurrent_install{session, plan, cache, stale, granted}();
    }
  }

  [[nodiscard]] static fault_plan plan_for(input_address address, const host_page& host, bool write, bool may_write,
                                           const log_type& log) noexcept {
    const bool logging = log.enabled() && !log.slot().read_only;
    fault_plan plan{.address = address,
                    .output = host.output,
                    .level = logging ? 0 : log.slot().template largest_level<format>(address, host.largest_level),
                    .wanted = {.allowed = log.slot().rights - writable, .may_write = may_write},
                    .logging = logging,
                    .rebuild = log.recovery() == block_recovery::on_fault};
    // While logging, only a write makes a page writable; otherwise a page that may be written is so from the start.
    if (may_write && (write || !logging)) {
      plan.wanted.allowed = plan.wanted.allowed | writable;
      plan.wanted.dirty = format::facts.has_dirty;  // Svade hardware would fault again on a clean leaf
    }
    return plan;
  }

  Table& table_;
  Guard& guard_;
  sequence_type& sequence_;
  Backing& backing_;
  fault_path path_;
};

}  // namespace quire

// ---- quire/format/amd_iommu.hpp -----------------------------------------------------------------

// AMD IOMMU host (v1) tables with 1 to 6 levels. (Guest, or v2, tables are those of x86_64.hpp.)
//
// Source: AMD I/O Virtualization Technology (IOMMU) Specification, "I/O Page Tables for Host Translations" (entry
// formats, page size encodings, "Page Table Level Parameters") and "Device Table Entry Format". The manual counts
// levels from 1, so its level 1 is our level 0. I/O virtual addresses have 64 bits, of which level 6 indexes the upper
// 7; fewer levels translate fewer.
//
//   63      | 62 61 | 60 | 59 | 58..52   | 51..12         | 11..9     | 8 7     | 6 5 | 4..1     | 0
//   ignored | IW IR | FC | U  | reserved | output address | NextLevel | ignored | D A | software | PR
//
// NextLevel says what an entry leads to: the manual's number of the child's level, 0 for a leaf as large as the entry,
// 7 for one whose size the address tells: n ones from bit 12 up and then a zero are 2^(n+13) bytes. Such a leaf is a
// group of equal entries, and the hardware may set A and D in any of them. Every power of two from 4 KiB to 256 GiB is
// there. Larger leaves exist and are not used: 512 GiB does not work on any part, so none above could be split. A table
// entry may skip levels; here none does, and one that does is not well formed, as it leaves out what a walk counts on.
//
// Software bit 1 is "may become writable", 2 and 3 are the owner's, 4 marks leaves. An entry with PR clear is free for
// software: bit 63 makes it `locked`; without it bit 2 with a payload in the address field is a marker.
//
// Nothing can be executed, and there are no memory types (FC aside).

namespace quire::amd {

// DTE.HAD: what the hardware sets in the entries.
enum class host_access_dirty : std::uint8_t { none = 0, accessed = 1, accessed_and_dirty = 3 };

struct iommu_options {
  host_access_dirty update = host_access_dirty::accessed_and_dirty;
  bool force_coherent = false;  // FC in every leaf
  bool caches_invalid = false;  // NpCache of the capability header: what is not present may be cached
};

template <int Levels, iommu_options Options = iommu_options{}>
struct iommu {
  static_assert(Levels >= 1 && Levels <= 6, "DTE.Mode is 1 to 6");

 private:
  static constexpr bool has_accessed = Options.update != host_access_dirty::none;
  static constexpr bool has_dirty = Options.update == host_access_dirty::accessed_and_dirty;

 public:
  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = []() constexpr {
    auto g = uniform_geometry<Levels>(12, 9);
    if (Levels == 6) g.index_bits[Levels - 1] = 7;
    return g;
  }();
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .caches_invalid = Options.caches_invalid,
      .sets_accessed = has_accessed,
      .sets_dirty = has_dirty,
      .has_accessed = has_accessed,
      .has_dirty = has_dirty,
      .table_permissions = true,
      .faults_retry = false,  // a device does not come again
      .output_bits = 52,
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word pr = 1U << 0;
  static constexpr word a = has_accessed ? 1U << 5 : 0, d = has_dirty ? 1U << 6 : 0;
  static constexpr int next_shift = 9;
  static constexpr word next = 7U << next_shift, next_encoded = 7U << next_shift;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word reserved = word{0x7f} << 52;
  static constexpr word fc = word{1} << 60, ir = word{1} << 61, iw = word{1} << 62;
  static constexpr word sw_may_write = 1U << 1, sw_owner0 = 1U << 2, sw_owner1 = 1U << 3, sw_leaf = 1U << 4;
  static constexpr word sw_locked = word{1} << 63;
  static constexpr int leaf_levels = Levels < 3 ? Levels : 3, largest_group = 8;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {pr | sw_leaf | bits, pr | sw_leaf | bits};
  }

 public:
  // The first quadword of a device table entry that has a device translated by the table: V, TV, HAD, Mode, the root,
  // IR and IW. The domain is in the second. Whoever changes both root and Mode of a live one stores them together.
  [[nodiscard]] static constexpr std::uint64_t device_table_entry(table_address root) noexcept {
    return root.value | 3U | (static_cast<std::uint64_t>(Options.update) << 7) | (unsigned{Levels} << next_shift) | ir |
           iw;
  }

  // A group of 512 would be the whole table, which is a leaf of the level above.
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? (2U << largest_group) - 1 : 0U;
  }

  // The table first, by one comparison: it is what a descent asks for. What leads to any other level, or is a leaf of a
  // size that is not used, is none of ours.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (pr | next)) == link_to(level)) return entry_kind::table;
    if ((entry & pr) == 0)
      return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
    return holds_leaves(level) && has_leaf_size(entry, level) ? entry_kind::leaf : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word entry, int level) noexcept {
    return (entry & next) == next_encoded ? encoded_group(entry, level) : 0;
  }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level) << group_of(entry, level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & ir) != 0) allowed = allowed | readable;
    if ((entry & iw) != 0) allowed = allowed | writable;
    return {.allowed = allowed,
            .may_write = (entry & sw_may_write) != 0,
            .accessed = !has_accessed || (entry & a) != 0,
            .dirty = (entry & d) != 0,
            .software = static_cast<std::uint8_t>((entry & (sw_owner0 | sw_owner1)) >> 2)};
  }
  // IR and IW of all entries and of the device table entry are ANDed. There is no other right to be taken away.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return executable | ((entry & ir) != 0 ? readable : no_access) | ((entry & iw) != 0 ? writable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: bits 58..52. Besides, whatever kind_of() does not know: other levels and sizes; and a leaf of the entry's
  // own size whose address is not aligned to that.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & pr) == 0) return true;
    if ((entry & reserved) != 0) return false;
    const entry_kind kind = kind_of(entry, level);
    if (kind != entry_kind::leaf) return kind == entry_kind::table;
    return (entry & next) == next_encoded || (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // All four sets of IR and IW exist.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group < 0 || group > 31 || ((group_sizes(level) >> group) & 1U) == 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (wanted.allowed.contains(executable) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if ((!has_accessed && !wanted.accessed) || (!has_dirty && wanted.dirty)) return errc::unsupported_attribute;
    // As many ones as there are address bits in half the leaf.
    const word size = group == 0 ? 0 : next_encoded | (((shape.leaf_bytes(level) << (group - 1)) - 1) & oa);
    return word{output.value | pr | sw_leaf | size | rights_of(wanted.allowed) | (Options.force_coherent ? fc : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                (word{wanted.software} << 2)};
  }
  // IR and IW are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int level) noexcept {
    return child.value | link_to(level) | ir | iw | a;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner0;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~pr) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | pr; }

  [[nodiscard]] static constexpr word step(int level, int group) noexcept {
    return group != 0 ? 0 : shape.leaf_bytes(level);
  }
  [[nodiscard]] static constexpr word child(word leaf_entry, int) noexcept { return leaf_entry; }

  static constexpr entry_test<word> is_writable = leaf_with(iw);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = has_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable{pr | sw_leaf | sw_may_write | next, pr | sw_leaf | sw_may_write};

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, iw | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~iw, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (allowed.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(ir | iw | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (more.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0}, rights_of(more) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // Of a level that there is.
  [[nodiscard]] static constexpr bool holds_leaves(int level) noexcept {
    return leaf_levels == Levels || level < leaf_levels;
  }
  // Our number of an entry's level is the manual's of its child's.
  [[nodiscard]] static constexpr word link_to(int level) noexcept {
    return pr | (static_cast<word>(level) << next_shift);
  }
  // log2 of the size that the address tells, in entries of `level`.
  [[nodiscard]] static constexpr int encoded_group(word entry, int level) noexcept {
    return __builtin_ctzll(~((entry & oa) >> 12)) + 13 - shape.shift(level);
  }
  [[nodiscard]] static constexpr bool has_leaf_size(word entry, int level) noexcept {
    if ((entry & next) != next_encoded) return (entry & next) == 0;
    const int group = encoded_group(entry, level);
    return group >= 0 && group <= largest_group;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? ir : 0) | (allowed.contains(writable) ? iw | sw_may_write : 0);
  }
};

static_assert(pte_format<iommu<1>> && pte_format<iommu<3>> && pte_format<iommu<6>>);
static_assert(iommu<1>::shape.input_bits() == 21 && iommu<3>::shape.input_bits() == 39);
static_assert(iommu<4>::shape.input_bits() == 48 && iommu<5>::shape.input_bits() == 57);
static_assert(iommu<6>::shape.input_bits() == 64 && iommu<6>::shape.entries(5) == 128);
static_assert(root_table_bytes<iommu<3>> == 4096 && root_table_bytes<iommu<6>> == 4096);
static_assert(*iommu<3>::leaf(output_address{0x8020'0000}, {.allowed = read_write}, 1) == 0x6000'0000'8020'0033);
static_assert(iommu<3>::table(table_address{0x8000'1000}, 2) == 0x6000'0000'8000'1421);
static_assert(iommu<3>::device_table_entry(table_address{0x8000'1000}) == 0x6000'0000'8000'1783);
static_assert(!iommu<3>::leaf(output_address{0}, {.allowed = executable}, 0));

}  // namespace quire::amd

// ---- quire/format/x86_64.hpp --------------------------------------------------------------------

// x86-64 page tables with 4 or 5 levels.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "4-Level Paging and 5-Level Paging"
// (formats of the entries), "Page Attribute Table"; AMD64 Architecture Programmer's Manual, Volume 2, "Long-Mode Page
// Translation". The manuals have names where we have numbers: PTE is level 0, PDE (2 MiB) 1, PDPTE (1 GiB) 2, PML4E 3,
// PML5E 4.
//
//   63 | 62..59 | 58..52   | 51..12         | 11..9    | 8 | 7  | 6 5 | 4   3   | 2  1  0
//   NX | key    | software | output address | software | G | PS | D A | PCD PWT | US RW P
//
// Bit 7 of a page is PAT, which in a block is bit 12. Software bit 9 is "may become writable", 11 and 52 are the
// owner's, 53 marks the table entries that are made here: the hardware sets A in them, too, and at level 0 nothing else
// tells them from a page. 54..58 stay 0 while an entry is present, and so do the protection key, which CR4.PKE gives a
// meaning, and 10, which VT-d does. An entry with P clear is free for software: bit 58 makes it `locked`; without it
// bit 11 with a payload in the address field is a marker. (On parts with L1TF a payload is an address that is
// speculated through.)
//
// Every leaf can be read. With CET shadow stacks a leaf that is dirty and not writable is a shadow stack page: make it
// clean first, or keep CR4.CET clear.
//
// The first stage of VT-d has the same entries ("First-Stage Paging Entries"): long_mode with faults_retry = false, as
// a device does not come again. What AMD-Vi calls guest (v2) tables, too.

namespace quire::x86 {

// Which entries of the PAT say what the memory types mean; the defaults are those of the PAT at power-up, which has no
// write combining: non_cacheable is UC-. A type that is not among them reads as device.
struct long_mode_options {
  std::uint8_t write_back = 0;
  std::uint8_t non_cacheable = 2;
  std::uint8_t device = 3;
  bool faults_retry = true;
};

namespace detail {

// What paging of a CPU's own and nested paging (amd_npt.hpp) have in common: all but whom an entry is for.
template <int Levels, long_mode_options Options, bool Nested>
struct long_mode_tables {
  static_assert(Levels == 4 || Levels == 5, "4 levels translate 48 bits, 5 levels 57");
  static_assert(Options.write_back < 8 && Options.non_cacheable < 8 && Options.device < 8, "the PAT has 8 entries");
  static_assert(Options.write_back != Options.non_cacheable && Options.write_back != Options.device &&
                    Options.non_cacheable != Options.device,
                "each memory type needs an entry of the PAT for itself");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .sets_accessed = true,
      .sets_dirty = true,
      .has_dirty = true,
      .table_permissions = true,
      .faults_retry = Options.faults_retry,
      .sign_extended = !Nested,
      .output_bits = 52,  // the architectural limit of MAXPHYADDR
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word p = 1U << 0, rw = 1U << 1, us = 1U << 2, pwt = 1U << 3, pcd = 1U << 4, a = 1U << 5, d = 1U << 6,
                        ps = 1U << 7, g = 1U << 8;
  static constexpr word pat_of_page = 1U << 7, pat_of_block = 1U << 12;
  static constexpr word nx = word{1} << 63;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word sw_may_write = 1U << 9, sw_owner0 = 1U << 11, sw_owner1 = word{1} << 52;
  static constexpr word sw_table = word{1} << 53, sw_nothing = word{1} << 57, sw_locked = word{1} << 58;
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {p | sw_table | bits, p | bits};
  }

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // The table first, by one comparison: it is what a descent asks for. PS is reserved where a level has no blocks, and
  // the access faults.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (p | ps)) == p) return entry_kind::table;
    if ((entry & p) != 0) return level < leaf_levels ? entry_kind::leaf : entry_kind::marker;
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int level) noexcept {
    permissions allowed = readable;
    if ((entry & rw) != 0) allowed = allowed | writable;
    if ((entry & nx) == 0) allowed = allowed | executable;
    const bool high = (entry & (level == 0 ? pat_of_page : pat_of_block)) != 0;
    const unsigned index = ((entry & pwt) != 0 ? 1U : 0U) | ((entry & pcd) != 0 ? 2U : 0U) | (high ? 4U : 0U);
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .memory = index == Options.write_back      ? memory_type::normal
                  : index == Options.non_cacheable ? memory_type::non_cacheable
                                                   : memory_type::device,
        .accessed = (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0)),
        .from = Nested || (entry & us) != 0 ? privilege::any : privilege::supervisor,
        .global = !Nested && (entry & g) != 0};
  }
  // "Determination of Access Rights": writing takes RW, and fetching takes NX clear, in every entry. US is no right but
  // whom the rights are for: without it a table leaves all of them to the supervisor alone, whatever `from` of a leaf
  // below it says.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return readable | ((entry & rw) != 0 ? writable : no_access) | ((entry & nx) == 0 ? executable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: PS where the level has no blocks, the address bits below a block but for PAT. A nested walk is a user's,
  // so US must be set at every level.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & p) == 0) return true;
    if (Nested && (entry & us) == 0) return false;
    if (level == 0 || (entry & ps) == 0) return true;
    return level < leaf_levels && (entry & oa & ~pat_of_block & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // Nothing can be written or executed that cannot be read, and nothing is for the user alone.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!wanted.allowed.contains(readable) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.from == privilege::user) return errc::unsupported_attribute;
    if (Nested && (wanted.from != privilege::any || wanted.global)) return errc::unsupported_attribute;
    return word{output.value | p | rights_of(wanted.allowed) | memory_bits(wanted.memory, level) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.from == privilege::any ? us : 0) |
                (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) | (level > 0 ? ps : 0) | (wanted.global ? g : 0) |
                ((wanted.software & 1U) != 0 ? sw_owner0 : 0) | ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // US and RW are ANDed on the way down and NX is ORed: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return child.value | p | rw | us | a | sw_table;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner0;
  }
  static constexpr word locked = sw_locked | sw_nothing;
  [[nodiscard]] static constexpr word lock(word live) noexcept { return (live & ~p) | sw_locked; }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept { return (locked_entry & ~sw_locked) | p; }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  // A page has PAT where a block has PS.
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    if (level > 1) return leaf_entry;
    return (leaf_entry & ~(ps | pat_of_block)) | ((leaf_entry & pat_of_block) != 0 ? pat_of_page : 0);
  }

  static constexpr entry_test<word> is_writable = leaf_with(rw);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = leaf_with(d);
  static constexpr entry_test<word> is_grantable = leaf_with(sw_may_write);

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, rw | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~rw, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!allowed.contains(readable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(rw | nx | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    return entry_change<word>{leaf_with(0), more.contains(executable) ? ~nx : ~word{0},
                              more.contains(writable) ? rw | d | sw_may_write : 0};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // Bits 2..0 of the index of the PAT are PAT, PCD and PWT.
  [[nodiscard]] static constexpr word memory_bits(memory_type memory, int level) noexcept {
    const unsigned index = memory == memory_type::normal          ? Options.write_back
                           : memory == memory_type::non_cacheable ? Options.non_cacheable
                                                                  : Options.device;
    return ((index & 1U) != 0 ? pwt : 0) | ((index & 2U) != 0 ? pcd : 0) |
           ((index & 4U) == 0 ? 0
            : level == 0      ? pat_of_page
                              : pat_of_block);
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(writable) ? rw | sw_may_write : 0) | (allowed.contains(executable) ? 0 : nx);
  }
};

}  // namespace detail

template <int Levels, long_mode_options Options = long_mode_options{}>
struct long_mode : detail::long_mode_tables<Levels, Options, false> {};

static_assert(pte_format<long_mode<4>> && pte_format<long_mode<5>>);
static_assert(long_mode<4>::shape.input_bits() == 48 && long_mode<5>::shape.input_bits() == 57);
static_assert(root_table_bytes<long_mode<4>> == 4096 && table_unit_bytes<long_mode<5>> == 4096);
static_assert(long_mode<4>::shape.leaf_bytes(1) == 0x20'0000 && long_mode<4>::shape.leaf_bytes(2) == 0x4000'0000);
static_assert(*long_mode<4>::leaf(output_address{0x8020'0000}, {.allowed = all_access, .dirty = true}, 1) ==
              0x8020'02e7);
static_assert(!long_mode<4>::leaf(output_address{0}, {.allowed = executable}, 0));

}  // namespace quire::x86

// ---- quire/format/amd_npt.hpp -------------------------------------------------------------------

// AMD nested page tables (SVM) with 4 or 5 levels.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Nested Paging". The entries are those of x86_64.hpp, with
// its bit picture and its level numbers. What differs: guest-physical addresses are not sign-extended, every access of
// the guest is a user access, so US is set on every level and says nothing, and G is ignored, so it stays 0. PAT, PCD
// and PWT index the host's PAT.
//
// The guest's own table walks are user writes: a page of guest tables that is read-only here faults on any walk.

namespace quire::amd {

template <int Levels, x86::long_mode_options Options = x86::long_mode_options{}>
struct npt : x86::detail::long_mode_tables<Levels, Options, true> {};

static_assert(pte_format<npt<4>> && pte_format<npt<5>>);
static_assert(npt<4>::shape.input_bits() == 48 && npt<5>::shape.input_bits() == 57 && !npt<4>::facts.sign_extended);
static_assert(*npt<4>::leaf(output_address{0x8020'3000}, {.allowed = all_access}, 0) == 0x8020'3227);
static_assert(!npt<4>::leaf(output_address{0}, {.allowed = readable, .from = privilege::supervisor}, 0));

}  // namespace quire::amd

// ---- quire/format/arm64_features.hpp ------------------------------------------------------------

// What an arm64 CPU has of what the formats can ask for, read from its identification registers.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1.
//
//   MMFR0 | 43..40 TGran4_2 | 39..36 TGran64_2 | 35..32 TGran16_2 | 31..28 TGran4 | 27..24 TGran64 | 23..20 TGran16
//         | 7..4 ASIDBits | 3..0 PARange
//   MMFR1 | 31..28 XNX | 7..4 VMIDBits | 3..0 HAFDBS
//   MMFR2 | 55..52 BBM | 51..48 TTL | 43..40 FWB | 31..28 ST | 19..16 VARange | 3..0 CnP
//
// The CPUs of a system may differ: ask all of them and use what every one has.

namespace quire::arm64 {

// How well a translation stage supports a granule. `wide`: with 52 bits of output address as well (FEAT_LPA2, TCR.DS).
enum class granule_support : std::uint8_t { none, narrow, wide };

struct cpu_features {
  int physical_bits = 32;  // "PAMax": of a physical address, as far as 64-bit descriptors go
  int asid_bits = 8;
  int vmid_bits = 8;
  granule_support stage1[3]{};  // by granule
  granule_support stage2[3]{};
  bool hardware_accessed = false;     // FEAT_HAFDBS
  bool hardware_dirty = false;        // the dirty state, too
  bool execute_by_privilege = false;  // FEAT_XNX
  bool forced_write_back = false;     // FEAT_S2FWB
  bool level_hints = false;           // FEAT_TTL
  bool small_tables = false;          // FEAT_TTST
  bool large_input = false;           // FEAT_LVA: 52 bits of stage 1 input at 64 KiB
  bool common_not_private = false;    // FEAT_TTCNP
  int bbm_level = 0;                  // FEAT_BBM: 0, 1 or 2

  [[nodiscard]] constexpr granule_support at_stage1(granule size) const noexcept {
    return stage1[static_cast<int>(size)];
  }
  [[nodiscard]] constexpr granule_support at_stage2(granule size) const noexcept {
    return stage2[static_cast<int>(size)];
  }

  friend constexpr bool operator==(const cpu_features&, const cpu_features&) noexcept = default;
};

namespace detail {

[[nodiscard]] constexpr unsigned id_field(std::uint64_t value, int low) noexcept {
  return static_cast<unsigned>(value >> low) & 0xfU;
}
// TGran4 counts from "supported" (0), 0xf is none; TGran16 from none (0). TGran64 has no second value: whether its
// descriptors hold 52 bits follows from PARange (FEAT_LPA).
[[nodiscard]] constexpr granule_support support_of(unsigned field, granule size, bool lpa) noexcept {
  const unsigned steps = size == granule::k16 ? field : field == 0xfU ? 0 : field + 1;
  const bool more = size == granule::k64 ? lpa : steps >= 2;
  return steps == 0 ? granule_support::none : more ? granule_support::wide : granule_support::narrow;
}
// The _2 fields: 0 says "as at stage 1", 1 none, 2 supported, 3 with 52 bits.
[[nodiscard]] constexpr granule_support support_at_stage2(unsigned field, granule size, granule_support stage1,
                                                          bool lpa) noexcept {
  if (field == 0) return stage1;
  const bool more = size == granule::k64 ? lpa : field >= 3;
  return field < 2 ? granule_support::none : more ? granule_support::wide : granule_support::narrow;
}

}  // namespace detail

// The code of a size of physical addresses in PARange, VTCR_EL2.PS, TCR_EL2.PS and TCR_EL1.IPS.
[[nodiscard]] constexpr unsigned size_code(int bits) noexcept {
  return bits >= 52 ? 6 : bits >= 48 ? 5 : bits >= 44 ? 4 : bits >= 42 ? 3 : bits >= 40 ? 2 : bits >= 36 ? 1 : 0;
}

// Reads ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1 and ID_AA64MMFR2_EL1.
[[nodiscard]] constexpr cpu_features features_of(std::uint64_t mmfr0, std::uint64_t mmfr1,
                                                 std::uint64_t mmfr2) noexcept {
  using detail::id_field;
  constexpr int sizes[] = {32, 36, 40, 42, 44, 48, 52, 52};  // 56 bits take 128-bit descriptors (FEAT_D128)
  constexpr int fields[] = {28, 20, 24}, fields_2[] = {40, 32, 36};
  const unsigned range = id_field(mmfr0, 0);
  cpu_features cpu{};
  cpu.physical_bits = sizes[range < 7 ? range : 7];
  cpu.asid_bits = id_field(mmfr0, 4) == 2 ? 16 : 8;
  cpu.vmid_bits = id_field(mmfr1, 4) == 2 ? 16 : 8;
  const bool lpa = cpu.physical_bits == 52;
  for (int i = 0; i < 3; ++i) {
    const auto size = static_cast<granule>(i);
    cpu.stage1[i] = detail::support_of(id_field(mmfr0, fields[i]), size, lpa);
    cpu.stage2[i] = detail::support_at_stage2(id_field(mmfr0, fields_2[i]), size, cpu.stage1[i], lpa);
  }
  cpu.hardware_accessed = id_field(mmfr1, 0) >= 1;
  cpu.hardware_dirty = id_field(mmfr1, 0) >= 2;
  cpu.execute_by_privilege = id_field(mmfr1, 28) != 0;
  cpu.forced_write_back = id_field(mmfr2, 40) != 0;
  cpu.level_hints = id_field(mmfr2, 48) != 0;
  cpu.small_tables = id_field(mmfr2, 28) != 0;
  cpu.large_input = id_field(mmfr2, 16) != 0;
  cpu.common_not_private = id_field(mmfr2, 0) != 0;
  cpu.bbm_level = static_cast<int>(id_field(mmfr2, 52));
  return cpu;
}

}  // namespace quire::arm64

// ---- quire/format/arm64_stage1.hpp --------------------------------------------------------------

// arm64 stage 1 tables (VMSAv8-64): the EL2 regime with its one privilege, and EL1&0 with two.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D8.3.1 "VMSAv8-64 descriptor formats" (Table
// D8-52), D8.4.1 "Stage 1 permissions", D8.6.1 and D8.6.2 (memory types, shareability). Where addresses lie is in
// arm64_descriptor.hpp, levels and block sizes in arm64_granule.hpp: the manual's level is 3 - ours.
//
//   58..55   | 54      | 53  | 52     | 51  | 47..12         | 11 | 10 | 9 8 | 7     | 6     | 4..2     | 1    | 0
//   software | UXN, XN | PXN | contig | DBM | output address | nG | AF | SH  | AP[2] | AP[1] | AttrIndx | type | valid
//
// AP[2] is "read-only"; with DBM and the hardware dirty bit it is "not written yet". AP[1] is "EL0, too": leaves with
// it are from `any`, leaves without from `supervisor`. There is no leaf that EL0 alone can read, nor one without a
// right to read. Software bit 56 is "may become writable", 57 is the owner's.
//
// The two privileges have an execute-never bit each, and what changes rights changes all leaves alike; so the leaves of
// one type are executable by one privilege alone (`executes`). The other's bit is always set: EL1 never runs what EL0
// can reach, and EL0 nothing of EL1's.
//
// Two halves: TTBR0 translates addresses from 0 up, TTBR1 those below 2^64. Both together are one space whose addresses
// repeat their top bit, and one table whose root is twice as wide: TTBR0 points to its first half, TTBR1 to the second
// (arm64_tcr.hpp). A kernel's own half is such a table with nothing in the lower one; a process's is a table of
// `lower`.

namespace quire::arm64 {

// EL3 is like EL2; EL2&0 (HCR_EL2.E2H) is like EL1&0.
enum class regime : std::uint8_t { el2, el1_0 };
enum class halves : std::uint8_t { lower, both };

struct stage1_options {
  regime translates = regime::el1_0;
  halves input = halves::lower;          // EL2 has no other
  privilege executes = privilege::user;  // EL1&0: user or supervisor
  std::uint8_t normal = 0;               // indices of the memory types in MAIR_ELx
  std::uint8_t non_cacheable = 1;
  std::uint8_t device = 2;
  bool hardware_accessed = true;      // TCR_ELx.HA: the hardware sets AF
  bool hardware_dirty = false;        // TCR_ELx.HD: a write through a leaf with DBM clears AP[2]
  bool contiguous = false;            // groups, as in stage 2
  bool contiguous_gigabytes = false;  // 16 blocks of 1 GiB as well
  // 48, or 52: FEAT_LPA for the 64 KiB granule, FEAT_LPA2 and TCR_ELx.DS = 1 for the others. With that, shareability
  // comes from TCR_ELx.SH0 and SH1.
  int output_bits = 48;
};

// Whether there can be such tables; input_bits is 64 - TxSZ, of one half. unsupported_attribute: of two options, one
// needs another, or the memory types cannot be told apart. beyond_output: output_bits. beyond_input: 25 to 48 bits; 52
// with FEAT_LVA at 64 KiB, or 52 output_bits. unsupported_level: a root too small to be halved.
[[nodiscard]] constexpr result<void> check_stage1(granule size, int input_bits,
                                                  const stage1_options& options) noexcept {
  const bool el2 = options.translates == regime::el2;
  if (options.hardware_dirty && !options.hardware_accessed) return errc::unsupported_attribute;
  if (options.contiguous_gigabytes && !(options.contiguous && size == granule::k4)) return errc::unsupported_attribute;
  if (el2 ? options.input == halves::both : options.executes == privilege::any) return errc::unsupported_attribute;
  if (options.normal > 7 || options.non_cacheable > 7 || options.device > 7) return errc::unsupported_attribute;
  // One bit of the index says that it is not device memory.
  if ((~(options.normal ^ options.non_cacheable) & (options.normal ^ options.device) & 7) == 0 ||
      options.normal == options.non_cacheable)
    return errc::unsupported_attribute;
  if (options.output_bits != 48 && options.output_bits != 52) return errc::beyond_output;
  if (input_bits < 25 || input_bits > (size == granule::k64 ? 52 : options.output_bits)) return errc::beyond_input;
  const granule_numbers numbers = numbers_of(size);
  const int levels = numbers.stage1_levels(input_bits);
  // A table of fewer than 8 entries still takes 64 bytes (R_KBLCR).
  if (options.input == halves::both && numbers.root_bits(input_bits, levels) < 3) return errc::unsupported_level;
  return {};
}

namespace detail {

[[nodiscard]] constexpr descriptor_layout stage1_layout(granule size, int input_bits,
                                                        const stage1_options& options) noexcept {
  return {.size = size,
          .input_bits = input_bits + (options.input == halves::both ? 1 : 0),
          .levels = numbers_of(size).stage1_levels(input_bits),
          .output_bits = options.output_bits,
          .group_levels = !options.contiguous            ? 0
                          : options.contiguous_gigabytes ? 3
                                                         : 2};
}

}  // namespace detail

template <granule Granule, int InputBits, stage1_options Options = stage1_options{}>
struct stage1 : detail::descriptor<detail::stage1_layout(Granule, InputBits, Options)> {
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::beyond_input,
                "an input address has 25 to 48 bits; more needs FEAT_LVA (64 KiB granule) or 52 output_bits");
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::beyond_output,
                "an output address has 48 or 52 bits");
  static_assert(check_stage1(Granule, InputBits, Options).error().code != errc::unsupported_level,
                "a root of fewer than 8 entries cannot be halved");
  static_assert(Options.hardware_accessed || !Options.hardware_dirty, "TCR_ELx.HD needs TCR_ELx.HA");
  static_assert(
      check_stage1(Granule, InputBits, Options).has_value(),
      "halves and executes are for EL1&0, groups of 1 GiB for 4 KiB and contiguous, MAIR indices below 8, and "
      "one bit of them alike in the normal types and different in device");

 private:
  using base = detail::descriptor<detail::stage1_layout(Granule, InputBits, Options)>;
  using base::contig, base::has_contiguous, base::sw_may_write, base::sw_owner, base::type, base::valid;

 public:
  using base::shape;
  using typename base::word;
  static constexpr granule granule_size = Granule;
  static constexpr int half_bits = InputBits;
  static constexpr stage1_options options = Options;
  static constexpr format_facts facts{
      .break_before_make = true,
      .caches_invalid = false,  // a translation that faults is not cached, AF = 0 included
      .sets_accessed = Options.hardware_accessed,
      .sets_dirty = Options.hardware_dirty,
      .has_dirty = Options.hardware_dirty,
      .table_permissions = true,  // APTable, XNTable
      .sign_extended = Options.input == halves::both,
      .output_bits = Options.output_bits,
      .linear_output_bits = base::in_place_bits,
      .software_bits = 1,
      .marker_bits = Options.output_bits - base::table_shift,
  };

 private:
  static constexpr bool two_privileges = Options.translates == regime::el1_0;
  static constexpr bool has_dirty = Options.hardware_dirty;
  static constexpr int attr_shift = 2;
  static constexpr word attr = 7U << attr_shift;
  static constexpr word ap1 = 1U << 6, read_only = 1U << 7;
  static constexpr word sh = 3U << 8;
  static constexpr word sh_inner = base::has_shareability ? 3U << 8 : 0;
  static constexpr word af = 1U << 10, not_global = 1U << 11;
  static constexpr word dbm = word{1} << 51, pxn = word{1} << 53, uxn = word{1} << 54;
  static constexpr word pxn_table = word{1} << 59, uxn_table = word{1} << 60, read_only_table = word{1} << 62;
  static constexpr word no_leaf_has = word{1} << 63;
  // The execute-never bit that is the leaf's, and the one that is always set.
  static constexpr bool runs_el1 = two_privileges && Options.executes == privilege::supervisor;
  static constexpr word xn = runs_el1 ? pxn : uxn;
  static constexpr word never = !two_privileges ? 0 : runs_el1 ? uxn : pxn;
  // The bit of the index that tells normal memory, cacheable or not, from device memory, and how it reads there.
  static constexpr word telling = []() constexpr {
    const unsigned bits = ~(Options.normal ^ Options.non_cacheable) & (Options.normal ^ Options.device) & 7U;
    return word{bits & (~bits + 1)} << attr_shift;
  }();

 public:
  // AP[2] clear without DBM, which leaf() never makes, is a right to write that leaves no trace: as good as written to.
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    const word index = (entry & attr) >> attr_shift;
    permissions allowed = readable;
    if ((has_dirty && (entry & dbm) != 0) || (entry & read_only) == 0) allowed = allowed | writable;
    if ((entry & xn) == 0) allowed = allowed | executable;
    return {.allowed = allowed,
            .may_write = (entry & may_write_bit) != 0,
            .memory = index == Options.normal          ? memory_type::normal
                      : index == Options.non_cacheable ? memory_type::non_cacheable
                                                       : memory_type::device,
            .accessed = (entry & af) != 0,
            .dirty = has_dirty && (entry & read_only) == 0,
            .software = static_cast<std::uint8_t>((entry & sw_owner) != 0),
            .from = !two_privileges || (entry & ap1) != 0 ? privilege::any : privilege::supervisor,
            .global = two_privileges && (entry & not_global) == 0};
  }
  // D8.4.1 on hierarchical permissions: APTable[1] takes writing away, XNTable (EL2), UXNTable or PXNTable (of those
  // whom `executes` names) execution; nothing takes away reading. APTable[0] is no right but whom the rights are for:
  // with it a table leaves all of them to EL1 alone, whatever `from` of a leaf below it says. (TCR_ELx.HPD would have
  // the hardware ignore all four.)
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return readable | ((entry & read_only_table) == 0 ? writable : no_access) |
           ((entry & (runs_el1 ? pxn_table : uxn_table)) == 0 ? executable : no_access);
  }
  // Reserved: a value of SH (of cacheable memory alone), and addresses. The rest of the bits without a meaning is
  // ignored, and what is no table, block or page is taken for invalid (Tables D8-48 and D8-52).
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    const entry_kind kind = base::kind_of(entry, level);
    if ((entry & valid) == 0 || kind == entry_kind::marker) return true;
    if (!base::has_legal_address(entry, level, kind)) return false;
    const bool cacheable = (entry & attr) >> attr_shift == Options.normal;
    return kind == entry_kind::table || !base::has_shareability || !cacheable || (entry & sh) != word{1} << 8;
  }

  // Instruction fetch from device memory is unpredictable and refused. A dirty leaf that is not writable does not
  // exist: AP[2] clear alone would be a write permission.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (!base::is_leaf_size(level, group)) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level) << group)) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (wanted.software > 1 || !wanted.allowed.contains(readable)) return errc::unsupported_attribute;
    if (!two_privileges && (wanted.from != privilege::any || wanted.global)) return errc::unsupported_attribute;
    if (wanted.from == privilege::user) return errc::unsupported_attribute;
    const word reach = wanted.from == privilege::supervisor ? 0 : ap1;
    if (wanted.allowed.contains(executable) &&
        (wanted.memory == memory_type::device || (two_privileges && (reach == 0) != runs_el1)))
      return errc::unsupported_attribute;
    const bool writes = wanted.allowed.contains(writable);
    if (wanted.dirty && !(has_dirty && writes)) return errc::unsupported_attribute;
    return word{base::field_of(output.value) | valid | (level == 0 ? type : 0) | attr_of(wanted.memory) | reach |
                (has_dirty && !wanted.dirty ? read_only : 0) | rights_of(wanted.allowed) | never | sh_inner |
                (wanted.accessed ? af : 0) | (two_privileges && !wanted.global ? not_global : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.software != 0 ? sw_owner : 0) |
                (group != 0 ? contig : 0)};
  }
  // Grants every right: APTable, XNTable, UXNTable and PXNTable are 0. AP[2] is ignored in a table; set, it lets no
  // table answer that it is writable.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return base::field_of(child.value) | read_only | type | valid;
  }

  static constexpr entry_test<word> is_writable =
      has_dirty ? entry_test<word>{valid | dbm, valid | dbm} : entry_test<word>{valid | read_only, valid};
  static constexpr entry_test<word> is_accessed{valid | af, valid | af};
  static constexpr entry_test<word> is_dirty =
      has_dirty ? entry_test<word>{valid | dbm | read_only, valid | dbm} : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable{valid | type | sw_may_write | (has_contiguous ? contig : 0),
                                                 valid | type | sw_may_write};

  // With DBM, AP[2] goes along: the write that faulted is about to happen. Protecting takes both, so ask is_dirty of
  // the old entry first.
  static constexpr entry_change<word> make_writable{{valid, valid}, ~read_only, (has_dirty ? dbm : 0) | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, has_dirty ? ~dbm : ~word{0}, read_only};
  static constexpr entry_change<word> set_accessed{{valid, valid}, ~word{0}, af};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~af, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~word{0}, has_dirty ? read_only : 0};

  // Neither applies to a leaf that cannot be executed, if the right to execute is among the rights.
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!allowed.contains(readable)) return errc::unsupported_attribute;
    const word gone = (has_dirty ? dbm : read_only) | xn | sw_may_write;
    return entry_change<word>{may_have(allowed), ~gone,
                              rights_of(allowed) | (allowed.contains(writable) ? 0 : read_only)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    const word gone = (more.contains(writable) ? read_only : 0) | (more.contains(executable) ? xn : 0);
    return entry_change<word>{may_have(more), ~gone,
                              more.contains(writable) ? (has_dirty ? dbm : 0) | sw_may_write : 0};
  }

  static constexpr word may_write_bit = sw_may_write;
  // "Written" is a clear bit, so no set bit tells that a leaf is dirty.
  static constexpr word quiet_bits = (Options.hardware_accessed ? af : 0) | (has_dirty ? no_leaf_has : 0);

 private:
  [[nodiscard]] static constexpr word attr_of(memory_type memory) noexcept {
    return word{memory == memory_type::device          ? Options.device
                : memory == memory_type::non_cacheable ? Options.non_cacheable
                                                       : Options.normal}
           << attr_shift;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    const word writes = has_dirty ? dbm | sw_may_write : sw_may_write;
    return (allowed.contains(writable) ? writes : has_dirty ? 0 : read_only) | (allowed.contains(executable) ? 0 : xn);
  }
  [[nodiscard]] static constexpr entry_test<word> may_have(permissions allowed) noexcept {
    if (!allowed.contains(executable)) return {valid, valid};
    const word normal = word{Options.normal} << attr_shift;
    return {valid | telling | (two_privileges ? ap1 : 0),
            valid | (normal & telling) | (two_privileges && !runs_el1 ? ap1 : 0)};
  }
};

inline constexpr stage1_options el2_options{.translates = regime::el2};

static_assert(pte_format<stage1<granule::k4, 48>> && pte_format<stage1<granule::k64, 48, el2_options>>);
static_assert(stage1<granule::k4, 39>::shape.levels == 3 && root_table_bytes<stage1<granule::k4, 39>> == 4096);
static_assert(root_table_bytes<stage1<granule::k4, 48, stage1_options{.input = halves::both}>> == 2 * 4096);
// A page of EL2: read-write, AttrIndx 0, AP[1] (RES1), inner shareable, AF, XN.
static_assert(*stage1<granule::k4, 48, el2_options>::leaf(output_address{0x8020'3000}, {.allowed = read_write}, 0) ==
              0x0140'0000'8020'3743);

}  // namespace quire::arm64

// ---- quire/format/arm64_vtcr.hpp ----------------------------------------------------------------

// VTCR_EL2 and VTTBR_EL2 for stage 2 tables: what the CPU must be told so that it reads them as the type writes them.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// VTCR_EL2, VTTBR_EL2; Tables D8-19, D8-29 and D8-38 (start levels); the pseudocode functions AArch64.S2InvalidSL and
// AArch64.S2MinTxSZ (what the physical address size forbids).
//
//   VTCR_EL2   33  | 32 | 31 | 22 | 21 | 19 | 18..16 | 15 14 | 13 12 | 11 10 | 9 8   | 7 6 | 5..0
//              SL2 | DS |  1 | HD | HA | VS | PS     | TG0   | SH0   | ORGN0 | IRGN0 | SL0 | T0SZ
//   VTTBR_EL2  63..48 VMID | 47..1 BADDR: root 47..6, and 51..48 in bits 5..2 if it has 52 bits | 0 CnP

namespace quire::arm64 {

// How the hardware reads the tables; the default is what coherent memory of a normal system is.
struct walk_attributes {
  std::uint8_t inner = 1;         // IRGN0: 0 non-cacheable, 1 write-back, allocating, 2 write-through, 3 write-back
  std::uint8_t outer = 1;         // ORGN0, alike
  std::uint8_t shareability = 3;  // SH0: 0 none, 2 outer, 3 inner; with DS = 1 that of all the guest's memory, too
};

[[nodiscard]] constexpr std::uint64_t tg0_of(granule size) noexcept {
  return size == granule::k4 ? 0 : size == granule::k64 ? 1 : 2;
}

// VTCR_EL2 for tables of this type on such a CPU. Errors, each of a CPU that lacks something: unsupported_attribute
// (the granule, 52 bits with it, or one of the format's options); beyond_input (an IPA larger than a physical address:
// the manual leaves open what happens); unsupported_level (a start level that is reserved for larger physical
// addresses).
template <pte_format Stage2>
[[nodiscard]] constexpr result<std::uint64_t> vtcr(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  constexpr granule size = Stage2::granule_size;
  constexpr stage2_options options = Stage2::options;
  constexpr int ipa_bits = Stage2::shape.input_bits();
  constexpr int start = 4 - Stage2::shape.levels;  // in the manual's count
  constexpr bool wide = options.output_bits == 52;
  constexpr bool ds = wide && size != granule::k64;

  const granule_support support = cpu.at_stage2(size);
  if (support == granule_support::none || (wide && support != granule_support::wide))
    return errc::unsupported_attribute;
  if ((options.hardware_accessed && !cpu.hardware_accessed) || (options.hardware_dirty && !cpu.hardware_dirty) ||
      (options.execute_by_privilege && !cpu.execute_by_privilege) ||
      (options.forced_write_back && !cpu.forced_write_back))
    return errc::unsupported_attribute;
  if (ipa_bits > cpu.physical_bits) return errc::beyond_input;
  const int needed = size == granule::k4 && start == 0    ? 44
                     : size == granule::k16 && start == 1 ? 42
                     : size == granule::k64 && start == 1 ? 44
                                                          : 0;
  if (cpu.physical_bits < needed) return errc::unsupported_level;

  // SL0 counts up from the pages' level or, at 4 KiB, from the one before; what comes before 4 KiB's level 0 has SL2.
  constexpr std::uint64_t sl0 = start == -1 ? 0 : static_cast<std::uint64_t>((size == granule::k4 ? 2 : 3) - start);
  const int output = cpu.physical_bits < options.output_bits ? cpu.physical_bits : options.output_bits;
  return static_cast<std::uint64_t>(64 - ipa_bits) | sl0 << 6U | std::uint64_t{walks.inner} << 8U |
         std::uint64_t{walks.outer} << 10U | std::uint64_t{walks.shareability} << 12U | tg0_of(size) << 14U |
         std::uint64_t{size_code(output)} << 16U | std::uint64_t{cpu.vmid_bits == 16} << 19U |
         std::uint64_t{options.hardware_accessed} << 21U | std::uint64_t{options.hardware_dirty} << 22U |
         std::uint64_t{1} << 31U | std::uint64_t{ds} << 32U | std::uint64_t{start == -1} << 33U;
}

// VTTBR_EL2. `common`: the CPUs of an inner shareable domain that use this VMID all use this table (CnP). Errors:
// unaligned or beyond_output (the root), unsupported_attribute (a VMID or a CnP that the CPU does not have).
template <pte_format Stage2>
[[nodiscard]] constexpr result<std::uint64_t> vttbr(const cpu_features& cpu, table_address root, std::uint16_t vmid,
                                                    bool common = false) noexcept {
  constexpr int bits = Stage2::options.output_bits;
  if (!root.is_aligned(root_table_bytes<Stage2>)) return errc::unaligned;
  if (root.value >> (cpu.physical_bits < bits ? cpu.physical_bits : bits) != 0) return errc::beyond_output;
  if (vmid >> cpu.vmid_bits != 0 || (common && !cpu.common_not_private)) return errc::unsupported_attribute;
  constexpr std::uint64_t low = (std::uint64_t{1} << 48U) - 1;
  return std::uint64_t{vmid} << 48U | (root.value & low) | root.value >> 48U << 2U | std::uint64_t{common};
}

// The place of the first of these types, best first, that the CPU can run; the error of the last one if it is none.
template <pte_format... Stage2>
[[nodiscard]] constexpr result<std::size_t> first_stage2(const cpu_features& cpu) noexcept {
  errc said = errc::unsupported_attribute;
  std::size_t place = 0;
  const bool found = (... || [&] {
    said = vtcr<Stage2>(cpu).error().code;
    if (said != errc::none) ++place;
    return said == errc::none;
  }());
  if (!found) return said;
  return place;
}

// Calls use.operator()<Format>(), a lambda with one template parameter, for that type alone.
template <pte_format... Stage2, class Use>
constexpr result<void> with_first_stage2(const cpu_features& cpu, Use&& use) {
  const auto chosen = first_stage2<Stage2...>(cpu);
  if (!chosen) return chosen.error();
  std::size_t place = 0;
  static_cast<void>((... || (place++ == *chosen && (use.template operator()<Stage2>(), true))));
  return {};
}

}  // namespace quire::arm64

// ---- quire/format/arm64_tcr.hpp -----------------------------------------------------------------

// TCR_EL1, TCR_EL2, TTBR0, TTBR1 and MAIR for stage 1 tables: what the CPU must be told so that it reads them as the
// type writes them. The registers of EL2&0 (HCR_EL2.E2H) are laid out like those of EL1.
//
// Source: Arm Architecture Reference Manual for A-profile (DDI 0487), D24.2 "General system control registers":
// TCR_EL1, TCR_EL2, TTBR0_EL1, TTBR1_EL1, MAIR_EL1.
//
//   TCR_EL1  59 DS | 40 HD | 39 HA | 36 AS | 34..32 IPS | 31 30 TG1 | 29 28 SH1 | 27 26 ORGN1 | 25 24 IRGN1 | 23 EPD1
//            21..16 T1SZ | 15 14 TG0 | 13 12 SH0 | 11 10 ORGN0 | 9 8 IRGN0 | 5..0 T0SZ
//   TCR_EL2  32 DS | 31 1 | 23 1 | 22 HD | 21 HA | 18..16 PS | 15..0 as TCR_EL1
//   TTBRn    63..48 ASID | 47..1 BADDR: root 47..6, and 51..48 in bits 5..2 if it has 52 bits | 0 CnP

namespace quire::arm64 {

// Whether the CPU can read tables of this type. Errors: unsupported_attribute (it lacks the granule, 52 bits of output
// with it, or an option), beyond_input (52 bits of input without FEAT_LVA).
template <pte_format Stage1>
[[nodiscard]] constexpr result<void> runs_stage1(const cpu_features& cpu) noexcept {
  constexpr stage1_options options = Stage1::options;
  constexpr bool wide = options.output_bits == 52;
  const granule_support support = cpu.at_stage1(Stage1::granule_size);
  if (support == granule_support::none || (wide && support != granule_support::wide))
    return errc::unsupported_attribute;
  if ((options.hardware_accessed && !cpu.hardware_accessed) || (options.hardware_dirty && !cpu.hardware_dirty))
    return errc::unsupported_attribute;
  if (Stage1::half_bits > 48 && Stage1::granule_size == granule::k64 && !cpu.large_input) return errc::beyond_input;
  return {};
}

namespace detail {

// T0SZ, IRGN0, ORGN0 and SH0; those of TTBR1 are the same 16 bits higher.
template <class Stage1>
[[nodiscard]] constexpr std::uint64_t tcr_half(walk_attributes walks) noexcept {
  return static_cast<std::uint64_t>(64 - Stage1::half_bits) | std::uint64_t{walks.inner} << 8U |
         std::uint64_t{walks.outer} << 10U | std::uint64_t{walks.shareability} << 12U;
}
template <class Stage1>
[[nodiscard]] constexpr std::uint64_t output_code(const cpu_features& cpu) noexcept {
  constexpr int bits = Stage1::options.output_bits;
  return size_code(cpu.physical_bits < bits ? cpu.physical_bits : bits);
}
template <class Stage1>
inline constexpr bool has_ds = Stage1::options.output_bits == 52 && Stage1::granule_size != granule::k64;  // FEAT_LPA2

}  // namespace detail

// TCR_EL1. A table of the lower half alone leaves the upper one without translation (EPD1, over the same sizes): where
// TTBR1 has a table of another type, put its T1SZ, TG1 and EPD1 in.
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> tcr_el1(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  static_assert(Stage1::options.translates == regime::el1_0);
  if (const auto runs = runs_stage1<Stage1>(cpu); !runs) return runs.error();
  constexpr granule size = Stage1::granule_size;
  constexpr bool lower_alone = Stage1::options.input == halves::lower;
  constexpr std::uint64_t tg1 = size == granule::k16 ? 1 : size == granule::k4 ? 2 : 3;
  const std::uint64_t half = detail::tcr_half<Stage1>(walks);
  const std::uint64_t upper = half << 16U | tg1 << 30U | std::uint64_t{lower_alone} << 23U;
  return half | tg0_of(size) << 14U | upper | detail::output_code<Stage1>(cpu) << 32U |
         std::uint64_t{cpu.asid_bits == 16} << 36U | std::uint64_t{Stage1::options.hardware_accessed} << 39U |
         std::uint64_t{Stage1::options.hardware_dirty} << 40U | std::uint64_t{detail::has_ds<Stage1>} << 59U;
}

// TCR_EL2 where HCR_EL2.E2H is 0.
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> tcr_el2(const cpu_features& cpu, walk_attributes walks = {}) noexcept {
  static_assert(Stage1::options.translates == regime::el2);
  if (const auto runs = runs_stage1<Stage1>(cpu); !runs) return runs.error();
  return detail::tcr_half<Stage1>(walks) | tg0_of(Stage1::granule_size) << 14U |
         detail::output_code<Stage1>(cpu) << 16U | std::uint64_t{Stage1::options.hardware_accessed} << 21U |
         std::uint64_t{Stage1::options.hardware_dirty} << 22U | std::uint64_t{1} << 23U | std::uint64_t{1} << 31U |
         std::uint64_t{detail::has_ds<Stage1>} << 32U;
}

// TTBR0 and, with two halves, TTBR1 of a table whose root is at `root`. EL2 has no ASID: 0. Errors: unaligned or
// beyond_output (the root), unsupported_attribute (an ASID or a CnP that the CPU does not have).
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> ttbr0(const cpu_features& cpu, table_address root, std::uint16_t asid = 0,
                                                    bool common = false) noexcept {
  constexpr int bits = Stage1::options.output_bits;
  constexpr std::uint64_t low = (std::uint64_t{1} << 48U) - 1;
  if (!root.is_aligned(root_table_bytes<Stage1>)) return errc::unaligned;
  if (root.value >> (cpu.physical_bits < bits ? cpu.physical_bits : bits) != 0) return errc::beyond_output;
  const bool has_asid = Stage1::options.translates == regime::el1_0;
  if (asid >> (has_asid ? cpu.asid_bits : 0) != 0 || (common && !cpu.common_not_private))
    return errc::unsupported_attribute;
  return std::uint64_t{asid} << 48U | (root.value & low) | root.value >> 48U << 2U | std::uint64_t{common};
}
template <pte_format Stage1>
[[nodiscard]] constexpr result<std::uint64_t> ttbr1(const cpu_features& cpu, table_address root, std::uint16_t asid = 0,
                                                    bool common = false) noexcept {
  static_assert(Stage1::options.input == halves::both, "only a table of both halves has an upper one");
  const auto lower = ttbr0<Stage1>(cpu, root, asid, common);
  if (!lower) return lower;
  return *lower + table_bytes<Stage1>(Stage1::shape.root_level) / 2;
}

// MAIR_ELx for the type's three indices, 0 elsewhere: write-back, allocating (0xff); non-cacheable (0x44);
// Device-nGnRE (0x04).
template <pte_format Stage1>
inline constexpr std::uint64_t mair =
    std::uint64_t{0xff} << (8U * Stage1::options.normal) | std::uint64_t{0x44} << (8U * Stage1::options.non_cacheable) |
    std::uint64_t{0x04} << (8U * Stage1::options.device);

}  // namespace quire::arm64

// ---- quire/format/arm64_tlbi.hpp ----------------------------------------------------------------

// arm64 stage 2 invalidation: the operands of TLBI instructions, and an invalidation policy that issues them.
//
// Source: Arm Architecture Reference Manual for A-profile, "A64 System instructions for TLB maintenance": TLBI
// IPAS2E1IS and RIPAS2E1IS with their L (last level) and local forms; "TLB maintenance instructions", range and level
// hints.
//
//   by IPA     47..44 TTL: granule, level                           | 39..0 IPA[51:12]
//   by range   47 46 TG | 45 44 SCALE | 43..39 NUM | 38 37 TTL: level | 36..0 BaseADDR
//
// All other bits are 0 (bit 63 is NS for a hypervisor in Secure state, which this one is not). A range has (NUM + 1) <<
// (5 * SCALE + 1) pages, 2 to 2^21, from BaseADDR on: IPA[48:12], [50:14] or [52:16] by granule, and [52:16] for every
// granule where VTCR_EL2.DS is 1, so that its first page lies at a multiple of 64 KiB. A hint that does not fit
// (another granule or level, a base that is not aligned to the level's leaves) lets the caches keep everything: so only
// a request for leaves of one known level carries one.

namespace quire::arm64 {

struct tlbi_options {
  bool level_hints = false;         // ID_AA64MMFR2_EL1.TTL: FEAT_TTL
  bool ranges = false;              // ID_AA64ISAR0_EL1.TLB >= 2: FEAT_TLBIRANGE
  bool lpa2 = false;                // VTCR_EL2.DS = 1: FEAT_LPA2
  unsigned most_instructions = 64;  // for one request; beyond them the whole VMID is invalidated
};

// TG, and the upper half of the by-IPA TTL.
[[nodiscard]] constexpr std::uint64_t granule_field(granule size) noexcept {
  return size == granule::k4 ? 1 : size == granule::k16 ? 2 : 3;
}

// The four TTL bits that name leaves of `level` (ours: 0 = pages); 0, no hint, where the granule has no such leaves.
[[nodiscard]] constexpr std::uint64_t level_hint(granule size, int level, bool lpa2 = false) noexcept {
  const int highest = size == granule::k4 && lpa2 ? 3 : size == granule::k16 && !lpa2 ? 1 : 2;
  return level < 0 || level > highest ? 0 : granule_field(size) << 2U | static_cast<std::uint64_t>(3 - level);
}

// Requires: an IPA below 2^52, a multiple of the page; `hint` from level_hint().
[[nodiscard]] constexpr std::uint64_t ipa_operand(input_address ipa, std::uint64_t hint = 0) noexcept {
  return hint << 44U | ipa.value >> 12U;
}
// Requires: scale 0 to 3, num 0 to 31; a base that BaseADDR can hold and that is a multiple of the hinted leaf.
[[nodiscard]] constexpr std::uint64_t ipa_range_operand(granule size, input_address base, unsigned scale, unsigned num,
                                                        std::uint64_t hint = 0, bool lpa2 = false) noexcept {
  const int shift = lpa2 ? 16 : numbers_of(size).page_bits;
  return granule_field(size) << 46U | std::uint64_t{scale} << 44U | std::uint64_t{num} << 39U | (hint & 3U) << 37U |
         base.value >> shift;
}
[[nodiscard]] constexpr std::uint64_t pages_of_range(unsigned scale, unsigned num) noexcept {
  return (std::uint64_t{num} + 1) << (5 * scale + 1);
}

// The instructions that one request takes: they cover its leaves exactly, and none of them twice.
template <granule Granule, tlbi_options Options>
class stage2_operands {
  static constexpr granule_numbers size = numbers_of(Granule);
  static constexpr int ipa_bits = Granule == granule::k64 || Options.lpa2 ? 52 : 48;

 public:
  constexpr explicit stage2_operands(const invalidation_request& request) noexcept {
    const std::uint64_t known = request.leaf_only ? level_hint(Granule, request.level, Options.lpa2) : 0;
    leaf_ = std::uint64_t{1} << (size.page_bits + (known != 0 ? request.level * size.index_bits() : 0));
    hint_ = Options.level_hints ? known : 0;
    first_ = request.first.align_down(leaf_);
    last_ = input_address{request.last.value | (leaf_ - 1)};
    whole_vmid_ = last_.value >> ipa_bits != 0;
    unsigned count = 0;
    for (input_address at = first_; !whole_vmid_;) {
      const std::uint64_t bytes = instruction_at(at).bytes;
      whole_vmid_ = ++count > Options.most_instructions;
      if (bytes > last_ - at) break;
      at = at + bytes;
    }
  }

  // Too many, or an address that no operand holds: TLBI VMALLS12E1IS instead.
  [[nodiscard]] constexpr bool whole_vmid() const noexcept { return whole_vmid_; }

  // each(operand, by_range), in ascending order. Requires: !whole_vmid().
  template <class Each>
  constexpr void for_each(Each&& each) const noexcept {
    for (input_address at = first_;;) {
      const instruction now = instruction_at(at);
      each(now.operand, now.by_range);
      if (now.bytes > last_ - at) return;
      at = at + now.bytes;
    }
  }

 private:
  struct instruction {
    std::uint64_t operand;
    std::uint64_t bytes;
    bool by_range;
  };
  // The one that covers the most from `at` on. A range has an even number of pages: an odd one is left to the end.
  [[nodiscard]] constexpr instruction instruction_at(input_address at) const noexcept {
    const instruction one{ipa_operand(at, hint_), leaf_, false};
    if (!Options.ranges || (Options.lpa2 && !at.is_aligned(std::uint64_t{1} << 16U))) return one;
    const std::uint64_t pages = ((last_ - at) >> size.page_bits) + 1;
    unsigned scale = 3;
    while (scale > 0 && pages < pages_of_range(scale, 0)) --scale;
    const std::uint64_t units = pages >> (5 * scale + 1);
    if (units == 0) return one;
    const auto num = static_cast<unsigned>(units < 32 ? units : 32) - 1;
    const std::uint64_t bytes = pages_of_range(scale, num) << size.page_bits;
    if (bytes <= leaf_) return one;
    // `at` is the first byte of a leaf still: what a scale leaves over is less than one of its units.
    return {ipa_range_operand(Granule, at, scale, num, hint_, Options.lpa2), bytes, true};
  }

  input_address first_;
  input_address last_;
  std::uint64_t leaf_;  // bytes of the leaves that changed
  std::uint64_t hint_;
  bool whole_vmid_;
};

// Whoever executes the instructions, at EL2, one member function for each; all of them act on the calling CPU and may
// be in use by several at once. In between enter_vmid() and leave_vmid() VTTBR_EL2 holds the table's VMID (and an isb
// has seen to it): that is the VMID a TLBI means.
template <class C>
concept tlbi_cpu = requires(C& cpu, std::uint64_t operand) {
  cpu.enter_vmid();
  cpu.leave_vmid();
  cpu.dsb_ish();
  cpu.dsb_nsh();
  cpu.isb();
  cpu.tlbi_ipas2e1is(operand);
  cpu.tlbi_ipas2le1is(operand);
  cpu.tlbi_ipas2e1(operand);
  cpu.tlbi_ipas2le1(operand);
  cpu.tlbi_vmalle1is();
  cpu.tlbi_vmalle1();
  cpu.tlbi_vmalls12e1is();
  cpu.tlbi_vmalls12e1();
};
template <class C>
concept tlbi_range_cpu = tlbi_cpu<C> && requires(C& cpu, std::uint64_t operand) {
  cpu.tlbi_ripas2e1is(operand);
  cpu.tlbi_ripas2le1is(operand);
  cpu.tlbi_ripas2e1(operand);
  cpu.tlbi_ripas2le1(operand);
};

// The invalidation policy of a stage 2 table: an instance for each guest.
//
//   add()       dsb ish; TLBI [R]IPAS2[L]E1IS ... or VMALLS12E1IS
//   complete()  dsb ish; TLBI VMALLE1IS; dsb ish; isb
//   local()     dsb nsh; TLBI [R]IPAS2[L]E1 ...; dsb nsh; TLBI VMALLE1; dsb nsh; isb
//
// A cache may hold both stages of a translation as one, under the virtual address; no TLBI by IPA finds it. So all of
// the VMID's stage 1 goes, and not before the stage 2 invalidation completed: a walk would make another one from what
// is still cached of stage 2. complete() keeps no state, so that sessions of locking::concurrent may share an instance;
// after VMALLS12E1IS, which drops both stages, its VMALLE1IS is one too many.
//
// Guarantees: what was stored to the table before add() or local() is seen by every walk after it;
// before_invalidation() of the maintenance policy may do nothing. Caller must: give options that every CPU of the
// system implements; stay on one CPU from the first add() to complete(), for a dsb waits for its own CPU's
// invalidations only (batching_invalidation<stage2_invalidation<...>> issues and waits in one go).
template <granule Granule, class Cpu, tlbi_options Options = tlbi_options{}>
class stage2_invalidation {
  static_assert(tlbi_cpu<Cpu>, "Cpu must execute every TLBI, dsb and isb of tlbi_cpu");
  static_assert(!Options.ranges || tlbi_range_cpu<Cpu>, "Cpu must execute the TLBIs by range of tlbi_range_cpu");

 public:
  static constexpr bool reentrant = true;

  constexpr explicit stage2_invalidation(Cpu cpu) noexcept : cpu_(cpu) {}

  constexpr void add(const invalidation_request& request) noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_ish();
    const stage2_operands<Granule, Options> operands{request};
    if (operands.whole_vmid()) cpu_.tlbi_vmalls12e1is();
    else
      operands.for_each([&](std::uint64_t operand, bool by_range) {
        if constexpr (Options.ranges) {
          if (by_range) return request.leaf_only ? cpu_.tlbi_ripas2le1is(operand) : cpu_.tlbi_ripas2e1is(operand);
        }
        request.leaf_only ? cpu_.tlbi_ipas2le1is(operand) : cpu_.tlbi_ipas2e1is(operand);
      });
    cpu_.leave_vmid();
  }
  constexpr void complete() noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_ish();
    cpu_.tlbi_vmalle1is();
    cpu_.dsb_ish();
    cpu_.isb();
    cpu_.leave_vmid();
  }
  constexpr void local(const invalidation_request& request) noexcept {
    cpu_.enter_vmid();
    cpu_.dsb_nsh();
    const stage2_operands<Granule, Options> operands{request};
    if (operands.whole_vmid()) cpu_.tlbi_vmalls12e1();
    else
      operands.for_each([&](std::uint64_t operand, bool by_range) {
        if constexpr (Options.ranges) {
          if (by_range) return request.leaf_only ? cpu_.tlbi_ripas2le1(operand) : cpu_.tlbi_ripas2e1(operand);
        }
        request.leaf_only ? cpu_.tlbi_ipas2le1(operand) : cpu_.tlbi_ipas2e1(operand);
      });
    cpu_.dsb_nsh();
    cpu_.tlbi_vmalle1();
    cpu_.dsb_nsh();
    cpu_.isb();
    cpu_.leave_vmid();
  }

  [[nodiscard]] constexpr Cpu& cpu() noexcept { return cpu_; }

 private:
  [[no_unique_address]] Cpu cpu_;
};

static_assert(ipa_operand(input_address{0x8020'0000}, level_hint(granule::k4, 1)) == 0x0000'6000'0008'0200);
static_assert(level_hint(granule::k4, 0) == 0b0111 && level_hint(granule::k16, 1) == 0b1010 &&
              level_hint(granule::k64, 2) == 0b1101 && level_hint(granule::k4, 3) == 0);
static_assert(ipa_range_operand(granule::k4, input_address{0x8020'0000}, 1, 7, level_hint(granule::k4, 1)) ==
              0x0000'53c0'0008'0200);
static_assert(pages_of_range(0, 0) == 2 && pages_of_range(3, 31) == std::uint64_t{1} << 21U);

}  // namespace quire::arm64

// ---- quire/format/intel_ept.hpp -----------------------------------------------------------------

// Intel extended page tables (EPT) with 4 or 5 levels.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, Volume 3, "The Extended Page Table Mechanism
// (EPT)": formats of the entries, "EPT Misconfigurations", "EPT and Memory Typing", "Extended-Page-Table Pointer". The
// manual has names where we have numbers: EPT PTE is level 0, PDE (2 MiB) 1, PDPTE (1 GiB) 2, PML4E 3, PML5E 4.
//
//   63  | 62..52            | 51..12         | 11       | 10 | 9 8 | 7     | 6    | 5..3 | 2 1 0
//   SVE | software, VGP ... | output address | software | XU | D A | large | IPAT | type | X W R
//
// An entry is present if any of R, W, X is set, or XU with mode-based execute control. Software bit 11 marks leaves,
// which nothing but the level tells from table entries; 52 is "may become writable", 53 and 54 are the owner's. What is
// not present is free for software but for bit 63: bit 55 makes it `locked`, with R, W and X kept in 57..59 and XU in
// 60; without it bit 54 with a payload in the address field is a marker.
//
// With accessed and dirty flags enabled the guest's own table walks count as writes. Bit 63 keeps an EPT violation from
// becoming a #VE; an absent entry is 0 and has none: with the "EPT-violation #VE" control, annotate what must not raise
// one.

namespace quire::intel {

struct ept_options {
  bool accessed_dirty = true;       // EPTP bit 6: the hardware sets A and D; without it there are none
  bool mode_based_execute = false;  // "mode-based execute control for EPT": X is the supervisor's, XU the user's
  bool execute_only = false;        // IA32_VMX_EPT_VPID_CAP bit 0: X without R is not a misconfiguration
  bool ignore_pat = false;          // IPAT in every leaf: the guest's PAT says nothing
  bool suppress_ve = false;         // bit 63 in every entry that is not absent
};

template <int Levels, ept_options Options = ept_options{}>
struct ept {
  static_assert(Levels == 4 || Levels == 5, "4 levels translate 48 bits, 5 levels 57");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  static constexpr format_facts facts{
      .sets_accessed = Options.accessed_dirty,
      .sets_dirty = Options.accessed_dirty,
      .has_accessed = Options.accessed_dirty,
      .has_dirty = Options.accessed_dirty,
      .table_permissions = true,
      .executes_by_privilege = Options.mode_based_execute,
      .output_bits = 52,  // the architectural limit of MAXPHYADDR
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word r = 1U << 0, w = 1U << 1, x = 1U << 2, ipat = 1U << 6, large = 1U << 7;
  static constexpr word a = Options.accessed_dirty ? 1U << 8 : 0, d = Options.accessed_dirty ? 1U << 9 : 0;
  static constexpr word xu = Options.mode_based_execute ? 1U << 10 : 0;
  static constexpr int type_shift = 3;
  static constexpr word type = 7U << type_shift;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word sve = Options.suppress_ve ? word{1} << 63 : 0;
  static constexpr word sw_leaf = 1U << 11, sw_may_write = word{1} << 52, sw_owner0 = word{1} << 53,
                        sw_owner1 = word{1} << 54, sw_locked = word{1} << 55;
  static constexpr word present = r | w | x | xu;
  static constexpr int kept_shift = 57, kept_xu_shift = 50;  // of a locked entry's rights
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {sw_leaf | sw_locked | bits, sw_leaf | bits};
  }

 public:
  // The value of the EPTP field of a VMCS: tables of memory type write-back.
  [[nodiscard]] static constexpr std::uint64_t eptp(table_address root) noexcept {
    return root.value | (Options.accessed_dirty ? 1U << 6 : 0U) | (unsigned{Levels - 1} << 3) | write_back;
  }

  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // First a table as they are made here, by one comparison: it is what a descent asks for.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (r | w | x | large)) == (r | w | x)) return entry_kind::table;
    if ((entry & present) != 0) {
      if (level == 0) return entry_kind::leaf;
      if ((entry & large) == 0) return entry_kind::table;
      return level < leaf_levels ? entry_kind::leaf : entry_kind::marker;
    }
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & r) != 0) allowed = allowed | readable;
    if ((entry & w) != 0) allowed = allowed | writable;
    if ((entry & (x | xu)) != 0) allowed = allowed | executable;
    const word memory = (entry & type) >> type_shift;
    const word modes = entry & (x | xu);
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .memory = memory == write_back        ? memory_type::normal
                  : memory == write_combining ? memory_type::non_cacheable
                                              : memory_type::device,
        .accessed = !Options.accessed_dirty || (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0)),
        .from = modes == 0 || modes == (x | xu) ? privilege::any
                : modes == x                    ? privilege::supervisor
                                                : privilege::user};
  }
  // "EPT Translation Mechanism": an access takes its right in every entry. With mode-based execute control this is the
  // right to execute in either mode: `from` of a leaf speaks of the leaf alone.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return ((entry & r) != 0 ? readable : no_access) | ((entry & w) != 0 ? writable : no_access) |
           ((entry & (x | xu)) != 0 ? executable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // "EPT Misconfigurations": W without R; X or XU without R where the CPU lacks it; a reserved bit (6..3 of an entry
  // that leads to a table, 7 where a level has no blocks, the address bits below a block); memory types 2, 3 and 7.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & present) == 0) return true;
    if ((entry & r) == 0 && ((entry & w) != 0 || !Options.execute_only)) return false;
    if (level > 0 && (entry & large) == 0) return (entry & (type | ipat)) == 0;
    const word memory = (entry & type) >> type_shift;
    return level < leaf_levels && memory != 2 && memory != 3 && memory != 7 &&
           (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  // What would be a misconfiguration is refused, and so is a leaf without rights: it would not be present.
  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!can_have(wanted.allowed) || wanted.software > 3 || wanted.global) return errc::unsupported_attribute;
    if (wanted.from != privilege::any && !(Options.mode_based_execute && wanted.allowed.contains(executable)))
      return errc::unsupported_attribute;
    if (!Options.accessed_dirty && (!wanted.accessed || wanted.dirty)) return errc::unsupported_attribute;
    return word{output.value | sw_leaf | sve | rights_of(wanted.allowed, wanted.from) |
                (type_of(wanted.memory) << type_shift) | (Options.ignore_pat ? ipat : 0) | (level > 0 ? large : 0) |
                (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) | (wanted.dirty ? d : 0) |
                ((wanted.software & 1U) != 0 ? sw_owner0 : 0) | ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // R, W, X and XU are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept {
    return child.value | present | a | sve;
  }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner1 | sve;
  }
  static constexpr word locked = sw_locked | sve;
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & ~present) | ((live & (r | w | x)) << kept_shift) | ((live & xu) << kept_xu_shift) | sw_locked;
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & ~(kept | sw_locked)) | ((locked_entry >> kept_shift) & (r | w | x)) |
           ((locked_entry >> kept_xu_shift) & xu);
  }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry & ~large : leaf_entry;
  }

  static constexpr entry_test<word> is_writable = leaf_with(w);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = Options.accessed_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable = leaf_with(r | sw_may_write);  // W needs R

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, r | w | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!can_have(allowed)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(present | sw_may_write), rights_of(allowed, privilege::any)};
  }
  // A leaf without R, which takes the option, cannot have W alone.
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (Options.execute_only && !can_have(more)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0},
                              rights_of(more, privilege::any) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  // "EPT and Memory Typing"; 4 and 5, which are not used here, read as device.
  static constexpr word write_back = 6, write_combining = 1, uncacheable = 0;
  static constexpr word kept = word{0xf} << kept_shift;

  [[nodiscard]] static constexpr word type_of(memory_type memory) noexcept {
    return memory == memory_type::normal          ? write_back
           : memory == memory_type::non_cacheable ? write_combining
                                                  : uncacheable;
  }
  [[nodiscard]] static constexpr bool can_have(permissions allowed) noexcept {
    if (allowed.contains(readable)) return true;
    return Options.execute_only && allowed == executable;
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed, privilege from) noexcept {
    const word modes = (from != privilege::user ? x : 0) | (from != privilege::supervisor ? xu : 0);
    return (allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | sw_may_write : 0) |
           (allowed.contains(executable) ? modes : 0);
  }
};

static_assert(pte_format<ept<4>> && pte_format<ept<5>>);
static_assert(ept<4>::shape.input_bits() == 48 && ept<5>::shape.input_bits() == 57);
static_assert(root_table_bytes<ept<4>> == 4096 && table_unit_bytes<ept<5>> == 4096);
static_assert(*ept<4>::leaf(output_address{0x8020'0000}, {.allowed = read_write, .dirty = true}, 1) ==
              0x0010'0000'8020'0bb3);
static_assert(ept<4>::eptp(table_address{0x1000}) == 0x105e && ept<5>::eptp(table_address{0x1000}) == 0x1066);
static_assert(!ept<4>::leaf(output_address{0}, {.allowed = writable}, 0));

}  // namespace quire::intel

// ---- quire/format/riscv_atp.hpp -----------------------------------------------------------------

// The registers that point at RISC-V tables: hgatp for a G-stage, satp (and vsatp) for stage 1.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Supervisor Address Translation and Protection (satp)
// Register", "Hypervisor Guest Address Translation and Protection (hgatp) Register".
//
//   hgatp  63..60 MODE | 59 58 0 | 57..44 VMID | 43..0 PPN      32 bits: 31 MODE | 30 29 0 | 28..22 VMID | 21..0 PPN
//   satp   63..60 MODE |           59..44 ASID | 43..0 PPN      32 bits: 31 MODE |           30..22 ASID | 21..0 PPN
//
// What a hart has is asked by writing and reading back. A MODE that it lacks: "the entire write has no effect" (satp),
// or another one reads back (hgatp). The lowest bits of VMID and ASID are implemented first, and there may be none.
//
//   const auto ask = [](auto value) { return swap_csr_hgatp(value); };        // writes, reads, gives what was read
//   const unsigned has = riscv::formats_of_hart<riscv::sv57x4, riscv::sv48x4, riscv::sv39x4>(ask);
//   if ((has & 1U) != 0) ...                                                  // Sv57x4
//
// Caller must: write 0 and fence every address after asking hgatp. satp acts at once: ask it where it is not active (M
// mode), or by vsatp, or have the root that `ask` adds to the value map the code that runs.

namespace quire::riscv {

namespace detail {
template <int Levels, extensions Extensions>
void is_gstage(const gstage<Levels, Extensions>*);
template <int Levels, extensions Extensions>
void is_stage1(const stage1<Levels, Extensions>*);
}  // namespace detail

// A format of that stage, or what is derived from one.
template <class F>
concept gstage_format = pte_format<F> && requires(const F* format) { detail::is_gstage(format); };
template <class F>
concept stage1_format = pte_format<F> && requires(const F* format) { detail::is_stage1(format); };

// Where the fields of a format's register are. The register is as wide as an entry.
struct atp_fields {
  unsigned mode;         // the value of MODE
  int mode_bit;          // its lowest bit
  int identifier_bit;    // of VMID or ASID; what lies below is PPN
  int identifier_width;  // VMIDMAX or ASIDMAX
};
template <class F>
  requires gstage_format<F> || stage1_format<F>
inline constexpr atp_fields atp_fields_of = []() constexpr {
  constexpr bool narrow = sizeof(typename F::word) == 4;
  constexpr int width = gstage_format<F> ? (narrow ? 7 : 14) : (narrow ? 9 : 16);
  constexpr unsigned mode = narrow ? 1 : F::shape.levels + 5;  // 8 Sv39, 9 Sv48, 10 Sv57
  return narrow ? atp_fields{mode, 31, 22, width} : atp_fields{mode, 60, 44, width};
}();

namespace detail {
template <class F>
[[nodiscard]] constexpr result<typename F::word> atp_of(table_address root, unsigned identifier, int width) noexcept {
  using word = typename F::word;
  constexpr atp_fields fields = atp_fields_of<F>;
  if ((root.value & (root_table_bytes<F> - 1)) != 0) return error{errc::unaligned, -1, root.value};
  if (root.value >> (fields.identifier_bit + 12) != 0) return error{errc::beyond_output, -1, root.value};
  if (width > fields.identifier_width) width = fields.identifier_width;
  if (width < 32 && identifier >> width != 0) return error{errc::beyond_identifier, -1, identifier};
  return static_cast<word>((word{fields.mode} << fields.mode_bit) | (word{identifier} << fields.identifier_bit) |
                           static_cast<word>(root.value >> 12));
}
}  // namespace detail

// The value of hgatp that has a guest walk the table at `root`. `vmid_bits`: as many as the hart has. Errors: unaligned
// (the root, to its own size of 16 KiB), beyond_output (the root), beyond_identifier (the VMID).
template <gstage_format F>
[[nodiscard]] constexpr result<typename F::word> hgatp(table_address root, unsigned vmid,
                                                       int vmid_bits = atp_fields_of<F>.identifier_width) noexcept {
  return detail::atp_of<F>(root, vmid, vmid_bits);
}
// The same of satp and vsatp; the root is aligned to 4 KiB.
template <stage1_format F>
[[nodiscard]] constexpr result<typename F::word> satp(table_address root, unsigned asid,
                                                      int asid_bits = atp_fields_of<F>.identifier_width) noexcept {
  return detail::atp_of<F>(root, asid, asid_bits);
}

// ---- asking a hart

// What to write to learn how many bits of VMID or ASID there are, with a MODE that the hart has; and how many there
// are, by what reads back.
template <class F>
inline constexpr typename F::word every_identifier_bit = []() constexpr {
  using word = typename F::word;
  constexpr atp_fields fields = atp_fields_of<F>;
  return static_cast<word>((word{fields.mode} << fields.mode_bit) |
                           (((word{1} << fields.identifier_width) - 1) << fields.identifier_bit));
}();
template <class F>
[[nodiscard]] constexpr int identifier_bits(typename F::word read_back) noexcept {
  constexpr atp_fields fields = atp_fields_of<F>;
  int bits = 0;
  while (bits < fields.identifier_width && ((read_back >> (fields.identifier_bit + bits)) & 1U) != 0) ++bits;
  return bits;
}

// Whether the register took the MODE of F, by what reads back after it was written.
template <class F>
[[nodiscard]] constexpr bool is_mode_of(typename F::word read_back) noexcept {
  return read_back >> atp_fields_of<F>.mode_bit == atp_fields_of<F>.mode;
}

// Which of these formats a hart has: bit k for the k-th. ask(value) writes the register and gives what then reads back;
// `value` is the MODE of a format, the rest 0.
template <class... Formats, class Ask>
[[nodiscard]] constexpr unsigned formats_of_hart(Ask&& ask) {
  static_assert(sizeof...(Formats) <= 32);
  unsigned found = 0, bit = 1;
  const auto try_one = [&]<class F>() {
    constexpr atp_fields fields = atp_fields_of<F>;
    using word = typename F::word;
    if (is_mode_of<F>(ask(static_cast<word>(word{fields.mode} << fields.mode_bit)))) found |= bit;
    bit <<= 1U;
  };
  (try_one.template operator()<Formats>(), ...);
  return found;
}

static_assert(*hgatp<sv39x4>(table_address{0x8000'4000}, 5) == 0x8000'5000'0008'0004);
static_assert(*hgatp<sv32x4>(table_address{0x8000'4000}, 5) == 0x8148'0004);
static_assert(*satp<sv39>(table_address{0x8000'1000}, 5) == 0x8000'5000'0008'0001);

}  // namespace quire::riscv

// ---- quire/format/riscv_hfence.hpp --------------------------------------------------------------

// RISC-V G-stage invalidation: the operands of fences, and an invalidation policy that has them executed on every hart.
//
// Source: The RISC-V Instruction Set Manual, Volume II, "Hypervisor Memory-Management Fence Instructions", "Supervisor
// Memory-Management Fence Instruction", and the Svinval extension.
//
//   hfence.gvma rs1, rs2    rs1: guest-physical address >> 2; x0: every address.   rs2: VMID; x0: every VMID.
//   sfence.vma  rs1, rs2    rs1: virtual address; x0: every address.               rs2: ASID; x0: every ASID.
//
// What selects "every" is the register x0; another register that holds 0 means address 0, VMID 0. A fence with an
// address is about the leaf entry that translates it, of whatever size: one fence does for a leaf. A changed table
// entry takes a fence of every address (sfence.vma: "orders only reads and writes made to leaf page table entries"; the
// text of hfence.gvma does not say, so the same is assumed).
//
// A fence acts on the hart that executes it. The rest is told by an interprocessor interrupt or the SBI.

namespace quire::riscv {

[[nodiscard]] constexpr std::uint64_t gpa_operand(input_address guest_physical) noexcept {
  return guest_physical.value >> 2U;
}
[[nodiscard]] constexpr std::uint64_t va_operand(input_address virtual_address) noexcept {
  return virtual_address.value;
}

struct hfence_options {
  bool svinval = false;           // the hart has sfence.w.inval, hinval.gvma and sfence.inval.ir
  int index_bits = 9;             // of the tables: 9, or 10 for Sv32x4
  unsigned most_addresses = 512;  // fenced one by one; beyond them the whole VMID is fenced
};

// A hart that executes fences: a member function for each, named after it; `_all` has x0 for rs1.
template <class H>
concept hfence_hart = requires(H& hart, std::uint64_t address, std::uint64_t vmid) {
  hart.hfence_gvma(address, vmid);
  hart.hfence_gvma_all(vmid);
};
template <class H>
concept hinval_hart = hfence_hart<H> && requires(H& hart, std::uint64_t address, std::uint64_t vmid) {
  hart.sfence_w_inval();
  hart.hinval_gvma(address, vmid);
  hart.sfence_inval_ir();
};

// What each hart has to do for one request: a value that a queue or a message can hold.
struct gstage_fence {
  input_address first;  // the addresses first, first + step, ... up to last
  input_address last;
  std::uint64_t step;  // 0: every address
  std::uint64_t vmid;

  // On the calling hart.
  template <hfence_options Options, hfence_hart Hart>
  constexpr void execute(Hart& hart) const noexcept {
    static_assert(!Options.svinval || hinval_hart<Hart>, "with Svinval the hart must execute hinval.gvma");
    if (step == 0) return hart.hfence_gvma_all(vmid);
    if constexpr (Options.svinval) hart.sfence_w_inval();
    for (input_address at = first;; at = at + step) {
      if constexpr (Options.svinval) hart.hinval_gvma(gpa_operand(at), vmid);
      else hart.hfence_gvma(gpa_operand(at), vmid);
      if (last - at < step) break;
    }
    if constexpr (Options.svinval) hart.sfence_inval_ir();
  }
  friend constexpr bool operator==(const gstage_fence&, const gstage_fence&) = default;
};

// One address a leaf of the hinted level, or a page where the level is not known. Requires: a level of the table; a
// VMID of at most 14 bits (7 on RV32).
template <hfence_options Options = hfence_options{}>
[[nodiscard]] constexpr gstage_fence fence_for(const invalidation_request& request, std::uint64_t vmid) noexcept {
  const int shift = 12 + (request.level > 0 ? request.level * Options.index_bits : 0);
  const input_address first = request.first.align_down(std::uint64_t{1} << shift);
  const bool few = (request.last - first) >> shift < Options.most_addresses;
  return {first, request.last, request.leaf_only && few ? std::uint64_t{1} << shift : 0, vmid};
}

// The harts of the system, as the one that calls sees them; several may call at once.
//   send(fence)   every other hart that may hold translations of fence.vmid executes it, at once or by wait(). Orders
//                 the caller's stores before those fences. A hart that ran the guest once and runs another one now may
//                 hold some, too; it may instead fence the whole VMID before it enters the guest again.
//   wait()        every fence sent by this caller has been executed.
template <class H>
concept hfence_system = hfence_hart<H> && requires(H& harts, const gstage_fence& fence) {
  harts.send(fence);
  harts.wait();
};

// The invalidation policy of a G-stage table: an instance for each guest.
//
//   add()        send(fence); on this hart hfence.gvma ..., or sfence.w.inval; hinval.gvma ...; sfence.inval.ir
//   complete()   wait()
//   local()      the fences of this hart alone
//
// Guarantees: what was stored to the table before add() or local() is seen by every walk after the fences (they order
// stores themselves); before_invalidation() of the maintenance policy may do nothing.
// Caller must: give the VMID that hgatp.VMID holds while the guest runs (with no VMID bits, 0); see to it that nobody
// else has it.
template <class Harts, hfence_options Options = hfence_options{}>
class gstage_invalidation {
  static_assert(hfence_system<Harts>, "Harts must execute and send fences: hfence_system");
  static_assert(!Options.svinval || hinval_hart<Harts>, "with Svinval Harts must execute hinval.gvma");

 public:
  static constexpr bool reentrant = true;

  constexpr gstage_invalidation(Harts harts, std::uint64_t vmid) noexcept : vmid_(vmid), harts_(harts) {}

  constexpr void add(const invalidation_request& request) noexcept {
    const gstage_fence fence = fence_for<Options>(request, vmid_);
    harts_.send(fence);
    fence.execute<Options>(harts_);
  }
  constexpr void complete() noexcept { harts_.wait(); }
  constexpr void local(const invalidation_request& request) noexcept {
    fence_for<Options>(request, vmid_).template execute<Options>(harts_);
  }

  [[nodiscard]] constexpr Harts& harts() noexcept { return harts_; }

 private:
  std::uint64_t vmid_;
  [[no_unique_address]] Harts harts_;
};

static_assert(gpa_operand(input_address{0x8020'0000}) == 0x2008'0000);
static_assert(fence_for({input_address{0x20'0000}, input_address{0x5f'ffff}, 1, true, invalidation_reason::reduced},
                        7) == gstage_fence{input_address{0x20'0000}, input_address{0x5f'ffff}, 0x20'0000, 7});
static_assert(fence_for({input_address{0}, input_address{512 * 4096 - 1}, -1, true, invalidation_reason::reduced}, 1)
                  .step == 4096);
static_assert(
    fence_for({input_address{0}, input_address{512 * 4096}, -1, true, invalidation_reason::reduced}, 1).step == 0);

}  // namespace quire::riscv

// ---- quire/format/tiny.hpp ----------------------------------------------------------------------

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

// ---- quire/format/vtd_second_stage.hpp ----------------------------------------------------------

// VT-d second-stage tables with 3, 4 or 5 levels.
//
// Source: Intel Virtualization Technology for Directed I/O, Architecture Specification, "Second-Stage Translation" and
// "Second-Stage Paging Entries". The manual has names where we have numbers: SS-PTE is level 0, SS-PDE (2 MiB) 1,
// SS-PDPTE (1 GiB) 2, SS-PML4E 3, SS-PML5E 4. (First-stage tables are those of x86_64.hpp.)
//
//   63       | 62 | 61 | 60..52   | 51..12         | 11  | 10       | 9 8 | 7  | 6..2 | 1 0
//   software |  0 |    | software | output address | SNP | software | D A | PS |  0   | W R
//
// There is no present bit: an entry with neither R nor W is not present, whatever else it says. Software bit 10 marks
// leaves, which nothing but the level tells from table entries; 52 is "may become writable", 53 and 54 are the owner's.
// What is not present is free for software: bit 55 makes it `locked`, with W kept in 57; without it bit 54 with a
// payload in the address field is a marker. W without R exists and is refused: write-protected it would be no leaf any
// more.
//
// Nothing can be executed, and memory types are the device's own (SNP aside).

namespace quire::vtd {

struct second_stage_options {
  bool accessed_dirty = true;  // SSADE of the PASID table entry: the hardware sets A and D; without it there are none
  bool force_snoop = false;    // SNP in every leaf; needs ECAP_REG.SC, without which the bit is reserved
  bool caching_mode = false;   // CAP_REG.CM: what is not present may be cached
};

template <int Levels, second_stage_options Options = second_stage_options{}>
struct second_stage {
  static_assert(Levels >= 3 && Levels <= 5, "3 levels translate 39 bits, 4 levels 48, 5 levels 57");

  using word = std::uint64_t;
  static constexpr geometry<Levels> shape = uniform_geometry<Levels>(12, 9);
  static constexpr int table_shift = 12;
  // The AW field of a context entry or a PASID table entry.
  static constexpr unsigned address_width = Levels - 2;
  static constexpr format_facts facts{
      .caches_invalid = Options.caching_mode,
      .sets_accessed = Options.accessed_dirty,
      .sets_dirty = Options.accessed_dirty,
      .has_accessed = Options.accessed_dirty,
      .has_dirty = Options.accessed_dirty,
      .table_permissions = true,
      .faults_retry = false,  // a device does not come again
      .output_bits = 52,      // the architectural limit of the host address width
      .software_bits = 2,
      .marker_bits = 40,
  };

 private:
  static constexpr word r = 1U << 0, w = 1U << 1, ps = 1U << 7, snp = 1U << 11;
  static constexpr word a = Options.accessed_dirty ? 1U << 8 : 0, d = Options.accessed_dirty ? 1U << 9 : 0;
  static constexpr word oa = ((word{1} << facts.output_bits) - 1) & ~word{0xfff};
  static constexpr word reserved = word{1} << 62;
  static constexpr word sw_leaf = 1U << 10, sw_may_write = word{1} << 52, sw_owner0 = word{1} << 53,
                        sw_owner1 = word{1} << 54, sw_locked = word{1} << 55;
  static constexpr int kept_shift = 56;  // of a locked entry's W; R is set in all that is locked
  static constexpr int leaf_levels = 3;
  [[nodiscard]] static constexpr entry_test<word> leaf_with(word bits) noexcept {
    return {r | sw_leaf | bits, r | sw_leaf | bits};
  }

 public:
  [[nodiscard]] static constexpr unsigned group_sizes(int level) noexcept {
    return level >= 0 && level < leaf_levels ? 1U : 0U;
  }

  // First a table as they are made here, by one comparison: it is what a descent asks for. PS is reserved where a level
  // has no blocks.
  [[nodiscard]] QUIRE_INLINE static constexpr entry_kind kind_of(word entry, int level) noexcept {
    if (level > 0 && (entry & (r | w | ps)) == (r | w)) return entry_kind::table;
    if ((entry & (r | w)) != 0) {
      if (level == 0) return entry_kind::leaf;
      if ((entry & ps) == 0) return entry_kind::table;
      return level < leaf_levels ? entry_kind::leaf : entry_kind::marker;
    }
    return entry == 0 ? entry_kind::absent : (entry & sw_locked) != 0 ? entry_kind::locked : entry_kind::marker;
  }
  [[nodiscard]] static constexpr table_address table_of(word entry, int) noexcept { return table_address{entry & oa}; }
  [[nodiscard]] static constexpr int group_of(word, int) noexcept { return 0; }
  [[nodiscard]] static constexpr output_address output_of(word entry, int level) noexcept {
    return output_address{entry & oa}.align_down(shape.leaf_bytes(level));
  }
  [[nodiscard]] static constexpr attributes attributes_of(word entry, int) noexcept {
    permissions allowed = no_access;
    if ((entry & r) != 0) allowed = allowed | readable;
    if ((entry & w) != 0) allowed = allowed | writable;
    return {
        .allowed = allowed,
        .may_write = (entry & sw_may_write) != 0,
        .accessed = !Options.accessed_dirty || (entry & a) != 0,
        .dirty = (entry & d) != 0,
        .software = static_cast<std::uint8_t>(((entry & sw_owner0) != 0 ? 1 : 0) | ((entry & sw_owner1) != 0 ? 2 : 0))};
  }
  // "Access Rights" of the second stage: R and W are wanted in every entry. There is no other right to be taken away.
  [[nodiscard]] static constexpr permissions table_rights_of(word entry, int) noexcept {
    return executable | ((entry & r) != 0 ? readable : no_access) | ((entry & w) != 0 ? writable : no_access);
  }
  [[nodiscard]] static constexpr std::uint64_t payload_of(word marker_entry) noexcept {
    return (marker_entry & oa) >> 12;
  }
  // Reserved: bit 62; SNP in a table entry, and everywhere without snoop control; PS where a level has no blocks; the
  // address bits below a block.
  [[nodiscard]] static constexpr bool is_well_formed(word entry, int level) noexcept {
    if ((entry & (r | w)) == 0) return true;
    if ((entry & reserved) != 0) return false;
    if (level > 0 && (entry & ps) == 0) return (entry & snp) == 0;
    return level < leaf_levels && (Options.force_snoop || (entry & snp) == 0) &&
           (entry & oa & (shape.leaf_bytes(level) - 1)) == 0;
  }

  [[nodiscard]] QUIRE_INLINE static constexpr result<word> leaf(output_address output, const attributes& wanted,
                                                                int level, int group = 0) noexcept {
    if (group_sizes(level) == 0 || group != 0) return errc::unsupported_level;
    if (!output.is_aligned(shape.leaf_bytes(level))) return errc::unaligned;
    if (output.value >> facts.output_bits != 0) return errc::beyond_output;
    if (!can_have(wanted.allowed) || wanted.software > 3) return errc::unsupported_attribute;
    if (wanted.memory != memory_type::normal) return errc::unsupported_attribute;
    if (wanted.from != privilege::any || wanted.global) return errc::unsupported_attribute;
    if (!Options.accessed_dirty && (!wanted.accessed || wanted.dirty)) return errc::unsupported_attribute;
    return word{output.value | sw_leaf | rights_of(wanted.allowed) | (Options.force_snoop ? snp : 0) |
                (level > 0 ? ps : 0) | (wanted.may_write ? sw_may_write : 0) | (wanted.accessed ? a : 0) |
                (wanted.dirty ? d : 0) | ((wanted.software & 1U) != 0 ? sw_owner0 : 0) |
                ((wanted.software & 2U) != 0 ? sw_owner1 : 0)};
  }
  // R and W are ANDed on the way down: a table entry stands in nobody's way.
  [[nodiscard]] static constexpr word table(table_address child, int) noexcept { return child.value | r | w | a; }
  [[nodiscard]] static constexpr word marker(std::uint64_t payload) noexcept {
    return ((payload << 12) & oa) | sw_owner1;
  }
  static constexpr word locked = sw_locked;
  [[nodiscard]] static constexpr word lock(word live) noexcept {
    return (live & ~(r | w)) | ((live & w) << kept_shift) | sw_locked;
  }
  [[nodiscard]] static constexpr word unlock(word locked_entry) noexcept {
    return (locked_entry & ~((w << kept_shift) | sw_locked)) | ((locked_entry >> kept_shift) & w) | r;
  }

  [[nodiscard]] static constexpr word step(int level, int) noexcept { return shape.leaf_bytes(level); }
  [[nodiscard]] static constexpr word child(word leaf_entry, int level) noexcept {
    return level == 1 ? leaf_entry & ~ps : leaf_entry;
  }

  static constexpr entry_test<word> is_writable = leaf_with(w);
  static constexpr entry_test<word> is_accessed = leaf_with(a);
  static constexpr entry_test<word> is_dirty = Options.accessed_dirty ? leaf_with(d) : entry_test<word>{0, 1};
  static constexpr entry_test<word> is_grantable = leaf_with(sw_may_write);

  static constexpr entry_change<word> make_writable{leaf_with(0), ~word{0}, w | d | sw_may_write};
  static constexpr entry_change<word> write_protect{is_writable, ~w, 0};
  static constexpr entry_change<word> set_accessed{leaf_with(0), ~word{0}, a};
  static constexpr entry_change<word> clear_accessed{is_accessed, ~a, 0};
  static constexpr entry_change<word> make_clean{is_dirty, ~d, 0};
  [[nodiscard]] static constexpr result<entry_change<word>> protect(permissions allowed) noexcept {
    if (!can_have(allowed)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~(w | sw_may_write), rights_of(allowed)};
  }
  [[nodiscard]] static constexpr result<entry_change<word>> relax(permissions more) noexcept {
    if (more.contains(executable)) return errc::unsupported_attribute;
    return entry_change<word>{leaf_with(0), ~word{0}, rights_of(more) | (more.contains(writable) ? d : 0)};
  }

  static constexpr word may_write_bit = sw_may_write;
  static constexpr word quiet_bits = a | d;

 private:
  [[nodiscard]] static constexpr bool can_have(permissions allowed) noexcept {
    return allowed.contains(readable) && !allowed.contains(executable);
  }
  [[nodiscard]] static constexpr word rights_of(permissions allowed) noexcept {
    return (allowed.contains(readable) ? r : 0) | (allowed.contains(writable) ? w | sw_may_write : 0);
  }
};

static_assert(pte_format<second_stage<3>> && pte_format<second_stage<4>> && pte_format<second_stage<5>>);
static_assert(second_stage<3>::shape.input_bits() == 39 && second_stage<3>::address_width == 1);
static_assert(second_stage<4>::shape.input_bits() == 48 && second_stage<4>::address_width == 2);
static_assert(second_stage<5>::shape.input_bits() == 57 && second_stage<5>::address_width == 3);
static_assert(root_table_bytes<second_stage<3>> == 4096 && table_unit_bytes<second_stage<5>> == 4096);
static_assert(*second_stage<3>::leaf(output_address{0x8020'0000}, {.allowed = read_write, .dirty = true}, 1) ==
              0x0010'0000'8020'0783);
static_assert(!second_stage<3>::leaf(output_address{0}, {.allowed = no_access}, 0));

}  // namespace quire::vtd

// ---- quire/walk/cursor.hpp ----------------------------------------------------------------------

// A walk that can be put down and taken up again, as an iterator needs it. It keeps the tables on the way to where it
// stands, so taking it up is no descent: the way leads up or down only where a table ends or begins.
//
//   cursor<Format> place{root, range};
//   while (place.resume(visitor) != errc::none) ...      as often as the visitor puts it down
//
// The visitor is that of walk() with walk_flag::leaf and no other call (walker.hpp), and it sees the same runs but for
// where they are cut. The cursor reads nothing itself: it goes down by the table entry that the visitor hands it.
//
// Guarantees
// - failed(i, code) puts the walk down after entry i, retry(i) before it; resume() gives the code, or busy.
// - Between two calls the cursor may be copied: each copy is a walk of its own from there on.
//
// Caller must: keep the tables that the cursor stands in from being given back (a lock, a read section) for as long as
// it is taken up again. Entries may change meanwhile; those it has passed are not looked at again.

namespace quire {

template <pte_format Format>
class cursor {
  using word = typename Format::word;
  static constexpr int top = Format::shape.root_level;

 public:
  // One that has arrived.
  constexpr cursor() noexcept = default;
  // Requires of the range: as walk().
  constexpr cursor(table_address root, input_range range) noexcept
      : first_(range.first().value), last_(range.last().value) {
    enter<top>(root, first_ - input_offset<Format>(range.first()));
  }

  // Walks on until the visitor puts the walk down; none: the whole range was walked.
  template <class Visitor>
  QUIRE_INLINE constexpr errc resume(Visitor& visitor) {
    if (level_ == 0) [[likely]] {
      if (const errc said = step<0>(visitor); said != errc::none) [[likely]]
        return said;
    }
    return resume_above(visitor);
  }

  // Of the table that the walk stands in; after resume() gave an error, that of the run where it was put down.
  [[nodiscard]] QUIRE_INLINE constexpr int level() const noexcept { return level_; }

 private:
  // What is left of a table: the entries from `next` to `last`. `base` is the input address of entry 0.
  struct place {
    table_address table{};
    std::uint64_t base = 0;
    std::size_t next = 0;
    std::size_t last = 0;
  };

  template <class Visitor>
  [[gnu::noinline]] constexpr errc resume_above(Visitor& visitor) {
    while (level_ <= top)
      if (const errc said = step_at<0>(visitor); said != errc::none) return said;
    return errc::none;
  }
  template <int Level, class Visitor>
  constexpr errc step_at(Visitor& visitor) {
    if constexpr (Level < top) {
      if (level_ != Level) return step_at<Level + 1>(visitor);
    }
    return step<Level>(visitor);
  }

  // One run of the table that the walk stands in. None: goes on at level_.
  template <int Level, class Visitor>
  QUIRE_INLINE constexpr errc step(Visitor& visitor) {
    place& here = way_[Level];
    if (here.next <= here.last) [[likely]] {
      const entry_run<Format, Level, Level == 0> run{here.table, here.base, here.next, here.last};
      const run_stop<word> stop = visitor.leaves(run);
      if (stop.why == stop_reason::failed || stop.why == stop_reason::retry) [[likely]] {
        here.next = stop.why == stop_reason::failed ? stop.index + 1 : stop.index;
        return stop.code;
      }
      if constexpr (Level > 0) {
        if (stop.why != stop_reason::done) {
          here.next = stop.index + 1;
          enter<Level - 1>(Format::table_of(stop.entry, Level), run.address(stop.index).value);
          return errc::none;
        }
      }
    }
    level_ = Level + 1;
    return errc::none;
  }

  template <int Level>
  constexpr void enter(table_address table, std::uint64_t base) noexcept {
    constexpr int shift = Format::shape.shift(Level);
    const std::uint64_t table_last = base + Format::shape.table_last_offset(Level);
    const std::uint64_t first = first_ > base ? first_ - base : 0;
    const std::uint64_t last = (last_ < table_last ? last_ : table_last) - base;
    way_[Level] = {table, base, static_cast<std::size_t>(first >> shift), static_cast<std::size_t>(last >> shift)};
    level_ = Level;
  }

  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  int level_ = top + 1;  // above the root: arrived
  place way_[Format::shape.levels]{};
};

}  // namespace quire
