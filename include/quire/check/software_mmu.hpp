// SPDX-License-Identifier: MIT
// A hardware walker in software: several CPUs that walk a table over any memory policy and remember what they saw for
// as long as the architecture lets them.
//
// It is the worst hardware that is still legal. Every leaf it ever saw stays cached until an invalidation that covers
// it; a block is cached whole and as a fragment of one page; a level hint and leaf_only are taken at their word. What
// may be cached:
//   leaves             with their rights and dirty bit. Too few rights are believed too: the access faults.
//   "not mapped"       where the format says that invalid entries are cached.
//   table entries      so that the next walk starts lower; kept by an invalidation that is leaf_only.
// What is cached is tagged with the VMID of the guest that the CPU ran (the only one is 0): it stays while the CPU runs
// another, is met again when the guest comes back, and goes only with an invalidation under its own VMID.
//
// A walk is a machine of small steps, one access to an entry each, so that a test can let other things happen between
// them. An invalidation that completes discards the walks that began before it: hardware waits for them.
//
// The hardware sets accessed and dirty, where the format says so, by compare-exchange of the entry it read; when that
// fails it reads the entry again.
#pragma once

#include <algorithm>  // remove_if
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <utility>    // move
#include <vector>     // vector

#include <quire/check/naive_walk.hpp>     // input_of, offset_in_leaf
#include <quire/format/concept.hpp>       // pte_format
#include <quire/policy/invalidation.hpp>  // invalidation_request
#include <quire/policy/memory.hpp>        // memory_policy

namespace quire::check {

enum class access_type : unsigned char { read, write, execute };
enum class fault : unsigned char { none, not_mapped, permission, accessed_missing, dirty_missing };

struct access_result {
  fault why = fault::none;
  output_address output{};  // where there is no fault
  bool cached = false;      // answered from a cache: after an invalidation the answer may differ

  [[nodiscard]] bool ok() const noexcept { return why == fault::none; }
};

struct cached_translation {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t output = 0;  // of `first`
  int level = 0;             // of the entry it comes from, also where it is a fragment of one page
  bool mapped = false;       // false: remembers that nothing is there
  bool dirty = false;        // a store goes through without a look at the table
  permissions allowed{};
  memory_type memory = memory_type::normal;
  unsigned vmid = 0;

  [[nodiscard]] bool covers(std::uint64_t input) const noexcept { return first <= input && input <= last; }
  friend bool operator==(const cached_translation&, const cached_translation&) = default;
};

struct cached_table {
  std::uint64_t first;
  std::uint64_t last;
  int level;  // of the table it leads to
  table_address table;
  unsigned vmid = 0;

  friend bool operator==(const cached_table&, const cached_table&) = default;
};

template <class Word>
struct walk_in_flight {
  bool active = false;
  bool loaded = false;  // `word` is the entry that ends the walk; what remains is to obey it
  access_type access = access_type::read;
  unsigned vmid = 0;
  int level = 0;
  std::uint64_t input = 0;
  std::uint64_t base = 0;  // the first byte that `table` translates
  table_address table{};
  Word word{};
};

struct mmu_options {
  bool cache_tables = true;       // keep table entries, and start walks from them
  bool cache_fragments = true;    // keep blocks as fragments of one page, too
  bool cache_whole = true;        // keep blocks as a whole
  std::size_t most_cached = 512;  // of each kind on each CPU; then the oldest is evicted
};

// Requires: the addresses that are accessed lie within the format's input space.
template <pte_format F, class Memory>
class software_mmu {
 public:
  using word = typename F::word;
  using walk = walk_in_flight<word>;
  struct cpu {
    std::vector<cached_translation> translations;
    std::vector<cached_table> tables;
    walk flight;
    std::size_t evict = 0;
    unsigned vmid = 0;  // of the guest it runs
  };

  software_mmu(Memory memory, unsigned cpus, mmu_options options = {})
      : memory_(std::move(memory)), options_(options), cpus_(cpus) {}

