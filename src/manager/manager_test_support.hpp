// Every claim about proxies holds for both ways to a manager: through the family's memory, and through a socket.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "multiprocessing/manager.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::test {

inline const std::string key = "a key of sixteen bytes or more";

enum class Way { family, network };
inline std::string way_name(const ::testing::TestParamInfo<Way>& info) {
  return info.param == Way::family ? "Family" : "Network";
}

// A manager, and its objects as seen by the way that is asked for.
class Objects {
 public:
  explicit Objects(Way way)
      : manager_(way == Way::family ? ManagerOptions{} : ManagerOptions{.address = "tcp://127.0.0.1:0", .authkey = key}) {
    if (way == Way::network) remote_.emplace(manager_.address(), key);
  }
  [[nodiscard]] const managers::Factory* operator->() const noexcept {
    return remote_ ? static_cast<const managers::Factory*>(&*remote_) : &manager_;
  }
  [[nodiscard]] Manager& manager() noexcept { return manager_; }

 private:
  Manager manager_;
  std::optional<RemoteManager> remote_;
};

class EveryWay : public ::testing::TestWithParam<Way> {
 protected:
  const testing::Watchdog watchdog_{std::chrono::seconds(60)};
  Objects objects_{GetParam()};
};

#define FOR_EVERY_WAY(suite) \
  INSTANTIATE_TEST_SUITE_P(Through, suite, ::testing::Values(Way::family, Way::network), way_name)

}  // namespace multiprocessing::test
