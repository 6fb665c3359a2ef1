// SPDX-License-Identifier: MIT
// A machine worked by hand: litmus programs for the oracles are written as single stores and invalidations.
#pragma once

#include <quire/check/machine.hpp>  // machine, policies
#include <quire/format/tiny.hpp>    // format

namespace quire_test {

namespace check = quire::check;
using check::access_type;
using check::fault;
using check::rule;
using quire::attributes;
using quire::input_address;
using quire::invalidation_reason;
using quire::order;
using quire::output_address;
using quire::table_address;

// Pages of 64 bytes, blocks of 256, tables of four entries, three levels: 4096 bytes of input space.
using direct = quire::tiny::format<quire::tiny::shape_options{.hardware_updates = true}>;
using traps = quire::tiny::format<quire::tiny::shape_options{}>;
using caching = quire::tiny::format<quire::tiny::shape_options{.caches_invalid = true}>;
using breaking = quire::tiny::format<quire::tiny::shape_options{
    .groups = quire::tiny::group_encoding::own_output, .hardware_updates = true, .break_before_make = true}>;
using no_dirty = quire::tiny::format<quire::tiny::shape_options{.dirty = quire::tiny::dirty_encoding::none}>;
using signed_halves = quire::tiny::format<quire::tiny::shape_options{.sign_extended = true}>;

inline constexpr std::uint64_t page = 64, block = 256, region = 1024;

inline constexpr attributes read_only{.allowed = quire::readable, .may_write = true};
inline constexpr attributes clean{.allowed = quire::read_write, .may_write = true};
inline constexpr attributes dirtied{.allowed = quire::read_write, .may_write = true, .dirty = true};
inline constexpr attributes not_accessed{.allowed = quire::read_write, .may_write = true, .accessed = false};
inline constexpr attributes device{
    .allowed = quire::read_write, .may_write = true, .memory = quire::memory_type::device};

template <class F>
struct hand {
  using word = typename F::word;

  check::machine<F> machine;
  check::policies<F> policies;
  table_address root;    // level 2, linked to ...
  table_address blocks;  // level 1 at entry 0, linked to ...
  table_address pages;   // level 0 at entry 0

  // Programs by hand are about one oracle each: that of maintenance calls is off unless a test turns it on.
  explicit hand(check::machine_options options = {}) : machine(options), policies(machine), root(take_root()) {
    machine.options().maintenance = false;
    begin_tree();
  }
  // Another guest on the same CPUs.
  hand(check::machine_options options, hand& neighbour)
      : machine(options, neighbour.machine), policies(machine), root(take_root()) {
    machine.options().maintenance = false;
    begin_tree();
  }

  table_address table() {
    REQUIRE(policies.tables.reserve(1));
    return *policies.tables.take(quire::table_contents::zeroed);
  }
  // A table that translates what the block does.
  table_address split_of(std::uint64_t output, const attributes& attrs) {
    const table_address made = table();
    for (std::size_t i = 0; i < 4; ++i) store(made, i, leaf(output + i * page, 0, attrs));
    return made;
  }
  static word leaf(std::uint64_t output, int level, const attributes& attrs = clean, int group = 0) {
    return *F::leaf(output_address{output}, attrs, level, group);
  }
  void store(table_address to, std::size_t index, word entry, order o = order::release) {
    policies.memory.template store<word>(to, index, entry, o);
  }
  word exchange(table_address at, std::size_t index, word entry) {
    return policies.memory.template exchange<word>(at, index, entry, order::acq_rel);
  }
  word load(table_address from, std::size_t index) {
    return policies.memory.template load<word>(from, index, order::relaxed);
  }
  // The CPU runs this guest.
  void enter(unsigned cpu) { machine.mmu().enter(cpu, machine.options().vmid); }
  // Without an observer, as the hardware sees it.
  word peek(table_address from, std::size_t index) {
    return machine.memory().template load<word>(from, index, order::relaxed);
  }
  void add(std::uint64_t first, std::uint64_t last, int level = -1, bool leaf_only = false,
           invalidation_reason why = invalidation_reason::removed) {
    policies.maintenance.before_invalidation();
    policies.invalidation.add({input_address{first}, input_address{last}, level, leaf_only, why});
  }
  void complete() { policies.invalidation.complete(); }
  void flush(std::uint64_t first, std::uint64_t last, int level = -1, bool leaf_only = false,
             invalidation_reason why = invalidation_reason::removed) {
    add(first, last, level, leaf_only, why);
    complete();
  }
  void retire(table_address gone) { policies.reclaim.retire(policies.tables, gone); }
  check::access_result access(std::uint64_t input, access_type how = access_type::read, unsigned cpu = 0) {
    return machine.mmu().translate(cpu, input, how);
  }
  void begin(std::uint64_t input, access_type how = access_type::read, unsigned cpu = 0) {
    machine.mmu().begin(cpu, input, how);
  }
  // Steps of a walk; true when it has ended.
  bool step(int steps = 1, unsigned cpu = 0) {
    check::access_result result;
    bool ended = false;
    while (steps-- > 0) ended = machine.mmu().step(cpu, result);
    return ended;
  }
  check::report& ended() {
    machine.end_of_operation();
    return machine.findings();
  }
  check::report& findings() { return machine.findings(); }

 private:
  table_address take_root() { return *policies.tables.take_root(quire::root_table_bytes<F>); }
  void begin_tree() {
    blocks = table();
    pages = table();
    store(blocks, 0, F::table(pages, 1));
    store(root, 0, F::table(blocks, 2));
    flush(0, 4095);
  }
};

}  // namespace quire_test
