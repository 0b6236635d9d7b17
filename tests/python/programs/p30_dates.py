"""A bare Predict of typed fields (dates with a zone, UUIDs, an Optional), with a demonstration that it had before."""
import datetime
import uuid
from typing import Optional

import dspy

program = dspy.Predict("question: str, when: datetime.datetime, id: uuid.UUID, seen: Optional[list[int]] -> answer: str, yes: bool",
                       custom_types={"datetime": datetime, "uuid": uuid})
program.demos = [dspy.Example(question="q", when=datetime.datetime(2020, 1, 1), id=uuid.UUID(int=1), seen=None, answer="a", yes=True)]
trainset = [dspy.Example(question=f"q{i}", when=datetime.datetime(2026, 1, 1 + i, 10, tzinfo=datetime.timezone.utc), id=uuid.UUID(int=i),
                         seen=None if i % 2 else [i], answer=f"a{i % 7}", yes=i % 2 == 0).with_inputs("question", "when", "id", "seen")
            for i in range(8)]


def metric(gold, pred, trace=None):
    import numpy as np

    return np.bool_(gold.yes == pred.yes)
