// A call in progress of a Link: its descriptor and what else it has stay while this lives.
#pragma once

#include "multiprocessing/detail/link.hpp"

namespace multiprocessing::channel {

class Link::Use {
 public:
  Use(const Link& link, const char* verb) : link_(const_cast<Link&>(link)) {
    if (!link_.enter()) throw_closed_connection(verb);
  }
  ~Use() { link_.leave(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Link& link_;
};

}  // namespace multiprocessing::channel
