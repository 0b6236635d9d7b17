"""aforward with a module in a thread (dspy.asyncify), a task group, a stream, failures that gather gives back, and a semaphore."""
import asyncio

import dspy
from docs import questions


class Picky(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> draft")

    async def aforward(self, question):
        got = await self.ask.acall(question=question)
        if got.draft[-1] in "147":
            raise ValueError(got.draft)
        return got


class Loops(dspy.Module):
    def __init__(self):
        super().__init__()
        self.slow, self.slower = dspy.ChainOfThought("question -> draft"), dspy.Predict("question -> draft")
        self.picky = [Picky() for _ in range(3)]
        self.told = dspy.Predict("question, drafts: list[str] -> summary")
        self.last = dspy.ChainOfThought("question, summary -> answer")

    async def aforward(self, question):
        gate, threaded = asyncio.Semaphore(2), dspy.asyncify(self.slow)

        async def one(module, n):
            async with gate:
                return await module.acall(question=f"{question} {n}")

        tries = await asyncio.gather(*[one(m, n) for n, m in enumerate(self.picky)], return_exceptions=True)
        drafts = [t.draft if isinstance(t, dspy.Prediction) else "none" for t in tries]
        a, b = await asyncio.gather(threaded(question=question), asyncio.to_thread(self.slower, question=question + "?"))
        stream = dspy.streamify(self.told, stream_listeners=[dspy.streaming.StreamListener(signature_field_name="summary")])
        summary = None
        async for chunk in stream(question=question, drafts=drafts + [a.draft, b.draft]):
            if isinstance(chunk, dspy.Prediction):
                summary = chunk.summary
        return await self.last.acall(question=question, summary=summary)


program = Loops()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
