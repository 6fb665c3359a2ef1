// SPDX-License-Identifier: MIT
// A split that skips the pages of a format whose pages may form groups, which it is to break.
// expect: a split may skip only the levels of split_skips
#include <quire/quire.hpp>

#include "user.hpp"

using format = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.contiguous = true}>;

bool use(quire::page_table<format, one_thread>& table) {
  auto session = table.exclusive();
#if QUIRE_RIGHT
  return session.split<quire::walk_flags{}>(ram, 0, table.policies().tables).has_value();
#else
  return session.split<quire::walk_flag::skip_level<0>>(ram, 0, table.policies().tables).has_value();
#endif
}
