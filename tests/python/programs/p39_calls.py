"""Tools among the inputs, and calls of them as an output: by OpenAI's interface, of a model's class that says it has that, and in the text."""
import dspy
from docs import questions, search


class Calls(dspy.LM):
    supports_function_calling = True


caller = Calls("openai/small", api_key="sk-of-nobody")
native = dspy.ChatAdapter(use_native_function_calling=True, parallel_tool_calls=False)


def find(query: str, k: int = 1) -> list[str]:
    """Finds texts."""
    return search(query, k)


class Act(dspy.Signature):
    """Call what helps."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    thought: str = dspy.OutputField()
    outputs: dspy.ToolCalls = dspy.OutputField()


class Acts(dspy.Module):
    def __init__(self):
        super().__init__()
        self.tools = [dspy.Tool(find), dspy.Tool(lambda answer: answer, name="submit", desc="Ends.", args={"answer": {"type": "string"}})]
        self.act, self.again = dspy.Predict(Act), dspy.Predict(Act)
        self.answer = dspy.ChainOfThought("question, results: list[str], calls: dspy.ToolCalls -> answer")

    def forward(self, question):
        with dspy.context(lm=caller, adapter=native):
            calls = self.act(question=question, tools=self.tools).outputs
        results = [str(c.execute({t.name: t.func for t in self.tools})) for c in calls.tool_calls]
        more = self.again(question=question + results[0], tools=self.tools).outputs
        results += [c.name for c in more.tool_calls]
        return self.answer(question=question, results=results, calls=more)


program = Acts
trainset = questions()
metric = dspy.evaluate.answer_exact_match
