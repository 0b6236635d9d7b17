"""Tools as objects, an agent whose tool asks a model itself, and a tool that is async."""
import dspy
from docs import questions, search

summarize = dspy.Predict("passages: list[str] -> summary")


def read(topic: str) -> str:
    """Reads about the topic and sums up."""
    return summarize(passages=search(topic)).summary


def count(things: list[str], doubled: bool = False) -> int:
    """Counts things."""
    return len(things) * (1 + doubled)


class Agent(dspy.Module):
    def __init__(self):
        super().__init__()
        tools = [dspy.Tool(read, desc="Reads."), dspy.Tool(count, name="count_things")]
        self.plan = dspy.Predict("question, tools: list[str] -> plan")
        self.act = dspy.ReAct("question, plan -> answer", tools=tools, max_iters=3)

    def forward(self, question):
        plan = self.plan(question=question, tools=list(self.act.tools)).plan
        return self.act(question=question, plan=plan)


program = Agent()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
