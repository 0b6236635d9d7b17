"""ProgramOfThought with an interpreter of the program's own, which for some codes says what is wrong."""
import dspy
from docs import questions
from dspy.primitives.code_interpreter import CodeExecutionError, FinalOutput


class Interpreter:
    tools = {}

    def start(self):
        pass

    def execute(self, code, variables=None):
        n = sum(map(ord, code))
        if n % 3 == 0:
            raise CodeExecutionError(f"line 1: {n}")
        return FinalOutput({"answer": n % 7})

    def shutdown(self):
        pass


program = dspy.ProgramOfThought("question -> answer", max_iters=3, interpreter_factory=Interpreter)
trainset = questions()
metric = dspy.evaluate.answer_exact_match
