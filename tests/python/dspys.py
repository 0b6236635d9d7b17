"""What DSPy itself compiles on the answers of rule.py: dspys.py MODULE OPTIMIZER OUT [PARAMETERS]

Writes the state that program.save gives, without its versions, and the hashes of the prompts of the winner's
evaluation on the training set.
"""
import hashlib
import importlib
import json
import os
import sys

sys.path.insert(0, os.getcwd())
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
import dspy
import rule
from dspy.clients import execution
from dspy.clients.call_result import CallResult, attributes

SEEN = []
run_here = execution.execute


def request_of(lm, call):
    request = {k: v for k, v in call.legacy.items() if v is not None and k in ("n", "temperature")}
    request["messages"] = json.loads(json.dumps(call.legacy["messages"]))
    request["model"] = lm.model
    return request


def execute(lm, call):
    if not call.managed:
        return run_here(lm, call)
    request = request_of(lm, call)
    SEEN.append(hashlib.sha256(json.dumps(request["messages"], sort_keys=True).encode()).hexdigest()[:16])
    return CallResult.legacy(lm, attributes(json.loads(json.dumps(rule.body(request)))), kwargs=call.legacy)


async def aexecute(lm, call):
    return execute(lm, call)


def main():
    name, optimizer, out = sys.argv[1:4]
    execution.execute, execution.aexecute = execute, aexecute
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    module = importlib.import_module(name)
    dspy.configure(lm=dspy.LM("openai/task", cache=False))
    program = module.program
    if not hasattr(type(program), "forward"):
        program = dspy.syncify(program)
    metric = module.metric
    if os.environ.get("METRIC"):
        metric = getattr(importlib.import_module(os.environ["METRIC"]), "metric")
    scalar = lambda e, p, trace=None: getattr(metric(e, p, trace), "score", None)  # noqa: E731
    if hasattr(module, "scalar"):
        metric = scalar
    more = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    fixed = dict(max_errors=999, **more)
    compile_with = {}
    if optimizer in ("BootstrapFewShotWithRandomSearch",):
        fixed["num_threads"] = 1
    if optimizer == "LabeledFewShot":
        fixed = more
        compiled = dspy.LabeledFewShot(**fixed).compile(program, trainset=module.trainset)
    else:
        compiled = getattr(dspy, optimizer)(metric=metric, **fixed).compile(program, trainset=module.trainset, **compile_with)
    SEEN.clear()
    evaluate = dspy.Evaluate(devset=module.trainset, metric=metric, num_threads=1, max_errors=999, display_progress=False)
    try:
        score = evaluate(compiled).score
    except Exception as e:
        score = repr(e)
    prompts = sorted(SEEN)
    compiled.save(out)
    state = json.load(open(out))
    state.pop("metadata", None)
    json.dump({"state": state, "score": score, "prompts": prompts}, open(out, "w"))


main()
