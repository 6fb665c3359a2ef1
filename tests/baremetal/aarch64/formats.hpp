// SPDX-License-Identifier: MIT
// The second-stage formats of the machine, by the names that BARE_FORMAT may have: the granule, the bits of the guest's
// addresses, and what is special.
//
// Roots are concatenated where levels are as few as can be: 2 tables for stage2_4k_40, 16 for stage2_4k_43, 4 for
// stage2_4k_32, 16 for stage2_16k_40, 2 for stage2_16k_48. stage2_4k_52 begins at the manual's level 0 with 16 tables,
// stage2_4k_52_level_minus_1 at -1 with one.
#pragma once

#include <quire/format/arm64_stage2.hpp>  // stage2_4k, stage2_16k, stage2_64k

namespace bare {

using stage2_4k_32 = quire::arm64::stage2_4k<32>;
using stage2_4k_39 = quire::arm64::stage2_4k<39>;
using stage2_4k_40 = quire::arm64::stage2_4k<40>;
using stage2_4k_43 = quire::arm64::stage2_4k<43>;
using stage2_4k_44 = quire::arm64::stage2_4k<44>;
using stage2_4k_48 = quire::arm64::stage2_4k<48>;
using stage2_4k_52 = quire::arm64::stage2_4k<52, quire::arm64::stage2_options{.output_bits = 52}>;
using stage2_4k_52_level_minus_1 =
    quire::arm64::stage2_4k<52, quire::arm64::stage2_options{.output_bits = 52, .levels = 5}>;
using stage2_16k_40 = quire::arm64::stage2_16k<40>;
using stage2_16k_47 = quire::arm64::stage2_16k<47>;
using stage2_16k_48 = quire::arm64::stage2_16k<48>;
using stage2_16k_52 = quire::arm64::stage2_16k<52, quire::arm64::stage2_options{.output_bits = 52}>;
using stage2_64k_42 = quire::arm64::stage2_64k<42>;
using stage2_64k_48 = quire::arm64::stage2_64k<48>;
using stage2_64k_52 = quire::arm64::stage2_64k<52, quire::arm64::stage2_options{.output_bits = 52}>;

// The hardware's dirty state (VTCR_EL2.HD, the DBM bit), and contiguous groups.
using stage2_4k_40_dirty = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_dirty = true}>;
using stage2_4k_48_contiguous = quire::arm64::stage2_4k<48, quire::arm64::stage2_options{.contiguous = true}>;
using stage2_4k_48_dirty_contiguous =
    quire::arm64::stage2_4k<48, quire::arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>;
using stage2_16k_47_contiguous = quire::arm64::stage2_16k<47, quire::arm64::stage2_options{.contiguous = true}>;
using stage2_64k_48_dirty_contiguous =
    quire::arm64::stage2_64k<48, quire::arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>;
// What a CPU without FEAT_HAFDBS walks.
using stage2_4k_40_software = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_accessed = false}>;
// FEAT_XNX.
using stage2_4k_40_by_privilege =
    quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.execute_by_privilege = true}>;

}  // namespace bare
