// SPDX-License-Identifier: MIT
// A table that grows, though its source hands out roots that are no tables.
// expect: roots_are_tables
#include <quire/quire.hpp>

#include <quire/format/amd_iommu.hpp>

#include "user.hpp"

struct pools : heap_cache {
#if !QUIRE_RIGHT
  static constexpr bool roots_are_tables = false;
#endif
};
struct my_kernel : quire::policies {
  pools tables;
};
template <int Levels>
using io_table = quire::page_table<quire::amd::iommu<Levels>, my_kernel>;

bool use(io_table<3>& low) { return io_table<4>{static_cast<io_table<3>&&>(low)}.root().has_value(); }
