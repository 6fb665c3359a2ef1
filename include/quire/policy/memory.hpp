// SPDX-License-Identifier: MIT
// Memory policy: from a table's address to its entries. Every read and write of an entry goes through it.
//
// Requires of a policy, for Word = 32- and 64-bit unsigned: load, store, exchange, compare_exchange, fetch_and and
// fetch_or of entry `index` of `table`, each a single atomic access with the order given (compare_exchange: strong, on
// failure `expected` becomes what was read).
//
// Optional run capability: own(table, first, n) gives the words themselves, written(table, first, n) closes the access.
// Plain accesses vectorise and relaxed atomics do not (5 instructions an entry against 1). The caller's side of the
// bargain: it is legal on a table nobody else can reach, and on a live one only for an exclusive holder, over entries
// that the hardware does not write, with no software walker beside it. Without the capability (a policy that lacks it,
// or QUIRE_NO_RUN_CAPABILITY for thread sanitizers) every operation works word by word.
#pragma once

#include <concepts>     // same_as
#include <cstddef>      // size_t
#include <cstdint>      // uintptr_t
#include <type_traits>  // is_trivially_copyable_v

#include <quire/address.hpp>  // table_address
#include <quire/atomic.hpp>   // order

namespace quire {

template <class M, class Word>
concept memory_policy = requires(M& m, table_address table, std::size_t index, Word word, Word& expected, order o) {
  { m.template load<Word>(table, index, o) } -> std::same_as<Word>;
  { m.template store<Word>(table, index, word, o) } -> std::same_as<void>;
  { m.template exchange<Word>(table, index, word, o) } -> std::same_as<Word>;
  { m.template compare_exchange<Word>(table, index, expected, word, o) } -> std::same_as<bool>;
  { m.template fetch_and<Word>(table, index, word, o) } -> std::same_as<Word>;
  { m.template fetch_or<Word>(table, index, word, o) } -> std::same_as<Word>;
};

#ifdef QUIRE_NO_RUN_CAPABILITY
template <class M, class Word>
concept run_memory = false;
#else
template <class M, class Word>
concept run_memory = memory_policy<M, Word> && requires(M& m, table_address table, std::size_t n) {
  { m.template own<Word>(table, n, n) } -> std::same_as<Word*>;
  { m.template written<Word>(table, n, n) } -> std::same_as<void>;
};
#endif

// How a loop holds a memory policy: a small, plain one by value, so that nothing of it is read again after every store.
template <class M>
using memory_in_loop =
    std::conditional_t<std::is_trivially_copyable_v<M> && sizeof(M) <= 2 * sizeof(void*), const M, M&>;

namespace detail {

// Accesses to tables that the CPU sees at Memory::displacement() bytes from their address.
template <class Memory>
class displaced_words {
 public:
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word load(table_address t, std::size_t i, order o) const noexcept {
    return atomic::load(at<Word>(t, i), o);
  }
  template <class Word>
  QUIRE_INLINE void store(table_address t, std::size_t i, Word w, order o) const noexcept {
    atomic::store(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word exchange(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::exchange(at<Word>(t, i), w, o);
  }
  template <class Word>
  [[nodiscard]] QUIRE_INLINE bool compare_exchange(table_address t, std::size_t i, Word& e, Word w,
                                                   order o) const noexcept {
    return atomic::compare_exchange(at<Word>(t, i), e, w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_and(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::fetch_and(at<Word>(t, i), w, o);
  }
  template <class Word>
  QUIRE_INLINE Word fetch_or(table_address t, std::size_t i, Word w, order o) const noexcept {
    return atomic::fetch_or(at<Word>(t, i), w, o);
  }
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word* own(table_address t, std::size_t first, std::size_t) const noexcept {
    return at<Word>(t, first);
  }
  template <class Word>
  QUIRE_INLINE void written(table_address, std::size_t, std::size_t) const noexcept {}

 private:
  friend Memory;
  displaced_words() = default;

  // The table source handed the address out, aligned for entries; what lies there is an array of Word.
  template <class Word>
  [[nodiscard]] QUIRE_INLINE Word* at(table_address t, std::size_t i) const noexcept {
    const std::uint64_t displacement = static_cast<const Memory&>(*this).displacement();
    return reinterpret_cast<Word*>(static_cast<std::uintptr_t>(t.value + displacement)) + i;
  }
};

}  // namespace detail

// A direct map whose displacement is known when the kernel has started.
class direct_memory : public detail::displaced_words<direct_memory> {
 public:
  constexpr direct_memory() = default;
  constexpr explicit direct_memory(std::uint64_t displacement) noexcept : displacement_(displacement) {}
  [[nodiscard]] constexpr std::uint64_t displacement() const noexcept { return displacement_; }

 private:
  std::uint64_t displacement_ = 0;
};

// One that the compiler knows: an addition less for every level that is gone down, and a load less for every call.
template <std::uint64_t Displacement>
class direct_memory_at : public detail::displaced_words<direct_memory_at<Displacement>> {
 public:
  constexpr direct_memory_at() = default;
  [[nodiscard]] static constexpr std::uint64_t displacement() noexcept { return Displacement; }
};
using identity_memory = direct_memory_at<0>;

static_assert(memory_policy<identity_memory, std::uint64_t> && memory_policy<identity_memory, std::uint32_t>);
static_assert(memory_policy<direct_memory, std::uint64_t> && memory_policy<direct_memory, std::uint32_t>);

}  // namespace quire
