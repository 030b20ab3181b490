// Queues as descriptors: an eventfd for each watched queue, kept right by one thread of this process.
//
//   int fd = watch_queue(queue);        // level-triggered: readable while the queue has items or is closed
//
// Invariants
//   1. One thread per process, made with the first watch, ended with the last; all signals blocked in it.  It alone
//      removes watches, so it may use them without the lock.
//   2. A watch holds its queue.  When this process has no other handle of it (Ref::use_count() is 1, under the lock:
//      whoever asks for a watch has a handle) the watch goes, and its descriptor is closed.
//   3. The thread sleeps on one word per queue: on `not_empty` while its descriptor is not readable, on `emptied` while
//      it is.  It announces itself, looks again, and only then sleeps (event_count.hpp), 100 ms at the most.  Where the
//      kernel cannot sleep on several words (before Linux 5.16), or on so many, it looks again every 5 ms.
//   4. The lock is held for a few instructions, never while the arena's gate or a queue's lock is taken; fork() takes
//      it before and releases it after, on both sides.  In the child the descriptors are closed (they would be the
//      parent's), the watches stay as handles that nobody has asked for, and there is no thread until somebody does.
//   5. The thread writes to a number only while it is still the event descriptor that it made: a program may have
//      closed all of its descriptors.
#pragma once

#include "multiprocessing/detail/byte_queue.hpp"

namespace multiprocessing::channel {

[[nodiscard]] int watch_queue(const ByteQueue& queue);  // throws OsError

// Sleeps until one of the queues may have got an item or been closed; for wait().  REQUIRES: at least one.
void sleep_on_queues(std::span<const ByteQueue* const> queues, Deadline deadline);

}  // namespace multiprocessing::channel
