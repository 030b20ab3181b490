// Who is who: pids, names, parents, and the children that are alive.
#include <unistd.h>

#include <iostream>
#include <multiprocessing/multiprocessing.hpp>

namespace mp = multiprocessing;

void introduce(const mp::Event& may_end) {
  const auto me = mp::current_process();
  const auto parent = mp::parent_process();
  std::cout << me.name() << ": pid " << me.pid() << ", child of " << parent->name() << ", pid " << parent->pid()
            << std::endl;
  if (me.pid() != ::getpid() || parent->pid() != ::getppid()) std::cout << "these are wrong" << std::endl;
  may_end.wait();
}

int main() {
  std::cout << mp::current_process().name() << ": pid " << ::getpid() << std::endl;
  const mp::Event may_end;
  mp::Process first(introduce, may_end);
  mp::Process second({.name = "a name of its own"}, introduce, may_end);
  std::cout << "before start() there is " << (first.pid() ? "a pid" : "no pid") << std::endl;
  first.start();
  second.start();
  std::cout << mp::active_children().size() << " children are alive" << std::endl;
  may_end.set();
  first.join();
  second.join();
  std::cout << mp::active_children().size() << " children are alive" << std::endl;
}
