// SPDX-License-Identifier: MIT
// The invalidation sequence: how a fault learns that the host changed its mapping while the fault was on its way.
//
// The host side, for every change of its mapping of some guest range:
//   { write side: begin(range), unmap the range }   change the mapping   { write side: end() }
// The fault side:
//   snapshot = sample()        before it asks the host for the page
//   look the page up           may sleep, no lock
//   { read or write side: if (must_retry(snapshot, address)) start over;  use the page }
//
// Who writes what: begin() and end() run under the write side, so they exclude each other and every must_retry().
// sample() runs under no lock: the sequence is read with acquire order, paired with the release in end(), so that a
// fault that sampled the new number sees the new mapping.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>   // input_range
#include <quire/atomic.hpp>    // load, store
#include <quire/contract.hpp>  // QUIRE_EXPECTS

namespace quire {

class invalidation_sequence {
 public:
  [[nodiscard]] std::uint64_t sample() const noexcept { return atomic::load(&sequence_, order::acquire); }

  // Caller must: hold the write side, and unmap the range under it. Overlapping announcements are merged.
  void begin(input_range range) noexcept {
    QUIRE_EXPECTS(range.defect() == errc::none);
    if (in_progress_ == 0) {
      first_ = range.first();
      last_ = range.last();
    } else {
      if (range.first() < first_) first_ = range.first();
      if (last_ < range.last()) last_ = range.last();
    }
    ++in_progress_;
  }
  // Caller must: hold the write side; one call for each begin().
  void end() noexcept {
    QUIRE_EXPECTS(in_progress_ != 0);
    atomic::store(&sequence_, sequence_ + 1, order::release);
    --in_progress_;
  }
  // Caller must: hold the read or the write side. True: what was looked up after `snapshot` may be out of date.
  [[nodiscard]] bool must_retry(std::uint64_t snapshot, input_address address) const noexcept {
    if (in_progress_ != 0 && first_ <= address && address <= last_) return true;
    return atomic::load(&sequence_, order::relaxed) != snapshot;  // the lock orders it
  }
  [[nodiscard]] bool in_progress() const noexcept { return in_progress_ != 0; }

 private:
  std::uint64_t sequence_ = 0;
  std::uint64_t in_progress_ = 0;
  input_address first_{};
  input_address last_{};
};

}  // namespace quire
