// SPDX-License-Identifier: MIT
// The policies of a table on a check::machine (machine.hpp): handles that forward everything to it.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

#include <quire/check/recorder.hpp>          // maintenance_event
#include <quire/format/concept.hpp>          // pte_format
#include <quire/policy/array_memory.hpp>     // array_memory
#include <quire/policy/observed_memory.hpp>  // observed_memory
#include <quire/policy/policies.hpp>         // policies

namespace quire::check {

template <pte_format F>
class machine;

template <pte_format F>
struct maintenance_handle {
  machine<F>* to;
  void table_filled(table_address table, std::uint64_t bytes) {
    to->maintain(maintenance_event::table_filled, table.value, bytes);
  }
  void published() { to->maintain(maintenance_event::published); }
  void before_invalidation() { to->maintain(maintenance_event::before_invalidation); }
  void code_visible(output_address output, std::uint64_t bytes) {
    to->maintain(maintenance_event::code_visible, output.value, bytes);
  }
};
template <pte_format F>
struct tables_handle {
  machine<F>* to;
  [[nodiscard]] bool reserve(std::size_t n) { return to->reserve(n); }
  result<table_address> take(table_contents contents) { return to->take(contents); }
  void give_back(table_address table) { to->give_back(table); }
  result<table_address> take_root(std::uint64_t bytes) { return to->take_root(bytes); }
  void give_back_root(table_address table, std::uint64_t bytes) { to->give_back_root(table, bytes); }
};
template <pte_format F>
struct invalidation_handle {
  static constexpr bool reentrant = true;  // everything happens in one thread
  machine<F>* to;
  void add(const invalidation_request& request) { to->add(request); }
  void local(const invalidation_request& request) { to->local(request); }
  void complete() { to->complete(); }
};
template <pte_format F>
struct reclaim_handle {
  machine<F>* to;
  template <table_source Source>
  void retire(Source&, table_address table) {
    to->retire(table);
  }
};
template <pte_format F>
struct yield_handle {
  machine<F>* to;
  [[nodiscard]] bool should_yield() { return to->should_yield(); }
  void pause() { to->pause(); }
};

template <pte_format F, locking_policy Locking = quire::locking::none, class Update = quire::update::as_format_needs,
          bool Runs = false, class Invalidation = invalidation_handle<F>>
struct policies : quire::policies {
  using locking = Locking;
  using update = Update;
  observed_memory<array_memory<typename F::word>, typename machine<F>::observer, Runs> memory;
  maintenance_handle<F> maintenance;
  tables_handle<F> tables;
  Invalidation invalidation;
  reclaim_handle<F> reclaim;
  yield_handle<F> yield;

  explicit policies(machine<F>& to)
      : memory(to.memory(), &to.watch()), maintenance{&to}, tables{&to}, invalidation{&to}, reclaim{&to}, yield{&to} {}
};

}  // namespace quire::check
