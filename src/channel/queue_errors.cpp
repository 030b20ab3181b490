#include "multiprocessing/queue.hpp"

namespace multiprocessing::channel {

void throw_full() { throw Full("put: the queue is full"); }

void throw_empty() { throw Empty("get: the queue is empty"); }

void throw_put_after_close() { throw Closed("put: the queue was closed, it takes no more items"); }

void throw_closed_and_empty() { throw Closed("get: the queue is closed and empty, nothing will come any more"); }

void throw_nothing_to_acknowledge() {
  throw std::logic_error(
      "task_done: this queue delivers at most once, nothing is acknowledged; make it with "
      "Delivery::at_least_once, or use a JoinableQueue");
}

void throw_done_too_often() { throw std::invalid_argument("task_done: called more often than items were taken"); }

void throw_no_loan() {
  throw std::logic_error("publish: there is nothing to publish: this loan was published or moved away");
}

void throw_longer_than_loan() { throw std::invalid_argument("truncate: the loan has fewer elements than that"); }

// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
std::uint64_t fingerprint(std::string_view type_name) noexcept {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : type_name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

}  // namespace multiprocessing::channel
