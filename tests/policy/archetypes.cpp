// SPDX-License-Identifier: MIT
// Each policy concept with the smallest type that satisfies it, and with types that miss one thing each.
#include <quire/policy/policies.hpp>

#include <quire/format/arm64_stage2.hpp>  // a format that needs break-before-make
#include <quire/format/riscv_gstage.hpp>  // one that does not
#include <quire/format/tiny.hpp>
#include <quire/table/page_table.hpp>

#include "catch.hpp"

namespace {

using namespace quire;

// ---- memory: six accesses, each one word
struct memory_archetype {
  template <class W>
  W load(table_address, std::size_t, order) const;
  template <class W>
  void store(table_address, std::size_t, W, order) const;
  template <class W>
  W exchange(table_address, std::size_t, W, order) const;
  template <class W>
  bool compare_exchange(table_address, std::size_t, W&, W, order) const;
  template <class W>
  W fetch_and(table_address, std::size_t, W, order) const;
  template <class W>
  W fetch_or(table_address, std::size_t, W, order) const;
};
struct memory_with_runs : memory_archetype {
  template <class W>
  W* own(table_address, std::size_t, std::size_t) const;
  template <class W>
  void written(table_address, std::size_t, std::size_t) const;
};
struct memory_without_exchange {
  template <class W>
  W load(table_address, std::size_t, order) const;
  template <class W>
  void store(table_address, std::size_t, W, order) const;
};
struct memory_with_half_a_run : memory_archetype {
  template <class W>
  W* own(table_address, std::size_t, std::size_t) const;
};
static_assert(memory_policy<memory_archetype, std::uint64_t> && memory_policy<memory_archetype, std::uint32_t>);
static_assert(!run_memory<memory_archetype, std::uint64_t> && !run_memory<memory_with_half_a_run, std::uint64_t>);
#ifndef QUIRE_NO_RUN_CAPABILITY
static_assert(run_memory<memory_with_runs, std::uint64_t>);
#endif
static_assert(!memory_policy<memory_without_exchange, std::uint64_t>);

// ---- maintenance
struct maintenance_archetype {
  void table_filled(table_address, std::uint64_t);
  void published();
  void before_invalidation();
  void code_visible(output_address, std::uint64_t);
};
struct maintenance_without_code {
  void table_filled(table_address, std::uint64_t);
  void published();
  void before_invalidation();
};
static_assert(maintenance_policy<maintenance_archetype> && !maintenance_policy<maintenance_without_code>);

// ---- tables
struct source_archetype {
  bool reserve(std::size_t);
  result<table_address> take(table_contents);
  void give_back(table_address);
};
struct root_source_archetype : source_archetype {
  result<table_address> take_root(std::uint64_t);
  void give_back_root(table_address, std::uint64_t);
};
struct source_without_reserve {
  result<table_address> take(table_contents);
  void give_back(table_address);
};
struct source_of_pointers : source_archetype {
  void* take(table_contents);
};
struct allocator_archetype {
  result<table_address> allocate(std::uint64_t);
  void free(table_address, std::uint64_t);
};
static_assert(table_source<source_archetype> && root_source<root_source_archetype> && !root_source<source_archetype>);
static_assert(!table_source<source_without_reserve> && !table_source<source_of_pointers>);
static_assert(table_allocator<allocator_archetype> && !table_allocator<source_archetype>);

// ---- invalidation
struct invalidation_archetype {
  void add(const invalidation_request&);
  void local(const invalidation_request&);
  void complete();
};
struct invalidation_without_complete {
  void add(const invalidation_request&);
  void local(const invalidation_request&);
};
struct batches_archetype {
  struct batch {};
  void add(batch&, const invalidation_request&);
  void local(const invalidation_request&);
  void complete(batch&);
};
struct batches_without_batch {
  struct batch {};
  void add(const invalidation_request&);
  void local(const invalidation_request&);
  void complete(batch&);
};
static_assert(invalidation_policy<invalidation_archetype> && !invalidation_policy<invalidation_without_complete>);
static_assert(invalidation_in_batches<batches_archetype> && !invalidation_in_batches<invalidation_archetype>);
static_assert(invalidation_policy<batches_archetype> && !invalidation_policy<batches_without_batch>);
static_assert(!is_reentrant<invalidation_archetype> && is_reentrant<no_invalidation>);

// ---- shared words
struct words_archetype {
  template <class T>
  T load(const T&, order) const;
  template <class T>
  void store(T&, T, order) const;
  template <class T>
  T fetch_add(T&, T, order) const;
  template <class T>
  bool compare_exchange(T&, T&, T, order) const;
  void fence(order) const;
};
struct words_without_fence {
  template <class T>
  T load(const T&, order) const;
  template <class T>
  void store(T&, T, order) const;
  template <class T>
  T fetch_add(T&, T, order) const;
  template <class T>
  bool compare_exchange(T&, T&, T, order) const;
};
static_assert(shared_words_policy<words_archetype> && !shared_words_policy<words_without_fence>);

// ---- the orders of dirty logging: with a lock each is sound, without one alone
template <bool Locked, dirty_order Dirty, harvest_order Harvest>
struct ordered {
  static constexpr bool harvest_excludes_faults = Locked;
  static constexpr dirty_order dirty = Dirty;
  static constexpr harvest_order harvest = Harvest;
};
using enum dirty_order;
using enum harvest_order;
static_assert(sound_dirty_orders<ordered<true, mark_then_grant, clear_then_protect>>);
static_assert(sound_dirty_orders<ordered<true, mark_then_grant, protect_then_clear>>);
static_assert(sound_dirty_orders<ordered<true, grant_then_mark, clear_then_protect>>);
static_assert(sound_dirty_orders<ordered<true, grant_then_mark, protect_then_clear>>);
static_assert(!sound_dirty_orders<ordered<false, mark_then_grant, clear_then_protect>>);
static_assert(!sound_dirty_orders<ordered<false, mark_then_grant, protect_then_clear>>);
static_assert(sound_dirty_orders<ordered<false, grant_then_mark, clear_then_protect>>);
static_assert(!sound_dirty_orders<ordered<false, grant_then_mark, protect_then_clear>>);

// ---- reclaim
struct reclaim_archetype {
  void retire(source_archetype&, table_address);
};
struct reclaim_without_source {
  void retire(table_address);
};
static_assert(reclaim_policy<reclaim_archetype, source_archetype> && !reclaim_policy<reclaim_archetype, no_tables>);
static_assert(!reclaim_policy<reclaim_without_source, source_archetype>);

// ---- locking
struct mutex_archetype {
  void lock();
  void unlock();
};
struct rw_mutex_archetype : mutex_archetype {
  void lock_shared();
  void unlock_shared();
};
struct half_a_mutex {
  void lock();
};
static_assert(lockable<mutex_archetype> && shared_lockable<rw_mutex_archetype>);
static_assert(!lockable<half_a_mutex> && !shared_lockable<mutex_archetype>);
static_assert(locking_policy<locking::none> && locking_policy<locking::exclusive<mutex_archetype>> &&
              locking_policy<locking::shared<rw_mutex_archetype>> && !locking_policy<mutex_archetype>);
static_assert(!locking::none::has_read_side && !locking::exclusive<mutex_archetype>::has_read_side &&
              locking::shared<rw_mutex_archetype>::has_read_side);
template <class Mutex>
concept can_be_shared = requires { typename locking::shared<Mutex>; };
static_assert(can_be_shared<rw_mutex_archetype> && !can_be_shared<mutex_archetype>);

// ---- update: what the format needs, and what faults that cannot be retried forbid
static_assert(!update::breaks<update::as_format_needs, riscv::sv39x4>);
static_assert(update::breaks<update::as_format_needs, arm64::stage2_4k<40>>);
static_assert(update::breaks<update::break_before_make<4>, riscv::sv39x4>);
static_assert(!update::breaks<update::direct, riscv::sv39x4>);

struct direct_policies : policies {
  using update = quire::update::direct;
};
struct breaking_policies : policies {
  using update = quire::update::break_before_make<>;
};
struct device_format : tiny::plain {
  static constexpr format_facts facts = []() constexpr {
    format_facts f = tiny::plain::facts;
    f.faults_retry = false;
    return f;
  }();
};
static_assert(has_update<direct_policies, riscv::sv39x4> && !has_update<direct_policies, arm64::stage2_4k<40>>);
static_assert(has_update<breaking_policies, riscv::sv39x4> && has_update<breaking_policies, arm64::stage2_4k<40>>);
static_assert(has_update<direct_policies, device_format> && !has_update<breaking_policies, device_format>);

// ---- yield
struct yield_archetype {
  bool should_yield();
  void pause();
};
struct yield_that_says_nothing {
  void should_yield();
  void pause();
};
static_assert(yield_policy<yield_archetype> && !yield_policy<yield_that_says_nothing>);

// ---- all of them: one wrong member is found under its own name
static_assert(policies_for<policies, tiny::plain> && policies_for<direct_policies, tiny::plain>);
struct wrong_memory : policies {
  memory_without_exchange memory;
};
struct wrong_tables : policies {
  source_archetype tables;  // cannot give a root
};
struct wrong_invalidation : policies {
  invalidation_without_complete invalidation;
};
struct wrong_reclaim : policies {
  reclaim_without_source reclaim;
};
struct wrong_yield : policies {
  yield_that_says_nothing yield;
};
struct wrong_maintenance : policies {
  maintenance_without_code maintenance;
};
struct wrong_locking : policies {
  using locking = int;
};
static_assert(!policies_for<wrong_memory, tiny::plain> && !has_memory<wrong_memory, tiny::plain>);
static_assert(!policies_for<wrong_tables, tiny::plain> && !has_tables<wrong_tables>);
static_assert(!policies_for<wrong_invalidation, tiny::plain> && !has_invalidation<wrong_invalidation>);
static_assert(!policies_for<wrong_reclaim, tiny::plain> && !has_reclaim<wrong_reclaim>);
static_assert(!policies_for<wrong_yield, tiny::plain> && !has_yield<wrong_yield>);
static_assert(!policies_for<wrong_maintenance, tiny::plain> && !has_maintenance<wrong_maintenance>);
static_assert(!policies_for<wrong_locking, tiny::plain> && !has_locking<wrong_locking>);

// In production the defaults take no room beside the root.
static_assert(sizeof(page_table<tiny::plain, policies>) <= 4 * sizeof(std::uint64_t));

}  // namespace

TEST_CASE("with the default policies there is no memory for tables and every operation says so") {
  page_table<tiny::plain, policies> nothing{policies{}};
  CHECK(nothing.create().error().code == errc::no_memory);
  CHECK(nothing.root().error().code == errc::no_root);
  auto session = nothing.exclusive();
  const auto page = input_range::sized(input_address{0}, tiny::plain::shape.page_bytes());
  CHECK(session.map(page, output_address{0}, {.allowed = read_write}).error().code == errc::no_root);
  CHECK(session.lookup(input_address{0}).error().code == errc::no_root);
  CHECK(session.write_protect(page).error().code == errc::no_root);
  CHECK(nothing.destroy(1));
}
