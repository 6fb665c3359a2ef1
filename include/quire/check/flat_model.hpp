// SPDX-License-Identifier: MIT
// A table as one would write it down on paper: one line per page of a window of the input space, and every operation in
// its most naive form. Tests run each operation on the model and on the table, and compare the whole window.
//
// A page knows which leaf it belongs to, because whole-leaf operations, rights and the accessed and dirty bits are
// properties of a leaf. Bits are changed by the format's own changes, on an encoded entry: the formats have tests of
// their own, the model is about which entries are touched.
//
// Requires: the window starts at a multiple of its size where leaves may be as large as that; ranges lie within it.
// Errors: named as the operations name them; nothing has changed then.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <string>   // string
#include <vector>   // vector

#include <quire/check/model_page.hpp>  // model_page, model_outcome
#include <quire/check/naive_walk.hpp>  // visit_entries
#include <quire/check/report.hpp>      // report
#include <quire/format/concept.hpp>    // pte_format
#include <quire/result.hpp>            // result

namespace quire::check {

template <pte_format F>
class flat_model {
 public:
  using word = typename F::word;
  using change = entry_change<word>;

  flat_model(input_address first, std::size_t pages) : first_(first.value), pages_(pages) {}

  // ---- the window
  [[nodiscard]] std::size_t size() const noexcept { return pages_.size(); }
  [[nodiscard]] const model_page& operator[](std::size_t page) const noexcept { return pages_[page]; }
  [[nodiscard]] input_address address_of(std::size_t page) const noexcept {
    return input_address{first_ + page * F::shape.page_bytes()};
  }
  [[nodiscard]] std::size_t page_of(input_address input) const noexcept {
    return static_cast<std::size_t>((input.value - first_) >> F::shape.page_bits);
  }
  // The pages of the leaf that `page` belongs to: [first, first + count).
  struct leaf_pages {
    std::size_t first;
    std::size_t count;
  };
  [[nodiscard]] leaf_pages leaf_of(std::size_t page) const noexcept {
    const std::size_t count = count_of(pages_[page].level, pages_[page].group);
    return {aligned(page, count), count};
  }

  // ---- operations on [page, page + count)
  // Where the output is already there, rights are added, to whole leaves; anything else is a conflict unless `replace`.
  // What is absent is mapped with the largest leaves up to `largest` that fit.
  result<model_outcome> map(std::size_t page, std::size_t count, output_address output, const attributes& wanted,
                            int largest = F::shape.root_level, bool replace = false) {
    if (const errc wrong = check_map(page, count, output, wanted, replace); wrong != errc::none) return wrong;
    if (replace) static_cast<void>(unmap(page, count));
    model_outcome done;
    for (std::size_t at = page; at < page + count;) {
      const std::uint64_t out = output.value + (at - page) * F::shape.page_bytes();
      if (pages_[at].kind == entry_kind::leaf) {
        if (!pages_[at].attrs.allowed.contains(wanted.allowed)) change_leaf(at, *F::relax(wanted.allowed), done);
        at = leaf_of(at).first + leaf_of(at).count;
        continue;
      }
      const auto [level, group] = largest_leaf(at, page + count, out, largest);
      place(at, level, group, out, wanted);
      at += count_of(level, group);
      done.pages += count_of(level, group);
    }
    return done;
  }
  // Takes markers along; the outcome counts pages that were mapped. A discard does the same and tells nothing.
  result<model_outcome> unmap(std::size_t page, std::size_t count, partly how = partly::split) {
    if (const errc wrong = prepare(page, count, how); wrong != errc::none) return wrong;
    return remove(page, count);
  }
  result<model_outcome> protect(std::size_t page, std::size_t count, permissions allowed, partly how = partly::split) {
    const auto exact = F::protect(allowed);
    if (!exact) return exact.error();
    if (const errc wrong = prepare(page, count, how); wrong != errc::none) return wrong;
    return change_all(page, count, *exact);
  }
  result<model_outcome> relax(std::size_t page, std::size_t count, permissions allowed, partly how = partly::split) {
    const auto more = F::relax(allowed);
    if (!more) return more.error();
    if (const errc wrong = prepare(page, count, how); wrong != errc::none) return wrong;
    return change_all(page, count, *more);
  }
  result<model_outcome> write_protect(std::size_t page, std::size_t count, partly how = partly::whole) {
    if (const errc wrong = prepare(page, count, how); wrong != errc::none) return wrong;
    return change_all(page, count, F::write_protect);
  }
  result<model_outcome> clear_accessed(std::size_t page, std::size_t count) {
    return change_all(page, count, F::clear_accessed);
  }
  // outcome.dirty: a leaf was dirty; it is clean now.
  result<model_outcome> read_and_clear_dirty(std::size_t page, std::size_t count) {
    return change_all(page, count, F::make_clean);
  }
  // Leaves above `level` that the range touches, one step at a time, and groups at `level`; what lies outside the range
  // stays as large as it is.
  model_outcome split(std::size_t page, std::size_t count, int level) {
    model_outcome done;
    for (std::size_t at = page; at < page + count; ++at)
      while (pages_[at].kind == entry_kind::leaf &&
             (pages_[at].level > level || (pages_[at].level == level && pages_[at].group != 0))) {
        done.pages += leaf_of(at).count;
        split_once(at);
      }
    return done;
  }
  // One leaf of `level` in place of smaller ones: same attributes but for accessed and dirty, neighbouring output.
  result<model_outcome> collapse(std::size_t page, int level) {
    const std::size_t count = count_of(level, 0), first = aligned(page, count);
    if ((F::group_sizes(level) & 1U) == 0) return errc::unsupported_level;
    if (first + count > pages_.size()) return errc::beyond_input;
    attributes all = pages_[first].attrs;
    for (std::size_t at = first; at < first + count; ++at) {
      const model_page& one = pages_[at];
      if (one.kind != entry_kind::leaf || one.level > level) return errc::not_uniform;
      attributes same = one.attrs;
      same.accessed = all.accessed;
      same.dirty = all.dirty;
      if (same != all || one.output != pages_[first].output + (at - first) * F::shape.page_bytes())
        return errc::not_uniform;
      all.accessed |= one.attrs.accessed;
      all.dirty |= one.attrs.dirty;
    }
    if (!output_address{pages_[first].output}.is_aligned(bytes_of<F>(level))) return errc::not_uniform;
    place(first, level, 0, pages_[first].output, all);
    return model_outcome{.pages = count};
  }
  void annotate(std::size_t page, std::size_t count, std::uint64_t payload) {
    for (std::size_t at = page; at < page + count; ++at) pages_[at] = {.kind = entry_kind::marker, .payload = payload};
  }
  // What the hardware does to the leaf of a page.
  void set_accessed(std::size_t page) {
    each_of_leaf(page, [](model_page& one) { one.attrs.accessed = true; });
  }
  void set_dirty(std::size_t page) {
    each_of_leaf(page, [](model_page& one) { one.attrs.dirty = true; });
  }

