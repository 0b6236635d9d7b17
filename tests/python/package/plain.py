"""Runs a script whose calls DSPy itself answers by rule.py, without a client and a server: plain.py SCRIPT WORDS..."""
import json
import runpy
import sys

import dspy
import rule
from dspy.clients import execution
from dspy.clients.call_result import CallResult, attributes


run_here = execution.execute


def execute(lm, call):
    if not call.managed:  # a class of the script's own
        return run_here(lm, call)
    request = {k: v for k, v in call.legacy.items() if v is not None and k in ("n", "temperature")}
    request.update(messages=json.loads(json.dumps(call.legacy["messages"])), model=lm.model)
    return CallResult.legacy(lm, attributes(json.loads(json.dumps(rule.body(request)))), kwargs=call.legacy)


execution.execute = execute
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
