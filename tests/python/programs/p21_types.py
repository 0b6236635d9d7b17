"""Types of all kinds, in and out: nested objects, dicts, tuples, unions, numbers with bounds, code, and a metric with two arguments."""
import datetime
from typing import Any, Literal, Optional, Union

import dspy
import pydantic


class Size(pydantic.BaseModel):
    entity_type: str = pydantic.Field(description="of what")
    value: float
    note: Optional[str] = None


class Box(pydantic.BaseModel):
    sizes: list[Size]
    made: datetime.date
    tags: dict[str, int] = {}


class Read(dspy.Signature):
    """Read the box."""

    box: Box = dspy.InputField(desc="what came")
    where: tuple[float, float] = dspy.InputField()
    extra: dict[str, Any] = dspy.InputField()
    sizes: list[Size] = dspy.OutputField(desc="largest first")
    grade: Literal["a", "b", "c"] = dspy.OutputField()
    weight: float = dspy.OutputField(ge=0, le=100)
    hints: dict[str, str] = dspy.OutputField()


class Decide(dspy.Signature):
    sizes: list[Size] = dspy.InputField()
    grade: Union[str, int] = dspy.InputField()
    script: dspy.Code = dspy.OutputField()
    good: bool = dspy.OutputField()


class Boxes(dspy.Module):
    def __init__(self):
        super().__init__()
        self.read, self.decide = dspy.ChainOfThought(Read), dspy.Predict(Decide)

    def forward(self, box, where, extra):
        read = self.read(box=box, where=where, extra=extra)
        done = self.decide(sizes=read.sizes, grade=read.grade)
        return dspy.Prediction(sizes=read.sizes, script=done.script, good=done.good)


def rows():
    for i in range(8):
        box = Box(sizes=[Size(entity_type="long", value=i)], made=datetime.date(2026, 5, 1 + i), tags={"n": i})
        yield dspy.Example(box=box, where=(i, 0.5), extra={"i": [i, None]}, good=i % 2 == 0).with_inputs("box", "where", "extra")


program = Boxes()
trainset = list(rows())


def metric(example, prediction):
    return example.good == prediction.good
