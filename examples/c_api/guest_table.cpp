// SPDX-License-Identifier: MIT
// guest_table.h in terms of Quire: the one C++ file of a C kernel. Formats are chosen when a table is made; from there
// on each call is one switch, and behind it everything is known at compile time.
//
// Build it as the kernel is built: -std=c++20 -ffreestanding -fno-exceptions -fno-rtti. A broken promise of the
// kernel's (contract.hpp) stops at an illegal instruction unless QUIRE_CONTRACT_VIOLATION is defined.
#ifndef QUIRE_CONTRACT_VIOLATION
#define QUIRE_CONTRACT_VIOLATION(text) __builtin_trap()
#endif

#include "guest_table.h"

#include <new>          // placement new, launder
#include <type_traits>  // conditional_t

#include <quire/quire.hpp>  // page_table, dirty_log, fault_handler

namespace {

using namespace quire;

// ---- the same names on both sides

#define GUEST_SAME_ERRC(c_name, name) \
  static_assert(static_cast<std::uint8_t>(c_name) == static_cast<std::uint8_t>(errc::name))
GUEST_SAME_ERRC(GUEST_ERRC_NONE, none);
GUEST_SAME_ERRC(GUEST_ERRC_EMPTY_RANGE, empty_range);
GUEST_SAME_ERRC(GUEST_ERRC_RANGE_OVERFLOW, range_overflow);
GUEST_SAME_ERRC(GUEST_ERRC_UNALIGNED, unaligned);
GUEST_SAME_ERRC(GUEST_ERRC_BEYOND_INPUT, beyond_input);
GUEST_SAME_ERRC(GUEST_ERRC_BEYOND_OUTPUT, beyond_output);
GUEST_SAME_ERRC(GUEST_ERRC_UNSUPPORTED_ATTRIBUTE, unsupported_attribute);
GUEST_SAME_ERRC(GUEST_ERRC_UNSUPPORTED_LEVEL, unsupported_level);
GUEST_SAME_ERRC(GUEST_ERRC_NO_MEMORY, no_memory);
GUEST_SAME_ERRC(GUEST_ERRC_ALREADY_MAPPED, already_mapped);
GUEST_SAME_ERRC(GUEST_ERRC_MARKED, marked);
GUEST_SAME_ERRC(GUEST_ERRC_NOT_MAPPED, not_mapped);
GUEST_SAME_ERRC(GUEST_ERRC_CROSSES_LEAF, crosses_leaf);
GUEST_SAME_ERRC(GUEST_ERRC_NOT_PERMITTED, not_permitted);
GUEST_SAME_ERRC(GUEST_ERRC_BUSY, busy);
GUEST_SAME_ERRC(GUEST_ERRC_NOT_UNIFORM, not_uniform);
GUEST_SAME_ERRC(GUEST_ERRC_NO_ROOT, no_root);
GUEST_SAME_ERRC(GUEST_ERRC_STOPPED, stopped);
#undef GUEST_SAME_ERRC

#define GUEST_SAME(c_name, name) static_assert(static_cast<unsigned>(c_name) == static_cast<unsigned>(name))
GUEST_SAME(GUEST_NORMAL, memory_type::normal);
GUEST_SAME(GUEST_NON_CACHEABLE, memory_type::non_cacheable);
GUEST_SAME(GUEST_DEVICE, memory_type::device);
GUEST_SAME(GUEST_INSTALLED, invalidation_reason::installed);
GUEST_SAME(GUEST_RELAXED, invalidation_reason::relaxed);
GUEST_SAME(GUEST_REDUCED, invalidation_reason::reduced);
GUEST_SAME(GUEST_RESIZED, invalidation_reason::resized);
GUEST_SAME(GUEST_REMOVED, invalidation_reason::removed);
GUEST_SAME(GUEST_SPLIT, partial::split);
GUEST_SAME(GUEST_WHOLE, partial::whole);
GUEST_SAME(GUEST_REFUSE, partial::error);
GUEST_SAME(GUEST_GRANTED, write_grant::granted);
GUEST_SAME(GUEST_ALREADY, write_grant::already);
GUEST_SAME(GUEST_GRANT_NO_LEAF, write_grant::not_mapped);
GUEST_SAME(GUEST_GRANT_BLOCK, write_grant::not_page);
GUEST_SAME(GUEST_GRANT_REFUSED, write_grant::not_permitted);
GUEST_SAME(GUEST_GRANT_BUSY, write_grant::busy);
GUEST_SAME(GUEST_RECOVER_NOT, block_recovery::none);
GUEST_SAME(GUEST_RECOVER_NOW, block_recovery::in_place);
GUEST_SAME(GUEST_RECOVER_ON_FAULT, block_recovery::on_fault);
GUEST_SAME(GUEST_FIXED, fault_outcome::fixed);
GUEST_SAME(GUEST_FIXED_FAST, fault_outcome::fixed_fast);
GUEST_SAME(GUEST_RETRY, fault_outcome::retry);
GUEST_SAME(GUEST_NOT_MEMORY, fault_outcome::not_memory);
#undef GUEST_SAME
static_assert(readable.bits == GUEST_READ && writable.bits == GUEST_WRITE && executable.bits == GUEST_EXECUTE);

// ---- the callbacks as policies

class ops_tables {  // a table_allocator for caches; as a table's own source it has roots and nothing in stock
 public:
  explicit ops_tables(const guest_ops* ops) noexcept : ops_(ops) {}

