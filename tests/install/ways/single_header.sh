mkdir -p quire && cp cmake/single_header/quire.hpp quire
c++ -std=c++20 -I. examples/first.cpp -o first && ./first
