// SPDX-License-Identifier: MIT
#include "plan.hpp"

#include <algorithm>  // any_of, none_of
#include <utility>    // pair

namespace walk_cost {
namespace {

std::vector<mapped_region> with(const std::vector<mapped_region>& regions, const auto& change) {
  std::vector<mapped_region> changed;
  for (const mapped_region& each : regions) {
    region what = each.what();
    change(what);
    changed.emplace_back(each.shape(), what);
  }
  return changed;
}

// Level and group of the leaves that are the furthest from the root.
std::pair<int, int> deepest_leaf(const std::vector<mapped_region>& regions) {
  const table_shape& shape = regions.front().shape();
  int level = 0, group = 0;
  const auto any = [&](const auto& has) { return std::any_of(regions.begin(), regions.end(), has); };
  while (!any([&](const mapped_region& each) { return each.leaves(level) != 0; })) ++level;
  for (int k = 1; k <= shape.index_bits_of(level); ++k)
    if (any([&](const mapped_region& each) { return each.groups(level, k) != 0; })) group = k;
  return {level, group};
}

int largest_leaf_level(const std::vector<mapped_region>& regions) {
  int level = regions.front().shape().root_level();
  const auto has = [&](const mapped_region& each) { return each.leaves(level) != 0; };
  while (std::none_of(regions.begin(), regions.end(), has)) --level;
  return level;
}

}  // namespace

plan plan_of(const table_shape& shape, const std::vector<mapped_region>& regions) {
  const auto pages = with(regions, [](region& each) { each.leaves = single_pages; });
  const auto largest =
      with(regions, [](region& each) { each.leaves = {.alignment_bits = each.leaves.alignment_bits}; });
  plan p{.shape = shape,
         .regions = regions,
         .mapped = tables_of(shape, regions),
         .best = tables_of(shape, largest),
         .worst = tables_of(shape, pages),
         .bitmap_bytes = bitmap_bytes(regions),
         .tables_for_fault = tables_for_fault(shape),
         .chunk_level = largest_leaf_level(regions),
         .operations = {}};
  p.tables_for_chunk = tables_for_chunk(shape, p.chunk_level);

  const auto [level, group] = deepest_leaf(regions);
  constexpr auto skip = walk_kind::skip_level, every = walk_kind::every_level;
  p.operations = {{"map", "", map_cost(regions)},
                  {"translate", "", translate_cost(shape, level)},
                  {"lookup", "", lookup_cost(shape, level, group)},
                  {"write_protect", "", write_protect_cost(regions)},
                  {"split", "skip_level", split_cost(regions, skip)},
                  {"split", "every_level", split_cost(regions, every)},
                  {"split_again", "skip_level", split_cost(pages, skip)},
                  {"split_again", "every_level", split_cost(pages, every)},
                  {"write_protect_pages", "", write_protect_cost(pages)},
                  {"clear_section", "", clear_log_cost(first_section(regions.front()), 64)},
                  {"clear_by_64_pages", "", clear_log_cost(pages, 64)},
                  {"clear_by_512_pages", "", clear_log_cost(pages, 512)},
                  {"unmap", "", unmap_cost(regions)},
                  {"unmap_pages", "", unmap_cost(pages)}};
  return p;
}

}  // namespace walk_cost
