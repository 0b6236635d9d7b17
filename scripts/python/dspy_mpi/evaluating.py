"""dspy.Evaluate by dspy-mpi: a program on all examples, over all cores or ranks."""
import json
import os

import dspy
from dspy.evaluate.evaluate import EvaluationResult

from dspy_mpi.job import Job
from dspy_mpi.optimizers import check
from dspy_mpi.running import run, say


def results_of(path, devset, failure_score):
    """(example, prediction, score) in the order of devset. An example that failed has an empty prediction."""
    out = [(example, dspy.Prediction(), failure_score) for example in devset]
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            n = int(row["id"].split()[-1]) - 1
            if row["error"] is None:
                out[n] = (devset[n], dspy.Prediction(**row["outputs"]), row["score"])
    return out


def evaluate(program, devset, metric, *, num_threads=None, max_errors=None, failure_score=0.0, lm=None, ranks=None,
             hosts=None, budget=None, out=None):
    """The score in per cent and the results, as dspy.Evaluate gives them.

    Predictions hold what the program's outputs are in JSON: a pydantic object is a dict there.
    """
    devset = list(devset)
    check(program, devset, "program")
    job = Job("evaluate", program, out, ranks, hosts, budget)
    job.models(lm or dspy.settings.lm)
    job.concurrency(num_threads)
    errors = max_errors if max_errors is not None else dspy.settings.max_errors
    if errors is not None:
        job.json["max_errors"] = errors
    if failure_score:
        job.json["failure_score"] = failure_score
    job.send(metric, testset=devset)
    job.write()
    say(f"evaluate {job.where()}")
    run(job.words("eval", "--split=testset"), job.secrets, job.out)
    results = results_of(os.path.join(job.out, "predictions.jsonl"), devset, failure_score)
    score = round(100 * sum(float(r[2] or 0) for r in results) / len(results), 2)
    return EvaluationResult(score=score, results=results)


class Evaluate:
    """In place of dspy.Evaluate: the same arguments, and ranks, hosts, budget and out."""

    def __init__(self, *, devset, metric=None, num_threads=None, display_progress=False, display_table=False,
                 max_errors=None, provide_traceback=None, failure_score=0.0, ranks=None, hosts=None, budget=None,
                 out=None):
        self.devset, self.metric, self.num_threads = devset, metric, num_threads
        self.more = dict(max_errors=max_errors, failure_score=failure_score, ranks=ranks, hosts=hosts, budget=budget,
                         out=out)

    def __call__(self, program, metric=None, devset=None, num_threads=None, display_progress=None, display_table=None):
        return evaluate(program, devset if devset is not None else self.devset, metric or self.metric,
                        num_threads=num_threads or self.num_threads, **self.more)