  // ---- comparison
  // Reports every page that the table at `root` and the model see differently; gives their number.
  template <class Memory>
  std::size_t differences(const Memory& memory, table_address root, report& findings,
                          compare_options options = {}) const {
    std::size_t count = 0;
    visit_entries<F>(memory, root, [&](const visited_entry<F>& entry) {
      if (entry.kind == entry_kind::table) return;
      each_page(entry, [&](std::size_t page, bool in_window) {
        const char* const what = in_window                          ? difference(memory, entry, page, options)
                                 : entry.kind != entry_kind::absent ? "outside the window"
                                                                    : nullptr;
        if (what == nullptr) return;
        ++count;
        findings.add(rule::difference, std::string(what) + " at " + hex(entry.first) + " level " +
                                           std::to_string(entry.level) + " entry " + hex(entry.word) +
                                           (in_window ? ", page " + std::to_string(page) + ": " + text(page) : ""));
      });
    });
    return count;
  }
  // Takes the leaf sizes from the table: where the model need not know how the table chose them. What is one leaf now
  // is accessed and dirty as a whole. Before differences(), which then still sees a bit that was lost.
  template <class Memory>
  void adopt_sizes(const Memory& memory, table_address root) {
    visit_entries<F>(memory, root, [&](const visited_entry<F>& entry) {
      if (entry.kind != entry_kind::leaf) return;
      each_page(entry, [&](std::size_t page, bool in_window) {
        if (!in_window || pages_[page].kind != entry_kind::leaf) return;
        pages_[page].level = entry.level;
        pages_[page].group = F::group_of(entry.word, entry.level);
        model_page& head = pages_[leaf_of(page).first];
        head.attrs.accessed |= pages_[page].attrs.accessed;
        head.attrs.dirty |= pages_[page].attrs.dirty;
      });
    });
    for (std::size_t page = 0; page < pages_.size(); ++page) {
      if (pages_[page].kind != entry_kind::leaf) continue;
      const model_page& head = pages_[leaf_of(page).first];
      pages_[page].attrs.accessed = head.attrs.accessed;
      pages_[page].attrs.dirty = head.attrs.dirty;
    }
  }

 private:
  [[nodiscard]] static std::size_t count_of(int level, int group) noexcept {
    return std::size_t{1} << (shift_of<F>(level) - F::shape.page_bits + group);
  }
  // The window's own start counts: leaves are aligned to the input space.
  [[nodiscard]] std::size_t aligned(std::size_t page, std::size_t count) const noexcept {
    const std::uint64_t number = (first_ >> F::shape.page_bits) + page;
    const std::uint64_t back = number & (count - 1);
    return back > page ? 0 : page - static_cast<std::size_t>(back);
  }
  [[nodiscard]] bool is_whole(std::size_t page, std::size_t count, leaf_pages leaf) const noexcept {
    return leaf.first >= page && leaf.first + leaf.count <= page + count;
  }

