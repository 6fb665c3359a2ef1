// SPDX-License-Identifier: MIT
// One guest with one memory slot, its dirty log and its fault handlers, on a machine with every oracle.
//
//   rig<Format> r{1024};                          a slot of 1024 pages, nothing mapped
//   r.map(r.all(), 0);                            in leaves of at most level 0
//   r.enable();  r.write(page) == 1;  r.finish();
#pragma once

#include <cstddef>        // size_t
#include <cstdint>        // uint64_t
#include <functional>     // function
#include <set>            // set
#include <tuple>          // tuple
#include <unordered_map>  // unordered_map
#include <vector>         // vector

#include <quire/check/machine.hpp>  // machine, policies
#include <quire/dirty/fault.hpp>    // fault_handler

#include "catch.hpp"
#include "support/dirty_probe.hpp"
#include "support/typed.hpp"

namespace quire_test {

using quire::attributes;
using quire::errc;
using quire::fault_outcome;
using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::table_address;
using quire::check::access_type;

// The formats that every promise is shown on. QUIRE_FEW_FORMATS: one of each architecture, for builds by the dozen.
#ifdef QUIRE_FEW_FORMATS
using dirty_formats = std::tuple<quire::riscv::sv39x4, quire::arm64::stage2_4k<40>>;
#else
using dirty_formats = std::tuple<quire::riscv::sv39x4, quire::riscv::sv48x4, quire::arm64::stage2_4k<40>,
                                 quire::arm64::stage2_4k<43>, quire::arm64::stage2_4k<48>>;
#endif
using riscv_hardware_ad = quire::riscv::gstage<3, quire::riscv::extensions{.svadu = true}>;
using arm64_soft_af = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_accessed = false}>;
using arm64_dbm = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.hardware_dirty = true}>;
using arm64_contiguous = quire::arm64::stage2_4k<40, quire::arm64::stage2_options{.contiguous = true}>;

template <class F>
inline constexpr bool is_direct = !F::facts.break_before_make;

template <quire::pte_format F>
struct rig;

template <quire::pte_format F>
class rig_observer : public quire::memory_observer {
 public:
  using word = typename F::word;
  rig_observer(quire::check::machine<F>& to, probe& by) : machine_(&to), probe_(&by) {}

  void before(quire::access_kind kind) {
    if (probe_->before_access) probe_->before_access(kind);
    machine_->watch().before(kind);
  }
  void loaded(table_address table, std::size_t index, word entry) { machine_->watch().loaded(table, index, entry); }
  void stored(table_address table, std::size_t index, word before, word after, quire::order o) {
    const bool live = machine_->automaton().is_linked(table);
    machine_->watch().stored(table, index, before, after, o);
    if (!live) return;
    if (F::is_writable(before) && !F::is_writable(after)) probe_->note(what::protected_, index);
    if (!F::is_writable(before) && F::is_writable(after)) {
      probe_->note(what::granted, index);
      if (probe_->on_grant) probe_->on_grant();
    }
  }

 private:
  quire::check::machine<F>* machine_;
  probe* probe_;
};

template <quire::pte_format F>
struct rig_invalidation {
  static constexpr bool reentrant = true;  // everything happens in one thread
  quire::check::machine<F>* to;
  probe* by;
  void add(const quire::invalidation_request& request) {
    by->note(what::added);
    by->owed = true;
    to->add(request);
  }
  void local(const quire::invalidation_request& request) {
    by->note(what::local);
    to->local(request);
  }
  void complete() {
    if (by->owed) by->note(what::completed);
    by->owed = false;
    to->complete();
  }
};

template <quire::pte_format F>
struct rig_yield {
  quire::check::machine<F>* to;
  probe* by;
  [[nodiscard]] bool should_yield() { return to->should_yield(); }
  void pause() {
    by->note(what::paused);
    if (by->on_pause) by->on_pause();
    to->pause();
  }
};

