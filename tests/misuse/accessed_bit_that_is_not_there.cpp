// SPDX-License-Identifier: MIT
// Pages aged in a format that has no accessed bit.
// expect: this format has no accessed bit
#include <quire/quire.hpp>

#include <quire/format/intel_ept.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
using format = quire::intel::ept<4>;
#else
using format = quire::intel::ept<4, quire::intel::ept_options{.accessed_dirty = false}>;
#endif

bool use(quire::page_table<format, one_thread>& table) {
  return table.exclusive().test_and_clear_accessed(ram).has_value();
}
