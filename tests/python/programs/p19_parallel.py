"""dspy.Parallel over modules of two kinds, a module made on the way, and one that is turned synchronous."""
import asyncio

import dspy
from docs import questions


class Later(dspy.Module):
    def __init__(self):
        super().__init__()
        self.say = dspy.ChainOfThought("question -> answer")

    async def aforward(self, question):
        tasks = [asyncio.create_task(self.say.acall(question=f"{question} {i}")) for i in range(2)]
        return (await asyncio.gather(*tasks))[1]


class Side(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = dspy.ChainOfThought("question -> answer"), dspy.Predict("question, hint -> answer")
        self.later = dspy.syncify(Later())

    def forward(self, question):
        pairs = [(self.a, dspy.Example(question=f"{question} {i}").with_inputs("question")) for i in range(2)]
        pairs += [(self.b, {"question": question, "hint": h}) for h in ("x", "y")]
        got = [g.answer for g in dspy.Parallel(num_threads=4, disable_progress_bar=True)(pairs)]
        made = dspy.Predict("answers: list[str] -> answer")
        last = self.later(question=question).answer
        return dspy.Prediction(answer=made(answers=got + [last]).answer, got=got)


program = Side()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
