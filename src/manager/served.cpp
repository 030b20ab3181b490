#include "manager/served.hpp"

#include "manager/own.hpp"

namespace multiprocessing::managers {

void throw_unknown_operation() { codec::throw_malformed("an operation that the object does not have"); }

ServedPtr make_served(Kind kind, Call& call, ValueReader& in) {
  switch (kind) {
    case Kind::queue: return make_queue(call, in, false);
    case Kind::joinable_queue: return make_queue(call, in, true);
    case Kind::dict: return make_dict(call, in);
    case Kind::list: return make_list(call, in);
    case Kind::name_space: return make_namespace();
    case Kind::value: return make_value(call, in);
    case Kind::array: return make_array(call, in);
    case Kind::lock: return make_lock(false);
    case Kind::rlock: return make_lock(true);
    case Kind::semaphore: return make_semaphore(call, in, false);
    case Kind::bounded_semaphore: return make_semaphore(call, in, true);
    case Kind::condition: return make_condition(call, in);
    case Kind::event: return make_event();
    case Kind::barrier: return make_barrier(call, in);
    case Kind::own: return make_own(call, in);
    case Kind::pool: return make_pool(call, in);
    default: codec::throw_malformed("a kind of object that managers do not have");
  }
}

}  // namespace multiprocessing::managers
