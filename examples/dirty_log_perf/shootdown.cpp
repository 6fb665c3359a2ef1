// SPDX-License-Identifier: MIT
#include "shootdown.hpp"

#include "tally.hpp"  // my_tally

namespace perf {

void seat::enter() {
  do {
    obey();
    reached_.store(obeyed_, std::memory_order_seq_cst);
  } while (demanded_.load(std::memory_order_seq_cst) != obeyed_);
}

// seq_cst and not only release: notify_all() looks for sleepers after the store.
void seat::leave() noexcept {
  reached_.store(idle, std::memory_order_seq_cst);
  reached_.notify_all();
}

void seat::acknowledge() {
  obey();
  reached_.store(obeyed_, std::memory_order_seq_cst);
  reached_.notify_all();
}

void seat::obey() {
  const std::scoped_lock guard(mutex_);
  if (posted_ > mailbox_.size()) tlb_.drop(0, ~std::uint64_t{0});
  else
    for (std::size_t i = 0; i < posted_; ++i) tlb_.drop(mailbox_[i].first, mailbox_[i].last);
  posted_ = 0;
  obeyed_ = demanded_.load(std::memory_order_relaxed);  // the mutex orders it
}

void seat::drop(const quire::invalidation_request& request) noexcept {
  tlb_.drop(request.first.value >> page_bits_, request.last.value >> page_bits_);
}

void seat::post(const quire::invalidation_request& request) {
  const std::scoped_lock guard(mutex_);
  if (posted_ < mailbox_.size())
    mailbox_[posted_] = {request.first.value >> page_bits_, request.last.value >> page_bits_};
  if (posted_ <= mailbox_.size()) ++posted_;
  demanded_.store(demanded_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
}

void seat::await() noexcept {
  const std::uint64_t generation = demanded_.load(std::memory_order_relaxed);  // ours, or somebody's after it
  for (std::uint64_t seen = reached_.load(std::memory_order_seq_cst); seen < generation;
       seen = reached_.load(std::memory_order_seq_cst))
    reached_.wait(seen, std::memory_order_seq_cst);
}

void shootdown::add(const quire::invalidation_request& request) {
  local(request);
  if (request.reason == quire::invalidation_reason::installed || request.reason == quire::invalidation_reason::relaxed)
    return;
  for (seat& each : *seats_)
    if (&each != seat::current()) each.post(request);
  posted_ = true;
}

void shootdown::complete() noexcept {
  if (!posted_) return;
  posted_ = false;
  ++my_tally.invalidations;
  for (seat& each : *seats_)
    if (&each != seat::current()) each.await();
}

}  // namespace perf
