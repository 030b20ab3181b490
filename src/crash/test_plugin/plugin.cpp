// A library that only the crashing process of a test loads.
extern "C" int crash_in_plugin(const volatile int* pointer) {
  return *pointer;  // line 3
}
