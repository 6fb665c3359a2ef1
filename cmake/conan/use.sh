conan create . --profile:all=cmake/conan/profiles/debian12-gcc
conan install cmake/conan/consumer --profile:all=cmake/conan/profiles/debian12-gcc --output-folder=build/consumer
cmake -G Ninja -S cmake/conan/consumer -B build/consumer -DCMAKE_TOOLCHAIN_FILE=conan_toolchain.cmake \
  -DCMAKE_BUILD_TYPE=Release
cmake --build build/consumer && build/consumer/guest && build/consumer/watched
