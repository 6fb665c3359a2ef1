// SPDX-License-Identifier: MIT
// Dumps of whole tables, in three ways; each line is a text of bounded length, so nothing is allocated.
//
//   dump(session, dump_style::runs, std::cout);                     a table of ours, through any session of it
//   dump_foreign<riscv::sv39>(memory_dump{...}, root, dump_style::tree, out);
//
//   runs   one line a run (runs.hpp)
//   tree   tables, indented by their level, and in each its leaves, runs of them folded, and its markers
//   raw    each entry that is not 0: where it lies, the word, and what it says
//
// A table of ours is read as warily as a foreign one, for it may be the one that is broken: what is wrong with it is a
// line that begins with "finding:".
#pragma once

#include <array>     // array
#include <concepts>  // derived_from
#include <optional>  // optional
#include <ostream>   // ostream

#include <quire/print/entry_text.hpp>  // described_entry
#include <quire/print/runs.hpp>        // mapping_run
#include <quire/table/foreign.hpp>     // foreign_walk

namespace quire {

enum class dump_style : unsigned char { tree, runs, raw };

// All that a format translates: two ranges where addresses are sign extended.
template <pte_format F>
inline constexpr auto input_parts = []() constexpr {
  constexpr input_space all = input_space_of<F>;
  if constexpr (all.upper.defect() != errc::none) return std::array{all.lower};
  else return std::array{all.lower, all.upper};
}();

namespace detail {

// The receiver of a foreign_walk that writes what it is told.
template <pte_format Format, class Out>
class dump_writer {
  using word = typename Format::word;
  static constexpr int top = Format::shape.root_level;

 public:
  constexpr dump_writer(dump_style style, table_address root, Out& out) : style_(style), out_(out) {
    if (style_ != dump_style::tree) return;
    short_text line;
    append_to(line, root);
    write(line.append(" level ").append_decimal(top));
  }
  dump_writer(const dump_writer&) = delete;
  dump_writer& operator=(const dump_writer&) = delete;
  constexpr ~dump_writer() { end_fold(); }

  constexpr bool mapped(const foreign_mapping& leaf) {
    if (style_ == dump_style::raw) return true;
    const bool same_table = style_ == dump_style::runs || (run_level_ == leaf.level && run_);
    if (same_table && run_ && run_->extend(leaf)) return true;
    end_fold();
    run_.emplace(leaf);
    run_level_ = leaf.level;
    return true;
  }
  constexpr bool found(const foreign_finding& finding) {
    end_fold();
    short_text line = style_ == dump_style::tree ? indented(finding.level) : short_text{};
    append_to(line.append("finding: "), finding);
    write(line);
    return true;
  }
  constexpr void unmapped(word entry, int level, input_address address) {
    if (style_ != dump_style::tree) return;
    if (mark_ && mark_level_ == level && *mark_ == entry && entry != 0) {
      mark_last_ = last_of(level, address);
      return;
    }
    end_fold();
    if (Format::kind_of(entry, level) == entry_kind::absent) return;
    mark_ = entry;
    mark_level_ = level;
    mark_first_ = address;
    mark_last_ = last_of(level, address);
  }
  constexpr void seen(table_address table, std::size_t index, word entry, int level, input_address address) {
    if (style_ != dump_style::raw || entry == 0) return;
    short_text line;
    append_to(line, table + index * sizeof(word));
    line.append(" level ").append_decimal(static_cast<std::uint64_t>(level));
    line.append(" [").append_decimal(index);
    append_to(line.append("] "), address);
    append_to(line.append(" "), described_entry<Format>{entry, level});
    write(line);
  }
  constexpr void entered(word entry, int level, input_address address) {
    if (style_ != dump_style::tree) return;
    end_fold();
    short_text line = indexed(level, address, address);
    append_bytes(line, address, last_of(level, address));
    append_to(line.append(" "), Format::table_of(entry, level));
    line.append(" level ").append_decimal(static_cast<std::uint64_t>(level - 1));
    if (const permissions rights = rights_below<Format>(entry, level); rights != all_access)
      append_to(line.append(" rights:"), rights);
    write(line);
  }

