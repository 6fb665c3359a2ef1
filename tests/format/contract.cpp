// SPDX-License-Identifier: MIT
// The contract of pte_format, member by member, on every format: all attributes x levels x group sizes.
//
// The properties know no bits. They return the first thing that is wrong and where, so that a failure names the format,
// the level and the leaf; the loops stay free of test macros, or they would take longer to compile than to run.
#include <quire/format/concept.hpp>

#include <cstdint>  // uint64_t
#include <string>   // string
#include <vector>   // vector

#include "catch.hpp"
#include "support/formats.hpp"

namespace {

using namespace quire;
using quire_test::chosen_formats;
using quire_test::ordinary_privilege;

struct failure {
  const char* what = nullptr;  // nullptr: nothing is wrong
  int level = -1;
  int group = 0;
  std::uint64_t entry = 0;
  attributes wanted{};
};

constexpr permissions rights(unsigned bits) { return {static_cast<std::uint8_t>(bits)}; }

// Every combination of attributes, with one software value more than there may be.
template <class F>
std::vector<attributes> every_attributes() {
  std::vector<attributes> all;
  for (unsigned bits = 0; bits < 8; ++bits)
    for (const bool may_write : {false, true})
      for (const memory_type memory : {memory_type::normal, memory_type::non_cacheable, memory_type::device})
        for (const bool accessed : {false, true})
          for (const bool dirty : {false, true})
            for (unsigned software = 0; software <= 1U << F::facts.software_bits; ++software)
              for (const privilege from : {privilege::any, privilege::user, privilege::supervisor})
                for (const bool global : {false, true})
                  all.push_back({.allowed = rights(bits),
                                 .may_write = may_write,
                                 .memory = memory,
                                 .accessed = accessed,
                                 .dirty = dirty,
                                 .software = static_cast<std::uint8_t>(software),
                                 .from = from,
                                 .global = global});
  return all;
}

// What is read back: a writable leaf may write.
constexpr attributes normalised(attributes wanted) {
  wanted.may_write = wanted.may_write || wanted.allowed.contains(writable);
  return wanted;
}

template <class F>
constexpr std::uint64_t leaf_bytes(int level, int group) {
  return F::shape.leaf_bytes(level) << group;
}
template <class F>
constexpr std::uint64_t last_output = (std::uint64_t{1} << F::facts.output_bits) - 1;

// The lowest, the highest, and alternating bits, as aligned as the leaf needs.
template <class F>
std::vector<output_address> some_outputs(int level, int group) {
  std::vector<output_address> all;
  for (const std::uint64_t bits : {0ULL, ~0ULL, 0x5555'5555'5555'5555ULL, 0xaaaa'aaaa'aaaa'aaaaULL})
    all.push_back(output_address{bits & last_output<F>}.align_down(leaf_bytes<F>(level, group)));
  return all;
}

template <class F>
bool can_encode(const attributes& wanted) {
  return F::leaf(output_address{0}, wanted, 0).has_value();
}

// check(level, group) for every kind of leaf; the first failure.
template <class F, class Check>
failure for_each_leaf_size(Check&& check) {
  for (int level = 0; level < F::shape.levels; ++level)
    for (int group = 0; group < 32; ++group)
      if (((F::group_sizes(level) >> group) & 1U) != 0) {
        failure found = check(level, group);
        found.level = level;
        found.group = group;
        if (found.what != nullptr) return found;
      }
  return {};
}

// check(level, group, output, attributes, first entry) for every leaf that can be encoded.
template <class F, class Check>
failure for_each_leaf(Check&& check) {
  const std::vector<attributes> wanted = every_attributes<F>();
  return for_each_leaf_size<F>([&](int level, int group) -> failure {
    for (const output_address output : some_outputs<F>(level, group))
      for (const attributes& each : wanted)
        if (const auto entry = F::leaf(output, each, level, group))
          if (const char* what = check(level, group, output, normalised(each), *entry))
            return {.what = what, .entry = *entry, .wanted = each};
    return {};
  });
}

// ---- encode and decode

template <class F>
failure leaves_read_back_as_they_were_written() {
  return for_each_leaf<F>([](int level, int group, output_address output, const attributes& wanted, auto first) {
    for (unsigned i = 0; i < 1U << group; ++i) {
      const auto entry = static_cast<typename F::word>(first + i * F::step(level, group));
      if (F::kind_of(entry, level) != entry_kind::leaf) return "not a leaf";
      if (!F::is_well_formed(entry, level)) return "malformed";
      if (F::attributes_of(entry, level) != wanted) return "other attributes";
      if (F::output_of(entry, level) != output) return "another output address";
      if (F::group_of(entry, level) != group) return "another group";
      if (((entry & F::may_write_bit) != 0) != wanted.may_write) return "may_write_bit";
    }
    return static_cast<const char*>(nullptr);
  });
}

// Whether attributes can be encoded depends on neither the level, the group nor the address; what cannot be is named.
template <class F>
failure what_cannot_be_encoded_is_named() {
  const std::vector<attributes> all = every_attributes<F>();
  if (!can_encode<F>({.allowed = read_write, .may_write = true, .from = ordinary_privilege<F>}))
    return {.what = "no ordinary leaf"};
  for (const attributes& wanted : all)
    if (can_encode<F>(wanted)) {
      if (wanted.dirty && !F::facts.has_dirty) return {.what = "dirty without a dirty bit", .wanted = wanted};
      if (!wanted.accessed && !F::facts.has_accessed) return {.what = "not accessed without a bit", .wanted = wanted};
      if (F::facts.executes_by_privilege && wanted.from != privilege::any && !wanted.allowed.contains(executable))
        return {.what = "executes_by_privilege", .wanted = wanted};
      if (wanted.software >> F::facts.software_bits != 0) return {.what = "too many software bits", .wanted = wanted};
    }
  return for_each_leaf_size<F>([&](int level, int group) -> failure {
    const attributes plain{.allowed = read_write, .from = ordinary_privilege<F>};
    const auto code_of = [&](std::uint64_t output, const attributes& wanted) {
      return F::leaf(output_address{output}, wanted, level, group).error().code;
    };
    for (const attributes& wanted : all) {
      const errc expected = can_encode<F>(wanted) ? errc::none : errc::unsupported_attribute;
      for (const output_address output : some_outputs<F>(level, group))
        if (code_of(output.value, wanted) != expected) return {.what = "attributes by place", .wanted = wanted};
    }
    for (std::uint64_t off = leaf_bytes<F>(level, group) / 2; off != 0; off /= 2)
      if (code_of(off, plain) != errc::unaligned) return {.what = "unaligned", .entry = off};
    for (int bit = F::facts.output_bits; bit < 64; ++bit)
      if (code_of(std::uint64_t{1} << bit, plain) != errc::beyond_output) return {.what = "beyond_output"};
    return {};
  });
}

template <class F>
failure levels_and_groups_that_are_not_there_are_named() {
  for (int level = -2; level < F::shape.levels + 2; ++level) {
    const unsigned sizes = F::group_sizes(level);
    if ((level < 0 || level >= F::shape.levels) && sizes != 0) return {.what = "leaves outside", .level = level};
    if (sizes != 0 && (sizes & 1U) == 0) return {.what = "only groups", .level = level};
    for (int group = -1; group < 34; ++group) {
      if (group >= 0 && group < 32 && ((sizes >> group) & 1U) != 0) {
        if (1U << group >= F::shape.entries(level)) return {.what = "group of a whole table", .level = level};
        continue;
      }
      const attributes plain{.allowed = read_write, .from = ordinary_privilege<F>};
      if (F::leaf(output_address{0}, plain, level, group).error().code != errc::unsupported_level)
        return {.what = "unsupported_level", .level = level, .group = group};
    }
  }
  return {};
}

template <class F>
failure neighbours_are_a_step_apart() {
  return for_each_leaf<F>([](int level, int group, output_address output, const attributes& wanted, auto first) {
    const std::uint64_t bytes = leaf_bytes<F>(level, group);
    if constexpr (F::facts.linear_output_bits < F::facts.output_bits)
      if ((output.value ^ (output.value + bytes)) >> F::facts.linear_output_bits != 0)
        return static_cast<const char*>(nullptr);
    const auto next = F::leaf(output + bytes, wanted, level, group);
    if (next) {
      // From one group to the next it takes as many steps of single leaves as the group has entries.
      const auto stepped = static_cast<typename F::word>(first + (F::step(level, 0) << group));
      if (*next != stepped) return "next leaf";
    } else if (next.error().code != errc::beyond_output) {
      return "the next leaf is refused";
    }
    return static_cast<const char*>(nullptr);
  });
}

template <class F>
failure children_are_leaves_of_the_level_below() {
  return for_each_leaf<F>([](int level, int group, output_address output, const attributes& wanted, auto first) {
    if (level == 0 || group != 0 || F::group_sizes(level - 1) == 0) return static_cast<const char*>(nullptr);
    const auto fresh = F::leaf(output, wanted, level - 1);
    return fresh && F::child(first, level) == *fresh ? nullptr : "child";
  });
}

template <class F>
const char* answers_no(typename F::word entry) {
  if (F::is_writable(entry)) return "is_writable";
  if (F::is_accessed(entry)) return "is_accessed";
  if (F::is_dirty(entry)) return "is_dirty";
  // Changes that take something away find nothing to take, so that a run needs no test per entry.
  if (F::write_protect(entry) != entry) return "write_protect";
  if (F::clear_accessed(entry) != entry) return "clear_accessed";
  if (F::make_clean(entry) != entry) return "make_clean";
  return nullptr;
}

// Foreign or torn words included: each is something, and what a leaf says can be said again.
template <class F>
failure every_word_is_something() {
  std::uint64_t random = 0x9e37'79b9'7f4a'7c15;
  for (int round = 0; round < 20000; ++round) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    const int level = round % F::shape.levels;
    const auto entry = static_cast<typename F::word>(random);
    const bool grantable = level == 0 && F::is_grantable(entry);
    if (grantable &&
        (F::kind_of(entry, 0) != entry_kind::leaf || F::group_of(entry, 0) != 0 || (entry & F::may_write_bit) == 0))
      return {.what = "is_grantable", .level = level, .entry = entry};
    switch (F::kind_of(entry, level)) {
      case entry_kind::absent:
        if (entry != 0) return {.what = "absent, but not 0", .level = level, .entry = entry};
        break;
      case entry_kind::locked:
        if (const char* what = answers_no<F>(entry)) return {.what = what, .level = level, .entry = entry};
        break;
      case entry_kind::table:
        if (level == 0) return {.what = "table at level 0", .level = level, .entry = entry};
        break;
      case entry_kind::marker: break;
      case entry_kind::leaf: {
        const attributes seen = F::attributes_of(entry, level);
        const int group = F::group_of(entry, level);
        const output_address output = F::output_of(entry, level);
        const auto again = F::leaf(output, seen, level, group);
        if (!again && again.error().code == errc::unaligned && F::is_well_formed(entry, level))
          return {.what = "unaligned, but well formed", .level = level, .entry = entry};
        if (again.error().code == errc::unsupported_level) return {.what = "level", .level = level, .entry = entry};
        if (again && (F::attributes_of(*again, level) != normalised(seen) || F::output_of(*again, level) != output))
          return {.what = "says another thing again", .level = level, .entry = entry, .wanted = seen};
        break;
      }
      default: return {.what = "nothing", .level = level, .entry = entry};
    }
  }
  return {};
}

