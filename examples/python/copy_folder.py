# A folder is copied by a pool; the workers say through a manager's queue which file is done; main shows how far it is.
#
#   copy_folder.py FROM TO
import shutil
import sys
from multiprocessing import Manager, Pool
from pathlib import Path


def copy_file(source, target, done):
    shutil.copyfile(source, target)
    done.put(source)


def main():
    if len(sys.argv) != 3:
        print("usage: copy_folder.py FROM TO", file=sys.stderr)
        return 2
    source, to = Path(sys.argv[1]), Path(sys.argv[2])
    with Manager() as manager, Pool() as pool:
        done = manager.Queue()

        to.mkdir(parents=True, exist_ok=True)
        copies = []
        for entry in source.rglob("*"):
            target = to / entry.relative_to(source)
            if entry.is_dir():
                target.mkdir(exist_ok=True)
            if entry.is_file():
                copies.append(pool.apply_async(copy_file, (entry, target, done)))
        pool.close()

        for i, copy in enumerate(copies, 1):
            copy.wait()
            while not done.empty():
                print(f"\r{i * 100 // len(copies)}% {done.get().name}\x1b[K", end="", file=sys.stderr)
        for copy in copies:
            copy.get()  # raises what went wrong with it
    print(file=sys.stderr)
    print(f"{len(copies)} files copied")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"copy_folder: {error}")
