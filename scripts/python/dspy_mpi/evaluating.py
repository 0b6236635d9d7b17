"""dspy.Evaluate by dspy-mpi: a program on all examples, over all cores or ranks."""
import json
import os
import types

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
                 max_errors=None, provide_traceback=None, failure_score=0.0, save_as_csv=None, save_as_json=None,
                 ranks=None, hosts=None, budget=None, out=None):
        self.devset, self.metric, self.num_threads = devset, metric, num_threads
        self.shown = display_table, save_as_csv, save_as_json
        self.more = dict(max_errors=max_errors, failure_score=failure_score, ranks=ranks, hosts=hosts, budget=budget,
                         out=out)

    def __call__(self, program, metric=None, devset=None, num_threads=None, display_progress=None, display_table=None,
                 callback_metadata=None, save_as_csv=None, save_as_json=None):
        devset, metric = self.devset if devset is None else devset, self.metric if metric is None else metric
        result = evaluate(program, devset, metric, num_threads=num_threads or self.num_threads, **self.more)
        table, as_csv, as_json = (mine if given is None else given for mine, given in
                                  zip(self.shown, (display_table, save_as_csv, save_as_json)))
        if table or as_csv or as_json:
            show(result.results, metric, table, as_csv, as_json)
        return result


def show(results, metric, table, as_csv, as_json):
    """The table and the files of dspy.Evaluate, by its own code: it is handed the results that are there."""
    rest, now = iter(results), []

    def program(**_):
        now[:] = next(rest)
        return now[1]

    def scored(_, __):
        return now[2]

    scored.__name__ = metric.__name__ if isinstance(metric, types.FunctionType) else type(metric).__name__
    dspy.Evaluate(devset=[example for example, *_ in results], metric=scored, num_threads=1, display_table=table,
                  save_as_csv=as_csv, save_as_json=as_json)(program)