// ---- what is not a leaf

template <class F>
failure tables_keep_their_address() {
  const auto check = [](std::uint64_t address) -> failure {
    for (int level = 1; level < F::shape.levels; ++level) {
      const auto entry = F::table(table_address{address}, level);
      if (F::kind_of(entry, level) != entry_kind::table) return {.what = "kind", .level = level, .entry = entry};
      if (!F::is_well_formed(entry, level)) return {.what = "malformed", .level = level, .entry = entry};
      if (F::table_of(entry, level).value != address) return {.what = "address", .level = level, .entry = entry};
      if (const char* what = answers_no<F>(entry)) return {.what = what, .level = level, .entry = entry};
    }
    return {};
  };
  const std::uint64_t unit = std::uint64_t{1} << F::table_shift;
  if (const failure zero = check(0); zero.what != nullptr) return zero;
  if (const failure ones = check(last_output<F> & ~(unit - 1)); ones.what != nullptr) return ones;
  for (int bit = F::table_shift; bit < F::facts.output_bits; ++bit)
    if (const failure one = check(std::uint64_t{1} << bit); one.what != nullptr) return one;
  return {};
}

// Where table entries carry rights, ours leave all that there are.
template <class F>
failure tables_leave_all_rights() {
  if constexpr (F::facts.table_permissions) {
    for (int level = 1; level < F::shape.levels; ++level) {
      const auto entry = F::table(table_address{0}, level);
      if (F::table_rights_of(entry, level) != all_access) return {.what = "rights", .level = level, .entry = entry};
    }
  }
  return {};
}

