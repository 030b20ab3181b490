# Processes do not share variables: each has its own copy.  What is to be shared says so.
from multiprocessing import Process, Value

plain = 100


def child(shared):
    global plain
    plain = 0
    shared.value = 0
    print(f"child:  plain {plain}, shared {shared.value}")


if __name__ == "__main__":
    shared = Value("i", 100)
    process = Process(target=child, args=(shared,))
    process.start()
    process.join()
    print(f"parent: plain {plain}, shared {shared.value}")
