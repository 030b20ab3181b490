# Ten tasks for three workers: as one is done, its worker takes the next.
import os
import sys
import time
from multiprocessing import Pool


def work(task):
    begin = time.monotonic()
    time.sleep((task % 4 + 1) * 0.01)
    return task, os.getpid(), time.monotonic() - begin


if __name__ == "__main__":
    pool = Pool(3)
    results = [pool.apply_async(work, (task,)) for task in range(10)]
    pool.close()
    pool.join()

    workers = set()
    for result in results:
        task, worker, seconds = result.get()
        workers.add(worker)
        print(f"task {task} took {seconds:.2f} s in process {worker}", file=sys.stderr)
    print(f"{len(results)} tasks done by", "at most 3" if len(workers) <= 3 else "too many", "workers")
