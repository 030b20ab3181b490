#include "manager/reservations.hpp"

#include <vector>

namespace multiprocessing::managers {

bool Reservations::is_free_for(Call& call, Reserved& reserved) {
  if (reserved.session == nullptr) return true;
  if (call.is_of(reserved.session, reserved.thread)) {
    call.fail(Status::invalid, "update(): the function changes the entry that it is given, and must not do so by a call");
  } else {
    call.wait(reserved.line);
  }
  return false;
}

bool Reservations::may_change(Call& call, const std::string& key) {
  const auto found = reserved_.find(key);
  return found == reserved_.end() || is_free_for(call, found->second);
}

bool Reservations::may_change_all(Call& call) {
  for (auto& [key, reserved] : reserved_) {
    if (!is_free_for(call, reserved)) return false;
  }
  return true;
}

void Reservations::begin(const Call& call, const std::string& key) {
  Reserved& reserved = reserved_[key];
  reserved.session = call.session().get();
  reserved.thread = call.header().thread;
}

bool Reservations::is_callers(Call& call, const std::string& key) const {
  const auto found = reserved_.find(key);
  if (found != reserved_.end() && call.is_of(found->second.session, found->second.thread)) return true;
  call.fail(Status::not_held, "update(): the entry is not reserved for this thread");
  return false;
}

void Reservations::end(const std::string& key) {
  const auto found = reserved_.find(key);
  if (found == reserved_.end()) return;
  found->second.session = nullptr;
  found->second.line.retry();
  // Elements of an unordered_map stay where they are: what was tried again may have reserved other entries.
  const auto still = reserved_.find(key);
  if (still == reserved_.end() || still->second.session != nullptr) return;
  if (still->second.line.empty() && !still->second.line.is_retrying()) reserved_.erase(still);
}

void Reservations::take_back(const Call& call, const std::string& key) {
  const auto found = reserved_.find(key);
  if (found != reserved_.end() && call.is_of(found->second.session, found->second.thread)) end(key);
}

void Reservations::left(const Session& session) {
  std::vector<std::string> keys;
  for (const auto& [key, reserved] : reserved_) {
    if (reserved.session == &session) keys.push_back(key);
  }
  for (const std::string& key : keys) end(key);
}

}  // namespace multiprocessing::managers
