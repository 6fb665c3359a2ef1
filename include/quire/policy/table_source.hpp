// SPDX-License-Identifier: MIT
// Table source: where tables come from and go to.
//
// A table_source hands out tables below the root, all of one size, aligned to it. An operation first reserves what it
// may need, then takes: a take within a reservation cannot fail, and that is what makes operations all or nothing.
//   reserve(n)        true: at least n takes will succeed. May be called under the table's lock, so a source whose
//                     allocator may sleep answers from what it has in stock (table_cache.hpp) and is topped up outside.
//   take(contents)    a table, zeroed or not (when every entry will be written). An error when the stock is empty.
//   give_back(table)  a table that nobody can reach any more, contents undefined.
// A table_allocator stands behind it and also hands out roots; it may sleep:
//   allocate(bytes)   contiguous, aligned to `bytes`, zeroed.     free(table, bytes)
#pragma once

#include <concepts>  // same_as
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t

#include <quire/address.hpp>  // table_address
#include <quire/result.hpp>   // result

namespace quire {

enum class table_contents : unsigned char { zeroed, any };

template <class S>
concept table_source = requires(S& s, std::size_t n, table_address table, table_contents contents) {
  { s.reserve(n) } -> std::same_as<bool>;
  { s.take(contents) } -> std::same_as<result<table_address>>;
  { s.give_back(table) } -> std::same_as<void>;
};

template <class A>
concept table_allocator = requires(A& a, std::uint64_t bytes, table_address table) {
  { a.allocate(bytes) } -> std::same_as<result<table_address>>;
  { a.free(table, bytes) } -> std::same_as<void>;
};

// What page_table itself needs: tables, and a root.
template <class S>
concept root_source = table_source<S> && requires(S& s, std::uint64_t bytes, table_address table) {
  { s.take_root(bytes) } -> std::same_as<result<table_address>>;
  { s.give_back_root(table, bytes) } -> std::same_as<void>;
};

// A source may say roots_are_tables = true: a root as large as its tables is one of them, so that take() may give what
// give_back_root() gets, and the other way round. Tables that grow need it.
template <class S>
concept roots_are_tables = requires { requires S::roots_are_tables; };

// No tables at all: for operations that must not need any, and for tables that are only read.
struct no_tables {
  [[nodiscard]] constexpr bool reserve(std::size_t n) noexcept { return n == 0; }
  constexpr result<table_address> take(table_contents) noexcept { return errc::no_memory; }
  constexpr void give_back(table_address) noexcept {}
  constexpr result<table_address> take_root(std::uint64_t) noexcept { return errc::no_memory; }
  constexpr void give_back_root(table_address, std::uint64_t) noexcept {}
};

static_assert(root_source<no_tables> && !table_source<int>);

}  // namespace quire
