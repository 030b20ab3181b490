# A process as a class: its constructor runs in the parent, run() in the child.
import os
from multiprocessing import Process


class Greeter(Process):
    def __init__(self, whom):
        super().__init__()
        self.whom = whom
        self.made_in = os.getpid()

    def run(self):
        elsewhere = os.getpid() != self.made_in
        print(f"{self.name} greets {self.whom}", "from a process of its own" if elsewhere else "from here")


if __name__ == "__main__":
    ada = Greeter("Ada")
    bob = Greeter("Bob")
    ada.start()
    ada.join()
    bob.name = "Greeter of Bob"
    bob.start()
    bob.join()
