# Who is who: pids, names, parents, and the children that are alive.
import os
from multiprocessing import Event, Process, active_children, current_process, parent_process


def introduce(may_end):
    me = current_process()
    parent = parent_process()
    print(f"{me.name}: pid {me.pid}, child of {parent.name}, pid {parent.pid}")
    if (me.pid, parent.pid) != (os.getpid(), os.getppid()):
        print("these are wrong")
    may_end.wait()


if __name__ == "__main__":
    print(f"{current_process().name}: pid {os.getpid()}")
    may_end = Event()
    first = Process(target=introduce, args=(may_end,))
    second = Process(name="a name of its own", target=introduce, args=(may_end,))
    print("before start() there is", "a pid" if first.pid else "no pid")
    first.start()
    second.start()
    print(f"{len(active_children())} children are alive")
    may_end.set()
    first.join()
    second.join()
    print(f"{len(active_children())} children are alive")
