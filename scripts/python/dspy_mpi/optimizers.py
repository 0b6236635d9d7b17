"""DSPy's optimizers with DSPy's arguments, run by dspy-mpi.

Beside DSPy's arguments each takes: ranks (processes of MPI; None: one process without it), hosts
(Python processes a rank; None: as many as cores), budget, out (the folder of the run; the same call
with the same folder goes on where it stopped) and whatever else dspy-mpi's optimizer of that name
takes, such as search="mipro".
"""
import contextlib
import csv
import datetime
import json
import os
import typing

import dspy
import orjson
import pydantic
from dspy.teleprompt.teleprompt import Teleprompter

from dspy_mpi.job import Job, need_lm
from dspy_mpi.running import run, say


def given(**options):
    return {k: v for k, v in options.items() if v is not None}


def row_of(example):
    """An example by its content, as the rank sees it."""
    try:
        from dspy.predict.predict import serialize_object
    except ImportError:
        def serialize_object(value):
            return value
    try:
        return orjson.dumps({k: serialize_object(v) for k, v in example.items()}, default=repr,
                            option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except Exception:
        return None


def names_time(kind):
    return kind in (datetime.datetime, datetime.date, datetime.time) or any(map(names_time, typing.get_args(kind)))


def demo_of(signature, d):
    """With dates and times as objects, as DSPy has them when it has made the demonstration."""
    d = dict(d)
    for name, field in signature.fields.items():
        if isinstance(d.get(name), (str, list, dict)) and names_time(field.annotation):
            with contextlib.suppress(ValueError):
                d[name] = pydantic.TypeAdapter(field.annotation).validate_python(d[name])
    return dspy.Example(**d)


def put_state(program, state, trainset):
    """The state of a program.json: demonstrations as DSPy leaves them, the script's own examples among them."""
    own = {row_of(e): e for e in trainset if isinstance(e, dspy.Example)}
    own.pop(None, None)
    inner = state.get("metadata", {}).get("dspy_mpi", {}).get("predictors", {})  # of a subclass of Predict
    for name, predictor in program.named_predictors():
        part = state.get(name) or inner.get(name) or state  # a bare Predict is flat in its file
        demos = [dspy.Example(**d) for d in part["demos"]]
        predictor.demos = [demo_of(predictor.signature, d) if d.get("augmented") else own.get(row_of(d), d) for d in demos]
        instructions = part.get("signature", {}).get("instructions")
        if instructions is not None and instructions != predictor.signature.instructions:
            predictor.signature = predictor.signature.with_instructions(instructions)
    return program


def load_program(student, path, trainset, fresh):
    with open(path, encoding="utf-8") as f:
        state = json.load(f)
    program = put_state(student.reset_copy() if fresh else student.deepcopy(), state, trainset)
    program._compiled = True
    return program


def candidates_of(out, student, trainset, fresh):
    """What was tried, the best first: {"score" in per cent, "program", "n" examples}, and DSPy's "seed" where it has one.
    The winner and those that were scored on all examples, and those that were seen on some."""
    table, found, chosen = os.path.join(out, "trials.csv"), [], None
    if not os.path.exists(table):
        return [], []
    with open(table, newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            path = os.path.join(out, row["file"])
            if not row["file"] or not row["score"] or not os.path.exists(path):
                continue
            words = row["name"].split()
            if row["best"] == "1":
                chosen = len(found)
            found.append({"score": round(100 * float(row["score"]), 2), "n": int(row["n"]),
                          "program": load_program(student, path, trainset, fresh),
                          **({"seed": int(words[1])} if words[:1] == ["seed"] else {"name": row["name"]})})
    most, winner = max((c["n"] for c in found), default=0), None if chosen is None else found[chosen]
    found.sort(key=lambda c: c["score"], reverse=True)
    return [c for c in found if c["n"] == most or c is winner], [c for c in found if c["n"] < most and c is not winner]


def check(student, trainset, what):
    if not isinstance(student, dspy.Module):
        made = f": give {student.__name__}(), not {student.__name__}" if isinstance(student, type) else ""
        raise TypeError(f"{what}: a dspy.Module is meant, not {'a class' if made else type(student).__name__}{made}")
    if not trainset:
        raise ValueError("trainset: there is no example in it")


class Optimizer(Teleprompter):
    """What all have in common; options are those of the job file's optimizer."""

    kind, fresh, words = "", True, ""

    def set_run(self, ranks, hosts, budget, out, options):
        self.anew = options.pop("fresh", False)
        self.ranks, self.hosts, self.budget, self.out, self.options = ranks, hosts, budget, out, options

    def models(self, job):
        job.models(dspy.settings.lm, teacher=self.teacher_lm())

    def teacher_lm(self):
        settings = getattr(self, "teacher_settings", None) or {}
        other = [k for k in settings if k != "lm"]
        if other:
            raise ValueError(f"teacher_settings: {other[0]} cannot be given; only lm, a teacher model, can")
        return settings.get("lm")

    def take_teacher(self, job, student, teacher):
        if teacher is None:
            return
        names = [n for n, _ in student.named_predictors()]
        if type(teacher) is not type(student) or [n for n, _ in teacher.named_predictors()] != names:
            raise ValueError(f"teacher: a {type(teacher).__name__} with other predictors or code than the student's "
                             f"{type(student).__name__}; the student's program with demonstrations, instructions or another "
                             "model (teacher_settings) can teach")
        state = teacher.dump_state()
        state["metadata"] = {"dspy_mpi": {"compiled": True}} if getattr(teacher, "_compiled", False) else {}
        job.state_files["teacher.json"] = json.dumps(state)
        job.json["teacher"] = "teacher.json"

    def begin(self, student, trainset, valset, teacher, **more):
        check(student, trainset, "student")
        assert getattr(student, "_compiled", False) is False, "Student must be uncompiled."
        job = Job(type(self).__name__, student, self.out, self.ranks, self.hosts, self.budget)
        self.models(job)
        job.concurrency(self.num_threads)
        self.take_teacher(job, student, teacher)
        job.json["optimizer"] = {"name": self.kind, **self.options, **more}
        if self.seed is not None:
            job.json["seed"] = self.seed
        # In DSPy these two score a candidate with so many errors, and go on; the others end.
        errors = self.max_errors if self.max_errors is not None or self.kind in ("gepa", "mipro_v2") else dspy.settings.max_errors
        if errors is not None:
            job.json["max_errors"] = errors
        job.send(self.metric, trainset=trainset, valset=valset)
        return job

    def finish(self, job, student, trainset):
        job.write(self.anew)
        say(f"{type(self).__name__} {self.words}{job.where()}")
        last = run(job.words("compile"), job.secrets, job.out)
        compiled = load_program(student, os.path.join(job.out, "program.json"), trainset, self.fresh)
        compiled.dspy_mpi = {**last, "out": job.out}
        score = last.get("valset", {}).get("compiled", {}).get("score")
        if score is not None:
            compiled.score, compiled.total_calls = round(100 * score, 2), last.get("calls")
        compiled.candidate_programs, seen = candidates_of(job.out, student, trainset, self.fresh)
        if self.kind == "mipro_v2":
            compiled.mb_candidate_programs = seen
        else:
            compiled.candidate_programs += seen
        return compiled


class LabeledFewShot(dspy.LabeledFewShot):
    """DSPy's own: it asks no model, so there is nothing to hand out. What the others take beside k is taken too."""

    def __init__(self, k=16, *, ranks=None, hosts=None, budget=None, out=None):
        super().__init__(k=k)
        self.out = out

    def compile(self, student, *, trainset, sample=True):
        compiled = super().compile(student, trainset=trainset, sample=sample)
        if self.out is not None:
            os.makedirs(self.out, exist_ok=True)
            compiled.save(os.path.join(self.out, "program.json"))
        return compiled


class BootstrapFewShot(Optimizer):
    kind = "bootstrap_few_shot"

    def __init__(self, metric=None, metric_threshold=None, teacher_settings=None, max_bootstrapped_demos=4,
                 max_labeled_demos=16, max_rounds=1, max_errors=None, *, num_threads=None, seed=None, log_dir=None,
                 ranks=None, hosts=None, budget=None, out=None, **options):
        self.metric, self.teacher_settings, self.max_errors = metric, teacher_settings, max_errors
        self.num_threads, self.seed = num_threads, seed
        self.set_run(ranks, hosts, budget, out or log_dir, {
            "max_bootstrapped_demos": max_bootstrapped_demos, "max_labeled_demos": max_labeled_demos,
            "max_rounds": max_rounds, **given(metric_threshold=metric_threshold), **options})

    def compile(self, student, *, teacher=None, trainset):
        job = self.begin(student, trainset, None, teacher)
        return self.finish(job, student, trainset)


class BootstrapFewShotWithRandomSearch(Optimizer):
    kind = "bootstrap_few_shot_with_random_search"

    def __init__(self, metric, teacher_settings=None, max_bootstrapped_demos=4, max_labeled_demos=16, max_rounds=1,
                 num_candidate_programs=16, num_threads=None, max_errors=None, stop_at_score=None,
                 metric_threshold=None, *, seed=None, log_dir=None, ranks=None, hosts=None, budget=None, out=None,
                 **options):
        self.metric, self.teacher_settings, self.max_errors = metric, teacher_settings, max_errors
        self.num_threads, self.seed = num_threads, seed
        self.set_run(ranks, hosts, budget, out or log_dir, {
            "max_bootstrapped_demos": max_bootstrapped_demos, "max_labeled_demos": max_labeled_demos,
            "max_rounds": max_rounds, "num_candidate_programs": num_candidate_programs,
            **given(stop_at_score=stop_at_score, metric_threshold=metric_threshold), **options})

    def compile(self, student, *, teacher=None, trainset, valset=None, restrict=None, labeled_sample=True):
        more = {"labeled_sample": labeled_sample, **({"restrict": sorted(restrict)} if restrict is not None else {})}
        job = self.begin(student, trainset, valset or None, teacher, **more)  # as DSPy has it: none is the training set
        return self.finish(job, student, trainset)


class MIPROv2(Optimizer):
    kind, fresh = "mipro_v2", False

    def __init__(self, metric, prompt_model=None, task_model=None, teacher_settings=None, max_bootstrapped_demos=4,
                 max_labeled_demos=4, auto="light", num_candidates=None, num_threads=None, max_errors=None, seed=9,
                 init_temperature=1.0, verbose=False, track_stats=True, log_dir=None, metric_threshold=None, *,
                 search="factor", ranks=None, hosts=None, budget=None, out=None, **options):
        if auto not in (None, "light", "medium", "heavy"):
            raise ValueError(f"auto: {auto!r} is none of light, medium, heavy and None")
        self.metric, self.prompt_model, self.task_model = metric, prompt_model, task_model
        self.teacher_settings, self.max_errors, self.num_threads = teacher_settings, max_errors, num_threads
        self.seed, self.auto, self.num_candidates = seed, auto, num_candidates
        self.demos = max_bootstrapped_demos, max_labeled_demos
        self.words = ("with DSPy's own schedule, " if search == "mipro" else
                      f"with dspy-mpi's search ({search}; DSPy's is search=\"mipro\"), ")
        self.set_run(ranks, hosts, budget, out or log_dir, {
            "auto": auto, "init_temperature": init_temperature, "search": search,
            **given(num_candidates=num_candidates, metric_threshold=metric_threshold), **options})

    def models(self, job):
        lm = self.task_model or dspy.settings.lm
        job.models(lm, teacher=self.teacher_lm(), prompt=self.prompt_model or dspy.settings.lm)

    def compile(self, student, *, trainset, teacher=None, valset=None, num_trials=None, max_bootstrapped_demos=None,
                max_labeled_demos=None, seed=None, minibatch=True, minibatch_size=35, minibatch_full_eval_steps=5,
                program_aware_proposer=True, data_aware_proposer=True, view_data_batch_size=10,
                tip_aware_proposer=True, fewshot_aware_proposer=True, requires_permission_to_run=None,
                provide_traceback=None):
        if requires_permission_to_run:
            raise ValueError("requires_permission_to_run: it is gone from MIPROv2; dspy-mpi's `budget` is a cap")
        if self.auto is None and (self.num_candidates is None or num_trials is None):
            raise ValueError("auto=None: num_candidates and num_trials must be given")
        if self.auto is not None and (self.num_candidates is not None or num_trials is not None):
            raise ValueError(f"auto={self.auto!r} sets num_candidates and num_trials: give auto=None, or leave them out")
        bootstrapped, labeled = self.demos
        more = {"max_bootstrapped_demos": bootstrapped if max_bootstrapped_demos is None else max_bootstrapped_demos,
                "max_labeled_demos": labeled if max_labeled_demos is None else max_labeled_demos,
                "program_aware_proposer": program_aware_proposer, "data_aware_proposer": data_aware_proposer,
                "view_data_batch_size": view_data_batch_size, "tip_aware_proposer": tip_aware_proposer,
                "fewshot_aware_proposer": fewshot_aware_proposer}
        if self.options["search"] == "mipro":
            more.update(minibatch_size=minibatch_size, minibatch_full_eval_steps=minibatch_full_eval_steps)
            more.update({} if self.auto else {"minibatch": minibatch})
        more.update(given(num_trials=num_trials))
        if valset is None:  # as DSPy cuts it
            if len(trainset) < 2:
                raise ValueError("trainset: at least 2 examples, or a valset")
            cut = len(trainset) - min(1000, max(1, int(len(trainset) * 0.80)))
            trainset, valset = trainset[:cut], trainset[cut:]
        mine, self.seed = self.seed, seed or self.seed
        try:
            if self.seed == 9:  # DSPy's default; dspy-mpi's is the same where none is given
                self.seed = None
            job = self.begin(student, trainset, valset, teacher, **more)
        finally:
            self.seed = mine
        return self.finish(job, student, trainset)


OF_GEPA = {  # classes of the package gepa, by their words in a job file
    "acceptance_criterion": {"StrictImprovementAcceptance": "strict_improvement", "ImprovementOrEqualAcceptance": "improvement_or_equal"},
    "sampling_strategy": {"SingleMutationSampling": "one", "IndependentSampling": "independent", "SameParentSampling": "same_parent",
                          "PxNSampling": "p_x_n"},
    "selection_strategy": {"AllImprovements": "all_improvements", "BestImprovement": "best_improvement", "TopKImprovements": "top_k"},
}
THEIR_NUMBERS = {"n": "proposals", "p": "parents", "k": "top_k"}


def of_gepa(kwargs):
    """gepa_kwargs as parameters of a job file."""
    out = {}
    for key, value in kwargs.items():
        words = OF_GEPA.get(key, {})
        if key in (*OF_GEPA, "cache_evaluation") and isinstance(value, (str, bool)):
            out[key] = value
        elif type(value).__name__ in words:
            out[key] = words[type(value).__name__]
            out.update({THEIR_NUMBERS[k]: v for k, v in vars(value).items() if k in THEIR_NUMBERS})
        elif key != "use_cloudpickle" and value is not None:
            raise TypeError(f"gepa_kwargs: {key} = {value!r} cannot be sent")
    return out


class GEPA(Optimizer):
    kind, fresh = "gepa", False

    def __init__(self, metric, *, auto=None, max_full_evals=None, max_metric_calls=None, reflection_minibatch_size=None,
                 candidate_selection_strategy="pareto", reflection_lm=None, skip_perfect_score=True,
                 add_format_failure_as_feedback=False, component_selector="round_robin", use_merge=True,
                 max_merge_invocations=5, num_threads=None, failure_score=0.0, perfect_score=1.0, log_dir=None,
                 track_stats=False, track_best_outputs=False, warn_on_score_mismatch=True, seed=0, gepa_kwargs=None,
                 max_errors=None, search=None, ranks=None, hosts=None, budget=None, out=None, **options):
        if sum(x is not None for x in (auto, max_full_evals, max_metric_calls)) != 1:
            raise ValueError("one of auto, max_full_evals and max_metric_calls must be given")
        if not isinstance(component_selector, str):
            raise TypeError('component_selector: "round_robin" or "all"; a function cannot be sent')
        self.metric, self.reflection_lm, self.num_threads = metric, reflection_lm, num_threads
        self.max_errors, self.seed = max_errors, seed or None
        self.failure_score = failure_score
        self.words = "with DSPy's own schedule, " if search == "gepa" else "with dspy-mpi's schedule (DSPy's is search=\"gepa\"), "
        self.set_run(ranks, hosts, budget, out or log_dir, {
            "candidate_selection_strategy": candidate_selection_strategy, "skip_perfect_score": skip_perfect_score,
            "add_format_failure_as_feedback": add_format_failure_as_feedback, "component_selector": component_selector,
            "use_merge": use_merge, "max_merge_invocations": max_merge_invocations, "perfect_score": perfect_score,
            **given(auto=auto, max_full_evals=max_full_evals, max_metric_calls=max_metric_calls, search=search,
                    reflection_minibatch_size=reflection_minibatch_size), **of_gepa(gepa_kwargs or {}), **options})

    def models(self, job):
        if self.reflection_lm is None:
            raise ValueError("reflection_lm: GEPA needs a model that writes instructions; give reflection_lm=dspy.LM(...)")
        need_lm(self.reflection_lm, "reflection_lm")
        job.models(dspy.settings.lm, prompt=self.reflection_lm)

    def compile(self, student, *, trainset, teacher=None, valset=None):
        if teacher is not None:
            raise ValueError("teacher: GEPA has none")
        job = self.begin(student, trainset, valset, None)
        if self.failure_score:
            job.json["failure_score"] = self.failure_score
        return self.finish(job, student, trainset)


class Ensemble(dspy.Ensemble):
    """DSPy's own over programs that are there: it asks no model while it compiles."""

    def __init__(self, *, reduce_fn=None, size=None, deterministic=False, ranks=None, hosts=None, budget=None, out=None):
        super().__init__(reduce_fn=reduce_fn, size=size, deterministic=deterministic)


__all__ = ["LabeledFewShot", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch", "MIPROv2", "GEPA", "Ensemble"]
