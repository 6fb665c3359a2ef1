// SPDX-License-Identifier: MIT
// One operation of a test sequence as a value: made at random or by a loop, played on a table (play.hpp), left out when
// a failing sequence is shrunk, and printed so that it can be read.
#pragma once

#include <cstddef>  // size_t
#include <cstdint>  // uint32_t, uint64_t
#include <string>   // string, to_string
#include <vector>   // vector

#include <quire/attributes.hpp>    // attributes
#include <quire/check/report.hpp>  // hex

namespace quire_test {

enum class verb : std::uint8_t {
  map,
  unmap,
  discard,
  protect,
  write_protect,
  write_protect_mask,
  restore_write,
  relax,
  age,
  set_accessed,
  take_dirty,
  split,
  collapse,
  prune,
  annotate,
  look,
  count
};

[[nodiscard]] constexpr const char* name_of(verb what) noexcept {
  constexpr const char* names[] = {
      "map",           "unmap", "discard",  "protect",      "write_protect", "write_protect_mask",
      "restore_write", "relax", "age",      "set_accessed", "take_dirty",    "split",
      "collapse",      "prune", "annotate", "look",         "count"};
  return names[static_cast<std::size_t>(what)];
}

// Arguments that no operation accepts.
enum class spoiled : std::uint8_t {
  no,
  first_unaligned,
  size_unaligned,
  empty,
  wraps,
  beyond,
  hole,
  output_unaligned,
  output_beyond
};

// Pages are counted from the start of the window that a sequence works in.
struct step {
  verb what = verb::look;
  std::uint32_t page = 0;
  std::uint32_t count = 1;
  std::uint32_t output = 0;  // page
  quire::attributes attrs{};
  int level = 0;         // the largest level (map, collapse), the target (split), or the way to part a leaf
  bool replace = false;  // map
  bool flag = false;     // map: no groups; protect: report; split: look at every entry; take_dirty: only look
  bool yields = false;   // the lock is dropped once before the session ends
  spoiled bad = spoiled::no;
  std::uint64_t mask = 1;  // write_protect_mask; annotate: the payload
};

[[nodiscard]] inline std::string text_of(const step& s) {
  std::string text = std::string(name_of(s.what)) + " page " + std::to_string(s.page) + " count " +
                     std::to_string(s.count) + " level " + std::to_string(s.level);
  if (s.what == verb::map)
    text += " output " + std::to_string(s.output) + " memory " + std::to_string(static_cast<int>(s.attrs.memory)) +
            (s.attrs.accessed ? " accessed" : "") + (s.attrs.dirty ? " dirty" : "") +
            (s.attrs.may_write ? " may_write" : "") + " software " + std::to_string(s.attrs.software) + " from " +
            std::to_string(static_cast<int>(s.attrs.from)) + (s.attrs.global ? " global" : "");
  if (s.what == verb::map || s.what == verb::protect || s.what == verb::relax)
    text += " rights " + std::to_string(s.attrs.allowed.bits);
  if (s.what == verb::write_protect_mask || s.what == verb::annotate) text += " mask " + quire::check::hex(s.mask);
  if (s.replace) text += " replace";
  if (s.flag) text += " flag";
  if (s.yields) text += " yields";
  if (s.bad != spoiled::no) text += " bad " + std::to_string(static_cast<int>(s.bad));
  return text;
}

// The random numbers of the tests: the same on every platform.
class dice {
 public:
  explicit constexpr dice(std::uint64_t seed) noexcept
      : state_(seed * 0x9e37'79b9'7f4a'7c15ULL + 0x632b'e59b'd9b4'e019ULL) {}

  constexpr std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e37'79b9'7f4a'7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58'476d'1ce4'e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d0'49bb'1331'11ebULL;
    return z ^ (z >> 31U);
  }
  constexpr std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>((next() >> 32U) * n >> 32U);
  }
  constexpr bool one_in(std::uint32_t n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

// What a sequence must know of a format.
struct format_traits {
  std::uint32_t pages;               // of the window
  std::vector<std::uint32_t> marks;  // pages where leaves and tables begin: what ranges like to begin and end at
  int levels;
  unsigned software;  // values
  bool accessed;      // leaves have the bit
  std::vector<quire::privilege> from;
  bool global;
};

[[nodiscard]] inline step random_step(const format_traits& f, dice& d) {
  using namespace quire;
  step s;
  // Often: what makes room for the others. Seldom: what only looks.
  constexpr verb weighted[] = {verb::map,           verb::map,         verb::map,
                               verb::map,           verb::unmap,       verb::unmap,
                               verb::discard,       verb::protect,     verb::protect,
                               verb::relax,         verb::age,         verb::take_dirty,
                               verb::write_protect, verb::split,       verb::split,
                               verb::collapse,      verb::collapse,    verb::annotate,
                               verb::prune,         verb::look,        verb::write_protect_mask,
                               verb::restore_write, verb::set_accessed};
  s.what = weighted[d.below(sizeof weighted / sizeof weighted[0])];
  const auto boundary = [&]() {
    return d.one_in(2) ? f.marks[d.below(static_cast<std::uint32_t>(f.marks.size()))] : d.below(f.pages);
  };
  s.page = boundary() % f.pages;
  std::uint32_t end = boundary();
  if (d.one_in(6)) end = s.page + 1;
  if (end < s.page) {
    const std::uint32_t first = end;
    end = s.page;
    s.page = first;
  }
  if (end <= s.page) end = s.page + 1;
  s.count = end - s.page;
  constexpr permissions rights[] = {readable, read_write, read_execute, all_access, read_write};
  s.attrs.allowed = d.one_in(24) ? permissions{static_cast<std::uint8_t>(d.below(8))} : rights[d.below(5)];
  s.attrs.may_write = d.one_in(2);
  s.attrs.memory = d.one_in(5) ? static_cast<memory_type>(d.below(3)) : memory_type::normal;
  s.attrs.accessed = !d.one_in(3) || (!f.accessed && !d.one_in(40));
  s.attrs.dirty = d.one_in(4) && s.attrs.allowed.contains(writable);
  s.attrs.from =
      d.one_in(40) ? static_cast<privilege>(d.below(3)) : f.from[d.below(static_cast<std::uint32_t>(f.from.size()))];
  s.attrs.global = d.one_in(f.global ? 3 : 40);
  s.attrs.software = static_cast<std::uint8_t>(d.one_in(40) ? f.software : d.below(f.software));
  // Mostly one piece of output for all, so that leaves continue one another and existing mappings are met again.
  constexpr std::uint32_t skews[] = {0, 0, 0, 0, 0, 1, 2, 4, 16};
  s.output = s.page + skews[d.below(9)];
  s.level = static_cast<int>(d.below(static_cast<std::uint32_t>(f.levels) + (d.one_in(20) ? 2 : 0)));
  if (s.what == verb::map || s.what == verb::collapse) s.level = d.one_in(2) ? 7 : s.level;
  if (s.what == verb::unmap || s.what == verb::discard || s.what == verb::protect)
    s.level = static_cast<int>(d.below(3));
  s.replace = d.one_in(3);
  s.flag = d.one_in(3);
  s.yields = d.one_in(8);
  s.mask = s.what == verb::annotate ? d.below(200) : d.one_in(4) ? d.next() : d.next() & d.next() & d.next();
  if (d.one_in(40)) s.bad = static_cast<spoiled>(1 + d.below(8));
  return s;
}

}  // namespace quire_test
