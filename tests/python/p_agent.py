"""An agent with two tools, one of which fails at times, and the best of three drafts of what it found."""
import dspy


def lookup(name: str) -> str:
    """Looks a name up."""
    return f"{name} is thing number {sum(map(ord, name)) % 97}"


def weigh(query: str) -> str:
    """Weighs a thing."""
    if len(query) % 2:
        raise ValueError("there are no scales for this")
    return f"{len(query)} pounds"


class Agent(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find = dspy.ReAct("question -> answer", tools=[lookup, weigh], max_iters=4)
        self.say = dspy.BestOfN(dspy.Predict("question, found -> answer"), N=3, threshold=0.9,
                                reward_fn=lambda arguments, prediction: float(prediction.answer.endswith("3")))

    def forward(self, question):
        return self.say(question=question, found=self.find(question=question).answer)


program = Agent()
trainset = [dspy.Example(question=f"Where is thing {i}?", answer=f"a{i % 7}").with_inputs("question") for i in range(5)]


def metric(example, prediction, trace=None):
    return len(prediction.answer) > 1
