// SPDX-License-Identifier: MIT
#include <quire/print/fmt.hpp>

#include "catch.hpp"

using namespace quire;

TEST_CASE("{fmt} prints what a stream prints") {
  CHECK(fmt::format("{}", input_address{0x1000}) == "input:0x1000");
  CHECK(fmt::format("{}", input_range::sized(input_address{0x1000}, 0x1000)) == "input:0x1000-0x1fff (4 KiB)");
  CHECK(fmt::format("[{:>6}|{:.<6}]", read_write, errc::busy) == "[   rw-|busy..]");
  CHECK(fmt::format("{}", result<output_address>{error{errc::marked, 1, 0x1000}}) ==
        "error: marked at input:0x1000, level 1");
}

TEST_CASE("{fmt} writes into memory of the caller") {
  char buffer[32];
  const auto done = fmt::format_to_n(buffer, sizeof(buffer), "{}", attributes{.allowed = readable});
  CHECK(std::string_view(buffer, done.size) == "r--- accessed normal");
}
