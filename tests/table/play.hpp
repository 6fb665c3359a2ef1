// SPDX-License-Identifier: MIT
// Plays operations on a table and on the flat model, and says in words where they differ.
//
// After every operation: what it returned, the whole window, the sizes of all leaves, the tables in use, that nothing
// was written or invalidated where nothing was to be done, and everything the stand's oracles found. Where the hardware
// runs as well, accessed and dirty bits may be more than the model's, never fewer, and no page that was stored to is
// clean before somebody was told that it was dirty.
#pragma once

#include <algorithm>  // fill, min, sort, unique
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t, uint64_t
#include <memory>     // unique_ptr
#include <string>     // string, to_string
#include <tuple>      // tuple
#include <vector>     // vector

#include <quire/check/flat_model.hpp>  // flat_model
#include <quire/check/naive_walk.hpp>  // naive_walk, visit_entries

#include "player.hpp"
#include "stand.hpp"
#include "step.hpp"
#include "support/formats.hpp"

namespace quire_test {

// ---- windows

template <class F>
constexpr bool is_tiny = F::shape.page_bits < 12;

// Pages of one half of the input space, where it has two.
template <class F>
constexpr std::uint64_t half_pages =
    std::uint64_t{1} << (F::shape.input_bits() - F::shape.page_bits - (F::facts.sign_extended ? 1 : 0));
template <class F>
constexpr std::uint64_t last_of_half = half_pages<F> * F::shape.page_bytes() - 1;
template <class F>
constexpr std::uint32_t window_pages =
    static_cast<std::uint32_t>(std::min<std::uint64_t>(is_tiny<F> ? 64 : 1024, half_pages<F>));

// The first byte of a window: at either end of the input space, at either side of the hole, or in between.
template <class F>
constexpr std::uint64_t window_at(std::uint64_t choice) {
  const std::uint64_t windows = half_pages<F> / window_pages<F>;
  const std::uint64_t number = choice % 3 == 0 ? 0 : choice % 3 == 1 ? windows - 1 : (choice / 6) % windows;
  std::uint64_t first = number * window_pages<F> << F::shape.page_bits;
  if (F::facts.sign_extended && (choice / 3) % 2 == 1) first += ~std::uint64_t{0} << (F::shape.input_bits() - 1);
  return first;
}

template <class F>
format_traits traits_of() {
  // Some formats have no execution, in others only that is for one privilege.
  const auto exists = [](quire::privilege from, bool global) {
    const auto is_leaf = [&](quire::permissions allowed) {
      return F::leaf(quire::output_address{0}, {.allowed = allowed, .from = from, .global = global}, 0).has_value();
    };
    return is_leaf(quire::readable) || is_leaf(quire::read_execute);
  };
  using quire::privilege;
  format_traits t{.pages = window_pages<F>,
                  .marks = {0},
                  .levels = F::shape.levels,
                  .software = 1U << F::facts.software_bits,
                  .accessed = F::facts.has_accessed,
                  .from = {},
                  .global = false};
  for (const privilege from : {privilege::any, privilege::user, privilege::supervisor}) {
    if (exists(from, false)) t.from.push_back(from);
    t.global = t.global || exists(from, true);
  }
  for (int level = 0; level < F::shape.levels; ++level)
    for (int group = 0; group < 16; ++group) {
      const std::uint64_t pages = (F::shape.leaf_bytes(level) << group) / F::shape.page_bytes();
      if (((F::group_sizes(level) >> group) & 1U) == 0 || pages == 1 || pages > t.pages) continue;
      for (std::uint64_t at = pages; at <= t.pages && at / pages < 9; at += pages)
        t.marks.push_back(static_cast<std::uint32_t>(at));
    }
  return t;
}

template <class F>
constexpr std::size_t tables_for_window = is_tiny<F> ? 2 * (3 + window_pages<F>) : 16;

// ---- one format, one stand

template <class F, template <class> class Stand>
class player_of final : public player {
  using word = typename F::word;
  using errc = quire::errc;
  using range = quire::input_range;
  using permissions = quire::permissions;
  using model_type = quire::check::flat_model<F>;
  using session_type = decltype(std::declval<Stand<F>&>().session());

 public:
  explicit player_of(const player_options& o)
      : traits_(traits_of<F>()),
        first_(window_at<F>(o.seed)),
        hardware_(o.hardware != 0),
        stand_({o.seed, o.hardware, first_, traits_.pages, tables_for_window<F>}),
        model_(quire::input_address{first_}, traits_.pages),
        reported_(traits_.pages),
        fresh_(traits_.pages),
        settled_(traits_.pages) {
    if (!stand_.table.create()) complaint_ = "no root";
  }

  const format_traits& traits() const override { return traits_; }

