"""Several completions from a model that the job sets a temperature of: DSPy leaves that as it is. And a program that looks at it."""
import dspy
from docs import questions

settings = {"temperature": 0.5, "max_tokens": 300}


class Several(dspy.Module):
    def __init__(self):
        super().__init__()
        self.many = dspy.Predict("question -> answer", n=3)
        self.one = dspy.ChainOfThought("question, drafts: list[str] -> answer")

    def forward(self, question):
        lm = dspy.settings.lm
        drafts = self.many(question=question).completions.answer
        with dspy.context(lm=lm.copy(temperature=lm.kwargs["temperature"] + 0.25, max_tokens=2 * lm.kwargs["max_tokens"])):
            return self.one(question=question, drafts=drafts)


program = Several
trainset = questions()
metric = dspy.evaluate.answer_exact_match
