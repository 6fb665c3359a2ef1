// SPDX-License-Identifier: MIT
// Shows a page table of any format, three ways: a sample, mappings of your own, or what lies in an image of memory.
#include <algorithm>  // find_if, sort
#include <charconv>   // from_chars
#include <cstdio>     // stderr
#include <fstream>    // ifstream
#include <iostream>   // cout
#include <iterator>   // istreambuf_iterator
#include <sstream>    // ostringstream

#include <CLI/CLI.hpp>        // App
#include <nlohmann/json.hpp>  // ordered_json

#include <quire/print/fmt.hpp>  // formatter

#include "shown_format.hpp"

namespace show {

std::vector<shown_format>& formats() {
  static std::vector<shown_format> all;
  return all;
}

namespace {

using json = nlohmann::ordered_json;

struct options {
  std::string format = "riscv-sv39x4";
  std::string image;
  std::vector<std::string> mappings;
  bool as_json = false;
  bool list = false;
  request asked;
};

// 4096, 0x1000, 2M; nothing where it is no number.
std::optional<std::uint64_t> number_of(std::string_view spelled) {
  constexpr std::string_view units = "KMGT";
  int shift = 0;
  if (!spelled.empty())
    if (const auto unit = units.find(spelled.back()); unit != std::string_view::npos) {
      shift = 10 * static_cast<int>(unit + 1);
      spelled.remove_suffix(1);
    }
  const bool hexadecimal = spelled.substr(0, 2) == "0x";
  if (hexadecimal) spelled.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, wrong] =
      std::from_chars(spelled.data(), spelled.data() + spelled.size(), number, hexadecimal ? 16 : 10);
  if (wrong != std::errc{} || end != spelled.data() + spelled.size() || number > ~std::uint64_t{0} >> shift) return {};
  return number << shift;
}

std::optional<quire::permissions> permissions_of(std::string_view spelled) {
  quire::permissions allowed;
  for (const char letter : spelled) {
    if (letter == 'r') allowed = allowed | quire::readable;
    else if (letter == 'w') allowed = allowed | quire::writable;
    else if (letter == 'x') allowed = allowed | quire::executable;
    else if (letter != '-') return {};
  }
  return allowed;
}

wanted_mapping mapping_of(const std::string& spelled) {
  const auto fields = CLI::detail::split(spelled, ':');
  if (fields.size() == 4) {
    const auto input = number_of(fields[0]), output = number_of(fields[1]), bytes = number_of(fields[2]);
    const auto allowed = permissions_of(fields[3]);
    if (input && output && bytes && allowed)
      return {spelled, quire::input_range::sized(quire::input_address{*input}, *bytes), quire::output_address{*output},
              *allowed};
  }
  throw CLI::ValidationError("--map", spelled + " is not VA:PA:SIZE:rwx");
}

std::uint64_t address_of(const std::string& option, const std::string& spelled) {
  if (const auto number = number_of(spelled)) return *number;
  throw CLI::ValidationError(option, spelled + " is no address");
}

void describe(CLI::App& app, options& o) {
  const std::map<std::string, quire::dump_style> styles{
      {"tree", quire::dump_style::tree}, {"runs", quire::dump_style::runs}, {"raw", quire::dump_style::raw}};
  app.add_option("--format", o.format, "which format; --list names them")->capture_default_str();
  app.add_option("--as", o.asked.style, "tree, runs (default) or raw")->transform(CLI::Transformer(styles));
  app.add_flag("--json", o.as_json, "mappings, runs and findings, as JSON");
  app.add_flag("--list", o.list, "name the formats and what they are");
  auto* map = app.add_option("--map", o.mappings, "VA:PA:SIZE:rwx, instead of the sample; repeatable");
  auto* dump = app.add_option("--dump", o.image, "an image of memory with somebody else's table")
                   ->check(CLI::ExistingFile)
                   ->excludes(map);
  app.add_option_function<std::string>(
         "--root", [&](const std::string& text) { o.asked.root = quire::table_address{address_of("--root", text)}; },
         "where its root lies")
      ->needs(dump);
  app.add_option_function<std::string>(
         "--base", [&](const std::string& text) { o.asked.base = address_of("--base", text); },
         "the address of its first byte (default: 0)")
      ->needs(dump);
  app.add_option("--budget", o.asked.bounds.budget, "entries of it that are read at most")
      ->capture_default_str()
      ->needs(dump);
  app.callback([&] {
    for (const std::string& each : o.mappings) o.asked.mappings.push_back(mapping_of(each));
    if (!o.image.empty() && app.count("--root") == 0) throw CLI::RequiredError("--root");
  });
}

std::vector<std::byte> bytes_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const auto bytes = std::as_bytes(std::span{text});
  return {bytes.begin(), bytes.end()};
}

std::string hex(std::uint64_t number) { return fmt::format("{:#x}", number); }

json json_of(const shown_format& format, const table_report& told) {
  json mappings = json::array(), runs = json::array(), findings = json::array();
  std::optional<quire::mapping_run> run;
  const auto end_run = [&] {
    if (run)
      runs.push_back({{"first", hex(run->first.value)},
                      {"last", hex(run->last.value)},
                      {"output", hex(run->output.value)},
                      {"leaves", run->leaves},
                      {"attributes", fmt::format("{}", run->attrs)},
                      {"effective", fmt::format("{}", run->effective)}});
    run.reset();
  };
  for (const quire::foreign_mapping& leaf : told.mappings) {
    mappings.push_back({{"input", hex(leaf.input.value)},
                        {"output", hex(leaf.output.value)},
                        {"bytes", leaf.bytes},
                        {"level", leaf.level},
                        {"entries", 1 << leaf.group},
                        {"attributes", fmt::format("{}", leaf.attrs)},
                        {"effective", fmt::format("{}", leaf.effective)}});
    if (run && run->extend(leaf)) continue;
    end_run();
    run.emplace(leaf);
  }
  end_run();
  for (const quire::foreign_finding& each : told.findings)
    findings.push_back({{"what", name_of(each.what)},
                        {"input", hex(each.address.value)},
                        {"level", each.level},
                        {"table", hex(each.table.value)},
                        {"index", each.index},
                        {"entry", hex(each.entry)}});
  return {{"format", format.name},
          {"description", format.description},
          {"root", hex(told.root.value)},
          {"mappings", mappings},
          {"runs", runs},
          {"findings", findings}};
}

int run(options& o) {
  if (o.list) {
    for (const shown_format& each : formats()) fmt::print("{:<42}{}\n", each.name, each.description);
    return 0;
  }
  const auto format =
      std::find_if(formats().begin(), formats().end(), [&](const shown_format& each) { return each.name == o.format; });
  if (format == formats().end()) {
    fmt::print(stderr, "show: no format {}; --list names them\n", o.format);
    return 2;
  }
  if (!o.image.empty()) o.asked.image = bytes_of(o.image);
  std::ostringstream text;
  const table_report told = format->show(o.asked, text);
  if (!told.trouble.empty()) {
    fmt::print(stderr, "show: {}\n", told.trouble);
    return 1;
  }
  if (o.as_json) std::cout << json_of(*format, told).dump(2) << '\n';
  else std::cout << text.str();
  return 0;
}

}  // namespace
}  // namespace show

int main(int count, char** arguments) {
  CLI::App app{"Shows a page table of any format: a sample, mappings of your own, or an image of memory.", "show"};
  show::options chosen;
  show::describe(app, chosen);
  CLI11_PARSE(app, count, arguments);
  return show::run(chosen);
}
