// The client's side of the door: a connected socket and an established Wire, or an exception that says why not.
#pragma once

#include <string>
#include <string_view>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/tls_options.hpp"
#include "wire/reception.hpp"

namespace multiprocessing::wire {

struct CallerOptions {
  std::uint64_t max_message = default_max_message;
  bool any_user = false;  // behind a Unix socket
  TlsOptions tls{};
};

// Throws std::invalid_argument for an address or key that cannot be; AuthenticationError; OsError: ECONNREFUSED,
// ETIMEDOUT …; EndOfFile when the other side hangs up.
[[nodiscard]] Guest call(std::string_view address, const std::string& key, detail::Deadline deadline,
                         const CallerOptions& options);

// Throws std::invalid_argument, with what to do, where that key is not enough for that address.
void require_key(const Address& address, const std::string& key, bool any_user);

}  // namespace multiprocessing::wire
