"""gepa.json: whole runs of dspy.GEPA with a planted task model and a planted reflection model, which `_rule` tells in words.

The wording of the reflection prompt is replaced by a marker and not recorded.
"""
import copy
import json
import re

import gepa.api
import gepa.core.engine
from gepa.strategies.proposal_sampling import IndependentSampling, PxNSampling, SameParentSampling
from gepa.strategies.proposal_selection import BestImprovement, TopKImprovements
from planted import Planted, calls, chat, field, output_fields, quiet

import dspy
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer

GRADED = ("graded", "centred")  # metrics that read a number from 0 to 10

# ---- the planted models


def tokens(instruction):
    return list(dict.fromkeys(int(j) for j in re.findall(r"<k(\d+)>", instruction)))


def good(n, t):
    return (n % 7 in t and (n + sum(t)) % 5 != 0) or n % (3 + len(t)) == 0


def hint(n, t, three):
    if three:
        return "1" if (n % 5 in t and (n + sum(t)) % 4 != 0) or n % 4 == 0 else "0"
    if t and (n + sum(t)) % 6 == 0:
        return "odd"
    return "good" if n % 5 in t or n % 4 == 0 else "bad"


def is_right(n, t, given, second):
    if second is not None:
        return int(second) + ((n % 6 in t and (n + sum(t)) % 4 != 0) or n % 3 == 0) >= 2
    if given == "odd":
        return len(t) < 2 and n % 2 == 1
    return good(n, t) and (given is None or given == "good" or n % 2 == 0)


def task_rule(options):
    def rule(messages, settings):
        instruction = messages[0]["content"].split("your objective is: ", 1)[1]
        outputs, t = output_fields(messages), tokens(instruction)
        n = int(re.search(r"q(\d+)", field(messages, "question")).group(1))
        if options.get("fmt") and n % 6 == 5 and "<fmt>" not in instruction:
            return f"garbage q{n}"
        if "hint" in outputs:
            return chat({"hint": hint(n, t, options["three"])})
        if "hint2" in outputs:
            return chat({"hint2": int(field(messages, "hint")) + good(n, t)})
        right = is_right(n, t, field(messages, "hint"), field(messages, "hint2"))
        answer = {"answer": (10 if right else (3 * n) % 8) if options["metric"] in GRADED else "yes" if right else "no"}
        return chat({"reasoning": f"r{n}", **answer} if "reasoning" in outputs else answer)

    return rule


def modulus(row):
    outputs = row["Generated Outputs"]
    if isinstance(outputs, dict) and "hint" in outputs:
        return 5
    return 6 if isinstance(outputs, dict) and "answer" in outputs and "hint2" in row["Inputs"] else 7


def reflected(options, current, rows):
    t, numbers = tokens(current), [int(r["Inputs"]["question"][1:]) for r in rows]
    if sum(numbers) % 3 == 0:
        if options.get("reflect_fail"):
            raise RuntimeError("reflection failed")
        if options.get("reflect_empty"):
            return "  "
    if any(isinstance(r["Generated Outputs"], str) for r in rows) and "<fmt>" not in current:
        return current + " <fmt>"
    new = next((n % modulus(r) for n, r in zip(numbers, rows) if n % modulus(r) not in t), None)
    if len(t) >= 4 or new is None:
        t = t[1:]
    if new is not None:
        t = t + [new]
    return "Answer." + "".join(f" <k{j}>" for j in t) + (" <fmt>" if "<fmt>" in current else "") + " \n"


def reflection_rule(options):
    marker = "[[ ## examples_with_feedback ## ]]\n"

    def rule(messages, settings):
        text = messages[-1]["content"]
        rows, _ = json.JSONDecoder().raw_decode(text[text.rindex(marker) + len(marker):])
        return json.dumps({"new_instruction": reflected(options, field(messages, "current_instruction"), rows)})

    return rule


# ---- the programs


def written(signature):
    return dspy.Signature(signature, "Answer.")


class Boom(dspy.Module):
    def __init__(self):
        super().__init__()
        self.p = dspy.Predict(written("question -> answer"))

    def forward(self, question):
        if int(question[1:]) % 11 == 10:
            raise ValueError("boom")
        return self.p(question=question)


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a = dspy.Predict(written("question -> hint"))
        self.b = dspy.Predict(written("question, hint -> answer"))

    def forward(self, question):
        return self.b(question=question, hint=self.a(question=question).hint)


