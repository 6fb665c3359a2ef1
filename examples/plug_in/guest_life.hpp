// SPDX-License-Identifier: MIT
// What the kernel does with Quire here: a guest of each format lives and dies.
#pragma once

namespace hypervisor {

// Says what happens; gives how many things were not as they should be.
[[nodiscard]] unsigned run_guests() noexcept;

}  // namespace hypervisor
