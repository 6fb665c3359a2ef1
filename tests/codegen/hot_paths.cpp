// SPDX-License-Identifier: MIT
// The paths that run often, one function each, as a kernel instantiates them. Never linked: what is read is the machine
// code that compilers make of it (machine_code.py).
//
// A contract violation goes to the kernel's own panic, here an illegal instruction; the lock is two words of atomics;
// an invalidation is counted.
#define QUIRE_CONTRACT_VIOLATION(text) __builtin_trap()

#include <quire/quire.hpp>

#include <quire/format/intel_ept.hpp>  // intel::ept

using namespace quire;

struct kernel_pages {
  std::uint64_t next;
  result<table_address> allocate(std::uint64_t bytes) noexcept { return table_address{next += bytes}; }
  void free(table_address, std::uint64_t) noexcept {}
};
struct kernel_lock {
  unsigned writer = 0;
  unsigned readers = 0;

  void lock() noexcept {
    while (atomic::exchange(&writer, 1U, order::acquire) != 0) {
    }
  }
  void unlock() noexcept { atomic::store(&writer, 0U, order::release); }
  void lock_shared() noexcept { atomic::fetch_add(&readers, 1U, order::acquire); }
  void unlock_shared() noexcept { atomic::fetch_add(&readers, ~0U, order::release); }
};
struct counted_invalidation {
  std::uint64_t added = 0;
  std::uint64_t waits = 0;

  void add(const invalidation_request&) noexcept { ++added; }
  void local(const invalidation_request&) noexcept {}
  void complete() noexcept { ++waits; }
};
using pages_in_stock = table_cache<kernel_pages, direct_memory>;
struct my_kernel : policies {
  using locking = quire::locking::shared<kernel_lock>;
  pages_in_stock& tables;
  counted_invalidation invalidation;
};

template <class Kind>
struct hot {
  using format = typename Kind::format;
  using word = typename format::word;
  using table = page_table<format, my_kernel>;

  static std::uint64_t translate(table& guest, kernel_lock& lock, input_address address) noexcept {
    auto session = guest.shared(lock);
    const auto output = session.translate(address);
    return output ? output->value : ~std::uint64_t{0};
  }
  static write_grant fix_write_fault(table& guest, kernel_lock& lock, input_address address,
                                     dirty_bitmap& log) noexcept {
    auto session = guest.one_page_session(lock);
    return session.make_writable(address, [&] { log.mark(address.value >> format::shape.page_bits); });
  }
  static word fill_split(operation<format, my_kernel>& op, pages_in_stock& tables, word block) noexcept {
    return build_subtree<1>(op, tables, block, 0).link();
  }
  static bool write_protect_run(direct_memory& memory, table_address at, std::size_t first, std::size_t last) noexcept {
    return change_entries<format>(memory, at, first, last, format::write_protect);
  }
  static errc map_page(table& guest, kernel_lock& lock, pages_in_stock& tables, input_address address,
                       output_address output) noexcept {
    auto session = guest.exclusive(lock);
    return session.map(input_range::sized(address, 4096), output, {.allowed = read_write, .may_write = true}, tables)
        .error()
        .code;
  }
};

struct riscv_sv39x4 {
  using format = riscv::sv39x4;
};
struct arm64_4k_40 {
  using format = arm64::stage2_4k<40>;
};
struct arm64_4k_48 {
  using format = arm64::stage2_4k<48>;
};
struct intel_ept_4 {
  using format = intel::ept<4>;
};
template struct hot<riscv_sv39x4>;
template struct hot<arm64_4k_40>;
template struct hot<arm64_4k_48>;
template struct hot<intel_ept_4>;
