// SPDX-License-Identifier: MIT
// The end of a fault's slow path: the page that the host gave becomes what the guest was missing.
//
// install() for a session that has the table to itself; install_concurrently() for one that has others beside it. Both
// take a plan, and leave the leaf that translates the faulting address as it says: larger leaves split, rights added to
// what is there, a mapping made where nothing is or where the host's page lies elsewhere now.
//
// Without a lock nothing that was found stays as it is. What is written is written under a guard, while the entry is
// owned: it asks again whether the host's mapping is as it was when the plan was made (table/concurrent/map.hpp). What
// somebody else changed meanwhile ends in `retry`: the guest faults again.
#pragma once

#include <quire/dirty/memory_slot.hpp>         // host_page
#include <quire/table/concurrent/session.hpp>  // concurrent_session
#include <quire/table/session.hpp>             // exclusive_session

namespace quire {

enum class fault_outcome : unsigned char {
  fixed,       // the guest can go on
  fixed_fast,  // likewise, by the fast path
  retry,       // the host's mapping is changing, or another owns the entry: let the guest fault again
  not_memory,  // no slot there, or a write to a read-only slot: emulate the access
};

struct fault_report {
  fault_outcome outcome = fault_outcome::retry;
  std::size_t splits = 0;   // leaves that this fault split
  bool made_block = false;  // pages became a block again
};

// What a fault wants to be there.
struct fault_plan {
  input_address address;  // the faulting one
  output_address output;  // where it leads
  int level;              // of the leaf to make
  attributes wanted{};
  bool logging = false;  // the log is on: pages only
  bool rebuild = false;  // pages may become a block of `level` again

  [[nodiscard]] constexpr bool grants_write() const noexcept { return wanted.allowed.contains(writable); }
  // Whether a leaf may not stay: it is larger than the plan's, or a group of which one page is to be tracked.
  [[nodiscard]] constexpr bool too_large(const mapping& leaf) const noexcept {
    return leaf.level > level || (leaf.level == level && leaf.group != 0 && logging);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr input_range block() const noexcept {
    const std::uint64_t bytes = Format::shape.leaf_bytes(level);
    return input_range::sized(address.align_down(bytes), bytes);
  }
  template <pte_format Format>
  [[nodiscard]] constexpr output_address block_output() const noexcept {
    return output.align_down(Format::shape.leaf_bytes(level));
  }
  // Whether the page at the faulting address leads where it should.
  template <pte_format Format>
  [[nodiscard]] constexpr bool agrees(const mapping& leaf) const noexcept {
    const std::uint64_t page = Format::shape.page_bytes();
    return leaf.translate(address.align_down(page)) == output.align_down(page);
  }
};

namespace detail {

// Splits what is too large, along the faulting address only. Errors: no_memory.
template <class Session, class Cache>
[[nodiscard]] result<std::size_t> split_for(Session& session, const fault_plan& plan, int found_level,
                                            Cache& cache) noexcept {
  using format = typename Session::format;
  const auto split = session.split(page_of<format>(plan.address), plan.level, cache);
  if (!split) return split.error();
  if (split->out_of_memory) return error{errc::no_memory, static_cast<std::int8_t>(found_level), plan.address.value};
  return split->leaves;
}

}  // namespace detail

// Caller must: hold the write side, have checked the invalidation sequence since, and mark the page before it lets go.
template <class Session, class Cache>
[[nodiscard]] result<fault_report> install(Session& session, const fault_plan& plan, Cache& cache) noexcept {
  using format = typename Session::format;
  const input_address address = plan.address;
  const input_range block = plan.block<format>();
  fault_report report{fault_outcome::fixed};
  // The leaf that translates the faulting address, not the first one of the block that it will be in.
  auto found = session.lookup(address);
  const bool same = found && plan.agrees<format>(*found);
  if (found && plan.too_large(*found)) {
    const auto split = detail::split_for(session, plan, found->level, cache);
    if (!split) return split.error();
    report.splits = *split;
    found = session.lookup(address);
  }
  if (same && found) {
    if (found->level < plan.level && plan.rebuild) {
      // Pages that lie in one piece of host memory: holes are filled, rights added, then they are one block.
      if (session.map(block, plan.block_output<format>(), plan.wanted, cache, {.largest_level = plan.level})) {
        const auto made = session.collapse(block, plan.level);
        report.made_block = made && made->leaves != 0;
      }
      if (report.made_block) return report;
    }
    const auto relaxed = session.relax(address, plan.wanted.allowed);
    if (!relaxed) return relaxed.error();
    if constexpr (format::facts.has_accessed && !format::facts.sets_accessed) {
      const auto aged = session.set_accessed(page_of<format>(address));
      if (!aged) return aged.error();
    }
    return report;
  }
  const auto done = session.map(block, plan.block_output<format>(), plan.wanted, cache,
                                {.largest_level = plan.level, .replace = found.has_value()});
  if (done) return report;
  if (done.error().code != errc::already_mapped) return done.error();
  // A neighbour in the block leads elsewhere: take the page alone.
  const output_address page_output = plan.output.align_down(format::shape.page_bytes());
  const auto alone = session.map(page_of<format>(address), page_output, plan.wanted, cache, {.largest_level = 0});
  if (!alone) return alone.error();
  return report;
}

// `stale()`: whether what the plan was made from may be out of date. granted(range): called after anything in the range
// may have become writable; it marks what is to be marked (fault.hpp).
template <class Session, class Cache, class Stale, class Granted>
class concurrent_install {
  using format = typename Session::format;

