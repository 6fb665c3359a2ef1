// SPDX-License-Identifier: MIT
// Walk flags: what a walk calls its visitor for. All of it is known at compile time; a flag that is off costs nothing.
#pragma once

#include <quire/version.hpp>  // one copy of Quire

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
