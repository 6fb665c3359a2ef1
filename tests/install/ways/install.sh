cmake --preset package && cmake --install build/package --prefix ~/quire
