// SPDX-License-Identifier: MIT
// Every workload, as rows of the program.
#pragma once

#include "workloads/page.hpp"
#include "workloads/protect.hpp"
#include "workloads/structure.hpp"

namespace quire_bench {

// Those of one rig. One source for each rig: what the compiler inlines depends on what else it compiles.
template <class Rig>
bool add_rows(const char* format, const char* policy, const char* path) {
  const auto add = [&](const char* name, void (*run)(stopwatch&)) {
    all_rows().push_back({name, format, policy, path, run});
  };
  add("map_2m_range", [](stopwatch& meter) { map_range<Rig>(meter, blocked, 1); });
  add("map_2m_fault", [](stopwatch& meter) { map_fault<Rig>(meter, blocked, 1); });
  add("map_4k_range", [](stopwatch& meter) { map_range<Rig>(meter, paged, 0); });
  add("map_4k_fault", [](stopwatch& meter) { map_fault<Rig>(meter, paged / 4, 0); });
  add("split_2m", [](stopwatch& meter) { split_from<Rig>(meter, 1); });
  add("split_1g", [](stopwatch& meter) { split_from<Rig>(meter, 2); });
  add("split_again", [](stopwatch& meter) { split_again<Rig>(meter); });
  add("split_again_64", [](stopwatch& meter) { split_again_64<Rig>(meter); });
  add("clear_dirty_log", [](stopwatch& meter) { clear_dirty_log<Rig>(meter, 0); });
  add("clear_dirty_log_unsplit", [](stopwatch& meter) { clear_dirty_log<Rig>(meter, 1); });
  add("write_protect_all", [](stopwatch& meter) { write_protect_all<Rig>(meter); });
  add("write_protect_mask_half", [](stopwatch& meter) { write_protect_mask<Rig>(meter, half_of_64); });
  add("write_protect_mask_one", [](stopwatch& meter) { write_protect_mask<Rig>(meter, one_of_64); });
  add("fast_path", [](stopwatch& meter) { fast_path<Rig>(meter, shuffled(paged / page)); });
  if constexpr (Rig::table_type::locking::has_read_side)
    add("fast_path_read_lock",
        [](stopwatch& meter) { fast_path<typename Rig::template under<read_locked>>(meter, shuffled(paged / page)); });
  add("lookup", [](stopwatch& meter) { lookup<Rig>(meter); });
  add("lookup_inlined", [](stopwatch& meter) { lookup_inlined<Rig>(meter); });
  add("unmap_4k", [](stopwatch& meter) { unmap_4k<Rig>(meter); });
  add("discard_4k", [](stopwatch& meter) { discard_4k<Rig>(meter); });
  add("age_all", [](stopwatch& meter) { age_all<Rig>(meter); });

  add("map_4k_range_again", [](stopwatch& meter) { map_range_again<Rig>(meter); });
  add("write_protect_again", [](stopwatch& meter) { write_protect_again<Rig>(meter); });
  add("fast_path_sequential", [](stopwatch& meter) { fast_path<Rig>(meter, in_sequence(paged / page)); });
  add("fast_path_own_marks", [](stopwatch& meter) { fast_path<Rig, own_marks>(meter, in_sequence(paged / page)); });
  add("fault_fast", [](stopwatch& meter) { fault_fast<Rig>(meter); });
  add("dirty_log_clear", [](stopwatch& meter) { dirty_log_clear<Rig>(meter); });
  add("age_page", [](stopwatch& meter) { age_page<Rig>(meter); });
  add("relax_page", [](stopwatch& meter) { relax_page<Rig>(meter); });
  add("lookup_decoded", [](stopwatch& meter) { lookup_decoded<Rig>(meter); });
  if constexpr (std::is_same_v<typename Rig::memory_type, identity_memory>) {
    using displaced = typename Rig::template over<direct_memory>;
    add("lookup_displaced", [](stopwatch& meter) { lookup<displaced>(meter); });
    add("fast_path_displaced", [](stopwatch& meter) { fast_path<displaced>(meter, shuffled(paged / page)); });
  }
  return true;
}

}  // namespace quire_bench
