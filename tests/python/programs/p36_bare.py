"""No super().__init__, an event loop of its own, a reasoning field, a subclass of ChainOfThought, a dict returned."""
import asyncio

import dspy
from docs import questions, search


def look(query: str, k: int = 1) -> str:
    """Looks a thing up."""
    return search(query, k)[0]


class Thinks(dspy.Signature):
    """Think first."""
    question: str = dspy.InputField()
    thoughts: dspy.Reasoning = dspy.OutputField()
    answer: str = dspy.OutputField()


class Twice(dspy.ChainOfThought):
    def __init__(self, signature, **config):
        super().__init__(signature, **config)
        self.again = dspy.Predict("question, first -> answer")

    def forward(self, **kwargs):
        first = super().forward(**kwargs)
        return self.again(question=kwargs["question"], first=first.answer)


class Bare(dspy.Module):
    def __init__(self):
        self.twice = Twice("question -> answer")
        self.thinks = dspy.Predict(Thinks)
        self.steps = {"a": (dspy.Predict("question, answer -> verdict: bool"),)}

    async def side(self, question):
        await asyncio.sleep(0)
        return (await self.thinks.acall(question=question)).answer

    def forward(self, **kwargs):
        question = kwargs["question"]
        loop = asyncio.new_event_loop()
        try:
            side = loop.run_until_complete(self.side(question))
        finally:
            loop.close()
        answer = self.twice(question=question).answer
        if self.steps["a"][0](question=question, answer=answer).verdict:
            return {"answer": answer, "side": side}
        return dspy.Prediction(answer=side, side=look(answer))


program = Bare
trainset = questions()


def metric(example, prediction, trace=None):
    return prediction["answer"] == example.answer
