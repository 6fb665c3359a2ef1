// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <quire/atomic.hpp>  // fetch_add

namespace bare {

namespace {

constinit std::uint64_t checks = 0, failures = 0, left_out = 0, line_owner = 0;

// One line at a time: CPUs take turns.
class line {
 public:
  line() noexcept {
    std::uint64_t nobody = 0;
    while (!quire::atomic::compare_exchange(&line_owner, nobody, std::uint64_t{1}, quire::order::acquire)) {
      nobody = 0;
      pause();
    }
  }
  ~line() { quire::atomic::store(&line_owner, std::uint64_t{0}, quire::order::release); }
  line(const line&) = delete;
  line& operator=(const line&) = delete;
};

void say_digits(std::uint64_t number, unsigned base) noexcept {
  char digits[20];
  unsigned n = 0;
  do digits[n++] = "0123456789abcdef"[number % base];
  while ((number /= base) != 0);
  while (n != 0) put(digits[--n]);
}

}  // namespace

void say(const char* text) noexcept {
  for (; *text != 0; ++text) put(*text);
}
void say_number(std::uint64_t number) noexcept { say_digits(number, 10); }
void say_hex(std::uint64_t number) noexcept {
  say("0x");
  say_digits(number, 16);
}
void end_line() noexcept { put('\n'); }

void say_exit(const guest_exit& left) noexcept {
  if (left.why == guest_exit::reason::done) {
    say("done, ");
    say_hex(left.answer);
    return;
  }
  say(left.why == guest_exit::reason::fault ? "fault, " : "unexpected exit, ");
  say(left.access == quire::readable     ? "load of "
      : left.access == quire::writable   ? "store to "
      : left.access == quire::executable ? "execution at "
                                         : "access to ");
  say_hex(left.address.value);
  if (left.of_guest_tables) say(" in the guest's tables");
  say(", syndrome ");
  say_hex(left.syndrome);
}

bool check(bool holds, const char* what) noexcept {
  quire::atomic::fetch_add(&checks, std::uint64_t{1}, quire::order::relaxed);
  if (holds) return true;
  quire::atomic::fetch_add(&failures, std::uint64_t{1}, quire::order::relaxed);
  const line mine;
  say("failed: ");
  say(what);
  end_line();
  return false;
}
bool check(bool holds, const char* what, std::uint64_t number) noexcept {
  if (check(holds, what)) return true;
  const line mine;
  say("  ");
  say_hex(number);
  end_line();
  return false;
}
void not_enforced(const char* what) noexcept {
  const line mine;
  say("not enforced by this emulator: ");
  say(what);
  end_line();
}
void not_enforced(const char* what, std::uint64_t left_out_here) noexcept {
  quire::atomic::fetch_add(&checks, left_out_here, quire::order::relaxed);
  quire::atomic::fetch_add(&left_out, left_out_here, quire::order::relaxed);
  not_enforced(what);
}

void finish() noexcept {
  if (const std::uint64_t number = quire::atomic::load(&left_out, quire::order::relaxed); number != 0) {
    say("checks that were left out: ");
    say_number(number);
    end_line();
  }
  const std::uint64_t bad = quire::atomic::load(&failures, quire::order::relaxed);
  say(bad == 0 ? "PASS " : "FAIL ");
  if (bad != 0) {
    say_number(bad);
    say(" of ");
  }
  say_number(quire::atomic::load(&checks, quire::order::relaxed));
  say(" checks");
  end_line();
  power_off(bad == 0);
}
void skip(const char* why) noexcept {
  say("SKIP: ");
  say(why);
  end_line();
  power_off(true);
}

}  // namespace bare
