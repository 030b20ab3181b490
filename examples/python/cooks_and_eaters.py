# Producers and consumers: two cooks, three eaters, one queue between them.  A None tells an eater that no more comes.
from multiprocessing import Process, Queue, Value


def cook(name, table):
    for i in range(1, 16):
        table.put(f"bun {i} by {name}")


def eat(table, eaten):
    mine = 0
    for _bun in iter(table.get, None):
        mine += 1
    with eaten.get_lock():
        eaten.value += mine


if __name__ == "__main__":
    table = Queue(4)  # a cook waits when four buns are there
    eaten = Value("i", 0)
    cooks = [Process(target=cook, args=(name, table)) for name in ("Ann", "Ben")]
    eaters = [Process(target=eat, args=(table, eaten)) for _ in range(3)]
    for one in eaters + cooks:
        one.start()

    for one in cooks:
        one.join()
    for _ in eaters:
        table.put(None)
    for one in eaters:
        one.join()
    print(f"{eaten.value} buns were made and eaten")