  std::string play(const step& s) override {
    play_unchecked(s);
    if (complaint_.empty()) check_everything(s);
    return std::exchange(complaint_, {});
  }
  std::string finish() override {
    stand_.stop();
    for (std::size_t left = stand_.in_use(); !stand_.table.destroy(2);) {
      const std::size_t now = stand_.in_use();
      if (left - now != 2) return "destroy(2) gave back " + std::to_string(left - now) + " tables";
      left = now;
    }
    if (!stand_.table.destroy(1)) return "destroy() is not idempotent";
    if (stand_.in_use() != 0) return std::to_string(stand_.in_use()) + " tables leaked";
    if (stand_.table.root()) return "a root after destroy()";
    return stand_.findings().text();
  }
  std::vector<std::uint64_t> tree() override {
    std::vector<std::uint64_t> all;
    quire::check::visit_entries<F>(stand_.memory(), *stand_.table.root(), [&](const auto& entry) {
      all.push_back(entry.kind == quire::entry_kind::table
                        ? std::uint64_t(F::table(quire::table_address{0}, entry.level))
                        : std::uint64_t{entry.word});
    });
    return all;
  }
  const std::vector<quire::invalidation_request>& requests() override { return stand_.requests(); }

  void save(std::size_t slot) override {
    if constexpr (can_save) {
      while (saved_.size() <= slot) saved_.push_back({{}, {}, model_});
      saved_[slot].words = stand_.world.words;
      saved_[slot].free = stand_.world.free;
      saved_[slot].model = model_;
    }
  }
  void restore(std::size_t slot) override {
    if constexpr (can_save) {  // same sizes: the memory policy's pointer stays good
      std::copy(saved_[slot].words.begin(), saved_[slot].words.end(), stand_.world.words.begin());
      stand_.world.free = saved_[slot].free;
      model_ = saved_[slot].model;
    }
  }

  std::string play_failing(const step& s, std::uint64_t k, bool all_later) override;
  std::uint64_t count_allocations(const step& s, std::string& wrong) override {
    stand_.fail_at(0);
    const std::uint64_t before = stand_.asked();
    wrong = play(s);
    return stand_.asked() - before;
  }
  std::string play_raw(verb what, std::uint64_t first, std::uint64_t last, std::uint64_t output) override;
  std::vector<std::uint64_t> boundaries() const override {
    constexpr std::uint64_t half = half_pages<F> * page_bytes;
    std::vector<std::uint64_t> all;
    for (const std::uint64_t corner : {std::uint64_t{0}, page_bytes, half / 2, half, 2 * half, std::uint64_t{0} - half,
                                       std::uint64_t{1} << 32U, std::uint64_t{1} << 63U, std::uint64_t{0} - page_bytes})
      for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, page_bytes - 1, page_bytes,
                                         std::uint64_t{0} - 1, std::uint64_t{0} - page_bytes})
        all.push_back(corner + offset);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
  std::uint64_t output_limit() const override { return std::uint64_t{1} << F::facts.output_bits; }

 private:
  static constexpr bool can_save = std::is_same_v<Stand<F>, bare_stand<F>>;
  static constexpr std::uint64_t page_bytes = F::shape.page_bytes();
  struct saved_state {
    std::vector<word> words;
    std::vector<std::uint64_t> free;
    model_type model;
  };

  // ---- addresses
  [[nodiscard]] quire::input_address at(std::size_t page) const { return model_.address_of(page); }
  [[nodiscard]] range pages(std::size_t page, std::size_t count) const {
    return range::sized(at(page), count * page_bytes);
  }
  [[nodiscard]] range pages(const step& s) const { return pages(s.page, s.count); }
  [[nodiscard]] static quire::output_address out(std::uint64_t page) {
    return quire::output_address{page * page_bytes};
  }
  [[nodiscard]] bool is_leaf(std::size_t page) const { return model_[page].kind == quire::entry_kind::leaf; }