template <quire::pte_format F>
struct rig_policies : quire::check::policies<F, quire::locking::shared<probe_lock>> {
  using base = quire::check::policies<F, quire::locking::shared<probe_lock>>;
  quire::observed_memory<quire::array_memory<typename F::word>, rig_observer<F>> memory;
  rig_invalidation<F> invalidation;
  rig_yield<F> yield;

  rig_policies(quire::check::machine<F>& to, probe& by, rig_observer<F>& observer)
      : base(to), memory(to.memory(), &observer), invalidation{&to, &by}, yield{&to, &by} {}
};

// A stock of tables of its own, as a vCPU or the eager splitter has it: it never grows under the lock.
template <quire::pte_format F>
class rig_cache {
 public:
  using word = typename F::word;
  rig_cache(quire::check::machine<F>& to, probe& by, probe_lock& lock)
      : machine_(&to), probe_(&by), lock_(&lock), stock_(&to.tables(), to.memory(), quire::table_unit_bytes<F>) {}

  std::size_t most_asked = 0;  // of top_up()

  [[nodiscard]] bool top_up(std::size_t n) {
    if (lock_->held()) probe_->wrong("topped up under the lock");
    probe_->note(what::topped_up, n);
    most_asked = n > most_asked ? n : most_asked;
    return stock_.top_up(n);
  }
  [[nodiscard]] std::size_t stock() const { return stock_.stock(); }
  [[nodiscard]] bool reserve(std::size_t n) { return stock_.reserve(n); }
  quire::result<table_address> take(quire::table_contents contents) {
    const auto table = stock_.take(contents);
    if (table) {
      probe_->note(what::table_taken);
      machine_->automaton().allocated(*table);
    }
    return table;
  }
  void give_back(table_address table) { machine_->give_back(table); }
  void drain() { stock_.drain(); }

 private:
  quire::check::machine<F>* machine_;
  probe* probe_;
  probe_lock* lock_;
  quire::table_cache<quire::check::arena<word>, quire::array_memory<word>, word> stock_;
};

static_assert(quire::table_source<rig_cache<quire::riscv::sv39x4>>);

// The host: page by page the guest's addresses plus a displacement.
class rig_backing {
 public:
  rig_backing(probe& by, probe_lock& lock) : probe_(&by), lock_(&lock) {}

  std::uint64_t displacement = 0;
  int largest = 7;                                           // level of the host's own mapping
  std::set<std::uint64_t> read_only{};                       // addresses of pages
  std::unordered_map<std::uint64_t, std::uint64_t> moved{};  // pages that lie elsewhere
  std::function<void()> on_resolve{};
  unsigned resolved = 0;
  std::uint64_t page_mask = 0;

  quire::result<quire::host_page> resolve(const quire::memory_slot&, input_address address, bool) {
    if (lock_->held()) probe_->wrong("the host was asked under the lock");
    ++resolved;
    if (on_resolve) on_resolve();
    const std::uint64_t page = address.value & ~page_mask;
    const auto elsewhere = moved.find(page);
    const std::uint64_t output = elsewhere != moved.end() ? elsewhere->second : page + displacement;
    return quire::host_page{output_address{output}, read_only.count(page) == 0, largest};
  }
  int mapped_level(const quire::memory_slot&, input_address) { return largest; }

 private:
  probe* probe_;
  probe_lock* lock_;
};

template <quire::pte_format F>
struct rig {
  using format = F;
  using word = typename F::word;
  using table_type = quire::page_table<F, rig_policies<F>>;
  using log_type = quire::dirty_log<table_type, probe_lock, probe_sink>;
  using handler = quire::fault_handler<table_type, probe_lock, rig_backing, probe_sink>;

