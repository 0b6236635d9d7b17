"""BestOfN and Refine, each with a reward, and a plain step after them."""
import dspy
from docs import questions


def reward(args, prediction):
    return 1.0 if prediction.answer in ("a1", "a2") else 0.0


class Rewards(dspy.Module):
    def __init__(self):
        super().__init__()
        self.best = dspy.BestOfN(module=dspy.ChainOfThought("question -> answer"), N=3, reward_fn=reward, threshold=1.0)
        self.refine = dspy.Refine(module=dspy.ChainOfThought("question, draft -> answer"), N=2, reward_fn=reward, threshold=1.0)
        self.last = dspy.Predict("question, draft -> answer")

    def forward(self, question):
        draft = self.best(question=question).answer
        draft = self.refine(question=question, draft=draft).answer
        return self.last(question=question, draft=draft)


program = Rewards()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
