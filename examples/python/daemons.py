# What becomes of a child when the program ends.
#
#   daemons.py child    main waits for an ordinary child
#   daemons.py daemon   a daemon is ended with main
#   daemons.py joined   ... unless main joins it
import sys
import time
from multiprocessing import Process


def work(seconds):
    print("the child works")
    time.sleep(seconds)
    print("the child is done")


if __name__ == "__main__":
    variant = sys.argv[1] if len(sys.argv) > 1 else "child"
    daemon = variant != "child"
    child = Process(daemon=daemon, target=work, args=(3600 if variant == "daemon" else 0.05,))
    child.start()
    if variant == "joined":
        child.join()
    print("main is done")
