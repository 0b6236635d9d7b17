"""Steps that fail: an example that raises, answers that no type can be made of, and a retry with what was wrong."""
import dspy
from docs import questions


class Fails(dspy.Module):
    def __init__(self):
        super().__init__()
        self.size = dspy.Predict("question, complaint -> sizes: dict[str, int]")
        self.answer = dspy.ChainOfThought("question, sizes -> answer: str")

    def forward(self, question):
        if "5" in question:
            raise ValueError("no five")
        sizes, complaint = {}, ""
        for _ in range(2):
            try:
                sizes = self.size(question=question, complaint=complaint).sizes
                break
            except Exception as e:
                complaint = type(e).__name__
        return self.answer(question=question, sizes=sizes)


program = Fails()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
