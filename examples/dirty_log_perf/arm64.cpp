// SPDX-License-Identifier: MIT
#include <quire/format/arm64_stage2.hpp>  // stage2_4k

#include "phases.hpp"  // run_format

perf::report perf::run_arm64(const options& chosen) {
  switch (chosen.ipa_bits) {
    case 40: return run_format<quire::arm64::stage2_4k<40>>(chosen);
    case 43: return run_format<quire::arm64::stage2_4k<43>>(chosen);
    default: return run_format<quire::arm64::stage2_4k<48>>(chosen);
  }
}
