// SPDX-License-Identifier: MIT
// The invalidation sequence: how a fault learns that the host changed its mapping while the fault was on its way.
//
// The host side, for every change of its mapping of some guest range:
//   change = begin(range); unmap the range     change the host's mapping     end(change)
// The fault side:
//   snapshot = sample()        before it asks the host for the page
//   look the page up           may sleep, no lock
//   if (must_retry(snapshot, range)) start over;  else use the page
//
// Where a lock separates the two, begin() and the unmapping are one critical section of the write side, end() is in
// another, and must_retry() and what follows from it in one of either side. Without a lock the fault owns the entry
// that it is about to write when it asks, behind a full fence (table/concurrent/map.hpp): begin() ends with one, too,
// so either the fault sees the announcement, or the unmapping sees the entry owned and waits for it.
//
// Who writes what, and in which order. One word holds how many changes have ended and how many are announced; so a
// fault that finds it as it was, with none announced, has asked all there is to ask. Otherwise it looks whether one of
// those announced is of its range. Each has a slot of its own, taken by compare-exchange, with its range stored before
// it is announced; changes that find no slot speak of all addresses. end() moves the word on before it frees the slot,
// and a fault that has looked at the slots looks at the word again: if it read a range that was written after the
// announcement which it found, that one has ended, and the word has moved. So a change that was announced when the
// fault looked is never missed; one of another range may be taken for its own, which costs another try.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>              // input_range
#include <quire/contract.hpp>             // QUIRE_EXPECTS
#include <quire/policy/shared_words.hpp>  // shared_words_policy

namespace quire {

template <shared_words_policy Words>
class basic_invalidation_sequence {
 public:
  // One change of the host's mapping, from begin() to end().
  struct [[nodiscard]] change {
    unsigned slot;
  };

  constexpr basic_invalidation_sequence() noexcept = default;
  constexpr explicit basic_invalidation_sequence(Words words) noexcept : words_(words) {}

  // Acquire, paired with the release in end(): a fault that samples the new number sees the new mapping.
  [[nodiscard]] std::uint64_t sample() const noexcept { return words_.load(state_, order::acquire); }

  // Caller must: unmap the range when it returns. At most 65535 changes at once.
  change begin(input_range range) noexcept {
    QUIRE_EXPECTS(range.defect() == errc::none);
    words_.fetch_add(state_, one_announced, order::relaxed);  // the fence below orders all of it
    unsigned taken = 0;
    for (; taken < slots; ++taken) {
      slot& one = announced_[taken];
      std::uint64_t seen = words_.load(one.stage, order::relaxed);
      // Acquire, and release of the range: who reads the range sees that what was in the slot before has ended.
      if (seen != unused || !words_.compare_exchange(one.stage, seen, being_written, order::acquire)) continue;
      words_.store(one.first, range.first().value, order::release);
      words_.store(one.last, range.last().value, order::release);
      words_.store(one.stage, in_use, order::release);
      break;
    }
    if (taken == slots) words_.fetch_add(without_slot_, std::uint64_t{1}, order::relaxed);
    words_.fence(order::seq_cst);  // announced before any entry is read
    return change{taken};
  }
  // Release: what the host changed is seen by whoever samples the new number, and that by whoever finds the slot free.
  void end(change which) noexcept {
    QUIRE_EXPECTS(in_progress());
    words_.fetch_add(state_, one_ended - one_announced, order::release);
    if (which.slot == slots) words_.fetch_add(without_slot_, ~std::uint64_t{0}, order::release);
    else words_.store(announced_[which.slot].stage, unused, order::release);
  }
  // True: what was looked up after `snapshot` may be out of date in the range.
  [[nodiscard]] QUIRE_INLINE bool must_retry(std::uint64_t snapshot, input_range range) const noexcept {
    const std::uint64_t now = words_.load(state_, order::acquire);
    if (now == snapshot && now % one_ended == 0) [[likely]]
      return false;
    if (now % one_ended != 0 && is_announced(range)) return true;
    return words_.load(state_, order::relaxed) / one_ended != snapshot / one_ended;  // acquire loads came before
  }
  [[nodiscard]] QUIRE_INLINE bool must_retry(std::uint64_t snapshot, input_address address) const noexcept {
    return must_retry(snapshot, input_range::closed(address, address));
  }
  [[nodiscard]] bool in_progress() const noexcept { return words_.load(state_, order::acquire) % one_ended != 0; }

 private:
  static constexpr std::uint64_t one_announced = 1, one_ended = std::uint64_t{1} << 16U;  // in state_
  static constexpr unsigned slots = 4;
  static constexpr std::uint64_t unused = 0, being_written = 1, in_use = 2;
  struct slot {
    std::uint64_t stage = unused;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };

  QUIRE_INLINE bool is_announced(input_range range) const noexcept {
    if (words_.load(without_slot_, order::acquire) != 0) return true;
    for (const slot& one : announced_) {
      const std::uint64_t stage = words_.load(one.stage, order::acquire);
      if (stage == unused) continue;
      if (stage == being_written) return true;
      const input_address first{words_.load(one.first, order::acquire)}, last{words_.load(one.last, order::acquire)};
      if (first <= range.last() && range.first() <= last) return true;
    }
    return false;
  }

  [[no_unique_address]] Words words_{};
  std::uint64_t state_ = 0;         // how many changes have ended, and in the low 16 bits how many are announced
  std::uint64_t without_slot_ = 0;  // how many of those
  slot announced_[slots]{};
};

using invalidation_sequence = basic_invalidation_sequence<direct_words>;

}  // namespace quire
