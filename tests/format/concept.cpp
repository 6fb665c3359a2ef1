// SPDX-License-Identifier: MIT
// What is not a pte_format: the archetype, spoilt in one place at a time.
#include <quire/format/concept.hpp>

#include <cstdint>  // int64_t, uint32_t
#include <string>   // string

#include "catch.hpp"
#include "support/formats.hpp"

namespace {

using namespace quire;

static_assert(pte_format<format_archetype>);
static_assert(!pte_format<int> && !pte_format<std::uint64_t>);

struct signed_word : format_archetype {
  using word = std::int64_t;
};
static_assert(!pte_format<signed_word>);

// An entry of another width than the functions give.
struct other_word : format_archetype {
  using word = std::uint32_t;
};
static_assert(!pte_format<other_word>);

struct has_state : format_archetype {
  int cached = 0;
};
static_assert(!pte_format<has_state>);

// What cannot be encoded must be an error: a leaf that is just a word cannot say so.
struct leaf_never_fails : format_archetype {
  static constexpr word leaf(output_address, const attributes&, int, int = 0) noexcept { return 0; }
};
static_assert(!pte_format<leaf_never_fails>);

struct untyped_output : format_archetype {
  static constexpr std::uint64_t output_of(word entry, int) noexcept { return entry; }
};
static_assert(!pte_format<untyped_output>);

struct boolean_kind : format_archetype {
  static constexpr bool kind_of(word entry, int) noexcept { return (entry & 1U) != 0; }
};
static_assert(!pte_format<boolean_kind>);

struct member_functions : format_archetype {
  word child(word entry, int) const noexcept { return entry; }
};
static_assert(!pte_format<member_functions>);

struct changes_are_functions : format_archetype {
  static constexpr word write_protect(word entry) noexcept { return entry; }
};
static_assert(!pte_format<changes_are_functions>);

// Every member is needed.
#define QUIRE_TEST_WITHOUT(member)             \
  struct without_##member : format_archetype { \
   private:                                    \
    using format_archetype::member;            \
  };                                           \
  static_assert(!pte_format<without_##member>)

QUIRE_TEST_WITHOUT(word);
QUIRE_TEST_WITHOUT(shape);
QUIRE_TEST_WITHOUT(facts);
QUIRE_TEST_WITHOUT(table_shift);
QUIRE_TEST_WITHOUT(group_sizes);
QUIRE_TEST_WITHOUT(kind_of);
QUIRE_TEST_WITHOUT(table_of);
QUIRE_TEST_WITHOUT(group_of);
QUIRE_TEST_WITHOUT(output_of);
QUIRE_TEST_WITHOUT(attributes_of);
QUIRE_TEST_WITHOUT(payload_of);
QUIRE_TEST_WITHOUT(is_well_formed);
QUIRE_TEST_WITHOUT(leaf);
QUIRE_TEST_WITHOUT(table);
QUIRE_TEST_WITHOUT(marker);
QUIRE_TEST_WITHOUT(locked);
QUIRE_TEST_WITHOUT(lock);
QUIRE_TEST_WITHOUT(unlock);
QUIRE_TEST_WITHOUT(step);
QUIRE_TEST_WITHOUT(child);
QUIRE_TEST_WITHOUT(is_writable);
QUIRE_TEST_WITHOUT(is_accessed);
QUIRE_TEST_WITHOUT(is_dirty);
QUIRE_TEST_WITHOUT(is_grantable);
QUIRE_TEST_WITHOUT(make_writable);
QUIRE_TEST_WITHOUT(write_protect);
QUIRE_TEST_WITHOUT(set_accessed);
QUIRE_TEST_WITHOUT(clear_accessed);
QUIRE_TEST_WITHOUT(make_clean);
QUIRE_TEST_WITHOUT(protect);
QUIRE_TEST_WITHOUT(relax);
QUIRE_TEST_WITHOUT(may_write_bit);
QUIRE_TEST_WITHOUT(quiet_bits);

// Sizes of tables, where they are smaller than the unit and where they are not.
static_assert(table_bytes<format_archetype>(0) == 4096 && root_table_bytes<format_archetype> == 4096);
static_assert(table_bytes<tiny::plain>(0) == 32 && table_unit_bytes<tiny::plain> == 64);
static_assert(root_table_bytes<tiny::inverted_dbm> == 64 * 8);
static_assert(!has_groups<tiny::plain> && has_groups<tiny::grouped> && has_groups<tiny::napot>);

}  // namespace

TEST_CASE("every format of the list satisfies pte_format and has a name of its own") {
  std::string names = " ";
  quire_test::for_each_format<quire_test::all_formats>([&]<pte_format F>(const char* name) {
    CHECK(names.find(" " + std::string(name) + " ") == std::string::npos);
    names += std::string(name) + " ";
  });
}
