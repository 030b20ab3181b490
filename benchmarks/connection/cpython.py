"""Rival: CPython's multiprocessing.Pipe; a message of 64 bytes, there and back."""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report, sit  # noqa: E402


def answer(connection, options, gate):
    sit(1, options.pinned)
    gate.wait()
    for _ in range(options.items):
        connection.send(connection.recv())


def main():
    options = arguments(items=10_000)
    ours, theirs = multiprocessing.Pipe()
    gate = multiprocessing.Barrier(2)
    child = multiprocessing.Process(target=answer, args=(theirs, options, gate), daemon=True)
    child.start()
    sit(0, options.pinned)
    message = "x" * 64
    gate.wait()
    begin = time.monotonic_ns()
    for _ in range(options.items):
        ours.send(message)
        assert ours.recv() == message, "the message is damaged"
    end = time.monotonic_ns()
    child.join()
    report(options.items, end - begin)


if __name__ == "__main__":
    main()
