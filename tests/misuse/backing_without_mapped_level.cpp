// SPDX-License-Identifier: MIT
// A host that cannot say how large its own mapping is.
// expect: (does not satisfy|required for the satisfaction of) 'memory_backing
// expect: mapped_level\(slot, address\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_host {
  quire::result<quire::host_page> resolve(const quire::memory_slot&, quire::input_address, bool);
#if QUIRE_RIGHT
  int mapped_level(const quire::memory_slot&, quire::input_address);
#endif
};

using handler = quire::fault_handler<quire::page_table<riscv, two_sides>, rw_lock, my_host, quire::dirty_bitmap>;

bool use(handler& faults, heap_cache& cache) {
  return faults.handle({.address = guest, .access = quire::writable}, nullptr, cache).has_value();
}
