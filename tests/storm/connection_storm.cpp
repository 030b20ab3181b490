// Processes that send and receive through several connections: items with handles, connections and descriptors; frames
// and bytes from 16 bytes to beyond 16 MiB, so in packets and in files.  Each connection has a receiver that serves it
// alone, and others wait for all of them at once, and for a queue.
//
//   senders ──► left ═══ right ──► its own receiver, and those who wait for all
//           ◄── a number now and then, to the first of the senders
//
// Invariants: those of the ledger: a receiver that dies takes one message along at most, a sender none.  A message that
// names an end of another connection, or a descriptor, brings it: what was sent there before, then the end of file, for
// its sender closes it or dies.  When nobody is left who sends, every receiver gets the end of file.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/wait.hpp"
#include "storm/items.hpp"
#include "storm/part.hpp"

namespace multiprocessing::storm {
namespace {

using namespace std::chrono_literals;

struct Parcel {
  Item item;
  std::vector<Connection> ends;   // each brings the sequence, or nothing when its sender died, and then its end
  std::vector<Descriptor> pipes;  // each has the sequence in it
};

enum class Traffic { parcels, frames, bytes };

struct Line {
  Connection left;
  Connection right;
  Traffic traffic;
  testing::Shared<Ledger> ledger;

  Line(std::pair<Connection, Connection> ends, Traffic what)
      : left(std::move(ends.first)), right(std::move(ends.second)), traffic(what) {}
};
using Lines = std::vector<std::unique_ptr<Line>>;

// --- sending --------------------------------------------------------------------------------------------------------

Descriptor pipe_with(std::uint64_t sequence) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw Error("pipe2");
  const base::Fd from(fds[0]);
  const base::Fd to(fds[1]);
  if (::write(to.get(), &sequence, sizeof sequence) != sizeof sequence) throw Error("write");
  return Descriptor(from.get());
}

// False: nobody is left who could receive.
bool send_to_the_living(const Connection& to, std::uint64_t number) {
  try {
    to.send(number);
    return true;
  } catch (const OsError& error) {
    if (error.code().value() != EPIPE) throw;
    return false;
  }
}

void send_parcel(const Connection& to, const Name& name) {
  Parcel parcel{make_item(name), {}, {}};
  if (name.sequence % 64 == 7) parcel.pipes.push_back(pipe_with(name.sequence));
  if (name.sequence % 64 != 39) return to.send(parcel);
  // Of a one-way pipe the second end sends.
  const bool duplex = name.sequence % 128 == 39;
  const auto [first, second] = Pipe({.duplex = duplex});
  const Connection& sending = duplex ? first : second;
  parcel.ends.push_back(duplex ? second : first);
  to.send(parcel);
  parcel.ends.front().close();
  static_cast<void>(send_to_the_living(sending, name.sequence));  // whoever took it may have died
  sending.close();
}

void send_one(const Line& line, Putter& putter) {
  const Name name = putter.begin();
  switch (line.traffic) {
    case Traffic::parcels:
      send_parcel(line.left, name);
      break;
    case Traffic::frames:
      line.left.send(make_frame(name));
      break;
    case Traffic::bytes:
      line.left.send_bytes(make_frame(name));
      break;
  }
  putter.returned();
}

void take_answers(const Line& line, Worker& me) {
  while (line.left.poll()) {
    const auto sequence = line.left.recv<std::uint64_t>();
    if (sequence == 0 || sequence > Ledger::items) me.violation("an answer that nobody has sent");
  }
}

void send_all(const Lines& lines, const Queue<std::uint64_t>& bell, bool first, Worker& me) {
  std::vector<Putter> putters;
  for (const auto& line : lines) {
    line->right.close();
    putters.emplace_back(*line->ledger);
  }
  while (!me.over()) {
    const std::size_t i = me.random.below(lines.size());
    if (!putters[i].has_room(1)) return;
    send_one(*lines[i], putters[i]);
    if (first) {
      for (const auto& line : lines) take_answers(*line, me);
    }
    if (me.random.one_in(16)) static_cast<void>(bell.try_put(1));
    me.count();
  }
}

// --- receiving ------------------------------------------------------------------------------------------------------

std::string wrong_end(const Connection& end, std::uint64_t sequence) {
  try {
    if (end.recv<std::uint64_t>() != sequence) return " its connection brings something else";
    static_cast<void>(end.recv<std::uint64_t>());
    return " its connection brings too much";
  } catch (const EndOfFile&) {  // also when its sender died too early
    return {};
  }
}

Seen look_at(const Parcel& parcel) {
  Seen seen = storm::look_at(parcel.item);
  for (const Connection& end : parcel.ends) seen.wrong += wrong_end(end, seen.name.sequence);
  for (const Descriptor& pipe : parcel.pipes) {
    std::uint64_t sequence = 0;
    if (::read(pipe.fileno(), &sequence, sizeof sequence) != sizeof sequence || sequence != seen.name.sequence ||
        ::read(pipe.fileno(), &sequence, sizeof sequence) != 0) {
      seen.wrong += " its descriptor is another";
    }
  }
  return seen;
}

// Only while there is room: the one who takes answers may be waiting for us.
void answer(const Connection& to, const Name& name, Worker& me) {
  pollfd look{to.fileno(), POLLOUT, 0};
  if (::poll(&look, 1, 0) != 1 || (look.revents & POLLOUT) == 0) return;
  if (!send_to_the_living(to, name.sequence) && !me.over()) me.violation("nobody left who sends, before the end");
}

// Throws EndOfFile.
void receive_one(const Line& line, Taker& taker, Worker& me) {
  Seen seen;
  switch (line.traffic) {
    case Traffic::parcels:
      seen = look_at(line.right.recv<Parcel>());
      break;
    case Traffic::frames:
      seen = storm::look_at(std::span<const char>(line.right.recv<Frame>()));
      break;
    case Traffic::bytes: {
      const std::vector<std::byte> bytes = line.right.recv_bytes();
      seen = storm::look_at(std::span(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
  }
  taker.took(seen);
  if (me.random.one_in(32)) answer(line.right, seen.name, me);
}

void serve(const Lines& lines, const Line& mine, Worker& me) {
  for (const auto& line : lines) {
    line->left.close();
    if (line.get() != &mine) line->right.close();
  }
  Taker taker(*mine.ledger, me);
  try {
    for (;;) receive_one(mine, taker, me);
  } catch (const EndOfFile&) {
  }
}

// Others may be faster: then recv() waits for the next message, and the other lines have receivers of their own.
void serve_all(const Lines& lines, const Queue<std::uint64_t>& bell, Worker& me) {
  std::vector<Waitable> sources;
  std::vector<std::size_t> open;  // of the lines
  std::vector<Taker> takers;
  for (const auto& line : lines) {
    line->left.close();
    open.push_back(sources.size());
    sources.emplace_back(line->right);
    takers.emplace_back(*line->ledger, me);
  }
  const bool listens = me.random.one_in(2);
  if (listens) sources.emplace_back(bell);
  while (!open.empty()) {
    const auto ready =
        me.random.one_in(4) ? wait(sources, std::chrono::microseconds(me.random.below(5'000))) : wait(sources);
    for (auto at = ready.rbegin(); at != ready.rend(); ++at) {  // from the end: what has ended is erased
      const auto i = static_cast<std::ptrdiff_t>(*at);
      if (*at == open.size()) {
        static_cast<void>(bell.try_get());
        continue;
      }
      try {
        receive_one(*lines[open[*at]], takers[open[*at]], me);
      } catch (const EndOfFile&) {
        sources.erase(sources.begin() + i);
        open.erase(open.begin() + i);
      }
    }
  }
}

// --- the part -------------------------------------------------------------------------------------------------------

class ConnectionPart final : public Part {
 public:
  explicit ConnectionPart(int hands) : hands_(hands) {
    for (const Traffic traffic : {Traffic::parcels, Traffic::frames, Traffic::bytes}) {
      lines_.push_back(std::make_unique<Line>(Pipe(), traffic));
    }
  }

  void hire(Crew& crew) override {
    for (int i = 0; i < hands_; ++i) {
      crew.hire([this, i](Worker& me) { send_all(lines_, bell_, i == 0, me); });
    }
    for (const auto& line : lines_) {
      takers_.push_back(crew.hire([this, &line](Worker& me) { serve(lines_, *line, me); }, Until::end));
    }
    for (int i = 1; i < hands_; ++i) {
      takers_.push_back(crew.hire([this](Worker& me) { serve_all(lines_, bell_, me); }, Until::end));
    }
  }

  void died(int position) override {
    takers_killed_ += static_cast<std::uint64_t>(std::ranges::count(takers_, position));
  }

  void close(Report& /*report*/) override {
    for (const auto& line : lines_) line->left.close();
  }

  void settle(Report& report) override {
    std::uint64_t may_be_lost = takers_killed_;  // of all lines together
    for (const auto& line : lines_) {
      may_be_lost -= storm::settle(*line->ledger, {may_be_lost, "messages went with their receivers"}, 0, report);
    }
  }

 private:
  const int hands_;
  Lines lines_;
  const Queue<std::uint64_t> bell_{100};
  std::vector<int> takers_;
  std::uint64_t takers_killed_ = 0;
};

}  // namespace

std::unique_ptr<Part> connection_part(int hands) { return std::make_unique<ConnectionPart>(hands); }

}  // namespace multiprocessing::storm
