// SPDX-License-Identifier: MIT
// The names of the enumerators that a user meets, as they are spelled. (Those of errors and of findings are beside
// them.)
#pragma once

#include <quire/dirty/dirty_log.hpp>       // block_recovery
#include <quire/dirty/fault.hpp>           // fault_path
#include <quire/dirty/install.hpp>         // fault_outcome
#include <quire/format/concept.hpp>        // entry_kind
#include <quire/invalidation_request.hpp>  // invalidation_reason
#include <quire/table/shared.hpp>          // write_grant
#include <quire/table/split.hpp>           // partial

namespace quire {

[[nodiscard]] constexpr const char* name_of(memory_type type) noexcept {
  switch (type) {
    case memory_type::normal: return "normal";
    case memory_type::non_cacheable: return "non_cacheable";
    case memory_type::device: return "device";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(privilege whose) noexcept {
  switch (whose) {
    case privilege::any: return "any";
    case privilege::user: return "user";
    case privilege::supervisor: return "supervisor";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(entry_kind kind) noexcept {
  switch (kind) {
    case entry_kind::absent: return "absent";
    case entry_kind::table: return "table";
    case entry_kind::leaf: return "leaf";
    case entry_kind::marker: return "marker";
    case entry_kind::locked: return "locked";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(invalidation_reason reason) noexcept {
  switch (reason) {
    case invalidation_reason::installed: return "installed";
    case invalidation_reason::relaxed: return "relaxed";
    case invalidation_reason::reduced: return "reduced";
    case invalidation_reason::resized: return "resized";
    case invalidation_reason::removed: return "removed";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(partial part) noexcept {
  switch (part) {
    case partial::split: return "split";
    case partial::whole: return "whole";
    case partial::error: return "error";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(write_grant grant) noexcept {
  switch (grant) {
    case write_grant::granted: return "granted";
    case write_grant::already: return "already";
    case write_grant::not_mapped: return "not_mapped";
    case write_grant::not_page: return "not_page";
    case write_grant::not_permitted: return "not_permitted";
    case write_grant::busy: return "busy";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(fault_outcome outcome) noexcept {
  switch (outcome) {
    case fault_outcome::fixed: return "fixed";
    case fault_outcome::fixed_fast: return "fixed_fast";
    case fault_outcome::retry: return "retry";
    case fault_outcome::not_memory: return "not_memory";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* name_of(fault_path path) noexcept {
  return path == fault_path::fast ? "fast" : "slow";
}

[[nodiscard]] constexpr const char* name_of(block_recovery how) noexcept {
  switch (how) {
    case block_recovery::none: return "none";
    case block_recovery::in_place: return "in_place";
    case block_recovery::on_fault: return "on_fault";
  }
  return "unknown";
}

}  // namespace quire
