"""A model class of the house's own, beside the job's."""
import dspy
from docs import questions


class Gateway(dspy.BaseLM):
    """A house gateway: what it says hangs on how long the prompt is."""

    def forward(self, prompt=None, messages=None, **kwargs):
        from types import SimpleNamespace as N

        n = sum(len(m["content"]) for m in messages) % 7
        text = f"[[ ## reasoning ## ]]\nr\n\n[[ ## answer ## ]]\na{n}\n\n[[ ## completed ## ]]"
        return N(choices=[N(message=N(content=text, tool_calls=None), finish_reason="stop")],
                 usage={"prompt_tokens": 1, "completion_tokens": 1}, model="house")


class Own(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = dspy.ChainOfThought("question -> answer"), dspy.Predict("question, answer -> answer2")

    def forward(self, question):
        with dspy.context(lm=Gateway("house")):
            answer = self.first(question=question).answer
        return dspy.Prediction(answer=answer, other=self.second(question=question, answer=answer).answer2)


program = Own()
trainset = questions()
metric = dspy.evaluate.answer_exact_match