// A table word where there can be no table is neither table nor leaf.
template <class F>
failure level_0_has_no_tables() {
  const auto entry = F::table(table_address{0}, 1);
  const entry_kind kind = F::kind_of(entry, 0);
  if (kind == entry_kind::table) return {.what = "table at level 0", .level = 0, .entry = entry};
  return {};
}

template <class F>
failure markers_keep_their_payload() {
  constexpr int bits = F::facts.marker_bits;
  if (bits < F::facts.output_bits - F::table_shift) return {.what = "no room for a table's address"};
  const auto check = [](std::uint64_t payload) -> failure {
    const auto entry = F::marker(payload);
    for (int level = 0; level < F::shape.levels; ++level)
      if (F::kind_of(entry, level) != entry_kind::marker || !F::is_well_formed(entry, level))
        return {.what = "kind", .level = level, .entry = entry};
    if (F::payload_of(entry) != payload) return {.what = "payload", .entry = entry};
    return {.what = answers_no<F>(entry), .entry = entry};
  };
  if (const failure zero = check(0); zero.what != nullptr) return zero;
  if (const failure ones = check((std::uint64_t{1} << bits) - 1); ones.what != nullptr) return ones;
  for (int bit = 0; bit < bits; ++bit)
    if (const failure one = check(std::uint64_t{1} << bit); one.what != nullptr) return one;
  return {};
}

