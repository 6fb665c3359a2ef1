// SPDX-License-Identifier: MIT
// Instantiations of the library as a kernel would have them. This file is never linked: what matters is that it
// compiles without a library, and which symbols the object file leaves undefined (allowed_symbols.txt).
//
// A contract violation goes to the kernel's own panic, here an illegal instruction.
#define QUIRE_CONTRACT_VIOLATION(text) __builtin_trap()

#include <quire/quire.hpp>

#include <quire/format/amd_iommu.hpp>
#include <quire/format/arm64_tcr.hpp>
#include <quire/format/arm64_tlbi.hpp>
#include <quire/format/arm64_vtcr.hpp>
#include <quire/format/intel_ept.hpp>
#include <quire/format/riscv_hfence.hpp>

namespace {

using namespace quire;

// What a kernel brings: a page allocator that is never empty, a lock, a shootdown.
struct kernel_pages {
  std::uint64_t next = 0x1000'0000;

  result<table_address> allocate(std::uint64_t bytes) noexcept {
    next = (next + bytes - 1) & ~(bytes - 1);
    return table_address{next += bytes};
  }
  void free(table_address, std::uint64_t) noexcept {}
};
struct kernel_lock {
  unsigned state = 0;

  void lock() noexcept { state = 1; }
  void unlock() noexcept { state = 0; }
  void lock_shared() noexcept { ++state; }
  void unlock_shared() noexcept { --state; }
};
struct kernel_shootdown {
  static constexpr bool reentrant = true;
  std::uint64_t bytes = 0;
  std::uint64_t generation = 0;

  void add(const invalidation_request& r) noexcept { atomic::fetch_add(&bytes, r.last - r.first, order::relaxed); }
  void local(const invalidation_request& r) noexcept { add(r); }
  void complete() noexcept { atomic::fetch_add(&generation, std::uint64_t{1}, order::relaxed); }
};

struct kernel_policies : policies {
  using locking = quire::locking::shared<kernel_lock>;
  table_cache<kernel_pages, direct_memory, std::uint64_t, true> tables;
  batching_invalidation<kernel_shootdown> invalidation;

