cmake -G Ninja -B build -DCMAKE_PREFIX_PATH=~/quire && cmake --build build && build/first
