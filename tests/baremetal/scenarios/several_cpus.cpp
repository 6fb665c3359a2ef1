// SPDX-License-Identifier: MIT
#include "several_cpus.hpp"

#include "run.hpp"

void bare::program() {
  if (cpus() == 1) skip("there is one CPU only");
  run<BARE_FORMAT, several_cpus>();
}