  void place(std::size_t page, int level, int group, std::uint64_t output, const attributes& attrs) {
    for (std::size_t i = 0; i < count_of(level, group); ++i)
      pages_[page + i] = {.kind = entry_kind::leaf,
                          .level = level,
                          .group = group,
                          .output = output + i * F::shape.page_bytes(),
                          .attrs = attrs};
  }
  template <class Do>
  void each_of_leaf(std::size_t page, Do act) {
    if (pages_[page].kind != entry_kind::leaf) return;
    const leaf_pages leaf = leaf_of(page);
    for (std::size_t at = leaf.first; at < leaf.first + leaf.count && at < pages_.size(); ++at) act(pages_[at]);
  }

  struct leaf_size {
    int level;
    int group;
  };
  [[nodiscard]] leaf_size largest_leaf(std::size_t page, std::size_t end, std::uint64_t output, int largest) const {
    for (int level = largest; level >= 0; --level)
      for (int group = 15; group >= 0; --group)
        if (((F::group_sizes(level) >> group) & 1U) != 0 && fits(page, end, output, count_of(level, group)))
          return {level, group};
    return {0, 0};
  }
  [[nodiscard]] bool fits(std::size_t page, std::size_t end, std::uint64_t output, std::size_t count) const {
    if (page + count > end || aligned(page, count) != page) return false;
    if (((first_ >> F::shape.page_bits) + page) % count != 0) return false;
    if (!output_address{output}.is_aligned(count * F::shape.page_bytes())) return false;
    for (std::size_t at = page; at < page + count; ++at)
      if (pages_[at].kind != entry_kind::absent) return false;
    return true;
  }
  [[nodiscard]] errc check_map(std::size_t page, std::size_t count, output_address output, const attributes& wanted,
                               bool replace) const {
    if (count == 0) return errc::empty_range;
    if (page + count > pages_.size()) return errc::beyond_input;
    for (std::size_t at = page; at < page + count; ++at) {
      const output_address out = output + (at - page) * F::shape.page_bytes();
      if (const auto entry = F::leaf(out, wanted, 0); !entry) return entry.error().code;
    }
    for (std::size_t at = page; at < page + count && !replace; ++at) {
      const model_page& one = pages_[at];
      if (one.kind == entry_kind::marker) return errc::marked;
      if (one.kind != entry_kind::leaf) continue;
      const bool same = one.output == output.value + (at - page) * F::shape.page_bytes() &&
                        one.attrs.memory == wanted.memory && one.attrs.global == wanted.global &&
                        (one.attrs.from == privilege::any || one.attrs.from == wanted.from);
      if (!same || (!one.attrs.allowed.contains(wanted.allowed) &&
                    !(is_whole(page, count, leaf_of(at)) && F::relax(wanted.allowed).has_value())))
        return errc::already_mapped;
    }
    return errc::none;
  }

  // Makes the range end at leaf borders, as `how` says.
  [[nodiscard]] errc prepare(std::size_t& page, std::size_t& count, partly how) {
    if (count == 0) return errc::empty_range;
    if (page + count > pages_.size()) return errc::beyond_input;
    const std::size_t ends[] = {page, page + count - 1};
    for (const std::size_t end : ends) {
      if (pages_[end].kind != entry_kind::leaf) continue;
      const leaf_pages leaf = leaf_of(end);
      if (is_whole(page, count, leaf)) continue;
      if (how == partly::error) return errc::crosses_leaf;
      if (how == partly::whole) {
        const std::size_t last = page + count;
        if (leaf.first < page) page = leaf.first;
        count = (leaf.first + leaf.count > last ? leaf.first + leaf.count : last) - page;
      } else {
        cut(page, count, end);
      }
    }
    return errc::none;
  }
  // Splits the leaf of `at`, step by step, until the part that `at` belongs to lies inside [page, page + count).
  void cut(std::size_t page, std::size_t count, std::size_t at) {
    while (pages_[at].kind == entry_kind::leaf && !is_whole(page, count, leaf_of(at))) split_once(at);
  }
  // A group into single leaves, a leaf into the leaves of the next level that holds any.
  void split_once(std::size_t page) {
    model_page whole = pages_[page];
    const leaf_pages leaf = leaf_of(page);
    int level = whole.level;
    if (whole.group == 0) do
        --level;
      while (level > 0 && (F::group_sizes(level) & 1U) == 0);
    for (std::size_t at = leaf.first; at < leaf.first + leaf.count; ++at) {
      pages_[at].level = level;
      pages_[at].group = 0;
    }
  }

