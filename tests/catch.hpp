// SPDX-License-Identifier: MIT
// The one place that knows which major version of Catch2 is installed.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>  // version 3
#else
#include <catch2/catch.hpp>  // version 2
#endif
