// SPDX-License-Identifier: MIT
// The second-stage formats of the machine, by the names that BARE_FORMAT may have.
#pragma once

#include <quire/format/amd_npt.hpp>    // npt
#include <quire/format/intel_ept.hpp>  // ept

namespace bare {

#ifdef QUIRE_BARE_VMX

using ept4 = quire::intel::ept<4>;
using ept5 = quire::intel::ept<5>;
using ept4_without_flags = quire::intel::ept<4, quire::intel::ept_options{.accessed_dirty = false}>;
using ept4_execute_only = quire::intel::ept<4, quire::intel::ept_options{.execute_only = true}>;
using ept4_mode_based = quire::intel::ept<4, quire::intel::ept_options{.mode_based_execute = true}>;
using ept4_ignore_pat = quire::intel::ept<4, quire::intel::ept_options{.ignore_pat = true, .suppress_ve = true}>;

#else

using npt4 = quire::amd::npt<4>;
using npt5 = quire::amd::npt<5>;
// The upper half of the PAT, which at power-up repeats the lower: bit 12 of a block and bit 7 of a page are PAT.
using npt4_upper_pat =
    quire::amd::npt<4, quire::x86::long_mode_options{.write_back = 4, .non_cacheable = 6, .device = 7}>;

#endif

}  // namespace bare
