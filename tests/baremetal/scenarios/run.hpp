// SPDX-License-Identifier: MIT
// A program is a list of scenarios for one format: class templates with a name and operator().
#pragma once

#include "arch.hpp"
#include "report.hpp"

namespace bare {

template <class Scenario>
void play() noexcept {
  say(Scenario::name);
  end_line();
  Scenario{}();
}

template <quire::pte_format F, template <class> class... Scenarios>
[[noreturn]] void run() noexcept {
  if (const char* obstacle = second_stage<F>::obstacle(); obstacle != nullptr) skip(obstacle);
  (play<Scenarios<F>>(), ...);
  finish();
}

}  // namespace bare
