// SPDX-License-Identifier: MIT
// Boots twice, on a CPU with three levels and on one with four: the same program, another table.
#include <cstdio>
#include <cstring>

#include "guest.hpp"

namespace {

constexpr std::uint64_t first = 0x8000'0000, pages = 256, host = 0x1'4000'0000;

// What a hypervisor does by writing hgatp.MODE and reading back what stayed: here the answer is given.
struct fake_cpu {
  int levels;
};

bool run_guest(const fake_cpu& cpu) {
  const auto which = quire::find_format<guest_table>([&]<class F>() { return F::shape.levels == cpu.levels; });
  if (!which) return false;
  heap pool;
  rw_lock lock;
  guest_table guest{*which, my_hypervisor{&pool}};

  // Not hot: one visit for all that is done at creation. Pages, and read-only, because their writes are logged.
  const auto ram = quire::input_range::sized(quire::input_address{first}, pages * 4096);
  const bool mapped = guest.visit([&](auto& table) {
    if (!table.create() || !table.policies().tables.top_up(8)) return false;
    auto session = table.exclusive(lock);
    const quire::attributes wanted{.allowed = quire::read_execute, .may_write = true};
    return session.map(ram, quire::output_address{host}, wanted, {.largest_level = 0}).has_value();
  });
  if (!mapped) return false;

  std::uint64_t bitmap[pages / 64]{};
  const std::uint64_t granted = fix_write_faults(guest, lock, first, pages, bitmap);
  const std::uint64_t again = fix_write_faults(guest, lock, first, pages, bitmap);
  const std::uint64_t sum = sum_of_outputs(guest, lock, first, pages);
  const std::uint64_t outside = sum_of_outputs(guest, lock, std::uint64_t{1} << 45, 1);
  const int bits = guest.visit([]<class T>(T&) { return T::format::shape.input_bits(); });
  std::printf("%d levels, %d address bits: %llu pages granted, then %llu; outputs as they should be: %d\n", cpu.levels,
              bits, static_cast<unsigned long long>(granted), static_cast<unsigned long long>(again),
              sum == pages * host + pages * (pages - 1) / 2 * 4096);
  bool all_marked = true;
  for (const std::uint64_t word : bitmap) all_marked = all_marked && word == ~std::uint64_t{0};
  return granted == pages && again == 0 && all_marked && sum == pages * host + pages * (pages - 1) / 2 * 4096 &&
         outside == ~std::uint64_t{0};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--tag-offset") == 0) {
    std::printf("%zu\n", tag_offset);
    return 0;
  }
  return run_guest({3}) && run_guest({4}) && !run_guest({5}) ? 0 : 1;
}