  explicit kernel_policies(kernel_pages& pages) noexcept : tables(&pages, direct_memory{}, 4096) {}
};

template <class Format>
struct guest {
  using table_type = page_table<Format, kernel_policies>;
  table_type table;
  kernel_lock lock;
};

// What an operation says is folded into one number, so that nothing is thrown away.
template <class T>
std::uint64_t code_of(const result<T>& said) noexcept {
  return static_cast<std::uint64_t>(said.error().code);
}
struct page_counter {
  std::uint64_t bytes = 0;
  void operator()(input_address, std::uint64_t count) noexcept { bytes += count; }
};

template <class Format>
std::uint64_t change_everything(guest<Format>& g, input_range range, output_address output) noexcept {
  auto session = g.table.exclusive(g.lock);
  auto& tables = g.table.policies().tables;
  page_counter dirty;
  std::uint64_t said = code_of(session.map(range, output, {.allowed = read_write, .may_write = true}));
  said += code_of(session.map(range, output, {.allowed = all_access}, {.replace = true}));
  const auto gone =
      session.unmap(range, partial::split, tables, [&](const removed_leaf& leaf) { dirty(leaf.address, leaf.bytes); });
  said += code_of(gone) + gone.value_or({}).entries;
  said += code_of(session.unmap(range, partial::whole));
  said += code_of(session.discard(range, partial::error));
  said += code_of(session.protect(range, readable, partial::split, tables, dirty));
  said += code_of(session.write_protect(range, dirty));
  said += code_of(session.write_protect(range.first(), 0xff00ff, dirty));
  said += code_of(session.restore_write(range));
  said += code_of(session.relax(range.first(), executable));
  said += code_of(session.set_accessed(range));
  if constexpr (Format::facts.has_accessed) said += code_of(session.test_and_clear_accessed(range));
  if constexpr (Format::facts.has_dirty) said += code_of(session.read_and_clear_dirty(range, dirty));
  said += code_of(session.split(range));
  said += code_of(session.template split<walk_flags{}>(range, 1, tables));
  said += code_of(session.collapse(range));
  said += code_of(session.prune(range));
  said += code_of(session.annotate(range, 5));
  said += code_of(session.annotation(range.first()));
  said += session.let_go(true, [&]() { said += tables.top_up(8) ? 1U : 0U; }) ? 1U : 0U;
  said += code_of(session.for_each_mapping(range, [&](const mapping& each) { dirty(each.input, each.bytes); }));
  return said + dirty.bytes;
}

template <class Format>
std::uint64_t read_everything(guest<Format>& g, input_address address) noexcept {
  auto session = g.table.shared(g.lock);
  std::uint64_t marks = 0;
  std::uint64_t said = static_cast<std::uint64_t>(session.make_writable(address, [&]() { ++marks; }));
  said += code_of(session.relax(address, executable));
  if constexpr (Format::facts.has_accessed) said += code_of(session.test_and_clear_accessed(address));
  said += session.translate(address).value_or(output_address{}).value;
  return said + marks + code_of(session.lookup(address));
}

// The same without a lock.
struct lockless_policies : kernel_policies {
  using locking = quire::locking::concurrent<epoch_section>;
  using kernel_policies::kernel_policies;
};
template <class Format>
struct lockless_guest {
  page_table<Format, lockless_policies> table;
  epoch_section section;
};
template <class Format>
std::uint64_t change_concurrently(lockless_guest<Format>& g, input_range range, output_address output) noexcept {
  auto session = g.table.concurrent(g.section);
  auto& tables = g.table.policies().tables;
  page_counter count;
  std::uint64_t said = code_of(session.map(range, output, {.allowed = read_write, .may_write = true}, tables));
  said += code_of(session.map_guarded(range, output, {.allowed = readable}, tables, {}, [] { return false; }));
  said += code_of(session.unmap(range)) + code_of(session.protect(range, readable, count));
  said += code_of(session.discard(range)) + code_of(session.annotate(range, 5, tables));
  said += code_of(session.write_protect(range, count)) + code_of(session.restore_write(range));
  said += code_of(session.write_protect(range.first(), 0xff00ff, count));
  if constexpr (Format::facts.has_dirty) said += code_of(session.read_and_clear_dirty(range, count));
  said += code_of(session.set_accessed(range));
  if constexpr (Format::facts.has_accessed) said += code_of(session.test_and_clear_accessed(range));
  said += code_of(session.split(range, 0, tables)) + code_of(session.collapse(range)) + code_of(session.prune(range));
  said += static_cast<std::uint64_t>(session.make_writable(range.first(), [&]() { ++said; }));
  said += session.let_go(false, [] {}) ? 1U : 0U;
  return said + count.bytes + g.table.collect(g.section);
}

// Dirty logging, under a lock and in sections.
struct kernel_host {
  result<host_page> resolve(const memory_slot& slot, input_address at, bool) noexcept {
    return host_page{output_address{slot.host + (at - slot.first)}, true, 1};
  }
  int mapped_level(const memory_slot&, input_address) noexcept { return 1; }
};
template <class Table, class Guard>
std::uint64_t log_everything(Table& table, Guard& guard, std::uint64_t* words, input_address first,
                             std::uint64_t pages) noexcept {
  const eager_split_control control{true, Table::format::shape.leaf_bytes(1)};
  dirty_log<Table, Guard, dirty_bitmap> log{
      table, guard, {.first = first, .pages = pages}, dirty_bitmap{words, pages}, control};
  invalidation_sequence sequence;
  kernel_host host;
  fault_handler<Table, Guard, kernel_host, dirty_bitmap> handler{table, guard, sequence, host, fault_path::fast};
  auto& tables = table.policies().tables;
  std::uint64_t said = code_of(log.enable({}, tables)) + code_of(log.get(words, tables));
  said += code_of(log.clear(0, pages, words, tables)) + code_of(log.disable(block_recovery::on_fault, host));
  sequence.end(sequence.begin(input_range::sized(first, 4096)));
  return said + code_of(handler.handle({first, writable}, &log, tables));
}

template <class Format>
std::uint64_t live_and_die(kernel_pages& pages) noexcept {
  page_table<Format, kernel_policies> table{kernel_policies{pages}};
  const std::uint64_t said = code_of(table.create());
  table.close();
  return said + (table.destroy(64) ? 1U : 0U) + code_of(table.root());
}

// The number of levels is found out at boot.
using either = one_of<page_table<riscv::sv39x4, kernel_policies>, page_table<riscv::sv48x4, kernel_policies>>;
std::uint64_t choose(kernel_pages& pages, int levels, input_address address) noexcept {
  const auto which = find_format<either>([&]<class Format>() { return Format::shape.levels == levels; });
  either made{which.value_or(0), kernel_policies{pages}};
  either moved{static_cast<either&&>(made)};
  kernel_lock lock;
  return moved.visit([&](auto& table) {
    return code_of(table.create()) + table.shared(lock).translate(address).value_or(output_address{}).value;
  });
}

// A guest's own table, which nobody vouches for.
struct guest_words {
  const std::uint64_t* words;
  std::size_t count;

