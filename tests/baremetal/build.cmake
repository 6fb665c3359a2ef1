# SPDX-License-Identifier: MIT
# How bare-metal programs are built and their tests declared. Included by machines.cmake beside it only.

set(quire_bare_flags
    -std=c++20
    -O2
    -Wall
    -Wextra
    -Wconversion
    -Wshadow
    -Werror
    -ffreestanding
    -fno-exceptions
    -fno-rtti
    -fno-stack-protector
    -fno-threadsafe-statics
    -fno-pic
    -DQUIRE_CONTRACTS=2
    -I${PROJECT_SOURCE_DIR}/include
    -I${CMAKE_CURRENT_LIST_DIR}/common
    -include
    contract.hpp)
# The guest runs wherever its page is mapped: nothing of it may lie outside of its section.
set(quire_bare_guest_flags -fno-jump-tables -fno-tree-switch-conversion -fno-tree-loop-distribute-patterns)
set(quire_bare_link_flags -nostdlib -static -no-pie
                          -Wl,--build-id=none,--no-relax,-z,noexecstack,--no-warn-rwx-segments)

# quire_bare_compile(OBJECT SOURCE COMMAND...): remade when a header that it includes has changed.
function(quire_bare_compile object source)
  cmake_path(GET object PARENT_PATH directory)
  file(MAKE_DIRECTORY ${directory})
  cmake_path(RELATIVE_PATH object BASE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR} OUTPUT_VARIABLE name)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${ARGN} -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "Compiling baremetal/${name}"
    VERBATIM)
endfunction()

# quire_add_machine(MACHINE DIRECTORY COMPILER PACKAGE [DISK] [FLAGS ...] SOURCES ...)
#
# What all programs of a machine have in common, compiled once.
#   MACHINE    its name in run.py
#   DIRECTORY  holds its sources, arch.hpp and link.ld
#   COMPILER   is in the Debian package PACKAGE
#   DISK       the emulator boots a disk, made by make_image.py of boot.S and a program
function(quire_add_machine machine directory compiler package)
  cmake_parse_arguments(PARSE_ARGV 4 arg "DISK" "" "FLAGS;SOURCES")
  string(TOUPPER ${machine} upper)
  set(found QUIRE_BARE_${upper}_COMPILER)
  find_program(${found} ${compiler} DOC "Compiles the bare-metal tests of ${machine}")
  if(NOT ${found})
    set(quire_bare_${machine}_missing "${compiler} not found (apt-get install ${package})" PARENT_SCOPE)
    return()
  endif()

  set(here ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${directory})
  set(assemble ${${found}} ${arg_FLAGS})
  set(compile ${assemble} ${quire_bare_flags} -I${here})
  set(objects)
  foreach(source IN LISTS arg_SOURCES ITEMS ../common/frames.cpp ../common/guest.cpp ../common/report.cpp
                                            ../common/runtime.cpp)
    cmake_path(GET source FILENAME name)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${machine}/${name}.o)
    set(command ${compile})
    if(name MATCHES "\\.S$")
      set(command ${assemble})
    elseif(name STREQUAL "guest.cpp")
      list(APPEND command ${quire_bare_guest_flags})
    endif()
    cmake_path(SET source NORMALIZE ${here}/${source})
    quire_bare_compile(${object} ${source} ${command})
    list(APPEND objects ${object})
  endforeach()

  set(disk)
  if(arg_DISK)
    set(boot ${CMAKE_CURRENT_BINARY_DIR}/${machine}/boot)
    quire_bare_compile(${boot}.o ${here}/boot.S ${assemble})
    add_custom_command(
      OUTPUT ${boot}.elf
      COMMAND ${assemble} ${quire_bare_link_flags} -Wl,--omagic,-Ttext=0x7c00,-e,boot_sector ${boot}.o -o ${boot}.elf
      DEPENDS ${boot}.o
      VERBATIM)
    set(disk ${here}/make_image.py ${boot}.elf)
  endif()

  set(quire_bare_${machine}_compile ${compile} PARENT_SCOPE)
  set(quire_bare_${machine}_objects ${objects} PARENT_SCOPE)
  set(quire_bare_${machine}_script ${here}/link.ld PARENT_SCOPE)
  set(quire_bare_${machine}_disk ${disk} PARENT_SCOPE)
endfunction()