 private:
  [[nodiscard]] static constexpr input_address last_of(int level, input_address first) noexcept {
    return first + (Format::shape.leaf_bytes(level) - 1);
  }
  [[nodiscard]] static constexpr short_text indented(int level) noexcept {
    short_text line;
    for (int above = top; above >= level; --above) line.append("  ");
    return line;
  }
  // "    [3-5] "
  [[nodiscard]] static constexpr short_text indexed(int level, input_address first, input_address last) noexcept {
    short_text line = indented(level);
    const std::size_t from = Format::shape.index(first.value, level), to = Format::shape.index(last.value, level);
    line.append("[").append_decimal(from);
    if (to != from) line.append("-").append_decimal(to);
    return line.append("] ");
  }

  // Writes what could have gone on and does not.
  constexpr void end_fold() {
    if (run_) {
      short_text line = style_ == dump_style::tree ? indexed(run_level_, run_->first, run_->last) : short_text{};
      append_to(line, *run_);
      write(line);
      run_.reset();
    }
    if (mark_) {
      short_text line = indexed(mark_level_, mark_first_, mark_last_);
      append_bytes(line, mark_first_, mark_last_);
      append_to(line.append(" "), described_entry<Format>{*mark_, mark_level_});
      write(line);
      mark_.reset();
    }
  }
  constexpr void write(const short_text& line) {
    if constexpr (std::derived_from<Out, std::ostream>)
      out_.write(line.view().data(), static_cast<std::streamsize>(line.view().size())).put('\n');
    else {
      for (const char each : line.view()) *out_++ = each;
      *out_++ = '\n';
    }
  }

  dump_style style_;
  Out& out_;
  std::optional<mapping_run> run_;
  int run_level_ = 0;
  std::optional<word> mark_;
  int mark_level_ = 0;
  input_address mark_first_{};
  input_address mark_last_{};
};

// The tables of a session. Acquire: what a table entry leads to is read as it was when the entry was written.
template <class Memory>
struct read_by_session {
  Memory& memory;

  template <class Word>
  [[nodiscard]] constexpr std::optional<Word> load(table_address table, std::size_t index) const {
    return memory.template load<Word>(table, index, order::acquire);
  }
};
template <class Memory>
read_by_session(Memory&) -> read_by_session<Memory>;

}  // namespace detail

// Dumps what overlaps the range. `out` is a std::ostream, or an output iterator of char, which is advanced. Errors:
// those of check_range.
template <pte_format Format, class Memory, class Out>
constexpr result<foreign_summary> dump_foreign(Memory&& memory, table_address root, input_range range, dump_style style,
                                               Out& out, const foreign_bounds& bounds = {}) {
  detail::dump_writer<Format, Out> writer{style, root, out};
  return foreign_walk<Format>(memory, root, range, writer, bounds);
}
// Dumps all that the table translates. The summary is that of both halves, where there are two.
template <pte_format Format, class Memory, class Out>
constexpr result<foreign_summary> dump_foreign(Memory&& memory, table_address root, dump_style style, Out& out,
                                               const foreign_bounds& bounds = {}) {
  detail::dump_writer<Format, Out> writer{style, root, out};
  foreign_summary total;
  for (const input_range& part : input_parts<Format>) {
    foreign_bounds left = bounds;
    left.budget -= total.entries;
    const auto summary = foreign_walk<Format>(memory, root, part, writer, left);
    if (!summary) return summary;
    total = {total.entries + summary->entries, total.findings + summary->findings, summary->complete,
             summary->unvisited};
    if (!total.complete) break;
  }
  return total;
}

// Errors: no_root; those of check_range.
template <class Session, class Out>
constexpr result<foreign_summary> dump(Session&& session, input_range range, dump_style style, Out& out) {
  using format = typename std::remove_reference_t<Session>::format;
  const auto root = session.root();
  if (!root) return root.error();
  return dump_foreign<format>(detail::read_by_session{session.memory()}, *root, range, style, out);
}
template <class Session, class Out>
constexpr result<foreign_summary> dump(Session&& session, dump_style style, Out& out) {
  using format = typename std::remove_reference_t<Session>::format;
  const auto root = session.root();
  if (!root) return root.error();
  return dump_foreign<format>(detail::read_by_session{session.memory()}, *root, style, out);
}

}  // namespace quire
