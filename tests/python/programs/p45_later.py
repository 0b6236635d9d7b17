"""A subclass of ChainOfThought with an aforward of its own beside the forward that it inherits, which is the one that DSPy calls."""
import dspy
from docs import questions


class Later(dspy.ChainOfThought):
    async def aforward(self, **kwargs):
        got = await super().aforward(**{**kwargs, "question": kwargs["question"] + " (later)"})
        return dspy.Prediction(answer=f"later {got.answer}")


program = Later("question -> answer")
trainset = questions()
metric = dspy.evaluate.answer_exact_match
