// SPDX-License-Identifier: MIT
// One test case per format, with the format's name at the end of its own:
//
//   QUIRE_TYPED_TEST("S3-1 a split leaves the same tree", quire_test::real_formats) {
//     REQUIRE(Format::shape.levels > 1);
//   }
//
// makes "S3-1 a split leaves the same tree: riscv-sv39x4" and so on, for every format of the std::tuple. (Catch2's own
// templated cases are named by index or by the spelling of the type.) No comma or bracket in the name.
#pragma once

#include <string>  // string
#include <tuple>   // tuple

#include "catch.hpp"
#include "support/formats.hpp"

namespace quire_test {

// body_of.operator()<Format>() is the function to run. There may be no format, where only some are compiled.
template <class... Formats, class BodyOf>
bool add_typed_tests(const std::string& name, const Catch::SourceLineInfo& line, const std::tuple<Formats...>*,
                     [[maybe_unused]] BodyOf body_of) {
  [[maybe_unused]] const auto add = [&](void (*body)(), const char* format) {
    const std::string full = name + ": " + format;
    static_cast<void>(
        Catch::AutoReg(Catch::makeTestInvoker(body), line, Catch::StringRef(),
                       Catch::NameAndTags{Catch::StringRef(full.data(), full.size()), Catch::StringRef()}));
  };
  (add(body_of.template operator()<Formats>(), name_of_format<Formats>), ...);
  return true;
}

}  // namespace quire_test

#define QUIRE_TYPED_TEST_JOIN_(a, b) a##b
#define QUIRE_TYPED_TEST_NAME_(a, b) QUIRE_TYPED_TEST_JOIN_(a, b)
#define QUIRE_TYPED_TEST_(body, added, name, ...)                                                          \
  template <class Format>                                                                                  \
  static void body();                                                                                      \
  [[maybe_unused]] static const bool added =                                                               \
      quire_test::add_typed_tests(name, CATCH_INTERNAL_LINEINFO, static_cast<const __VA_ARGS__*>(nullptr), \
                                  []<class F>() -> void (*)() { return &body<F>; });                       \
  template <class Format>                                                                                  \
  static void body()
#define QUIRE_TYPED_TEST(name, ...)                                     \
  QUIRE_TYPED_TEST_(QUIRE_TYPED_TEST_NAME_(typed_test_body_, __LINE__), \
                    QUIRE_TYPED_TEST_NAME_(typed_test_added_, __LINE__), name, __VA_ARGS__)