  static constexpr std::uint64_t page = F::shape.page_bytes();
  static constexpr std::uint64_t block = F::shape.leaf_bytes(1);
  static constexpr int top_level = F::shape.root_level < 2 ? F::shape.root_level : 2;
  static constexpr std::uint64_t region = F::shape.leaf_bytes(top_level);
  static constexpr bool real = F::shape.page_bits == 12;
  static constexpr std::size_t per_block = F::shape.entries(0);

  [[nodiscard]] static quire::memory_slot slot_of(std::uint64_t pages, std::uint64_t skip_pages) {
    const std::uint64_t first = (real ? region : 0) + skip_pages * page;
    return {.first = input_address{first}, .pages = pages, .host = first, .rights = quire::read_write};
  }
  [[nodiscard]] static quire::check::machine_options with_window(quire::check::machine_options options,
                                                                 const quire::memory_slot& slot) {
    options.window = slot.first;
    options.window_pages = slot.pages;
    return options;
  }

  explicit rig(std::uint64_t pages, quire::check::machine_options options = {}, std::uint64_t skip_pages = 0)
      : rig(slot_of(pages, skip_pages), options) {}
  rig(const quire::memory_slot& where, const quire::check::machine_options& options)
      : slot(where),
        machine(with_window(options, where)),
        lock(watch),
        observer(machine, watch),
        table(rig_policies<F>{machine, watch, observer}),
        backing(watch, lock),
        words(quire::bitmap_words(where.pages)),
        log(table, lock, where, probe_sink{watch, quire::dirty_bitmap{words.data(), where.pages}}, control),
        fast(table, lock, sequence, backing, quire::fault_path::fast),
        slow(table, lock, sequence, backing, quire::fault_path::slow),
        vcpu(machine, watch, lock),
        splitter(machine, watch, lock) {
    backing.displacement = 2 * region;
    backing.page_mask = page - 1;
    if (!table.create()) watch.wrong("no root");
    lock.before_unlock = [this] {
      if (machine.has_root()) machine.automaton().verify_nothing_owed();
    };
  }
  rig(const rig&) = delete;
  rig& operator=(const rig&) = delete;
  ~rig() { machine.stop(); }

  // ---- addresses
  [[nodiscard]] input_address at(std::uint64_t index) const { return slot.first + index * page; }
  [[nodiscard]] input_range all() const { return slot.template range<F>(); }
  [[nodiscard]] input_range pages(std::uint64_t first, std::uint64_t count) const {
    return input_range::sized(at(first), count * page);
  }
  [[nodiscard]] output_address output_of(input_address address) const {
    return output_address{address.value + backing.displacement};
  }

  // ---- set up
  [[nodiscard]] static attributes usual() {
    return {.allowed = quire::read_write, .may_write = true, .dirty = F::facts.has_dirty};
  }
  void map(input_range range, int largest, const attributes& wanted = usual(), bool groups = false) {
    auto session = table.exclusive(lock);
    const auto done =
        session.map(range, output_of(range.first()), wanted, {.largest_level = largest, .groups = groups});
    if (!done) watch.wrong(quire::name_of(done.error().code));
  }
  quire::dirty_log_work enable(quire::dirty_log_mode mode = {}) {
    const auto done = log.enable(mode, splitter);
    if (!done) watch.wrong(quire::name_of(done.error().code));
    return done.value_or({});
  }
  quire::dirty_log_work clear(std::uint64_t first, std::uint64_t count, const std::uint64_t* mask) {
    const auto done = log.clear(first, count, mask, splitter);
    if (!done) watch.wrong(quire::name_of(done.error().code));
    return done.value_or({});
  }
  // Copies the log and takes it all.
  std::vector<std::uint64_t> harvest() {
    std::vector<std::uint64_t> copy(words.size());
    if (!log.get(copy.data(), splitter)) watch.wrong("get failed");
    static_cast<void>(clear(0, slot.pages, copy.data()));
    return copy;
  }
  void forget_trace() {
    watch.trace.clear();
    machine.record().clear();
    lock.writes = lock.reads = lock.asserted = 0;
  }

