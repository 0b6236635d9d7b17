"""Query writers in a list and an answer, over a search of its own, without doubles."""
import dspy
from docs import questions, search


class TwoHops(dspy.Module):
    def __init__(self, hops=2):
        super().__init__()
        self.query = [dspy.ChainOfThought("context: list[str], question -> search_query") for _ in range(hops)]
        self.answer = dspy.ChainOfThought("context: list[str], question -> answer")

    def forward(self, question):
        context = []
        for query in self.query:
            found = search(query(context=context, question=question).search_query, k=2)
            context = list(dict.fromkeys(context + found))
        return self.answer(context=context, question=question)


program = TwoHops
trainset = questions()


def metric(example, prediction, trace=None):
    return len(prediction.answer) == len(example.answer)
