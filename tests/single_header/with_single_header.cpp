// SPDX-License-Identifier: MIT
// The half of a program that has the single header. A table is made here, changed in the other half and looked at here.
#include <quire.hpp>

#include <cstdio>  // printf

#include "guest.hpp"

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("not so: %s\n", what);
  ++failures;
}

}  // namespace

int main() {
  heap memory;
  guest_table guest{laptop{&memory}};
  const auto ram = quire::input_range::sized(quire::input_address{ram_first}, ram_bytes);
  check(guest.create().has_value(), "the table is made");
  check(guest.exclusive().map(ram, quire::output_address{0x1'4000'0000}, {.allowed = quire::all_access}).has_value(),
        "the range is mapped");

  const auto before = guest.exclusive().lookup(quire::input_address{0x8012'3456});
  check(before && before->bytes == ram_bytes && before->attrs.allowed.contains(quire::writable), "a block, writable");
  const auto tables = protect_and_split(guest);
  check(tables && *tables == 513, "the other half splits it into pages");
  const auto after = guest.exclusive().lookup(quire::input_address{0x8012'3456});
  check(after && after->bytes == 4096 && !after->attrs.allowed.contains(quire::writable), "a page, write-protected");

  check(version_of_separate_headers() == QUIRE_VERSION_MAJOR * 10000 + QUIRE_VERSION_MINOR * 100 + QUIRE_VERSION_PATCH,
        "both halves are of one version");
  if (failures == 0) std::printf("513 tables made by one half, found by the other\n");
  return failures;
}
