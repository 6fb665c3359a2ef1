export PKG_CONFIG_PATH=~/quire/share/pkgconfig
c++ -std=c++20 $(pkg-config --cflags quire) first.cpp -o first && ./first
