// SPDX-License-Identifier: MIT
// A hypervisor that moves a running guest to another place: live migration by pre-copy.
//
// CPU 1 runs the guest, which writes to its 64 MiB all the time (bank.hpp). CPU 0 moves it: it copies all pages, then
// those that were written meanwhile, and again, until few are left; it stops the guest, copies these, and lets CPU 1 go
// on with the copy. Which pages were written, the library's dirty log knows: a page is protected before it is copied,
// and the first write to it faults. The guest moves twice: once with all blocks of 2 MiB split into pages before it
// writes to them, once with each block split by the first write.
//
// What is below the library (booting, console, CPUs, entering a guest) is the machine layer of tests/baremetal.
#include "virtual_machine.hpp"

namespace bare {

namespace {

constexpr unsigned guests = 3, most_rounds = 10;
constexpr std::uint64_t few = 100;  // pages that may be copied while the guest stands still

// Volatile: a guest may write at the same time.
volatile std::uint64_t& word_at(std::uint64_t address) noexcept {
  return *reinterpret_cast<volatile std::uint64_t*>(address);
}

void print(const char* text) noexcept { say(text); }
void print(std::uint64_t number) noexcept { say_number(number); }
template <class... Parts>
void print_line(Parts... parts) noexcept {
  (print(parts), ...);
  end_line();
}
// A number of less than ten digits, at the end of a column of ten.
struct cell {
  std::uint64_t number;
};
void print(cell one) noexcept {
  for (std::uint64_t least = 1'000'000'000; least > one.number && least > 1; least /= 10) say(" ");
  say_number(one.number);
}

// All that was allocated, but for the guests' memory and their logs: the tables.
std::uint64_t bytes_of_tables() noexcept { return all_frames.in_use() - guests * (bank::memory_bytes + page); }

// ---- CPU 0 has CPU 1 run a guest, from its beginning or from where it is

void load_program(virtual_machine& guest) noexcept {
  for (std::uint64_t i = 0; i < guest_area_bytes; i += 8) word_at(guest.memory + i) = word_at(guest_area() + i);
  publish_code(guest.memory, guest_area_bytes);
}
void begin(void* with) noexcept {
  auto& guest = *static_cast<virtual_machine*>(with);
  stage::use(*guest.table.root(), guest.vmid);
  const std::uint64_t offset = reinterpret_cast<std::uint64_t>(&bank::work) - guest_area();
  guest.run(guest.cpu.run({verb::call, bank::memory + offset}));
}
void go_on(void* with) noexcept {
  auto& guest = *static_cast<virtual_machine*>(with);
  stage::use(*guest.table.root(), guest.vmid);
  guest.run(guest.cpu.resume());
}
void start(virtual_machine& guest, void (*how)(void*)) noexcept {
  guest.runs = 1;
  start(1, how, &guest);
}
// Gives whether the guest lives to make so many transfers more.
bool await(const virtual_machine& guest, std::uint64_t more) noexcept {
  const std::uint64_t enough = guest.transfers() + more;
  while (guest.transfers() < enough)
    if (quire::atomic::load(&guest.runs, quire::order::acquire) == 0) return false;
    else pause();
  return true;
}

// ---- CPU 0 moves it

void copy_page(const virtual_machine& from, const virtual_machine& to, std::uint64_t number) noexcept {
  const std::uint64_t source = from.memory + number * page, target = to.memory + number * page;
  for (std::uint64_t i = 0; i < page; i += 8) word_at(target + i) = word_at(source + i);
  publish_code(target, page);  // it may be
}
bool is_copy(const virtual_machine& a, const virtual_machine& b) noexcept {
  for (std::uint64_t i = 0; i < bank::memory_bytes; i += 8)
    if (word_at(a.memory + i) != word_at(b.memory + i)) return false;
  return true;
}
std::uint64_t count(const std::uint64_t (&bits)[words_of_log]) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t word : bits)
    for (; word != 0; word &= word - 1) ++sum;
  return sum;
}

// Copies the pages that the log names. Those of a piece are protected before: what is written to them from then on is
// in the next round. A guest that stands still writes nothing. Gives how many blocks were split.
std::uint64_t copy_round(virtual_machine& from, virtual_machine& to, const std::uint64_t (&dirty)[words_of_log],
                         bool guest_runs) noexcept {
  constexpr std::uint64_t piece = 8 * block / page;
  std::uint64_t split = 0;
  for (std::uint64_t first = 0; first < pages; first += piece) {
    if (guest_runs) {
      const auto cleared = from.log.clear(first, piece, &dirty[first / 64], from.table.policies().tables);
      if (!cleared) contract_broken("a part of the log is cleared");
      split += cleared->split.leaves;
    }
    for (std::uint64_t number = first; number < first + piece; ++number)
      if ((dirty[number / 64] >> number % 64 & 1U) != 0) copy_page(from, to, number);
  }
  return split;
}

// The source goes on meanwhile, on CPU 1; in the end it stands still, and the target is ready to go on in its place.
void migrate(virtual_machine& from, virtual_machine& to, bool splits_ahead) noexcept {
  print_line("guest ", from.vmid, " becomes guest ", to.vmid, ", blocks are split ",
             splits_ahead ? "before they are written to" : "by the first write", "\n",
             "              pages    blocks     write    by fast    blocks    tables\n",
             "     round   copied     split    faults       path     split       KiB");
  auto& tables = from.table.policies().tables;
  std::uint64_t dirty[words_of_log];

  // At first the log has every page: the first round is like the others.
  from.split.set_enabled(splits_ahead);
  check(from.log.enable({.manual_protect = true, .initially_set = true}, tables).has_value(), "logging begins");

  std::uint64_t copied = 0, now = 0;
  unsigned round = 0;
  for (bool last = false; !last;) {
    if (!from.log.get(dirty, tables)) contract_broken("the log is read");
    last = ++round == most_rounds || count(dirty) <= few;
    if (last) {
      interrupt_guest(1);
      wait_for(1);
      check(from.left.why == guest_exit::reason::interrupted, "the guest was interrupted");
      if (!from.log.get(dirty, tables)) contract_broken("the log is read");
    }
    const tally before = from.faults.now();
    const std::uint64_t split = copy_round(from, to, dirty, !last);
    const tally after = from.faults.now();
    now = count(dirty);
    copied += now;
    print_line(cell{round}, cell{now}, cell{split}, cell{after.faults - before.faults}, cell{after.fast - before.fast},
               cell{after.splits - before.splits}, cell{bytes_of_tables() / 1024});
  }

  // The rest of what a guest is.
  to.cpu = from.cpu;
  const bool same = check(is_copy(from, to), "the copy is the memory, byte for byte");
  print_line("migrated ", copied, " pages in ", round, " rounds, the last ", now,
             " while the guest stood still: ", same ? "verified" : "WRONG");
}

}  // namespace

void program() {
  if (const char* obstacle = stage::obstacle(); obstacle != nullptr) skip(obstacle);
  if (cpus() < 2) skip("there is one CPU only");
  virtual_machine guest_1{1}, guest_2{2}, guest_3{3};

  load_program(guest_1);
  start(guest_1, begin);
  check(await(guest_1, 1'000'000), "the first guest works");
  migrate(guest_1, guest_2, true);

  const std::uint64_t first = guest_2.transfers();
  start(guest_2, go_on);
  check(await(guest_2, 1'000'000), "the second guest goes on");
  migrate(guest_2, guest_3, false);

  const std::uint64_t second = guest_3.transfers();
  start(guest_3, go_on);
  check(await(guest_3, 1'000'000), "the third guest goes on");
  quire::atomic::store(&guest_3.ledger()->closes, std::uint64_t{1}, quire::order::relaxed);
  wait_for(1);
  check(guest_3.left.why == guest_exit::reason::done, "the third guest comes to its end");
  check(guest_3.left.answer == bank::accounts * bank::money, "no money was lost", guest_3.left.answer);
  print_line("transfers: ", first, " in guest 1, ", second - first, " in guest 2, ", guest_3.transfers() - second,
             " in guest 3");
  finish();
}

}  // namespace bare
