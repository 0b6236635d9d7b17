"""Two steps and BAML as adapters, types of the program's own, sound and a file among the inputs, demonstrations of a type."""
import dspy
import pydantic
from dspy.adapters.baml_adapter import BAMLAdapter

small = dspy.LM("openai/small", api_key="sk-of-nobody")


class Money(dspy.Type):
    cents: int
    currency: str = "EUR"

    def format(self):
        return f"{self.cents / 100:.2f} {self.currency}"


class Note(dspy.Type):
    text: str

    def format(self):
        return [{"type": "text", "text": f"<note>{self.text}</note>"}]


class Part(pydantic.BaseModel):
    """A part."""

    entity_type: str = pydantic.Field(description="which")
    value: str


class Listen(dspy.Signature):
    """What does the customer want?"""

    call: dspy.Audio = dspy.InputField()
    contract: dspy.File = dspy.InputField()
    price: Money = dspy.InputField()
    notes: list[Note] = dspy.InputField()
    wish: str = dspy.OutputField()


class Shop(dspy.Module):
    def __init__(self):
        super().__init__()
        self.listen = dspy.Predict(Listen)
        self.parts = dspy.ChainOfThought(dspy.Signature("wish, price: Money -> parts: list[Part]",
                                                        custom_types={"Money": Money, "Part": Part}))
        self.answer = dspy.Predict("wish, parts: list[str] -> answer")

    def forward(self, call, contract, price, notes):
        wish = self.listen(call=call, contract=contract, price=price, notes=notes).wish
        with dspy.context(adapter=BAMLAdapter()):
            parts = self.parts(wish=wish, price=price).parts
        with dspy.context(adapter=dspy.TwoStepAdapter(small)):
            return self.answer(wish=wish, parts=[p.value for p in parts])


def example(i):
    row = dict(call=dspy.Audio(data="UklGRg==", audio_format="wav"), price=Money(cents=100 * i + 5), notes=[Note(text=f"n{i}")],
               contract=dspy.File(file_data="data:text/plain;base64,YQ==", filename=f"{i}.txt"))
    return dspy.Example(**row, answer=f"a{i % 7}").with_inputs(*row)


program = Shop
trainset = [example(i) for i in range(8)]
metric = dspy.evaluate.answer_exact_match