# quire_add_baremetal(MACHINE PROGRAM CHECKS n [FORMATS ...] [NAME name] [SOURCES ...] [CPUS n] [MAY_SKIP]
#                     [DEFINITIONS ...] [EMULATOR ...] [TEST name] [SECONDS n] [FLIP bit])
#
# For each format one executable and the test baremetal.MACHINE.NAME.FORMAT; baremetal.MACHINE.NAME for a program that
# is about none.
#   CHECKS       how many there are: with another number the test fails
#   FORMATS      names in formats.hpp of the machine
#   NAME         default: PROGRAM; for the same source with other definitions or another emulator
#   SOURCES      default: programs/PROGRAM.cpp
#   CPUS         of the emulator, default 1
#   MAY_SKIP     a program that finds that the machine lacks the format is skipped; otherwise it fails
#   DEFINITIONS  of the program's compilation, besides BARE_FORMAT
#   EMULATOR     more arguments, which come last and so win
#   TEST         another name for the test, of a program that is about no format
#   SECONDS      until it has failed, default 50
#   FLIP         also the test baremetal.MACHINE.wrong_entry.FORMAT: with this bit of one entry flipped it must fail
function(quire_add_baremetal machine program)
  cmake_parse_arguments(PARSE_ARGV 2 arg "MAY_SKIP" "CHECKS;NAME;CPUS;TEST;SECONDS;FLIP" "FORMATS;SOURCES;DEFINITIONS;EMULATOR")
  if(NOT arg_NAME)
    set(arg_NAME ${program})
  endif()
  if(NOT arg_SOURCES)
    set(arg_SOURCES programs/${program}.cpp)
  endif()
  if(NOT arg_CPUS)
    set(arg_CPUS 1)
  endif()
  if(NOT arg_SECONDS)
    set(arg_SECONDS 50)
  endif()
  if(arg_CPUS GREATER 1)
    list(PREPEND arg_EMULATOR -smp ${arg_CPUS})
  endif()
  list(TRANSFORM arg_DEFINITIONS PREPEND -D)

  if(NOT arg_FORMATS)
    set(arg_FORMATS none)
  endif()
  foreach(format IN LISTS arg_FORMATS)
    set(definitions ${arg_DEFINITIONS} -DBARE_FORMAT=${format})
    set(name ${arg_NAME}.${format})
    if(format STREQUAL "none")
      set(definitions ${arg_DEFINITIONS})
      set(name ${arg_NAME})
    endif()
    set(built ${CMAKE_CURRENT_BINARY_DIR}/${machine}/${name})
    set(runnable ${built}.elf)
    set(options --checks ${arg_CHECKS} --timeout ${arg_SECONDS})
    if(arg_MAY_SKIP)
      list(APPEND options --may-skip)
    endif()

    if(quire_bare_${machine}_missing)
      list(APPEND options --not-built "${quire_bare_${machine}_missing}")
    else()
      set(objects)
      foreach(source IN LISTS arg_SOURCES)
        cmake_path(GET source STEM stem)
        cmake_path(ABSOLUTE_PATH source)
        quire_bare_compile(${built}/${stem}.o ${source} ${quire_bare_${machine}_compile} ${definitions})
        list(APPEND objects ${built}/${stem}.o)
      endforeach()
      add_custom_command(
        OUTPUT ${built}.elf
        COMMAND ${quire_bare_${machine}_compile} ${quire_bare_link_flags} -T ${quire_bare_${machine}_script} ${objects}
                ${quire_bare_${machine}_objects} -lgcc -o ${built}.elf
        DEPENDS ${objects} ${quire_bare_${machine}_objects} ${quire_bare_${machine}_script}
        COMMENT "Linking baremetal/${machine}/${name}.elf"
        VERBATIM)
      if(quire_bare_${machine}_disk)
        set(runnable ${built}.img)
        add_custom_command(
          OUTPUT ${built}.img
          COMMAND ${Python3_EXECUTABLE} ${quire_bare_${machine}_disk} ${built}.elf ${built}.img
          DEPENDS ${quire_bare_${machine}_disk} ${built}.elf
          VERBATIM)
      endif()
      set_property(DIRECTORY APPEND PROPERTY quire_bare_programs ${runnable})
    endif()

    set(test baremetal.${machine}.${name})
    if(arg_TEST)
      set(test ${arg_TEST})
    endif()
    set(command ${Python3_EXECUTABLE} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/run.py ${machine} ${runnable} ${options})
    set(tests ${test})
    add_test(NAME ${test} COMMAND ${command} -- ${arg_EMULATOR})
    if(DEFINED arg_FLIP)
      list(APPEND tests baremetal.${machine}.wrong_entry.${format})
      add_test(NAME baremetal.${machine}.wrong_entry.${format} COMMAND ${command} --flip ${arg_FLIP} -- ${arg_EMULATOR})
    endif()
    math(EXPR later "${arg_SECONDS} + 10")
    set_tests_properties(${tests} PROPERTIES LABELS baremetal SKIP_RETURN_CODE 77 TIMEOUT ${later}
                                             PROCESSORS ${arg_CPUS})
  endforeach()
endfunction()
