// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <cstdlib>  // exit
#include <utility>  // pair
#include <vector>   // vector

#include <CLI/CLI.hpp>   // App
#include <fmt/format.h>  // format, print

namespace perf {
namespace {

template <class T>
using names = std::vector<std::pair<std::string, T>>;

const names<format_name> formats{{"riscv-sv39x4", format_name::riscv_sv39x4},
                                 {"riscv-sv48x4", format_name::riscv_sv48x4},
                                 {"arm64-4k", format_name::arm64_4k}};
const names<split_mode> split_modes{
    {"never", split_mode::never}, {"fault", split_mode::fault}, {"eager", split_mode::eager}};
const names<locking_name> lockings{{"shared", locking_name::shared}, {"concurrent", locking_name::concurrent}};
const names<quire::fault_path> fault_paths{{"slow", quire::fault_path::slow}, {"fast", quire::fault_path::fast}};
const names<quire::block_recovery> recoveries{{"none", quire::block_recovery::none},
                                              {"in-place", quire::block_recovery::in_place},
                                              {"on-fault", quire::block_recovery::on_fault}};
const names<int> backings{{"anonymous", 0},
                          {"anonymous_thp", 1},
                          {"anonymous_hugetlb", 1},
                          {"anonymous_hugetlb_2mb", 1},
                          {"anonymous_hugetlb_1gb", 2},
                          {"4kb", 0},
                          {"2mb", 1},
                          {"1gb", 2}};

template <class T>
std::string name_in(const names<T>& list, T value) {
  for (const auto& [name, each] : list)
    if (each == value) return name;
  return {};
}
template <class T>
T value_in(const names<T>& list, const std::string& name) {
  for (const auto& [each, value] : list)
    if (each == name) return value;
  return {};
}
// An option whose value is one of a list of names; a wrong one is refused with that list.
template <class T>
void add_choice(CLI::App& app, const std::string& flags, T& value, const names<T>& list, const std::string& help) {
  std::vector<std::string> allowed;
  for (const auto& each : list) allowed.push_back(each.first);
  app.add_option_function<std::string>(
         flags, [&value, &list](const std::string& name) { value = value_in(list, name); }, help)
      ->check(CLI::IsMember(allowed))
      ->default_str(name_in(list, value))
      ->group("Tables");
}

void describe(CLI::App& app, options& o, bool& get_clears) {
  const auto size = CLI::AsSizeValue(false);
  constexpr auto kernel = "As in the kernel's test";
  app.add_option("-v", o.vcpus, "vCPUs")->check(CLI::Range(1, 255))->capture_default_str()->group(kernel);
  app.add_option("-b", o.bytes_per_vcpu, "bytes each vCPU dirties; K, M or G behind the number")
      ->transform(size)
      ->default_str("1G")
      ->group(kernel);
  app.add_option("-i", o.iterations, "iterations")->check(CLI::Range(2, 65534))->capture_default_str()->group(kernel);
  std::vector<std::string> backing_names;
  for (const auto& each : backings) backing_names.push_back(each.first);
  app.add_option("-s", o.backing, "host memory; only the size of its pages is emulated: 4 KiB, 2 MiB or 1 GiB")
      ->check(CLI::IsMember(backing_names))
      ->capture_default_str()
      ->group(kernel);
  app.add_option("-x", o.slots, "slots that the memory is divided into, as evenly as whole pages allow")
      ->check(CLI::Range(1, 32767))
      ->capture_default_str()
      ->group(kernel);
  app.add_flag("-o", o.overlap, "every vCPU works on the whole memory")->group(kernel);
  app.add_flag("-g", get_clears, "no manual protection: getting the log clears it and protects again")->group(kernel);
  app.add_flag("-a", o.random_order, "pages in random order")->group(kernel);
  app.add_option("-w", o.write_percent, "percent of the accesses that are stores")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->group(kernel);
  app.add_flag("-e", o.run_while_disabling, "the vCPUs run on while logging is disabled")->group(kernel);
  app.add_option("-r", o.seed, "seed of the random numbers")->capture_default_str()->group(kernel);

  constexpr auto table = "Tables";
  add_choice(app, "--format", o.format, formats, "format of the tables");
  app.add_option("--ipa-bits", o.ipa_bits,
                 "bits of a guest address, arm64-4k only: 40 and 43 give 3 levels, 48 gives 4")
      ->check(CLI::IsMember({40, 43, 48}))
      ->capture_default_str()
      ->group(table);
  add_choice(app, "--locking", o.locking, lockings,
             "shared: a readers-writer lock; concurrent: read sections, everything at once and without a lock");
  add_choice(app, "--fault-path", o.fault_path, fault_paths,
             "whether write faults may be answered by one compare-exchange, under the read side or in a section");
  add_choice(
      app, "--split", o.split, split_modes,
      "when blocks become pages. never: there are none, the slots are mapped by 4K pages from the start; "
      "fault: when a write hits one; eager: when logging is enabled, or with the log initially set when it is cleared");
  app.add_option("--chunk", o.chunk, "eager split: bytes between two chances to let go of the lock; 4K, 2M or 1G")
      ->transform(size)
      ->default_str("1G")
      ->group(table);
  app.add_flag_callback(
         "--no-skip-level", [&o] { o.walk = quire::split_walk::every_level; }, "eager split: look at every page, too")
      ->group(table);
  add_choice(app, "--recover", o.recovery, recoveries, "how pages become blocks again when logging is disabled");
  app.add_option("--slot-offset", o.slot_offset, "shift the slots by so many pages: they start and end inside a block")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{262143}))
      ->capture_default_str()
      ->group(table);
  app.add_flag("--initially-set,!--no-initially-set", o.initially_set,
               "the log starts full and enabling protects nothing (default, unless -g)")
      ->group(table);

