# join() of a JoinableQueue: when all that was put has been done, not only taken.
from multiprocessing import JoinableQueue, Process, Value


def consume(queue, total):
    while True:
        item = queue.get()
        with total.get_lock():
            total.value += item
        queue.task_done()


if __name__ == "__main__":
    queue = JoinableQueue(100)
    total = Value("l", 0)
    for _ in range(3):
        Process(daemon=True, target=consume, args=(queue, total)).start()  # they end with the program
    for i in range(1, 1001):
        queue.put(i)
    queue.join()
    print(f"three consumers have added 1 to 1000: {total.value}")
