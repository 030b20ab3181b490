# Twenty people buy ten tickets; how many are left stands in a file.
#
#   tickets.py             with a lock: ten are sold
#   tickets.py --no-lock   without: two who read the same number sell the same ticket
import os
import sys
import time
from contextlib import nullcontext
from multiprocessing import Lock, Process, Value


def left(file):
    with open(file) as f:
        return int(f.read() or 0)


def set_left(file, number):
    with open(file, "w") as f:
        f.write(str(number))


def sell(file):
    number = left(file)
    if number == 0:
        return False
    time.sleep(0.001)  # paying
    set_left(file, number - 1)
    return True


def buy(file, lock, sold):
    with lock:
        if sell(file):
            with sold.get_lock():
                sold.value += 1


if __name__ == "__main__":
    file = f"/tmp/tickets-{os.getpid()}"
    lock = Lock() if len(sys.argv) == 1 else nullcontext()
    set_left(file, 10)

    sold = Value("i", 0)
    people = [Process(target=buy, args=(file, lock, sold)) for _ in range(20)]
    for one in people:
        one.start()
    for one in people:
        one.join()

    print(f"{sold.value} sold, {left(file)} left")
    os.remove(file)
