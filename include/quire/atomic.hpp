// SPDX-License-Identifier: MIT
// Atomic access to plain words. libstdc++'s <atomic> does not compile with clang and -mgeneral-regs-only, and entries
// are words of memory that nobody constructed; so the compiler's builtins are wrapped here, and nowhere else.
#pragma once

#include <type_traits>  // is_constant_evaluated

#include <quire/contract.hpp>  // QUIRE_INLINE

namespace quire {

enum class order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
  seq_cst = __ATOMIC_SEQ_CST,
};

namespace atomic {

template <class T>
[[nodiscard]] QUIRE_INLINE T load(const T* from, order o) noexcept {
  return __atomic_load_n(from, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE void store(T* to, T value, order o) noexcept {
  __atomic_store_n(to, value, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T exchange(T* at, T value, order o) noexcept {
  return __atomic_exchange_n(at, value, static_cast<int>(o));
}
// GCC before 14 makes of RISC-V's exchange a pair of lr and sc that releases nothing unless the order of failure does,
// which none may: seen in what GCC 12 makes; later ones take both orders together.
#if defined __riscv && defined __GNUC__ && !defined __clang__ && __GNUC__ < 14
inline constexpr bool exchange_lacks_release = true;
#else
inline constexpr bool exchange_lacks_release = false;
#endif
// On failure `expected` becomes what was read (relaxed: the caller decides anew from it).
template <class T>
[[nodiscard]] QUIRE_INLINE bool compare_exchange(T* at, T& expected, T desired, order o) noexcept {
  if constexpr (exchange_lacks_release) {
    if (o == order::seq_cst) __atomic_thread_fence(__ATOMIC_SEQ_CST);
    else if (o == order::release || o == order::acq_rel) __atomic_thread_fence(__ATOMIC_RELEASE);
  }
  return __atomic_compare_exchange_n(at, &expected, desired, false, static_cast<int>(o), __ATOMIC_RELAXED);
}
template <class T>
QUIRE_INLINE T fetch_and(T* at, T mask, order o) noexcept {
  return __atomic_fetch_and(at, mask, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T fetch_or(T* at, T mask, order o) noexcept {
  return __atomic_fetch_or(at, mask, static_cast<int>(o));
}
template <class T>
QUIRE_INLINE T fetch_add(T* at, T amount, order o) noexcept {
  return __atomic_fetch_add(at, amount, static_cast<int>(o));
}
QUIRE_INLINE constexpr void fence(order o) noexcept {
  if (!std::is_constant_evaluated()) __atomic_thread_fence(static_cast<int>(o));
}

}  // namespace atomic
}  // namespace quire
