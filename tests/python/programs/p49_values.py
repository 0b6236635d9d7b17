"""Objects, tuples and records of the program's own go from step to step in fields without types: a prompt has them by their
repr, a file as JSON."""
import dataclasses
import enum
from typing import NamedTuple

import dspy
import pydantic


def item():
    """A class that nobody finds by its name."""

    class Item(pydantic.BaseModel):
        entity_type: str
        value: str

    return Item


Item = item()


class Colour(enum.Enum):
    red = "r"
    blue = "b"


@dataclasses.dataclass
class Order:
    number: int
    colour: Colour


class Place(NamedTuple):
    shelf: str
    row: int


class Store(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.Predict(dspy.Signature("question -> found: list[Item]", custom_types={"Item": Item}))
        self.choose = dspy.Predict("question, found, places, range -> choice")
        self.answer = dspy.ChainOfThought("question, choice, first, order, seen: list[str] -> answer")

    def forward(self, question, places, order):
        found = self.find(question=question).found
        choice = self.choose(question=question, found=found, places=places, range=(len(found), 9)).choice
        return self.answer(question=question, choice=choice, first=found[0] if found else None, order=order,
                           seen=[i.value for i in found])


program = Store
trainset = [dspy.Example(question=f"q{i}", places=[Place("a", i), Place("b", i + 1)], order=Order(i, Colour.red),
                         answer=f"a{i % 7}").with_inputs("question", "places", "order") for i in range(8)]


def metric(gold, pred, trace=None):
    return pred.answer == gold.answer
