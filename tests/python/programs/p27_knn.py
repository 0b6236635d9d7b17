"""KNN over the trainset in forward, and KNNFewShot as the program's own way to its demonstrations."""
import dspy
import numpy as np
from docs import questions

trainset = questions(8)


def embed(texts):
    return np.array([[len(t) % 7 + 1, sum(map(ord, t)) % 13 + 1] for t in texts], dtype=np.float32)


vectorizer = dspy.Embedder(embed)


class Near(dspy.Module):
    def __init__(self):
        super().__init__()
        self.knn = dspy.KNN(k=2, trainset=trainset, vectorizer=vectorizer)
        self.answer = dspy.ChainOfThought("question -> answer")
        self.check = dspy.KNNFewShot(k=2, trainset=trainset, vectorizer=vectorizer, max_bootstrapped_demos=1).compile(
            dspy.Predict("question, draft -> good: bool, answer"))

    def forward(self, question):
        near = self.knn(question=question)
        first = self.answer(question=question, demos=near)
        return self.check(question=question, draft=first.answer)


program = Near()
metric = dspy.evaluate.answer_exact_match
