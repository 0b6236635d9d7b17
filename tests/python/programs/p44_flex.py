"""What DSPy saves beside predictors: a Flex, whose code runs in a process of its own, between two of them."""
import dspy
from docs import questions


class Flexible(dspy.Module):
    def __init__(self):
        super().__init__()
        self.before = dspy.Predict("question -> hint")
        self.flex = dspy.Flex("question, hint -> draft", interpreter_factory=dspy.LocalInterpreter)
        self.after = dspy.ChainOfThought("question, draft -> answer")

    def forward(self, question):
        hint = self.before(question=question).hint
        return self.after(question=question, draft=self.flex(question=question, hint=hint).draft)


program = Flexible
trainset = questions(6)
metric = dspy.evaluate.answer_exact_match
