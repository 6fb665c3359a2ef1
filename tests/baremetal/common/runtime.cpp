// SPDX-License-Identifier: MIT
// What a compiler counts on where there is no C library, and where a broken contract ends.
#include <cstddef>  // size_t

#include "contract.hpp"
#include "report.hpp"

extern "C" {
// The attribute: the loop must not become a call of the function that it is in.
[[gnu::optimize("no-tree-loop-distribute-patterns")]] void* memset(void* at, int byte, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) static_cast<unsigned char*>(at)[i] = static_cast<unsigned char>(byte);
  return at;
}
[[gnu::optimize("no-tree-loop-distribute-patterns")]] void* memcpy(void* to, const void* from, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) static_cast<unsigned char*>(to)[i] = static_cast<const unsigned char*>(from)[i];
  return to;
}
[[gnu::optimize("no-tree-loop-distribute-patterns")]] void* memmove(void* to, const void* from, std::size_t n) {
  if (to < from) return memcpy(to, from, n);
  for (std::size_t i = n; i-- != 0;) static_cast<unsigned char*>(to)[i] = static_cast<const unsigned char*>(from)[i];
  return to;
}
int memcmp(const void* a, const void* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const int difference = static_cast<const unsigned char*>(a)[i] - static_cast<const unsigned char*>(b)[i];
    if (difference != 0) return difference;
  }
  return 0;
}
}

namespace bare {

[[noreturn]] void contract_broken(const char* text) noexcept {
  check(false, text);
  finish();
}

}  // namespace bare
