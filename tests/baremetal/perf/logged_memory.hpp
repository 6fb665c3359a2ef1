// SPDX-License-Identifier: MIT
// The memory of a guest under dirty logging, as a hypervisor keeps it: blocks while nobody logs, a bitmap for the log
// and one for what was harvested, and the handler of the guest's faults.
#pragma once

#include <type_traits>  // remove_reference_t
#include <utility>      // declval

#include <quire/dirty/dirty_log.hpp>  // dirty_log
#include <quire/dirty/fault.hpp>      // fault_handler

#include "../scenarios/logged_slot.hpp"  // one_piece
#include "../scenarios/page_set.hpp"
#include "../scenarios/scenario.hpp"

namespace bare {

// A right that was added is for the CPU that faulted for it; another that has the old one in its TLB faults, finds the
// right there and forgets.
template <quire::pte_format F>
struct told_if_reduced : second_stage<F>::invalidation {
  using base = typename second_stage<F>::invalidation;
  using base::base;
  void add(const quire::invalidation_request& request) noexcept {
    if (request.reason <= quire::invalidation_reason::relaxed) base::local(request);
    else base::add(request);
  }
};

// What a call changed is announced at its end in one piece: a harvest of many sections invalidates once.
template <quire::pte_format F>
struct told_at_once : quire::batching_invalidation<told_if_reduced<F>> {
  explicit told_at_once(unsigned id) noexcept
      : quire::batching_invalidation<told_if_reduced<F>>(told_if_reduced<F>{id}) {}
};

// When blocks become pages: when logging is enabled, when the log is cleared for the first time (it begins with every
// page set), or when a write faults.
enum class splits { at_enable, at_clear, on_fault };

template <class Guest, std::uint64_t Bytes>
class logged_memory {
 public:
  using format = typename Guest::format;
  using guard_type = std::remove_reference_t<decltype(std::declval<Guest&>().guard())>;
  using log_type = quire::dirty_log<typename Guest::table_type, guard_type, quire::dirty_bitmap>;
  using handler_type = quire::fault_handler<typename Guest::table_type, guard_type, one_piece, quire::dirty_bitmap>;
  static constexpr std::uint64_t page = format::shape.page_bytes(), bytes = Bytes, pages = bytes / page;

  // Heeded by the next handler.
  quire::fault_path path;

  // CPU 0 makes it.
  logged_memory(Guest& guest, quire::fault_path first_path, splits when, quire::split_walk walk) noexcept
      : path(first_path),
        guest_(guest),
        mode_{.manual_protect = true, .initially_set = when == splits::at_clear},
        control_(when != splits::on_fault, bytes),
        log_(guest.table(), guest.guard(), {.first = first(), .pages = pages, .host = memory_.at()},
             quire::dirty_bitmap{marks_.words(), pages}, control_) {
    log_.walk = walk;
  }

  [[nodiscard]] static constexpr input_address first() noexcept { return views_in_guest; }

  // Of the calling CPU, for as long as it mends.
  [[nodiscard]] handler_type handler() noexcept { return {guest_.table(), guest_.guard(), sequence_, backing_, path}; }
  // Any CPU, with tables of its own. Gives whether the guest can go on.
  template <class Tables>
  [[nodiscard]] bool mend(handler_type& handler, const guest_exit& left, Tables& tables) noexcept {
    if (left.why != guest_exit::reason::fault || !log_.slot().template contains<format>(left.address)) return false;
    const auto done = handler.handle({left.address, left.access}, &log_, tables);
    return done.has_value() && done->outcome != quire::fault_outcome::not_memory;
  }

  [[nodiscard]] bool enable() noexcept {
    const auto done = log_.enable(mode_, guest_.tables());
    return done.has_value() && done->split.missed == 0;
  }
  [[nodiscard]] bool get() noexcept { return log_.get(harvested_.words(), guest_.tables()).has_value(); }
  // What get() gave, in calls for so many pages.
  [[nodiscard]] bool clear(std::uint64_t pages_at_once) noexcept {
    for (std::uint64_t at = 0; at < pages; at += pages_at_once)
      if (!log_.clear(at, pages_at_once, harvested_.words() + at / 64, guest_.tables())) return false;
    return true;
  }
  [[nodiscard]] bool disable(quire::block_recovery recovery) noexcept {
    return log_.disable(recovery, backing_).has_value();
  }
  [[nodiscard]] std::uint64_t harvested() const noexcept {
    std::uint64_t set = 0;
    for (std::uint64_t each = 0; each < pages; ++each) set += harvested_.contains(each) ? 1U : 0U;
    return set;
  }

 private:
  Guest& guest_;
  quire::dirty_log_mode mode_;
  host_memory memory_{bytes};
  page_set marks_{pages}, harvested_{pages};
  quire::eager_split_control control_;
  one_piece backing_;
  quire::invalidation_sequence sequence_;
  log_type log_;
};

}  // namespace bare
