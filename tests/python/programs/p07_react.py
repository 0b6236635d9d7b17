"""ReAct with two tools, of which one raises for some of its arguments."""
import dspy
from docs import questions, search


def search_pages(query: str) -> list[str]:
    """Returns the best pages."""
    return search(query)


def look_up(name: str) -> str:
    """Returns the page of that name."""
    if name.endswith(("1", "3")):
        raise KeyError(name)
    return f"page of {name}"


program = dspy.ReAct(dspy.Signature("question -> answer", "Find the answer."), tools=[search_pages, look_up], max_iters=4)
trainset = questions()
metric = dspy.evaluate.answer_exact_match
