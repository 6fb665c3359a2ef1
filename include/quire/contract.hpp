// SPDX-License-Identifier: MIT
// Contracts: what a caller or a policy promised, checked where it is relied on.
//
// Bad input from a user of a page table is an error value (error.hpp), never a contract violation. A contract
// violation is a broken promise of the *policy* side (a table source that hands out an unaligned table, a lock that
// is not held). What then happens is the embedder's choice:
//   QUIRE_CONTRACT_VIOLATION(text)   define it before the first include to panic in your own way; it must not return.
//   QUIRE_CONTRACTS                  0 = nothing is checked, 1 (default) = cheap checks, 2 = audits as well.
// Undefined, a violation goes to GSL's Expects, which calls std::terminate; defined, GSL is not needed at all.
#pragma once

#include <quire/version.hpp>  // one copy of Quire

#ifndef QUIRE_CONTRACT_VIOLATION
#include <gsl/assert>  // Expects
#endif

#ifndef QUIRE_CONTRACTS
#define QUIRE_CONTRACTS 1
#endif

#ifdef QUIRE_CONTRACT_VIOLATION
#define QUIRE_CHECK_CONTRACT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : QUIRE_CONTRACT_VIOLATION(#condition))
#else
#define QUIRE_CHECK_CONTRACT(condition) Expects(condition)
#endif

#if QUIRE_CONTRACTS >= 1
#define QUIRE_EXPECTS(condition) QUIRE_CHECK_CONTRACT(condition)
#else
#define QUIRE_EXPECTS(condition) static_cast<void>(0)
#endif

#if QUIRE_CONTRACTS >= 2
#define QUIRE_AUDIT(condition) QUIRE_CHECK_CONTRACT(condition)
#else
#define QUIRE_AUDIT(condition) static_cast<void>(0)
#endif

// Hot leaves of the call tree must be inlined for the level and the policy to become constants; cold ones (split,
// allocation, error) must not, or every operation carries them.
#define QUIRE_INLINE [[gnu::always_inline]] inline
#define QUIRE_COLD [[gnu::noinline, gnu::cold]]
// Behind the parameters of a lambda, whose operator() has no place for such an attribute in C++20.
#define QUIRE_INLINE_LAMBDA __attribute__((always_inline))
