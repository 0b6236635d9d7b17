"""A predictor that is asked several times, one that has a twin, and examples that end in an error or an unreadable answer."""
import dspy
from docs import questions


class Several(dspy.Module):
    def __init__(self):
        super().__init__()
        self.hop = dspy.Predict("question, notes: list[str] -> note")
        self.left = dspy.Predict("question -> answer")
        self.right = dspy.Predict("question -> answer")
        self.grade = dspy.Predict("question, answer -> grade: int")

    def forward(self, question):
        notes = []
        for _ in range(4):
            notes.append(self.hop(question=question, notes=notes).note)
        if notes[0][-1] == "1":
            raise ValueError("a note that nobody can use")
        answers = [self.left(question=question).answer, self.right(question=notes[-1]).answer]
        unread = {"2": "answer unread", "3": "nothing"}.get(notes[1][-1], "")
        grade = self.grade(question=question + unread, answer=answers[0]).grade
        return dspy.Prediction(answer=answers[grade % 2], grade=grade)


program = Several
trainset = questions()
metric = dspy.evaluate.answer_exact_match
