// Stack: what an exception has of a stack, named only when somebody asks (symbols.hpp says what that costs).
#pragma once

#include <atomic>
#include <string>

#include "crash/stack_text.hpp"

namespace multiprocessing::crash {

// Any thread may ask; those that ask at the same time for the first time may each do the work.
class Stack {
 public:
  // what() is `what`, ", in " and the top frame; text() is `heading`, if there is one, and a line for each frame.
  Stack(Trace trace, std::string what, std::string heading);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  [[nodiscard]] const std::string& text() const { return named().all; }
  [[nodiscard]] const std::string& what() const { return named().top; }

 private:
  const StackText& named() const;

  const Trace trace_;
  const std::string what_;
  const std::string heading_;
  mutable std::atomic<const StackText*> named_{nullptr};
};

}  // namespace multiprocessing::crash
