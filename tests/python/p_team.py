"""Drafts side by side by asyncio, threads and dspy.Parallel; a picture in the data; one predictor runs several times."""
import asyncio
from concurrent.futures import ThreadPoolExecutor

import dspy

PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmM"
         "IQAAAABJRU5ErkJggg==")


class See(dspy.Signature):
    """What is on the picture?"""
    image: dspy.Image = dspy.InputField()
    hint: str = dspy.InputField()
    label: str = dspy.OutputField()


class Team(dspy.Module):
    def __init__(self):
        super().__init__()
        self.see = dspy.Predict(See)
        self.draft = dspy.ChainOfThought("label, angle -> text")
        self.sum = dspy.Predict("texts: list[str] -> answer")

    def forward(self, image):
        with ThreadPoolExecutor(3) as pool:
            seen = list(pool.map(lambda hint: self.see(image=image, hint=hint).label, ["red", "green", "blue"]))

        async def drafts():
            return await asyncio.gather(*[self.draft.acall(label=label, angle=str(i)) for i, label in enumerate(seen)])

        texts = [d.text for d in asyncio.run(drafts())]
        more = dspy.Parallel(num_threads=2, disable_progress_bar=True)(
            [(self.draft, {"label": label, "angle": "last"}) for label in seen[:2]])
        return self.sum(texts=texts + [m.text for m in more])


program = Team()
trainset = [dspy.Example(image=dspy.Image(PIXEL), number=i, answer=f"a{i}").with_inputs("image") for i in range(4)]


def metric(example, prediction, trace=None):
    return True