  // ---- guests: a root under a VMID; tables that lie elsewhere come with a memory of their own.
  void set_root(table_address root, unsigned vmid = 0) { set_root(root, vmid, memory_); }
  void set_root(table_address root, unsigned vmid, Memory memory) {
    leave(vmid);
    guests_.push_back({vmid, root, std::move(memory)});
  }
  // The CPUs leave the table for good: nothing of it is cached or in flight any more.
  void leave(unsigned vmid = 0) {
    drop(guests_, [&](const guest& one) { return one.vmid == vmid; });
    for (cpu& one : cpus_) {
      drop(one.translations, [&](const cached_translation& entry) { return entry.vmid == vmid; });
      drop(one.tables, [&](const cached_table& entry) { return entry.vmid == vmid; });
      if (one.flight.vmid == vmid) one.flight.active = false;
    }
  }
  [[nodiscard]] bool has_root(unsigned vmid = 0) const noexcept { return guest_of(vmid) != nullptr; }
  [[nodiscard]] table_address root(unsigned vmid = 0) const noexcept {
    const guest* const one = guest_of(vmid);
    return one == nullptr ? table_address{} : one->root;
  }
  // A CPU goes over to a guest. A walk that it has in flight ends under the VMID that it began with.
  void enter(unsigned on, unsigned vmid) noexcept { cpus_[on].vmid = vmid; }

  // ---- accesses
  // One access from start to end.
  access_result translate(unsigned on, std::uint64_t input, access_type access) {
    access_result result;
    if (!has_root(cpus_[on].vmid)) return {.why = fault::not_mapped};
    if (from_cache(cpus_[on], input, access, result)) return result;
    walk one;
    start(cpus_[on], one, input, access);
    while (!advance(cpus_[on], one, result)) {
    }
    return result;
  }
  access_result translate(unsigned on, input_address input, access_type access) {
    return translate(on, input.value, access);
  }
  // Begins a walk that step() carries on; one at a time on each CPU, a new one replaces it.
  void begin(unsigned on, std::uint64_t input, access_type access) {
    if (has_root(cpus_[on].vmid)) start(cpus_[on], cpus_[on].flight, input, access);
  }
  // One access to an entry. True when no walk is left in flight; `result` then says how it ended.
  bool step(unsigned on, access_result& result) {
    walk& flight = cpus_[on].flight;
    if (flight.active && !advance(cpus_[on], flight, result)) return false;
    flight.active = false;
    return true;
  }
  [[nodiscard]] bool walking(unsigned on) const noexcept { return cpus_[on].flight.active; }

  // ---- invalidation: what an obeyed request takes away, on every CPU or on one.
  void invalidate(const invalidation_request& request, unsigned vmid = 0) {
    for (cpu& one : cpus_) obey(one, request, vmid);
  }
  void invalidate_on(unsigned on, const invalidation_request& request, unsigned vmid = 0) {
    obey(cpus_[on], request, vmid);
  }

  // What a walk in flight will keep when it ends: the whole of the entry it has read, or its address alone.
  struct extent {
    std::uint64_t first;
    std::uint64_t last;
  };
  [[nodiscard]] static extent what_it_keeps(const walk& flight) noexcept {
    if (!flight.loaded) return {flight.input, flight.input};
    const bool mapped = F::kind_of(flight.word, flight.level) == entry_kind::leaf;
    const std::uint64_t bytes = bytes_of<F>(flight.level) << (mapped ? F::group_of(flight.word, flight.level) : 0);
    return {flight.input & ~(bytes - 1), flight.input | (bytes - 1)};
  }

  // ---- for oracles
  [[nodiscard]] std::vector<cpu>& cpus() noexcept { return cpus_; }
  [[nodiscard]] const std::vector<cpu>& cpus() const noexcept { return cpus_; }
  // Entries in which the hardware set a bit so far.
  [[nodiscard]] std::uint64_t writes() const noexcept { return writes_; }
  [[nodiscard]] std::size_t cached() const noexcept {
    std::size_t count = 0;
    for (const cpu& one : cpus_) count += one.translations.size();
    return count;
  }

