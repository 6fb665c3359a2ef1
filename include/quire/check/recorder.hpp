// SPDX-License-Identifier: MIT
// What the policies of a table were told: for tests that look at how an operation went about it.
#pragma once

#include <cstddef>  // size_t
#include <vector>   // vector

#include <quire/invalidation_request.hpp>  // invalidation_request

namespace quire::check {

// What the maintenance policy was told, in order.
enum class maintenance_event : unsigned char { table_filled, published, before_invalidation, code_visible };

// What the policies were told. The lists keep the first entries since clear(); the counts keep all.
struct recorder {
  static constexpr std::size_t most_kept = 1024;
  std::vector<invalidation_request> requests;
  std::vector<maintenance_event> maintenance;
  std::size_t requests_added = 0;
  std::size_t requests_local = 0;
  std::size_t completions = 0;
  std::size_t stores = 0;  // to entries, of any kind
  std::size_t loads = 0;
  std::size_t pauses = 0;

  void clear() {
    requests.clear();
    maintenance.clear();
    requests_added = requests_local = completions = stores = loads = pauses = 0;
  }
};

}  // namespace quire::check
