// SPDX-License-Identifier: MIT
// The functions that a compiler calls on its own account. On a host they come with the system.
//
// The empty assembly statements keep the loops loops: a compiler that recognises one makes a call out of it, to the
// very function that it stands in.
#include <cstddef>  // size_t

extern "C" {

void* memset(void* to, int value, std::size_t bytes) noexcept;
void* memcpy(void* __restrict to, const void* __restrict from, std::size_t bytes) noexcept;
void* memmove(void* to, const void* from, std::size_t bytes) noexcept;
int memcmp(const void* left, const void* right, std::size_t bytes) noexcept;
// RISC-V without its bit manipulation extension has no instruction for these; 0 is nobody's argument.
int __clzdi2(unsigned long value) noexcept;
int __ctzdi2(unsigned long value) noexcept;

void* memset(void* to, int value, std::size_t bytes) noexcept {
  auto* const at = static_cast<unsigned char*>(to);
  for (std::size_t i = 0; i < bytes; ++i) {
    at[i] = static_cast<unsigned char>(value);
    asm volatile("" ::: "memory");
  }
  return to;
}

void* memmove(void* to, const void* from, std::size_t bytes) noexcept {
  auto* const target = static_cast<unsigned char*>(to);
  const auto* const source = static_cast<const unsigned char*>(from);
  const bool upwards = target <= source;
  for (std::size_t n = 0; n < bytes; ++n) {
    const std::size_t i = upwards ? n : bytes - 1 - n;
    target[i] = source[i];
    asm volatile("" ::: "memory");
  }
  return to;
}

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t bytes) noexcept {
  auto* const target = static_cast<unsigned char*>(to);
  const auto* const source = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < bytes; ++i) {
    target[i] = source[i];
    asm volatile("" ::: "memory");
  }
  return to;
}

int memcmp(const void* left, const void* right, std::size_t bytes) noexcept {
  const auto* const a = static_cast<const unsigned char*>(left);
  const auto* const b = static_cast<const unsigned char*>(right);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    asm volatile("" ::: "memory");
  }
  return 0;
}

int __clzdi2(unsigned long value) noexcept {
  int zeros = 0;
  for (int half = 32; half > 0; half /= 2) {
    if (value >> (64 - half) != 0) continue;
    value <<= half;
    zeros += half;
  }
  return zeros;
}

int __ctzdi2(unsigned long value) noexcept {
  int zeros = 0;
  for (int half = 32; half > 0; half /= 2) {
    if (value << (64 - half) != 0) continue;
    value >>= half;
    zeros += half;
  }
  return zeros;
}

}  // extern "C"