  constexpr auto run = "Run";
  app.add_flag("--toggle", o.toggle, "disable and enable logging while the vCPUs run, in each iteration")->group(run);
  app.add_flag("--warm-enable", o.warm_enable,
               "enable, disable, enable again, and report the second: all is split by then")
      ->group(run);
  app.add_option(
         "--yield-every", o.yield_every,
         "let go of the lock at every n-th chance; 0: when somebody waits for it. Every time all running vCPUs must "
         "answer first, which takes long where there are more of them than processors")
      ->capture_default_str()
      ->group(run);
  app.add_flag("--verify", o.verify, "check that every page written is reported; exit status 1 if a write is lost")
      ->group(run);
  app.add_option("--json", o.json, "write the results to this file; - is standard output, and replaces the summary")
      ->group(run);
}

// What one option alone cannot tell.
void check(const CLI::App& app, const options& o, bool get_clears) {
  if (o.bytes_per_vcpu == 0 || o.bytes_per_vcpu % 4096 != 0)
    refuse(fmt::format("-b: {} bytes are no whole number of 4K pages; at least one page is needed", o.bytes_per_vcpu));
  if (o.bytes_per_vcpu > (std::uint64_t{1} << 39))
    refuse(fmt::format("-b: {} bytes are more than the 512G that a vCPU may have", o.bytes_per_vcpu));
  if (o.slots > o.used_pages())
    refuse(fmt::format("-x: {} slots for {} pages; at most one slot a page", o.slots, o.used_pages()));
  if (o.chunk != (1U << 12) && o.chunk != (1U << 21) && o.chunk != (1U << 30))
    refuse(fmt::format("--chunk: {} bytes are no size of a block; allowed are 4K, 2M and 1G", o.chunk));
  if (o.format != format_name::arm64_4k && app.count("--ipa-bits") != 0)
    refuse(fmt::format("--ipa-bits: {} bits, but {} has a fixed width; only for --format arm64-4k", o.ipa_bits,
                       name_of(o.format)));
  if (get_clears && app.count("--initially-set") != 0)
    refuse("--initially-set: needs manual protection, which -g switches off");
  if (o.warm_enable && o.initially_set && !get_clears)
    refuse("--warm-enable: enabling does nothing while the log is initially set; give -g or --no-initially-set");
}

}  // namespace

int options::backing_level() const noexcept { return split == split_mode::never ? 0 : value_in(backings, backing); }

std::uint64_t options::slot_pages() const noexcept {
  const std::uint64_t unit = backing_bytes() >> page_bits;
  return (used_pages() + unit - 1) / unit * unit;
}

std::string name_of(format_name format) { return name_in(formats, format); }
std::string name_of(split_mode mode) { return name_in(split_modes, mode); }
std::string name_of(locking_name policy) { return name_in(lockings, policy); }
std::string name_of(quire::fault_path path) { return name_in(fault_paths, path); }

void refuse(const std::string& why) {
  fmt::print(stderr, "dirty_log_perf: {}\n", why);
  std::exit(2);
}

options options_from(int argc, char** argv) {
  options o;
  bool get_clears = false;
  CLI::App app{
      "Measures dirty logging: populate guest memory, enable the log, dirty, get and clear it in iterations, disable "
      "it.\n"
      "The vCPUs are threads behind a software MMU that walks the tables.",
      "dirty_log_perf"};
  describe(app, o, get_clears);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::exit(app.exit(asked));
  } catch (const CLI::ParseError& wrong) {
    refuse(wrong.what());
  }
  check(app, o, get_clears);
  if (get_clears) o.manual_protect = o.initially_set = false;
  return o;
}

}  // namespace perf
