# Ten mailers send 5,000 mails: each its 500, and all of them at the same time.
import sys
import time
from multiprocessing import Process, Value

MAILERS = 10
MAILS = 5000


def send(first, last, sent):
    for _ in range(first, last):
        time.sleep(0.0001)  # the post office thinks
        with sent.get_lock():
            sent.value += 1


if __name__ == "__main__":
    begin = time.monotonic()
    sent = Value("i", 0)
    mailers = []
    for i in range(MAILERS):
        mailers.append(Process(target=send, args=(i * MAILS // MAILERS, (i + 1) * MAILS // MAILERS, sent)))
        mailers[-1].start()
    for mailer in mailers:
        mailer.join()
    print(f"{MAILERS} mailers have sent {sent.value} mails")
    print(f"in {time.monotonic() - begin:.2f} s", file=sys.stderr)
