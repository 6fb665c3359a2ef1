// SPDX-License-Identifier: MIT
// What every scenario is made of: a guest behind a table of its own, and what is expected of its accesses.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/quire.hpp>  // page_table

#include "arch.hpp"
#include "contract.hpp"
#include "guards.hpp"
#include "guest.hpp"
#include "host_memory.hpp"
#include "leaf_sizes.hpp"
#include "policies.hpp"
#include "report.hpp"

namespace bare {

using quire::attributes;
using quire::input_address;
using quire::input_range;
using quire::output_address;
using quire::permissions;

// A leaf that hardware which does not set the accessed and the dirty bit has no reason to stop at.
template <quire::pte_format F>
[[nodiscard]] constexpr attributes leaf_for(permissions allowed) noexcept {
  const bool writes = allowed.contains(quire::writable);
  return {.allowed = allowed, .may_write = writes, .dirty = writes && F::facts.has_dirty};
}

// For operations that may make dirty leaves clean, where nobody asks which.
struct nobody_asks {
  void operator()(input_address, std::uint64_t) const noexcept {}
};

template <quire::pte_format F, class Locking = faults_at_once,
          class Invalidation = typename second_stage<F>::invalidation>
class guest {
 public:
  using format = F;
  using in_page = page_layout<F>;
  using policies_type = table_policies<F, Locking, Invalidation>;
  using table_type = quire::page_table<F, policies_type>;
  static constexpr unsigned id = 1;
  static constexpr input_range everything =
      input_range::closed(input_address{0}, input_address{(std::uint64_t{1} << F::shape.input_bits()) - 1});

  guest() noexcept {
    if (!table_.create()) contract_broken("there is memory for a root");
    map(area_in_guest, guest_area(), guest_area_bytes, leaf_for<F>(quire::all_access));
    use();
  }
  guest(const guest&) = delete;
  guest& operator=(const guest&) = delete;
  // The next guest has the same identifier: nothing of this one may be found.
  ~guest() {
    if (!change().discard(everything)) contract_broken("all of a guest can be taken away");
    if constexpr (quire::concurrent_locking<Locking>)
      while (table_.collect(guards_.mine()) != 0) pause();
  }

  [[nodiscard]] table_type& table() noexcept { return table_; }
  [[nodiscard]] auto& guard() noexcept { return guards_.mine(); }
  [[nodiscard]] auto& tables() noexcept { return table_.policies().tables; }
  // A session that may change everything.
  [[nodiscard]] auto change() noexcept { return table_.session(guard()); }
  // The calling CPU enters this guest from now on.
  void use() noexcept { second_stage<F>::use(*table_.root(), id); }

  bool map(input_address at, std::uint64_t host, std::uint64_t bytes, const attributes& wanted,
           quire::map_options options = {}) noexcept {
    const auto done = change().map(input_range::sized(at, bytes), output_address{host}, wanted, tables(), options);
    return check(done.has_value(), "the library maps", at.value);
  }
  // With leaves of one size.
  bool map(const view& seen, leaf_size size, const attributes& wanted) noexcept {
    const std::uint64_t bytes = seen.leaves.last() - seen.leaves.first() + 1;
    return map(seen.leaves.first(), seen.output, bytes, wanted,
               {.largest_level = size.level, .groups = size.group != 0}) &&
           check_size(seen.at, size);
  }
  // With all tables that were only needed there, so that a larger leaf finds room.
  bool unmap(const view& seen) noexcept {
    auto session = change();
    const bool done = session.unmap(seen.leaves).has_value() && session.prune(everything).has_value();
    return check(done, "the library unmaps", seen.at.value);
  }
  // Whatever the caches have of this guest, without a change of its tables.
  void forget() noexcept {
    quire::invalidator<policies_type> caches{table_.policies()};
    caches.add({everything.first(), everything.last(), -1, false, quire::invalidation_reason::removed});
    caches.complete();
  }
  bool check_size(input_address at, leaf_size size) noexcept {
    const auto found = change().lookup(at);
    return check(found.has_value() && found->level == size.level && found->group == size.group,
                 "a leaf has the size that was asked for", at.value);
  }

  guest_exit run(const command& next) noexcept { return vcpu_.run(next); }
  guest_exit resume() noexcept { return vcpu_.resume(); }
  // fix(exit) mends what the guest stopped at, or gives false.
  template <class Fix>
  guest_exit run(const command& next, Fix&& fix) noexcept {
    guest_exit left = run(next);
    while (left.why == guest_exit::reason::fault && fix(left)) left = resume();
    return left;
  }

  // ---- each is one check
  bool expect_done(const guest_exit& left, std::uint64_t answer, const char* what) noexcept {
    return said(left, check(left.why == guest_exit::reason::done && left.answer == answer, what, answer));
  }
  bool expect_fault(const guest_exit& left, input_address at, permissions access, const char* what) noexcept {
    return said(left, check(is_fault(left, at) && left.access == access, what, at.value));
  }
  bool expect_fault(const guest_exit& left, input_address at, const char* what) noexcept {
    return said(left, check(is_fault(left, at), what, at.value));
  }
  // The stamp of a page of the host, at the guest's address of the page.
  bool expect_page(input_address page, std::uint64_t host_page, const char* what) noexcept {
    return expect_done(run({verb::load, page.value + in_page::stamp}), stamp_of(host_page), what);
  }
  bool expect_pages(input_address at, const host_memory& memory, const char* what) noexcept {
    const std::uint64_t pages = memory.bytes() / in_page::bytes;
    return expect_done(run({verb::sum, at.value + in_page::stamp, 0, pages, in_page::bytes}), sum_of_stamps<F>(memory),
                       what);
  }
  // Whether a page can do what its rights say and faults for everything else: five checks.
  void expect_rights(input_address page, std::uint64_t host_page, permissions allowed, const char* what) noexcept {
    const bool reads = allowed.contains(quire::readable), writes = allowed.contains(quire::writable);
    if (reads) expect_page(page, host_page, what);
    else expect_fault(run({verb::load, page.value + in_page::stamp}), page, quire::readable, what);

    volatile std::uint64_t& scratch = word_at(host_page + in_page::scratch);
    const std::uint64_t before = scratch, next = stamp_of(before + page.value);
    const guest_exit stored = run({verb::store, page.value + in_page::scratch, next});
    if (writes) expect_done(stored, 0, what);
    else expect_fault(stored, page, quire::writable, what);
    check(scratch == (writes ? next : before), "a store arrives, or does not", page.value);

    // What an atomic access is where it can neither read nor write, manuals and emulators have different views of.
    const guest_exit added = run({verb::add, page.value + in_page::scratch, 1});
    if (reads && writes) expect_done(added, next, what);
    else if (reads) expect_fault(added, page, quire::writable, what);
    else expect_fault(added, page, what);

    const guest_exit called = run({verb::call, page.value});
    if (allowed.contains(quire::executable)) expect_done(called, number_of(host_page), what);
    else expect_fault(called, page, quire::executable, what);
  }

 private:
  static bool is_fault(const guest_exit& left, input_address at) noexcept {
    return left.why == guest_exit::reason::fault && !left.of_guest_tables &&
           left.address.align_down(in_page::bytes) == at.align_down(in_page::bytes);
  }
  static bool said(const guest_exit& left, bool held) noexcept {
    if (!held) {
      say("  ");
      say_exit(left);
      end_line();
    }
    return held;
  }

  guards<Locking> guards_{};
  table_type table_{policies_type{id}};
  vcpu vcpu_{area_in_guest};
};

}  // namespace bare
