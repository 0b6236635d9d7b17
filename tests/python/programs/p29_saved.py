"""A sub-module loaded from a saved state, one that a whole program was saved of, instructions and demonstrations preset, a base class's forward."""
import os
import tempfile

import dspy
from docs import questions


class Sub(dspy.Module):
    def __init__(self):
        super().__init__()
        self.steps = {"one": dspy.Predict("question -> hint"), "two": [dspy.ChainOfThought("question, hint -> answer")]}

    def forward(self, question):
        hint = self.steps["one"](question=question).hint
        return self.steps["two"][0](question=question, hint=hint)


class Thinks(dspy.ChainOfThought):
    def forward(self, **kwargs):
        got = super().forward(**kwargs)
        got.answer = got.answer.strip()
        return got


class Saved(dspy.Module):
    def __init__(self):
        super().__init__()
        self.sub = Sub()
        self.sub.steps["one"].demos = [dspy.Example(question="q", hint="h", augmented=True)]
        self.sub.steps["one"].signature = self.sub.steps["one"].signature.with_instructions("Hint.").with_updated_fields("hint", desc="short")
        with tempfile.TemporaryDirectory() as folder:
            self.sub.save(os.path.join(folder, "sub.json"))
            self.loaded = Sub()
            self.loaded.load(os.path.join(folder, "sub.json"))
            self.loaded._compiled = False
            dspy.ChainOfThought("question, answers -> answer").save(os.path.join(folder, "whole"), save_program=True)
            self.last = dspy.load(os.path.join(folder, "whole"), allow_pickle=True)
        self.thinks = Thinks("question -> answer")

    def forward(self, question):
        answers = [m(question=question).answer for m in (self.sub, self.loaded, self.thinks)]
        return self.last(question=question, answers=answers)


program = Saved
trainset = questions()
metric = dspy.evaluate.answer_exact_match