// A lock hides an entry from the hardware, and from every question, until it is opened.
template <class F>
failure what_is_locked_is_kept() {
  const auto check = [](typename F::word live) {
    const typename F::word shut = F::lock(live);
    for (int at = 0; at < F::shape.levels; ++at)
      if (F::kind_of(shut, at) != entry_kind::locked || !F::is_well_formed(shut, at)) return "kind";
    if (F::unlock(shut) != live) return "not what it was";
    if (shut == F::locked) return "the lock of nothing";
    return answers_no<F>(shut);
  };
  const std::uint64_t unit = std::uint64_t{1} << F::table_shift;
  for (const std::uint64_t address : {std::uint64_t{0}, last_output<F> & ~(unit - 1)})
    for (int level = 1; level < F::shape.levels; ++level)
      if (const char* what = check(F::table(table_address{address}, level))) return {.what = what, .level = level};
  return for_each_leaf<F>([&](int level, int group, output_address, const attributes&, auto first) {
    const auto last = static_cast<typename F::word>(first + ((1U << group) - 1) * F::step(level, group));
    const char* what = check(first);
    return what != nullptr ? what : check(last);
  });
}

template <class F>
failure absent_and_locked_are_themselves() {
  const typename F::word absent = 0;
  const typename F::word locked = F::locked;
  for (int level = 0; level < F::shape.levels; ++level) {
    if (F::kind_of(absent, level) != entry_kind::absent) return {.what = "absent", .level = level};
    if (F::kind_of(locked, level) != entry_kind::locked) return {.what = "locked", .level = level};
  }
  if (const char* what = answers_no<F>(absent)) return {.what = what};
  return {.what = answers_no<F>(locked), .entry = locked};
}

// ---- questions and changes

