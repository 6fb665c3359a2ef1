c++ -std=c++20 -Iinclude examples/first.cpp -o first && ./first
