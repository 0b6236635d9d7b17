"""A metric that is a module, as dspy's SemanticF1: it gives a Prediction, which is true for DSPy when it bootstraps, whatever its score."""
import dspy
from docs import search


class Rag(dspy.Module):
    def __init__(self, k=3):
        self.k = k
        self.respond = dspy.ChainOfThought("context, question -> response")

    def forward(self, question):
        return self.respond(context=search(question, self.k), question=question)


class Fair(dspy.evaluate.SemanticF1):
    def __init__(self):
        super().__init__(threshold=0.5)
        self.fair = dspy.Predict("question, response -> fair: bool")

    def forward(self, example, pred, trace=None):
        fair = self.fair(question=example.question, response=pred.response).fair
        score = super().forward(example, pred, trace).score * fair
        return dspy.Prediction(score=score if trace is None else bool(score))


program = Rag()
trainset = [dspy.Example(question=f"What of thing {i}?", response=f"It is {i}.", gold_doc_ids=[i]).with_inputs("question") for i in range(9)]
metric = Fair()