  // ---- look
  [[nodiscard]] bool dirty(std::uint64_t index) const { return (words[index / 64] >> (index % 64) & 1U) != 0; }
  [[nodiscard]] std::size_t dirty_pages() const {
    std::size_t n = 0;
    for (std::uint64_t i = 0; i < slot.pages; ++i) n += dirty(i) ? 1U : 0U;
    return n;
  }
  [[nodiscard]] auto found(input_address address) {
    return quire::check::translate<F>(machine.memory(), machine.root(), address.value);
  }
  [[nodiscard]] word entry(input_address address) { return found(address).entry.word; }
  [[nodiscard]] int level(input_address address) { return found(address).entry.level; }
  [[nodiscard]] bool writable(input_address address) { return F::is_writable(entry(address)); }
  // Behind everybody's back.
  void poke(input_address address, word entry_now) {
    const auto there = found(address).entry;
    machine.memory().template store<word>(there.table, there.index, entry_now, quire::order::release);
  }
  struct census {
    std::size_t leaves[8]{};  // by level
    std::size_t writable = 0;
    std::size_t tables = 0;  // the root is one
  };
  [[nodiscard]] census count(input_range range) {
    census n;
    n.tables = quire::check::count_tables<F>(machine.memory(), machine.root());
    quire::check::visit_entries<F>(machine.memory(), machine.root(), [&](const auto& e) {
      if (e.kind != quire::entry_kind::leaf || e.last < range.first().value || e.first > range.last().value) return;
      ++n.leaves[static_cast<std::size_t>(e.level)];
      n.writable += F::is_writable(e.word) ? 1U : 0U;
    });
    return n;
  }
  [[nodiscard]] std::uint64_t allocated() const { return machine.tables().ever_allocated(); }

  // ---- the guest
  quire::result<quire::fault_report> fault(handler& by, input_address address, access_type how,
                                           bool own_tables = false) {
    const quire::permissions access = how == access_type::read    ? quire::readable
                                      : how == access_type::write ? quire::writable
                                                                  : quire::executable;
    return by.handle({address, access, own_tables}, &log, vcpu);
  }
  // Accesses until it succeeds. Gives the faults that it took; `most` of them, then it is given up.
  unsigned access(input_address address, access_type how, handler& by, unsigned cpu = 0, unsigned most = 4) {
    machine.run_on(cpu);
    for (unsigned faults = 0; faults < most; ++faults) {
      if (machine.mmu().translate(cpu, address, how).ok()) return faults;
      static_cast<void>(fault(by, address, how));
    }
    return most;
  }
  unsigned write(std::uint64_t index, unsigned cpu = 0) { return access(at(index), access_type::write, fast, cpu); }
  unsigned read(std::uint64_t index, unsigned cpu = 0) { return access(at(index), access_type::read, fast, cpu); }

  // ---- what must hold between operations, and at the end
  [[nodiscard]] std::string complaints() {
    vcpu.drain();
    splitter.drain();
    machine.end_of_operation();
    return watch.text() + machine.findings().text();
  }
  [[nodiscard]] std::string ended() {
    std::string all = complaints();
    machine.stop();
    if (!table.destroy(~std::size_t{0})) all += "destroy did not end\n";
    machine.stock().drain();
    if (machine.tables().live_blocks() != 0) all += "tables leaked\n";
    return all + machine.findings().text();
  }

  quire::memory_slot slot;
  probe watch;
  mutable quire::check::machine<F> machine;
  probe_lock lock;
  rig_observer<F> observer;
  table_type table;
  rig_backing backing;
  quire::invalidation_sequence sequence;
  quire::eager_split_control control;
  std::vector<std::uint64_t> words;
  log_type log;
  handler fast;
  handler slow;
  rig_cache<F> vcpu;
  rig_cache<F> splitter;
};

}  // namespace quire_test
