"""A user's script with everything in __main__; one line differs: script.py dspy|dspy_mpi OUT.json URL ['{"ranks": 4}']"""
import json
import os
import sys
from typing import Literal

import dspy
from pydantic import BaseModel

if sys.argv[1] == "dspy":
    from dspy import BootstrapFewShot
else:
    from dspy_mpi import BootstrapFewShot

CORPUS = {i: f"fact {i}" for i in range(10)}
TOKEN = "sk-in-a-global-5178"  # a model's key, which the metric's code names too


class Note(BaseModel):
    entity_type: str
    value: str


SHAPE = []  # of Note, when the first example ran


class Ask(dspy.Signature):
    """Find notes, then say the mood."""

    text: str = dspy.InputField()
    notes: list[Note] = dspy.OutputField(desc="what is said")
    mood: Literal["good", "bad"] = dspy.OutputField()


class Program(dspy.Module):
    def __init__(self, k, url):
        super().__init__()
        self.k = k
        self.ask = dspy.ChainOfThought(Ask)
        self.sum = [dspy.Predict("notes: list[str], fact -> answer") for _ in range(2)]
        self.outside = dspy.LM("openai/large", api_base=url, api_key=TOKEN, extra_headers={"X-House": "hush-hush-2281"}, azure_password="hush-hush-4471")

    def forward(self, text):
        if text.startswith("text 7") and os.environ.get("SHUT"):
            open(os.environ["SHUT"], "w").close()  # from here on the server answers nothing, until the test lets it
        SHAPE.append(Note.__pydantic_validator__)
        self.ask(text=f"{text}, again")  # of the two DSPy draws one, by what pickle makes of them
        got = self.ask(text=text)
        a = [s(notes=[n.value for n in got.notes], fact=CORPUS[len(text) % 10]).answer for s in self.sum]
        more = self.outside(f"in a word: {text}")[0]
        return dspy.Prediction(mood=got.mood, answer=a[self.k], notes=got.notes, more=more)


def metric(example, prediction, trace=None):
    if Note.__pydantic_validator__ is not SHAPE[0]:  # made anew: DSPy would draw otherwise
        return False
    known = TOKEN if len(prediction.more) < 3 else ""
    return all(isinstance(n, Note) for n in prediction.notes) and (prediction.mood == example.mood or prediction.more == known)


if __name__ == "__main__":
    trainset = [dspy.Example(text=f"text {i}" * (i + 1), mood=["good", "bad"][i % 2]).with_inputs("text") for i in range(12)]
    dspy.configure(lm=dspy.LM("openai/task", api_base=sys.argv[3], api_key="sk-in-the-model-8843"))
    options = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    optimizer = BootstrapFewShot(metric=metric, max_bootstrapped_demos=6, max_labeled_demos=7, **options)
    compiled = optimizer.compile(Program(1, sys.argv[3]), trainset=trainset)
    compiled.save(sys.argv[2])
    print(compiled.k, [len(p.demos) for p in compiled.predictors()], type(compiled).__name__)
