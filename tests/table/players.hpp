// SPDX-License-Identifier: MIT
// A player for every format that the tests know. They are compiled in parts (players_*.cpp) and used through the
// interface, so that no test instantiates the library again.
#pragma once

#include <vector>  // vector

namespace quire_test {

struct player_factory;

std::vector<player_factory> tiny_players_1();
std::vector<player_factory> tiny_players_2();
std::vector<player_factory> tiny_players_3();
std::vector<player_factory> tiny_players_4();
std::vector<player_factory> real_players_1();
std::vector<player_factory> real_players_2();
std::vector<player_factory> real_players_3();
std::vector<player_factory> real_players_4();

}  // namespace quire_test
