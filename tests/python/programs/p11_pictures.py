"""Data that are no JSON: pictures, histories and dates; a metric of five arguments with feedback."""
import datetime

import dspy

PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmM"
         "IQAAAABJRU5ErkJggg==")


class See(dspy.Signature):
    """Answer about the picture, as in the talk before."""

    picture: dspy.Image = dspy.InputField()
    question: str = dspy.InputField()
    day: datetime.date = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


def example(i):
    before = dspy.History(messages=[{"question": f"and {i - 1}?", "answer": f"a{i - 1}"}])
    return dspy.Example(picture=dspy.Image(PIXEL), question=f"and {i}?", day=datetime.date(2026, 1, 1 + i), history=before,
                        answer=f"a{i % 7}").with_inputs("picture", "question", "day", "history")


program = dspy.ChainOfThought(See)
trainset = [example(i) for i in range(1, 9)]


def metric(gold, prediction, trace=None, pred_name=None, pred_trace=None):
    return dspy.Prediction(score=float(gold.answer == prediction.answer) / 2 + 0.25, feedback=f"it was {gold.answer}")
