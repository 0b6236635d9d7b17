"""Only aforward: three drafts by asyncio.gather."""
import asyncio

import dspy
from docs import questions


class Drafts(dspy.Module):
    def __init__(self):
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> answer")
        self.answer = dspy.ChainOfThought("question, drafts: list[str] -> answer")

    async def aforward(self, question):
        drafts = await asyncio.gather(*[self.draft.acall(question=question + "?" * i) for i in range(3)])
        return await self.answer.acall(question=question, drafts=[d.answer for d in drafts])


program = Drafts()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
