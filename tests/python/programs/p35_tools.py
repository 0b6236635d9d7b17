"""ReAct of one step, tools with defaults and that raise, async tools, a history that grows, tools called by hand, a reasoning field."""
import dspy
from docs import questions, search


def find(query: str, k: int = 2) -> list[str]:
    """Finds texts."""
    return search(query, k)


def fails(query: str = "none") -> str:
    """Fails on most things."""
    raise KeyError(query)


class Chat(dspy.Signature):
    """Talk."""
    question: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


class Tools(dspy.Module):
    def __init__(self):
        super().__init__()
        self.once = dspy.ReAct("question -> answer", tools=[dspy.Tool(find, name="look", desc="Looks {things} up"), fails], max_iters=1)
        self.more = dspy.ReAct("question, first -> answer", tools=[fails, find], max_iters=4)
        self.chat = dspy.Predict(Chat)
        self.by_hand = dspy.Tool(find)

    def forward(self, question):
        first = self.once(question=question).answer
        second = self.more(question=question, first=first).answer
        history = dspy.History(messages=[])
        for turn in (first, second):
            said = self.chat(question=f"{question} {turn} {self.by_hand(query=turn, k=1)}", history=history)
            history.messages.append({"question": turn, **said})
        return dspy.Prediction(answer=said.answer, history=history)


program = Tools
trainset = questions()
metric = dspy.evaluate.answer_exact_match
