// Lock and RLock; what a Condition needs of them.
#pragma once

#include "manager/server.hpp"

namespace multiprocessing::managers {

class ServedLock final : public Served {
 public:
  explicit ServedLock(bool recursive) : recursive_(recursive) {}
  void handle(Call& call, ValueReader& in) override;
  void left(Session& session) override;
  void take_back(Call& call) override;

  [[nodiscard]] bool is_callers(const Call& call) const noexcept {
    return depth_ != 0 && call.is_of(holder_, thread_);
  }
  // Gives it up however often it is held; how often.
  [[nodiscard]] std::int64_t release_all();
  // True: the caller has it, so often.  False: the call waits in the lock's line.
  [[nodiscard]] bool acquire(Call& call, std::int64_t depth);
  void release(Call& call);
  [[nodiscard]] bool owner_died() const noexcept { return owner_died_; }
  void try_next() { line_.retry(); }

 private:
  const bool recursive_;
  const Session* holder_ = nullptr;
  std::uint64_t thread_ = 0;
  std::int64_t depth_ = 0;
  bool owner_died_ = false;       // the holder took it from a dead one
  bool from_dead_owner_ = false;  // it lies free since its holder died
  Line line_;
};

}  // namespace multiprocessing::managers