 private:
  struct guest {
    unsigned vmid;
    table_address root;
    Memory memory;
  };

  [[nodiscard]] const guest* guest_of(unsigned vmid) const noexcept {
    for (const guest& one : guests_)
      if (one.vmid == vmid) return &one;
    return nullptr;
  }
  // A guest that leaves takes its walks along.
  [[nodiscard]] const Memory& memory_of(const walk& flight) const noexcept { return guest_of(flight.vmid)->memory; }
  static void obey(cpu& one, const invalidation_request& request, unsigned vmid) {
    if (!one.translations.empty())
      drop(one.translations, [&](const cached_translation& entry) {
        return entry.vmid == vmid && overlaps(entry, request) && concerns(entry.mapped, entry.level, request);
      });
    if (!request.leaf_only && !one.tables.empty())
      drop(one.tables, [&](const cached_table& entry) { return entry.vmid == vmid && overlaps(entry, request); });
    walk& flight = one.flight;
    if (!flight.active || flight.vmid != vmid) return;
    const extent covered = what_it_keeps(flight);
    if (covered.last < request.first.value || request.last.value < covered.first) return;
    const bool mapped = flight.loaded && F::kind_of(flight.word, flight.level) == entry_kind::leaf;
    if (flight.loaded ? concerns(mapped, flight.level, request) : !request.leaf_only) flight.active = false;
  }
  template <class Entry>
  [[nodiscard]] static bool overlaps(const Entry& entry, const invalidation_request& request) noexcept {
    return entry.first <= request.last.value && request.first.value <= entry.last;
  }
  // A level hint speaks of the leaves that changed. "Not mapped" above the hinted level is gone only when table entries
  // are invalidated too.
  [[nodiscard]] static bool concerns(bool mapped, int level, const invalidation_request& request) noexcept {
    if (mapped) return request.level < 0 || request.level == level;
    return !request.leaf_only || request.level < 0 || level <= request.level;
  }
  template <class Entry, class Gone>
  static void drop(std::vector<Entry>& entries, Gone gone) {
    entries.erase(std::remove_if(entries.begin(), entries.end(), gone), entries.end());
  }

  [[nodiscard]] static permissions needed(access_type access) noexcept {
    return access == access_type::read ? readable : access == access_type::write ? writable : executable;
  }

  // The oldest entry that covers the address answers.
  bool from_cache(const cpu& one, std::uint64_t input, access_type access, access_result& result) const {
    for (const cached_translation& entry : one.translations) {
      if (entry.vmid != one.vmid || !entry.covers(input)) continue;
      result = {.why = fault::none, .output = output_address{entry.output + (input - entry.first)}, .cached = true};
      if (!entry.mapped) result.why = fault::not_mapped;
      else if (!entry.allowed.contains(needed(access))) result.why = fault::permission;
      else if (access == access_type::write && F::facts.has_dirty && !entry.dirty) {
        if constexpr (F::facts.sets_dirty) return false;  // the table has to be told
        result.why = fault::dirty_missing;
      }
      return true;
    }
    return false;
  }

  void start(const cpu& one, walk& flight, std::uint64_t input, access_type access) const {
    flight = {.active = true,
              .access = access,
              .vmid = one.vmid,
              .level = F::shape.root_level,
              .input = input,
              .table = root(one.vmid)};
    for (const cached_table& entry : one.tables)
      if (entry.vmid == one.vmid && entry.first <= input && input <= entry.last && entry.level < flight.level) {
        flight.level = entry.level;
        flight.table = entry.table;
        flight.base = entry.first;
      }
  }

