// SPDX-License-Identifier: MIT
// A shootdown that cannot be waited for.
// expect: Policies::invalidation must be an invalidation_policy
// expect: complete\(\)' (is|would be) invalid
#include <quire/quire.hpp>

#include "user.hpp"

struct my_shootdown {
  void add(const quire::invalidation_request&);
  void local(const quire::invalidation_request&);
#if QUIRE_RIGHT
  void complete();
#endif
};
struct my_kernel : quire::policies {
  my_shootdown invalidation;
};

bool use(quire::page_table<riscv, my_kernel>& table) { return table.create().has_value(); }
