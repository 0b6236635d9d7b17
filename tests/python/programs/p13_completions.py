"""Several completions of a call, a temperature of its own for each of two calls of one predictor, a majority, and a comparison."""
import dspy
from docs import questions


class Vote(dspy.Module):
    def __init__(self):
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer", n=3, temperature=0.7)
        self.check = dspy.Predict("question, answer -> verdict: bool, why", temperature=0.2)
        self.compare = dspy.MultiChainComparison("question -> answer", M=3)

    def forward(self, question):
        first = self.think(question=question)
        top = dspy.majority(first.completions).answer
        sure = [self.check(question=question, answer=top, config={"temperature": t}).verdict for t in (0.4, 0.9)]
        attempts = [{"reasoning": r, "answer": a} for r, a in zip(first.completions.reasoning, first.completions.answer)]
        best = self.compare(attempts, question=question)
        return dspy.Prediction(answer=top if all(sure) else best.answer, sure=sure)


program = Vote()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