class Three(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a = dspy.Predict(written("question -> hint"))
        self.b = dspy.Predict(written("question, hint -> hint2"))
        self.c = dspy.Predict(written("question, hint2 -> answer"))

    def forward(self, question):
        second = self.b(question=question, hint=self.a(question=question).hint).hint2
        return self.c(question=question, hint2=second)


class Twins(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a = dspy.Predict(written("question -> answer"))
        self.b = dspy.Predict(written("question -> answer"))

    def forward(self, question):
        both = self.a(question=question), self.b(question=question)
        return both[int(question[1:]) % 2]


PROGRAMS = {
    "one": lambda: dspy.Predict(written("question -> answer")),
    "boom": Boom,
    "two": Two,
    "three": Three,
    "twins": Twins,
}


class Metric:
    def __init__(self, kind, fails=False):
        self.kind, self.fails, self.called = kind, fails, 0

    def __call__(self, gold, pred, trace=None, pred_name=None, pred_trace=None):
        self.called += 1
        n = int(gold.question[1:])
        if self.fails and n % 9 == 4:
            raise ValueError("no score")
        if self.kind == "graded":
            return int(pred.answer) / 10
        if self.kind == "centred":
            return (int(pred.answer) - 5) / 4
        right = pred.answer == gold.answer
        if self.kind == "bool":
            return right
        kind = n % (5 if pred_name == "a" else 6 if pred_name == "c" else 7)
        return dspy.Prediction(score=1.0 if right else 0.0, feedback=f"kind {kind}")


# ---- what is recorded


class Engine(gepa.core.engine.GEPAEngine):
    """Remembers the newest engine, for its random stream."""

    newest = None

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        Engine.newest = self


def bare_row(row):
    """A reflective row without GEPA's own words."""
    feedback, outputs = row["Feedback"], row["Generated Outputs"]
    score = re.match(r"This trajectory got a score of (.*)\.$", feedback, re.DOTALL)
    if isinstance(outputs, str):
        outputs, feedback = {"unparsed": outputs.split("```\n")[1].rstrip("\n")}, None
    elif score:
        feedback = {"score": score.group(1)}
    return {"inputs": dict(row["Inputs"]), "outputs": dict(outputs), "feedback": feedback}


def short_row(row):
    return row["inputs"]["question"] + ("!" if "unparsed" in row["outputs"] else "")


class Recorder:
    """gepa calls the on_... functions."""

    def __init__(self, whole_rows):
        self.row = (lambda r: r) if whole_rows else short_row
        self.iterations, self.seed_scores = [], None

    def on_iteration_start(self, event):
        self.now, self.tasks, self.evaluated = {"i": event["iteration"]}, [], []

    def on_valset_evaluated(self, event):
        scores = list(event["scores_by_val_id"].values())
        if event["iteration"] == 0:
            self.seed_scores = scores
            return
        entry = {"candidate": event["candidate_idx"], "scores": scores, "average": event["average_score"], "best": event["is_best_program"]}
        self.now.setdefault("val", []).append(entry)

    def on_candidate_selected(self, event):
        self.tasks.append({"parent": event["candidate_idx"]})

    def on_minibatch_sampled(self, event):
        next(t for t in self.tasks if "ids" not in t)["ids"] = list(event["minibatch_ids"])

    def on_evaluation_end(self, event):
        self.evaluated.append((event["candidate_idx"], list(event["scores"])))

    def on_evaluation_skipped(self, event):
        self.now.setdefault("skipped", []).append(event["reason"])

    def on_reflective_dataset_built(self, event):
        self.now.setdefault("component", []).append(list(event["components"]))
        rows = {name: [self.row(bare_row(r)) for r in rows] for name, rows in event["dataset"].items()}
        self.now.setdefault("rows", []).append(rows)

    def on_proposal_end(self, event):
        self.now.setdefault("new", []).append(dict(event["new_instructions"]))

    def on_candidate_accepted(self, event):
        self.now.setdefault("accepted", []).append(event["new_candidate_idx"])

    def merged(self, trace):
        first, second, ancestor = trace["merged_entities"]
        return {
            "pair": [first, second],
            "ancestor": ancestor,
            "ids": list(trace["subsample_ids"]),
            "before": [sum(trace["id1_subsample_scores"]), sum(trace["id2_subsample_scores"])],
            "after": list(trace["new_program_subsample_scores"]),
            "accepted": self.now.pop("accepted", [None])[0],
        }

    def on_iteration_end(self, event):
        now, state = self.now, event["state"]
        trace = state.full_program_trace[-1]
        if "merged_entities" in trace:
            now["merge"] = self.merged(trace)
        elif trace.get("invoked_merge"):
            now["merge"] = None  # it was due, no pair was found, and reflection followed
        if self.tasks:
            parents = [scores for candidate, scores in self.evaluated if candidate is not None]
            for task, scores in zip(self.tasks, parents):
                task["before"] = scores
            now["tasks"] = self.tasks
            now["after"] = [scores for candidate, scores in self.evaluated if candidate is None]
            now.setdefault("accepted", [])
        now["total"] = state.total_num_evals
        now["rng"] = copy.deepcopy(Engine.newest.reflective_proposer.batch_sampler.rng).getrandbits(32)
        self.iterations.append(now)


def examples(numbers, gold):
    return [dspy.Example(question=f"q{i}", answer=gold).with_inputs("question") for i in range(*numbers)]


def instructions(program):
    return {name: p.signature.instructions for name, p in program.named_predictors()}


def told(value):
    return value if isinstance(value, (str, int, float, bool)) else type(value).__name__ + str(dict(value.__dict__))


def run(name, program="one", metric="bool", train=(0, 12), val=(100, 112), rows=False, inner=None, extra=None, **params):
    options = {"metric": metric, "three": program == "three", **(extra or {})}
    task, reflection = Planted(task_rule(options)), Planted(reflection_rule(options))
    scored = Metric(metric, options.get("metric_fails", False))
    recorder, gold = Recorder(rows), "10" if metric in GRADED else "yes"
    with dspy.context(lm=task), quiet():
        search = dspy.GEPA(
            metric=scored, reflection_lm=reflection, instruction_proposer=InstructionProposer(base_instructions="MARKER"), num_threads=1,
            track_stats=True, warn_on_score_mismatch=False, gepa_kwargs={"callbacks": [recorder], **(inner or {})}, **params,
        )  # fmt: skip
        best = search.compile(PROGRAMS[program](), trainset=examples(train, gold), valset=examples(val, gold) if val else None)
    r = best.detailed_results
    candidates = zip(r.parents, r.val_aggregate_scores, r.discovery_eval_counts, r.candidates)
    return {
        "name": name,
        "program": program,
        "metric": metric,
        "train": list(train),
        "val": list(val) if val else None,
        **(extra or {}),
        "params": {**params, **{k: told(v) for k, v in (inner or {}).items()}},
        "budget": search.max_metric_calls,
        "seed_scores": recorder.seed_scores,
        "iterations": recorder.iterations,
        "candidates": [{"parents": p, "average": a, "discovered_at": d, "instructions": instructions(c)} for p, a, d, c in candidates],
        "fronts": {str(row): sorted(members) for row, members in r.per_val_instance_best_candidates.items()},
        "best": r.best_idx,
        "final": instructions(best),
        "counted": r.total_metric_calls,
        "metric_called": scored.called,
        "full_evals": r.num_full_val_evals,
        "reflection_calls": len(reflection.asked),
        "calls": calls(task),
    }


ALONE = {"use_merge": False}
RUNS = {
    "one_60": dict(rows=True, max_metric_calls=60, **ALONE),
    "one_auto_light": dict(auto="light", **ALONE),
    "one_full_evals_6_merge_default": dict(max_full_evals=6, train=(3, 13), val=(100, 109)),
    "graded_200": dict(metric="graded", train=(0, 11), val=(100, 113), max_metric_calls=200, rows=True, **ALONE),
    "pad_b4_train6": dict(train=(0, 6), val=(100, 110), max_metric_calls=150, reflection_minibatch_size=4, seed=4, **ALONE),
    "no_valset": dict(train=(0, 14), val=None, max_metric_calls=160, **ALONE),
    "skip_perfect": dict(train=(0, 30, 3), val=(100, 108), max_metric_calls=90, seed=5, **ALONE),
    "graded_perfect_04": dict(metric="graded", val=(100, 108), max_metric_calls=120, perfect_score=0.4, **ALONE),
    "current_best": dict(metric="feedback", max_metric_calls=200, candidate_selection_strategy="current_best", **ALONE),
    "fmt_hidden": dict(metric="feedback", train=(0, 18), max_metric_calls=150, extra={"fmt": True}, rows=True, **ALONE),
    "fmt_as_feedback": dict(metric="feedback", train=(0, 18), max_metric_calls=150, extra={"fmt": True}, rows=True, add_format_failure_as_feedback=True, **ALONE),
    "boom_failure_score": dict(program="boom", train=(0, 22), val=(100, 115), max_metric_calls=150, failure_score=0.5, **ALONE),
    "reflect_fail": dict(metric="feedback", max_metric_calls=150, extra={"reflect_fail": True}, **ALONE),
    "two_round_robin": dict(program="two", metric="feedback", train=(0, 15), val=(100, 115), max_metric_calls=400, rows=True, **ALONE),
    "two_all_components": dict(program="two", metric="feedback", train=(0, 15), val=(100, 115), max_metric_calls=300, component_selector="all", **ALONE),
    "two_merge": dict(program="two", metric="feedback", train=(0, 15), val=(100, 115), max_metric_calls=600),
    "two_merge_auto_heavy": dict(program="two", metric="feedback", train=(0, 21), val=(100, 120), auto="heavy", seed=11, max_merge_invocations=20),
    "three_merge": dict(program="three", metric="feedback", train=(0, 24), val=(100, 118), max_metric_calls=700, seed=6, max_merge_invocations=10),
    "twins": dict(program="twins", metric="feedback", val=(100, 110), max_metric_calls=200, rows=True, **ALONE),
    "cache_evaluation": dict(metric="feedback", val=None, max_metric_calls=200, inner={"cache_evaluation": True}, **ALONE),
    "cache_evaluation_two_sets": dict(metric="feedback", max_metric_calls=200, inner={"cache_evaluation": True}, **ALONE),
    "independent3_all": dict(program="two", metric="feedback", train=(0, 15), max_metric_calls=400, inner={"sampling_strategy": IndependentSampling(3)}, **ALONE),
    "same_parent4_best": dict(
        metric="feedback", train=(0, 15), max_metric_calls=300, inner={"sampling_strategy": SameParentSampling(4), "selection_strategy": BestImprovement()}, **ALONE
    ),
    "epsilon_greedy": dict(metric="feedback", train=(0, 15), max_metric_calls=300, candidate_selection_strategy="epsilon_greedy", seed=3, **ALONE),
    "top_k_pareto": dict(
        program="two", metric="feedback", train=(0, 15), val=(100, 114), max_metric_calls=700, candidate_selection_strategy="top_k_pareto", seed=3, **ALONE
    ),
}
MORE = {  # gepa_more.json
    "cache_evaluation_merge": dict(
        program="three", train=(22, 32), val=None, max_metric_calls=136, seed=3, inner={"acceptance_criterion": "improvement_or_equal", "cache_evaluation": True},
        extra={"reflect_fail": True},
    ),
    "p_x_n_top_2": dict(
        program="two", metric="feedback", train=(3, 17), val=(100, 109), max_metric_calls=190, component_selector="all",
        inner={"sampling_strategy": PxNSampling(2, 2), "selection_strategy": TopKImprovements(2)},
    ),
    "centred": dict(program="three", metric="centred", train=(5, 18), val=(60, 69), max_metric_calls=200, seed=7, failure_score=-1.0),
    "graded_cached": dict(
        program="three", metric="graded", train=(13, 27), val=(108, 114), max_metric_calls=258, seed=15, candidate_selection_strategy="top_k_pareto",
        inner={"cache_evaluation": True},
    ),
    "metric_fails": dict(program="two", metric="feedback", train=(0, 14, 2), val=(90, 97), max_metric_calls=60, seed=2, reflection_minibatch_size=1, extra={"metric_fails": True}),
}


def runs(was):
    plain, gepa.api.GEPAEngine = gepa.api.GEPAEngine, Engine
    try:
        return {"_rule": was["_rule"], "runs": [run(r["name"], **{**RUNS, **MORE}[r["name"]]) for r in was["runs"]]}
    finally:
        gepa.api.GEPAEngine = plain


MAKERS = {"gepa": runs, "gepa_more": runs}
