"""What dspy_mpi has beside the optimizers, a program of a module, and what it refuses: others.py URL FOLDER"""
import contextlib
import datetime
import glob
import inspect
import io
import json
import os
import sqlite3
import sys
import threading
import traceback

import dspy
import dspy_mpi
import script
from dspy.utils.callback import BaseCallback

URL, FOLDER = sys.argv[1:]
LOCK = threading.Lock()


class Two(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query, self.answer = dspy.ChainOfThought("question -> query"), dspy.Predict("question, query -> answer")

    def forward(self, question):
        return self.answer(question=question, query=self.query(question=question).query)


class Holds(Two):
    def __init__(self):
        super().__init__()
        self.db = sqlite3.connect(":memory:")


class Locked(Two):
    def forward(self, question):
        with LOCK:
            return super().forward(question)


class Counts(BaseCallback):
    """Says in a file what runs."""

    def on_module_start(self, call_id, instance, inputs):
        with open(f"{FOLDER}.modules", "a") as f:
            f.write(f"{os.getpid()} {type(instance).__name__}\n")


class Held(Counts):
    def __init__(self):
        self.db = sqlite3.connect(":memory:")


async def look(word: str) -> str:
    return f"{word}!"


class Settled(Two):
    """Does what the script has set."""

    def forward(self, question):
        told = dspy.settings.get("house", "nothing")
        try:
            seen = dspy.Tool(look)(word=told)
        except Exception as e:
            seen = type(e).__name__
        return dspy.Prediction(answer=f"{seen} {dspy.settings.num_threads}", query=self.query(question=question).query)


def refuse(word):
    raise ValueError(word)


class Shows(dspy.Module):
    """Shows a model its own code, and errors as agents do."""

    def __init__(self):
        super().__init__()
        self.p = dspy.Predict("question, code, error -> answer")

    def forward(self, question):
        try:
            refuse(question)
        except ValueError:
            return self.p(question=question, code=inspect.getsource(refuse), error=traceback.format_exc())


class House(dspy.BaseLM):
    """A gateway of one's own."""

    def forward(self, prompt=None, messages=None, **kwargs):
        from types import SimpleNamespace as N

        with open(f"{FOLDER}.house", "a") as f:
            f.write("x\n")
        text = f"[[ ## query ## ]]\nthing {len(messages[-1]['content']) % 5}\n\n[[ ## completed ## ]]"
        return N(choices=[N(message=N(content=text, tool_calls=None), finish_reason="stop")],
                 usage={"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}, model="house")


class Housed(Two):
    def __init__(self):
        super().__init__()
        self.query = dspy.Predict("question -> query")
        self.query.lm = House("house")


def metric(example, prediction, trace=None):
    return prediction.answer == example.answer


def same(what, got, wanted):
    print("same" if got == wanted else f"{got!r} is not {wanted!r}: {what}")


def refused(what, words, call):
    try:
        call()
        print("taken:", what)
    except Exception as e:
        print("same" if words in str(e) else f"{e!r}: {what}")


dspy.configure(lm=dspy.LM("openai/task", api_base=URL, api_key="sk-in-the-model-8843", cache=False))
data = [dspy.Example(question=f"Where is thing {i}?", answer=f"a{i % 7}").with_inputs("question") for i in range(16)]
for program, word in ((Holds(), "program.db (Connection)"), (Locked(), "program.forward: the global LOCK (lock)")):
    refused(word, word, lambda: dspy_mpi.BootstrapFewShot(metric=metric, out=f"{FOLDER}/bad").compile(program, trainset=data))
refused("another teacher", "another model (teacher_settings) can teach", lambda: dspy_mpi.BootstrapFewShot(
    metric=metric, out=f"{FOLDER}/bad").compile(Two(), trainset=data, teacher=script.Program(1, URL)))
theirs = {"sampling_strategy": type("PxNSampling", (), {})(), "acceptance_criterion": "improvement_or_equal", "cache_evaluation": True}
vars(theirs["sampling_strategy"]).update(p=2, n=3)
mine = dspy_mpi.GEPA(metric, max_metric_calls=9, warn_on_score_mismatch=False, track_best_outputs=True, gepa_kwargs=theirs).options
same("what the package gepa takes", {k: mine[k] for k in (*theirs, "parents", "proposals")}, {
    **theirs, "sampling_strategy": "p_x_n", "parents": 2, "proposals": 3})
refused("but no functions", "batch_sampler", lambda: dspy_mpi.GEPA(metric, max_metric_calls=9, gepa_kwargs={"batch_sampler": print}))
same("nothing is left of what was refused", os.path.exists(f"{FOLDER}/bad"), False)
mine = dspy_mpi.Evaluate(devset=data, metric=metric, hosts=1, out=f"{FOLDER}/evaluate", save_as_json=f"{FOLDER}.mine")(Two())
theirs = dspy.Evaluate(devset=data, metric=metric, num_threads=4, display_progress=False, save_as_json=f"{FOLDER}.theirs")(Two())
same("score of dspy.Evaluate", mine.score, theirs.score)
same("the file that it writes", *[json.load(open(f"{FOLDER}.{whose}")) for whose in ("mine", "theirs")])
same("its results", [(e, p.answer, s) for e, p, s in mine.results], [(e, p.answer, float(s)) for e, p, s in theirs.results])
mine = dspy_mpi.evaluate(Housed(), data, metric, hosts=1, out=f"{FOLDER}/house", budget={"calls": 64})
theirs = dspy.Evaluate(devset=data, metric=metric, num_threads=4, display_progress=False)(Housed())
same("a model class of one's own", [p.answer for _, p, _ in mine.results], [p.answer for _, p, _ in theirs.results])
same("it is asked once an example", len(open(f"{FOLDER}.house").readlines()), 2 * len(data))
own = {"house": "mine", "allow_tool_async_sync_conversion": True, "house_key": "hush-hush-7712", "pool": sqlite3.connect(":memory:")}
with dspy.context(**own, num_threads=3, callbacks=[Counts(), Held()]), contextlib.redirect_stderr(io.StringIO()) as words:
    mine = dspy_mpi.evaluate(Settled(), data[:3], metric, hosts=1, out=f"{FOLDER}/settled")
    theirs = dspy.Evaluate(devset=data[:3], metric=metric, display_progress=False)(Settled())
same("what the script has set", [p.answer for _, p, _ in mine.results], [p.answer for _, p, _ in theirs.results])
sent = b"".join(open(f, "rb").read() for f in glob.glob(f"{FOLDER}/settled/**", recursive=True) if os.path.isfile(f))
same("but keys", (b"hush-hush" in sent, "the setting house_key looks like a key" in words.getvalue()), (False, True))
same("and what cannot be", "the setting pool cannot be sent" in words.getvalue(), True)
with dspy.context(**own, num_threads=5), contextlib.redirect_stderr(io.StringIO()):
    again = dspy_mpi.evaluate(Settled(), data[:3], metric, hosts=1, out=f"{FOLDER}/settled")
same("with more threads it is the same job", again.score, mine.score)
modules = [line.split() for line in open(f"{FOLDER}.modules")]
same("its callbacks", sum(pid != str(os.getpid()) and name == "Settled" for pid, name in modules), 3)
when = dspy.Signature("when: datetime.datetime -> answer", custom_types={"datetime": datetime})
dated = [dspy.Example(when=datetime.datetime(2026, 1, 1 + i, tzinfo=datetime.timezone.utc)).with_inputs("when") for i in range(3)]
with contextlib.redirect_stdout(sys.stderr):
    few = [o.BootstrapFewShot(metric=lambda e, p, t=None: True, max_bootstrapped_demos=2, max_labeled_demos=0, **more).compile(
        dspy.Predict(when), trainset=dated) for o, more in ((dspy, {}), (dspy_mpi, {"hosts": 1, "out": f"{FOLDER}/dated"}))]
same("dates in demonstrations", [[d.get("when") for d in p.demos] for p in few], [[e.when for e in dated[:2]]] * 2)
labeled = [o.LabeledFewShot(k=3).compile(Two(), trainset=data).dump_state() for o in (dspy, dspy_mpi)]
same("LabeledFewShot", *labeled)
try:
    import dspy_mpi.search

    dspy_mpi.search.find()
    search = dspy_mpi.Search([3, 4], examples=40, budget=600, seed=1)
    for unit in search:
        search.tell(unit, [float((e * 7 + 3 * unit.candidate) % 10 < 3 + 3 * (unit.levels == (1, 2))) for e in unit.examples])
    same("Search finds the best levels", search.best(), (1, 2))
except OSError as e:
    same(f"Search: {e}", "make search-lib" in str(e), True)
mipro = dspy_mpi.MIPROv2(metric=metric, max_bootstrapped_demos=1, max_labeled_demos=1, runs=40, hosts=1, out=f"{FOLDER}/mipro")
compiled = mipro.compile(Two(), trainset=data)
same("MIPROv2's program is one", type(compiled), Two)
same("MIPROv2 has what it tried", compiled.candidate_programs[0]["score"] >= compiled.candidate_programs[-1]["score"], True)
same("and those with all examples apart", {c["n"] for c in compiled.candidate_programs}, {max(c["n"] for c in compiled.candidate_programs)})


def broken(example, prediction, trace=None):
    return prediction.nothing


os.chdir(FOLDER)
folders = set()
for more in ({}, {"num_threads": 3}, {"hosts": 1}, {"max_errors": 60}):
    compiled = dspy_mpi.BootstrapFewShot(metric=metric, **{"hosts": 2, **more}).compile(Two(), trainset=data)
    folders.add(compiled.dspy_mpi["out"])
with dspy.context(lm=dspy.LM("openai/task", api_base=URL.replace("127.0.0.1", "localhost"), api_key="none", cache=False)):
    folders.add(dspy_mpi.BootstrapFewShot(metric=metric).compile(Two(), trainset=data).dspy_mpi["out"])
same("servers, threads and processes make no other run", len(folders), 1)
dspy_mpi.BootstrapFewShot(metric=metric, hosts=1, fresh=True).compile(Two(), trainset=data)
same("fresh starts over", os.path.exists(f"{folders.pop()}.1/program.json"), True)
refused("a metric of the script that fails", "(others.py:", lambda: dspy_mpi.BootstrapFewShot(metric=broken, hosts=1).compile(Two(), trainset=data))
with dspy.context(lm=dspy.LM("gpt-4.1-mini", api_base=URL, api_key="none", cache=False)):
    compiled = dspy_mpi.BootstrapFewShot(metric=metric, hosts=1).compile(Two(), trainset=data)
same("a model that DSPy knows without its provider", compiled.dspy_mpi["status"], "done")
with dspy.context(lm=dspy.LM("llama", api_base=URL, api_key="none", cache=False)):
    refused("one that it does not know", "'llama' names no provider: write openai/llama", lambda: dspy_mpi.BootstrapFewShot(
        metric=metric).compile(Two(), trainset=data))
with dspy.context(lm=dspy.LM("openai/task", api_base=URL, api_key="none", cache=False)):
    refused("GEPA without its model", "give reflection_lm=dspy.LM(...)", lambda: dspy_mpi.GEPA(metric, max_metric_calls=9).compile(
        Two(), trainset=data))
    refused("a class for a program", "give Two(), not Two", lambda: dspy_mpi.BootstrapFewShot(metric=metric).compile(Two, trainset=data))
with contextlib.redirect_stdout(sys.stderr):
    few = [o.BootstrapFewShot(metric=lambda e, p, t=None: True, max_bootstrapped_demos=2, max_labeled_demos=0, **more).compile(
        Shows(), trainset=data) for o, more in ((dspy, {}), (dspy_mpi, {"hosts": 1}))]
same("code and tracebacks of the script", *[[dict(d) for d in p.p.demos] for p in few])
same("which are there", ["raise ValueError(word)" in d[k] for d in few[1].p.demos for k in ("code", "error")], [True] * 4)
main = sys.modules["__main__"]
sys.path.append(FOLDER)
file, main.__file__ = main.__file__, f"{FOLDER}/changed.py"
for text in ("one = 1\n", "two = 2\n"):
    with open(main.__file__, "w") as f:
        f.write(text)
    again = dspy_mpi.BootstrapFewShot(metric=metric, hosts=1).compile(Two(), trainset=data).dspy_mpi
os.remove(main.__file__)
gone = dspy_mpi.BootstrapFewShot(metric=metric, hosts=1).compile(Two(), trainset=data).dspy_mpi
main.__file__ = file
same("the script's other lines make no other run, and its file may be elsewhere", [again["status"], gone["out"]], ["done", again["out"]])
