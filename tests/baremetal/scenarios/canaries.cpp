// SPDX-License-Identifier: MIT
#include "canaries.hpp"

#include "run.hpp"

void bare::program() { run<BARE_FORMAT, canaries>(); }
