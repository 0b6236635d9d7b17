"""Two predictors that run four times each; a set whose order hangs on the hash seed; a metric that is stricter with a trace."""
import dspy
from docs import search


class Hop(dspy.Module):
    def __init__(self, hops=4):
        super().__init__()
        self.hops = hops
        self.write_query = dspy.ChainOfThought("claim, notes -> query")
        self.take_notes = dspy.ChainOfThought("claim, notes, context -> new_notes: list[str], titles: list[str]")

    def forward(self, claim):
        notes, titles = [], []
        for _ in range(self.hops):
            query = self.write_query(claim=claim, notes=notes).query
            taken = self.take_notes(claim=claim, notes=list(set(notes)), context=search(query))
            notes.extend(taken.new_notes)
            titles.extend(taken.titles)
        return dspy.Prediction(notes=notes, titles=list(set(titles)))


program = Hop()
trainset = [dspy.Example(claim=f"claim {i}", titles=[f"t{i}"]).with_inputs("claim") for i in range(8)]


def metric(example, prediction, trace=None):
    found = sum(t in prediction.titles[:5] for t in example.titles) / len(example.titles)
    return found >= 0.0 if trace is not None else found