template <class F>
failure questions_agree_with_the_attributes() {
  bool some_quiet = false;
  const failure found =
      for_each_leaf<F>([&](int level, int group, output_address, const attributes& wanted, auto entry) -> const char* {
        if (F::is_writable(entry) != wanted.allowed.contains(writable)) return "is_writable";
        if (F::is_accessed(entry) != wanted.accessed) return "is_accessed";
        if (F::is_dirty(entry) != wanted.dirty) return "is_dirty";
        // Where it cannot be had, make_writable adds another right as well.
        const bool grants_only_writing =
            F::attributes_of(F::make_writable(entry), level).allowed == (wanted.allowed | writable);
        if (level == 0 && F::is_grantable(entry) != (group == 0 && wanted.may_write && grants_only_writing))
          return "is_grantable";
        const bool quiet = (entry & F::quiet_bits) == F::quiet_bits;
        some_quiet = some_quiet || quiet;
        if (quiet && F::facts.sets_accessed && !wanted.accessed) return "quiet, but not accessed";
        if (quiet && F::facts.sets_dirty && wanted.allowed.contains(writable) && !wanted.dirty)
          return "quiet, but writable and clean";
        return nullptr;
      });
  if (found.what != nullptr) return found;
  if (!F::facts.sets_accessed && !F::facts.sets_dirty && F::quiet_bits != 0) return {.what = "quiet without need"};
  // Where a clear bit says dirty, no leaf can be told to be quiet.
  const bool clear_says_dirty = F::facts.sets_dirty && F::make_clean.set != 0;
  return {.what = some_quiet != clear_says_dirty ? nullptr : "quiet never, or where it cannot be told"};
}

// The changed entry is the leaf with the expected attributes, bit for bit: nothing else was touched.
template <class F>
const char* is_leaf_with(const attributes& expected, int level, int group, output_address output, auto entry,
                         const char* change) {
  const auto fresh = F::leaf(output, expected, level, group);
  return fresh && *fresh == entry ? nullptr : change;
}

template <class F>
failure writing_rights_come_and_go() {
  return for_each_leaf<F>(
      [](int level, int group, output_address output, const attributes& was, auto entry) -> const char* {
        attributes now = was;
        const auto granted = F::make_writable(entry);
        now.allowed = was.allowed | writable;
        now.may_write = true;
        now.dirty = was.dirty || F::facts.has_dirty;
        // W without R cannot be had everywhere; then R comes along.
        if (!can_encode<F>(now)) now.allowed = now.allowed | readable;
        if (const char* what = is_leaf_with<F>(now, level, group, output, granted, "make_writable")) return what;
        if (F::make_writable(granted) != granted) return "make_writable, again";

        now = was;
        now.allowed = was.allowed - writable;
        // Where "written" is encoded in the write permission, it goes along: whoever protects reports it first.
        if (!can_encode<F>(now)) now.dirty = false;
        if (!can_encode<F>(now)) return nullptr;
        if (const char* what = is_leaf_with<F>(now, level, group, output, F::write_protect(entry), "write_protect"))
          return what;
        return F::is_writable(F::write_protect(entry)) ? "write_protect" : nullptr;
      });
}

template <class F>
failure accessed_and_dirty_come_and_go() {
  return for_each_leaf<F>(
      [](int level, int group, output_address output, const attributes& was, auto entry) -> const char* {
        attributes now = was;
        now.accessed = true;
        if (const char* what = is_leaf_with<F>(now, level, group, output, F::set_accessed(entry), "set_accessed"))
          return what;
        now.accessed = !F::facts.has_accessed;
        if (const char* what = is_leaf_with<F>(now, level, group, output, F::clear_accessed(entry), "clear_accessed"))
          return what;
        now = was;
        now.dirty = false;
        return is_leaf_with<F>(now, level, group, output, F::make_clean(entry), "make_clean");
      });
}

