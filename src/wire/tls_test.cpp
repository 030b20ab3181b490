// A Wire with TLS.  The certificates are made by the test, so that none of them is ever out of date.
#include "wire/tls.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "support/temporary_folder.hpp"
#include "wire/wire.hpp"
#include "wire/wire_test_support.hpp"

namespace multiprocessing::wire {
namespace {

using testing::bytes_of;
using testing::carry;
using testing::good_key;
using testing::other_key;
using testing::refusal;
using testing::taken;
using testing::text_of;

Options options(Role role, const std::string& key, const TlsOptions& files = {}, const std::string& host = "") {
  return {.key = key, .security = Security::tls, .tls = std::make_shared<TlsContext>(role, key, files), .host = host};
}

struct Ends {
  Ends(Options for_listener, Options for_client)
      : listener(Role::listener, std::move(for_listener)), client(Role::client, std::move(for_client)) {}
  explicit Ends(const std::string& client_key = good_key)
      : Ends(options(Role::listener, good_key), options(Role::client, client_key)) {}
  Wire listener;
  Wire client;
};

std::string shown(const std::vector<std::byte>& bytes) { return text_of(bytes); }

TEST(TlsWire, OfOneKeyCarriesMessagesBothWays) {
  Ends ends;
  carry(ends.listener, ends.client);
  ASSERT_TRUE(ends.listener.established() && ends.client.established());
  ends.client.send(0, 5, bytes_of("question"));
  ends.listener.send(0, 6, bytes_of("answer"));
  carry(ends.listener, ends.client);
  EXPECT_EQ(text_of(ends.listener.next()->bytes), "question");
  EXPECT_EQ(text_of(ends.client.next()->bytes), "answer");
}

TEST(TlsWire, ByteByByteIsAsGood) {
  Ends ends;
  carry(ends.listener, ends.client, 1);
  EXPECT_TRUE(ends.listener.established() && ends.client.established());
}

TEST(TlsWire, NothingOfAMessageOrAHelloCanBeSeen) {
  Ends ends;
  std::string seen;
  while (!ends.client.outgoing().empty() || !ends.listener.outgoing().empty()) {
    const auto out = taken(ends.client);
    seen += shown(out);
    ends.listener.received(out);
    const auto back = taken(ends.listener);
    seen += shown(back);
    ends.client.received(back);
  }
  ASSERT_TRUE(ends.client.established());
  ends.client.send(0, 0, bytes_of("a secret of the two"));
  seen += shown(taken(ends.client));
  EXPECT_EQ(seen.find("secret"), std::string::npos);
  EXPECT_EQ(seen.find("mp-wire"), std::string::npos);
}

TEST(TlsWire, OfAnotherKeyIsRefused) {
  Ends ends(other_key);
  EXPECT_THROW(carry(ends.listener, ends.client), AuthenticationError);
  EXPECT_FALSE(ends.listener.established() || ends.client.established());
}

TEST(TlsWire, WithoutTlsIsRefusedWhereItIsAskedFor) {
  Wire listener(Role::listener, options(Role::listener, good_key));
  Wire client(Role::client, {.key = good_key});
  EXPECT_NE(refusal(listener, taken(client)).find("does not speak TLS"), std::string::npos);
}

TEST(TlsWire, IsAsTheClientBeginsWhereEitherWillDo) {
  for (const bool tls : {false, true}) {
    Options either = options(Role::listener, good_key);
    either.security = Security::either;
    Wire listener(Role::listener, either);
    Wire client(Role::client, tls ? options(Role::client, good_key) : Options{.key = good_key});
    carry(listener, client);
    EXPECT_TRUE(listener.established() && client.established());
    EXPECT_EQ(listener.has_tls(), tls);
  }
}

TEST(TlsWire, ADamagedRecordIsAnErrorAndNoMessage) {
  Ends ends;
  carry(ends.listener, ends.client);
  ends.client.send(0, 0, bytes_of("text"));
  std::vector<std::byte> record = taken(ends.client);
  record[record.size() / 2] ^= std::byte{1};
  EXPECT_THROW(ends.listener.received(record), Error);
  EXPECT_FALSE(ends.listener.has_message());
}

TEST(TlsWire, TooMuchBeforeTheOtherSideIsKnownIsRefused) {
  Wire listener(Role::listener, options(Role::listener, good_key));
  // A handshake record of the largest length, again and again: OpenSSL would go on collecting a ClientHello.
  std::vector<std::byte> record(5 + 16000);
  record[0] = std::byte{22};
  record[1] = std::byte{3};
  record[2] = std::byte{1};
  record[3] = static_cast<std::byte>(16000 >> 8);
  record[4] = static_cast<std::byte>(16000 & 255);
  record[5] = std::byte{1};
  record[6] = std::byte{1};
  record[7] = std::byte{0xf0};  // 126,976 bytes: as long as OpenSSL allows, nearly
  std::string why;
  for (int i = 0; i < 6 && why.empty(); ++i) why = refusal(listener, record);
  EXPECT_NE(why.find("says too much"), std::string::npos) << why;
}

TEST(TlsWire, AMessageOfManyRecordsArrivesWhole) {
  Ends ends;
  carry(ends.listener, ends.client);
  std::vector<std::byte> large(3'000'000);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 31);
  ends.client.send(0, 0, large);
  carry(ends.listener, ends.client, 7000);
  EXPECT_EQ(ends.listener.next()->bytes, large);
}

// --- certificates ---------------------------------------------------------------------------------------------------

class Certificates : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no openssl command to make certificates";
    authority("one");
    authority("two");
    signed_by("one", "server", "DNS:server.test,IP:10.0.0.7");
    signed_by("one", "user", "DNS:user.test");
  }

  std::string file(const std::string& name) const { return folder_ / name; }
  TlsOptions server() const { return {.certificate = file("server.pem"), .private_key = file("server.key")}; }
  TlsOptions client(const std::string& authority_name = "one") const {
    return {.authority = file(authority_name + ".pem")};
  }

 private:
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(("cd '" + folder_.path() + "' && (" + command + ") >/dev/null 2>&1").c_str()), 0) << command;
  }
  void authority(const std::string& name) const {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " + name + ".key -out " + name +
        ".pem -subj /CN=" + name + " -days 2");
  }
  void signed_by(const std::string& authority_name, const std::string& name, const std::string& names) const {
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " + name + ".key -out " + name +
        ".csr -subj /CN=" + name);
    run("printf 'subjectAltName=" + names + "' > " + name + ".ext");
    run("openssl x509 -req -in " + name + ".csr -CA " + authority_name + ".pem -CAkey " + authority_name +
        ".key -CAcreateserial -out " + name + ".pem -days 2 -extfile " + name + ".ext");
  }
  const testing::TemporaryFolder folder_;
};