  result<table_address> allocate(std::uint64_t bytes) noexcept {
    const std::uint64_t table = ops_->allocate_table(ops_->context, bytes);
    if (table == 0) return errc::no_memory;
    return table_address{table};
  }
  void free(table_address table, std::uint64_t bytes) noexcept { ops_->free_table(ops_->context, table.value, bytes); }

  [[nodiscard]] bool reserve(std::size_t n) noexcept { return n == 0; }
  result<table_address> take(table_contents) noexcept { return errc::no_memory; }
  void give_back(table_address table) noexcept { free(table, table_bytes); }
  result<table_address> take_root(std::uint64_t bytes) noexcept { return allocate(bytes); }
  void give_back_root(table_address table, std::uint64_t bytes) noexcept { free(table, bytes); }

  static constexpr std::uint64_t table_bytes = 4096;

 private:
  const guest_ops* ops_;
};

class ops_invalidation {
 public:
  explicit ops_invalidation(const guest_ops* ops) noexcept : ops_(ops) {}
  void add(const invalidation_request& request) noexcept { tell(ops_->invalidate, request); }
  void local(const invalidation_request& request) noexcept { tell(ops_->invalidate_local, request); }
  void complete() noexcept {
    if (ops_->wait != nullptr) ops_->wait(ops_->context);
  }

 private:
  void tell(void (*how)(void*, const guest_invalidation*), const invalidation_request& request) const noexcept {
    if (how == nullptr) return;
    const guest_invalidation what{request.first.value, request.last.value, request.level, request.leaf_only,
                                  static_cast<guest_reason>(request.reason)};
    how(ops_->context, &what);
  }

  const guest_ops* ops_;
};

class ops_lock {
 public:
  explicit ops_lock(const guest_ops* ops) noexcept : ops_(ops) {}
  void lock() noexcept { call(ops_->lock); }
  void unlock() noexcept { call(ops_->unlock); }
  void lock_shared() noexcept { call(ops_->lock_shared); }
  void unlock_shared() noexcept { call(ops_->unlock_shared); }

 private:
  void call(void (*what)(void*)) const noexcept {
    if (what != nullptr) what(ops_->context);
  }

  const guest_ops* ops_;
};

class ops_yield {
 public:
  explicit ops_yield(const guest_ops* ops) noexcept : ops_(ops) {}
  [[nodiscard]] bool should_yield() noexcept {
    return ops_->should_yield != nullptr && ops_->should_yield(ops_->context);
  }
  void pause() noexcept {
    if (ops_->cond_resched != nullptr) ops_->cond_resched(ops_->context);
  }

