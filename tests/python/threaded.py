"""A module that starts a thread when it is imported, which a forked process would not have."""
import queue
import threading

import traps

JOBS = queue.Queue()
trainset = traps.trainset
with open("imports", "a") as f:
    f.write("x\n")


def serve():
    while True:
        question, box = JOBS.get()
        box.put(question.upper())


threading.Thread(target=serve, daemon=True).start()


class Asks(traps.Base):
    def forward(self, question):
        box = queue.Queue()
        JOBS.put((question, box))
        return self.p(question=box.get(timeout=60))
