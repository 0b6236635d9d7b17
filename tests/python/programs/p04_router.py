"""A classifier chooses one of three modules; one of them never runs, so it has no demonstration."""
from enum import Enum

import dspy


class Kind(Enum):
    REFUND = "refund"
    REPAIR = "repair"


class Classify(dspy.Signature):
    """What does the customer want?"""

    message: str = dspy.InputField()
    kind: Kind = dspy.OutputField()


class Router(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(Classify)
        self.refund = dspy.ChainOfThought("message -> reply")
        self.repair = dspy.Predict("message, tone -> reply")
        self.other = dspy.ChainOfThought("message -> reply, apology")

    def forward(self, message):
        kind = self.classify(message=message).kind
        if kind is Kind.REFUND:
            reply = self.refund(message=message)
        elif kind is Kind.REPAIR:
            reply = self.repair(message=message, tone="kind")
        else:
            reply = self.other(message=message)
        return dspy.Prediction(kind=kind, reply=reply.reply)


program = Router()
trainset = [dspy.Example(message=f"message {i}", kind="refund").with_inputs("message") for i in range(8)]


def metric(example, prediction, trace=None):
    return prediction.kind.value == example.kind
