// SPDX-License-Identifier: MIT
// A dirty log asked for its bits, whose sink hands every mark on and keeps none.
// expect: (does not satisfy|required for the satisfaction of) 'harvestable_sink
#include <quire/quire.hpp>

#include "user.hpp"

#if QUIRE_RIGHT
using sink = quire::dirty_bitmap;
#else
using sink = quire::dirty_callback<void (*)(std::uint64_t)>;
#endif
using log_type = quire::dirty_log<quire::page_table<riscv, two_sides>, rw_lock, sink>;

bool use(log_type& log, std::uint64_t* words, heap_cache& cache) { return log.get(words, cache).has_value(); }
