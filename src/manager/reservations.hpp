// Entries of a container that clients change in place: update() reads an entry, lets the client's function change it, and
// writes it back.  Meanwhile the entry is reserved: whoever else wants to change it waits; reading goes on.
//
// When the client dies in between, the entry is as it was, and goes to the next.
#pragma once

#include <string>
#include <unordered_map>

#include "manager/server.hpp"

namespace multiprocessing::managers {

class Reservations {
 public:
  // False: the call waits until it may, or has failed.
  [[nodiscard]] bool may_change(Call& call, const std::string& key);
  [[nodiscard]] bool may_change_all(Call& call);
  // REQUIRES: may_change().
  void begin(const Call& call, const std::string& key);
  // False: it is not the caller's, and the call has failed.
  [[nodiscard]] bool is_callers(Call& call, const std::string& key) const;
  void end(const std::string& key);
  // Ends it if it is still the caller's.
  void take_back(const Call& call, const std::string& key);
  void left(const Session& session);

 private:
  struct Reserved {
    const Session* session = nullptr;  // null: free, somebody still waits
    std::uint64_t thread = 0;
    Line line;
  };
  [[nodiscard]] static bool is_free_for(Call& call, Reserved& reserved);
  std::unordered_map<std::string, Reserved> reserved_;
};

}  // namespace multiprocessing::managers
