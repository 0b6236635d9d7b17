"""A subclass of Predict with a predictor of its own, which DSPy compiles and does not save."""
import dspy
from docs import questions


class Checked(dspy.Predict):
    def __init__(self, signature, **config):
        super().__init__(signature, **config)
        self.check = dspy.ChainOfThought("question, answer -> right: bool")

    def forward(self, **kwargs):
        got = super().forward(**kwargs)
        right = self.check(question=kwargs["question"], answer=got.answer).right
        return got if right else super().forward(**{**kwargs, "question": kwargs["question"] + " Really?"})


program = Checked("question -> answer")
trainset = questions()
metric = dspy.evaluate.answer_exact_match
