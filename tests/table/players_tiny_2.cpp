// SPDX-License-Identifier: MIT
#include "play.hpp"

namespace quire_test {
std::vector<player_factory> tiny_players_2() { return factories_of_part<tiny_formats, 1, 4>(); }
}  // namespace quire_test
