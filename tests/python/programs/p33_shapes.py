"""Fields of Optional, Union, dict of lists, dataclasses; signatures made at run time, with braces; default values; positional-free calls."""
import dataclasses
import enum
from typing import Optional, Union

import dspy
import pydantic
from docs import questions


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Part(pydantic.BaseModel):
    name: str = "part"
    level: Optional[Level] = None


@dataclasses.dataclass
class Options:
    width: int = 2
    title: str = "t"


made = dspy.make_signature({"question": (str, dspy.InputField()), "hint": (Optional[str], dspy.OutputField(desc="a {hint} or none"))},
                           "Give a hint as {\"hint\": ...}, {question} aside.", "Made")
typed = dspy.Signature("question, options: dict[str, list[int]], parts: list[Part] -> answer: str, level: Level, size: Union[int, str]",
                       "Use {options} and 100 %.", custom_types={"Part": Part, "Level": Level})


class Shapes(dspy.Module):
    def __init__(self, options=Options()):
        super().__init__()
        self.options = options
        self.make = dspy.Predict(made, temperature=0.3)
        self.type = dspy.ChainOfThought(typed.append("note", dspy.OutputField(prefix="A note:", desc="short"), Optional[str]))

    def forward(self, question, top=2, **kwargs):
        hint = self.make(question=question).hint
        parts = [Part(name=f"{hint}-{i}", level=list(Level)[i % 2]) for i in range(top)]
        got = self.type(question=question, options={"widths": [self.options.width, len(kwargs)], "none": []}, parts=parts)
        return dspy.Prediction(answer=got.answer, level=got.level, size=got.size, options=dataclasses.replace(self.options, width=top), note=got.note)


program = Shapes
trainset = questions()
metric = dspy.evaluate.answer_exact_match
