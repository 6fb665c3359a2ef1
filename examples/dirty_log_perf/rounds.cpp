// SPDX-License-Identifier: MIT
#include "rounds.hpp"

#include <utility>  // exchange

namespace perf {

void rounds::start(round_work work) {
  const std::scoped_lock guard(mutex_);
  enough_.store(false, std::memory_order_relaxed);
  work_ = work;
  busy_ = vcpus_;
  ++number_;
  changed_.notify_all();
}

void rounds::wait() {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [&] { return busy_ == 0; });
}

void rounds::quit() {
  const std::scoped_lock guard(mutex_);
  quit_ = true;
  changed_.notify_all();
}

tally rounds::collect() {
  const std::scoped_lock guard(mutex_);
  return std::exchange(counted_, {});
}

std::optional<round_work> rounds::next(std::uint64_t& seen) {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [&] { return quit_ || number_ != seen; });
  if (quit_) return std::nullopt;
  seen = number_;
  return work_;
}

void rounds::finished(const tally& counted) {
  const std::scoped_lock guard(mutex_);
  counted_ += counted;
  if (--busy_ == 0) changed_.notify_all();
}

}  // namespace perf
