"""Typed steps: an Enum, a list of pydantic's, an Optional, and a way out before the last step."""
from enum import Enum
from typing import Literal, Optional

import dspy
from pydantic import BaseModel


class Kind(str, Enum):
    ORDER = "order"
    INVOICE = "invoice"
    OTHER = "other"


class Entity(BaseModel):
    entity_type: str
    value: str


class Classify(dspy.Signature):
    """Classify the email."""

    subject: str = dspy.InputField()
    body: str = dspy.InputField()
    kind: Kind = dspy.OutputField()
    urgency: Literal["low", "high"] = dspy.OutputField()


class Extract(dspy.Signature):
    """Extract the entities."""

    body: str = dspy.InputField()
    kind: Kind = dspy.InputField()
    entities: list[Entity] = dspy.OutputField()
    amount: Optional[float] = dspy.OutputField()


class Act(dspy.Signature):
    """What is to be done?"""

    kind: Kind = dspy.InputField()
    entities: list[Entity] = dspy.InputField()
    action_required: bool = dspy.OutputField()
    items: list[str] = dspy.OutputField()


class Email(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify, self.extract, self.act = dspy.ChainOfThought(Classify), dspy.ChainOfThought(Extract), dspy.ChainOfThought(Act)

    def forward(self, subject, body, sender=""):
        c = self.classify(subject=subject, body=body)
        x = self.extract(body=f"From: {sender}\n{body}", kind=c.kind)
        if c.kind == Kind.OTHER:
            return dspy.Prediction(kind=c.kind, entities=x.entities, items=[])
        a = self.act(kind=c.kind, entities=x.entities)
        return dspy.Prediction(kind=c.kind, entities=x.entities, items=a.items)


program = Email()
trainset = [dspy.Example(subject=f"s{i}", body=f"b{i}", kind="order").with_inputs("subject", "body") for i in range(8)]


def metric(example, prediction, trace=None):
    return prediction.kind.value == example.kind
