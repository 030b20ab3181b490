"""gdb prints what is behind the handles of the library: how full a queue is, who holds a lock, what is in a value.

    (gdb) source multiprocessing_printers.py         # installed, gdb finds it by itself, with the library as a shared one
    (gdb) print jobs
    $1 = queue 7: 3 of 100 items
    (gdb) print lock
    $2 = lock 4: held by thread 4711

Nothing of the program runs for it.  It reads shared memory by the layouts of docs/formats, and needs no debug information but
the program's own; for pools and processes also the library's.
"""
import gdb
import gdb.printing

LOCK = 48  # bytes of an OwnedLock: a robust mutex of 40, depth, taken from a dead holder


def number(address, offset, code, size):
    memory = gdb.selected_inferior().read_memory(address + offset, size)
    return int.from_bytes(bytes(memory), "little", signed=code == "i")


def u32(address, offset):
    return number(address, offset, "u", 4)


def u64(address, offset):
    return number(address, offset, "u", 8)


class Printer:
    """An object and the name of what it is one of."""

    def __init__(self, name, value):
        self.name = name
        self.value = value


class Handle(Printer):
    def to_string(self):
        ref = self.find_ref(self.value)
        address = int(ref["address_"])
        if address == 0:
            return f"{self.name}: none (moved from)"
        try:
            return f"{self.name} {int(ref['index_'])}: {self.text(address)}"
        except gdb.MemoryError:
            return f"{self.name} {int(ref['index_'])} (its memory is not there)"

    @staticmethod
    def find_ref(value):
        """The first member that is a Ref, also of base classes and members."""
        for field in value.type.strip_typedefs().fields():
            if field.is_base_class or field.name in ("ref_", "queue_", "state_"):
                member = value[field]
                if member.type.strip_typedefs().name == "multiprocessing::memory::Ref":
                    return member
                found = Handle.find_ref(member)
                if found is not None:
                    return found
        return None


class Queue(Handle):
    MAXSIZE, CLOSED, PUTS, TAKES = 16, 32, 128, 256

    def text(self, address):
        # `puts` and `takes` are numbers of messages, modulo 2^32
        items = (u64(address, self.PUTS) - u64(address, self.TAKES)) & 0xFFFFFFFF
        maxsize = u64(address, self.MAXSIZE)
        text = f"{items} of {maxsize} items" if maxsize else f"{items} items"
        return text + (", closed" if u64(address, self.CLOSED) else "")


def holder(address):
    thread = u32(address, 0) & 0x3FFFFFFF  # the first word of a robust mutex is its futex
    return f"held by thread {thread}" if thread else "free"


class Lock(Handle):
    def text(self, address):
        depth = u32(address, 40)
        died = ", taken from one that died" if u32(address, 44) else ""
        return holder(address) + (f", {depth} times" if depth > 1 else "") + died


class Semaphore(Handle):
    def text(self, address):
        return f"{number(address, 48, 'i', 8)} units free"


class Event(Handle):
    def text(self, address):
        return "set" if u32(address, 0) & 1 else "not set"


class Barrier(Handle):
    def text(self, address):
        return f"of {u32(address, 40)} parties"


class Condition(Handle):
    def text(self, address):
        return "see its lock"


class Value(Handle):
    def text(self, address):
        kind = self.value.type.strip_typedefs().template_argument(0)
        step = (kind.sizeof + 15) // 16 * 16
        current = u32(address, LOCK) & 1
        value = gdb.Value(address + 64 + current * step).cast(kind.pointer()).dereference()
        return f"{value.format_string()} ({holder(address)})"


class Array(Handle):
    def text(self, address):
        kind = self.value.type.strip_typedefs().template_argument(0)
        return f"{u64(address, LOCK + 8)} of {kind} ({holder(address)})"

    def children(self):
        span = self.value["span_"]
        for index in range(min(int(span["_M_extent"]["_M_extent_value"]), 200)):
            yield f"[{index}]", (span["_M_ptr"] + index).dereference()

    def display_hint(self):
        return "array"


class Pool(Printer):
    """Its workers, whom one may attach to; needs the debug information of the library."""

    def to_string(self):
        core = self.value["core_"]["_M_ptr"]
        if int(core) == 0:
            return "pool: none (moved from)"
        try:
            count = int(core["wanted_"]["_M_i"])
            places = core["control_"]["area_"]["places"]["_M_elems"]
            pids = [int(places[i]["pid"]["_M_i"]) for i in range(count)]
        except gdb.error:
            return f"pool at {int(core):#x}"
        return f"pool of {count} workers: " + ", ".join(str(pid) for pid in pids)


class Process(Printer):
    def to_string(self):
        child = self.value["child_"]["_M_ptr"]
        if int(child) == 0:
            return "process: none (moved from, or closed)"
        try:
            name, pid = child["name_"].format_string(), int(child["pid_"])
        except gdb.error:
            return f"process at {int(child):#x}"
        return f"process {name}: " + (f"pid {pid}" if pid else "not started")


PRINTERS = {
    "Pool": (Pool, "pool"), "Process": (Process, "process"),
    "Queue": (Queue, "queue"), "JoinableQueue": (Queue, "joinable queue"), "SimpleQueue": (Queue, "simple queue"),
    "Lock": (Lock, "lock"), "RLock": (Lock, "rlock"), "Semaphore": (Semaphore, "semaphore"),
    "BoundedSemaphore": (Semaphore, "bounded semaphore"), "Event": (Event, "event"), "Barrier": (Barrier, "barrier"),
    "Condition": (Condition, "condition"), "Value": (Value, "value"), "Array": (Array, "array"),
}


class Lookup(gdb.printing.PrettyPrinter):
    def __init__(self):
        super().__init__("multiprocessing", [])

    def __call__(self, value):
        name = value.type.strip_typedefs().unqualified().name or ""
        if not name.startswith("multiprocessing::"):
            return None
        kind, text = PRINTERS.get(name[len("multiprocessing::"):].split("<")[0], (None, None))
        return kind(text, value) if kind else None


gdb.printing.register_pretty_printer(gdb.current_objfile(), Lookup(), replace=True)
