# map() gives all results; imap() one by one, in order, as they come; imap_unordered() as they are finished.
import time
from multiprocessing import Pool


def square(x):
    time.sleep(x % 3 * 0.001)
    return x * x


def add(a, b):
    return a + b


def show(what, numbers):
    print(f"{what}:", *numbers)


if __name__ == "__main__":
    pool = Pool(3)
    numbers = range(10)
    show("map", pool.map(square, numbers))
    show("map, chunks of 4", pool.map(square, numbers, chunksize=4))
    show("map_async", pool.map_async(square, numbers).get())
    show("starmap", pool.starmap(add, [(1, 2), (3, 4)]))

    show("imap", pool.imap(square, numbers, chunksize=2))
    show("imap_unordered, sorted", sorted(pool.imap_unordered(square, numbers)))
    pool.close()
    pool.join()