  // ---- complaints: the first one counts
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }
  template <class Result>
  bool agree(const Result& got, errc expected) {
    const errc code = got ? errc::none : got.error().code;
    if (code != expected)
      complain(std::string("said ") + quire::name_of(code) + ", expected " + quire::name_of(expected));
    else if (code != errc::none) untouched_ = true;
    return code == expected && code == errc::none;
  }
  // Where the hardware may add to what is asked for, more is right as well.
  void agree_at_least(const char* what, bool got, bool expected) {
    if (got != expected && !(hardware_ && got)) complain(std::string(what) + (got ? " found" : " not found"));
  }

  // ---- operations
  void play_unchecked(const step& s);
  void perform(session_type& session, const step& s) {
    switch (s.what) {
      case verb::map: return map(session, s);
      case verb::unmap: return unmap(session, s);
      case verb::discard: return discard(session, s);
      case verb::protect: return protect(session, s);
      case verb::write_protect: return write_protect(session, s);
      case verb::write_protect_mask: return write_protect_mask(session, s);
      case verb::restore_write: return restore_write(session, s);
      case verb::relax: return relax(session, s);
      case verb::age: return age(session, s);
      case verb::set_accessed: return set_accessed(session, s);
      case verb::take_dirty: return take_dirty(session, s);
      case verb::split: return split(session, s);
      case verb::collapse: return collapse(session, s);
      case verb::prune: return prune(session, s);
      case verb::annotate: return annotate(session, s);
      case verb::look: return look(session, s);
      case verb::count: break;
    }
  }
  void map(session_type&, const step&);
  void unmap(session_type&, const step&);
  void discard(session_type&, const step&);
  void protect(session_type&, const step&);
  void write_protect(session_type&, const step&);
  void write_protect_mask(session_type&, const step&);
  void restore_write(session_type&, const step&);
  void relax(session_type&, const step&);
  void age(session_type&, const step&);
  void set_accessed(session_type&, const step&);
  void take_dirty(session_type&, const step&);
  void split(session_type&, const step&);
  void collapse(session_type&, const step&);
  void prune(session_type&, const step&);
  void annotate(session_type&, const step&);
  void look(session_type&, const step&);
  void perform_bad(session_type&, const step&);
  errc attempt(session_type&, const step&, range, quire::output_address);
  static errc verdict(std::uint64_t first, std::uint64_t last);

  [[nodiscard]] static quire::check::partly partly_of(const step& s) {
    return static_cast<quire::check::partly>(s.level % 3);
  }
  [[nodiscard]] static quire::partial partial_of(const step& s) { return static_cast<quire::partial>(s.level % 3); }
  void note_report(quire::input_address address, std::uint64_t bytes) {
    for (std::uint64_t b = 0; b < bytes; b += page_bytes) {
      const std::size_t page = model_.page_of(address + b);
      if (page >= reported_.size()) return complain("a report outside the window");
      reported_[page] = 1;
    }
  }
  struct reporter {
    player_of* to;
    void operator()(quire::input_address address, std::uint64_t bytes) const { to->note_report(address, bytes); }
  };
  // What became clean in the model must have been reported, and nothing else.
  void check_reported(const model_type& before, bool reports) {
    for (std::size_t page = 0; page < traits_.pages; ++page) {
      const bool cleaned = before[page].kind == quire::entry_kind::leaf && before[page].attrs.dirty && is_leaf(page) &&
                           !model_[page].attrs.dirty;
      if (cleaned && reports && reported_[page] == 0)
        complain("page " + std::to_string(page) + " was made clean and not reported");
      if (!cleaned && reported_[page] != 0 && !hardware_)
        complain("page " + std::to_string(page) + " was reported and is not clean");
    }
  }

  // ---- comparison
  void check_everything(const step& s);
  void check_model();
  void check_stores(const step& s);

  format_traits traits_;
  std::uint64_t first_;
  bool hardware_;
  Stand<F> stand_;
  model_type model_;
  quire::check::naive_walk<F> seen_;
  std::vector<char> reported_;          // dirty, by the operation
  std::vector<char> fresh_;             // mapped by the operation: the table chooses the size
  std::vector<std::uint32_t> settled_;  // stores of the hardware that somebody knows of
  std::vector<saved_state> saved_;
  bool sizes_free_ = false;
  bool untouched_ = false;  // nothing may have been written or invalidated
  std::string complaint_;
};

