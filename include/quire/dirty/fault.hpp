// SPDX-License-Identifier: MIT
// Handling a guest's fault: the write-fault fast path under the read side, and the slow path with its splits.
//
// Fast path (locking with a read side, a write, logging on): one page leaf that is read-only for the log's sake becomes
// writable under the read lock, by one compare-exchange; no memory, no host page, no structure. Everything else falls
// through to the slow path, which has the write side.
//
// Order of the slow path: top the vCPU's cache up, sample the invalidation sequence, ask the host for the page (no lock
// is held), take the write side, check the sequence, change the table. A page is marked before it becomes writable.
#pragma once

#include <quire/dirty/dirty_log.hpp>              // dirty_log
#include <quire/dirty/invalidation_sequence.hpp>  // invalidation_sequence

namespace quire {

// A fault as the hardware tells it. `writes_guest_tables`: the fault came from the hardware's own write to a guest page
// table (RISC-V htinst 0x3020, an accessed or dirty update): it is a write whatever the access was.
struct guest_fault {
  input_address address;
  permissions access;
  bool writes_guest_tables = false;

  [[nodiscard]] constexpr bool is_write() const noexcept { return writes_guest_tables || access.contains(writable); }
};

enum class fault_path : bool { slow, fast };

enum class fault_outcome : unsigned char {
  fixed,       // the guest can go on
  fixed_fast,  // likewise, by the fast path
  retry,       // the host's mapping is changing: let the guest fault again
  not_memory,  // no slot there, or a write to a read-only slot: emulate the access
};

struct fault_report {
  fault_outcome outcome = fault_outcome::retry;
  std::size_t splits = 0;   // leaves that this fault split
  bool made_block = false;  // pages became a block again
};

template <class Table, class Lock, memory_backing Backing, dirty_sink Sink>
class fault_handler {
  using format = typename Table::format;
  using log_type = dirty_log<Table, Lock, Sink>;

 public:
  fault_handler(Table& table, Lock& lock, invalidation_sequence& sequence, Backing& backing, fault_path path) noexcept
      : table_(table), lock_(lock), sequence_(sequence), backing_(backing), path_(path) {}

  // `log` is the slot that holds the address, or null. `cache` belongs to the vCPU. Caller must: hold no lock of the
  // table. Errors: no_memory (nothing lost: try again with memory); not_permitted (a write, and the host page or the
  // slot's rights do not allow it); and what the backing says.
  template <class Cache>
  [[nodiscard]] result<fault_report> handle(const guest_fault& fault, log_type* log, Cache& cache) noexcept {
    const bool write = fault.is_write();
    if (log == nullptr || (write && log->slot().read_only)) return fault_report{fault_outcome::not_memory};
    if constexpr (Table::locking::has_read_side) {
      if (path_ == fault_path::fast && write && log->enabled() && fix_fast(fault.address, *log))
        return fault_report{fault_outcome::fixed_fast};
    }
    return fix_slow(fault, write, *log, cache);
  }

 private:
  // The sequence is sampled before the lock is taken: a change of the host's mapping in between makes this fall back.
  [[nodiscard]] bool fix_fast(input_address address, log_type& log) noexcept
    requires Table::locking::has_read_side
  {
    const std::uint64_t snapshot = sequence_.sample();
    auto session = table_.shared(lock_);
    if (!log.enabled() || sequence_.must_retry(snapshot, address)) return false;
    const write_grant given = session.make_writable(address, [&] { log.mark(address); });
    return given == write_grant::granted || given == write_grant::already;
  }

