// SPDX-License-Identifier: MIT
// Every scenario that one CPU can play, for one second-stage format.
#include "demand.hpp"
#include "dirty.hpp"
#include "flipped.hpp"
#include "hardware_bits.hpp"
#include "protection.hpp"
#include "run.hpp"
#include "structure.hpp"
#include "two_stages.hpp"

void bare::program() {
  if (flips()) run<BARE_FORMAT, demand>();
  run<BARE_FORMAT, demand, flipped, protection, structure, hardware_bits, dirty, two_stages>();
}
