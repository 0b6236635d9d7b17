"""forward gives a text, and no Prediction; the metric knows."""
import dspy
from docs import questions


class Says(dspy.Module):
    def __init__(self):
        super().__init__()
        self.outline = dspy.ChainOfThought("question -> points: list[str]")
        self.write = dspy.Predict("question, point -> sentence")

    def forward(self, question):
        points = self.outline(question=question).points
        return " ".join(self.write(question=question, point=p).sentence.strip() for p in points)


program = Says()
trainset = questions()


def metric(example, text, trace=None):
    return len(text.split()) / 10
