"""Programs that do what they should not."""
import asyncio
import os
import random
import subprocess
import sys
import threading
import time

import dspy
import pydantic

print("printed at import")
with open("traps.imports", "a") as f:
    f.write("x\n")
trainset = [dspy.Example(question=f"q{i}", answer="a").with_inputs("question") for i in range(7)]


class Base(dspy.Module):
    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question -> answer")

    def forward(self, question):
        if "2" in question:
            self.trap()
        return self.p(question=question)


class Needs(Base):
    def __init__(self, k):
        super().__init__()


class Graded:
    """A metric that is made with or without an argument."""

    def __init__(self, least=0.0):
        self.least = least

    def __call__(self, example, prediction, trace=None):
        return 1.0


class Prints(Base):
    def trap(self):
        print('{"op": "result", "run": 1, "score": 1}')
        os.write(1, b'{"op":"result","run":1,"score":1}\n')
        subprocess.run(["echo", "from a child"], check=False)


class Several(dspy.Module):
    """Three completions, of a server that gives one."""

    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question -> answer", n=3, temperature=0.7)

    def forward(self, question):
        return dspy.Prediction(answer=f"{len(self.p(question=f'{question} ask-one').completions)} completions")


class Exits(Base):
    def trap(self):
        sys.exit("bye")


class HardExits(Base):
    def trap(self):
        os._exit(3)


class Dies(Base):
    def trap(self):
        os.kill(os.getpid(), 11)


class Loops(Base):
    def trap(self):
        while True:
            pass


class Stays(Base):
    def trap(self):
        if os.fork() == 0:
            time.sleep(600)


class Unjson(Base):
    def forward(self, question):
        return dspy.Prediction(answer=self.p(question=question).answer, lock=sys, big=10**30, bad="\ud800",
                               nan=float("nan"))


class Swallows(Base):
    def forward(self, question):
        try:
            return self.p(question=question)
        except Exception:
            return dspy.Prediction(answer="")


BOOKED, LOCK = [], threading.Lock()


class Remembers(Base):
    def forward(self, question):
        BOOKED.append(question)
        return self.p(question=f"{question} {len(BOOKED)}")


class AsItIsTold(Base):
    """Asks as often as a file says, for each example more often, and takes its time."""

    def forward(self, question):
        time.sleep(float(os.environ.get("SLOW", 0)))
        with open("asks") as f:
            return [self.p(question=f"{question} {i}") for i in range(int(f.read()) * (1 + int(question[1:])))][-1]


class Bars(Base):
    def forward(self, question):
        from tqdm import tqdm

        assert hasattr(tqdm, "_instances") and "mp_lock" not in dir(tqdm.get_lock()), "made by whichever thread is first"
        return self.p(question=question)


class AsksForALoop(Base):
    """Asks for the event loop of its thread, as one does in a script."""

    def forward(self, question):
        loop = asyncio.get_event_loop()
        return loop.run_until_complete(self.p.acall(question=question))


NINE, eighteen = threading.Barrier(9), [dspy.Example(question=f"q{i}", answer="a").with_inputs("question") for i in range(18)]


class Meets(dspy.Module):
    """The threads of nine examples wait for each other: dspy.asyncify has eight for all loops together. The first are tried alone."""

    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question -> answer")

    def meet(self, question):
        if int(question[1:]) >= 9:
            NINE.wait(30)
        return self.p(question=question)

    async def aforward(self, question):
        return await dspy.asyncify(self.meet)(question=question)


class Patient(Base):
    """After a second dspy.Parallel would begin its step again."""

    def forward(self, question):
        began, again = [], threading.Event()

        def step(question):
            began.append(question)
            if len(began) > 1:
                again.set()
            again.wait(2.5)
            return self.p(question=question)

        dspy.Parallel(num_threads=2, timeout=1, disable_progress_bar=True)([(step, {"question": question})])
        return dspy.Prediction(answer=f"asked {len(began)} times")


class OtherModel(Base):
    def forward(self, question):
        with dspy.context(lm=dspy.LM("openai/other", api_key="sk-of-the-program")):
            return self.p(question=question)


class Renamed(Base):
    """A copy of the job's model under another name, and a catch of whatever is raised."""

    def forward(self, question):
        with dspy.context(lm=dspy.settings.lm.copy(model="openai/other")):
            try:
                return self.p(question=question)
            except:  # noqa: E722
                return dspy.Prediction(answer="caught")


class Named(Base):
    """Gives something that has a field named like a method of a dict's, and holds a parameter that is no predictor."""

    class Order(pydantic.BaseModel):
        items: list[str]

    def __init__(self):
        super().__init__()
        self.find = dspy.Retrieve(k=2)
        self.last = dspy.Predict("question -> answer")

    def forward(self, question):
        return self.Order(items=[self.p(question=question).answer, self.last(question=question).answer])


class House(dspy.BaseLM):
    """A gateway of one's own. It notes each answer, and is down after as many as a file says."""

    def forward(self, prompt=None, messages=None, **kwargs):
        from types import SimpleNamespace as N

        with LOCK, open("house", "a+") as f:
            f.seek(0)
            if os.path.exists("down") and len(f.readlines()) >= int(open("down").read()):
                raise ConnectionError("the gateway is down")
            f.write("x\n")
        text = "[[ ## answer ## ]]\n" + kwargs.get("tone", "a") + "\n\n[[ ## completed ## ]]"
        return N(choices=[N(message=N(content=text, tool_calls=None), finish_reason="stop")],
                 usage={"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}, model="house")


class OwnGateway(Base):
    def forward(self, question):
        with dspy.context(lm=House("house", tone="b")):
            first = self.p(question=question).answer
        return self.p(question=f"{question} {first}")


def metric(example, prediction, trace=None):
    return 1.0


def feedback(gold, prediction, trace=None, pred_name=None, pred_trace=None):
    return dspy.Prediction(score=0.5, feedback="more")


def words(example, prediction, trace=None):
    return "good"


def percents(example, prediction, trace=None):
    return 100


def broken(example, prediction, trace=None):
    return prediction.nothing


def near(example, prediction, least=0.4):
    """What comes of cosines and sums of weights."""
    return 1 + least * 1e-7


def in_words(example, prediction, trace=None):
    """Not a number, where DSPy does not need one."""
    return 1.0 if trace is None else "" if example.question == "q0" else dspy.Prediction(score=0.0, feedback="more")


class Hungry(Base):
    def trap(self):
        bytearray(1 << 30)


class Chance(Base):
    def forward(self, question):
        return dspy.Prediction(answer=self.p(question=question).answer, chance=random.random())


class All(Base):
    """One example each, and two that are as they should be."""

    def forward(self, question):
        kinds = {"q1": Exits.trap, "q2": HardExits.trap, "q3": Loops.trap, "q4": Dies.trap, "q5": Prints.trap,
                 "q6": Hungry.trap}
        if question in kinds:
            kinds[question](self)
        return self.p(question=question)