 private:
  const guest_ops* ops_;
};

class ops_maintenance {
 public:
  explicit ops_maintenance(const guest_ops* ops) noexcept : ops_(ops) {}
  void table_filled(table_address table, std::uint64_t bytes) noexcept {
    if (ops_->table_filled != nullptr) ops_->table_filled(ops_->context, table.value, bytes);
  }
  void published() noexcept {
    if (ops_->published != nullptr) ops_->published(ops_->context);
  }
  void before_invalidation() noexcept {
    if (ops_->before_invalidation != nullptr) ops_->before_invalidation(ops_->context);
  }
  void code_visible(output_address output, std::uint64_t bytes) noexcept {
    if (ops_->code_visible != nullptr) ops_->code_visible(ops_->context, output.value, bytes);
  }

 private:
  const guest_ops* ops_;
};

struct ops_policies : policies {
  using locking = quire::locking::shared<ops_lock>;
  direct_memory memory;
  ops_maintenance maintenance;
  ops_tables tables;
  batching_invalidation<ops_invalidation> invalidation;
  ops_yield yield;

  explicit ops_policies(const guest_ops* ops) noexcept
      : memory(ops->displacement), maintenance(ops), tables(ops), invalidation(ops_invalidation{ops}), yield(ops) {}
};

// What the host has behind one slot.
class ops_backing {
 public:
  ops_backing(const guest_ops* ops, const guest_slot* slot) noexcept : ops_(ops), slot_(slot) {}

  result<host_page> resolve(const memory_slot&, input_address address, bool write) noexcept {
    guest_host_page page{};
    const guest_errc said = ops_->resolve(ops_->context, slot_, address.value, write, &page);
    if (said != GUEST_ERRC_NONE) return error{static_cast<errc>(said), -1, address.value};
    return host_page{output_address{page.output}, page.writable, page.largest_level};
  }
  int mapped_level(const memory_slot&, input_address address) noexcept {
    return ops_->mapped_level(ops_->context, slot_, address.value);
  }

 private:
  const guest_ops* ops_;
  const guest_slot* slot_;
};

// Groups of callbacks are there completely or not at all.
[[nodiscard]] bool is_complete(const guest_ops& ops) noexcept {
  const bool tlb = ops.invalidate != nullptr, locks = ops.lock != nullptr, yields = ops.should_yield != nullptr;
  return ops.allocate_table != nullptr && ops.free_table != nullptr && (ops.wait != nullptr) == tlb &&
         (ops.invalidate_local != nullptr) == tlb && (ops.unlock != nullptr) == locks &&
         (ops.lock_shared != nullptr) == locks && (ops.unlock_shared != nullptr) == locks &&
         (ops.cond_resched != nullptr) == yields && (ops.resolve != nullptr) == (ops.mapped_level != nullptr);
}

// ---- what lies in the storages

template <class Format>
struct guest {
  using format = Format;
  using table_type = page_table<Format, ops_policies>;
  using session_type = exclusive_session<table_type, ops_lock>;
  using log_type = dirty_log<table_type, ops_lock, dirty_bitmap>;
  using handler_type = fault_handler<table_type, ops_lock, ops_backing, dirty_bitmap>;
  static_assert(table_unit_bytes<Format> == ops_tables::table_bytes);

  explicit guest(const guest_ops* o) noexcept : ops(o), table(ops_policies{o}), lock(o) {}

  const guest_ops* ops;
  table_type table;
  ops_lock lock;
  invalidation_sequence sequence;
  eager_split_control eager;
};

struct stock {
  using cache_type = table_cache<ops_tables, direct_memory>;

  explicit stock(const guest_ops* ops) noexcept
      : from(ops), tables(&from, direct_memory{ops->displacement}, ops_tables::table_bytes) {}
  stock(const stock&) = delete;
  stock& operator=(const stock&) = delete;

