// SPDX-License-Identifier: MIT
#include "guest_memory.hpp"

#include <cerrno>   // errno
#include <cstring>  // strerror

#include <fmt/format.h>  // format
#include <sys/mman.h>    // mmap
#include <unistd.h>      // sysconf

#include "options.hpp"  // refuse

namespace perf {

guest_memory::guest_memory(std::uint64_t bytes, std::uint64_t offset, std::uint64_t touched)
    : mapped_bytes_(bytes + offset + (std::uint64_t{1} << 30)) {
  constexpr std::uint64_t alignment = std::uint64_t{1} << 30;
  const auto physical =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (touched > physical)
    refuse(fmt::format("-v and -b: the guest needs {} MiB, more than the {} MiB of this machine", touched >> 20,
                       physical >> 20));
  mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped_ == MAP_FAILED)
    refuse(fmt::format("-v and -b: no {} MiB of memory for the guest: {}", mapped_bytes_ >> 20, std::strerror(errno)));
  // The page size that the system really uses is no part of what is measured: the largest it has, for every backing.
  // Only advice, a refusal changes nothing.
  static_cast<void>(madvise(mapped_, mapped_bytes_, MADV_HUGEPAGE));
  base_ = (static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(mapped_)) + alignment - 1) & ~(alignment - 1);
}

guest_memory::~guest_memory() { munmap(mapped_, mapped_bytes_); }

}  // namespace perf
