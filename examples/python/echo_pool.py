# A server with a fixed number of processes that all accept from one listener.  One that dies is replaced; after 1,000
# clients one is, too.  SIGHUP replaces all of them, each when it has served its client; SIGTERM ends the server so.
#
#   echo_pool.py ADDRESS KEYFILE PROCESSES
import signal
import sys
from contextlib import suppress
from multiprocessing import AuthenticationError, Process
from multiprocessing.connection import Listener, wait

from echo_process_per_client import address_of, key_in, serve, text_of

CLIENTS_OF_A_WORKER = 1000
ending = renewing = serving = False


def end(*_):
    global ending
    ending = True


def end_when_idle(*_):
    end()
    if not serving:
        sys.exit(0)  # out of accept()


def renew(*_):
    global renewing
    renewing = True


def work(listener):
    global serving
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the server's
    signal.signal(signal.SIGTERM, end_when_idle)
    for _ in range(CLIENTS_OF_A_WORKER):
        if ending:
            break
        with suppress(EOFError, OSError, AuthenticationError):  # what a client did wrong is no other's business
            with listener.accept() as client:
                serving = True
                serve(client)
        serving = False


def main():
    global renewing
    if len(sys.argv) != 4:
        print("usage: echo_pool.py ADDRESS KEYFILE PROCESSES", file=sys.stderr)
        return 2
    signal.signal(signal.SIGHUP, renew)
    signal.signal(signal.SIGTERM, end)
    with Listener(address_of(sys.argv[1]), authkey=key_in(sys.argv[2])) as listener:
        print("listening at", text_of(listener.address))
        workers = []
        while not ending:
            while len(workers) < int(sys.argv[3]):
                workers.append(Process(target=work, args=(listener,)))
                workers[-1].start()
            if renewing:
                renewing = False
                for worker in workers:
                    worker.terminate()
                print("renewing")
            ended = wait([worker.sentinel for worker in workers], 0.1)
            workers = [worker for worker in workers if worker.sentinel not in ended]
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"echo: {error!r}")
