// SPDX-License-Identifier: MIT
// Compiled once for each format of the suite; QUIRE_TEST_FORMAT is its name.
#include "play.hpp"

namespace {
[[maybe_unused]] const bool added = quire_test::add_player<quire_test::format_named<QUIRE_TEST_FORMAT>>();
}  // namespace
