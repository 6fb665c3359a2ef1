// SPDX-License-Identifier: MIT
// The guest's memory in this process: "host-physical" addresses are simply its own.
#pragma once

#include <atomic>   // atomic_ref
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

namespace perf {

// The first eight bytes of a page are all that anybody uses. Relaxed: pages carry no order, the table's lock and the
// shootdown do.
[[nodiscard]] inline std::atomic_ref<std::uint64_t> word_at(std::uint64_t host) noexcept {
  // Mapped memory, page-aligned: an array of words as good as any.
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(host)));
}

class guest_memory {
 public:
  // `bytes` from the address base() + `offset` on, base() being a multiple of 1 GiB. Only what is touched costs memory;
  // `touched` bytes will be. Refuses like a wrong command line if that is more than there is.
  guest_memory(std::uint64_t bytes, std::uint64_t offset, std::uint64_t touched);
  ~guest_memory();
  guest_memory(const guest_memory&) = delete;
  guest_memory& operator=(const guest_memory&) = delete;

  [[nodiscard]] std::uint64_t base() const noexcept { return base_; }

 private:
  void* mapped_;
  std::size_t mapped_bytes_;
  std::uint64_t base_;
};

}  // namespace perf
