// SPDX-License-Identifier: MIT
// The version of this copy of Quire, for #if. Written here and in CMakeLists.txt; a test compares the two.
//
// Every other header of the core includes this one, itself or by others, before it says anything: so two copies in one
// translation unit, the single header and <quire/...> or those of two directories, are refused here and by name.
#pragma once

#ifdef QUIRE_VERSION_MAJOR
#error "two copies of Quire in one translation unit: take <quire/...> or the single header, and of one directory"
#endif

#define QUIRE_VERSION_MAJOR 0
#define QUIRE_VERSION_MINOR 1
#define QUIRE_VERSION_PATCH 0
