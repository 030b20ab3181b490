# A process starts, and the program goes on at once; join() waits for it.
import time
from multiprocessing import Process


def task(name):
    print(f"{name} is running")
    time.sleep(0.1)
    print(f"{name} is done")


if __name__ == "__main__":
    first = Process(target=task, args=("child 1",))
    second = Process(target=task, args=("child 2",))
    first.start()
    second.start()
    print("main goes on")
    first.join()
    second.join()
    print(f"exit codes {first.exitcode} and {second.exitcode}")
