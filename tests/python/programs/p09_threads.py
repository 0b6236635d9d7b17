"""Three talks in threads of its own, and a writer of its own model under dspy.context."""
from concurrent.futures import ThreadPoolExecutor

import dspy
from docs import search

writer = dspy.LM("openai/writer", api_key="sk-of-nobody")


class Ask(dspy.Signature):
    """Ask one question about the topic from the persona's view."""

    topic = dspy.InputField()
    persona = dspy.InputField()
    conversation: list[str] = dspy.InputField()
    question = dspy.OutputField()


class Talk(dspy.Module):
    def __init__(self, turns=2):
        super().__init__()
        self.ask, self.reply, self.turns = dspy.ChainOfThought(Ask), dspy.Predict("topic, question, snippets -> reply"), turns

    def forward(self, topic, persona):
        talk = []
        for _ in range(self.turns):
            question = self.ask(topic=topic, persona=persona, conversation=talk).question
            talk += [question, self.reply(topic=topic, question=question, snippets=search(question)).reply]
        return dspy.Prediction(talk=talk)


class Article(dspy.Module):
    def __init__(self):
        super().__init__()
        self.personas = dspy.Predict("topic -> personas: list[str]")
        self.talk, self.write = Talk(), dspy.ChainOfThought("topic, notes -> article")

    def forward(self, topic):
        people = (self.personas(topic=topic).personas + ["reader", "expert"])[:3]
        with ThreadPoolExecutor(3) as pool:
            talks = list(pool.map(lambda p: self.talk(topic=topic, persona=p).talk, people))
        with dspy.context(lm=writer):
            return self.write(topic=topic, notes="\n".join(sum(talks, [])))


program = Article()
trainset = [dspy.Example(topic=f"topic {i}", outline="x").with_inputs("topic") for i in range(8)]


def metric(example, prediction, trace=None):
    return len(prediction.article) > 5
