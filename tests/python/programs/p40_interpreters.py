"""ProgramOfThought, CodeAct and RLM whose code runs in processes of their own, and asks the model from there."""
import dspy
from docs import questions


def double(n: int) -> int:
    """Doubles."""
    return 2 * n


class Codes(dspy.Module):
    def __init__(self):
        super().__init__()
        self.thought = dspy.ProgramOfThought("question -> answer", max_iters=3, interpreter_factory=dspy.LocalInterpreter)
        self.act = dspy.CodeAct("question, first -> answer", tools=[double], max_iters=2, interpreter_factory=dspy.LocalInterpreter)
        self.read = dspy.RLM("question, notes: list[str] -> answer", max_iters=3, interpreter_factory=dspy.LocalInterpreter)

    def forward(self, question):
        try:
            first = self.thought(question=question).answer
        except RuntimeError:
            first = "no code"
        second = self.act(question=question, first=first).answer
        third = self.read(question=question, notes=[first, second])
        return dspy.Prediction(answer=third.answer, steps=len(third.trajectory))


program = Codes()
trainset = questions(5)
metric = dspy.evaluate.answer_exact_match
