"""Predictors with models of their own (DSPy's reset takes them away, MIPROv2 leaves them), and all that a call may set for itself."""
import dspy
from docs import questions

small = dspy.LM("openai/small", api_key="sk-of-nobody", temperature=0.4)


class Short(dspy.Signature):
    """Answer briefly."""

    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Models(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.Predict(Short)
        self.sure = dspy.ChainOfThought(Short.prepend("topic", dspy.InputField(), str).append("sure", dspy.OutputField(), float))
        self.cheap = dspy.Predict(Short)
        self.cheap.lm = small

    def forward(self, question):
        topic = self.first(question=question, signature=Short.with_instructions("Say one word."), config={"temperature": 0.5}).answer
        sure = self.sure(topic=topic, question=question, lm=small)
        said = self.cheap(question=question + sure.answer).answer
        shown = self.first(question=said, demos=[dspy.Example(question="q", answer="z")]).answer
        made = dspy.Predict(Short.append("extra", dspy.OutputField(), list[str]))(question=shown)
        return dspy.Prediction(answer=said, extra=made.extra)


program = Models()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