  ops_tables from;
  cache_type tables;
};

// An object where it was made: in the storage of one of the C structs.
template <class T, class Place>
[[nodiscard]] auto& stored(Place& place) noexcept {
  static_assert(sizeof(T) <= sizeof(place.storage) && alignof(T) <= alignof(std::uint64_t));
  using object = std::conditional_t<std::is_const_v<Place>, const T, T>;
  return *std::launder(reinterpret_cast<object*>(&place.storage));
}
template <class T, class Place, class... Args>
T& make(Place& place, Args&&... args) noexcept {
  static_assert(sizeof(T) <= sizeof(place.storage) && alignof(T) <= alignof(std::uint64_t));
  return *::new (static_cast<void*>(&place.storage)) T(static_cast<Args&&>(args)...);
}

// Calls function.template operator()<Format>() for the format of that name.
template <class Function>
decltype(auto) with_format(guest_format format, Function&& function) noexcept {
  switch (format) {
    case GUEST_SV39X4: return function.template operator()<riscv::sv39x4>();
    case GUEST_SV48X4: return function.template operator()<riscv::sv48x4>();
    case GUEST_STAGE2_40: return function.template operator()<arm64::stage2_4k<40>>();
    case GUEST_STAGE2_48: return function.template operator()<arm64::stage2_4k<48>>();
  }
  QUIRE_CONTRACT_VIOLATION("a table of a format that guest_table_create does not make");
  __builtin_unreachable();
}
[[nodiscard]] constexpr bool is_format(guest_format format) noexcept {
  return static_cast<unsigned>(format) <= static_cast<unsigned>(GUEST_STAGE2_48);
}
// Calls function(guest<Format>&).
template <class Table, class Function>
decltype(auto) with_table(Table& table, Function&& function) noexcept {
  return with_format(table.format,
                     [&]<class Format>() -> decltype(auto) { return function(stored<guest<Format>>(table)); });
}
// Calls function(session), a quire::exclusive_session.
template <class Function>
decltype(auto) with_session(guest_session& session, Function&& function) noexcept {
  return with_format(session.table->format, [&]<class Format>() -> decltype(auto) {
    return function(stored<typename guest<Format>::session_type>(session));
  });
}
// Calls function(guest<Format>&, log), the log of a slot.
template <class Function>
decltype(auto) with_slot(guest_slot& slot, Function&& function) noexcept {
  return with_table(*slot.table, [&]<class Guest>(Guest& g) -> decltype(auto) {
    return function(g, stored<typename Guest::log_type>(slot));
  });
}
// Calls function(tables), the stock of a cache; without one, a stock that is empty.
template <class Function>
guest_errc with_cache(guest_session& session, guest_cache* cache, Function&& function) noexcept {
  return with_session(session, [&](auto& s) {
    if (cache != nullptr) return function(s, stored<stock>(*cache).tables);
    stock::cache_type nothing{&s.table().policies().tables, direct_memory{}, ops_tables::table_bytes};
    return function(s, nothing);
  });
}

// ---- values from one side to the other

guest_errc told(const quire::error& what, guest_error* error) noexcept {
  const auto code = static_cast<guest_errc>(what.code);
  if (error != nullptr) *error = {code, what.level, what.at};
  return code;
}
// The value goes to `out`, if asked for, by way of `convert`.
template <class T, class Out, class Convert>
guest_errc told(const result<T>& said, Out* out, guest_error* error, Convert&& convert) noexcept {
  if (!said) return told(said.error(), error);
  if (out != nullptr) *out = convert(*said);
  return GUEST_ERRC_NONE;
}
template <class T>
guest_errc told(const result<T>& said, T* out, guest_error* error) noexcept {
  return told(said, out, error, [](const T& value) { return value; });
}
guest_errc told(const result<void>& said, guest_error* error) noexcept {
  return said ? GUEST_ERRC_NONE : told(said.error(), error);
}

[[nodiscard]] input_range range_of(std::uint64_t first, std::uint64_t bytes) noexcept {
  return input_range::sized(input_address{first}, bytes);
}
[[nodiscard]] result<permissions> rights_of(unsigned rights, std::uint64_t address) noexcept {
  if ((rights & ~unsigned{all_access.bits}) != 0) return quire::error{errc::unsupported_attribute, -1, address};
  return permissions{static_cast<std::uint8_t>(rights)};
}
[[nodiscard]] result<attributes> attributes_of(const guest_attributes& a, std::uint64_t address) noexcept {
  const auto rights = rights_of(a.rights, address);
  if (!rights) return rights.error();
  if (static_cast<unsigned>(a.memory) > static_cast<unsigned>(GUEST_DEVICE))
    return quire::error{errc::unsupported_attribute, -1, address};
  return attributes{.allowed = *rights,
                    .may_write = a.may_write,
                    .memory = static_cast<memory_type>(a.memory),
                    .accessed = a.accessed,
                    .dirty = a.dirty};
}
[[nodiscard]] guest_attributes attributes_of(const attributes& a) noexcept {
  return {a.allowed.bits, static_cast<guest_memory>(a.memory), a.may_write, a.accessed, a.dirty};
}
[[nodiscard]] guest_leaf leaf_of(const mapping& m) noexcept {
  return {m.input.value, m.output.value, m.bytes, m.level, attributes_of(m.attrs)};
}
template <class Format>
[[nodiscard]] guest_leaf leaf_of(const removed_leaf& leaf) noexcept {
  int level = 0;
  while (Format::shape.leaf_bytes(level) != leaf.bytes) ++level;
  return {leaf.address.value, leaf.output.value, leaf.bytes, level, attributes_of(leaf.was)};
}

// A removal report that may be missing, or have no function.
template <class Format>
class removals {
 public:
  explicit removals(const guest_removal_report* report) noexcept : report_(report) {}
  void operator()(const removed_leaf& leaf) const noexcept {
    if (report_ == nullptr || report_->removed == nullptr) return;
    const guest_leaf gone = leaf_of<Format>(leaf);
    report_->removed(report_->context, &gone);
  }

