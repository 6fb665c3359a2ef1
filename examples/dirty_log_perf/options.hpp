// SPDX-License-Identifier: MIT
// The command line.
#pragma once

#include <cstdint>  // uint64_t
#include <string>   // string

#include <quire/dirty/dirty_log.hpp>  // block_recovery, split_walk
#include <quire/dirty/fault.hpp>      // fault_path

namespace perf {

enum class format_name : unsigned char { riscv_sv39x4, riscv_sv48x4, arm64_4k };
enum class split_mode : unsigned char { never, fault, eager };
enum class locking_name : unsigned char { shared, concurrent };

struct options {
  unsigned vcpus = 1;
  std::uint64_t bytes_per_vcpu = std::uint64_t{1} << 30;
  unsigned iterations = 2;
  std::string backing = "anonymous";
  unsigned slots = 1;
  bool overlap = false;
  bool manual_protect = true;
  bool initially_set = true;
  bool random_order = false;
  unsigned write_percent = 100;
  bool run_while_disabling = false;
  std::uint32_t seed = 1;

  format_name format = format_name::riscv_sv39x4;
  unsigned ipa_bits = 40;  // arm64 only
  locking_name locking = locking_name::shared;
  quire::fault_path fault_path = quire::fault_path::fast;
  split_mode split = split_mode::eager;
  std::uint64_t chunk = std::uint64_t{1} << 30;
  quire::split_walk walk = quire::split_walk::skip_level;
  quire::block_recovery recovery = quire::block_recovery::none;
  std::uint64_t slot_offset = 0;  // pages
  bool toggle = false;
  bool warm_enable = false;
  unsigned yield_every = 0;  // 0: only when somebody waits for the lock
  bool verify = false;
  std::string json;  // empty: none; "-": standard output

  static constexpr int page_bits = 12;  // of every format here

  [[nodiscard]] std::uint64_t pages_per_vcpu() const noexcept { return bytes_per_vcpu >> page_bits; }
  // The pages that the vCPUs use.
  [[nodiscard]] std::uint64_t used_pages() const noexcept { return vcpus * pages_per_vcpu(); }
  // The size of the host's own pages, and the level of such leaves: 4K, 2M, 1G at 0, 1, 2.
  [[nodiscard]] int backing_level() const noexcept;
  [[nodiscard]] std::uint64_t backing_bytes() const noexcept {
    return std::uint64_t{1} << (page_bits + 9 * backing_level());
  }
  // The pages in slots: those used, rounded up to whole pages of the host.
  [[nodiscard]] std::uint64_t slot_pages() const noexcept;
};

// Reads the command line. When there is nothing to run, because help was asked for or the line is wrong, says why and
// ends the process: status 0, or 2 with a message that names the option, the value and what is allowed.
[[nodiscard]] options options_from(int argc, char** argv);

// Ends the process like a wrong command line does.
[[noreturn]] void refuse(const std::string& why);

[[nodiscard]] std::string name_of(format_name format);
[[nodiscard]] std::string name_of(split_mode mode);
[[nodiscard]] std::string name_of(locking_name policy);
[[nodiscard]] std::string name_of(quire::fault_path path);

}  // namespace perf
