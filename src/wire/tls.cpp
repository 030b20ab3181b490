#include "wire/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::wire {
namespace {

constexpr std::string_view identity = "multiprocessing 1";
constexpr std::string_view psk_label = "multiprocessing 1 tls psk";
constexpr std::string_view secret_label = "EXPORTER-multiprocessing-1";
constexpr std::array<unsigned char, 2> psk_suite{0x13, 0x01};  // TLS_AES_128_GCM_SHA256
constexpr char suites[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr std::size_t record_bytes = 16 * 1024;
constexpr std::size_t slice_bytes = 1 << 20;

std::string reason() {
  const unsigned long code = ::ERR_get_error();
  const char* const text = ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return text != nullptr ? text : "unknown reason";
}

void require(bool done, const std::string& what) {
  if (!done) throw Error("TLS: " + what + ": " + reason());
}

const TlsContext& context_of(SSL* session) { return *static_cast<const TlsContext*>(SSL_get_app_data(session)); }

// The session that both sides know without having had one; null: no memory.
SSL_SESSION* shared_session(SSL* ssl) {
  const Digest& key = context_of(ssl).shared_key();
  const SSL_CIPHER* const cipher = ::SSL_CIPHER_find(ssl, psk_suite.data());
  SSL_SESSION* const session = ::SSL_SESSION_new();
  if (cipher != nullptr && session != nullptr &&
      ::SSL_SESSION_set1_master_key(session, reinterpret_cast<const unsigned char*>(key.data()), key.size()) == 1 &&
      ::SSL_SESSION_set_cipher(session, cipher) == 1 &&
      ::SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1) {
    return session;
  }
  ::SSL_SESSION_free(session);
  return nullptr;
}

int offer_shared_key(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_bytes, SSL_SESSION** session) {
  *session = shared_session(ssl);
  *id = reinterpret_cast<const unsigned char*>(identity.data());
  *id_bytes = identity.size();
  return *session != nullptr ? 1 : 0;
}

int find_shared_key(SSL* ssl, const unsigned char* id, std::size_t id_bytes, SSL_SESSION** session) {
  *session = nullptr;
  if (id_bytes != identity.size() || std::memcmp(id, identity.data(), id_bytes) != 0) return 1;  // another's key
  *session = shared_session(ssl);
  return *session != nullptr ? 1 : 0;
}

}  // namespace

TlsContext::TlsContext(Role role, std::string_view key, const TlsOptions& options)
    : role_(role), certificates_(!options.empty()) {
  context_ = ::SSL_CTX_new(role == Role::listener ? ::TLS_server_method() : ::TLS_client_method());
  require(context_ != nullptr, "a context");
  try {
    require(::SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1, "version 1.3");
    require(::SSL_CTX_set_ciphersuites(context_, suites) == 1, "the cipher suites");
    require(::SSL_CTX_set_num_tickets(context_, 0) == 1, "no tickets");
    ::SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    ::SSL_CTX_set_verify(context_, role == Role::client ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (certificates_) {
      use_certificates(options);
    } else {
      use_shared_key(key);
    }
  } catch (...) {
    ::SSL_CTX_free(context_);
    throw;
  }
}

TlsContext::~TlsContext() { ::SSL_CTX_free(context_); }

void TlsContext::use_shared_key(std::string_view key) {
  if (key.empty()) throw std::invalid_argument("TLS needs an authkey or certificates");
  shared_key_ = hmac_sha256(key, std::as_bytes(std::span(psk_label)));
  if (role_ == Role::listener) {
    ::SSL_CTX_set_psk_find_session_callback(context_, find_shared_key);
  } else {
    ::SSL_CTX_set_psk_use_session_callback(context_, offer_shared_key);
  }
}

void TlsContext::use_certificates(const TlsOptions& options) {
  if (options.certificate.empty() != options.private_key.empty()) {
    throw std::invalid_argument("TLS: a certificate needs its private key, and the other way round");
  }
  if (role_ == Role::listener && options.certificate.empty()) {
    throw std::invalid_argument("TLS: a listener with certificates needs one of its own (.certificate, .private_key)");
  }
  if (role_ == Role::client && options.authority.empty()) {
    throw std::invalid_argument("TLS: a client with certificates needs to know who signs the listener's (.authority)");
  }
  if (!options.certificate.empty()) {
    require(::SSL_CTX_use_certificate_chain_file(context_, options.certificate.c_str()) == 1,
            "the certificate '" + options.certificate + "'");
    require(::SSL_CTX_use_PrivateKey_file(context_, options.private_key.c_str(), SSL_FILETYPE_PEM) == 1,
            "the private key '" + options.private_key + "'");
    require(::SSL_CTX_check_private_key(context_) == 1, "the private key is not that of the certificate");
  }
  if (!options.authority.empty()) {
    require(::SSL_CTX_load_verify_file(context_, options.authority.c_str()) == 1,
            "the authority '" + options.authority + "'");
    ::SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host)
    : context_(std::move(context)) {
  session_ = ::SSL_new(context_->get());
  require(session_ != nullptr, "a session");
  in_ = ::BIO_new(::BIO_s_mem());
  out_ = ::BIO_new(::BIO_s_mem());
  if (in_ == nullptr || out_ == nullptr) {
    ::BIO_free(in_);
    ::BIO_free(out_);
    ::SSL_free(session_);
    throw Error("TLS: a session: " + reason());
  }
  ::BIO_set_mem_eof_return(in_, -1);  // empty is "later", and not the end
  ::SSL_set_bio(session_, in_, out_);
  SSL_set_app_data(session_, const_cast<TlsContext*>(context_.get()));
  try {
    if (context_->role() == Role::listener) {
      ::SSL_set_accept_state(session_);
      return;
    }
    ::SSL_set_connect_state(session_);
    if (context_->has_certificates() && !host.empty()) {
      if (::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(session_), host.c_str()) != 1) {
        ::ERR_clear_error();
        require(::SSL_set1_host(session_, host.c_str()) == 1, "the host '" + host + "'");
        require(SSL_set_tlsext_host_name(session_, host.c_str()) == 1, "the host '" + host + "'");
      }
    }
    shake_hands();  // says the first word
  } catch (...) {
    ::SSL_free(session_);
    throw;
  }
}

TlsSession::~TlsSession() { ::SSL_free(session_); }

void TlsSession::fail(const char* what) {
  const long verdict = ::SSL_get_verify_result(session_);
  std::string text = std::string("TLS: ") + what + ": " + reason();
  if (verdict != X509_V_OK) text += std::string(" (") + ::X509_verify_cert_error_string(verdict) + ")";
  collect();
  if (!established_)
    throw AuthenticationError(text + (context_->has_certificates() ? "" : "; is the authkey the same?"));
  throw Error(text);
}

// True: just now.
bool TlsSession::shake_hands() {
  ::ERR_clear_error();
  const int outcome = ::SSL_do_handshake(session_);
  collect();
  if (outcome != 1) {
    if (::SSL_get_error(session_, outcome) == SSL_ERROR_WANT_READ) return false;
    fail("no session with the other side");
  }
  // Only the shared key makes a session without certificates; somebody's certificate does not.
  if (!context_->has_certificates() && ::SSL_session_reused(session_) != 1)
    fail("the other side has not used the authkey");
  established_ = true;
  return true;
}

void TlsSession::received(std::span<const std::byte> bytes, const std::function<void()>& established,
                          const std::function<void(std::span<const std::byte>)>& plain) {
  std::array<std::byte, record_bytes> buffer;
  while (!bytes.empty()) {
    const auto slice = bytes.first(std::min(bytes.size(), record_bytes));
    bytes = bytes.subspan(slice.size());
    require(::BIO_write(in_, slice.data(), static_cast<int>(slice.size())) == static_cast<int>(slice.size()), "memory");
    if (!established_) {
      if (!shake_hands()) continue;
      established();
    }
    for (;;) {
      ::ERR_clear_error();
      const int count = ::SSL_read(session_, buffer.data(), static_cast<int>(buffer.size()));
      if (count > 0) {
        plain(std::span(buffer).first(static_cast<std::size_t>(count)));
        continue;
      }
      const int error = ::SSL_get_error(session_, count);
      collect();
      if (error == SSL_ERROR_WANT_READ) break;
      if (error == SSL_ERROR_ZERO_RETURN) return;  // a farewell: the socket's end comes next
      fail("what was received is damaged");
    }
  }
}

void TlsSession::send(std::span<const std::byte> plain) {
  while (!plain.empty()) {
    const auto slice = plain.first(std::min(plain.size(), slice_bytes));
    plain = plain.subspan(slice.size());
    ::ERR_clear_error();
    if (::SSL_write(session_, slice.data(), static_cast<int>(slice.size())) != static_cast<int>(slice.size())) {
      fail("sending");
    }
    collect();
  }
}

void TlsSession::collect() {
  const std::size_t there = ::BIO_ctrl_pending(out_);
  if (there == 0) return;
  const std::size_t before = outgoing_.size();
  outgoing_.resize(before + there);
  const int count = ::BIO_read(out_, outgoing_.data() + before, static_cast<int>(there));
  outgoing_.resize(before + static_cast<std::size_t>(std::max(count, 0)));
}

std::vector<std::byte> TlsSession::secret() const {
  std::vector<std::byte> bytes(32);
  require(::SSL_export_keying_material(session_, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                       secret_label.data(), secret_label.size(), nullptr, 0, 0) == 1,
          "a secret of the session");
  return bytes;
}

}  // namespace multiprocessing::wire