 private:
  const guest_removal_report* report_;
};

[[nodiscard]] guest_log_work work_of(const dirty_log_work& work) noexcept {
  return {work.words_taken, work.split.leaves, work.split.missed, work.split.drops, work.blocks_recovered};
}

}  // namespace

// ---- formats -------------------------------------------------------------------------------------

const char* guest_errc_name(enum guest_errc code) { return name_of(static_cast<errc>(code)); }

guest_format_facts guest_describe(enum guest_format format) {
  if (!is_format(format)) return {};
  return with_format(format, []<class Format>() {
    return guest_format_facts{.input_bits = Format::shape.input_bits(),
                              .output_bits = Format::facts.output_bits,
                              .levels = Format::shape.levels,
                              .root_bytes = root_table_bytes<Format>,
                              .break_before_make = Format::facts.break_before_make,
                              .has_dirty = Format::facts.has_dirty,
                              .sets_accessed = Format::facts.sets_accessed,
                              .payload_bits = Format::facts.marker_bits};
  });
}

// ---- a table -------------------------------------------------------------------------------------

guest_errc guest_table_create(guest_table* table, guest_format format, const guest_ops* ops, guest_error* error) {
  if (!is_format(format) || !is_complete(*ops)) return told({errc::unsupported_attribute, -1, 0}, error);
  table->format = format;
  return with_format(format,
                     [&]<class Format>() { return told(make<guest<Format>>(*table, ops).table.create(), error); });
}

// The destructors have nothing left to do then, and are not run: a later call finds no root and says so.
bool guest_table_destroy(guest_table* table, size_t most) {
  return with_table(*table, [&](auto& g) { return g.table.destroy(most); });
}

guest_errc guest_table_root(const guest_table* table, uint64_t* address, guest_error* error) {
  return with_table(*table, [&](const auto& g) {
    return told(g.table.root(), address, error, [](table_address root) { return root.value; });
  });
}

guest_errc guest_table_eager_split(guest_table* table, uint64_t chunk_bytes, guest_error* error) {
  return with_table(*table, [&]<class Format>(guest<Format>& g) {
    if (!is_chunk_size<Format>(chunk_bytes)) return told({errc::unsupported_attribute, -1, chunk_bytes}, error);
    g.eager.set_chunk_bytes(chunk_bytes);
    return GUEST_ERRC_NONE;
  });
}

guest_errc guest_table_lookup(guest_table* table, uint64_t address, guest_leaf* leaf, guest_error* error) {
  return with_table(*table, [&]<class Format>(guest<Format>& g) {
    const auto root = g.table.root();
    if (!root) return told(root.error(), error);
    const auto found =
        look_up<Format, ops_policies::locking::reader_order>(g.table.policies().memory, *root, input_address{address});
    return told(found, leaf, error, [](const mapping& m) { return leaf_of(m); });
  });
}

guest_errc guest_table_needs(const guest_table* table, uint64_t first, uint64_t bytes, uint64_t output,
                             int largest_level, size_t* tables, guest_error* error) {
  return with_format(table->format, [&]<class Format>() {
    const input_range range = range_of(first, bytes);
    if (const auto bad = check_range<Format>(range); bad.code != errc::none) return told(bad, error);
    if (tables != nullptr)
      *tables = tables_needed<Format>(range, output_address{output}, {.largest_level = largest_level});
    return GUEST_ERRC_NONE;
  });
}

