"""Subclasses of Predict and of ChatAdapter, settings.trace read, retries at other temperatures, votes, a callback, a cache, a dict returned."""
import functools

import dspy
from docs import questions, search
from dspy.adapters import ChatAdapter
from dspy.utils.callback import BaseCallback

kept = functools.lru_cache(maxsize=None)(search)


class Short(dspy.Predict):
    def forward(self, **kwargs):
        got = super().forward(**kwargs)
        got.short = str(got.answer)[:3]
        return got


class Loud(ChatAdapter):
    def format_field_description(self, signature):
        return super().format_field_description(signature) + "\n(All fields are needed.)"

    def format_user_message_content(self, signature, inputs, *args, **kwargs):
        return "! " + super().format_user_message_content(signature, inputs, *args, **kwargs)


class Count(BaseCallback):
    def __init__(self):
        self.n = 0

    def on_lm_start(self, call_id, instance, inputs):
        self.n += 1


class Own(dspy.Module):
    def __init__(self):
        super().__init__()
        self.short = Short("question, passages -> answer")
        self.many = dspy.Predict("question -> answer", n=3)
        self.compare = dspy.MultiChainComparison("question -> answer", M=2)
        self.loud = dspy.ChainOfThought("question, seen: int -> answer")
        self.tuple = (dspy.Predict("question -> hint"), {"in": [dspy.Predict("hint -> answer")]})

    def forward(self, question):
        found = kept(question)
        short = self.short(question=question, passages=found)
        tries = 0
        while short.short[-1] in "135" and tries < 2:
            tries += 1
            with dspy.context(lm=dspy.settings.lm.copy(temperature=0.5 + tries / 10)):
                short = self.short(question=question, passages=found, config={"rollout_id": tries})
        vote = dspy.majority(self.many(question=question).completions, field="answer").answer
        attempts = [dspy.Prediction(reasoning=f"r{i}", answer=a) for i, a in enumerate((short.short, vote))]
        best = self.compare(attempts, question=question)
        with dspy.context(trace=[]):
            hint = self.tuple[0](question=question).hint
            seen = sum(len(outputs) for _, _, outputs in dspy.settings.trace)
        with dspy.context(adapter=Loud(), callbacks=[Count()]):
            last = self.loud(question=question, seen=seen)
        inner = self.tuple[1]["in"][0](hint=hint)
        return dspy.Prediction(answer=best.answer, rationale=best.rationale, vote=vote, last=last.answer, inner=inner.answer)


program = Own
trainset = questions()
metric = dspy.evaluate.answer_exact_match
