"""A subclass of ReAct with a predictor more; rows with large numbers, nested values, nothing and odd characters, and a talk that the program goes on with."""
import dspy
from docs import search


def find(query: str) -> str:
    """Finds a text."""
    return search(query, 1)[0]


class Agent(dspy.ReAct):
    def __init__(self, **kwargs):
        super().__init__("question, talk: dspy.History, tags: dict[str, list[int]] -> answer", tools=[find], **kwargs)
        self.sure = dspy.Predict("question, talk: dspy.History -> sure: float")

    def forward(self, question, talk, tags, id=None):
        got = super().forward(question=question, talk=talk, tags=tags)
        longer = dspy.History(messages=[*talk.messages, {"question": question, "sure": "0.5"}])
        sure = self.sure(question=f"{question} {id}", talk=longer).sure
        return dspy.Prediction(answer=got.answer, sure=sure, steps=len(got.trajectory))


def rows():
    for i in range(8):
        talk = dspy.History(messages=[{"question": f"é {i}", "sure": "0.1"}])
        row = dict(question=f"who is {i}\u2028?", talk=talk, tags={"a": [i, 2**40 + i], "b": []}, id=2**53 + 1 + i, answer=f"a{i % 7}",
                   source=None, weight=1e-7 * i, url=f"https://example.org/{i}?a=\"b\"")
        yield dspy.Example(**row).with_inputs("question", "talk", "tags", "id")


program = Agent(max_iters=2)
trainset = list(rows())


def metric(example, prediction, trace=None):
    return len(example.talk.messages) > 0 and example.id > 2**53 and prediction.steps >= 0
