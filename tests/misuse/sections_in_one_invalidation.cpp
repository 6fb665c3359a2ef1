// SPDX-License-Identifier: MIT
// A shootdown made for one session at a time, for sessions that are at work at once.
// expect: Policies::invalidation is entered by several sessions at once
#include <quire/quire.hpp>

#include "user.hpp"

struct my_shootdown {
#if QUIRE_RIGHT
  static constexpr bool reentrant = true;
#endif
  void add(const quire::invalidation_request&);
  void local(const quire::invalidation_request&);
  void complete();
};
struct my_kernel : quire::policies {
  using locking = quire::locking::concurrent<quire::epoch_section>;
  my_shootdown invalidation;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
