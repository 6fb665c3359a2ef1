// SPDX-License-Identifier: MIT
// The guest's program: a bank. It moves money between accounts, one on each page of its memory, as fast as it can;
// what all accounts hold together stays the same. A page that gets lost on the way to another machine, or arrives as it
// was too early, shows as money that came from nowhere or went there.
//
// It runs wherever its page is mapped, and calls nothing.
#pragma once

#include <cstdint>  // uint64_t

#include "guest.hpp"  // guest_area_bytes

namespace bank {

// The guest's memory, by its own addresses: its code and its stack, the ledger, the accounts.
inline constexpr std::uint64_t memory = 0x8000'0000, memory_bytes = 64U << 20U, page_bytes = 4096;
inline constexpr std::uint64_t ledger_at = memory + bare::guest_area_bytes, accounts_at = ledger_at + page_bytes;
inline constexpr std::uint64_t accounts = (memory + memory_bytes - accounts_at) / page_bytes;
inline constexpr std::uint64_t money = 1000;  // in each account at first

struct ledger {
  std::uint64_t transfers;  // so far
  std::uint64_t closes;     // not 0: the bank is to come to an end
};

namespace detail {

[[gnu::always_inline]] inline volatile std::uint64_t& balance(std::uint64_t account) noexcept {
  return *reinterpret_cast<volatile std::uint64_t*>(accounts_at + account * page_bytes);
}
// Few customers make nearly all transfers.
[[gnu::always_inline]] inline std::uint64_t customer(std::uint64_t random) noexcept {
  constexpr std::uint64_t regulars = 48, one_of = 8192;
  const std::uint64_t which = random / one_of;
  return which % (random % one_of == 0 ? accounts : regulars);
}

}  // namespace detail

// Gives what all accounts hold together, when the ledger says that the bank closes.
[[gnu::section(".guest.text"), gnu::noinline]] inline std::uint64_t work() noexcept {
  auto& book = *reinterpret_cast<volatile ledger*>(ledger_at);
  for (std::uint64_t account = 0; account < accounts; ++account) detail::balance(account) = money;
  std::uint64_t random = 1;
  while (book.closes == 0) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    auto& payer = detail::balance(detail::customer(random & 0xffff'ffff));
    auto& payee = detail::balance(detail::customer(random >> 32));
    payer = payer - 1;
    payee = payee + 1;
    book.transfers = book.transfers + 1;
  }
  std::uint64_t sum = 0;
  for (std::uint64_t account = 0; account < accounts; ++account) sum += detail::balance(account);
  return sum;
}

}  // namespace bank
