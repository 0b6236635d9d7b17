"""One kind of failure an example; and a program that catches whatever is raised."""
import sys

import dspy
from traps import Base

WORDS = ["fine", "program", "ask-nonsense", "exit", "output", "ask-too-long", "ask-filtered", "ask-invalid", "metric"]
trainset = [dspy.Example(question=w, answer="a").with_inputs("question") for w in WORDS]
downset = [dspy.Example(question=f"ask-down {i}", answer="a").with_inputs("question") for i in range(3)]


class Kinds(Base):
    def forward(self, question):
        answer = self.p(question=question).answer
        if question == "program":
            raise ValueError("not this one")
        if question == "exit":
            sys.exit("bye")
        return dspy.Prediction(answer="x" * (65 << 20) if question == "output" else answer)


class Lacks(Base):
    """As a ProgramOfThought where there is no Deno."""

    def forward(self, question):
        self.p(question=question)
        raise RuntimeError("there is no Deno: install it")


class Swallows(Base):
    def forward(self, question):
        try:
            return self.p(question=question)
        except Exception:
            return dspy.Prediction(answer="swallowed")


def metric(example, prediction, trace=None):
    if example.question == "metric":
        raise KeyError("no such thing")
    return prediction.answer != "swallowed"