  template <class Word>
  [[nodiscard]] std::optional<Word> load(table_address table, std::size_t i) const noexcept {
    const std::uint64_t at = table.value / sizeof(Word) + i;
    if (at >= count) return {};
    return static_cast<Word>(atomic::load(words + at, order::relaxed));
  }
};
template <class Format>
std::uint64_t inspect(guest_words words, table_address root, input_range range) noexcept {
  std::uint64_t seen = 0;
  const auto walked = foreign_for_each_mapping<Format>(
      words, root, range, [&](const foreign_mapping& one) { seen += one.bytes; },
      [&](const foreign_finding& one) { seen ^= static_cast<std::uint64_t>(one.what); }, {.budget = 1 << 16});
  return seen + code_of(walked) + code_of(foreign_lookup<Format>(words, root, range.first()));
}

// Instructions, as a kernel would wrap them in inline assembly; here they are folded into a number.
struct kernel_cpu {
  std::uint64_t* folded;

  void fold(std::uint64_t operand) noexcept { *folded = *folded * 31 + operand; }
  void enter_vmid() noexcept { fold(1); }
  void leave_vmid() noexcept { fold(2); }
  void dsb_ish() noexcept { fold(3); }
  void dsb_nsh() noexcept { fold(4); }
  void isb() noexcept { fold(5); }
  void tlbi_ipas2e1is(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ipas2le1is(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ipas2e1(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ipas2le1(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ripas2e1is(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ripas2le1is(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ripas2e1(std::uint64_t x) noexcept { fold(x); }
  void tlbi_ripas2le1(std::uint64_t x) noexcept { fold(x); }
  void tlbi_vmalle1is() noexcept { fold(6); }
  void tlbi_vmalle1() noexcept { fold(7); }
  void tlbi_vmalls12e1is() noexcept { fold(8); }
  void tlbi_vmalls12e1() noexcept { fold(9); }
};
struct kernel_harts {
  std::uint64_t* folded;

  void fold(std::uint64_t operand) noexcept { *folded = *folded * 31 + operand; }
  void hfence_gvma(std::uint64_t address, std::uint64_t vmid) noexcept { fold(address + vmid); }
  void hfence_gvma_all(std::uint64_t vmid) noexcept { fold(vmid); }
  void sfence_w_inval() noexcept { fold(1); }
  void hinval_gvma(std::uint64_t address, std::uint64_t vmid) noexcept { fold(address + vmid); }
  void sfence_inval_ir() noexcept { fold(2); }
  void send(const riscv::gstage_fence& fence) noexcept { fold(fence.step); }
  void wait() noexcept { fold(3); }
};
constexpr arm64::tlbi_options every_feature{.level_hints = true, .ranges = true};
using arm_tlbi = arm64::stage2_invalidation<arm64::granule::k4, kernel_cpu, every_feature>;
using riscv_invalidation = riscv::gstage_invalidation<kernel_harts, riscv::hfence_options{.svinval = true}>;

template <class Policy>
std::uint64_t invalidate(Policy policy, const invalidation_request& request) noexcept {
  policy.add(request);
  policy.complete();
  policy.local(request);
  return request.last - request.first;
}

using arm = arm64::stage2_4k<40, arm64::stage2_options{.hardware_dirty = true, .contiguous = true}>;
using supervisor = riscv::stage1<3, riscv::extensions{.svadu = true, .svnapot = true, .svrsw60t59b = true}>;

}  // namespace

// What the rest of the kernel would call: for the tables of a device, where nobody works in sections, and for any.
#define QUIRE_DEVICE_CALLS(name, format)                                                                       \
  std::uint64_t name##_change(void* g, std::uint64_t first, std::uint64_t bytes, std::uint64_t output);        \
  std::uint64_t name##_change(void* g, std::uint64_t first, std::uint64_t bytes, std::uint64_t output) {       \
    return change_everything(*static_cast<guest<format>*>(g), input_range::sized(input_address{first}, bytes), \
                             output_address{output});                                                          \
  }                                                                                                            \
  std::uint64_t name##_read(void* g, std::uint64_t address);                                                   \
  std::uint64_t name##_read(void* g, std::uint64_t address) {                                                  \
    return read_everything(*static_cast<guest<format>*>(g), input_address{address});                           \
  }                                                                                                            \
  std::uint64_t name##_live(void* pages);                                                                      \
  std::uint64_t name##_live(void* pages) { return live_and_die<format>(*static_cast<kernel_pages*>(pages)); }
#define QUIRE_KERNEL_CALLS(name, format)                                                                       \
  QUIRE_DEVICE_CALLS(name, format)                                                                             \
  std::uint64_t name##_concurrently(void* g, std::uint64_t first, std::uint64_t bytes, std::uint64_t output);  \
  std::uint64_t name##_concurrently(void* g, std::uint64_t first, std::uint64_t bytes, std::uint64_t output) { \
    return change_concurrently(*static_cast<lockless_guest<format>*>(g),                                       \
                               input_range::sized(input_address{first}, bytes), output_address{output});       \
  }                                                                                                            \
  std::uint64_t name##_log(void* g, std::uint64_t* words, std::uint64_t first, std::uint64_t pages);           \
  std::uint64_t name##_log(void* g, std::uint64_t* words, std::uint64_t first, std::uint64_t pages) {          \
    auto& with_lock = *static_cast<guest<format>*>(g);                                                         \
    auto& without = *static_cast<lockless_guest<format>*>(g);                                                  \
    return log_everything(with_lock.table, with_lock.lock, words, input_address{first}, pages) +               \
           log_everything(without.table, without.section, words, input_address{first}, pages);                 \
  }

// All calls for a word of 64 and of 32 bits and for groups; which helper functions a compiler calls depends on that,
// not on the architecture that the tables are for.
extern "C" {
QUIRE_KERNEL_CALLS(quire_sv39x4, riscv::sv39x4)
QUIRE_KERNEL_CALLS(quire_sv32x4, riscv::sv32x4)
QUIRE_KERNEL_CALLS(quire_arm64, arm)
QUIRE_DEVICE_CALLS(quire_sv39, supervisor)
QUIRE_DEVICE_CALLS(quire_ept, intel::ept<4>)
QUIRE_DEVICE_CALLS(quire_amd_iommu, amd::iommu<6>)

std::uint64_t quire_choose(void* pages, int levels, std::uint64_t address);
std::uint64_t quire_choose(void* pages, int levels, std::uint64_t address) {
  return choose(*static_cast<kernel_pages*>(pages), levels, input_address{address});
}

std::uint64_t quire_inspect(const std::uint64_t* words, std::size_t count, std::uint64_t root, std::uint64_t bytes);
std::uint64_t quire_inspect(const std::uint64_t* words, std::size_t count, std::uint64_t root, std::uint64_t bytes) {
  return inspect<arm>({words, count}, table_address{root}, input_range::sized(input_address{0}, bytes));
}

std::uint64_t quire_arm64_invalidate(std::uint64_t first, std::uint64_t last, int level);
std::uint64_t quire_arm64_invalidate(std::uint64_t first, std::uint64_t last, int level) {
  std::uint64_t folded = 0;
  const invalidation_request request{input_address{first}, input_address{last}, level, true,
                                     invalidation_reason::reduced};
  return invalidate(arm_tlbi{kernel_cpu{&folded}}, request) + folded;
}
// The best tables that this CPU can walk, and its registers for them.
std::uint64_t quire_arm64_registers(std::uint64_t mmfr0, std::uint64_t mmfr1, std::uint64_t mmfr2, std::uint64_t root);
std::uint64_t quire_arm64_registers(std::uint64_t mmfr0, std::uint64_t mmfr1, std::uint64_t mmfr2, std::uint64_t root) {
  const arm64::cpu_features cpu = arm64::features_of(mmfr0, mmfr1, mmfr2);
  std::uint64_t folded = 0;
  const auto said = arm64::with_first_stage2<arm64::stage2_64k<48>, arm64::stage2_16k<40>, arm>(cpu, [&]<class F>() {
    folded = arm64::vtcr<F>(cpu).value_or(0) + arm64::vttbr<F>(cpu, table_address{root}, 1).value_or(0);
  });
  using hypervisor = arm64::stage1<arm64::granule::k4, 48, arm64::el2_options>;
  return folded + static_cast<std::uint64_t>(said.error().code) + arm64::tcr_el2<hypervisor>(cpu).value_or(0) +
         arm64::ttbr0<hypervisor>(cpu, table_address{root}).value_or(0);
}
std::uint64_t quire_riscv_invalidate(std::uint64_t first, std::uint64_t last, int level, std::uint64_t vmid);
std::uint64_t quire_riscv_invalidate(std::uint64_t first, std::uint64_t last, int level, std::uint64_t vmid) {
  std::uint64_t folded = 0;
  const invalidation_request request{input_address{first}, input_address{last}, level, true,
                                     invalidation_reason::reduced};
  return invalidate(riscv_invalidation{kernel_harts{&folded}, vmid}, request) + folded;
}
}
