# One process downloads, another one works on what has come, while the next page is on its way.
import time
from multiprocessing import Process, Queue


def fetch(number):
    time.sleep(0.005)  # the network
    return f"page {number}", "word " * (number + 1)


def download(pages):
    for i in range(1, 6):
        pages.put(fetch(i))
    pages.put(None)


def process(pages):
    for address, text in iter(pages.get, None):
        print(f"{address} has {len(text.split())} words")


if __name__ == "__main__":
    pages = Queue()
    downloader = Process(target=download, args=(pages,))
    processor = Process(target=process, args=(pages,))
    downloader.start()
    processor.start()
    downloader.join()
    processor.join()
