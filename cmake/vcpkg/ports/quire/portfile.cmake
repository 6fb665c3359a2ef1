# SPDX-License-Identifier: MIT
# 0.1.0 is not released: there is no archive yet, so its host and its hash are placeholders (nothing can ever be at
# .invalid). With the release they become the archive's, GITHUB_HOST goes, and `homepage` in vcpkg.json is the project's.
vcpkg_from_github(
    OUT_SOURCE_PATH SOURCE_PATH
    GITHUB_HOST https://quire.invalid
    REPO quire/quire
    REF "v${VERSION}"
    SHA512 0
    HEAD_REF main
)

# Headers are the same in every configuration.
set(VCPKG_BUILD_TYPE release)

# The package holds every header in any case. The feature `hosted` decides what its users depend on.
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DQUIRE_BUILD_BENCH=OFF
        -DQUIRE_BUILD_EXAMPLES=OFF
        -DQUIRE_BUILD_TESTS=OFF
        -DQUIRE_INSTALL=ON
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/quire)
vcpkg_fixup_pkgconfig()

# All there is in it is the licence, which has its place here.
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