template <class F>
failure protect_gives_exactly_these_rights() {
  return for_each_leaf<F>(
      [](int level, int group, output_address output, const attributes& was, auto entry) -> const char* {
        for (unsigned bits = 0; bits < 8; ++bits) {
          attributes now = was;
          now.allowed = rights(bits);
          now.may_write = now.allowed.contains(writable);
          const auto change = F::protect(now.allowed);
          if (!change) {
            if (change.error().code != errc::unsupported_attribute) return "protect: wrong error";
            if (can_encode<F>({.allowed = now.allowed, .from = ordinary_privilege<F>}))
              return "protect refuses what a leaf can have";
            continue;
          }
          if (F::facts.executes_by_privilege) now.from = privilege::any;
          if (!can_encode<F>(now)) now.dirty = false;
          if (can_encode<F>(now) != change->applies_to(entry)) return "protect applies to the wrong leaves";
          if (!change->applies_to(entry)) continue;
          if (const char* what = is_leaf_with<F>(now, level, group, output, (*change)(entry), "protect")) return what;
        }
        return nullptr;
      });
}

template <class F>
failure relax_adds_these_rights() {
  return for_each_leaf<F>(
      [](int level, int group, output_address output, const attributes& was, auto entry) -> const char* {
        for (unsigned bits = 0; bits < 8; ++bits) {
          const permissions more = rights(bits);
          attributes now = was;
          now.allowed = was.allowed | more;
          now.may_write = was.may_write || more.contains(writable);
          now.dirty = was.dirty || (F::facts.has_dirty && more.contains(writable));
          if (F::facts.executes_by_privilege && more.contains(executable)) now.from = privilege::any;
          const auto change = F::relax(more);
          if (!change) {
            if (change.error().code != errc::unsupported_attribute) return "relax: wrong error";
            if (can_encode<F>({.allowed = more, .from = ordinary_privilege<F>}))
              return "relax refuses what a leaf can have";
            continue;
          }
          // Not executable yet and cannot be: not applied. Where it is executable already, nothing stands against it.
          if (can_encode<F>(now) != change->applies_to(entry)) return "relax applies to the wrong leaves";
          if (!change->applies_to(entry)) continue;
          if (const char* what = is_leaf_with<F>(now, level, group, output, (*change)(entry), "relax")) return what;
        }
        return nullptr;
      });
}

}  // namespace

// One test case a property, every format in it.
#define QUIRE_CONTRACT_TEST(property)                                                                                 \
  TEST_CASE("every format: " #property) {                                                                             \
    quire_test::for_each_format<chosen_formats>([]<class F>(const char* name) {                                       \
      const failure found = property<F>();                                                                            \
      INFO(name << ", level " << found.level << ", group " << found.group << ", entry " << std::hex << found.entry);  \
      INFO("rights " << int{found.wanted.allowed.bits} << ", may_write " << found.wanted.may_write << ", memory "     \
                     << static_cast<int>(found.wanted.memory) << ", accessed " << found.wanted.accessed << ", dirty " \
                     << found.wanted.dirty << ", software " << int{found.wanted.software} << ", from "                \
                     << static_cast<int>(found.wanted.from) << ", global " << found.wanted.global);                   \
      CHECK(std::string(found.what == nullptr ? "" : found.what) == "");                                              \
    });                                                                                                               \
  }

QUIRE_CONTRACT_TEST(leaves_read_back_as_they_were_written)
QUIRE_CONTRACT_TEST(what_cannot_be_encoded_is_named)
QUIRE_CONTRACT_TEST(levels_and_groups_that_are_not_there_are_named)
QUIRE_CONTRACT_TEST(neighbours_are_a_step_apart)
QUIRE_CONTRACT_TEST(children_are_leaves_of_the_level_below)
QUIRE_CONTRACT_TEST(every_word_is_something)
QUIRE_CONTRACT_TEST(tables_keep_their_address)
QUIRE_CONTRACT_TEST(tables_leave_all_rights)
QUIRE_CONTRACT_TEST(level_0_has_no_tables)
QUIRE_CONTRACT_TEST(markers_keep_their_payload)
QUIRE_CONTRACT_TEST(what_is_locked_is_kept)
QUIRE_CONTRACT_TEST(absent_and_locked_are_themselves)
QUIRE_CONTRACT_TEST(questions_agree_with_the_attributes)
QUIRE_CONTRACT_TEST(writing_rights_come_and_go)
QUIRE_CONTRACT_TEST(accessed_and_dirty_come_and_go)
QUIRE_CONTRACT_TEST(protect_gives_exactly_these_rights)
QUIRE_CONTRACT_TEST(relax_adds_these_rights)
