// SPDX-License-Identifier: MIT
// The workload of dirty_log_perf on a real MMU, in instructions of the host: populate 64 MiB in blocks of 2 MiB, enable
// the log; dirty a word a page, get the log and clear it, once, again, and again in calls for 64 pages; enable what is
// split already; disable. One vCPU; every way of splitting, on both fault paths, with and without walks that skip a
// level.
//
// A fault is counted from the guest's store to the store's success. The same command of the guest runs once without
// faults, and what it takes then is subtracted; what remains, divided by the faults, is all of a fault: the vector,
// registers saved and loaded, the exit decoded, the library's part, and the return. (And the store's first try, if the
// emulator counts it: one instruction at most.)
#include "figures.hpp"
#include "logged_memory.hpp"

namespace {

using namespace bare;
using format = BARE_FORMAT;
using quire::fault_path;
using quire::split_walk;

// Instructions: for a page, a page, a fault.
constexpr std::uint64_t most_for_enable = BARE_MOST_FOR_ENABLE, most_for_clear = BARE_MOST_FOR_CLEAR,
                        most_for_fault = 400;
constexpr std::uint64_t pages_in_section = 64;

struct setting {
  const char* name;
  fault_path path;
  splits when;
  split_walk walk = split_walk::skip_level;
};
constexpr setting settings[] = {
    {"slow.split_at_enable", fault_path::slow, splits::at_enable},
    {"fast.split_at_enable", fault_path::fast, splits::at_enable},
    {"slow.split_at_clear", fault_path::slow, splits::at_clear},
    {"fast.split_at_clear", fault_path::fast, splits::at_clear},
    {"slow.split_on_fault", fault_path::slow, splits::on_fault},
    {"fast.split_on_fault", fault_path::fast, splits::on_fault},
    {"fast.split_at_enable.every_level", fault_path::fast, splits::at_enable, split_walk::every_level},
    {"fast.split_at_clear.every_level", fault_path::fast, splits::at_clear, split_walk::every_level},
};

// In the order of the description, and of the rows that people read.
enum quantity : unsigned {
  populate,
  enable,
  first_faults,
  first_fault,
  first_get,
  first_clear,
  faults,
  fault,
  in_library,
  get,
  clear_all,
  clear_sections,
  enable_again,
  disable,
  quantities
};
struct description {
  const char *name, *unit;
  const char* column;  // its head, as wide as it is; not in the table without
};
constexpr description described[quantities] = {
    {"populate", "instructions/block", "  populate"},
    {"enable", "instructions/page", "    enable"},
    {"first_dirty.faults", "faults", nullptr},
    {"first_dirty.fault", "instructions/fault", "   fault 1"},
    {"first_get", "instructions/section", nullptr},
    {"first_clear", "instructions/page", "   clear 1"},
    {"dirty.faults", "faults", nullptr},
    {"dirty.fault", "instructions/fault", "   fault 2"},
    {"dirty.fault_in_library", "instructions/fault", "   library"},
    {"get", "instructions/section", "       get"},
    {"clear", "instructions/page", "   clear 2"},
    {"clear_by_sections", "instructions/page", "     by 64"},
    {"enable_again", "instructions/page", "     again"},
    {"disable", "instructions/page", "   disable"},
};
struct figures {
  tenths of[quantities];
};

template <class Body>
std::uint64_t counted(Body&& body) {
  const std::uint64_t before = instructions();
  body();
  return instructions() - before;
}

class measurement {
 public:
  explicit measurement(const setting& chosen) noexcept
      : splits_(chosen.when), memory_(guest_, chosen.path, chosen.when, chosen.walk) {}

  figures operator()() noexcept {
    const pass populated = dirty();
    without_faults_ = dirty().instructions;
    result_.of[populate] = {populated.instructions - without_faults_, populated.faults};
    note(enable, pages, [&] { return memory_.enable(); });

    write(first_faults, first_fault, splits_ == splits::at_clear ? 0 : pages);
    harvest(first_get, first_clear, pages);
    write(faults, fault, pages);
    harvest(get, clear_all, pages);
    result_.of[in_library] = {library_share(), pages};
    harvest(get, clear_sections, pages_in_section);

    done(memory_.disable(quire::block_recovery::none));
    note(enable_again, pages, [&] { return memory_.enable(); });
    note(disable, pages, [&] { return memory_.disable(quire::block_recovery::in_place); });
    check(all_done_, "whatever the library was asked for was done");
    return result_;
  }

