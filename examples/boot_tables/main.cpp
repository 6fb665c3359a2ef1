// SPDX-License-Identifier: MIT
// Builds the boot tables once more, at run time, and compares them bit for bit with those of the compiler. With
// --dump DIRECTORY it writes the words of its own, for check_object.py to look for in the object file.
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "tables.hpp"

namespace {

template <class Image>
bool same_at_run_time(const char* name, const Image& constant, const char* directory) {
  const auto words = std::make_unique<Image>();
  quire::page_table<typename Image::format, quire::image_policies<Image>> table{quire::image_policies<Image>{*words}};
  if (!table.create()) return false;
  auto session = table.exclusive();
  if (!boot_map{}(session)) return false;
  const bool same = std::memcmp(words->words, constant.words, sizeof constant.words) == 0;
  const auto kernel = constant.lookup(quire::input_address{boot_map::ram + 0x1234});
  std::printf("%s: %zu bytes for %#llx, kernel in leaves of %llu KiB, %s\n", name, sizeof constant.words,
              static_cast<unsigned long long>(constant.root().value),
              static_cast<unsigned long long>(kernel ? kernel->bytes >> 10 : 0),
              same ? "the same at run time" : "NOT the same at run time");
  if (directory == nullptr) return same;
  std::FILE* const file = std::fopen((std::string{directory} + "/" + name).c_str(), "wb");
  if (file == nullptr) return false;
  const bool whole = std::fwrite(words->words, sizeof words->words, 1, file) == 1;
  return std::fclose(file) == 0 && whole && same;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const directory = argc == 3 && std::string{argv[1]} == "--dump" ? argv[2] : nullptr;
  const bool riscv = same_at_run_time("boot_tables.riscv", boot_tables_riscv, directory);
  const bool arm64 = same_at_run_time("boot_tables.arm64", boot_tables_arm64, directory);
  return riscv && arm64 ? 0 : 1;
}
