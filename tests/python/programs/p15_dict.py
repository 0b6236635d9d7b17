"""forward gives a dict; a predictor that two modules share, and one under two names."""
import dspy
from docs import questions


class Polish(dspy.Module):
    def __init__(self, shared):
        super().__init__()
        self.shared, self.last = shared, dspy.Predict("draft -> answer")

    def forward(self, draft):
        return self.last(draft=self.shared(draft=draft).better)


class Shares(dspy.Module):
    def __init__(self):
        super().__init__()
        shared = dspy.ChainOfThought("draft -> better")
        self.one, self.two = Polish(shared), Polish(shared)
        self.again = self.two

    def forward(self, question):
        return {"answer": self.one(draft=question).answer, "other": self.again(draft=question + "!").answer}


program = Shares()
trainset = questions()


def metric(example, got, trace=None):
    return int(got["answer"] == got["other"]) or int(got["answer"] > "answer 5")
