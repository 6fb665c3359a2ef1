// SPDX-License-Identifier: MIT
#include <quire/walk/flags.hpp>

#include "catch.hpp"

namespace {

using namespace quire;
using namespace quire::walk_flag;

// What a set of flags asks for, counted the long way for every set, every level.
constexpr bool answers_are_right() {
  for (unsigned number = 0; number < 8 * 32; ++number) {
    const walk_flags flags{.leaf = (number & 1U) != 0,
                           .table_pre = (number & 2U) != 0,
                           .table_post = (number & 4U) != 0,
                           .skipped = number >> 3U};
    bool any = false;
    for (int level = 0; level < 5; ++level) {
      const bool skipped = (number & (8U << level)) != 0;
      const bool calls_leaf = (number & 1U) != 0 && !skipped;
      const bool calls_pre = (number & 2U) != 0 && !skipped && level != 0;
      const bool calls_post = (number & 4U) != 0 && !skipped && level != 0;
      any = any || calls_leaf || calls_pre || calls_post;
      if (flags.skips(level) != skipped || flags.calls_leaf(level) != calls_leaf ||
          flags.calls_pre(level) != calls_pre || flags.calls_post(level) != calls_post || flags.wants(level) != any)
        return false;
    }
  }
  return true;
}
static_assert(answers_are_right());

// Each bit of a set stands for itself, and only the retry has an order: what was said first holds.
constexpr bool joins_are_right() {
  const walk_flags sets[] = {leaf, table_pre, table_post, shared, skip_level<0>, skip_level<1>, skip_level<4>, {}};
  for (const walk_flags& a : sets)
    for (const walk_flags& b : sets) {
      const walk_flags both = a | b;
      if (both.leaf != (a.leaf || b.leaf) || both.table_pre != (a.table_pre || b.table_pre) ||
          both.table_post != (a.table_post || b.table_post) || both.shared != (a.shared || b.shared) ||
          both.skipped != (a.skipped | b.skipped) || both.retry != on_retry::unsaid)
        return false;
    }
  return true;
}
static_assert(joins_are_right());
static_assert((leaf | stop_on_retry).retry == on_retry::stop);
static_assert((go_on_after_retry | leaf | table_pre).retry == on_retry::go_on);
static_assert((stop_on_retry | go_on_after_retry).retry == on_retry::stop);
static_assert((go_on_after_retry | stop_on_retry).retry == on_retry::go_on);
static_assert(skip_level<0>.skipped == 1 && skip_level<3>.skipped == 8);
static_assert((skip_level<0> | skip_level<2>).skipped == 5);

// The root of a one-level walk, and a level that no flag names.
static_assert(!(leaf | skip_level<0>).wants(0) && (leaf | skip_level<0>).wants(1));
static_assert(!(table_pre | table_post).wants(0) && (table_pre | table_post).wants(1));
static_assert(!walk_flags{}.wants(7));

}  // namespace

TEST_CASE("no flag brings a skipped level back") {
  // As in the assertions above, where the compiler does not know the flags.
  volatile bool yes = true;
  const walk_flags flags{
      .leaf = yes, .table_pre = yes, .table_post = yes, .shared = yes, .skipped = 2, .retry = on_retry::go_on};
  CHECK_FALSE(flags.calls_leaf(1));
  CHECK_FALSE(flags.calls_pre(1));
  CHECK_FALSE(flags.calls_post(1));
  CHECK(flags.calls_leaf(0));
  CHECK(flags.calls_pre(2));
  CHECK(answers_are_right());
  CHECK(joins_are_right());
}