  template <class Cache>
  [[nodiscard]] result<fault_report> fix_slow(const guest_fault& fault, bool write, log_type& log,
                                              Cache& cache) noexcept {
    // Enough to split along any one path from the root down, and then for a mapping in place of what was there. What is
    // in stock may do without more: the table says so if not.
    static_cast<void>(cache.top_up(2 * static_cast<std::size_t>(format::shape.root_level)));
    const std::uint64_t snapshot = sequence_.sample();
    const auto host = backing_.resolve(log.slot(), fault.address, write);
    if (!host) return host.error();
    const bool may_write = host->writable && !log.slot().read_only && log.slot().rights.contains(writable);
    if (write && !may_write) return error{errc::not_permitted, -1, fault.address.value};
    auto session = table_.exclusive(lock_);
    if (sequence_.must_retry(snapshot, fault.address)) return fault_report{fault_outcome::retry};
    const bool logging = log.enabled() && !log.slot().read_only;
    plan p{.write = write,
           .logging = logging,
           .level = logging ? 0 : log.slot().template largest_level<format>(fault.address, host->largest_level)};
    p.wanted = {.allowed = log.slot().rights - writable, .may_write = may_write};
    if (p.may_be_writable(may_write)) {
      p.wanted.allowed = p.wanted.allowed | writable;
      p.wanted.dirty = format::facts.has_dirty;  // Svade hardware would fault again on a clean leaf
    }
    return install(session, fault.address, host->output, p, log, cache);
  }

  struct plan {
    bool write;
    bool logging;
    int level;
    attributes wanted{};
    // While logging, only a write makes a page writable; otherwise a page that may be written is so from the start.
    [[nodiscard]] constexpr bool may_be_writable(bool host_writable) const noexcept {
      return host_writable && (write || !logging);
    }
  };

  template <class Session, class Cache>
  [[nodiscard]] result<fault_report> install(Session& session, input_address address, output_address output,
                                             const plan& p, log_type& log, Cache& cache) noexcept {
    fault_report report{fault_outcome::fixed};
    const std::uint64_t bytes = format::shape.leaf_bytes(p.level);
    const input_address block = address.align_down(bytes);
    const output_address block_output = output.align_down(bytes);
    if (p.logging && p.wanted.allowed.contains(writable)) log.mark(address);

    // The leaf that translates the faulting address, not the first one of the block that it will be in.
    auto found = session.lookup(address);
    const std::uint64_t page = format::shape.page_bytes();
    const bool same = found && found->translate(address.align_down(page)) == output.align_down(page);
    if (found && (found->level > p.level || (found->level == p.level && found->group != 0 && p.logging))) {
      const auto split = session.split(page_of<format>(address), p.level, cache);
      if (!split) return split.error();
      if (split->out_of_memory) return error{errc::no_memory, static_cast<std::int8_t>(found->level), address.value};
      report.splits = split->leaves;
      found = session.lookup(address);
    }
    if (same && found) {
      if (found->level < p.level && log.recovery() == block_recovery::on_fault)
        report.made_block = rebuild_block(session, block, block_output, p, cache);
      if (report.made_block) return report;
      const auto relaxed = session.relax(address, p.wanted.allowed);
      if (!relaxed) return relaxed.error();
      if constexpr (!format::facts.sets_accessed) {
        const auto aged = session.set_accessed(page_of<format>(address));
        if (!aged) return aged.error();
      }
      return report;
    }
    const auto done = session.map(input_range::sized(block, bytes), block_output, p.wanted, cache,
                                  {.largest_level = p.level, .replace = found.has_value()});
    if (done) return report;
    if (done.error().code != errc::already_mapped) return done.error();
    // A neighbour in the block leads elsewhere: take the page alone.
    const auto alone =
        session.map(page_of<format>(address), output.align_down(page), p.wanted, cache, {.largest_level = 0});
    if (!alone) return alone.error();
    return report;
  }

  // Pages that lie in one piece of host memory become a block again: holes are filled, rights restored, then collapsed.
  template <class Session, class Cache>
  [[nodiscard]] static bool rebuild_block(Session& session, input_address block, output_address output, const plan& p,
                                          Cache& cache) noexcept {
    const input_range range = input_range::sized(block, format::shape.leaf_bytes(p.level));
    if (!session.map(range, output, p.wanted, cache, {.largest_level = p.level})) return false;
    if (!session.restore_write(range)) return false;
    const auto made = session.collapse(range, p.level);
    return made && made->leaves != 0;
  }

  Table& table_;
  Lock& lock_;
  invalidation_sequence& sequence_;
  Backing& backing_;
  fault_path path_;
};

}  // namespace quire
