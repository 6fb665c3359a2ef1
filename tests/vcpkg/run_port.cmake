# SPDX-License-Identifier: MIT
# Runs cmake/vcpkg/ports/quire/portfile.cmake as vcpkg would, without vcpkg.
#
#   cmake -D SOURCE=... -D ROOT=... -D VERSION=... -D FEATURES=core;hosted -P run_port.cmake
#
# The archive is the source tree; what else the port depends on is the system's. The functions below do what the
# documentation of vcpkg says of those of the same names, as far as a port of headers can tell, and refuse what the real
# ones would refuse. The package is left in ROOT/packages/quire_x64-linux.

cmake_minimum_required(VERSION 3.25)

set(PORT quire)
set(TARGET_TRIPLET x64-linux)
set(CURRENT_BUILDTREES_DIR ${ROOT}/buildtrees/${PORT})
set(CURRENT_PACKAGES_DIR ${ROOT}/packages/${PORT}_${TARGET_TRIPLET})
set(CURRENT_INSTALLED_DIR ${ROOT}/installed/${TARGET_TRIPLET})

# Ends the run at arguments that nobody knows, and without those that are needed.
macro(parse_arguments options one_value multi_value)
  cmake_parse_arguments(PARSE_ARGV 0 arg "${options}" "${one_value}" "${multi_value}")
  if(arg_UNPARSED_ARGUMENTS OR arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}: not understood: "
                        "${arg_UNPARSED_ARGUMENTS} ${arg_KEYWORDS_MISSING_VALUES}")
  endif()
  foreach(name IN ITEMS ${ARGN})
    if(NOT DEFINED arg_${name})
      message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION}: ${name} is missing")
    endif()
  endforeach()
endmacro()