TEST_F(Certificates, OfTheHostThatIsMeantLetIn) {
  for (const std::string host : {"server.test", "10.0.0.7"}) {
    Ends ends(options(Role::listener, good_key, server()), options(Role::client, good_key, client(), host));
    carry(ends.listener, ends.client);
    EXPECT_TRUE(ends.listener.established() && ends.client.established()) << host;
  }
}

TEST_F(Certificates, OfAnotherHostOrAnotherAuthorityAreRefused) {
  Ends wrong_host(options(Role::listener, good_key, server()), options(Role::client, good_key, client(), "other.test"));
  EXPECT_THROW(carry(wrong_host.listener, wrong_host.client), AuthenticationError);
  Ends wrong_authority(options(Role::listener, good_key, server()),
                       options(Role::client, good_key, client("two"), "server.test"));
  EXPECT_THROW(carry(wrong_authority.listener, wrong_authority.client), AuthenticationError);
}

TEST_F(Certificates, DoNotReplaceTheKey) {
  Ends ends(options(Role::listener, good_key, server()), options(Role::client, other_key, client(), "server.test"));
  EXPECT_THROW(carry(ends.listener, ends.client), AuthenticationError);
  EXPECT_FALSE(ends.listener.established());
}

TEST_F(Certificates, OfClientsAreAskedForByAListenerWithAnAuthority) {
  TlsOptions asking = server();
  asking.authority = file("one.pem");
  TlsOptions with = client();
  with.certificate = file("user.pem");
  with.private_key = file("user.key");
  Ends good(options(Role::listener, good_key, asking), options(Role::client, good_key, with, "server.test"));
  carry(good.listener, good.client);
  EXPECT_TRUE(good.listener.established());
  Ends bad(options(Role::listener, good_key, asking), options(Role::client, good_key, client(), "server.test"));
  EXPECT_THROW(carry(bad.listener, bad.client), AuthenticationError);
  EXPECT_FALSE(bad.listener.established());
}

TEST_F(Certificates, OfAListenerAreNoKeyForAClientThatCountsOnTheKeyAlone) {
  Ends ends(options(Role::listener, good_key, server()), options(Role::client, good_key));
  EXPECT_THROW(carry(ends.listener, ends.client), AuthenticationError);
}

TEST_F(Certificates, ThatAreNotThereAreNamed) {
  try {
    const TlsContext context(Role::client, good_key, {.authority = "/nonexistent/ca.pem"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nonexistent/ca.pem"), std::string::npos);
  }
  EXPECT_THROW(TlsContext(Role::listener, good_key, {.authority = file("one.pem")}), std::invalid_argument);
  EXPECT_THROW(TlsContext(Role::listener, good_key, {.certificate = file("server.pem")}), std::invalid_argument);
}

}  // namespace
}  // namespace multiprocessing::wire
