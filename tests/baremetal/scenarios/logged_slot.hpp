// SPDX-License-Identifier: MIT
// A slot of one leaf of level 1, with its dirty log and the handler of its faults. What lies in the leaf besides the
// memory is never touched.
#pragma once

#include <quire/dirty/dirty_log.hpp>  // dirty_log
#include <quire/dirty/fault.hpp>      // fault_handler

#include "page_set.hpp"
#include "scenario.hpp"

namespace bare {

// The host: its memory is one piece.
struct one_piece {
  quire::result<quire::host_page> resolve(const quire::memory_slot& slot, input_address at, bool) noexcept {
    return quire::host_page{output_address{slot.host + (at - slot.first)}, true, 1};
  }
  int mapped_level(const quire::memory_slot&, input_address) noexcept { return 1; }
};

template <class Guest>
class logged_slot {
 public:
  using format = typename Guest::format;
  using guard_type = std::remove_reference_t<decltype(std::declval<Guest&>().guard())>;
  using log_type = quire::dirty_log<typename Guest::table_type, guard_type, quire::dirty_bitmap>;
  using handler_type = quire::fault_handler<typename Guest::table_type, guard_type, one_piece, quire::dirty_bitmap>;
  static constexpr std::uint64_t block = format::shape.leaf_bytes(1), page = format::shape.page_bytes(),
                                 pages = block / page;

  // CPU 0 makes it.
  logged_slot(Guest& guest, const host_memory& memory, quire::fault_path path) noexcept
      : guest_(guest),
        seen(view_of(memory.at(), memory.bytes(), block)),
        log(guest.table(), guest.guard(), {.first = seen.leaves.first(), .pages = pages, .host = seen.output},
            quire::dirty_bitmap{marks_.words(), pages}, control),
        path_(path) {}

  // Any CPU, with tables of its own. Gives whether the guest can go on.
  template <class Tables>
  [[nodiscard]] bool mend(const guest_exit& left, Tables& tables) noexcept {
    if (!log.slot().template contains<format>(left.address)) return false;
    handler_type handler{guest_.table(), guest_.guard(), sequence, backing, path_};
    const auto done = handler.handle({left.address, left.access}, &log, tables);
    return done.has_value() && done->outcome != quire::fault_outcome::not_memory;
  }
  // Of the memory.
  [[nodiscard]] std::uint64_t first_page() const noexcept { return (seen.at - seen.leaves.first()) / page; }

 private:
  Guest& guest_;
  page_set marks_{pages};

 public:
  quire::eager_split_control control{false, block};
  one_piece backing;
  quire::invalidation_sequence sequence;
  view seen;
  log_type log;

 private:
  quire::fault_path path_;
};

}  // namespace bare
