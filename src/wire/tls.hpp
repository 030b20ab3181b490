// TLS 1.3 between memory and memory, by OpenSSL; the sockets are the caller's.
//
// Without certificates both sides make a pre-shared key of the authkey (external PSK with a Diffie-Hellman exchange,
// suites with SHA-256): a session comes into being only between two that know it.  With certificates the client asks
// for one that its authority has signed for the host it meant, and the listener for the client's if it has an
// authority.  No tickets, no resumption, no earlier version.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "multiprocessing/tls_options.hpp"
#include "wire/handshake.hpp"

struct ssl_ctx_st;
struct ssl_st;
struct bio_st;

namespace multiprocessing::wire {

// What many sessions have in common.  Immutable; any thread.
class TlsContext {
 public:
  // Throws std::invalid_argument for options that make no sense, Error with the file's name for files that do not.
  TlsContext(Role role, std::string_view key, const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  [[nodiscard]] Role role() const noexcept { return role_; }
  [[nodiscard]] bool has_certificates() const noexcept { return certificates_; }
  [[nodiscard]] const Digest& shared_key() const noexcept { return shared_key_; }
  [[nodiscard]] ssl_ctx_st* get() const noexcept { return context_; }

 private:
  void use_shared_key(std::string_view key);
  void use_certificates(const TlsOptions& options);

  Role role_;
  bool certificates_;
  Digest shared_key_{};
  ssl_ctx_st* context_ = nullptr;
};

class TlsSession {
 public:
  // `host`: whom the client means to talk to; must outlive nothing.
  TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Encrypted bytes that came.  Calls `plain` with what was in them.  Throws AuthenticationError before the session is
  // established, Error after.  outgoing() has something to tell the other side then, too.
  void received(std::span<const std::byte> bytes, const std::function<void()>& established,
                const std::function<void(std::span<const std::byte>)>& plain);
  void send(std::span<const std::byte> plain);  // REQUIRES: established
  [[nodiscard]] bool established() const noexcept { return established_; }
  // Bytes that only the two ends of this session know.
  [[nodiscard]] std::vector<std::byte> secret() const;
  [[nodiscard]] std::vector<std::byte>& outgoing() noexcept { return outgoing_; }

 private:
  bool shake_hands();
  void collect();
  [[noreturn]] void fail(const char* what);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* session_ = nullptr;
  bio_st* in_ = nullptr;
  bio_st* out_ = nullptr;
  bool established_ = false;
  std::vector<std::byte> outgoing_;
};

}  // namespace multiprocessing::wire
