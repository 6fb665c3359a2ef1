# SPDX-License-Identifier: MIT
# Warnings are our own concern: they go on our programs, one by one, and never on the library's
# interface, where they would reach into a user's build.

set(quire_warnings
    -Wall
    -Wextra
    -Wpedantic
    -Wconversion
    -Wsign-conversion
    -Wshadow
    -Wold-style-cast
    -Wcast-align
    -Wcast-qual
    -Wnon-virtual-dtor
    -Woverloaded-virtual
    -Wdouble-promotion
    -Wformat=2
    -Wundef
    -Wextra-semi
    -Wunused
    -Wvla
    -Wimplicit-fallthrough
    -Werror)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND quire_warnings -Wduplicated-cond -Wlogical-op -Wsuggest-override -Wcast-align=strict)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms of all three inside inlined std::string operations at -O2, fixed in GCC 13 (GCC bug 105651).
    list(APPEND quire_warnings -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
  endif()
  # A fence is legal under TSan, only not understood by it; that is no reason not to build.
  list(APPEND quire_warnings -Wno-error=tsan)
else()
  list(
    APPEND
    quire_warnings
    -Wshadow-uncaptured-local
    -Wcomma
    -Wloop-analysis
    -Wunreachable-code-break
    -Winconsistent-missing-override)
endif()

function(quire_strict target)
  target_compile_options(${target} PRIVATE ${quire_warnings})
endfunction()
