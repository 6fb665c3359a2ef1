// SPDX-License-Identifier: MIT
// The oracle of translation caches: after an operation returned and its invalidations completed, no CPU holds anything
// that grants what the table does not.
//
//   verify(root)              every cached translation and every walk in flight against a fresh walk. Stale is: another
//                             output or memory type, more rights, a dirty bit the table lacks (a store would not be
//                             noticed), "not mapped" where the table maps, a table entry the table no longer has.
//                             Not stale: fewer rights (one spurious fault), a missing dirty bit.
//   verify_removed(root, a, b)
//                             nothing in [a, b] reaches output memory that the table does not lead to: when memory was
//                             reported as removed, other changes may still wait for their invalidation.
//   table_freed(table, bytes) nothing may lead into a table that is given away.
// What is reported is dropped as well, so that one mistake is told once. It speaks of one guest, by VMID. CPUs that run
// another one are asked as well, because the guest may come back to them; where whoever brings it back drops what is
// cached there first, spare_idle_cpus() leaves them out until they have entered the guest.
#pragma once

#include <algorithm>  // remove_if
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <string>     // string
#include <utility>    // move

#include <quire/check/naive_walk.hpp>    // translate
#include <quire/check/report.hpp>        // report
#include <quire/check/software_mmu.hpp>  // software_mmu

namespace quire::check {

template <pte_format F, class Memory>
class stale_translation {
 public:
  using mmu = software_mmu<F, Memory>;

  stale_translation(mmu& hardware, Memory memory, report& findings, unsigned vmid = 0)
      : mmu_(&hardware), memory_(std::move(memory)), report_(&findings), vmid_(vmid) {}

  void spare_idle_cpus(bool spared) noexcept { idle_are_spared_ = spared; }

  void verify(table_address root) {
    for (auto& cpu : mmu_->cpus()) {
      if (is_spared(cpu)) continue;
      drop_if(cpu.translations, [&](const cached_translation& entry) { return is_stale(root, entry); });
      drop_if(cpu.tables, [&](const cached_table& entry) { return is_stale(root, entry); });
      if (flies(cpu) && is_stale(root, cpu.flight)) cpu.flight.active = false;
    }
  }

  void verify_removed(table_address root, std::uint64_t first, std::uint64_t last) {
    for (auto& cpu : mmu_->cpus()) {
      if (is_spared(cpu)) continue;
      drop_if(cpu.translations, [&](const cached_translation& entry) {
        return entry.mapped && entry.first <= last && first <= entry.last && is_stale(root, entry, true);
      });
    }
  }

  void table_freed(table_address table, std::uint64_t bytes) {
    const auto inside = [&](table_address where) { return where >= table && where - table < bytes; };
    const auto tell = [&](const char* what) {
      report_->add(rule::stale_walk, std::string(what) + " leads into freed table " + hex(table.value));
    };
    for (auto& cpu : mmu_->cpus()) {
      if (is_spared(cpu)) continue;
      drop_if(cpu.tables, [&](const cached_table& entry) {
        if (entry.vmid != vmid_ || !inside(entry.table)) return false;
        tell("cached table entry");
        return true;
      });
      if (flies(cpu) && inside(cpu.flight.table)) {
        tell("walk in flight");
        cpu.flight.active = false;
      }
    }
  }

 private:
  using cpu_type = typename mmu::cpu;

  [[nodiscard]] bool is_spared(const cpu_type& cpu) const noexcept { return idle_are_spared_ && cpu.vmid != vmid_; }
  [[nodiscard]] bool flies(const cpu_type& cpu) const noexcept { return cpu.flight.active && cpu.flight.vmid == vmid_; }
  template <class Entries, class Gone>
  static void drop_if(Entries& entries, Gone gone) {
    if (!entries.empty()) entries.erase(std::remove_if(entries.begin(), entries.end(), gone), entries.end());
  }

