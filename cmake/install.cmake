# SPDX-License-Identifier: MIT
# The installed package: headers, and what find_package, pkg-config and readers of CPS look for.
# Nothing in it depends on the machine, so all of it goes below include/ and share/.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(quire_config_dir ${CMAKE_INSTALL_DATAROOTDIR}/cmake/quire)

# One export for each tier, so that whoever takes only the core need not have what hosted needs.
foreach(tier IN ITEMS core hosted)
  install(
    TARGETS quire_${tier}
    EXPORT quire-${tier}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(
    EXPORT quire-${tier}
    NAMESPACE quire::
    FILE quire-${tier}-targets.cmake
    DESTINATION ${quire_config_dir})
endforeach()

configure_package_config_file(cmake/quire-config.cmake.in quire-config.cmake
                              INSTALL_DESTINATION ${quire_config_dir}
                              NO_SET_AND_CHECK_MACRO)
# While the major version is 0 a minor one may break.
write_basic_package_version_file(quire-config-version.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/quire-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/quire-config-version.cmake
        DESTINATION ${quire_config_dir})

# The way from the .pc file back to the prefix, however the directories are called.
set(quire_pc_dir ${CMAKE_INSTALL_DATAROOTDIR}/pkgconfig)
file(RELATIVE_PATH quire_pc_to_prefix /${quire_pc_dir} /)
string(REGEX REPLACE "/$" "" quire_pc_to_prefix "${quire_pc_to_prefix}")
configure_file(cmake/quire.pc.in quire.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/quire.pc DESTINATION ${quire_pc_dir})

# For gdb to source: a library without a file of its own has none to be loaded along with.
install(FILES cmake/gdb/quire_printers.py DESTINATION ${CMAKE_INSTALL_DATADIR}/quire/gdb)

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# A Common Package Specification, for other build systems.
if(CMAKE_VERSION VERSION_GREATER_EQUAL 4.3)
  install(
    PACKAGE_INFO quire
    EXPORT quire-core
    VERSION ${PROJECT_VERSION}
    COMPAT_VERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}.0
    DEFAULT_TARGETS core
    LICENSE MIT
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/cps/quire)
  install(
    PACKAGE_INFO quire
    APPENDIX hosted
    EXPORT quire-hosted
    DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/cps/quire)
endif()