// ---- caches --------------------------------------------------------------------------------------

void guest_cache_init(guest_cache* cache, const guest_ops* ops) { make<stock>(*cache, ops); }
bool guest_cache_top_up(guest_cache* cache, size_t tables) { return stored<stock>(*cache).tables.top_up(tables); }
size_t guest_cache_stock(const guest_cache* cache) { return stored<stock>(*cache).tables.stock(); }
void guest_cache_drain(guest_cache* cache) { stored<stock>(*cache).tables.drain(); }

// ---- the write side ------------------------------------------------------------------------------

void guest_session_begin(guest_session* session, guest_table* table, guest_locking locking) {
  session->table = table;
  with_table(*table, [&]<class Format>(guest<Format>& g) {
    make<typename guest<Format>::session_type>(*session, g.table, &g.lock, locking == GUEST_TAKE_LOCK);
  });
}

void guest_session_end(guest_session* session) {
  with_session(*session, []<class Session>(Session& s) { s.~Session(); });
}

bool guest_let_go(guest_session* session, guest_cache* cache, size_t tables) {
  const bool low = cache != nullptr && guest_cache_stock(cache) < tables;
  bool stocked = true;
  const bool alive = with_session(*session, [&](auto& s) {
    return s.let_go(low, [&] { stocked = cache == nullptr || guest_cache_top_up(cache, tables); });
  });
  return alive && stocked;
}

guest_errc guest_map(guest_session* session, uint64_t first, uint64_t bytes, uint64_t output,
                     const guest_attributes* attributes, const guest_map_options* options, guest_cache* cache,
                     guest_error* error) {
  const auto wanted = attributes_of(*attributes, first);
  if (!wanted) return told(wanted.error(), error);
  map_options how;
  if (options != nullptr && options->largest_level < 0) return told({errc::unsupported_level, -1, first}, error);
  if (options != nullptr) how = {.largest_level = options->largest_level, .replace = options->replace};
  return with_cache(*session, cache, [&]<class Session>(Session& s, auto& tables) {
    const removals<typename Session::format> report{options != nullptr ? options->report : nullptr};
    return told(s.map(range_of(first, bytes), output_address{output}, *wanted, tables, how, report), error);
  });
}

guest_errc guest_unmap(guest_session* session, uint64_t first, uint64_t bytes, guest_partial partial,
                       const guest_removal_report* report, guest_cache* cache, guest_unmapped* unmapped,
                       guest_error* error) {
  return with_cache(*session, cache, [&]<class Session>(Session& s, auto& tables) {
    const auto gone = s.unmap(range_of(first, bytes), static_cast<quire::partial>(partial), tables,
                              removals<typename Session::format>{report});
    return told(gone, unmapped, error, [](const unmap_result& r) {
      return guest_unmapped{r.entries, r.accessed, r.dirty, r.covered.first().value, r.covered.last().value};
    });
  });
}

guest_errc guest_protect(guest_session* session, uint64_t first, uint64_t bytes, unsigned rights, guest_partial partial,
                         guest_cache* cache, bool* changed, guest_error* error) {
  const auto wanted = rights_of(rights, first);
  if (!wanted) return told(wanted.error(), error);
  return with_cache(*session, cache, [&](auto& s, auto& tables) {
    return told(s.protect(range_of(first, bytes), *wanted, static_cast<quire::partial>(partial), tables), changed,
                error);
  });
}

guest_errc guest_write_protect(guest_session* session, uint64_t first, uint64_t bytes, bool* changed,
                               guest_error* error) {
  return with_session(*session, [&](auto& s) { return told(s.write_protect(range_of(first, bytes)), changed, error); });
}

guest_errc guest_write_protect_mask(guest_session* session, uint64_t first, uint64_t mask, bool* changed,
                                    guest_error* error) {
  return with_session(*session,
                      [&](auto& s) { return told(s.write_protect(input_address{first}, mask), changed, error); });
}

