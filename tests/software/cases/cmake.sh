# asserts: cmake finds the compiler, two jobs build a C++ library and a program, ctest runs the tests, a touched file alone is built again,
# asserts: install and cpack write what they should
# packages: cmake make g++
# timeout: 240
mkdir -p p && cd p
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.20)
project(p VERSION 1.2 LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(Threads REQUIRED)
add_library(core SHARED core.cpp)
target_link_libraries(core PUBLIC Threads::Threads)
add_executable(prog main.cpp)
target_link_libraries(prog PRIVATE core)
enable_testing()
add_test(NAME runs COMMAND prog 10)
add_test(NAME fails COMMAND prog)
set_tests_properties(fails PROPERTIES WILL_FAIL TRUE)
install(TARGETS core prog)
set(CPACK_GENERATOR TGZ)
include(CPack)
END
cat >core.cpp <<'END'
#include <atomic>
#include <thread>
#include <vector>
int work(int n) { std::atomic<int> sum{0}; { std::vector<std::jthread> all; for (int i = 0; i < n; i++) all.emplace_back([&, i] { sum += i; }); } return sum; }
END
cat >main.cpp <<'END'
#include <filesystem>
#include <iostream>
#include <stdexcept>
int work(int n);
int main(int argc, char **argv) {
    try { if (argc < 2) throw std::runtime_error("no argument"); std::cout << work(std::stoi(argv[1])) << ' ' << std::filesystem::exists(argv[0]) << '\n'; }
    catch (const std::exception &e) { std::cerr << e.what() << '\n'; return 1; }
}
END
cmake -S . -B b -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$PWD/inst" >/dev/null
cmake --build b -j2 >/dev/null
(cd b && ctest --output-on-failure) | grep -q '100% tests passed, 0 tests failed out of 2'
[ "$(cmake --build b | grep -c Building || true)" = 0 ]
sleep 1
touch main.cpp
cmake --build b | grep Building | grep -q main.cpp
cmake --install b >/dev/null
[ "$(LD_LIBRARY_PATH=inst/lib inst/bin/prog 100)" = "4950 1" ]
(cd b && cpack -G TGZ >/dev/null && tar tzf p-1.2-Linux.tar.gz | grep -q bin/prog)
