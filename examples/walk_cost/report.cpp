// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <algorithm>  // max, replace

#include <fmt/format.h>       // format
#include <nlohmann/json.hpp>  // ordered_json

namespace walk_cost {
namespace {

using json = nlohmann::ordered_json;
using row = std::vector<std::string>;

// The first column to the left, the others to the right.
std::string aligned(const std::vector<row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const row& each : rows)
    for (std::size_t i = 0; i < each.size(); ++i) widths[i] = std::max(widths[i], each[i].size());
  std::string text;
  for (const row& each : rows) {
    std::string line = fmt::format("{:<{}}", each[0], widths[0]);
    for (std::size_t i = 1; i < each.size(); ++i) line += fmt::format("  {:>{}}", each[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

// As the CPU sees it: the bits above the geometry are those of its half.
std::uint64_t address_of(const table_shape& shape, std::uint64_t offset) {
  const int bits = shape.input_bits();
  const bool upper = shape.sign_extended && (offset >> (bits - 1)) != 0;
  return upper ? offset | ~low_bits(bits) : offset;
}

std::string counted(std::uint64_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string words_of(std::string_view identifier) {
  std::string text{identifier};
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

// "4 of 1G, 512 of 4K in groups of 64K": the largest first.
std::string leaves_text(const mapped_region& region) {
  const table_shape& shape = region.shape();
  std::string text;
  const auto add = [&](std::uint64_t n, int bits) {
    if (n != 0) text += fmt::format("{}{} of {}", text.empty() ? "" : ", ", n, size_text(std::uint64_t{1} << bits));
  };
  for (int level = shape.root_level(); level >= 0; --level) {
    for (int group = shape.index_bits_of(level); group > 0; --group)
      add(region.groups(level, group), shape.shift(level) + group);
    add(region.leaves(level) - region.grouped(level), shape.shift(level));
  }
  return text;
}

std::string shape_text(const std::string& format, const table_shape& shape) {
  std::string bits, leaves;
  for (int level = shape.root_level(); level >= 0; --level) bits += fmt::format(" {}", shape.index_bits_of(level));
  for (int level = 0; level < shape.levels; ++level)
    if (shape.has_leaves(level)) leaves += " " + size_text(std::uint64_t{1} << shape.shift(level));
  return fmt::format(
      "{}: {} levels, index bits{} from the root, leaves{}{}; {}\n", format, shape.levels, bits, leaves,
      shape.has_groups() ? " and groups" : "",
      shape.break_batch != 0 ? fmt::format("breaks up to {} before it makes", shape.break_batch) : "changes in place");
}

row tables_row(const std::string& name, const table_count& tables, const table_shape& shape) {
  row cells{name, fmt::format("{}", tables.all()), size_text(tables.bytes(shape))};
  for (int level = shape.root_level(); level >= 0; --level) cells.push_back(fmt::format("{}", tables.at(level)));
  return cells;
}

row operation_row(const operation_cost& each, const table_shape& shape) {
  const cost& c = each.what;
  const entry_count all = c.all();
  row cells{words_of(each.operation) + (each.walk.empty() ? "" : ", " + words_of(each.walk)),
            fmt::format("{}", c.calls),
            fmt::format("{}", c.tables),
            fmt::format("{}", c.invalidations),
            fmt::format("{}", all.read),
            fmt::format("{}", all.written)};
  for (int level = shape.root_level(); level >= 0; --level)
    cells.push_back(fmt::format("{}/{}", c.at(level).read, c.at(level).written));
  return cells;
}

void add_levels(row& heading, const table_shape& shape) {
  for (int level = shape.root_level(); level >= 0; --level) heading.push_back(fmt::format("level {}", level));
}

json by_level(const table_shape& shape, const auto& value_at) {
  json list = json::array();
  for (int level = 0; level < shape.levels; ++level) list.push_back(value_at(level));
  return list;
}

json json_of(const table_count& tables, const table_shape& shape) {
  return {{"tables", tables.all()},
          {"bytes", tables.bytes(shape)},
          {"by_level", by_level(shape, [&](int level) { return tables.at(level); })}};
}

json json_of(const mapped_region& region) {
  const table_shape& shape = region.shape();
  return {{"base", fmt::format("{:#x}", address_of(shape, region.first()))},
          {"pages", region.pages()},
          {"largest_level", region.what().leaves.largest_level},
          {"leaves", by_level(shape, [&](int level) { return region.leaves(level); })},
          {"groups", by_level(shape, [&](int level) { return region.groups(level); })}};
}

json json_of(const operation_cost& each, const table_shape& shape) {
  const cost& c = each.what;
  json told{{"operation", each.operation}};
  if (!each.walk.empty()) told["walk"] = each.walk;
  told["calls"] = c.calls;
  told["tables"] = c.tables;
  told["invalidations"] = c.invalidations;
  told["read"] = c.all().read;
  told["written"] = c.all().written;
  told["read_by_level"] = by_level(shape, [&](int level) { return c.at(level).read; });
  told["written_by_level"] = by_level(shape, [&](int level) { return c.at(level).written; });
  return told;
}

}  // namespace

std::string text_of(const options& asked, const plan& told) {
  const table_shape& shape = told.shape;
  const std::uint64_t page = std::uint64_t{1} << shape.page_bits;
  std::string text = shape_text(asked.format, shape);

  std::vector<row> rows{{"region", "bytes", "leaves"}};
  for (const mapped_region& each : told.regions)
    rows.push_back(
        {fmt::format("{:#x}", address_of(shape, each.first())), size_text(each.pages() * page), leaves_text(each)});
  text += '\n' + aligned(rows);

  rows = {{"tables", "all", "bytes"}};
  add_levels(rows.front(), shape);
  rows.push_back(tables_row("as mapped", told.mapped, shape));
  rows.push_back(tables_row("best: largest leaves", told.best, shape));
  rows.push_back(tables_row("worst: pages", told.worst, shape));
  text += '\n' + aligned(rows);
  text += fmt::format("The worst comes with {}, one in each table of them: {} of memory.\n",
                      counted(told.worst.at(0), "page"), size_text(told.worst.at(0) * page));

  rows = {{"beside them", "", ""}};
  rows.push_back({"dirty bitmap", size_text(told.bitmap_bytes), counted(told.pages(), "page")});
  rows.push_back({"a vCPU's table cache", size_text(told.tables_for_fault * shape.table_bytes),
                  counted(told.tables_for_fault, "table")});
  rows.push_back({fmt::format("cache to split {}", size_text(std::uint64_t{1} << shape.shift(told.chunk_level))),
                  size_text(told.tables_for_chunk * shape.table_bytes), counted(told.tables_for_chunk, "table")});
  text += '\n' + aligned(rows);

  rows = {{"operation", "calls", "tables", "invalidations", "read", "written"}};
  add_levels(rows.front(), shape);
  for (const operation_cost& each : told.operations) rows.push_back(operation_row(each, shape));
  text += '\n' + aligned(rows);
  return text + "Of a level: entries read/written. Split again, clear and what says pages: after the split.\n";
}

std::string json_of(const options& asked, const plan& told) {
  const table_shape& shape = told.shape;
  json regions = json::array(), operations = json::array();
  for (const mapped_region& each : told.regions) regions.push_back(json_of(each));
  for (const operation_cost& each : told.operations) operations.push_back(json_of(each, shape));
  const json whole{{"format", asked.format},
                   {"page_bytes", std::uint64_t{1} << shape.page_bits},
                   {"index_bits", by_level(shape, [&](int level) { return shape.index_bits_of(level); })},
                   {"break_before_make", shape.break_batch != 0},
                   {"regions", regions},
                   {"tables",
                    {{"mapped", json_of(told.mapped, shape)},
                     {"best", json_of(told.best, shape)},
                     {"worst", json_of(told.worst, shape)}}},
                   {"fewest_pages_of_worst", told.worst.at(0)},
                   {"dirty_bitmap_bytes", told.bitmap_bytes},
                   {"tables_for_fault", told.tables_for_fault},
                   {"tables_for_chunk", told.tables_for_chunk},
                   {"chunk_bytes", std::uint64_t{1} << shape.shift(told.chunk_level)},
                   {"operations", operations}};
  return whole.dump(2) + "\n";
}

}  // namespace walk_cost
