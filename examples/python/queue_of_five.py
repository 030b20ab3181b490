# A queue with room for five: what put() and get() do when it is full or empty, waiting, for a while, or not at all.
import queue
import time
from multiprocessing import Process, Queue


def take_one(q):
    time.sleep(0.02)
    print(f"somebody takes {q.get()}")


if __name__ == "__main__":
    q = Queue(5)
    for i in range(1, 6):
        q.put(i)
    print(f"{q.qsize()} of 5:", "full" if q.full() else "not full")

    try:
        q.put_nowait(6)
    except queue.Full:
        print("put_nowait: full")
    try:
        q.put(6, timeout=0.01)
    except queue.Full:
        print("put with a timeout: still full")

    taker = Process(target=take_one, args=(q,))
    taker.start()
    q.put(6)  # waits until there is room
    taker.join()
    print("then 6 went in")

    for _ in range(q.qsize()):  # get_nowait() might find nothing yet: a thread sends what was put
        print(q.get(), end=" ")
    print("came out:", "empty" if q.empty() else "not empty")
    try:
        print(q.get_nowait())
    except queue.Empty:
        print("get_nowait: empty")
