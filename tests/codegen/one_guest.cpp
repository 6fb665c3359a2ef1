// SPDX-License-Identifier: MIT
// What one guest of a kernel takes: one format, a reader-writer lock, every operation, the dirty log and faults. Never
// linked: what is measured is how long it compiles (compile_cost.py).
#define QUIRE_CONTRACT_VIOLATION(text) __builtin_trap()

#include <quire/quire.hpp>

using namespace quire;

struct kernel_pages {
  result<table_address> allocate(std::uint64_t bytes) noexcept;
  void free(table_address table, std::uint64_t bytes) noexcept;
};
struct kernel_lock {
  void lock() noexcept;
  void unlock() noexcept;
  void lock_shared() noexcept;
  void unlock_shared() noexcept;
};
struct kernel_shootdown {
  void add(const invalidation_request& request) noexcept;
  void local(const invalidation_request& request) noexcept;
  void complete() noexcept;
};
struct host_memory {
  result<host_page> resolve(const memory_slot& slot, input_address at, bool write) noexcept;
  int mapped_level(const memory_slot& slot, input_address at) noexcept;
};
using pages_in_stock = table_cache<kernel_pages, direct_memory>;
struct my_kernel : policies {
  using locking = quire::locking::shared<kernel_lock>;
  pages_in_stock tables;
  batching_invalidation<kernel_shootdown> invalidation;
};
using guest_table = page_table<riscv::sv39x4, my_kernel>;
using guest_log = dirty_log<guest_table, kernel_lock, dirty_bitmap>;
using guest_faults = fault_handler<guest_table, kernel_lock, host_memory, dirty_bitmap>;

// A sum of all that is said, so that nothing is thrown away.
class answers {
 public:
  template <class T>
  void operator+=(const result<T>& said) noexcept {
    sum_ += static_cast<unsigned>(said.error().code);
  }
  void operator+=(write_grant said) noexcept { sum_ += static_cast<unsigned>(said); }
  void operator+=(bool said) noexcept { sum_ += said ? 1U : 0U; }
  [[nodiscard]] unsigned sum() const noexcept { return sum_; }

 private:
  unsigned sum_ = 0;
};

unsigned change(guest_table& guest, kernel_lock& lock, input_range range, output_address output) noexcept {
  auto session = guest.exclusive(lock);
  answers said;
  said += session.map(range, output, {.allowed = read_write, .may_write = true});
  said += session.unmap(range);
  said += session.discard(range);
  said += session.protect(range, readable);
  said += session.write_protect(range);
  said += session.write_protect(range.first(), 0xff00ff);
  said += session.restore_write(range);
  said += session.relax(range.first(), executable);
  said += session.set_accessed(range);
  said += session.test_and_clear_accessed(range);
  said += session.read_and_clear_dirty(range, [&](input_address, std::uint64_t) { said += true; });
  said += session.split(range);
  said += session.collapse(range);
  said += session.prune(range);
  said += session.annotate(range, 5);
  said += session.annotation(range.first());
  said += session.for_each_mapping(range, [&](const mapping& each) { said += each.attrs.dirty; });
  said += session.let_go(true, [&] { said += guest.policies().tables.top_up(8); });
  return said.sum();
}

unsigned use(guest_table& guest, kernel_lock& lock, input_address address) noexcept {
  auto session = guest.shared(lock);
  answers said;
  said += session.lookup(address);
  said += session.translate(address);
  said += session.make_writable(address, [&] { said += true; });
  said += session.relax(address, executable);
  said += session.test_and_clear_accessed(address);
  return said.sum();
}

unsigned log(guest_log& log, host_memory& host, pages_in_stock& tables, std::uint64_t* words,
             std::uint64_t pages) noexcept {
  answers said;
  said += log.enable({}, tables);
  said += log.get(words, tables);
  said += log.clear(0, pages, words, tables);
  said += log.disable(block_recovery::on_fault, host);
  return said.sum();
}

unsigned fault(guest_faults& faults, guest_log& log, pages_in_stock& tables, input_address address) noexcept {
  answers said;
  said += faults.handle({address, writable}, &log, tables);
  return said.sum();
}

unsigned live_and_die(my_kernel&& kernel) noexcept {
  guest_table guest{static_cast<my_kernel&&>(kernel)};
  answers said;
  said += guest.create();
  said += guest.root();
  guest.close();
  said += guest.destroy(64);
  return said.sum();
}
