// SPDX-License-Identifier: MIT
// A walk that asks for a callback which its visitor lacks.
// expect: no member named 'table_post'
#include <quire/quire.hpp>

#include "user.hpp"

struct my_visitor {
  template <class Run>
  quire::run_stop<riscv::word> leaves(const Run&);
#if QUIRE_RIGHT
  template <class Position>
  quire::errc table_post(const Position&);
#endif
};

bool use(quire::direct_memory& memory, quire::table_address root, my_visitor& visitor) {
  constexpr auto flags = quire::walk_flag::leaf | quire::walk_flag::table_post | quire::walk_flag::stop_on_retry;
  return quire::walk<flags, riscv>(memory, root, ram, visitor).code == quire::errc::none;
}
