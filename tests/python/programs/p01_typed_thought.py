"""One chain of thought with a signature of a class and a pydantic type; an object in a module."""
import dspy
import pydantic


class Place(pydantic.BaseModel):
    entity_type: str
    value: str


class Find(dspy.Signature):
    """Find the places that the message names."""

    message: str = dspy.InputField(desc="what the customer wrote")
    places: list[Place] = dspy.OutputField()


program = dspy.ChainOfThought(Find)
trainset = [dspy.Example(message=f"from here to {i}", places=[Place(entity_type="sum", value=str(i))]).with_inputs("message") for i in range(8)]


def metric(example, prediction, trace=None):
    return example.places[0].value <= prediction.places[0].value
