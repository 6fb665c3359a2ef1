// SPDX-License-Identifier: MIT
// The text of every value that a user meets: append_to(text, value). Streams (stream.hpp) and {fmt} (fmt.hpp) print
// these texts, the debugger's printers are tested to print the same ones.
//
//   address        input:0x80000000 output:0x1000 table:0x1000     hexadecimal, each kind by its name
//   range          input:0x80000000-0x800fffff (1 MiB)             first and last byte
//   permissions    rw-
//   attributes     rwx- may_write accessed dirty normal global software:1
//                  always in this order, words that are not so left out; the fourth letter is whom the rights are for:
//                  - anybody, u the user, s the supervisor
//   error          not_mapped at input:0x1000, level 1
//   result         the value, or "error: " and the error
//   mapping        input:0x80000000-0x801fffff -> output:0x40000000 2 MiB level 1 rwx- ...
//   enumerators    as they are spelled (names.hpp)
#pragma once

#include <concepts>     // same_as, convertible_to
#include <type_traits>  // is_enum_v, is_integral_v, is_void_v

#include <quire/print/names.hpp>            // name_of
#include <quire/print/short_text.hpp>       // short_text
#include <quire/table/foreign_visitor.hpp>  // foreign_mapping, foreign_finding

namespace quire {

template <class E>
  requires(std::is_enum_v<E> &&
           requires(E e) {
             { name_of(e) } -> std::convertible_to<std::string_view>;
           })
constexpr void append_to(short_text& text, E value) noexcept {
  text.append(name_of(value));
}

template <class Kind>
constexpr void append_to(short_text& text, address<Kind> value) noexcept {
  if constexpr (std::same_as<address<Kind>, input_address>) text.append("input:");
  else if constexpr (std::same_as<address<Kind>, output_address>) text.append("output:");
  else if constexpr (std::same_as<address<Kind>, table_address>) text.append("table:");
  text.append_hex(value.value);
}

namespace detail {
// The bytes from `first` to `last`, both included, as addresses alone.
constexpr void append_bytes(short_text& text, input_address first, input_address last) noexcept {
  append_to(text, first);
  text.append("-").append_hex(last.value);
}
}  // namespace detail

constexpr void append_to(short_text& text, input_range range) noexcept {
  if (range.defect() != errc::none) {
    text.append(name_of(range.defect())).append(" at ");
    append_to(text, range.first());
    return;
  }
  detail::append_bytes(text, range.first(), range.last());
  text.append(" (").append_size(range.last() - range.first() + 1).append(")");
}

constexpr void append_to(short_text& text, permissions allowed) noexcept {
  text.append(allowed.contains(readable) ? "r" : "-");
  text.append(allowed.contains(writable) ? "w" : "-");
  text.append(allowed.contains(executable) ? "x" : "-");
}

constexpr void append_to(short_text& text, const attributes& attrs) noexcept {
  append_to(text, attrs.allowed);
  text.append(attrs.from == privilege::any ? "-" : attrs.from == privilege::user ? "u" : "s");
  if (attrs.may_write) text.append(" may_write");
  if (attrs.accessed) text.append(" accessed");
  if (attrs.dirty) text.append(" dirty");
  text.append(" ").append(name_of(attrs.memory));
  if (attrs.global) text.append(" global");
  if (attrs.software != 0) text.append(" software:").append_decimal(attrs.software);
}

// The address is left out where neither it nor the level was set.
constexpr void append_to(short_text& text, const error& failure) noexcept {
  text.append(name_of(failure.code));
  if (failure.level < 0 && failure.at == 0) return;
  text.append(" at ");
  append_to(text, input_address{failure.at});
  if (failure.level >= 0) text.append(", level ").append_decimal(static_cast<std::uint64_t>(failure.level));
}

constexpr void append_to(short_text& text, const invalidation_request& request) noexcept {
  text.append(name_of(request.reason)).append(" ");
  append_to(text, input_range::closed(request.first, request.last));
  if (request.level >= 0) text.append(", level ").append_decimal(static_cast<std::uint64_t>(request.level));
  else text.append(", any level");
  if (request.leaf_only) text.append(", leaves only");
}

namespace detail {
constexpr void append_leaf(short_text& text, const mapping& leaf) noexcept {
  append_bytes(text, leaf.input, leaf.input + (leaf.bytes - 1));
  text.append(" -> ");
  append_to(text, leaf.output);
  text.append(" ").append_size(leaf.bytes).append(" level ").append_decimal(static_cast<std::uint64_t>(leaf.level));
  if (leaf.group != 0) text.append(" group of ").append_decimal(std::uint64_t{1} << leaf.group);
  text.append(" ");
  append_to(text, leaf.attrs);
}
}  // namespace detail

constexpr void append_to(short_text& text, const mapping& leaf) noexcept { detail::append_leaf(text, leaf); }

// `effective` is said where table entries on the way take rights away.
constexpr void append_to(short_text& text, const foreign_mapping& leaf) noexcept {
  detail::append_leaf(text, leaf);
  if (leaf.effective == leaf.attrs.allowed) return;
  text.append(" effective:");
  append_to(text, leaf.effective);
}

constexpr void append_to(short_text& text, const foreign_finding& finding) noexcept {
  text.append(name_of(finding.what)).append(" at ");
  append_to(text, finding.address);
  text.append(", level ").append_decimal(static_cast<std::uint64_t>(finding.level)).append(", ");
  append_to(text, finding.table);
  text.append(" entry ").append_decimal(finding.index).append(": ").append_hex(finding.entry);
}

template <int Levels>
constexpr void append_to(short_text& text, const geometry<Levels>& shape) noexcept {
  text.append_decimal(static_cast<std::uint64_t>(Levels)).append(" levels of");
  for (int level = Levels - 1; level >= 0; --level)
    text.append(" ").append_decimal(static_cast<std::uint64_t>(shape.index_bits[level]));
  text.append(" bits, pages of ").append_size(shape.page_bytes()).append(", ");
  text.append_decimal(static_cast<std::uint64_t>(shape.input_bits())).append(" bits of input");
}

template <class T>
concept printable = requires(short_text& text, const T& value) { append_to(text, value); };

// Of numbers and answers yes or no as well.
template <class T>
  requires(printable<T> || std::is_integral_v<T> || std::is_void_v<T>)
constexpr void append_to(short_text& text, const result<T>& answer) noexcept {
  if (!answer) {
    text.append("error: ");
    append_to(text, answer.error());
  } else if constexpr (std::is_void_v<T>) text.append("done");
  else if constexpr (std::is_same_v<T, bool>) text.append(*answer ? "yes" : "no");
  else if constexpr (std::is_integral_v<T>) text.append_decimal(static_cast<std::uint64_t>(*answer));
  else append_to(text, *answer);
}

template <printable T>
[[nodiscard]] constexpr short_text text_of(const T& value) noexcept {
  short_text text;
  append_to(text, value);
  return text;
}

}  // namespace quire
