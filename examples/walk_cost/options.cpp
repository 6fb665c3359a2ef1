// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <algorithm>     // sort
#include <bit>           // countr_zero, has_single_bit
#include <charconv>      // from_chars
#include <cstdlib>       // exit
#include <string_view>   // string_view
#include <system_error>  // errc

#include <CLI/CLI.hpp>   // App
#include <fmt/format.h>  // format, print

#include "formats.hpp"

namespace walk_cost {
namespace {

constexpr std::string_view units = "KMGTPE";

// 2M, 0x80000000, 4096: nothing where it is none, or does not fit. (CLI::AsSizeValue takes the letters at the end of
// 0x8000f for a unit.)
std::optional<std::uint64_t> size_in(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (failed != std::errc{}) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.empty()) return value;
  const std::size_t unit = units.find(text.front());
  if (text.size() != 1 || unit == units.npos) return {};
  const int shift = 10 * static_cast<int>(unit + 1);
  if (value > low_bits(64 - shift)) return {};
  return value << shift;
}

// BASE:SIZE or BASE:SIZE:LEVEL
std::optional<asked_region> region_in(const std::string& text) {
  const std::vector<std::string> parts = CLI::detail::split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) return {};
  const auto base = size_in(parts[0]), bytes = size_in(parts[1]);
  if (!base || !bytes || *bytes == 0) return {};
  asked_region region{*base, *bytes, {}};
  if (parts.size() == 3) {
    const auto level = size_in(parts[2]);
    if (!level || *level >= most_levels) return {};
    region.largest_level = static_cast<int>(*level);
  }
  return region;
}

[[noreturn]] void refuse(const std::string& why) {
  fmt::print(stderr, "walk_cost: {}\n", why);
  std::exit(2);
}

std::uint64_t size_or_refuse(const char* option, const std::string& text) {
  const auto bytes = size_in(text);
  if (!bytes || *bytes == 0)
    refuse(fmt::format("{}: '{}' is no size; write 4096, 0x1000, 4K, 2M, 1G, 1T, 1P", option, text));
  return *bytes;
}

mapped_region region_of(const asked_region& asked, const options& all, const table_shape& shape) {
  const auto unfit = [&](const std::string& why) {
    throw unfit_layout{fmt::format("the region of {} at {:#x} {}", size_text(asked.bytes), asked.base, why)};
  };
  const std::uint64_t page = low_bits(shape.page_bits), last = asked.base + (asked.bytes - 1);
  const std::uint64_t reach = low_bits(shape.input_bits() - (shape.sign_extended ? 1 : 0));
  const bool lower = last <= reach, upper = shape.sign_extended && asked.base >= ~reach;
  if (((asked.base | asked.bytes) & page) != 0)
    unfit(fmt::format("is no whole number of pages of {}", size_text(page + 1)));
  if (last < asked.base || !(lower || upper))
    unfit(fmt::format("reaches beyond the {} bits of input addresses that {} translates{}", shape.input_bits(),
                      all.format, shape.sign_extended ? ", the topmost of them repeated" : ""));
  if (asked.bytes - 1 > low_bits(shape.output_bits))
    unfit(fmt::format("is more than the {} bits of output addresses of {}", shape.output_bits, all.format));

  int level = all.leaf == leaf_choice::page    ? 0
              : all.leaf == leaf_choice::block ? shape.block_level()
                                               : shape.root_level();
  if (asked.largest_level) {
    level = *asked.largest_level;
    if (level >= shape.levels || !shape.has_leaves(level))
      unfit(fmt::format("wants leaves of level {}, which {} does not have", level, all.format));
  }
  int alignment = 64;
  if (all.host_alignment != 0) {
    alignment = std::countr_zero(all.host_alignment);
    if (alignment < shape.page_bits)
      unfit(fmt::format("cannot be mapped to memory aligned to {} in pages of {}", size_text(all.host_alignment),
                        size_text(page + 1)));
  }
  const std::uint64_t inside = low_bits(shape.input_bits());
  return {shape, {asked.base & inside, last & inside, {level, all.groups, alignment}}};
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, units[unit - 1]);
}

options options_from(int argc, char** argv) {
  options o;
  std::string memory, host_alignment, leaf = "largest";
  std::vector<std::string> regions;
  bool list = false;
  CLI::App app{
      "What a mapping costs: tables, entries that the operations read and write on each level, invalidations, dirty\n"
      "bitmaps. Computed from the type of the format, whatever the size. Sizes: 4096, 0x1000, 4K, 2M, 1G, 1T, 1P.",
      "walk_cost"};
  app.add_option("--format", o.format, "format of the tables")->type_name("NAME");
  app.add_flag("--formats", list, "print the names of the formats, and nothing else");
  app.add_option("--memory", memory, "one region from address 0 on")->type_name("SIZE");
  app.add_option("--region", regions,
                 "a region; again for each further one. LEVEL is that of its largest leaves, pages are 0")
      ->type_name("BASE:SIZE[:LEVEL]")
      ->allow_extra_args(false);
  app.add_option("--leaf", leaf,
                 "largest leaves of regions without a LEVEL: of level 0, of the next that has leaves, of any")
      ->check(CLI::IsMember({"page", "block", "largest"}))
      ->capture_default_str();
  app.add_flag_callback(
      "--no-groups", [&o] { o.groups = false; }, "no groups (contiguous, NAPOT), where the format has them");
  app.add_option("--host-alignment", host_alignment,
                 "how far the memory behind is aligned as the input addresses are: a power of two (default: entirely)")
      ->type_name("SIZE");
  app.add_flag("--json", o.json, "JSON instead of a table");
  app.footer("Exit status: 0; 1 where the format cannot have such a layout; 2 where the command line is wrong.\n");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::exit(app.exit(asked));
  } catch (const CLI::ParseError& wrong) {
    refuse(wrong.what());
  }
  if (list) {
    for (const std::string& each : format_names()) fmt::print("{}\n", each);
    std::exit(0);
  }
  if (!shape_named(o.format)) refuse(fmt::format("--format: '{}' is none of those that --formats prints", o.format));
  if (memory.empty() == regions.empty()) refuse("give either --memory SIZE or --region BASE:SIZE");
  o.leaf = leaf == "page" ? leaf_choice::page : leaf == "block" ? leaf_choice::block : leaf_choice::largest;
  if (!memory.empty()) o.regions.push_back({0, size_or_refuse("--memory", memory), {}});
  for (const std::string& each : regions) {
    const auto region = region_in(each);
    if (!region) refuse(fmt::format("--region: '{}' is no BASE:SIZE[:LEVEL]", each));
    o.regions.push_back(*region);
  }
  if (!host_alignment.empty()) {
    o.host_alignment = size_or_refuse("--host-alignment", host_alignment);
    if (!std::has_single_bit(o.host_alignment))
      refuse(fmt::format("--host-alignment: {} is no power of two", host_alignment));
  }
  return o;
}

std::vector<mapped_region> layout_of(const options& asked, const table_shape& shape) {
  std::vector<mapped_region> layout;
  for (const asked_region& each : asked.regions) layout.push_back(region_of(each, asked, shape));
  std::sort(layout.begin(), layout.end(),
            [](const mapped_region& a, const mapped_region& b) { return a.first() < b.first(); });
  for (std::size_t i = 1; i < layout.size(); ++i)
    if (layout[i].first() <= layout[i - 1].last())
      throw unfit_layout{fmt::format("two regions have {:#x} in common", layout[i].first())};
  return layout;
}

}  // namespace walk_cost
