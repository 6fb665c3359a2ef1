// SPDX-License-Identifier: MIT
// The second-stage formats of the machine, by the names that BARE_FORMAT may have.
#pragma once

#include <quire/format/riscv_gstage.hpp>  // gstage

namespace bare {

using quire::riscv::extensions;

using sv39x4 = quire::riscv::sv39x4;
using sv48x4 = quire::riscv::sv48x4;
using sv57x4 = quire::riscv::sv57x4;

// The hardware sets A and D: always in QEMU before 9.1, later with svadu=true.
using sv39x4_svadu = quire::riscv::gstage<3, extensions{.svadu = true}>;
using sv48x4_svadu = quire::riscv::gstage<4, extensions{.svadu = true}>;
// Groups of 64 KiB: with svnapot=true.
using sv39x4_svnapot = quire::riscv::gstage<3, extensions{.svnapot = true}>;
using sv48x4_svadu_svnapot = quire::riscv::gstage<4, extensions{.svadu = true, .svnapot = true}>;
// No memory types: what a hart without Svpbmt must be given.
using sv39x4_without_types = quire::riscv::gstage<3, extensions{.svpbmt = false}>;

}  // namespace bare