template <class F, template <class> class Stand>
void player_of<F, Stand>::play_unchecked(const step& s) {
  std::fill(reported_.begin(), reported_.end(), char{0});
  sizes_free_ = untouched_ = false;
  stand_.begin();
  stand_.discarding(s.what == verb::discard);
  const std::size_t used = stand_.in_use();
  {
    auto session = stand_.session();
    if (s.bad != spoiled::no) perform_bad(session, s);
    else perform(session, s);
    if (s.yields && !session.let_go(true, []() {})) complain("the root is gone");
  }
  stand_.discarding(false);
  if (untouched_ && stand_.touched() != 0) complain("wrote or invalidated something, and had nothing to do");
  if (untouched_ && used != stand_.in_use()) complain("took tables, and had nothing to do");
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::map(session_type& session, const step& s) {
  quire::attributes wanted = s.attrs;
  wanted.may_write = wanted.may_write || wanted.allowed.contains(quire::writable);
  bool changes = false;
  std::fill(fresh_.begin(), fresh_.end(), char{0});
  for (std::size_t page = s.page; page < s.page + s.count; ++page) {
    fresh_[page] = s.replace || !is_leaf(page) ? 1 : 0;
    changes = changes || fresh_[page] != 0 || !model_[page].attrs.allowed.contains(wanted.allowed);
  }
  const quire::map_options options{.largest_level = s.level, .groups = !s.flag, .replace = s.replace};
  const std::size_t before = stand_.in_use();
  const std::size_t bound = quire::tables_needed<F>(pages(s), out(s.output), options);
  const auto modelled =
      model_.map(s.page, s.count, out(s.output), wanted, std::min(s.level, F::shape.root_level), s.replace);
  const auto done = session.map(pages(s), out(s.output), s.attrs, options);
  if (!agree(done, modelled ? errc::none : modelled.error().code)) return;
  if (!changes) untouched_ = true;
  if (!s.replace && stand_.in_use() - before > bound) complain("took more tables than tables_needed() says");
  sizes_free_ = true;
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::unmap(session_type& session, const step& s) {
  const model_type before = model_;
  const auto modelled = model_.unmap(s.page, s.count, partly_of(s));
  std::size_t entries = 0, removed = 0;
  const auto done =
      session.unmap(pages(s), partial_of(s), session.table().policies().tables, [&](const quire::removed_leaf& leaf) {
        ++entries;
        const std::size_t page = model_.page_of(leaf.address);
        if (page >= traits_.pages) return complain("reported a leaf outside the window");
        const auto& was = before[page];
        quire::attributes attrs = leaf.was;
        if (hardware_) {
          attrs.accessed = was.attrs.accessed && attrs.accessed;
          attrs.dirty = was.attrs.dirty && attrs.dirty;
        }
        if (was.kind != quire::entry_kind::leaf || was.output != leaf.output.value || was.attrs != attrs)
          complain("reported another leaf than was there, page " + std::to_string(page));
        removed += static_cast<std::size_t>(leaf.bytes / page_bytes);
        if (leaf.was.dirty) note_report(leaf.address, leaf.bytes);
      });
  if (!agree(done, modelled ? errc::none : modelled.error().code)) return;
  if (modelled->pages != removed)
    complain("reported " + std::to_string(removed) + " pages of " + std::to_string(modelled->pages));
  if (done->entries != entries)
    complain("counted " + std::to_string(done->entries) + " of " + std::to_string(entries) + " entries");
  agree_at_least("accessed", done->accessed, modelled->accessed);
  agree_at_least("dirty", done->dirty, F::facts.has_dirty && modelled->dirty);
  std::size_t first = s.page, end = s.page + s.count;
  if (partial_of(s) == quire::partial::whole) {
    if (before[first].kind == quire::entry_kind::leaf) first = before.leaf_of(first).first;
    if (before[end - 1].kind == quire::entry_kind::leaf)
      end = before.leaf_of(end - 1).first + before.leaf_of(end - 1).count;
  }
  if (done->covered != pages(first, end - first)) complain("covered another range");
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::discard(session_type& session, const step& s) {
  const auto modelled = model_.unmap(s.page, s.count, partly_of(s));
  static_cast<void>(agree(session.discard(pages(s), partial_of(s)), modelled ? errc::none : modelled.error().code));
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::protect(session_type& session, const step& s) {
  const model_type before = model_;
  // Some leaves cannot have these rights: instruction fetch from device memory.
  bool fits = true;
  if (const auto exact = F::protect(s.attrs.allowed))
    for (std::size_t page = s.page; page < s.page + s.count; ++page)
      fits = fits && (!is_leaf(page) ||
                      exact->applies_to(*F::leaf(quire::output_address{model_[page].output}, model_[page].attrs, 0)));
  const auto modelled =
      fits ? model_.protect(s.page, s.count, s.attrs.allowed, partly_of(s)) : errc::unsupported_attribute;
  const bool reports = quire::protecting_loses_dirty<F> || s.flag;
  quire::result<bool> done = errc::stopped;
  const reporter report{this};
  if constexpr (!quire::protecting_loses_dirty<F>)
    if (!s.flag) done = session.protect(pages(s), s.attrs.allowed, partial_of(s));
  if (reports)
    done = session.protect(pages(s), s.attrs.allowed, partial_of(s), session.table().policies().tables, report);
  if (!agree(done, modelled ? errc::none : modelled.error().code)) return;
  if (*done != (modelled->pages != 0)) complain("said another \"anything changed\"");
  if (!*done && partial_of(s) == quire::partial::whole) untouched_ = true;
  check_reported(before, reports);
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::write_protect(session_type& session, const step& s) {
  const model_type before = model_;
  const bool expected = model_.write_protect(s.page, s.count)->pages != 0;
  const reporter report{this};
  const auto done = session.write_protect(pages(s), report);
  if (!agree(done, errc::none)) return;
  if (*done != expected) complain("said another \"anything changed\"");
  if (!expected) untouched_ = true;
  check_reported(before, true);
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::write_protect_mask(session_type& session, const step& s) {
  const model_type before = model_;
  const std::uint32_t room = traits_.pages - s.page;
  const std::uint64_t mask = room >= 64 ? s.mask : s.mask & ((std::uint64_t{1} << room) - 1);
  bool expected = false;
  for (unsigned b = 0; b < 64; ++b)
    if (((mask >> b) & 1U) != 0) expected = model_.write_protect(s.page + b, 1)->pages != 0 || expected;
  const reporter report{this};
  const auto done = session.write_protect(at(s.page), mask, report);
  if (!agree(done, errc::none)) return;
  if (*done != expected) complain("said another \"anything changed\"");
  if (!expected) untouched_ = true;
  check_reported(before, true);
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::restore_write(session_type& session, const step& s) {
  bool expected = false;
  const permissions more = F::relax(quire::writable) ? quire::writable : quire::read_write;
  for (std::size_t page = s.page; page < s.page + s.count; ++page)
    if (is_leaf(page) && model_[page].attrs.may_write)
      expected = model_.relax(page, 1, more, quire::check::partly::whole)->pages != 0 || expected;
  const auto done = session.restore_write(pages(s));
  if (!agree(done, errc::none)) return;
  if (*done != expected && !hardware_) complain("said another \"anything changed\"");
  if (!*done) untouched_ = true;
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::relax(session_type& session, const step& s) {
  const quire::input_address byte = at(s.page) + (s.count % page_bytes);
  errc expected = errc::none;
  if (const auto change = F::relax(s.attrs.allowed); !change) expected = change.error().code;
  else if (model_[s.page].kind == quire::entry_kind::marker) expected = errc::marked;
  else if (!is_leaf(s.page)) expected = errc::not_mapped;
  else {
    static_cast<void>(model_.relax(s.page, 1, s.attrs.allowed, quire::check::partly::whole));
    if (!model_[s.page].attrs.allowed.contains(s.attrs.allowed)) expected = errc::unsupported_attribute;
  }
  static_cast<void>(agree(session.relax(byte, s.attrs.allowed), expected));
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::age(session_type& session, const step& s) {
  if constexpr (F::facts.has_accessed) {
    const bool expected = model_.clear_accessed(s.page, s.count)->pages != 0;
    const auto done = session.test_and_clear_accessed(pages(s));
    if (!agree(done, errc::none)) return;
    agree_at_least("accessed", *done, expected);
    if (!*done) untouched_ = true;
  }
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::set_accessed(session_type& session, const step& s) {
  bool expected = false;
  for (std::size_t page = s.page; page < s.page + s.count; ++page) {
    expected = expected || (is_leaf(page) && !model_[page].attrs.accessed);
    model_.set_accessed(page);
  }
  const auto done = session.set_accessed(pages(s));
  if (!agree(done, errc::none)) return;
  if (*done != expected && !hardware_) complain("said another \"anything changed\"");
  if (!*done) untouched_ = true;
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::take_dirty(session_type& session, const step& s) {
  if constexpr (F::facts.has_dirty) {
    const model_type before = model_;
    bool expected = false;
    for (std::size_t page = s.page; page < s.page + s.count; ++page)
      expected = expected || (is_leaf(page) && model_[page].attrs.dirty);
    static_cast<void>(model_.read_and_clear_dirty(s.page, s.count));
    const auto done = session.read_and_clear_dirty(pages(s), reporter{this}, !s.flag);
    if (!agree(done, errc::none)) return;
    agree_at_least("dirty", *done, expected);
    check_reported(before, true);
    if (s.flag) {
      model_ = before;
      std::fill(reported_.begin(), reported_.end(), char{0});
    }
    if (!*done || s.flag) untouched_ = true;
  }
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::split(session_type& session, const step& s) {
  const bool legal = s.level >= 0 && s.level <= F::shape.root_level && (F::group_sizes(s.level) & 1U) != 0;
  const std::size_t before = stand_.in_use();
  const auto done =
      s.flag ? session.template split<quire::walk_flags{}>(pages(s), s.level, session.table().policies().tables)
             : session.split(pages(s), s.level);
  if (!agree(done, legal ? errc::none : errc::unsupported_level)) return;
  const bool any = model_.split(s.page, s.count, s.level).pages != 0;
  if (done->out_of_memory) complain("out of memory");
  if (stand_.in_use() - before != done->tables) complain("counted " + std::to_string(done->tables) + " tables");
  if ((done->leaves != 0) != (done->tables != 0)) complain("leaves and tables disagree");
  if (!any) untouched_ = true;
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::collapse(session_type& session, const step& s) {
  std::size_t expected = 0;
  for (int level = 1; level <= std::min(s.level, F::shape.root_level); ++level) {
    const std::size_t count = std::size_t{1} << (F::shape.shift(level) - F::shape.page_bits);
    if ((F::group_sizes(level) & 1U) == 0 || count > traits_.pages) continue;
    for (std::size_t page = (s.page + count - 1) / count * count; page + count <= s.page + s.count; page += count)
      if (is_leaf(page) && model_[page].level < level && model_.collapse(page, level)) ++expected;
  }
  const auto done = session.collapse(pages(s), s.level);
  if (!agree(done, errc::none)) return;
  if (done->leaves != expected)
    complain("made " + std::to_string(done->leaves) + " leaves, expected " + std::to_string(expected));
  if (expected == 0) untouched_ = true;
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::prune(session_type& session, const step& s) {
  const std::size_t before = stand_.in_use();
  const auto done = session.prune(pages(s));
  if (!agree(done, errc::none)) return;
  if (before - stand_.in_use() != *done) complain("counted " + std::to_string(*done) + " tables");
  if (*done == 0) untouched_ = true;
  // No table of the range is empty now.
  quire::check::visit_entries<F>(stand_.memory(), *stand_.table.root(), [&](const auto& entry) {
    if (entry.kind != quire::entry_kind::table || entry.last < at(s.page).value || entry.first > pages(s).last().value)
      return;
    const auto memory = stand_.memory();
    for (std::size_t i = 0; i < F::shape.entries(entry.level - 1); ++i)
      if (memory.template load<word>(F::table_of(entry.word, entry.level), i, quire::order::relaxed) != 0) return;
    complain("an empty table is left");
  });
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::annotate(session_type& session, const step& s) {
  errc expected = s.mask >> F::facts.marker_bits != 0 ? errc::unsupported_attribute : errc::none;
  for (std::size_t page = s.page; page < s.page + s.count && expected == errc::none; ++page)
    expected = is_leaf(page)                                    ? errc::already_mapped
               : model_[page].kind == quire::entry_kind::marker ? errc::marked
                                                                : errc::none;
  if (agree(session.annotate(pages(s), s.mask), expected)) model_.annotate(s.page, s.count, s.mask);
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::look(session_type& session, const step& s) {
  untouched_ = true;
  const auto same = [&](const quire::mapping& found, std::size_t page) {
    const auto& one = model_[page];
    const auto leaf = model_.leaf_of(page);
    quire::attributes attrs = found.attrs;
    if (hardware_) {
      attrs.accessed = one.attrs.accessed && attrs.accessed;
      attrs.dirty = one.attrs.dirty && attrs.dirty;
    }
    if (found.input != at(leaf.first) || found.bytes != leaf.count * page_bytes || found.level != one.level ||
        found.group != one.group || found.translate(at(page)).value != one.output || attrs != one.attrs)
      complain("found another mapping at page " + std::to_string(page));
  };
  const quire::input_address byte = at(s.page) + (s.count % page_bytes);
  const auto found = session.lookup(byte);
  const auto marked = session.annotation(byte);
  const auto& one = model_[s.page];
  const errc expected = one.kind == quire::entry_kind::leaf     ? errc::none
                        : one.kind == quire::entry_kind::marker ? errc::marked
                                                                : errc::not_mapped;
  if (agree(found, expected)) same(*found, s.page);
  const auto translated = session.translate(byte);
  if (translated.has_value() != found.has_value() ||
      (translated && translated->value != one.output + (s.count % page_bytes)))
    complain("translate() disagrees");
  if (marked.has_value() != (expected == errc::marked) || (marked && *marked != one.payload))
    complain("another annotation");
  std::size_t next = s.page;
  const auto skip_holes = [&]() {
    while (next < s.page + s.count && !is_leaf(next)) ++next;
  };
  static_cast<void>(session.for_each_mapping(pages(s), [&](const quire::mapping& each) {
    skip_holes();
    if (next >= s.page + s.count) return complain("one mapping too many");
    same(each, next);
    const auto leaf = model_.leaf_of(next);
    next = leaf.first + leaf.count;
  }));
  skip_holes();
  if (next < s.page + s.count) complain("page " + std::to_string(next) + " was not visited");
}

// Calls the operation with any range at all, and gives what it said.
template <class F, template <class> class Stand>
quire::errc player_of<F, Stand>::attempt(session_type& session, const step& s, range r, quire::output_address output) {
  const reporter report{this};
  auto& tables = session.table().policies().tables;
  const auto code = [](const auto& done) { return done ? errc::none : done.error().code; };
  switch (s.what) {
    case verb::map:
      return code(session.map(r, output, {.allowed = quire::read_write, .from = ordinary_privilege<F>},
                              {.largest_level = s.level, .replace = s.replace}));
    case verb::unmap: return code(session.unmap(r, partial_of(s)));
    case verb::discard: return code(session.discard(r, partial_of(s)));
    case verb::protect: return code(session.protect(r, quire::readable, partial_of(s), tables, report));
    case verb::write_protect: return code(session.write_protect(r, report));
    case verb::write_protect_mask: return code(session.write_protect(r.first(), s.mask | 1U, report));
    case verb::restore_write: return code(session.restore_write(r));
    case verb::relax: return code(session.relax(r.first(), quire::readable));
    case verb::age:
      if constexpr (F::facts.has_accessed) return code(session.test_and_clear_accessed(r));
      else return code(session.set_accessed(r));
    case verb::set_accessed: return code(session.set_accessed(r));
    case verb::take_dirty:
      if constexpr (F::facts.has_dirty) return code(session.read_and_clear_dirty(r, report));
      else return code(session.set_accessed(r));
    case verb::split: return code(session.split(r, s.level));
    case verb::collapse: return code(session.collapse(r, s.level));
    case verb::prune: return code(session.prune(r));
    case verb::annotate: return code(session.annotate(r, s.mask));
    case verb::look: {
      const errc found = code(session.lookup(r.first()));
      const errc marked = code(session.annotation(r.first()));
      const errc each = code(session.for_each_mapping(r, [](const quire::mapping&) {}));
      if ((found == errc::beyond_input) != (marked == errc::beyond_input)) return errc::stopped;
      return s.flag ? found : each;
    }
    case verb::count: break;
  }
  return errc::none;
}

// An operation with a range or an output that none may accept.
template <class F, template <class> class Stand>
void player_of<F, Stand>::perform_bad(session_type& session, const step& s) {
  // Nothing lies beyond 64 bits.
  if (last_of_half<F> == ~std::uint64_t{0} && (s.bad == spoiled::beyond || s.bad == spoiled::hole)) return;
  const std::uint64_t beyond = last_of_half<F> + 1;
  const std::uint64_t past = F::facts.sign_extended ? ~std::uint64_t{0} : beyond + (page_bytes - 1);
  range bad = pages(s);
  quire::output_address output{0};
  errc expected = errc::unaligned;
  step call = s;
  switch (s.bad) {
    case spoiled::first_unaligned: bad = range::closed(at(s.page) + 1, bad.last()); break;
    case spoiled::size_unaligned: bad = range::closed(at(s.page), bad.last() - 1); break;
    case spoiled::empty:
      bad = range::sized(at(s.page), 0);
      expected = errc::empty_range;
      break;
    case spoiled::wraps:
      bad = range::closed(bad.last(), bad.first());
      expected = errc::range_overflow;
      break;
    case spoiled::beyond:
      bad = range::sized(quire::input_address{beyond}, page_bytes);
      expected = errc::beyond_input;
      break;
    case spoiled::hole:
      bad = range::closed(quire::input_address{beyond - page_bytes}, quire::input_address{past});
      expected = errc::beyond_input;
      break;
    case spoiled::output_unaligned:
      call.what = verb::map;
      output = quire::output_address{1};
      break;
    case spoiled::output_beyond:
      call.what = verb::map;
      output = quire::output_address{(std::uint64_t{1} << F::facts.output_bits) - (s.count - 1) * page_bytes};
      expected = errc::beyond_output;
      break;
    case spoiled::no: break;
  }
  call.level = call.what == verb::split ? 0 : call.level;
  call.flag = false;
  call.mask = s.mask & 1U;
  const bool by_address = call.what == verb::relax || call.what == verb::write_protect_mask;
  if (by_address && s.bad != spoiled::beyond) return;
  const errc said = attempt(session, call, bad, output);
  if (said != expected)
    complain(std::string("said ") + quire::name_of(said) + ", expected " + quire::name_of(expected));
  untouched_ = true;
}

// Is it this range that the format can translate? Said once more, in another way than the library does.
template <class F, template <class> class Stand>
quire::errc player_of<F, Stand>::verdict(std::uint64_t first, std::uint64_t last) {
  const auto part = [](std::uint64_t address) {
    return address <= last_of_half<F> ? 1 : F::facts.sign_extended && address >= ~last_of_half<F> ? 2 : 0;
  };
  if (last < first) return last + 1 == first ? errc::empty_range : errc::range_overflow;
  if (first % page_bytes != 0 || last % page_bytes != page_bytes - 1) return errc::unaligned;
  return part(first) == 0 || part(first) != part(last) ? errc::beyond_input : errc::none;
}

template <class F, template <class> class Stand>
std::string player_of<F, Stand>::play_raw(verb what, std::uint64_t first, std::uint64_t last, std::uint64_t output) {
  const range r = range::closed(quire::input_address{first}, quire::input_address{last});
  const std::uint64_t most = (std::uint64_t{1} << F::facts.output_bits) - 1;
  errc expected = verdict(first, last);
  const bool looks_up = what == verb::look && first == last;
  if (what == verb::relax || looks_up || what == verb::write_protect_mask) {
    const std::uint64_t page = first / page_bytes * page_bytes;
    expected = verdict(page, page + (page_bytes - 1));
    if (what == verb::write_protect_mask && first != page)
      expected = first + (page_bytes - 1) < first ? errc::range_overflow : errc::unaligned;
    if (what != verb::write_protect_mask && expected == errc::none) expected = errc::not_mapped;
  }
  const bool small = last - first < 4 * page_bytes;
  if (expected == errc::none && (what == verb::map || what == verb::annotate)) {
    if (!small) return {};
    if (what == verb::map && output % page_bytes != 0) expected = errc::unaligned;
    else if (what == verb::map && (output > most || most - output < last - first)) expected = errc::beyond_output;
  }
  stand_.begin();
  const std::size_t used = stand_.in_use();
  errc said{};
  {
    auto session = stand_.session();
    said = attempt(session, {.what = what, .level = what == verb::split ? 0 : 1, .flag = looks_up}, r,
                   quire::output_address{output});
    const bool mapped = said == errc::none && (what == verb::map || what == verb::annotate);
    if (!mapped && (stand_.touched() != 0 || stand_.in_use() != used)) complain("wrote or invalidated something");
    if (mapped && (!session.unmap(r) || !session.prune(r))) complain("could not unmap what was mapped");
  }
  if (said != expected)
    complain(std::string("said ") + quire::name_of(said) + ", expected " + quire::name_of(expected));
  if (stand_.in_use() != used) complain("a table is left");
  if (!stand_.findings().empty()) complain(stand_.findings().text());
  return complaint_.empty() ? std::string{}
                            : std::string(name_of(what)) + " " + quire::check::range_text(first, last) + " -> " +
                                  quire::check::hex(output) + ": " + std::exchange(complaint_, {});
}

// ---- comparison

template <class F, template <class> class Stand>
void player_of<F, Stand>::check_everything(const step& s) {
  check_model();
  if (complaint_.empty()) check_stores(s);
  stand_.end();
  if (!stand_.findings().empty()) complain(stand_.findings().text());
}

template <class F, template <class> class Stand>
void player_of<F, Stand>::check_model() {
  const auto memory = stand_.memory();
  const quire::table_address root = *stand_.table.root();
  auto& findings = stand_.findings();
  static_cast<void>(model_.differences(memory, root, findings, {!hardware_, !hardware_, !sizes_free_}));
  if (!findings.empty()) return complain(findings.text());
  if constexpr (!quire::has_groups<F>)
    if (!hardware_ && !sizes_free_) return;
  seen_.read(memory, root);
  if (seen_.torn_groups != 0) complain("a torn group");
  for (const auto& leaf : seen_.leaves) {
    const std::size_t page = model_.page_of(leaf.first);
    for (std::size_t i = page; i < page + leaf.bytes() / page_bytes; ++i) {
      const auto& one = model_[i];
      if (sizes_free_ && fresh_[i] == 0 && (one.level != leaf.level || one.group != leaf.group))
        return complain("page " + std::to_string(i) + " is in a leaf of another size now");
      if (!hardware_) continue;
      if ((one.attrs.accessed && !leaf.attrs.accessed) || (one.attrs.dirty && !leaf.attrs.dirty))
        return complain("page " + std::to_string(i) + " lost its accessed or dirty bit");
    }
    if (sizes_free_) continue;
    if (leaf.attrs.accessed) model_.set_accessed(page);
    if (leaf.attrs.dirty) model_.set_dirty(page);
  }
  if (!sizes_free_) return;
  model_.adopt_sizes(memory, root);
  sizes_free_ = false;
  if (!hardware_) return;
  for (const auto& leaf : seen_.leaves) {
    const std::size_t page = model_.page_of(leaf.first);
    if (leaf.attrs.accessed) model_.set_accessed(page);
    if (leaf.attrs.dirty) model_.set_dirty(page);
  }
}

// A page that the hardware stored to is dirty, or somebody was told, or asked not to be.
template <class F, template <class> class Stand>
void player_of<F, Stand>::check_stores(const step& s) {
  if constexpr (F::facts.has_dirty) {
    if (!hardware_) return;
    const bool forgets = s.what == verb::discard || (s.what == verb::map && s.replace);
    for (std::size_t page = 0; page < traits_.pages; ++page) {
      const std::uint32_t stores = stand_.stores_at(page);
      if (reported_[page] != 0 || (forgets && !(is_leaf(page) && model_[page].attrs.dirty))) settled_[page] = stores;
      if (stores != settled_[page] && !(is_leaf(page) && model_[page].attrs.dirty))
        return complain("a store to page " + std::to_string(page) + " is lost");
    }
  }
}

// All or nothing where the operation promises it; a split says how far it came, and no translation changes.
template <class F, template <class> class Stand>
std::string player_of<F, Stand>::play_failing(const step& s, std::uint64_t k, bool all_later) {
  const auto before = tree();
  const std::size_t used = stand_.in_use();
  if (all_later) stand_.fail_all_from(k);
  else stand_.fail_at(k);
  stand_.begin();
  errc said{};
  bool out_of_memory = false;
  {
    auto session = stand_.session();
    if (s.what == verb::split) {
      const auto done = session.split(pages(s), s.level);
      if (done && stand_.in_use() - used != done->tables)
        complain("counted " + std::to_string(done->tables) + " tables");
      out_of_memory = done && done->out_of_memory;
      // The place it names lies in the leaf that it could not split, and that may begin before the range.
      const std::size_t reached = !out_of_memory                  ? s.page + s.count
                                  : done->stopped_at < at(s.page) ? s.page
                                                                  : model_.page_of(done->stopped_at);
      if (reached > s.page + s.count) complain("stopped outside the range");
      else if (done && reached > s.page) static_cast<void>(model_.split(s.page, reached - s.page, s.level));
    } else if (s.what == verb::map) {
      const auto done = session.map(pages(s), out(s.output), s.attrs,
                                    {.largest_level = s.level, .groups = !s.flag, .replace = s.replace});
      said = done ? errc::none : done.error().code;
    } else if (s.what == verb::protect) {
      const reporter report{this};
      const auto done =
          session.protect(pages(s), s.attrs.allowed, partial_of(s), session.table().policies().tables, report);
      said = done ? errc::none : done.error().code;
    } else {
      said = attempt(session, s, pages(s), out(s.output));
    }
  }
  stand_.fail_at(0);
  if (said != errc::no_memory && s.what != verb::split) complain("did not run out of memory");
  if (said == errc::no_memory && s.what != verb::split) {
    if (tree() != before) complain("ran out of memory and changed something");
    if (stand_.in_use() != used) complain("ran out of memory and kept tables");
    if (stand_.touched() != 0) complain("ran out of memory and wrote or invalidated something");
  }
  if (s.what == verb::split) {
    // The rest is as large as the table left it.
    static_cast<void>(
        model_.differences(stand_.memory(), *stand_.table.root(), stand_.findings(), {true, true, false}));
    quire::check::naive_walk<F> now;
    now.read(stand_.memory(), *stand_.table.root());
    for (const auto& leaf : now.leaves) {
      const std::size_t page = model_.page_of(leaf.first);
      if (page < traits_.pages &&
          (model_[page].level < leaf.level || (model_[page].level == leaf.level && model_[page].group < leaf.group)))
        complain("did not split all before the place it named");
    }
    model_.adopt_sizes(stand_.memory(), *stand_.table.root());
  }
  stand_.end();
  if (!stand_.findings().empty()) complain(stand_.findings().text());
  return std::exchange(complaint_, {});
}

// ---- factories

template <class F, bool Bare>
std::unique_ptr<player> make_player(stand_kind kind, const player_options& o) {
  if (kind == stand_kind::watched) return std::make_unique<player_of<F, watched_stand>>(o);
  if constexpr (Bare) return std::make_unique<player_of<F, bare_stand>>(o);
  else return nullptr;
}

template <class Format, class List>
inline constexpr bool is_in = false;
template <class Format, class... Formats>
inline constexpr bool is_in<Format, std::tuple<Formats...>> = (std::is_same_v<Format, Formats> || ...);

template <class Format>
bool add_player() {
  const player_factory made{name_of_format<Format>, !is_tiny<Format>, traits_of<Format>(),
                            &make_player<Format, is_in<Format, formats_with_bare_stand>>};
  return all_players().emplace(made.name, made).second;
}

}  // namespace quire_test
