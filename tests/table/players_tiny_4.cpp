// SPDX-License-Identifier: MIT
#include "play.hpp"

namespace quire_test {
std::vector<player_factory> tiny_players_4() { return factories_of_part<tiny_formats, 3, 4>(); }
}  // namespace quire_test
