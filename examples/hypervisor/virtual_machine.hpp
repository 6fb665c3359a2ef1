// SPDX-License-Identifier: MIT
// A guest as the hypervisor has it: memory, the table through which the guest sees it, the log of what it writes there,
// what becomes of its faults, and a vCPU.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/dirty/dirty_log.hpp>  // dirty_log
#include <quire/dirty/fault.hpp>      // fault_handler

#include "guards.hpp"  // reader_writer_lock
#include "arch.hpp"    // vcpu, second_stage
#include "bank.hpp"
#include "policies.hpp"  // table_policies
#include "report.hpp"    // check

namespace bare {

using quire::dirty_bitmap;
using quire::input_address;

// What the hardware walks, and how the table is made. Here faults of several vCPUs may be mended at the same time, on
// the read side of a lock, and everything else has its write side. table_policies has the rest: tables are made of the
// machine's memory, and its instructions say what TLBs have to forget.
using format = BARE_FORMAT;
using stage = second_stage<format>;
using lock_type = reader_writer_lock;
using table_type = quire::page_table<format, table_policies<format, quire::locking::shared<lock_type>>>;

inline constexpr std::uint64_t page = format::shape.page_bytes(), block = format::shape.leaf_bytes(1);
inline constexpr std::uint64_t pages = bank::memory_bytes / page, words_of_log = quire::bitmap_words(pages);
static_assert(page == bank::page_bytes && words_of_log * 8 <= page);

[[nodiscard]] inline std::uint64_t allocate(std::uint64_t bytes) noexcept {
  const auto got = all_frames.allocate(bytes);
  if (!got) contract_broken("there is memory for every guest");
  return got->value;
}

// What the host has behind the guest's memory: one piece, which allows blocks.
struct one_piece {
  quire::result<quire::host_page> resolve(const quire::memory_slot& slot, input_address at, bool) noexcept {
    return quire::host_page{quire::output_address{slot.host + (at - slot.first)}, true, 1};
  }
  int mapped_level(const quire::memory_slot&, input_address) noexcept { return 1; }
};

// How the faults of a guest were mended. CPU 1 counts, CPU 0 looks.
struct tally {
  std::uint64_t faults = 0, fast = 0, splits = 0;

  void count(const quire::fault_report& report) noexcept {
    add(faults, 1);
    add(fast, report.outcome == quire::fault_outcome::fixed_fast ? 1 : 0);
    add(splits, report.splits);
  }
  [[nodiscard]] tally now() const noexcept { return {value(faults), value(fast), value(splits)}; }

 private:
  static void add(std::uint64_t& to, std::uint64_t amount) noexcept {
    quire::atomic::fetch_add(&to, amount, quire::order::relaxed);
  }
  static std::uint64_t value(const std::uint64_t& of) noexcept {
    return quire::atomic::load(&of, quire::order::relaxed);
  }
};

struct virtual_machine {
  unsigned vmid;
  std::uint64_t memory = allocate(bank::memory_bytes);  // where it is in the host
  lock_type lock{};
  table_type table{table_type::policies_type{vmid}};

  // The log of the guest's only slot; it is off at first.
  quire::memory_slot slot{.first = input_address{bank::memory}, .pages = pages, .host = memory};
  dirty_bitmap marks{reinterpret_cast<std::uint64_t*>(allocate(page)), pages};
  quire::eager_split_control split{false, block};
  quire::dirty_log<table_type, lock_type, dirty_bitmap> log{table, lock, slot, marks, split};

  // Faults. Nothing is mapped at first: the handler maps, splits, and makes pages writable.
  one_piece backing{};
  quire::invalidation_sequence sequence{};
  quire::fault_handler<table_type, lock_type, one_piece, dirty_bitmap> handler{table, lock, sequence, backing,
                                                                               quire::fault_path::fast};
  tally faults{};

  // What CPU 1 has while it runs the guest: registers, tables in stock; and why it does not run it any more.
  vcpu cpu{input_address{bank::memory}};
  stock_of_tables stock = stock_for<format>();
  guest_exit left{};
  std::uint64_t runs = 0;

  explicit virtual_machine(unsigned id) noexcept : vmid(id) { check(table.create().has_value(), "a table has a root"); }

  // CPU 1, which entered the guest, as long as it leaves by faults that can be mended.
  void run(guest_exit how) noexcept {
    while (how.why == guest_exit::reason::fault && mend(how)) how = cpu.resume();
    left = how;
    quire::atomic::store(&runs, std::uint64_t{0}, quire::order::release);
  }
  [[nodiscard]] bool mend(const guest_exit& fault) noexcept {
    const bool in_slot = slot.contains<format>(fault.address);
    const auto done = handler.handle({fault.address, fault.access}, in_slot ? &log : nullptr, stock);
    if (!done || done->outcome == quire::fault_outcome::not_memory) return false;
    faults.count(*done);
    return true;
  }

  [[nodiscard]] bank::ledger* ledger() const noexcept {
    return reinterpret_cast<bank::ledger*>(memory + (bank::ledger_at - bank::memory));
  }
  [[nodiscard]] std::uint64_t transfers() const noexcept {
    return quire::atomic::load(&ledger()->transfers, quire::order::relaxed);
  }
};

}  // namespace bare