 public:
  concurrent_install(Session& session, const fault_plan& plan, Cache& cache, Stale& stale, Granted& granted) noexcept
      : session_(session), plan_(plan), cache_(cache), stale_(stale), granted_(granted) {}

  [[nodiscard]] result<fault_report> operator()() noexcept {
    const auto done = install();
    // Another may have done it all, and his invalidation may not have reached this CPU: it would fault again.
    if (done && done->outcome == fault_outcome::fixed) session_.forget_locally(plan_.address);
    return done;
  }

 private:
  [[nodiscard]] result<fault_report> install() noexcept {
    auto found = session_.lookup(plan_.address);
    if (!found && found.error().code == errc::busy) return retry();
    if (found && plan_.too_large(*found)) {
      const auto split = detail::split_for(session_, plan_, found->level, cache_);
      if (!split) return split.error();
      report_.splits = *split;
      found = session_.lookup(plan_.address);
      if (!found || plan_.too_large(*found)) return retry();
    }
    if (found && plan_.agrees<format>(*found))
      return found->level < plan_.level && plan_.rebuild && rebuild() ? report_ : add_rights(*found);
    if (found) {  // the host's page lies elsewhere now
      if (stale_()) return retry();
      const auto gone = session_.unmap(page_of<format>(plan_.address));
      if (!gone) return gone.error();
    }
    return make();
  }
  [[nodiscard]] fault_report retry() noexcept {
    report_.outcome = fault_outcome::retry;
    return report_;
  }
  // What somebody else caused is tried again, for he made progress; the rest is the caller's.
  [[nodiscard]] result<fault_report> ended(error why) noexcept {
    if (why.code == errc::busy || why.code == errc::stopped || why.code == errc::already_mapped) return retry();
    return why;
  }
  [[nodiscard]] result<void> map(input_range range, output_address output, const attributes& wanted,
                                 int level) noexcept {
    const auto done = session_.map_guarded(range, output, wanted, cache_, {.largest_level = level}, stale_);
    if (plan_.grants_write()) granted_(range);  // also after an error: part of the range may be mapped
    return done;
  }

  // Pages that lie in one piece of host memory: holes are filled, rights added, then they are one block. False: not all
  // pages are there.
  [[nodiscard]] bool rebuild() noexcept {
    const input_range block = plan_.block<format>();
    if (!map(block, plan_.block_output<format>(), plan_.wanted, plan_.level)) return false;
    if (stale_()) return true;
    const auto made = session_.collapse(block, plan_.level);
    report_.made_block = made && made->leaves != 0;
    return true;
  }
  // To the whole leaf, as a mapping of it.
  [[nodiscard]] result<fault_report> add_rights(const mapping& leaf) noexcept {
    attributes wanted = plan_.wanted;
    wanted.memory = leaf.attrs.memory;
    const auto done = map(input_range::sized(leaf.input, leaf.bytes), leaf.output, wanted, leaf.level);
    if (!done) {
      const auto now = session_.lookup(plan_.address);
      const bool same = done.error().code == errc::already_mapped && now && *now == leaf;
      if (same)  // no leaf of this kind can have these rights
        return error{errc::unsupported_attribute, static_cast<std::int8_t>(leaf.level), plan_.address.value};
      return ended(done.error());
    }
    if constexpr (format::facts.has_accessed && !format::facts.sets_accessed) {
      const auto aged = session_.set_accessed(page_of<format>(plan_.address));
      if (!aged) return aged.error();
    }
    return report_;
  }
  [[nodiscard]] result<fault_report> make() noexcept {
    const auto done = map(plan_.block<format>(), plan_.block_output<format>(), plan_.wanted, plan_.level);
    if (done) return report_;
    if (done.error().code != errc::already_mapped || plan_.level == 0) return ended(done.error());
    // A neighbour in the block leads elsewhere: take the page alone.
    const output_address page_output = plan_.output.align_down(format::shape.page_bytes());
    const auto alone = map(page_of<format>(plan_.address), page_output, plan_.wanted, 0);
    if (!alone) return ended(alone.error());
    return report_;
  }

  Session& session_;
  const fault_plan& plan_;
  Cache& cache_;
  Stale& stale_;
  Granted& granted_;
  fault_report report_{fault_outcome::fixed};
};

}  // namespace quire
