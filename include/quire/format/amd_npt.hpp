// SPDX-License-Identifier: MIT
// AMD nested page tables (SVM) with 4 or 5 levels.
//
// Source: AMD64 Architecture Programmer's Manual, Volume 2, "Nested Paging". The entries are those of x86_64.hpp, with
// its bit picture and its level numbers. What differs: guest-physical addresses are not sign-extended, every access of
// the guest is a user access, so US is set on every level and says nothing, and G is ignored, so it stays 0. PAT, PCD
// and PWT index the host's PAT.
//
// The guest's own table walks are user writes: a page of guest tables that is read-only here faults on any walk.
#pragma once

#include <quire/format/x86_64.hpp>  // long_mode_tables

namespace quire::amd {

template <int Levels, x86::long_mode_options Options = x86::long_mode_options{}>
struct npt : x86::detail::long_mode_tables<Levels, Options, true> {};

static_assert(pte_format<npt<4>> && pte_format<npt<5>>);
static_assert(npt<4>::shape.input_bits() == 48 && npt<5>::shape.input_bits() == 57 && !npt<4>::facts.sign_extended);
static_assert(*npt<4>::leaf(output_address{0x8020'3000}, {.allowed = all_access}, 0) == 0x8020'3227);
static_assert(!npt<4>::leaf(output_address{0}, {.allowed = readable, .from = privilege::supervisor}, 0));

}  // namespace quire::amd
