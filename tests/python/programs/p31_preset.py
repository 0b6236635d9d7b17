"""One predictor with demonstrations of its own, and few choices: a search draws it without them, under its own instruction."""
import dspy
from docs import questions

program = dspy.Predict("question -> answer")
program.demos = [dspy.Example(question="Where is thing 3?", answer="a3"), dspy.Example(question="Where is thing 4?", answer="a4")]
trainset = questions()
metric = dspy.evaluate.answer_exact_match
