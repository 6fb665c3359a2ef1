// SPDX-License-Identifier: MIT
// A walk that does not say what is to happen when its visitor asks for a retry.
// expect: say what a retry does
#include <quire/quire.hpp>

#include "user.hpp"

struct my_visitor {
  template <class Run>
  quire::run_stop<riscv::word> leaves(const Run&);
};

bool use(quire::direct_memory& memory, quire::table_address root, my_visitor& visitor) {
#if QUIRE_RIGHT
  constexpr auto flags = quire::walk_flag::leaf | quire::walk_flag::go_on_after_retry;
#else
  constexpr auto flags = quire::walk_flag::leaf;
#endif
  return quire::walk<flags, riscv>(memory, root, ram, visitor).code == quire::errc::none;
}
