"""Rival: CPython's multiprocessing.Queue; the same kill test as storm.hpp, with tuples as items.

A smaller ledger, and a byte for each item in it: Python is slow enough for that.
"""
import argparse
import mmap
import multiprocessing
import os
import random
import signal
import struct
import time
import zlib

PRODUCERS, CONSUMERS, DEPTH = 3, 3, 1024
MOST_PRODUCERS, MOST_ITEMS = 1 << 13, 1 << 16
RECEIVED, DOUBLED, DAMAGED, ENOUGH = range(4)  # words of the header, and then those of the producers
WORDS = 16 + 2 * MOST_PRODUCERS
UNEASY, DRY = 0.1, 0.5

memory = mmap.mmap(-1, 8 * WORDS + MOST_PRODUCERS * MOST_ITEMS, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000)
words = memoryview(memory)[:8 * WORDS].cast("Q")
marks = memoryview(memory)[8 * WORDS:]


def payload(producer, sequence):
    data = struct.pack("<5Q", *((producer << 32 ^ sequence) * odd % (1 << 64) for odd in (1, 3, 5, 7, 11)))
    return data, zlib.crc32(data)


def produce(queue, producer):
    begun, returned = 16 + 2 * producer, 17 + 2 * producer
    for sequence in range(1, MOST_ITEMS + 1):
        if words[ENOUGH]:
            break
        words[begun] = sequence
        queue.put((producer, sequence, *payload(producer, sequence)))
        words[returned] = sequence
    while True:
        signal.pause()  # what is in its feeder thread is on its way


def consume(queue, locks):
    while True:
        item = queue.get()
        producer, sequence, data, checksum = item
        if sequence > words[16 + 2 * producer] or payload(producer, sequence) != (data, checksum):
            words[DAMAGED] = 1
        at = producer * MOST_ITEMS + sequence - 1
        words[DOUBLED] += marks[at]
        marks[at] = 1
        words[RECEIVED] += 1  # may lose a count to another consumer; it only has to move


class Storm:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.queue = multiprocessing.Queue(DEPTH)
        self.producers = self.kills = self.consumers_killed = 0
        self.outcome, self.seen, self.seen_at = None, 0, time.monotonic()
        self.team = [self.start(position) for position in range(PRODUCERS + CONSUMERS)]

    def start(self, position):
        if position < PRODUCERS:
            assert self.producers < MOST_PRODUCERS, "the ledger is full"
            target, arguments = produce, (self.queue, self.producers)
            self.producers += 1
        else:
            target, arguments = consume, (self.queue, None)
        process = multiprocessing.Process(target=target, args=arguments, daemon=True)
        process.start()
        return process

    def is_well(self):
        now = time.monotonic()
        if words[RECEIVED] != self.seen:
            self.seen, self.seen_at = words[RECEIVED], now
        if words[DAMAGED]:
            self.outcome = self.outcome or "damaged"
        if any(process.exitcode not in (None, -signal.SIGKILL) for process in self.team):
            self.outcome = self.outcome or "crashed"
        if now - self.seen_at > self.options.patience:
            self.outcome = self.outcome or "wedged"
        return self.outcome is None

    def kill_one(self):
        victim = self.random.randrange(len(self.team))
        self.team[victim].kill()
        self.team[victim].join()
        self.kills += 1
        self.consumers_killed += victim >= PRODUCERS
        self.team[victim] = self.start(victim)

    def run(self):
        while self.kills < self.options.kills and self.is_well():
            if time.monotonic() - self.seen_at < UNEASY:
                self.kill_one()
            time.sleep(self.random.random() * (0.008 if self.random.randrange(8) == 0 else 0.0008))
        before = words[RECEIVED]
        while self.is_well() and words[RECEIVED] == before:
            time.sleep(0.001)
        words[ENOUGH] = 1
        while self.is_well() and time.monotonic() - self.seen_at < DRY:
            time.sleep(0.001)
        for process in self.team:
            process.kill()
            process.join()

    def lost(self):
        return sum(words[17 + 2 * producer]
                   - sum(marks[producer * MOST_ITEMS:producer * MOST_ITEMS + words[17 + 2 * producer]])
                   for producer in range(self.producers))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=5)
    storm = Storm(parser.parse_args())
    storm.run()
    print(f"outcome={storm.outcome or 'survived'} kills={storm.kills} consumers_killed={storm.consumers_killed}"
          f" received={words[RECEIVED]} lost={storm.lost()} doubled={words[DOUBLED]}", flush=True)
    os._exit(0)  # a queue whose lock is gone does not let its process end


if __name__ == "__main__":
    main()
