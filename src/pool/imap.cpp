// The bookkeeping of imap: which chunks are under way, and which outcome is next.
#include <algorithm>
#include <string>

#include "multiprocessing/detail/pool_imap.hpp"

namespace multiprocessing::pool {

// --- the job ----------------------------------------------------------------------------------------------------------

std::size_t ImapJob::add(std::unique_ptr<ImapChunk> chunk) {
  const std::lock_guard lock(mutex_);
  chunks_.push_back(std::move(chunk));
  return first_ + chunks_.size() - 1;
}

void ImapJob::withdraw() noexcept {
  const std::lock_guard lock(mutex_);
  chunks_.pop_back();
}

bool ImapJob::has_outcome() const noexcept {
  const std::lock_guard lock(mutex_);
  return ordered_ ? !chunks_.empty() && chunks_.front()->done : !ready_.empty();
}

std::unique_ptr<ImapChunk> ImapJob::take() {
  const std::lock_guard lock(mutex_);
  std::deque<std::unique_ptr<ImapChunk>>& from = ordered_ ? chunks_ : ready_;
  std::unique_ptr<ImapChunk> chunk = std::move(from.front());
  from.pop_front();
  if (ordered_) ++first_;
  return chunk;
}

// Stays where it is while it is in flight.
ImapChunk& ImapJob::chunk(Calls calls) const noexcept {
  const std::lock_guard lock(mutex_);
  return *chunks_[calls.first - first_];
}

void ImapJob::encode(Calls calls, codec::Encoder& out) {
  const ImapChunk& which = chunk(calls);
  function_->encode(out);
  codec::encode(out, static_cast<std::uint32_t>(which.count));
  which.encode(out);
}

Failure ImapJob::receive(Calls calls, codec::Decoder& in) {
  chunk(calls).receive(in);
  return {};  // of the chunk; those of items are thrown where their turn comes
}

void ImapJob::conclude(Calls calls, Failure failure) noexcept {
  ImapChunk& concluded = chunk(calls);
  concluded.error = std::move(failure.error);
  concluded.drop_items();
  const std::lock_guard lock(mutex_);
  std::unique_ptr<ImapChunk>& which = chunks_[calls.first - first_];
  which->done = true;
  if (ordered_) return;
  ready_.push_back(std::move(which));
  while (!chunks_.empty() && chunks_.front() == nullptr) {  // out of order: only what is behind all done is dropped
    chunks_.pop_front();
    ++first_;
  }
}

std::string ImapJob::function() const { return function_->text(); }

std::string ImapJob::describe(Calls calls) const {
  const ImapChunk& which = chunk(calls);
  return "imap of " + function() + (which.count == 1 ? which.text() : "") + ", chunk " + std::to_string(calls.first);
}

// --- the iterating thread ---------------------------------------------------------------------------------------------

ImapReader::ImapReader(std::shared_ptr<Core> core, std::shared_ptr<ImapJob> job, std::size_t items_per_task)
    : core_(std::move(core)),
      job_(std::move(job)),
      items_per_task_(items_per_task),
      window_(std::max<std::size_t>(32, 4 * items_per_task * static_cast<std::size_t>(processes(*core_)))) {}

bool ImapReader::next_outcome() {
  require_owner(*core_);
  read_ahead();
  if (chunk_ != nullptr && at_ < chunk_->count) return true;
  if (in_flight_ == 0) return false;
  wait(
      *core_, [this] { return job_->has_outcome(); }, Deadline::never(), job_.get());
  spare_ = std::exchange(chunk_, job_->take());
  at_ = 0;
  in_flight_ -= chunk_->count;
  read_ahead();
  return true;
}

// Items given to workers and not yet here are at most `window_`.
void ImapReader::read_ahead() {
  while (in_flight_ + items_per_task_ <= window_ || in_flight_ == 0) {
    std::unique_ptr<ImapChunk> chunk = read(std::move(spare_), items_per_task_);
    if (chunk == nullptr) return;
    const std::size_t count = chunk->count;
    const std::size_t number = job_->add(std::move(chunk));
    try {
      submit_more(*core_, job_, {number, 1});
    } catch (...) {
      job_->withdraw();
      throw;
    }
    in_flight_ += count;
  }
}

}  // namespace multiprocessing::pool
