"""Rival: CPython's multiprocessing.Manager; a dict's get, by one client or several; --network: through TCP."""
import multiprocessing
import multiprocessing.managers
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report  # noqa: E402


def get(proxy, times):
    for _ in range(times):
        assert proxy.get("a") == 7, "the value is another one"


def client(proxy, times, gate):
    get(proxy, 1)
    gate.wait()
    get(proxy, times)
    gate.wait()


def main():
    options = arguments(items=10_000, clients=1, network=False)
    address = ("127.0.0.1", 0) if options.network else None
    with multiprocessing.managers.SyncManager(address=address, authkey=b"a key that both sides know") as manager:
        multiprocessing.current_process().authkey = b"a key that both sides know"
        proxy = manager.dict(a=7)
        get(proxy, 100)
        if options.clients == 1:
            begin = time.monotonic_ns()
            get(proxy, options.items)
            return report(options.items, time.monotonic_ns() - begin)
        each = options.items // options.clients
        gate = multiprocessing.Barrier(options.clients + 1)
        for _ in range(options.clients):
            multiprocessing.Process(target=client, args=(proxy, each, gate), daemon=True).start()
        gate.wait()
        begin = time.monotonic_ns()
        gate.wait()
        report(each * options.clients, time.monotonic_ns() - begin)


if __name__ == "__main__":
    main()
