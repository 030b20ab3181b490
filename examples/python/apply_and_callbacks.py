# apply() waits for its result; apply_async() gives a promise of it, and calls back.
import time
from multiprocessing import Pool


def test(x):
    time.sleep(0.02)
    if x < 0:
        raise ValueError("x is negative")
    return x + 100


if __name__ == "__main__":
    pool = Pool(3)
    print("apply:", pool.apply(test, (1,)))

    later = pool.apply_async(test, (2,))
    print("apply_async:", "ready" if later.ready() else "not ready yet")
    print("apply_async:", later.get())

    # Callbacks run in a thread of the pool: what they print is one string each.
    pool.apply_async(test, (3,), callback=lambda r: print(f"called back with {r}\n", end=""))
    failing = pool.apply_async(test, (-1,), error_callback=lambda _: print("called back with an error\n", end=""))
    pool.close()
    pool.join()
    try:
        failing.get()
    except ValueError as error:
        print("the error:", error)
