// SPDX-License-Identifier: MIT
#pragma once

namespace bare {

void take_exceptions() noexcept;  // from now on an exception in the host is reported

}  // namespace bare
