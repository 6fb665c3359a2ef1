// SPDX-License-Identifier: MIT
#include "play.hpp"

namespace quire_test {
std::vector<player_factory> real_players_4() { return factories_of_part<real_formats, 3, 4>(); }
}  // namespace quire_test
