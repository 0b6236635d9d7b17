"""Modules in a dict and in a list, and one that is frozen: it keeps its demonstration, and is left alone."""
import dspy
from docs import questions


class Drafts(dspy.Module):
    def __init__(self):
        super().__init__()
        self.by_tone = {"short": dspy.Predict("question -> draft"), "long": dspy.ChainOfThought("question -> draft")}

    def forward(self, question):
        return dspy.Prediction(drafts=[p(question=question).draft for p in self.by_tone.values()])


class Nested(dspy.Module):
    def __init__(self):
        super().__init__()
        self.stages = [Drafts(), Drafts()]
        self.frozen = dspy.ChainOfThought("question -> topic")
        self.frozen.predict.demos = [dspy.Example(question="Where is nothing?", reasoning="It is nowhere.", topic="space")]
        self.frozen._compiled = True
        self.answer = dspy.ChainOfThought("question, topic, drafts: list[str] -> answer")

    def forward(self, question):
        topic = self.frozen(question=question).topic
        drafts = sum((stage(question=question).drafts for stage in self.stages), [])
        return self.answer(question=question, topic=topic, drafts=drafts)


program = Nested()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