guest_errc guest_relax(guest_session* session, uint64_t address, unsigned rights, guest_error* error) {
  const auto wanted = rights_of(rights, address);
  if (!wanted) return told(wanted.error(), error);
  return with_session(*session, [&](auto& s) { return told(s.relax(input_address{address}, *wanted), error); });
}

guest_errc guest_set_accessed(guest_session* session, uint64_t first, uint64_t bytes, bool* changed,
                              guest_error* error) {
  return with_session(*session, [&](auto& s) { return told(s.set_accessed(range_of(first, bytes)), changed, error); });
}

guest_errc guest_test_and_clear_accessed(guest_session* session, uint64_t first, uint64_t bytes, bool* changed,
                                         guest_error* error) {
  return with_session(*session,
                      [&](auto& s) { return told(s.test_and_clear_accessed(range_of(first, bytes)), changed, error); });
}

guest_errc guest_split(guest_session* session, uint64_t first, uint64_t bytes, int target_level, guest_cache* cache,
                       guest_split_result* result, guest_error* error) {
  return with_cache(*session, cache, [&](auto& s, auto& tables) {
    return told(s.split(range_of(first, bytes), target_level, tables), result, error, [](const split_result& r) {
      return guest_split_result{r.leaves, r.tables, r.out_of_memory, r.stopped_at.value};
    });
  });
}

guest_errc guest_collapse(guest_session* session, uint64_t first, uint64_t bytes, int largest_level, size_t* leaves,
                          guest_error* error) {
  return with_session(*session, [&](auto& s) {
    return told(s.collapse(range_of(first, bytes), largest_level), leaves, error,
                [](const collapse_result& r) { return r.leaves; });
  });
}

guest_errc guest_prune(guest_session* session, uint64_t first, uint64_t bytes, size_t* tables, guest_error* error) {
  return with_session(*session, [&](auto& s) { return told(s.prune(range_of(first, bytes)), tables, error); });
}

guest_errc guest_annotate(guest_session* session, uint64_t first, uint64_t bytes, uint64_t payload, guest_cache* cache,
                          guest_error* error) {
  return with_cache(*session, cache, [&](auto& s, auto& tables) {
    return told(s.annotate(range_of(first, bytes), payload, tables), error);
  });
}

guest_errc guest_annotation(guest_session* session, uint64_t address, uint64_t* payload, guest_error* error) {
  return with_session(*session, [&](auto& s) { return told(s.annotation(input_address{address}), payload, error); });
}

guest_errc guest_for_each(guest_session* session, uint64_t first, uint64_t bytes,
                          bool (*visit)(void* context, const guest_leaf* leaf), void* context, guest_error* error) {
  return with_session(*session, [&](auto& s) {
    return told(s.for_each_mapping(range_of(first, bytes),
                                   [&](const mapping& m) {
                                     const guest_leaf leaf = leaf_of(m);
                                     return visit(context, &leaf);
                                   }),
                error);
  });
}

// ---- the read side -------------------------------------------------------------------------------

guest_grant guest_make_writable(guest_table* table, uint64_t address, void (*mark)(void* context), void* context) {
  return with_table(*table, [&](auto& g) {
    auto session = g.table.shared(g.lock);
    return static_cast<guest_grant>(session.make_writable(input_address{address}, [&] { mark(context); }));
  });
}

guest_errc guest_relax_page(guest_table* table, uint64_t address, unsigned rights, guest_error* error) {
  const auto wanted = rights_of(rights, address);
  if (!wanted) return told(wanted.error(), error);
  return with_table(*table, [&](auto& g) {
    auto session = g.table.shared(g.lock);
    return told(session.relax(input_address{address}, *wanted), error);
  });
}

guest_errc guest_age_page(guest_table* table, uint64_t address, bool* was_accessed, guest_error* error) {
  return with_table(*table, [&](auto& g) {
    auto session = g.table.shared(g.lock);
    return told(session.test_and_clear_accessed(input_address{address}), was_accessed, error);
  });
}

// ---- changes of the host's own mapping -----------------------------------------------------------

