"""A metric that asks a judge and then looks at the trace, in which the judge's step is the last; it gives nothing, a number or a bool."""
import dspy
from docs import questions, search

judge = dspy.ChainOfThought("question, answer -> fair: bool")


class Hops(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.Predict("question, found: list[str] -> query")
        self.answer = dspy.ChainOfThought("question, found: list[str] -> answer")

    def forward(self, question):
        found = []
        for _ in range(2):
            found += search(self.query(question=question, found=found).query, 1)
        return self.answer(question=question, found=found)


program = Hops
trainset = questions(10)


def metric(example, prediction, trace=None):
    fair = judge(question=example.question, answer=prediction.answer).fair
    if trace is None:
        return (fair + (prediction.answer > "a3")) / 2
    if not fair and "fair" in trace[-1][2]:
        return None
    queries = [outputs.query for *_, outputs in trace if "query" in outputs]
    return len(set(queries)) == 2 and len(trace) == 4