 private:
  using guest_type = guest<format, faults_at_once, told_at_once<format>>;
  using memory_type = logged_memory<guest_type, 64U << 20U>;
  static constexpr std::uint64_t pages = memory_type::pages;

  struct pass {
    std::uint64_t instructions, faults;
  };

  // The guest writes a word of every page.
  pass dirty() noexcept {
    auto handler = memory_.handler();
    pass all{0, 0};
    guest_exit left;
    all.instructions = counted([&] {
      for (left = guest_.run(command_); memory_.mend(handler, left, guest_.tables()); left = guest_.resume())
        ++all.faults;
    });
    done(left.why == guest_exit::reason::done);
    all.instructions -= without_faults_;
    return all;
  }
  std::uint64_t library_share() noexcept {
    auto handler = memory_.handler();
    const std::uint64_t nothing = counted([] {});
    std::uint64_t sum = 0;
    guest_exit left = guest_.run(command_);
    for (bool mended = true; mended && left.why == guest_exit::reason::fault; left = guest_.resume())
      sum += counted([&] { mended = memory_.mend(handler, left, guest_.tables()); }) - nothing;
    done(left.why == guest_exit::reason::done);
    return sum;
  }
  void write(quantity faults_seen, quantity each, std::uint64_t expected) noexcept {
    const pass written = dirty();
    result_.of[faults_seen] = {written.faults, 1};
    result_.of[each] = {written.instructions, written.faults};
    check(written.faults == expected, "each page that is logged faults once", written.faults);
  }
  void harvest(quantity got, quantity cleared, std::uint64_t pages_at_once) noexcept {
    note(got, pages / pages_in_section, [&] { return memory_.get(); });
    check(memory_.harvested() == pages, "each page that was written is in the log", memory_.harvested());
    note(cleared, pages, [&] { return memory_.clear(pages_at_once); });
  }
  template <class Body>
  void note(quantity which, std::uint64_t units, Body&& body) noexcept {
    bool went_well = false;
    result_.of[which] = {counted([&] { went_well = body(); }), units};
    done(went_well);
  }
  void done(bool went_well) noexcept { all_done_ = all_done_ && went_well; }

  splits splits_;
  guest_type guest_;
  memory_type memory_;
  command command_{verb::fill, memory_type::first().value, 1, pages, memory_type::page};
  std::uint64_t without_faults_ = 0;
  figures result_{};
  bool all_done_ = true;
};

// For people: a row for each setting. A fault, a block and a section of 64 pages are counted as such, else pages.
void say_table(const figures* found) {
  constexpr unsigned name_width = 36, width = 10;
  say_padded("instructions", name_width);
  for (const description& each : described)
    if (each.column != nullptr) say(each.column);
  end_line();
  for (const setting& each : settings) {
    say_padded(each.name, name_width);
    for (unsigned i = 0; i < quantities; ++i)
      if (described[i].column != nullptr) say_tenths(found->of[i], width);
    end_line();
    ++found;
  }
}

// For programs.
void say_lines(const setting& chosen, const figures& found) {
  for (unsigned i = 0; i < quantities; ++i) {
    say(chosen.name);
    say(".");
    say(described[i].name);
    say(" ");
    say_tenths(found.of[i]);
    say(" ");
    say(described[i].unit);
    end_line();
  }
}

void check_goals(const setting& chosen, const figures& found) {
  const auto hold = [&](quantity which, std::uint64_t most, const char* what) {
    check(found.of[which].is_at_most(most), what, found.of[which].value / 10);
  };
  if (chosen.path == fault_path::slow || chosen.walk == split_walk::every_level) return;
  hold(fault, most_for_fault, "a fault on the fast path is cheap");
  if (chosen.when != splits::at_enable) return;
  hold(enable, most_for_enable, "enabling with a split of everything is cheap");
  hold(clear_all, most_for_clear, "clearing is cheap");
}

}  // namespace

void bare::program() {
  if (const char* obstacle = second_stage<format>::obstacle(); obstacle != nullptr) skip(obstacle);
  constexpr unsigned n = sizeof settings / sizeof *settings;
  figures found[n];
  for (unsigned i = 0; i < n; ++i) {
    found[i] = measurement{settings[i]}();
    say_lines(settings[i], found[i]);
    check_goals(settings[i], found[i]);
  }
  say_table(found);
  finish();
}
