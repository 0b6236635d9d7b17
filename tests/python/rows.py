"""Rows that are not all alike, and a program that holds a corpus: each example sees what is its own and what all share."""
import datetime
import functools
import os

import dspy
import numpy as np

UTC = functools.partial(datetime.datetime, hour=10, tzinfo=datetime.timezone.utc)

CORPUS = [f"text {i}" for i in range(20000)]
INDEX = np.zeros((600, 600))
PAGES = {f"page {i}": {"n": i, "words": ["a", "b"]} for i in range(5000)}


class Thing:
    """Its repr says nothing."""

    def __init__(self, n):
        self.n = n


class Ticket(dspy.Example):
    def says(self):
        return f"says {self.answer}"


class Shelf:
    """No module: a search of the user's own."""

    def __init__(self):
        self.pages, self.cache = PAGES, []


class Rows(dspy.Module):
    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question -> answer")
        self.notes, self.corpus, self.index, self.shelf = ["first"], CORPUS, INDEX, Shelf()
        self.many = [dspy.Predict("question -> answer"), *[f"word {i}" for i in range(20000)]]

    def forward(self, question="none", thing=None, context="none"):
        assert self.corpus is CORPUS and self.index is INDEX and self.shelf.pages is PAGES, "copied for an example"
        assert len(self.notes) == 1 and self.shelf.cache == [], "another example's"
        self.notes.append(question)
        self.shelf.cache.append(question)
        self.p(question=question)
        said = self.many[0](question=f"of many {question}").answer
        return dspy.Prediction(said=f"{question}, {context}, {thing.n if thing else 'none'}", answer=said)


class Dated(dspy.Module):
    def __init__(self):
        super().__init__()
        self.p = dspy.Predict(dspy.Signature("when: datetime.datetime -> answer", custom_types={"datetime": datetime}))
        self.p.demos = [dspy.Example(when=UTC(2001, 1, 1), answer="old")]

    def forward(self, when):
        return self.p(when=when)


class Stuck(Rows):
    """Something in it cannot be copied."""

    def __init__(self):
        super().__init__()
        self.line = (n for n in range(3))


def rows():
    for i in range(3):
        yield Ticket(thing=Thing(i), answer=i % 2, dspy_uuid=object(), dspy_split="train").with_inputs("thing")
    yield Ticket(question="who", context="given", answer="x").with_inputs("question", "context")
    yield Ticket(question="who", context="hidden", answer="x").with_inputs("question")


trainset = list(rows())
seen = [t.with_inputs(*(["question", "context"] if os.environ.get("ALL_SEEN") and "question" in t else t.inputs().keys())) for t in trainset]
dates = [dspy.Example(when=UTC(2002, 1, 1 + i), answer="a").with_inputs("when") for i in range(3)]


def metric(example, prediction, trace=None):
    if "when" in example:
        return True
    return example.says().startswith("says") and example.get("dspy_split", "train") == "train"
