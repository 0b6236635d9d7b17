"""What several programs share: a search over sixty texts, and questions with answers."""
import dspy

DOCS = [f"Title {i} | fact number {i} about thing {i % 9}" for i in range(60)]


def search(query, k=3):
    n = sum(map(ord, str(query))) % len(DOCS)
    return [DOCS[(n + j) % len(DOCS)] for j in range(k)]


def questions(n=8):
    return [dspy.Example(question=f"Where is thing {i}?", answer=f"a{i % 7}").with_inputs("question") for i in range(n)]
