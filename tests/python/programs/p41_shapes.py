"""Modules of dataclasses, predictors in a NamedTuple, a lock and a generator among attributes, __call__ in place of forward, a partial."""
import dataclasses
import functools
import threading
from typing import NamedTuple

import dspy
import pydantic
from docs import questions


class Pair(NamedTuple):
    first: dspy.Predict
    second: dspy.ChainOfThought


@dataclasses.dataclass
class Step(dspy.Module):
    words: int = 3
    ask: dspy.Predict = dataclasses.field(default_factory=lambda: dspy.Predict("question, words: int -> draft"))

    def forward(self, question):
        return self.ask(question=question, words=self.words)


class Order(pydantic.BaseModel):
    answer: str
    items: list[str]


class Called(dspy.Module):
    def __init__(self, tone):
        super().__init__()
        self.tone, self.lock, self.numbers = tone, threading.Lock(), (n for n in range(99))
        self.pair = Pair(dspy.Predict("question -> hint"), dspy.ChainOfThought("question, hint, tone -> answer"))
        self.steps = {1: Step(), (2, "b"): Step(words=5), "it's": dspy.Predict("drafts: list[str] -> draft")}

    def __call__(self, question):
        with self.lock:
            hint = self.pair.first(question=question).hint
        drafts = [self.steps[key](question=question).draft for key in (1, (2, "b"))]
        draft = self.steps["it's"](drafts=drafts).draft
        got = self.pair.second(question=question, hint=f"{hint} {draft}", tone=self.tone)
        return Order(answer=got.answer, items=drafts)

    forward = __call__


program = functools.partial(Called, tone="dry")
trainset = questions()


def metric(example, order, trace=None):
    return order.answer == example.answer or len(set(order.items)) > 1
