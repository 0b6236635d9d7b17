"""Two steps, each with a line of its own in a job file: line.json of tests/cluster/python.sh says the same without Python."""
import dspy


class Line(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.ChainOfThought("question -> search_query")
        self.answer = dspy.Predict("question, search_query -> answer, words: list[str]")

    def forward(self, question):
        return self.answer(question=question, search_query=self.query(question=question).search_query)


program = Line()
trainset = [dspy.Example(question=f"Where is thing {i}?", answer=f"a{i % 7}").with_inputs("question") for i in range(24)]
metric = dspy.evaluate.answer_exact_match
