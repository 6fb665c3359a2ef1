// SPDX-License-Identifier: MIT
// Each invalidation that the library asks for is one that the hardware needs: left out, the guest goes on with what is
// no longer so; made, it does not. Which proves that a missing one would have been seen by the other scenarios.
//
// The guest writes a page all the time: another CPU, which never leaves the guest, where there is one; otherwise before
// and after the change. First the machine is asked whether any translation of it outlives its leaf at all, by a change
// behind the library's back.
//
// No canary, but a line that says so, have rights that are added (the emulators walk again before they fault) and
// leaves that are made larger or smaller (what outlives them translates alike).
#pragma once

#include <quire/atomic.hpp>  // load, store

#include "flipped.hpp"  // entry_of_leaf
#include "scenario.hpp"

namespace bare {

// An invalidation policy of which every request is lost while `keeps_quiet`.
inline constinit bool keeps_quiet = false;

template <class Invalidation>
struct forgetful : Invalidation {
  using Invalidation::Invalidation;
  void add(const quire::invalidation_request& request) noexcept {
    if (!keeps_quiet) Invalidation::add(request);
  }
  void local(const quire::invalidation_request& request) noexcept {
    if (!keeps_quiet) Invalidation::local(request);
  }
  void complete() noexcept {
    if (!keeps_quiet) Invalidation::complete();
  }
};

template <quire::pte_format F>
class canaries {
 public:
  static constexpr const char* name = "canaries";

  canaries() noexcept {
    guest_.map(release_page, release_.at(), in_page::bytes, leaf_for<F>(quire::read_write));
    if (!elsewhere) return;
    for (std::uint64_t i = 0; i < guest_area_bytes; i += 8) word_at(area_.at() + i) = word_at(guest_area() + i);
    guest_.map(other_area, area_.at(), guest_area_bytes, leaf_for<F>(quire::all_access));
  }

  void operator()() noexcept {
    // The lowest bit of an entry says for every family whether it is valid.
    const bool shows = trial([&] { entry_of_leaf<guest_type>{guest_, page}.flip(0); }, true) == seen::old;
    if (shows) check(true, "a translation outlives its leaf");
    else not_enforced("an invalidation that was left out", 1);

    canary(shows, "unmap", [&](auto& session) { return session.unmap(one()).has_value(); });
    canary(shows, "map in place of another", [&](auto& session) {
      return session
          .map(one(), output_address{second_.at()}, leaf_for<F>(quire::read_write), guest_.tables(), {.replace = true})
          .has_value();
    });
    canary(shows, "protect", [&](auto& session) {
      return session.protect(one(), quire::readable, quire::partial::split, guest_.tables(), nobody_asks_).has_value();
    });
    canary(shows, "write_protect",
           [&](auto& session) { return session.write_protect(one(), nobody_asks_).has_value(); });
    if constexpr (F::facts.sets_accessed)
      canary(shows, "test_and_clear_accessed",
             [&](auto& session) { return session.test_and_clear_accessed(one()).has_value(); });
    if constexpr (F::facts.sets_dirty)
      canary(shows, "read_and_clear_dirty",
             [&](auto& session) { return session.read_and_clear_dirty(one(), nobody_asks_).has_value(); });
    not_enforced("an invalidation that was left out by relax or make_writable");
    not_enforced("an invalidation that was left out by split or collapse");
  }

 private:
  using in_page = page_layout<F>;
  using guest_type = guest<F, faults_at_once, forgetful<typename second_stage<F>::invalidation>>;
  enum class seen : unsigned char { old, fresh };
  static constexpr input_address page = views_in_guest, release_page = views_in_guest + 4 * guest_area_bytes,
                                 other_area = area_in_guest + guest_area_bytes;
  static constexpr std::uint64_t enough = 10'000;  // writes, to believe that it will go on like this

  [[nodiscard]] static input_range one() noexcept { return quire::page_of<F>(page); }
  [[nodiscard]] std::uint64_t writes() const noexcept { return word_at(first_.at() + in_page::scratch); }

  template <class Change>
  void canary(bool shows, const char* what, Change change) noexcept {
    const auto changes = [&] {
      auto session = guest_.change();
      check(change(session), what);
    };
    say("  ");
    say(what);
    end_line();
    check(trial(changes, false) == seen::fresh, "the guest sees what was changed");
    const seen left_out = trial(changes, true);
    if (shows) check(left_out == seen::old, "it does not where the invalidation is left out");
    else not_enforced("the same without the invalidation", 1);
  }

  template <class Change>
  [[nodiscard]] seen trial(Change change, bool quietly) noexcept {
    for (const std::uint64_t host : {first_.at(), second_.at(), release_.at()}) word_at(host + in_page::scratch) = 0;
    guest_.map(page, first_.at(), in_page::bytes, leaf_for<F>(quire::read_write));
    begin_to_write();
    keeps_quiet = quietly;
    change();
    keeps_quiet = false;
    const seen what = go_on_writing();
    end_writing();
    guest_.forget();
    check(guest_.change().unmap(one()).has_value(), "the library unmaps");
    return what;
  }

  // What the change is to lead to: a fault, writes to another page, a bit of the leaf that is set again.
  [[nodiscard]] bool is_noticed(bool faulted) noexcept {
    if (faulted || word_at(second_.at() + in_page::scratch) != 0) return true;
    const auto leaf = guest_.change().lookup(page);
    if (!leaf || !leaf->attrs.allowed.contains(quire::writable)) return false;
    return leaf->output == output_address{first_.at()} && leaf->attrs.accessed &&
           (leaf->attrs.dirty || !F::facts.has_dirty);
  }

  void begin_to_write() noexcept {
    if (elsewhere) {
      quire::atomic::store(&stopped_, std::uint64_t{0}, quire::order::relaxed);
      start(1, [](void* with) { static_cast<canaries*>(with)->write_all_the_time(); }, this);
      while (writes() == 0) pause();
    } else {
      check(guest_.run(once(1)).why == guest_exit::reason::done, "the guest writes");
    }
  }
  [[nodiscard]] seen go_on_writing() noexcept {
    if (!elsewhere) {
      const guest_exit left = guest_.run(once(2));
      return is_noticed(left.why == guest_exit::reason::fault) ? seen::fresh : seen::old;
    }
    const std::uint64_t end = writes() + enough;
    for (;;) {
      if (is_noticed(quire::atomic::load(&stopped_, quire::order::acquire) != 0)) return seen::fresh;
      if (writes() >= end) return seen::old;
      pause();
    }
  }
  void end_writing() noexcept {
    word_at(release_.at() + in_page::scratch) = 1;
    if (elsewhere) wait_for(1);
  }
  // On CPU 1, until it faults or is released.
  void write_all_the_time() noexcept {
    guest_.use();
    vcpu runs{other_area};
    static_cast<void>(runs.run({verb::beat, page.value + in_page::scratch, release_page.value + in_page::scratch}));
    quire::atomic::store(&stopped_, std::uint64_t{1}, quire::order::release);
  }
  [[nodiscard]] static command once(std::uint64_t value) noexcept {
    return {verb::store, page.value + in_page::scratch, value};
  }

  const bool elsewhere = cpus() > 1;
  host_memory first_{in_page::bytes}, second_{in_page::bytes}, release_{in_page::bytes}, area_{guest_area_bytes};
  std::uint64_t stopped_ = 0;
  nobody_asks nobody_asks_{};
  guest_type guest_;
};

}  // namespace bare
