# SPDX-License-Identifier: MIT
# quire_forward_to_single_header(DIRECTORY)
#
# Makes an include directory in which each <quire/...> of the core is the single header, and the hosted tier is what it
# is: what was written for the separate headers is compiled with nothing but the single one.
function(quire_forward_to_single_header directory)
  set(single ${PROJECT_SOURCE_DIR}/cmake/single_header/quire.hpp)
  file(REMOVE_RECURSE ${directory})
  foreach(header IN LISTS quire_core_headers)
    string(REGEX REPLACE "^include/" "" name ${header})
    file(CONFIGURE OUTPUT ${directory}/${name} CONTENT "#include \"${single}\"\n" @ONLY)
  endforeach()
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/quire/check ${directory}/quire/check SYMBOLIC)
endfunction()
