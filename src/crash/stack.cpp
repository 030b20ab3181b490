#include "crash/stack.hpp"

#include <memory>
#include <utility>

namespace multiprocessing::crash {

Stack::Stack(Trace trace, std::string what, std::string heading)
    : trace_(std::move(trace)), what_(std::move(what)), heading_(std::move(heading)) {}

Stack::~Stack() { delete named_.load(std::memory_order_acquire); }

const StackText& Stack::named() const {
  if (const StackText* const done = named_.load(std::memory_order_acquire)) return *done;  // sync(stack-named)
  StackText text = text_of(trace_);
  text.top = what_ + (text.top.empty() ? "" : ", in " + text.top);
  if (!heading_.empty()) text.all = heading_ + (text.all.empty() ? "" : "\n" + text.all);
  auto mine = std::make_unique<const StackText>(std::move(text));
  const StackText* other = nullptr;
  if (!named_.compare_exchange_strong(other, mine.get(), std::memory_order_acq_rel))
    return *other;  // sync(stack-named)
  return *mine.release();
}

}  // namespace multiprocessing::crash
