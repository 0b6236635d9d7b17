"""ensemble.json: dspy.majority, dspy.Ensemble, and the state files of ensembles."""
import json
import os
import random
import tempfile

import planted  # noqa: F401 (quiet, no cache)

import dspy
from dspy.predict.aggregation import majority
from dspy.primitives.prediction import Completions, Prediction

RULE = (
    "majority: completions handed over as `call` says (a list of Predictions is what Ensemble hands to its reduce_fn), `winner` is the index of the "
    "one that came back, found by a field _i that stands first in each. ensembles: `members` answer by a table input -> fields (null: raises); rows "
    "in the order of asking, `called` says how often each member was called. sample: random.seed(seed), then four times "
    "random.sample(range(n), k). state_files: what Ensemble.save writes and what loading it into fresh members gives."
)


def voted(case):
    now = {k: case[k] for k in ("group", "name", "call", "signature", "field", "normalize", "completions")}
    rows = [{"_i": i, **c} for i, c in enumerate(case["completions"])]
    signature = dspy.Signature(case["signature"]) if case["signature"] else None
    options = {} if case["normalize"] == "default" else {"normalize": None}
    try:
        if case["call"] == "list":
            given = [Prediction(**r) for r in rows]
        elif case["call"] == "completions":
            given = Completions(rows, signature=signature)
        else:
            given = Prediction.from_completions(rows, signature=signature)
        best = majority(given, field=case["field"], **options).toDict()
        now["winner"] = best.pop("_i")
        now["prediction"] = best
    except Exception as e:  # which class it is, is the finding
        now["error"] = type(e).__name__
        now["message"] = str(e)[:120]
    return now


class ByTable(dspy.Module):
    def __init__(self, table):
        super().__init__()
        self.table, self.calls = table, 0

    def forward(self, question):
        self.calls += 1
        if self.table[question] is None:
            raise ValueError("planted failure")
        return dspy.Prediction(**self.table[question])


def asked(case):
    members = [ByTable(t) for t in case["members"]]
    together = dspy.Ensemble(reduce_fn=majority if case["reduce"] == "majority" else None, size=case["size"]).compile(members)
    if case["python_seed"] is not None:
        random.seed(case["python_seed"])
    rows = []
    for row in case["rows"]:
        before = [m.calls for m in members]
        now = {"input": row["input"]}
        try:
            out = together(question=row["input"])
            now["output"] = [o.toDict() for o in out] if isinstance(out, list) else out.toDict()
        except Exception as e:
            now["error"] = type(e).__name__
            now["message"] = str(e)[:100]
        now["called"] = [m.calls - b for m, b in zip(members, before)]
        rows.append(now)
    return {**case, "rows": rows}


def sampled(case):
    random.seed(case["seed"])
    return {**case, "draws": [random.sample(list(range(case["n"])), case["k"]) for _ in case["draws"]]}


# ---- state files


class TwoSteps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.ChainOfThought("question -> query")
        self.answer = dspy.Predict("question, query -> answer")

    def forward(self, question):
        return self.answer(question=question, query=self.query(question=question).query)


def predict():
    return dspy.Predict("question -> answer")


def thought():
    return dspy.ChainOfThought("question -> answer")


def member(make, i, compiled=None):
    program = make()
    for _, p in program.named_predictors():
        p.demos = [dspy.Example(question=f"q{i}", answer=f"a{i}")]
        p.signature = p.signature.with_instructions(f"instruction {i}")
    if compiled is not None:
        program._compiled = compiled
    return program


def members(make, n, compiled=None):
    return [member(make, i, compiled) for i in range(n)]


def twice():
    same = member(thought, 0)
    return [same, same, member(thought, 1)]


# name: the members that are saved, and the fresh ones that the file is loaded into
SAVED = {
    "three Predict": (lambda: members(predict, 3), lambda: [predict() for _ in range(3)]),
    "three ChainOfThought": (lambda: members(thought, 3), lambda: [thought() for _ in range(3)]),
    "Predict and ChainOfThought mixed": (lambda: [member(predict, 0), member(thought, 1)], lambda: [predict(), thought()]),
    "ChainOfThought with _compiled (what BootstrapFewShot returns): vanishes": (lambda: members(thought, 3, True), lambda: [thought() for _ in range(3)]),
    "Predict with _compiled: stays (a Parameter)": (lambda: members(predict, 3, True), lambda: [predict() for _ in range(3)]),
    "saved 3, loaded into 2": (lambda: members(thought, 3), lambda: [thought() for _ in range(2)]),
    "saved 2, loaded into 3": (lambda: members(thought, 2), lambda: [thought() for _ in range(3)]),
    "the same member twice: written once": (twice, lambda: [thought() for _ in range(3)]),
    "two-step members": (lambda: [TwoSteps(), TwoSteps()], lambda: [TwoSteps(), TwoSteps()]),
}


def saved(name, folder):
    make, fresh = SAVED[name]
    first, again = os.path.join(folder, "first.json"), os.path.join(folder, "again.json")
    dspy.Ensemble(reduce_fn=majority).compile(make()).save(first)
    with open(first, encoding="utf-8") as f:
        state = json.load(f)
    now = {"name": name, "keys": list(state), "metadata": list(state["metadata"])}
    state["metadata"] = {"dependency_versions": {}}  # what is installed is no finding
    target = dspy.Ensemble(reduce_fn=majority).compile(fresh())
    try:
        target.load(first)
        now["loaded_instructions"] = [[p.signature.instructions for _, p in m.named_predictors()] for m in target.programs]
        target.save(again)
        with open(first, "rb") as a, open(again, "rb") as b:
            now["resave_bytes_equal"] = a.read() == b.read()
    except Exception as e:
        now["load_error"] = f"{type(e).__name__}: {str(e)[:120]}"
    now["file"] = state
    return now


def loaded_members(folder):
    """Members that were loaded from files of their own are saved: loading does not set _compiled."""
    programs = []
    for i in range(3):
        path = os.path.join(folder, f"member{i}.json")
        member(thought, i).save(path)
        programs.append(thought())
        programs[-1].load(path)
    path = os.path.join(folder, "together.json")
    dspy.Ensemble(reduce_fn=majority).compile(programs).save(path)
    with open(path, encoding="utf-8") as f:
        return {"name": LOADED, "keys": list(json.load(f)), "compiled": [m._compiled for m in programs]}


def whole(folder):
    """save_program=True: the members and the rule in a pickle, which is no state file."""
    path = os.path.join(folder, "whole")
    dspy.Ensemble(reduce_fn=majority).compile(members(predict, 3)).save(path, save_program=True)
    loaded = dspy.load(path, allow_pickle=True)
    return {"name": WHOLE, "loaded": type(loaded).__name__, "members": len(loaded.programs)}


WHOLE = "save_program=True (pickle)"
LOADED = "members loaded from their own files (loading does not set _compiled)"


def ensemble(was):
    with tempfile.TemporaryDirectory() as folder:
        others = {LOADED: loaded_members, WHOLE: whole}
        states = [others[e["name"]](folder) if e["name"] in others else saved(e["name"], folder) for e in was["state_files"]]
    return {
        "_rule": RULE,
        "majority": [voted(c) for c in was["majority"]],
        "ensembles": [asked(c) for c in was["ensembles"]],
        "sample": [sampled(c) for c in was["sample"]],
        "state_files": states,
    }


MAKERS = {"ensemble": ensemble}
