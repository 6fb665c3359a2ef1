// SPDX-License-Identifier: MIT
// A compare-exchange in each order that releases, for exchange_orders.py to look at.
#include <quire/atomic.hpp>

using word = unsigned long;

bool exchange_release(word* at, word& expected, word desired) {
  return quire::atomic::compare_exchange(at, expected, desired, quire::order::release);
}
bool exchange_acq_rel(word* at, word& expected, word desired) {
  return quire::atomic::compare_exchange(at, expected, desired, quire::order::acq_rel);
}
bool exchange_seq_cst(word* at, word& expected, word desired) {
  return quire::atomic::compare_exchange(at, expected, desired, quire::order::seq_cst);
}