  // True when the walk has ended.
  bool advance(cpu& one, walk& flight, access_result& result) {
    const int level = flight.level;
    const std::size_t index = index_of<F>(flight.input, level);
    const std::uint64_t first = input_of<F>(flight.base, index, level);
    const std::uint64_t last = first + (bytes_of<F>(level) - 1);
    if (!flight.loaded) {
      flight.word = memory_of(flight).template load<word>(flight.table, index, order::acquire);
      if (F::kind_of(flight.word, level) != entry_kind::table) {
        flight.loaded = true;
        return false;
      }
      flight.table = F::table_of(flight.word, level);
      flight.base = first;
      flight.level = level - 1;
      if (options_.cache_tables)
        insert(one, one.tables, cached_table{first, last, level - 1, flight.table, flight.vmid});
      return false;
    }
    if (F::kind_of(flight.word, level) != entry_kind::leaf) {
      if constexpr (F::facts.caches_invalid)
        insert(one, one.translations,
               cached_translation{.first = first, .last = last, .level = level, .vmid = flight.vmid});
      result = {.why = fault::not_mapped};
      return true;
    }
    return obey_leaf(one, flight, index, result);
  }

  bool obey_leaf(cpu& one, walk& flight, std::size_t index, access_result& result) {
    const int level = flight.level;
    attributes attrs = F::attributes_of(flight.word, level);
    result = {.why = fault::none,
              .output = F::output_of(flight.word, level) + offset_in_leaf<F>(flight.word, level, flight.input)};
    if (!attrs.allowed.contains(needed(flight.access))) result.why = fault::permission;
    const bool stores = flight.access == access_type::write && result.ok();
    word wanted = flight.word;
    if (!attrs.accessed) {
      if constexpr (F::facts.sets_accessed) wanted = F::set_accessed(wanted);
      else if (result.ok()) result.why = fault::accessed_missing;
      if constexpr (!F::facts.sets_accessed) return true;  // never cached
    }
    if (F::facts.has_dirty && stores && !attrs.dirty) {
      if constexpr (F::facts.sets_dirty) wanted = static_cast<word>((wanted & ~F::is_dirty.mask) | F::is_dirty.value);
      else if (result.ok()) result.why = fault::dirty_missing;
    }
    if (wanted != flight.word) {
      const Memory& memory = memory_of(flight);
      if (!memory.template compare_exchange<word>(flight.table, index, flight.word, wanted, order::acq_rel)) {
        flight.loaded = false;
        return false;
      }
      ++writes_;
      attrs = F::attributes_of(wanted, level);
    }
    keep(one, flight, attrs, result.output.value);
    return true;
  }

  void keep(cpu& one, const walk& flight, const attributes& attrs, std::uint64_t output) {
    const std::uint64_t page = F::shape.page_bytes() - 1;
    const std::uint64_t leaf = (bytes_of<F>(flight.level) << F::group_of(flight.word, flight.level)) - 1;
    cached_translation entry{.level = flight.level,
                             .mapped = true,
                             .dirty = attrs.dirty,
                             .allowed = attrs.allowed,
                             .memory = attrs.memory,
                             .vmid = flight.vmid};
    const auto insert_sized = [&](std::uint64_t mask) {
      entry.first = flight.input & ~mask;
      entry.last = flight.input | mask;
      entry.output = output & ~mask;
      insert(one, one.translations, entry);
    };
    if (options_.cache_whole || leaf == page) insert_sized(leaf);
    if (options_.cache_fragments && leaf != page) insert_sized(page);
  }

  template <class Entry>
  void insert(cpu& one, std::vector<Entry>& entries, const Entry& entry) {
    for (const Entry& old : entries)
      if (old == entry) return;
    if (entries.size() < options_.most_cached) entries.push_back(entry);
    else entries[one.evict++ % entries.size()] = entry;
  }

  Memory memory_;
  mmu_options options_;
  std::vector<cpu> cpus_;
  std::vector<guest> guests_;
  std::uint64_t writes_ = 0;
};

}  // namespace quire::check
