// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <fmt/format.h>       // format
#include <nlohmann/json.hpp>  // ordered_json
#include <unistd.h>           // isatty

namespace perf {
namespace {

using json = nlohmann::ordered_json;

json counts_of(const tally& t) {
  return {{"write_faults", t.write_faults},
          {"fast_path_fixed", t.fast_path_fixed},
          {"write_lock_taken", t.write_lock_taken},
          {"splits", t.splits},
          {"splits_in_fault", t.splits_in_fault},
          {"blocks_recovered", t.blocks_recovered},
          {"entries_visited", t.entries_visited},
          {"invalidations", t.invalidations},
          {"lock_drops", t.lock_drops}};
}

// "name_s" and "name_entries_visited".
void add(json& to, const std::string& name, const step& measured) {
  to[name + "_s"] = measured.seconds;
  to[name + "_entries_visited"] = measured.entries_visited;
}

std::string average(const std::string& what, double total, std::size_t n) {
  return fmt::format("{} over {} iterations took {:.9f}s. (Avg {:.9f}s/iteration)\n", what, n, total,
                     total / static_cast<double>(n));
}

}  // namespace

std::string json_of(const options& chosen, const report& measured) {
  json phases;
  add(phases, "populate", measured.populate);
  add(phases, "enable", measured.enable);
  if (chosen.warm_enable) add(phases, "enable_protect_only", measured.enable_protect_only);
  for (const iteration_report& each : measured.iterations) {
    json one;
    one["dirty_s"] = each.dirty.seconds;
    add(one, "get", each.get);
    if (chosen.manual_protect) add(one, "clear", each.clear);
    one["counts"] = counts_of(each.counts);
    phases["iterations"].push_back(std::move(one));
  }
  add(phases, "disable", measured.disable);
  if (chosen.recovery != quire::block_recovery::none) phases["after_disable_s"] = measured.after_disable.seconds;

  json counts = counts_of(measured.counts);
  counts["tables_allocated"] = measured.tables_allocated;
  counts["tables_live_at_exit"] = measured.tables_live_at_exit;
  counts["lost_writes"] = measured.lost_writes;

  const json whole{{"format", name_of(chosen.format)},
                   {"levels", measured.levels},
                   {"vcpus", chosen.vcpus},
                   {"bytes_per_vcpu", chosen.bytes_per_vcpu},
                   {"backing", chosen.backing},
                   {"locking", name_of(chosen.locking)},
                   {"fault_path", name_of(chosen.fault_path)},
                   {"split", name_of(chosen.split)},
                   {"skip_level", chosen.walk == quire::split_walk::skip_level},
                   {"verified", chosen.verify},
                   {"phases", phases},
                   {"counts", counts}};
  return whole.dump(2) + "\n";
}

std::string summary_of(const options& chosen, const report& measured) {
  std::string text = fmt::format("Test iterations: {}\n", chosen.iterations);
  text += fmt::format("Testing format: {}, {} levels, {} vCPUs, backing {}, locking {}, fault path {}, split {}\n",
                      name_of(chosen.format), measured.levels, chosen.vcpus, chosen.backing, name_of(chosen.locking),
                      name_of(chosen.fault_path), name_of(chosen.split));
  text += fmt::format("guest physical test memory: [{:#x}, {:#x})\n", measured.guest_first,
                      measured.guest_first + measured.guest_bytes);
  text += fmt::format("Populate memory time: {:.9f}s\n", measured.populate.seconds);
  text += fmt::format("Enabling dirty logging time: {:.9f}s\n\n", measured.enable.seconds);
  double get = 0, clear = 0;
  for (std::size_t i = 0; i < measured.iterations.size(); ++i) {
    const iteration_report& each = measured.iterations[i];
    text += fmt::format("Iteration {} dirty memory time: {:.9f}s\n", i + 1, each.dirty.seconds);
    text += fmt::format("Iteration {} get dirty log time: {:.9f}s\n", i + 1, each.get.seconds);
    if (chosen.manual_protect)
      text += fmt::format("Iteration {} clear dirty log time: {:.9f}s\n", i + 1, each.clear.seconds);
    get += each.get.seconds;
    clear += each.clear.seconds;
  }
  text += fmt::format("Disabling dirty logging time: {:.9f}s\n", measured.disable.seconds);
  if (chosen.recovery != quire::block_recovery::none)
    text += fmt::format("After disabling, dirty memory time: {:.9f}s ({} blocks recovered)\n",
                        measured.after_disable.seconds, measured.counts.blocks_recovered);
  text += average("Get dirty log", get, measured.iterations.size());
  if (chosen.manual_protect) text += average("Clear dirty log", clear, measured.iterations.size());
  if (chosen.verify) text += fmt::format("Verified: {} lost writes\n", measured.lost_writes);
  return text;
}

void show_progress(const std::string& what) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal) fmt::print(stderr, "\r\033[K{}{}", what, what.empty() ? "" : " ...");
}

}  // namespace perf
