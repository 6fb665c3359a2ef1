// SPDX-License-Identifier: MIT
// Memory policy that tells an observer of every access: recorders, counters, oracles, schedulers.
//
// The observer gets loaded(table, index, word), stored(table, index, before, after) and owned(table, first, n,
// written), and before(kind) in front of every access: the place where a test lets another actor run. It has no run
// capability of its own unless `Runs` says so, because plain accesses cannot be seen one by one.
#pragma once

#include <cstddef>  // size_t

#include <quire/policy/memory.hpp>  // memory_policy

namespace quire {

enum class access_kind : unsigned char { load, store, exchange, compare_exchange, fetch_and, fetch_or, own };

// An observer that does nothing: derive from it and hide what is of interest.
struct memory_observer {
  constexpr void before(access_kind) noexcept {}
  template <class Word>
  constexpr void loaded(table_address, std::size_t, Word) noexcept {}
  template <class Word>
  constexpr void stored(table_address, std::size_t, Word /*before*/, Word /*after*/, order) noexcept {}
  constexpr void owned(table_address, std::size_t /*first*/, std::size_t /*n*/) noexcept {}
};

template <class Base, class Observer, bool Runs = false>
class observed_memory {
 public:
  constexpr observed_memory(Base base, Observer* observer) noexcept : base_(base), observer_(observer) {}

  template <class Word>
  [[nodiscard]] constexpr Word load(table_address t, std::size_t i, order o) const noexcept {
    observer_->before(access_kind::load);
    const Word word = base_.template load<Word>(t, i, o);
    observer_->loaded(t, i, word);
    return word;
  }
  template <class Word>
  constexpr void store(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::store);
    // An exchange, so that the observer sees what a plain store overwrote.
    observer_->stored(t, i, base_.template exchange<Word>(t, i, w, o == order::release ? order::acq_rel : o), w, o);
  }
  template <class Word>
  constexpr Word exchange(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::exchange);
    const Word old = base_.template exchange<Word>(t, i, w, o);
    observer_->stored(t, i, old, w, o);
    return old;
  }
  template <class Word>
  [[nodiscard]] constexpr bool compare_exchange(table_address t, std::size_t i, Word& e, Word w,
                                                order o) const noexcept {
    observer_->before(access_kind::compare_exchange);
    const Word expected = e;
    if (!base_.template compare_exchange<Word>(t, i, e, w, o)) return false;
    observer_->stored(t, i, expected, w, o);
    return true;
  }
  template <class Word>
  constexpr Word fetch_and(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::fetch_and);
    const Word old = base_.template fetch_and<Word>(t, i, w, o);
    observer_->stored(t, i, old, static_cast<Word>(old & w), o);
    return old;
  }
  template <class Word>
  constexpr Word fetch_or(table_address t, std::size_t i, Word w, order o) const noexcept {
    observer_->before(access_kind::fetch_or);
    const Word old = base_.template fetch_or<Word>(t, i, w, o);
    observer_->stored(t, i, old, static_cast<Word>(old | w), o);
    return old;
  }
  template <class Word>
  [[nodiscard]] constexpr Word* own(table_address t, std::size_t first, std::size_t n) const noexcept
    requires(Runs && run_memory<Base, Word>)
  {
    observer_->before(access_kind::own);
    observer_->owned(t, first, n);
    return base_.template own<Word>(t, first, n);
  }
  template <class Word>
  constexpr void written(table_address t, std::size_t first, std::size_t n) const noexcept
    requires(Runs && run_memory<Base, Word>)
  {
    base_.template written<Word>(t, first, n);
  }

 private:
  Base base_;
  Observer* observer_;
};

static_assert(memory_policy<observed_memory<direct_memory, memory_observer>, std::uint64_t>);

}  // namespace quire
