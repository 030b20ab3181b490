// Child: a member of a Team that is a multiprocessing::Process.
#pragma once

#include <multiprocessing/process.hpp>
#include <utility>

namespace bench {

class Child {
 public:
  template <class Body>
  explicit Child(Body body) : process_{std::move(body)} {
    process_.start();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    process_.kill();
    process_.join();
  }

 private:
  multiprocessing::Process process_;
};

}  // namespace bench
