// SPDX-License-Identifier: MIT
// Handling a guest's fault: the write-fault fast path for one page, and the slow path with its splits.
//
// Fast path (a read side or read sections, a write, logging on): one page leaf that is read-only for the log's sake
// becomes writable by one compare-exchange, under the read lock or in a section; no memory, no host page, no structure.
// Everything else falls through to the slow path, which has the write side, or a section.
//
// Order of the slow path: top the vCPU's cache up, sample the invalidation sequence, ask the host for the page (no lock
// is held), open the session, check the sequence, change the table. A page is marked before or after it becomes
// writable as the locking policy says; where that is after, whether the log is on is asked then, behind a full fence
// (dirty_log.hpp).
#pragma once

#include <quire/dirty/dirty_log.hpp>              // dirty_log
#include <quire/dirty/install.hpp>                // install, concurrent_install
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

// `Guard`: what sessions are opened with. A lock is the table's own and one handler may serve every vCPU; with sections
// each vCPU has a handler, for a section belongs to a thread.
template <class Table, class Guard, memory_backing Backing, dirty_sink Sink>
class fault_handler {
  using format = typename Table::format;
  using locking = typename Table::locking;
  using words_type = std::remove_reference_t<decltype(Table::policies_type::words)>;
  using log_type = dirty_log<Table, Guard, Sink>;
  static constexpr bool alone = !concurrent_locking<locking>;
  static constexpr bool has_fast_path = locking::has_read_side || !alone;
  static constexpr bool mark_first = locking::dirty == dirty_order::mark_then_grant;

 public:
  using sequence_type = basic_invalidation_sequence<words_type>;

  fault_handler(Table& table, Guard& guard, sequence_type& sequence, Backing& backing, fault_path path) noexcept
      : table_(table), guard_(guard), sequence_(sequence), backing_(backing), path_(path) {}

  // `log` is the slot that holds the address, or null. `cache` belongs to the vCPU. Caller must: hold no lock of the
  // table, be in no section. Errors: no_memory (nothing lost: try again with memory); not_permitted (a write, and the
  // host page or the slot's rights do not allow it); and what the backing says.
  template <class Cache>
  [[nodiscard]] result<fault_report> handle(const guest_fault& fault, log_type* log, Cache& cache) noexcept {
    const bool write = fault.is_write();
    if (log == nullptr || (write && log->slot().read_only)) return fault_report{fault_outcome::not_memory};
    if constexpr (has_fast_path) {
      if (path_ == fault_path::fast && write && log->enabled()) {
        const write_grant given = fix_fast(fault.address, *log);
        if (given == write_grant::granted || given == write_grant::already)
          return fault_report{fault_outcome::fixed_fast};
        if (given == write_grant::busy) return fault_report{fault_outcome::retry};
      }
    }
    return fix_slow(fault, write, *log, cache);
  }

 private:
  // The sequence is sampled before the session begins: a change of the host's mapping in between makes this fall back.
  [[nodiscard]] write_grant fix_fast(input_address address, log_type& log) noexcept
    requires has_fast_path
  {
    const std::uint64_t snapshot = sequence_.sample();
    auto session = table_.one_page_session(guard_);
    // With a lock it is asked again now that nobody can switch it; in a section, after the grant.
    if ((alone && !log.enabled()) || sequence_.must_retry(snapshot, address)) return write_grant::not_mapped;
    return session.make_writable(address, [&] {
      if (alone || log.enabled()) log.mark(address);
    });
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
    auto session = table_.session(guard_);
    const fault_plan plan = plan_for(fault.address, *host, write, may_write, log);
    const auto stale = [&] { return sequence_.must_retry(snapshot, plan.block<format>()); };
    if (stale()) return fault_report{fault_outcome::retry};
    if constexpr (alone) {
      const bool marks = plan.logging && plan.grants_write();
      if (marks && mark_first) log.mark(fault.address);
      const auto done = install(session, plan, cache);
      if (marks && !mark_first && done) log.mark(fault.address);
      return done;
    } else {
      const auto granted = [&](input_range range) {
        table_.policies().words.fence(order::seq_cst);
        if (!log.enabled()) return;
        const input_range pages = range.clamped_to(log.slot().template range<format>());
        for (input_address at = pages.first(); at <= pages.last(); at = at + format::shape.page_bytes()) log.mark(at);
      };
      return concurrent_install{session, plan, cache, stale, granted}();
    }
  }

  [[nodiscard]] static fault_plan plan_for(input_address address, const host_page& host, bool write, bool may_write,
                                           const log_type& log) noexcept {
    const bool logging = log.enabled() && !log.slot().read_only;
    fault_plan plan{.address = address,
                    .output = host.output,
                    .level = logging ? 0 : log.slot().template largest_level<format>(address, host.largest_level),
                    .wanted = {.allowed = log.slot().rights - writable, .may_write = may_write},
                    .logging = logging,
                    .rebuild = log.recovery() == block_recovery::on_fault};
    // While logging, only a write makes a page writable; otherwise a page that may be written is so from the start.
    if (may_write && (write || !logging)) {
      plan.wanted.allowed = plan.wanted.allowed | writable;
      plan.wanted.dirty = format::facts.has_dirty;  // Svade hardware would fault again on a clean leaf
    }
    return plan;
  }

  Table& table_;
  Guard& guard_;
  sequence_type& sequence_;
  Backing& backing_;
  fault_path path_;
};

}  // namespace quire
