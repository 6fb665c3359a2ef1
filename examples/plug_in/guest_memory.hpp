// SPDX-License-Identifier: MIT
// The memory of one guest: a table, the lock around it, one slot with its dirty log, and the answer to faults. Written
// once for every format.
#pragma once

#include "quire_policies.hpp"  // kernel_policies, Quire

namespace hypervisor {

// Memory backing: what is behind the guest's RAM. Here one aligned piece that never moves; asking about it may sleep.
class guest_ram {
 public:
  explicit guest_ram(quire::output_address first) noexcept : first_(first) {}

  quire::result<quire::host_page> resolve(const quire::memory_slot& slot, quire::input_address address,
                                          bool) const noexcept {
    return quire::host_page{.output = first_ + (address - slot.first), .writable = true, .largest_level = 1};
  }
  [[nodiscard]] int mapped_level(const quire::memory_slot&, quire::input_address) const noexcept { return 1; }

 private:
  quire::output_address first_;
};

template <quire::pte_format Format>
class guest_memory {
  using table_type = quire::page_table<Format, kernel_policies>;
  using log_type = quire::dirty_log<table_type, kernel::rw_lock, quire::dirty_bitmap>;
  using handler_type = quire::fault_handler<table_type, kernel::rw_lock, const guest_ram, quire::dirty_bitmap>;

 public:
  using format = Format;
  static constexpr quire::input_address first{0x8000'0000};
  static constexpr quire::output_address output{0x2'0000'0000};
  static constexpr std::uint64_t bytes = 16 << 20;
  static constexpr std::uint64_t block_bytes = Format::shape.leaf_bytes(1);
  static constexpr std::uint64_t pages = bytes / kernel::page_bytes;
  static constexpr std::size_t log_words = quire::bitmap_words(pages);
  static constexpr quire::input_range all = quire::input_range::sized(first, bytes);

  guest_memory(page_allocator& memory, unsigned vmid) noexcept
      : vmid_(vmid),
        table_(kernel_policies{memory, vmid}),
        split_stock_(&memory, physical_memory{}, kernel::page_bytes) {}

  [[nodiscard]] quire::result<void> create() noexcept { return table_.create(); }

  // `stock` is the caller's own. It is filled before the lock is taken: under the lock nothing is allocated.
  [[nodiscard]] quire::result<void> map(quire::input_range range, quire::output_address to,
                                        table_stock& stock) noexcept {
    if (!stock.top_up(quire::tables_needed<Format>(range, to))) return quire::errc::no_memory;
    auto session = table_.exclusive(lock_);
    return session.map(range, to, ram_attributes, stock);
  }
  // Errors: no_memory where the range begins or ends inside a block, for the table's own stock is empty.
  [[nodiscard]] quire::result<quire::unmap_result> unmap(quire::input_range range) noexcept {
    auto session = table_.exclusive(lock_);
    const auto change = sequence_.begin(range);  // faults that have asked for a page of the range shall ask again
    const auto gone = session.unmap(range);
    sequence_.end(change);  // a kernel that moves pages does so before, with the lock let go
    return gone;
  }
  // What the hardware finds. It takes no lock, and neither do we.
  [[nodiscard]] quire::result<quire::mapping> walk(quire::input_address address) noexcept {
    return quire::look_up<Format>(table_.policies().memory, *table_.root(), address);
  }
  // Called by the vCPU that faults, with its own stock of tables.
  [[nodiscard]] quire::result<quire::fault_report> handle(const quire::guest_fault& fault,
                                                          table_stock& stock) noexcept {
    return handler_.handle(fault, log_.slot().template contains<Format>(fault.address) ? &log_ : nullptr, stock);
  }

  [[nodiscard]] quire::result<quire::dirty_log_work> start_logging() noexcept {
    return log_.enable({.manual_protect = true}, split_stock_);
  }
  // Copies the log, then takes what was copied out of it and protects those pages again.
  [[nodiscard]] quire::result<void> harvest(std::uint64_t (&dirty)[log_words]) noexcept {
    if (const auto copied = log_.get(dirty, split_stock_); !copied) return copied.error();
    if (const auto cleared = log_.clear(0, pages, dirty, split_stock_); !cleared) return cleared.error();
    return {};
  }
  [[nodiscard]] quire::result<quire::dirty_log_work> stop_logging() noexcept {
    return log_.disable(quire::block_recovery::in_place, ram_);
  }

  // Caller must: have stopped the guest's vCPUs.
  void destroy() noexcept {
    while (!table_.destroy(16)) {
      // Of a large guest, this is where others get the processor.
    }
    split_stock_.drain();
  }

  [[nodiscard]] unsigned vmid() const noexcept { return vmid_; }

 private:
  static constexpr quire::attributes ram_attributes{
      .allowed = quire::all_access, .may_write = true, .dirty = Format::facts.has_dirty};

  unsigned vmid_;
  kernel::rw_lock lock_;
  table_type table_;
  table_stock split_stock_;  // serves the eager split, one call of the log at a time
  quire::invalidation_sequence sequence_;
  quire::eager_split_control eager_{true, block_bytes};
  std::uint64_t log_bits_[log_words]{};
  log_type log_{table_,
                lock_,
                {.first = first, .pages = pages, .host = output.value},
                quire::dirty_bitmap{log_bits_, pages},
                eager_};
  guest_ram ram_{output};
  handler_type handler_{table_, lock_, sequence_, ram_, quire::fault_path::fast};
};

}  // namespace hypervisor
