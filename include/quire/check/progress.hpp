// SPDX-License-Identifier: MIT
// The oracle of progress: nobody tries again for nothing, and nobody works without end.
//
//   check::progress oracle{findings, {.most_accesses = 4096}};
//   observed_memory<array_memory<word>, check::progress> memory{words, &oracle};
//   check::watched_yield<yield_every> yield{&oracle, yield_every{1}};
//   oracle.run_as(1); oracle.began(); ... oracle.ended(check::work::changed);
//
// Rules, for each actor:
//   no_progress      It tried again (a compare-exchange failed, retried() was called, an operation ended busy) and
//                    nobody else has written an entry since it last had to.
//                    It found its goal reached (work::unchanged), and wrote: two of them would write for ever.
//                    The same access faulted again for the same reason after its fault was answered, and nobody else
//                    has written since: it would fault for ever.
//   unbounded_work   More accesses to entries than declared, between two questions to yield or the ends of an
//   operation.
//
// A write is a store, of any kind, that changes an entry; a run of owned words is taken for one. What does not go
// through the observed memory is told by wrote(): the hardware's accessed and dirty bits, say.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <map>      // map
#include <string>   // to_string
#include <tuple>    // tuple

#include <quire/check/report.hpp>            // report
#include <quire/policy/observed_memory.hpp>  // memory_observer
#include <quire/policy/yield.hpp>            // yield_policy

namespace quire::check {

// How an operation ended.
enum class work : unsigned char { changed, unchanged, busy };

struct progress_options {
  std::size_t most_accesses = 0;  // to entries, between two questions to yield; 0: nobody asks
};

class progress : public memory_observer {
 public:
  explicit progress(report& findings, progress_options options = {}) : report_(&findings), options_(options) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  // Who makes the accesses and the calls that follow.
  void run_as(unsigned actor) {
    settle_exchange();
    number_ = actor;
    self_ = &actors_[actor];
  }

  // ---- what a memory policy tells
  void before(access_kind kind) {
    settle_exchange();
    exchanging_ = kind == access_kind::compare_exchange;
    count(1);
  }
  template <class Word>
  void stored(table_address, std::size_t, Word before, Word after, order) {
    exchanging_ = false;
    if (before != after) wrote();
  }
  void owned(table_address, std::size_t, std::size_t n) {
    count(n);
    wrote();
  }
  // This actor wrote an entry.
  void wrote() {
    ++writes_;
    self_->last_write = writes_;
    self_->wrote = true;
  }

  // ---- operations
  void began() {
    settle_exchange();
    self_->wrote = false;
    self_->accesses = 0;
  }
  void ended(work how) {
    settle_exchange();
    if (how == work::busy) retried();
    if (how == work::unchanged && self_->wrote) tell("wrote, and its goal was reached already");
    began();
  }
  // It goes round again.
  void retried() { excuse(self_->used, "tried again"); }
  void asked_to_yield() {
    settle_exchange();
    self_->accesses = 0;
  }

  // ---- accesses of the actor's CPU: a fault that is answered "go on", and an access that came through.
  void faulted(std::uint64_t input, unsigned access, unsigned why) {
    const std::tuple fault{input, access, why};
    if (self_->fault == fault) excuse(self_->write_at_fault, "faulted again");
    self_->fault = fault;
    self_->write_at_fault = last_write_of_others();
  }
  void went_on() { self_->fault = no_fault; }

 private:
  static constexpr std::tuple<std::uint64_t, unsigned, unsigned> no_fault{~std::uint64_t{0}, ~0U, ~0U};

  struct state {
    std::uint64_t last_write = 0;      // its own; 0: none
    std::uint64_t used = 0;            // the write of somebody else that excused the last retry
    std::uint64_t write_at_fault = 0;  // the last one of somebody else when its access faulted
    std::tuple<std::uint64_t, unsigned, unsigned> fault = no_fault;
    std::size_t accesses = 0;
    bool wrote = false;  // in this operation
  };

  [[nodiscard]] std::uint64_t last_write_of_others() const noexcept {
    std::uint64_t last = 0;
    for (const auto& [number, each] : actors_)
      if (number != number_ && each.last_write > last) last = each.last_write;
    return last;
  }
  void excuse(std::uint64_t& used, const char* what) {
    const std::uint64_t last = last_write_of_others();
    if (last <= used) tell(std::string(what) + ", and nobody else has written since");
    used = last;
  }
  // A compare-exchange that was not followed by a store has failed.
  void settle_exchange() {
    if (!exchanging_) return;
    exchanging_ = false;
    retried();
  }
  void count(std::size_t n) {
    const std::size_t most = options_.most_accesses, before = self_->accesses;
    self_->accesses += n;
    if (most != 0 && before <= most && self_->accesses > most)
      report_->add(rule::unbounded_work, "actor " + std::to_string(number_) + ": more than " + std::to_string(most) +
                                             " accesses without a question to yield");
  }
  void tell(const std::string& what) {
    report_->add(rule::no_progress, "actor " + std::to_string(number_) + " " + what);
  }

  report* report_;
  progress_options options_;
  std::map<unsigned, state> actors_;
  unsigned number_ = 0;
  state* self_ = &actors_[0];
  std::uint64_t writes_ = 0;
  bool exchanging_ = false;
};

// A yield policy whose questions the oracle hears; a pause is as good as one.
template <yield_policy Base>
struct watched_yield {
  progress* by;
  Base base;

  [[nodiscard]] bool should_yield() {
    by->asked_to_yield();
    return base.should_yield();
  }
  void pause() {
    by->asked_to_yield();
    base.pause();
  }
};

static_assert(yield_policy<watched_yield<never_yield>>);

}  // namespace quire::check
