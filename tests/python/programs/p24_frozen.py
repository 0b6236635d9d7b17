"""A compiled program inside of another, deep copies, and a module that no predictor is in."""
import dspy
from docs import questions, search


class Find(dspy.Module):
    def forward(self, query, k=2):
        return dspy.Prediction(passages=search(query, k))


class Answer(dspy.Module):
    def __init__(self):
        super().__init__()
        self.find, self.say = Find(), dspy.ChainOfThought("question, passages: list[str] -> answer")

    def forward(self, question):
        return self.say(question=question, passages=self.find(question).passages)


def program():
    inner = dspy.LabeledFewShot(k=2).compile(Answer(), trainset=questions(4))

    class Whole(dspy.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = inner, [Answer(), {"judge": dspy.Predict("question, answers -> answer")}]
            self.judge = self.outer[1]["judge"]

        def forward(self, question):
            answers = [self.inner(question=question).answer, self.outer[0].deepcopy()(question=question).answer]
            return self.judge(question=question, answers=answers)

    return Whole()


trainset = questions()
metric = dspy.evaluate.answer_exact_match