guest_errc guest_host_change_begin(guest_session* session, uint64_t first, uint64_t bytes, guest_host_change* change,
                                   guest_error* error) {
  return with_table(*session->table, [&]<class Format>(guest<Format>& g) {
    const input_range range = range_of(first, bytes);
    if (const auto bad = check_range<Format>(range); bad.code != errc::none) return told(bad, error);
    change->slot = g.sequence.begin(range).slot;
    return GUEST_ERRC_NONE;
  });
}

void guest_host_change_end(guest_session* session, guest_host_change change) {
  with_table(*session->table, [&](auto& g) { g.sequence.end({change.slot}); });
}

// ---- slots and their dirty log -------------------------------------------------------------------

size_t guest_bitmap_words(uint64_t pages) { return bitmap_words(pages); }

guest_errc guest_slot_init(guest_slot* slot, guest_table* table, const guest_slot_config* config, guest_error* error) {
  slot->table = table;
  const auto rights = rights_of(config->rights, config->first);
  if (!rights) return told(rights.error(), error);
  return with_table(*table, [&]<class Format>(guest<Format>& g) {
    if (g.ops->resolve == nullptr || config->bitmap == nullptr)
      return told({errc::unsupported_attribute, -1, config->first}, error);
    constexpr int page_bits = Format::shape.page_bits;
    if ((config->pages << page_bits) >> page_bits != config->pages)
      return told({errc::range_overflow, -1, config->first}, error);
    const memory_slot where{.first = input_address{config->first},
                            .pages = config->pages,
                            .host = config->host,
                            .rights = *rights,
                            .read_only = config->read_only};
    if (const auto bad = check_range<Format>(where.template range<Format>()); bad.code != errc::none)
      return told(bad, error);
    make<typename guest<Format>::log_type>(*slot, g.table, g.lock, where, dirty_bitmap{config->bitmap, config->pages},
                                           g.eager);
    return GUEST_ERRC_NONE;
  });
}

guest_errc guest_log_enable(guest_slot* slot, guest_log_mode mode, guest_cache* cache, guest_log_work* work,
                            guest_error* error) {
  const dirty_log_mode how{.manual_protect = mode != GUEST_LOG_GET_CLEARS,
                           .initially_set = mode == GUEST_LOG_INITIALLY_SET};
  return with_slot(*slot, [&](auto&, auto& log) {
    return told(log.enable(how, stored<stock>(*cache).tables), work, error, work_of);
  });
}

guest_errc guest_log_get(guest_slot* slot, uint64_t* words, guest_cache* cache, guest_log_work* work,
                         guest_error* error) {
  return with_slot(*slot, [&](auto&, auto& log) {
    return told(log.get(words, stored<stock>(*cache).tables), work, error, work_of);
  });
}

guest_errc guest_log_clear(guest_slot* slot, uint64_t first_page, uint64_t pages, const uint64_t* words,
                           guest_cache* cache, guest_log_work* work, guest_error* error) {
  return with_slot(*slot, [&](auto&, auto& log) {
    return told(log.clear(first_page, pages, words, stored<stock>(*cache).tables), work, error, work_of);
  });
}

guest_errc guest_log_disable(guest_slot* slot, guest_recovery recovery, guest_log_work* work, guest_error* error) {
  return with_slot(*slot, [&](auto& g, auto& log) {
    ops_backing backing{g.ops, slot};
    return told(log.disable(static_cast<block_recovery>(recovery), backing), work, error, work_of);
  });
}

// ---- faults --------------------------------------------------------------------------------------

guest_errc guest_handle_fault(guest_table* table, guest_slot* slot, const ::guest_fault* fault, guest_cache* cache,
                              guest_fault_report* report, guest_error* error) {
  const auto access = rights_of(fault->access, fault->address);
  if (!access) return told(access.error(), error);
  return with_table(*table, [&]<class Guest>(Guest& g) {
    ops_backing backing{g.ops, slot};
    typename Guest::handler_type handler{g.table, g.lock, g.sequence, backing, fault_path::fast};
    const auto done = handler.handle({input_address{fault->address}, *access, fault->writes_guest_tables},
                                     slot != nullptr ? &stored<typename Guest::log_type>(*slot) : nullptr,
                                     stored<stock>(*cache).tables);
    return told(done, report, error, [](const fault_report& r) {
      return guest_fault_report{static_cast<guest_outcome>(r.outcome), r.splits, r.made_block};
    });
  });
}
