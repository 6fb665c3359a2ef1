// SPDX-License-Identifier: MIT
// Read sections on the tables of a device: they lock entries, and its faults cannot be retried.
// expect: faults cannot be retried
#include <quire/quire.hpp>

#include <quire/format/vtd_second_stage.hpp>

#include "user.hpp"

struct many_at_once : quire::policies {
#if QUIRE_RIGHT
  using locking = quire::locking::exclusive<spin_lock>;
#else
  using locking = quire::locking::concurrent<quire::epoch_section>;
#endif
};

bool use(quire::page_table<quire::vtd::second_stage<4>, many_at_once>& table) { return table.create().has_value(); }
