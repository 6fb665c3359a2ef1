// SPDX-License-Identifier: MIT
// The memory of the machine, by powers of two: for tables (a table_allocator) and for the guest.
#pragma once

#include <cstdint>  // uint64_t

#include <quire/address.hpp>  // table_address
#include <quire/result.hpp>   // result

namespace bare {

class frames {
 public:
  // Zeroed, aligned to its size, a power of two of at least 4096. Any CPU.
  quire::result<quire::table_address> allocate(std::uint64_t bytes) noexcept;
  void free(quire::table_address at, std::uint64_t bytes) noexcept;
  [[nodiscard]] std::uint64_t in_use() noexcept;  // bytes
};

}  // namespace bare
