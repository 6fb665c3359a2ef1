// SPDX-License-Identifier: MIT
// Catch2's main, compiled once for all test executables. Version 3 brings its own as a library; this file is for
// version 2, where it takes longer to compile than most tests.
#define CATCH_CONFIG_MAIN
#include "catch.hpp"
