"""What DSPy itself compiles on the answers of rule.py: dspys.py MODULE OPTIMIZER OUT [PARAMETERS]
or how it saves a file again that it has loaded: dspys.py MODULE load OUT FILE

Writes the state that program.save gives, without its versions, and the hashes of the prompts of the winner's evaluation
on the training set: as it was compiled, and once its file was loaded. Types of the program's own are text in a file, and an
adapter may write text otherwise than the value. IN_ORDER=1: what the program hands to a pool of threads runs one after another,
in the order in which it was handed over; DSPy's own traces are in the order in which threads happen to end.
"""
import hashlib
import importlib
import json
import os
import sys

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would wait for a network
sys.path.insert(0, os.getcwd())
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
import dspy
import rule

try:
    from dspy.clients import execution
except ImportError:  # before 3.4
    execution = None

SEEN = []
OF_COMPILE = ("num_trials", "minibatch", "minibatch_size", "minibatch_full_eval_steps")


def answer(lm, settings, messages):
    request = {k: v for k, v in settings.items() if v is not None and k in ("n", "temperature", "tools", "tool_choice")}
    request["messages"] = json.loads(json.dumps(messages))
    request["model"] = lm.model
    SEEN.append(hashlib.sha256(json.dumps(request["messages"], sort_keys=True).encode()).hexdigest()[:16])
    return json.loads(json.dumps(rule.body(request)))


def into_execution():
    from dspy.clients.call_result import CallResult, attributes

    run_here = execution.execute

    def execute(lm, call):
        if not call.managed:
            return run_here(lm, call)
        return CallResult.legacy(lm, attributes(answer(lm, call.legacy, call.legacy["messages"])), kwargs=call.legacy)

    async def aexecute(lm, call):
        return execute(lm, call)

    execution.execute, execution.aexecute = execute, aexecute


class Response(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @classmethod
    def of(cls, value):
        if isinstance(value, dict):
            return cls((k, cls.of(v)) for k, v in value.items())
        return [cls.of(v) for v in value] if isinstance(value, list) else value


def into_lm():
    def forward(self, prompt=None, messages=None, **kwargs):
        messages = messages or [{"role": "user", "content": prompt}]
        return Response.of(answer(self, {**self.kwargs, **kwargs}, messages))

    async def aforward(self, prompt=None, messages=None, **kwargs):
        return forward(self, prompt, messages, **kwargs)

    dspy.LM.forward, dspy.LM.aforward = forward, aforward


def one_after_another():
    from concurrent.futures import ThreadPoolExecutor, wait

    submit = ThreadPoolExecutor.submit

    def submit_and_wait(self, function, /, *args, **kwargs):
        future = submit(self, function, *args, **kwargs)
        wait([future])
        return future

    ThreadPoolExecutor.submit = submit_and_wait


def write(out, program, **more):
    state_file = out + ".state.json"  # what DSPy loads has to end so
    program.save(state_file)
    with open(state_file) as f:
        state = json.load(f)
    state.pop("metadata", None)
    with open(out, "w") as f:
        json.dump({"state": state, **more}, f)


def each_of_all():
    """Before 3.4 DSPy drew a predictor's labelled demonstrations from those of the predictor before it."""
    import random

    def train(self):
        rng, rest = random.Random(0), self.validation
        for name, predictor in self.student.named_predictors():
            made = self.name2traces[name][:self.max_bootstrapped_demos]
            n = max(0, min(self.max_labeled_demos - len(made), len(rest)))
            predictor.demos = made + rng.sample(rest, n)
        return self.student

    dspy.BootstrapFewShot._train = train


def fixed_proposals(names):
    """Instructions as dspy-mpi is given them, since it has words of its own for the proposer; all that is drawn is drawn."""
    from dspy.propose.grounded_proposer import GroundedProposer

    def propose(self, pred_i, demo_set_i, **_):
        self.rng.randint(0, 10**9)
        return f"{names[pred_i]}: do it in way {demo_set_i}."

    GroundedProposer.propose_instruction_for_predictor = propose


def asked(evaluate, program):
    """Its score, and the hashes of what it asked."""
    SEEN.clear()
    try:
        score = evaluate(program)
        score = getattr(score, "score", score)  # before 3.0 a number
    except Exception as e:
        score = repr(e)
    return score, sorted(SEEN)


def main():
    name, optimizer, out = sys.argv[1:4]
    if os.environ.get("IN_ORDER"):
        one_after_another()
    if tuple(map(int, dspy.__version__.split(".")[:2])) < (3, 4):
        each_of_all()
    (into_execution if execution is not None and hasattr(execution, "execute") else into_lm)()
    if hasattr(dspy, "configure_cache"):
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    module = importlib.import_module(name)
    settings = getattr(module, "settings", {})
    dspy.configure(lm=dspy.LM("openai/task", cache=False, **settings))
    program = module.program if isinstance(module.program, dspy.Module) else module.program()
    if optimizer == "load":  # dspys.py MODULE load OUT FILE
        program.load(sys.argv[4])
        return write(out, program)
    if not hasattr(type(program), "forward"):
        program = dspy.syncify(program)
    names = [name for name, _ in program.named_predictors()]
    metric = module.metric
    if os.environ.get("METRIC"):
        metric = getattr(importlib.import_module(os.environ["METRIC"]), "metric")
    scalar = lambda e, p, trace=None: getattr(metric(e, p, trace), "score", None)  # noqa: E731
    if hasattr(module, "scalar"):
        metric = scalar
    more = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    fixed = dict(max_errors=999, **more)
    compile_with = {}
    if optimizer in ("BootstrapFewShotWithRandomSearch", "MIPROv2"):
        fixed["num_threads"] = 1
    if optimizer == "MIPROv2":
        compile_with = {k: fixed.pop(k) for k in OF_COMPILE if k in fixed}
        fixed_proposals(names)
    if optimizer == "GEPA":
        fixed.pop("max_errors")
        fixed.update(num_threads=1, reflection_lm=dspy.LM("openai/writer", cache=False))
        compile_with = {"valset": module.trainset}
    if optimizer == "LabeledFewShot":
        fixed = more
        compiled = dspy.LabeledFewShot(**fixed).compile(program, trainset=module.trainset)
    else:
        compiled = getattr(dspy, optimizer)(metric=metric, **fixed).compile(program, trainset=module.trainset, **compile_with)
    evaluate = dspy.Evaluate(devset=module.trainset, metric=metric, num_threads=1, max_errors=999, display_progress=False)
    score, prompts = asked(evaluate, compiled)
    again = compiled.deepcopy()
    write(out, again, score=score, prompts=prompts)
    again.load(out + ".state.json")
    write(out, compiled, score=score, prompts=prompts, prompts_loaded=asked(evaluate, again)[1], predictors=names, settings=settings)


main()