  model_outcome remove(std::size_t page, std::size_t count) {
    model_outcome done;
    for (std::size_t at = page; at < page + count; ++at) {
      if (pages_[at].kind == entry_kind::leaf) {
        ++done.pages;
        done.accessed |= pages_[at].attrs.accessed;
        done.dirty |= pages_[at].attrs.dirty;
      }
      pages_[at] = {};
    }
    return done;
  }
  result<model_outcome> change_all(std::size_t page, std::size_t count, const change& what) {
    model_outcome done;
    for (std::size_t at = page; at < page + count;) {
      if (pages_[at].kind != entry_kind::leaf) {
        ++at;
        continue;
      }
      const leaf_pages leaf = leaf_of(at);
      done.accessed |= pages_[at].attrs.accessed;
      done.dirty |= pages_[at].attrs.dirty;
      change_leaf(at, what, done);
      at = leaf.first + leaf.count;
    }
    return done;
  }
  void change_leaf(std::size_t page, const change& what, model_outcome& done) {
    const leaf_pages leaf = leaf_of(page);
    const model_page& one = pages_[leaf.first];
    const auto entry = F::leaf(output_address{one.output}, one.attrs, one.level, one.group);
    if (!entry) return;
    const attributes after = F::attributes_of(what(*entry), one.level);
    if (after == one.attrs) return;
    done.pages += leaf.count;
    each_of_leaf(leaf.first, [&](model_page& each) { each.attrs = after; });
  }

  // Calls act(page, true) for the entry's pages inside the window, and act(0, false) once if there are others.
  template <class Act>
  void each_page(const visited_entry<F>& entry, Act act) const {
    const std::uint64_t bytes = F::shape.page_bytes();
    const std::uint64_t last = first_ + (pages_.size() * bytes - 1);
    if (entry.first < first_ || entry.last > last) act(0, false);
    if (entry.last < first_ || entry.first > last) return;
    const std::size_t from = entry.first < first_ ? 0 : page_of(input_address{entry.first});
    const std::size_t to = entry.last > last ? pages_.size() - 1 : page_of(input_address{entry.last});
    for (std::size_t page = from; page <= to; ++page) act(page, true);
  }
  template <class Memory>
  [[nodiscard]] const char* difference(const Memory& memory, const visited_entry<F>& entry, std::size_t page,
                                       compare_options options) const {
    const model_page& one = pages_[page];
    if (entry.kind != one.kind) return entry.kind == entry_kind::locked ? "left locked" : "other kind";
    if (entry.kind == entry_kind::marker) return F::payload_of(entry.word) == one.payload ? nullptr : "other payload";
    if (entry.kind != entry_kind::leaf) return nullptr;
    const std::uint64_t output = F::output_of(entry.word, entry.level).value +
                                 offset_in_leaf<F>(entry.word, entry.level, address_of(page).value);
    if (output != one.output) return "other output";
    attributes attrs = F::attributes_of(entry.word, entry.level);
    if constexpr (has_groups<F>) add_group(memory, entry, attrs);
    if (options.accessed && attrs.accessed != one.attrs.accessed) return "other accessed bit";
    if (options.dirty && attrs.dirty != one.attrs.dirty) return "other dirty bit";
    attrs.accessed = one.attrs.accessed;
    attrs.dirty = one.attrs.dirty;
    if (attrs != one.attrs) return "other attributes";
    if (options.sizes && (entry.level != one.level || F::group_of(entry.word, entry.level) != one.group))
      return "other leaf size";
    return nullptr;
  }
  // Accessed and dirty of a group are those of all its entries.
  template <class Memory>
  static void add_group(const Memory& memory, const visited_entry<F>& entry, attributes& attrs) {
    const std::size_t count = std::size_t{1} << F::group_of(entry.word, entry.level);
    const std::size_t first = entry.index & ~(count - 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto word_i = memory.template load<word>(entry.table, first + i, order::relaxed);
      attrs.accessed |= F::is_accessed(word_i);
      attrs.dirty |= F::is_dirty(word_i);
    }
  }
  [[nodiscard]] std::string text(std::size_t page) const {
    const model_page& one = pages_[page];
    if (one.kind == entry_kind::absent) return "absent in the model";
    if (one.kind == entry_kind::marker) return "marker " + hex(one.payload) + " in the model";
    return "model has " + hex(one.output) + " level " + std::to_string(one.level) + " group " +
           std::to_string(one.group) + " rights " + std::to_string(one.attrs.allowed.bits) +
           (one.attrs.may_write ? " may_write" : "") + (one.attrs.accessed ? " accessed" : "") +
           (one.attrs.dirty ? " dirty" : "");
  }

  std::uint64_t first_;
  std::vector<model_page> pages_;
};

}  // namespace quire::check
