#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>
namespace mp = multiprocessing;

static int length(int a, const std::string& b) { return a + static_cast<int>(b.size()); }

struct Counter {
  int add(int a, int b) { return a + b; }
};

int main() {
  const std::vector<int> numbers{1, 2, 3};
#if defined(CALL_APPLY)
  mp::Pool().apply_async(length, 1);
  mp::Pool().apply(length, 1);
#elif defined(CALL_MAP)
  mp::Pool().map(length, numbers);
  mp::Pool().map_async(length, numbers);
#elif defined(CALL_IMAP)
  mp::Pool pool;
  pool.imap(length, numbers);
#elif defined(CALL_MANAGER)
  mp::Manager().pool(1).apply_async(length, 1, 2, 3);
#elif defined(CALL_METHOD)
  mp::Manager().create<Counter>().call(&Counter::add, 1);
#endif
}
