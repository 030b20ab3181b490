// imap: a job whose calls are added while it runs, and whose outcomes one thread takes one after another.  Layer: pool.
//
//   input ─► ImapSource::read ─► chunk ─► ImapJob, in flight ─► chunk, done ─► ImapReader ─► ImapSource::current
//            (iterating thread)           (the engine: one call is a chunk)                  (iterating thread)
//
// What knows the types is the chunk and the source; the window, the order and the waiting are in src/pool/imap.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/call_text.hpp"
#include "multiprocessing/detail/pool_batch.hpp"
#include "multiprocessing/detail/pool_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::pool {

// Some items and, later, their outcomes.
class ImapChunk {
 public:
  ImapChunk() = default;
  ImapChunk(const ImapChunk&) = delete;
  ImapChunk& operator=(const ImapChunk&) = delete;
  virtual ~ImapChunk() = default;
  virtual void encode(codec::Encoder& out) const = 0;  // the items
  virtual void receive(codec::Decoder& in) = 0;        // their outcomes
  virtual void drop_items() noexcept = 0;
  [[nodiscard]] virtual std::string text() const = 0;  // of the first item's arguments

  std::size_t count = 0;     // of items
  std::exception_ptr error;  // of all
  bool done = false;
};

class ImapJob final : public Job {
 public:
  ImapJob(FunctionPtr function, bool ordered) : function_(std::move(function)), ordered_(ordered) {}

  // By the iterating thread.  The number of the call that it is:
  [[nodiscard]] std::size_t add(std::unique_ptr<ImapChunk> chunk);
  void withdraw() noexcept;  // undoes the last add(), which could not be submitted
  [[nodiscard]] bool has_outcome() const noexcept;
  [[nodiscard]] std::unique_ptr<ImapChunk> take();

  void encode(Calls calls, codec::Encoder& out) override;
  Failure receive(Calls calls, codec::Decoder& in) override;
  void conclude(Calls calls, Failure failure) noexcept override;
  [[nodiscard]] std::string function() const override;
  [[nodiscard]] std::string describe(Calls calls) const override;

 private:
  [[nodiscard]] ImapChunk& chunk(Calls calls) const noexcept;

  const FunctionPtr function_;
  const bool ordered_;
  mutable std::mutex mutex_;                       // of what follows; nothing is called while it is held
  std::deque<std::unique_ptr<ImapChunk>> chunks_;  // in flight, and done if ordered; null: was taken out of order
  std::size_t first_ = 0;                          // number of chunks_.front()
  std::deque<std::unique_ptr<ImapChunk>> ready_;   // done, if not ordered
};

// The iterating thread's side.
class ImapReader {
 public:
  ImapReader(std::shared_ptr<Core> core, std::shared_ptr<ImapJob> job, std::size_t items_per_task);
  ImapReader(const ImapReader&) = delete;
  ImapReader& operator=(const ImapReader&) = delete;
  virtual ~ImapReader() = default;

 protected:
  // The next outcome is number at_ of *chunk_; false: all have been taken.  Waits.
  [[nodiscard]] bool next_outcome();
  // The next items of the input, at most `most`; null: there are none.  `spare`, if any, is a chunk to be used again.
  virtual std::unique_ptr<ImapChunk> read(std::unique_ptr<ImapChunk> spare, std::size_t most) = 0;

  std::unique_ptr<ImapChunk> chunk_;
  std::size_t at_ = 0;

 private:
  void read_ahead();

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<ImapJob> job_;
  const std::size_t items_per_task_;
  const std::size_t window_;
  std::size_t in_flight_ = 0;
  std::unique_ptr<ImapChunk> spare_;
};

template <class Result, class Arguments, class Item>
class ImapChunkOf final : public ImapChunk {
 public:
  using Value = value_of<Result>;

  void encode(codec::Encoder& out) const override {
    for (const Item& item : items) WriteArguments<Arguments>::to(out, item);
  }
  void receive(codec::Decoder& in) override {
    outcomes_.resize(count);
    for (Outcome& outcome : outcomes_) {
      outcome.error = take_result<Result>(in, [&outcome](Value&& value) { outcome.value.emplace(std::move(value)); });
    }
  }
  void drop_items() noexcept override { std::vector<Item>().swap(items); }
  [[nodiscard]] std::string text() const override {
    const Item& item = items[0];
    return arguments_text(item);
  }

  // The outcome of an item: throws its exception.
  Value& outcome(std::size_t i) {
    if (error != nullptr) std::rethrow_exception(error);
    Outcome& outcome = outcomes_[i];
    if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
    return *outcome.value;
  }
  void reuse() noexcept {
    outcomes_.clear();
    error = nullptr;
    done = false;
  }

  std::vector<Item> items;

 private:
  struct Outcome {
    std::optional<Value> value;
    std::exception_ptr error;
  };
  std::vector<Outcome> outcomes_;
};

// The input of an imap: a reference to an lvalue, or the range itself.  (std::views::all would do it; clang 14 cannot
// compile libstdc++ 12's.)
template <class Range>
class Input {
  using Plain = std::remove_reference_t<Range>;
  static constexpr bool is_borrowed = std::is_lvalue_reference_v<Range>;

 public:
  explicit Input(Plain& range) requires is_borrowed : range_(&range) {}
  explicit Input(Plain&& range) requires(!is_borrowed) : range_(std::move(range)) {}
  [[nodiscard]] Plain& get() noexcept {
    if constexpr (is_borrowed) {
      return *range_;
    } else {
      return range_;
    }
  }

 private:
  std::conditional_t<is_borrowed, Plain*, Plain> range_;
};

template <class Result, class Arguments, std::ranges::input_range Range>
class ImapSource final : public ImapReader {
  using Item = std::ranges::range_value_t<Range>;
  using Chunk = ImapChunkOf<Result, Arguments, Item>;

 public:
  using Value = typename Chunk::Value;
  static constexpr bool is_sized = std::ranges::sized_range<Range>;

  ImapSource(std::shared_ptr<Core> core, std::shared_ptr<ImapJob> job, std::size_t items_per_task, Input<Range> input)
      : ImapReader(std::move(core), std::move(job), items_per_task), input_(std::move(input)) {
    if constexpr (is_sized) total = static_cast<std::size_t>(std::ranges::size(input_.get()));
  }

  void advance() {
    current.reset();
    if (!next_) next_.emplace(std::ranges::begin(input_.get()));
    if (next_outcome()) current.emplace(std::move(static_cast<Chunk&>(*chunk_).outcome(at_++)));
  }

  std::size_t total = 0;
  std::optional<Value> current;

 private:
  std::unique_ptr<ImapChunk> read(std::unique_ptr<ImapChunk> spare, std::size_t most) override {
    if (*next_ == std::ranges::end(input_.get())) return nullptr;
    if (spare == nullptr) spare.reset(new Chunk);
    auto& chunk = static_cast<Chunk&>(*spare);
    chunk.reuse();
    for (; chunk.items.size() < most && *next_ != std::ranges::end(input_.get()); ++*next_) {
      chunk.items.push_back(**next_);
    }
    chunk.count = chunk.items.size();
    return spare;
  }

  Input<Range> input_;
  std::optional<std::ranges::iterator_t<Range>> next_;
};

}  // namespace multiprocessing::pool

#pragma GCC visibility pop
