"""Two query writers in a list and an answer, over a search of its own; a set that its hash seed orders."""
import dspy

DOCS = [f"Title {i} | fact number {i} about thing {i % 9}" for i in range(60)]


def search(query, k=2):
    n = sum(map(ord, str(query))) % len(DOCS)
    return [DOCS[(n + j) % len(DOCS)] for j in range(k)]


class TwoHops(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = [dspy.ChainOfThought("context: list[str], question -> search_query") for _ in range(2)]
        self.answer = dspy.ChainOfThought("context: list[str], question -> answer")

    def forward(self, question):
        context = []
        for query in self.query:
            context = list(set(context + search(query(context=context, question=question).search_query)))
        return self.answer(context=context, question=question)


program = TwoHops()
trainset = [dspy.Example(question=f"Where is thing {i}?", answer=f"a{i % 7}").with_inputs("question") for i in range(8)]


def metric(example, prediction, trace=None):
    return len(prediction.answer) == len(example.answer)


def on_each(gold, prediction, trace=None, pred_name=None, pred_trace=None):
    """As GEPA asks it: a score, and on each predictor what was wrong with it, in a dict or a prediction."""
    score = {"score": len(prediction.answer) / 10}
    if pred_name is None:
        return score
    assert len(pred_trace) == 1 and len(trace) == 3
    if pred_name == "query[1].predict":
        raise KeyError(pred_name)  # of the score nothing is lost by that
    score["feedback"] = f"this is said on {pred_name}"
    return score if pred_name == "answer.predict" else dspy.Prediction(**score)
