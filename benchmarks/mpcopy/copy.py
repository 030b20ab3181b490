"""mpcopy -a beside cp -a and rsync -a: a tree of small files, or four large ones. Items are files, or MiB of large ones.

In memory, unless TMPDIR is set: on a disk what earlier runs left to be written, or have freed, costs more than the copying.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.cpython import arguments, report  # noqa: E402

FILES_IN_A_FOLDER, LARGE_FILES, MIB = 100, 4, 1 << 20


def small_files(root, count):
    for number in range(count):
        if number % FILES_IN_A_FOLDER == 0:
            folder = root / f"folder {number // FILES_IN_A_FOLDER}"
            folder.mkdir(parents=True)
        (folder / f"file {number}").write_bytes(os.urandom(number * 37 % 8192))


def large_files(root, mib):
    root.mkdir()
    block = bytearray(os.urandom(MIB))
    for number in range(LARGE_FILES):
        with open(root / f"large {number}", "wb") as file:
            for at in range(mib // LARGE_FILES):
                block[:8] = at.to_bytes(8, "little")
                file.write(block)


def main():
    options = arguments(items=20_000, cp=False, rsync=False, large=False)
    tool = ["cp"] if options.cp else ["rsync"] if options.rsync else [os.environ["MPCOPY"], "--quiet"]
    with tempfile.TemporaryDirectory(prefix="mpcopy-benchmark.", dir=os.environ.get("TMPDIR", "/dev/shm")) as scratch:
        source, copy = pathlib.Path(scratch) / "source", pathlib.Path(scratch) / "copy"
        (large_files if options.large else small_files)(source, options.items)
        os.sync()  # so that nobody's time is spent on what was written before
        begin = time.monotonic_ns()
        subprocess.run([*tool, "-a", f"{source}/", copy] if options.rsync else [*tool, "-a", source, copy], check=True)
        end = time.monotonic_ns()
        subprocess.run(["diff", "-rq", "--no-dereference", source, copy], check=True, stdout=sys.stderr)
    report(options.items, end - begin)


if __name__ == "__main__":
    main()
