"""optimizers.json: whole runs of DSPy's optimizers in the planted world of its `_rule`."""
import random
import re

from planted import Planted, chat, output_fields, question, quiet

import dspy
from dspy.teleprompt import BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot, MIPROv2
from dspy.teleprompt.utils import create_n_fewshot_demo_sets

LOGGED = ("_predictor_instruction", "_predictor_demos", "mb_score", "full_eval_score", "total_eval_calls_so_far")


def rule(messages, settings):
    fields = output_fields(messages)
    if "answer" not in fields:  # a call of the proposer: a text of its own for each rollout
        return chat({f: f"Answer, number {settings.get('rollout_id')}." for f in fields})
    n = question(messages)
    shown = sum(m["role"] == "assistant" for m in messages)
    yes = n % 3 != 0 or (n % 6 == 0 and shown >= 6)
    return chat({"reasoning": f"r{n}", "answer": "yes" if yes else "no"})


def failing_rule(messages, settings):
    n, shown = question(messages), sum(m["role"] == "assistant" for m in messages)
    return "no fields" if n % 4 == 1 else chat({"reasoning": f"r{n}", "answer": "yes" if (n + shown) % 3 == 0 else "no"})


def breaking_rule(messages, settings):
    """Under every second instruction half of the answers cannot be read, more than max_errors allows: the trial scores 0."""
    number = re.search(r"Answer, number (\d+)\.", str(messages[0]["content"]))
    if "answer" in output_fields(messages) and number and int(number[1]) % 2 == 0 and question(messages) % 2 == 0:
        return "no fields"
    return rule(messages, settings)


def examples(numbers):
    return [dspy.Example(question=f"q{n}", answer="yes").with_inputs("question") for n in numbers]


TRAIN, VAL = examples(range(20)), examples(range(100, 130))


def metric(example, prediction, trace=None):
    return example.answer == prediction.answer


class TwoPredictors(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a = dspy.ChainOfThought("question -> answer")
        self.b = dspy.ChainOfThought("question, hint -> answer")

    def forward(self, question):
        return self.b(question=question, hint=self.a(question=question).answer)


def one():
    return dspy.ChainOfThought("question -> answer")


def names(demos):
    return [("*" if "augmented" in d else "") + d["question"] for d in demos]


def shown(program):
    return [names(p.demos) for p in program.predictors()]


def labeled(program, k, sample=True):
    return shown(LabeledFewShot(k=k).compile(program, trainset=TRAIN, sample=sample))


def bootstrap(program, b, k):
    return shown(BootstrapFewShot(metric=metric, max_bootstrapped_demos=b, max_labeled_demos=k).compile(program, trainset=TRAIN))


def bootstrap_failing(b, k):
    with dspy.context(lm=Planted(failing_rule)):
        return bootstrap(one(), b, k)


def random_search(b, k, n):
    search = BootstrapFewShotWithRandomSearch(metric=metric, max_bootstrapped_demos=b, max_labeled_demos=k, num_candidate_programs=n, num_threads=1)
    best = search.compile(one(), trainset=TRAIN, valset=VAL)
    return {
        "best": shown(best),
        "candidates_sorted": [{"seed": c["seed"], "score": c["score"], "demos": shown(c["program"])} for c in best.candidate_programs],
    }


def demo_sets(n, seed):
    sets = create_n_fewshot_demo_sets(
        student=one(), num_candidate_sets=n, trainset=TRAIN, max_labeled_demos=4, max_bootstrapped_demos=4,
        metric=metric, teacher_settings={}, rng=random.Random(seed),
    )  # fmt: skip
    return [names(s) for s in sets[0]]


def mipro(program, candidates, trials, size=35, steps=5, seed=9, **more):
    demos = {k: more.pop(k) for k in list(more) if k.startswith("max_")}
    search = MIPROv2(metric=metric, auto=None, num_candidates=candidates, seed=seed, num_threads=1, **demos)
    best = search.compile(program, trainset=TRAIN, valset=VAL, num_trials=trials, minibatch_size=size, minibatch_full_eval_steps=steps, **more)
    logged = {str(t): {k: v for k, v in log.items() if k.endswith(LOGGED)} for t, log in best.trial_logs.items()}
    return {
        "trial_logs": logged,
        "score": best.score,
        "best_demos": shown(best),
        "full_scores_desc": [c["score"] for c in best.candidate_programs],
        "mb_scores_desc": [c["score"] for c in best.mb_candidate_programs],
    }


def mipro_breaking(*numbers, **more):
    with dspy.context(lm=Planted(breaking_rule)):
        return mipro(one(), *numbers, **more)


RUNS = {
    "labeled_k4": lambda: labeled(one(), 4),
    "labeled_k3_nosample": lambda: labeled(one(), 3, sample=False),
    "bootstrap_b4_l16": lambda: bootstrap(one(), 4, 16),
    "bootstrap_b4_l4": lambda: bootstrap(one(), 4, 4),
    "bootstrap_b3_l3": lambda: bootstrap(one(), 3, 3),
    "bootstrap_b8_l4": lambda: bootstrap(one(), 8, 4),
    "bootstrap_failing_b5_l12": lambda: bootstrap_failing(5, 12),
    "labeled_two_predictors_k3": lambda: labeled(TwoPredictors(), 3),
    "random_search_b4_l8_n5": lambda: random_search(4, 8, 5),
    "mipro_demo_sets_n6_rng9_fresh": lambda: demo_sets(6, 9),
    "mipro_auto_none_k4_T7_mb10_s3_seed9": lambda: mipro(one(), 4, 7, 10, 3),
    "bootstrap_two_predictors_b3_l5": lambda: bootstrap(TwoPredictors(), 3, 5),
    "mipro_auto_none_k5_T24_mb10_s4_seed3": lambda: mipro(one(), 5, 24, 10, 4, seed=3),
    "mipro_zeroshot_auto_none_k6_T15_full_seed9": lambda: mipro(one(), 6, 15, minibatch=False, max_bootstrapped_demos=0, max_labeled_demos=0),
    "mipro_failing_k6_T10_full_seed9": lambda: mipro_breaking(6, 10, minibatch=False, max_bootstrapped_demos=0, max_labeled_demos=0),
    "mipro_failing_k6_T12_mb22_s4_seed9": lambda: mipro_breaking(6, 12, 22, 4, max_bootstrapped_demos=0, max_labeled_demos=0),
    "mipro_two_predictors_auto_none_k4_T14_mb12_s5_seed9": lambda: mipro(TwoPredictors(), 4, 14, 12, 5),
}


def optimizers(was):
    made = {}
    with dspy.context(lm=Planted(rule)), quiet():
        for key, value in was.items():
            made[key] = value if key.startswith("_") else RUNS[key]()
    return made


MAKERS = {"optimizers": optimizers}
