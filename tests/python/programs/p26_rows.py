"""Rows with different fields and inputs, of a subclass of Example, marked as those of dspy.datasets."""
import dspy


class Ticket(dspy.Example):
    @property
    def short(self):
        return self.question[:5]


class Ask(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought("question, context -> answer")

    def forward(self, question, context=None):
        return self.answer(question=question, context=context or "none")


def rows():
    out = []
    for i in range(9):
        if i % 3 == 0:
            out.append(Ticket(question=f"what is {i % 2}?", answer=f"a{i % 7}", dspy_split="train").with_inputs("question"))
        elif i % 3 == 1:
            out.append(Ticket(question="what?", context=f"c {i}", answer=f"a{i % 7}", level="hard").with_inputs("question", "context"))
        else:
            out.append(Ticket(question="what?", context=None, answer="a1").with_inputs("question", "context"))
    return out


program = Ask
trainset = rows()


def metric(example, pred, trace=None):
    example.short
    return example.answer == pred.answer or len(pred.reasoning) % 2 == 0
