// SPDX-License-Identifier: MIT
// All of them.
#pragma once

#include "explore/dirty_world.hpp"  // logging_scenarios
#include "explore/world.hpp"        // every_pair

namespace quire_test {

[[nodiscard]] inline scenarios every_scenario() {
  using enum dirty_order;
  using enum harvest_order;
  scenarios all;
  add_all(all, every_pair<software_only>("software", false));
  add_all(all, every_pair<hardware_bits>("hardware", true));
  add_all(all, deep_pairs());
  add_all(all, group_pairs());
  add_all(all, every_three());
  add_all(all, destroy_beside_everything());
  add_all(all, reclaim_beside_everything());
  add_all(all, eight_orders());
  add_all(all, logging_scenarios<software_only, in_sections<software_only>>("software"));
  add_all(all, logging_scenarios<hardware_bits, in_sections<hardware_bits>>("hardware"));
  add_all(all, logging_scenarios<software_only, with_a_lock<software_only, mark_then_grant, clear_then_protect>>(
                   "software"));
  add_all(all, logging_scenarios<hardware_bits, with_a_lock<hardware_bits, mark_then_grant, clear_then_protect>>(
                   "hardware"));
  return all;
}

}  // namespace quire_test