  // The cached entry may be larger than the leaves that are there now: each of them is asked.
  [[nodiscard]] bool is_stale(table_address root, const cached_translation& entry, bool output_only = false) {
    if (entry.vmid != vmid_) return false;
    for (std::uint64_t input = entry.first;;) {
      const translation<F> now = translate<F>(memory_, root, input);
      const char* const why = grievance(entry, now, input, output_only);
      if (why != nullptr) {
        report_->add(rule::stale_translation, std::string(why) + ": cached " + range_text(entry.first, entry.last) +
                                                  " -> " + hex(entry.output) + " from level " +
                                                  std::to_string(entry.level) + ", at " + hex(input) +
                                                  " the table has " + hex(now.entry.word));
        return true;
      }
      if (now.entry.last >= entry.last) return false;
      input = now.entry.last + 1;
    }
  }
  [[nodiscard]] const char* grievance(const cached_translation& entry, const translation<F>& now, std::uint64_t input,
                                      bool output_only) const {
    if (!entry.mapped) return now.mapped() ? "\"not mapped\" is cached" : nullptr;
    if (!now.mapped()) return "nothing is mapped";
    if (now.output.value != entry.output + (input - entry.first)) return "other output";
    if (output_only) return nullptr;
    if (!now.attrs.allowed.contains(entry.allowed)) return "more rights";
    if (now.attrs.memory != entry.memory) return "other memory type";
    if (F::facts.has_dirty && entry.dirty && entry.allowed.contains(writable) && !is_dirty(now))
      return "dirty, and the table is clean";
    return nullptr;
  }
  // One entry of a group may be clean while another is dirty: then the leaf is dirty.
  [[nodiscard]] bool is_dirty(const translation<F>& now) const {
    const std::size_t count = std::size_t{1} << F::group_of(now.entry.word, now.entry.level);
    const std::size_t first = now.entry.index & ~(count - 1);
    for (std::size_t i = 0; i < count; ++i)
      if (F::is_dirty(memory_.template load<typename F::word>(now.entry.table, first + i, order::acquire))) return true;
    return false;
  }

  [[nodiscard]] bool is_stale(table_address root, const cached_table& entry) {
    if (entry.vmid != vmid_ || leads(root, entry.first, entry.level, entry.table)) return false;
    report_->add(rule::stale_walk, "cached table entry for " + range_text(entry.first, entry.last) +
                                       " leads to table " + hex(entry.table.value));
    return true;
  }
  [[nodiscard]] bool is_stale(table_address root, const walk_in_flight<typename F::word>& flight) {
    if (!leads(root, flight.input, flight.level, flight.table)) {
      report_->add(rule::stale_walk,
                   "walk in flight for " + hex(flight.input) + " stands in table " + hex(flight.table.value));
      return true;
    }
    if (!flight.loaded) return false;
    const auto [first, last] = mmu::what_it_keeps(flight);
    cached_translation entry{.first = first, .last = last, .level = flight.level, .vmid = vmid_};
    if (F::kind_of(flight.word, flight.level) != entry_kind::leaf)
      return F::facts.caches_invalid && is_stale(root, entry);
    const attributes attrs = F::attributes_of(flight.word, flight.level);
    // Setting accessed or dirty reads the entry again; only a walk that has nothing to set keeps what it read.
    const bool sets = (F::facts.sets_accessed && !attrs.accessed) ||
                      (F::facts.sets_dirty && !attrs.dirty && flight.access == access_type::write);
    entry.mapped = true;
    entry.output = F::output_of(flight.word, flight.level).value;
    entry.dirty = attrs.dirty;
    entry.allowed = attrs.allowed;
    entry.memory = attrs.memory;
    return !sets && is_stale(root, entry);
  }
  // Whether a walk to `input` comes through that table.
  [[nodiscard]] bool leads(table_address root, std::uint64_t input, int level, table_address table) const {
    table_address at = root;
    for (int here = F::shape.root_level; here > level; --here) {
      const auto word = memory_.template load<typename F::word>(at, index_of<F>(input, here), order::acquire);
      if (F::kind_of(word, here) != entry_kind::table) return false;
      at = F::table_of(word, here);
    }
    return at == table;
  }

  mmu* mmu_;
  Memory memory_;
  report* report_;
  unsigned vmid_;
  bool idle_are_spared_ = false;
};

}  // namespace quire::check
