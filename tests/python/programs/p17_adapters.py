"""An adapter of the program's own class, and others for single steps."""
import dspy
from docs import questions


class Shouting(dspy.ChatAdapter):
    """Ends each user message in its own words."""

    def format(self, signature, demos, inputs):
        messages = super().format(signature, demos, inputs)
        messages[-1]["content"] += "\n\nBE SHORT."
        return messages


dspy.configure(adapter=Shouting())


class Speaks(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.ChainOfThought("question -> topics: list[str], size: int")
        self.second = dspy.Predict("question, topics: list[str] -> note")
        self.third = dspy.ChainOfThought("question, note -> answer")

    def forward(self, question):
        topics = self.first(question=question).topics
        with dspy.context(adapter=dspy.JSONAdapter()):
            note = self.second(question=question, topics=topics).note
        with dspy.context(adapter=dspy.XMLAdapter()):
            return self.third(question=question, note=note)


program = Speaks()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