# The build types that are made: both, where the port does not say otherwise. Calls a command for each, with `type`,
# `upper`, `prefix` and `build`.
macro(for_each_build_type command)
  foreach(type IN ITEMS Release Debug)
    string(TOLOWER ${type} lower)
    string(TOUPPER ${type} upper)
    if(NOT DEFINED VCPKG_BUILD_TYPE OR VCPKG_BUILD_TYPE STREQUAL lower)
      set(build ${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-${lower})
      set(prefix ${CURRENT_PACKAGES_DIR})
      if(type STREQUAL "Debug")
        string(APPEND prefix /debug)
      endif()
      cmake_language(CALL ${command})
    endif()
  endforeach()
endmacro()

function(run_cmake)
  execute_process(COMMAND ${CMAKE_COMMAND} ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "cmake ${ARGN}: ${status}\n${said}")
  endif()
  set(said "${said}" PARENT_SCOPE)
endfunction()

function(vcpkg_from_github)
  parse_arguments("" "OUT_SOURCE_PATH;REPO;REF;SHA512;HEAD_REF;GITHUB_HOST;AUTHORIZATION_TOKEN;FILE_DISAMBIGUATOR"
                  "PATCHES" OUT_SOURCE_PATH REPO REF SHA512)
  if(NOT arg_REPO MATCHES "^[^/]+/[^/]+$" OR NOT arg_REF STREQUAL "v${VERSION}")
    message(FATAL_ERROR "no archive of version ${VERSION}: ${arg_REPO}, ${arg_REF}")
  endif()
  set(${arg_OUT_SOURCE_PATH} ${SOURCE} PARENT_SCOPE)
endfunction()

function(configure_one)
  run_cmake(
    -S ${arg_SOURCE_PATH} -B ${build} -G Ninja ${arg_OPTIONS} ${arg_OPTIONS_${upper}} -DCMAKE_BUILD_TYPE=${type}
    -DCMAKE_INSTALL_PREFIX=${prefix} -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_BINDIR=bin
    -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON -DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON
    -DCMAKE_ERROR_ON_ABSOLUTE_INSTALL_DESTINATION=ON -DCMAKE_DISABLE_FIND_PACKAGE_range-v3=${without_range_v3})
  # vcpkg complains of an option that the project does not have.
  string(REGEX MATCH "variables were not used by the project:.*" unused "${said}")
  foreach(option IN LISTS arg_OPTIONS arg_OPTIONS_${upper})
    string(REGEX REPLACE "^-D([^=:]+).*" "\\1" name "${option}")
    if(unused MATCHES " ${name}\n")
      message(FATAL_ERROR "vcpkg_cmake_configure: the project does not use ${name}")
    endif()
  endforeach()
endfunction()

function(vcpkg_cmake_configure)
  parse_arguments("" "SOURCE_PATH" "OPTIONS;OPTIONS_RELEASE;OPTIONS_DEBUG" SOURCE_PATH)
  # A dependency that no feature asks for is not there.
  set(without_range_v3 ON)
  if("hosted" IN_LIST FEATURES)
    set(without_range_v3 OFF)
  endif()
  for_each_build_type(configure_one)
endfunction()

function(install_one)
  run_cmake(--build ${build} --target install)
endfunction()

function(vcpkg_cmake_install)
  parse_arguments("DISABLE_PARALLEL;ADD_BIN_TO_PATH" "" "")
  for_each_build_type(install_one)
endfunction()

# Files go up to share/PACKAGE_NAME, and what was computed from their place is told so; absolute paths become relative.
function(vcpkg_cmake_config_fixup)
  parse_arguments("DO_NOT_DELETE_PARENT_CONFIG_PATH;NO_PREFIX_CORRECTION" "PACKAGE_NAME;CONFIG_PATH;TOOLS_PATH" "")
  if(NOT arg_PACKAGE_NAME)
    set(arg_PACKAGE_NAME ${PORT})
  endif()
  set(to ${CURRENT_PACKAGES_DIR}/share/${arg_PACKAGE_NAME})
  if(arg_CONFIG_PATH)
    set(from ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH})
    file(GLOB files ${from}/*)
    if(NOT files)
      message(FATAL_ERROR "vcpkg_cmake_config_fixup: nothing is in ${arg_CONFIG_PATH}")
    endif()
    file(COPY ${files} DESTINATION ${to})
    file(REMOVE_RECURSE ${from})
    cmake_path(GET from PARENT_PATH parent)
    cmake_path(GET parent FILENAME parent_name)
    if(parent_name STREQUAL "cmake" AND NOT arg_DO_NOT_DELETE_PARENT_CONFIG_PATH)
      file(REMOVE_RECURSE ${parent})
    endif()
  endif()

  set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
  file(GLOB files ${to}/*.cmake)
  foreach(file IN LISTS files)
    file(READ ${file} text)
    if(NOT arg_NO_PREFIX_CORRECTION)
      string(REGEX REPLACE "(get_filename_component\\(_IMPORT_PREFIX \"\\\${CMAKE_CURRENT_LIST_FILE}\" PATH\\)\n)(get_filename_component\\(_IMPORT_PREFIX [^\n]*\n)*"
                           "\\1${up}${up}" text "${text}")
      string(REGEX REPLACE "(PACKAGE_PREFIX_DIR \"\\\${CMAKE_CURRENT_LIST_DIR})/[./]+\"" "\\1/../../\"" text "${text}")
    endif()
    foreach(absolute IN ITEMS ${CURRENT_PACKAGES_DIR} ${CURRENT_INSTALLED_DIR})
      string(REPLACE ${absolute} "\${_IMPORT_PREFIX}" text "${text}")
    endforeach()
    file(WRITE ${file} "${text}")
  endforeach()
endfunction()

function(vcpkg_fixup_pkgconfig)
  parse_arguments("SKIP_CHECK" "" "RELEASE_FILES;DEBUG_FILES")
  file(GLOB_RECURSE files ${CURRENT_PACKAGES_DIR}/*.pc)
  foreach(file IN LISTS files)
    cmake_path(GET file PARENT_PATH directory)
    file(RELATIVE_PATH to_prefix ${directory} ${CURRENT_PACKAGES_DIR})
    string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
    file(READ ${file} text)
    string(REGEX REPLACE "(^|\n)prefix=[^\n]*" "\\1prefix=\${pcfiledir}/${to_prefix}" text "${text}")
    foreach(absolute IN ITEMS ${CURRENT_PACKAGES_DIR} ${CURRENT_INSTALLED_DIR})
      string(REPLACE ${absolute} "\${prefix}" text "${text}")
    endforeach()
    file(WRITE ${file} "${text}")
  endforeach()
endfunction()

function(vcpkg_install_copyright)
  parse_arguments("" "COMMENT" "FILE_LIST" FILE_LIST)
  set(text "${arg_COMMENT}")
  foreach(file IN LISTS arg_FILE_LIST)
    file(READ ${file} one)
    string(APPEND text "${one}")
  endforeach()
  file(WRITE ${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright "${text}")
endfunction()

include(${SOURCE}/cmake/vcpkg/ports/${PORT}/portfile.cmake)
