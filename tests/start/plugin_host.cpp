// Knows nothing of the library; its main runs once.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 2 || std::getenv("PLUGIN_HOST_RUNS") != nullptr) return 2;
  ::setenv("PLUGIN_HOST_RUNS", "1", 1);
  void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 3;
  }
  auto* const run = reinterpret_cast<int (*)()>(::dlsym(plugin, "run_plugin"));
  return run != nullptr ? run() : 4;
}
