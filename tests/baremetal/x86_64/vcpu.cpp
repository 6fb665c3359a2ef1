// SPDX-License-Identifier: MIT
#include "vcpu.hpp"

#include "cpu.hpp"

namespace bare {

namespace {

constexpr std::uint64_t bytes_of_table = 4096;
constexpr unsigned tables_below_root = 2, entries_of_table = 512;

quire::table_address make_identity(quire::input_address area) noexcept {
  const auto entry = [](unsigned table, unsigned index) -> std::uint64_t& {
    return reinterpret_cast<std::uint64_t*>(guest_area() + identity_tables_in_area + table * bytes_of_table)[index];
  };
  const quire::table_address root{area.value + identity_tables_in_area};
  const std::uint64_t end = std::uint64_t{1} << physical_address_bits();
  for (unsigned i = 0; i < entries_of_table; ++i) entry(0, i) = 0;
  for (unsigned table = 0; table < tables_below_root; ++table) {
    entry(0, table) = guest_stage::table(root + (table + 1) * bytes_of_table, 3);
    for (unsigned i = 0; i < entries_of_table; ++i) {
      const quire::output_address page{(std::uint64_t{table} * entries_of_table + i) *
                                       guest_stage::shape.leaf_bytes(2)};
      // Dirty from the start: the walk has nothing to write.
      entry(table + 1, i) =
          page.value >= end
              ? 0
              : *guest_stage::leaf(
                    page, {.allowed = quire::all_access, .dirty = true, .from = quire::privilege::supervisor}, 2);
    }
  }
  return root;
}

}  // namespace

vcpu::vcpu(quire::input_address area) noexcept : area_(area) {
  guest_.use_cr3(make_identity(area).value);
  begin();
}

void vcpu::begin() noexcept {
  guest_.begin(area_.value, area_.value + guest_area_bytes);
  asks_ = false;
}

void vcpu::give(const command& next) noexcept {
  registers_.rdi = static_cast<std::uint64_t>(next.what);
  registers_.rsi = next.address;
  registers_.rdx = next.value;
  registers_.rcx = next.count;
  registers_.r8 = next.step;
  guest_.skip_call();
  has_next_ = asks_ = false;
}

guest_exit vcpu::run(const command& next) noexcept {
  next_ = next;
  has_next_ = true;
  if (asks_) give(next_);
  else begin();
  return resume();
}

guest_exit vcpu::resume() noexcept {
  for (;;) {
    guest_exit left = guest_.enter(registers_);
    left.answer = registers_.rax;
    if (left.why != guest_exit::reason::done) return left;
    asks_ = true;
    if (!has_next_) return left;
    give(next_);
  }
}

}  // namespace bare
