# SPDX-License-Identifier: MIT
# The program must find nothing wrong; the header must be C; the C++ file must need nothing that a kernel lacks.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME c_api.run COMMAND c_api)
add_test(NAME c_api.header COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/c_api/check_header.py
                                   gcc clang-14 clang-19 g++ clang++-14 clang++-19)
add_test(NAME c_api.freestanding
         COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/check_freestanding.py
                 --compiler=${CMAKE_CXX_COMPILER} --package=g++ --root=${PROJECT_SOURCE_DIR} symbols
                 examples/c_api/guest_table.cpp tests/freestanding/allowed_symbols.txt)
set_tests_properties(c_api.run PROPERTIES LABELS unit TIMEOUT 60)
set_tests_properties(c_api.header c_api.freestanding PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 600)
