# A server with a process for each client: what one client makes its process do, crash included, no other notices.
#
#   echo_process_per_client.py ADDRESS KEYFILE            serves until it is interrupted
#   echo_process_per_client.py ADDRESS KEYFILE TEXT...    a client: prints each text as the server gives it back
import os
import signal
import sys
from multiprocessing import AuthenticationError, Process
from multiprocessing.connection import Client, Listener


def address_of(text):  # tcp://HOST:PORT or unix:///PATH
    scheme, _, rest = text.partition("://")
    host, _, port = rest.rpartition(":")
    return rest if scheme == "unix" else (host, int(port))


def text_of(address):
    return f"unix://{address}" if isinstance(address, str) else "tcp://{}:{}".format(*address)


def key_in(file):
    with open(file, "rb") as f:
        return f.readline().strip()


def serve(client):  # in a process of its own
    try:
        while True:
            text = client.recv()
            if text == "crash":
                os.abort()
            client.send(text.upper())
    except EOFError:  # it has hung up
        pass


def listen(address, key):
    with Listener(address_of(address), authkey=key) as listener:
        print("listening at", text_of(listener.address))
        while True:
            try:
                client = listener.accept()
            except (EOFError, OSError, AuthenticationError):  # it was no client of ours
                continue
            Process(daemon=True, target=serve, args=(client,)).start()
            client.close()  # the child has its own; now it is the only one, and its end is the client's end of file


def ask(address, key, texts):
    with Client(address_of(address), authkey=key) as server:
        for text in texts:
            server.send(text)
            print(server.recv())


def main():
    if len(sys.argv) < 3:
        print("usage: echo_process_per_client.py ADDRESS KEYFILE [TEXT...]", file=sys.stderr)
        return 2
    address, key, texts = sys.argv[1], key_in(sys.argv[2]), sys.argv[3:]
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: sys.exit(0))
    ask(address, key, texts) if texts else listen(address, key)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EOFError, OSError) as error:
        sys.exit(f"echo: {error!r}")
