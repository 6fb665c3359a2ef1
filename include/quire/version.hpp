// SPDX-License-Identifier: MIT
// The version of this copy of Quire, for #if. Written here and in CMakeLists.txt; a test compares the two.
#pragma once

#define QUIRE_VERSION_MAJOR 0
#define QUIRE_VERSION_MINOR 1
#define QUIRE_VERSION_PATCH 0
