"""rng.json: Python's random stream, what MIPROv2 draws from it, and the draws of Optuna's TPE."""
import random

import optuna
from planted import Planted, chat, output_fields, quiet
from runs import examples, metric, one

import dspy
from dspy.teleprompt import MIPROv2

optuna.logging.set_verbosity(optuna.logging.CRITICAL)
SHOWN = 10  # of a subset of examples
SHUFFLED = 8  # of an order of examples


def seeded(seed):
    return random.Random(int(seed))


def python_streams(was):
    made = {
        "getrandbits32": {s: [r.getrandbits(32) for _ in old] for s, old in was["getrandbits32"].items() for r in [seeded(s)]},
        "random": {s: [r.random() for _ in old] for s, old in was["random"].items() for r in [seeded(s)]},
        "sample": [{**e, "out": seeded(e["seed"]).sample(range(e["n"]), e["k"])} for e in was["sample"]],
        "randint_1_4": {s: seeded(s).randint(1, 4) for s in was["randint_1_4"]},
        "randint_0_1e9": {s: [r.randint(0, 10**9) for _ in old] for s, old in was["randint_0_1e9"].items() for r in [seeded(s)]},
    }
    weighted, six = seeded(3), seeded(9)
    made["choices_seed3_w127"] = [weighted.choices(range(3), [1, 2, 7])[0] for _ in was["choices_seed3_w127"]]
    below_0 = seeded(5)  # GEPA's weights are means
    made["choices_seed5_below_0"] = [below_0.choices(range(5), [0.4, -0.3, 0.2, -0.1, 0.3])[0] for _ in was["choices_seed5_below_0"]]
    made["choice6_seed9"] = [six.choice(range(6)) for _ in was["choice6_seed9"]]
    made["shuffle"] = []
    for e in was["shuffle"]:
        out = list(range(len(e["out"])))
        seeded(e["seed"]).shuffle(out)
        made["shuffle"].append({**e, "out": out})
    return made


# ---- MIPROv2: its random numbers, as it draws them


class Enough(BaseException):
    """What is recorded has been drawn."""


class Recorded(random.Random):
    """Notes what MIPROv2 asks of it; a call that another one makes of itself is no draw of MIPROv2's."""

    def __init__(self, seed):
        self.notes, self.inside = [], False
        super().__init__(seed)

    def noted(self, what, given, draw):
        if self.inside:
            return draw()
        self.inside = True
        try:
            result = draw()
        finally:
            self.inside = False
        self.notes.append((what, list(given) if result is None else result))
        return result

    def sample(self, population, k):
        result = self.noted("sample", population, lambda: super(Recorded, self).sample(population, k))
        if sum(what == "sample" for what, _ in self.notes) == 3:
            raise Enough  # the subset and two minibatches
        return result

    def shuffle(self, x):
        self.noted("shuffle", x, lambda: super(Recorded, self).shuffle(x))

    def randint(self, a, b):
        return self.noted("randint", (a, b), lambda: super(Recorded, self).randint(a, b))

    def choice(self, seq):
        return self.noted("choice", seq, lambda: super(Recorded, self).choice(seq))


class RecordedMIPRO(MIPROv2):
    def _set_random_seeds(self, seed):
        super()._set_random_seeds(seed)
        self.rng = Recorded(seed)


def number(example):
    return int(example.question[1:])


def recorded_run(n, auto, program, zero_shot):
    """What MIPROv2 draws in a compilation on n examples, as (what, result)."""
    right = Planted(lambda messages, settings: chat({f: "yes" for f in output_fields(messages)}))
    demos = {"max_bootstrapped_demos": 0, "max_labeled_demos": 0} if zero_shot else {}
    with dspy.context(lm=right), quiet():
        search = RecordedMIPRO(metric=metric, auto=auto, num_threads=1, **demos)
        try:
            search.compile(program, trainset=examples(range(n)))
        except Enough:
            pass
    return search.rng.notes


def mipro_stream(n, auto, predictors=1, zero_shot=False):
    notes = iter(recorded_run(n, auto, Several(predictors) if predictors > 1 else one(), zero_shot))
    what, subset = next(notes)
    assert what == "sample", what
    val = [n - int(0.8 * n) + i for i in subset]
    made = {"valset_first10": val[:SHOWN], "valset_len": len(val), "sets": [], "proposals": []}
    seeds = iter(([-2] if zero_shot else []) + list(range(1000)))
    batches = 0
    for what, result in notes:
        if what == "shuffle":
            made["sets"].append([next(seeds), [number(e) for e in result[:SHUFFLED]], next(notes)[1]])
        elif what == "choice":
            made["proposals"].append([None, None, result, next(notes)[1]])
        elif what == "sample":
            batches += 1
            made[f"minibatch{batches}_idx"] = result[:SHOWN]
    sets = len(made["proposals"]) // predictors
    for i, proposal in enumerate(made["proposals"]):
        proposal[:2] = divmod(i, sets)
    return made


class Several(dspy.Module):
    def __init__(self, n):
        super().__init__()
        self.steps = [dspy.ChainOfThought("question -> answer") for _ in range(n)]

    def forward(self, question):
        return [step(question=question) for step in self.steps][-1]


STREAMS = {
    "mipro_light_130": lambda: mipro_stream(130, "light"),
    "mipro_light_30": lambda: mipro_stream(30, "light"),
    "mipro_medium_600_2preds": lambda: mipro_stream(600, "medium", predictors=2),
    "mipro_zeroshot_130": lambda: mipro_stream(130, "light", zero_shot=True),
}


# ---- Optuna's TPE


def study_of(seed):
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))


def startup(was):
    study, made = study_of(9), []
    for _ in was:
        trial = study.ask()
        made.append([trial.suggest_categorical(f"0_predictor_{p}", range(n)) for p, n in (("instruction", 3), ("demos", 6))])
        study.tell(trial, 0.0)
    return made


def replayed(entry):
    """The study with the values that it was told; as in MIPROv2, an added trial comes before the value of the draw that led to it."""
    study, waiting, made = study_of(entry["seed"]), None, []
    spaces = {name: optuna.distributions.CategoricalDistribution(range(n)) for name, n in entry["params"]}
    for kind, levels, value in entry["steps"]:
        if kind == "draw":
            if waiting:
                study.tell(*waiting)
            trial = study.ask()
            levels = [trial.suggest_categorical(name, range(n)) for name, n in entry["params"]]
            waiting = (trial, value)
        else:
            study.add_trial(optuna.trial.create_trial(params=dict(zip(spaces, levels)), distributions=spaces, value=value))
        made.append([kind, levels, value])
    return {**entry, "steps": made}


def rng(was):
    made = python_streams(was)
    for key in was:
        if key in STREAMS:
            made[key] = STREAMS[key]()
    made["optuna_startup_seed9_3x6"] = startup(was["optuna_startup_seed9_3x6"])
    made["optuna_tpe"] = [replayed(e) for e in was["optuna_tpe"]]
    return {key: made[key] for key in was}


MAKERS = {"rng": rng}
