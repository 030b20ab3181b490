#include "multiprocessing/queue.hpp"

namespace multiprocessing::channel {

void throw_full() { throw Full("put: the queue is full"); }

void throw_empty() { throw Empty("get: the queue is empty"); }

void throw_put_after_close() { throw Closed("put: the queue was closed, it takes no more items"); }

void throw_closed_and_empty() { throw Closed("get: the queue is closed and empty, nothing will come any more"); }

// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
std::uint64_t fingerprint(std::string_view type_name) noexcept {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : type_name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

}  // namespace multiprocessing::channel
