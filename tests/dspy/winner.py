"""The real DSPy's BootstrapFewShotWithRandomSearch, against a model server: prints the winner's demonstrations.

    python tests/dspy/winner.py FOLDER METRIC SERVER

FOLDER holds mine.py (with the metric), train.jsonl and val.jsonl. What a test of ours records as expected
comes from here; with DSPY_PYTHON set to a Python that has dspy the test runs it.
"""
import contextlib
import json
import sys

import dspy

folder, name, server = sys.argv[1:]
sys.path.insert(0, folder)
import mine  # noqa: E402


def read(file):
    return [dspy.Example(**json.loads(line)).with_inputs("question") for line in open(f"{folder}/{file}")]


dspy.configure(lm=dspy.LM("openai/any", api_base=server, api_key="none", cache=False, temperature=None, max_tokens=None))
with contextlib.redirect_stdout(sys.stderr):
    optimizer = dspy.BootstrapFewShotWithRandomSearch(metric=getattr(mine, name), num_candidate_programs=4, num_threads=8)
    best = optimizer.compile(dspy.Predict("question -> answer"), trainset=read("train.jsonl"), valset=read("val.jsonl"))
print(json.dumps(best.dump_state()["demos"], ensure_ascii=False))
