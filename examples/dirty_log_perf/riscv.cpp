// SPDX-License-Identifier: MIT
#include <quire/format/riscv_gstage.hpp>  // sv39x4, sv48x4

#include "phases.hpp"  // run_format

perf::report perf::run_riscv(const options& chosen) {
  return chosen.format == format_name::riscv_sv39x4 ? run_format<quire::riscv::sv39x4>(chosen)
                                                    : run_format<quire::riscv::sv48x4>(chosen);
}
