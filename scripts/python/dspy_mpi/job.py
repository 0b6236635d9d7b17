"""The job file of a script: its folder, its models, what is sent."""
import hashlib
import itertools
import json
import os
import sys

import dspy
from dspy.dsp.utils.settings import DEFAULT_CONFIG

from dspy_mpi import sending
from dspy_mpi.running import say

DIRECT = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "frequency_penalty", "presence_penalty",
          "stop", "user", "logit_bias", "top_k", "min_p", "repetition_penalty", "length_penalty", "min_tokens",
          "stop_token_ids", "ignore_eos", "skip_special_tokens", "include_stop_str_in_output", "reasoning_effort",
          "service_tier", "verbosity", "api_version", "timeout", "num_retries")
ADAPTERS = {"ChatAdapter": "chat", "JSONAdapter": "json", "XMLAdapter": "xml"}
KEY_OF = {"openai": "OPENAI_API_KEY"}
# Of dspy.settings: what the job says itself, and what is one call's or one process's.
OF_A_CALL = ("lm", "adapter", "callbacks", "trace", "branch_idx", "send_stream", "stream_listeners", "usage_tracker", "caller_predict",
             "caller_modules")
# And what changes how fast it goes and what is noted, not what comes of it: with another value it is the same job.
# Callbacks may count what they see.
OF_NO_MATTER = ("callbacks", "num_threads", "async_max_workers", "disable_history", "max_history_size", "track_usage", "provide_traceback")
OF_A_SERVER = ("api_base", "api_key_env", "headers_env", "api_version", "concurrency", "timeout", "num_retries")
SPOKEN = ("openai", "hosted_vllm", "ollama_chat", "anthropic", "azure", "gemini", "embedded")  # by dspy-mpi's own client


# OpenAI's, Anthropic's and Google's models may be asked without their provider, as in DSPy; dspy-host has this too.
BARE = (("openai", ("gpt-", "chatgpt-", "o1", "o3", "o4")), ("anthropic", ("claude-",)), ("gemini", ("gemini-",)))


def need_lm(lm, what="no model"):
    if lm is None:
        raise ValueError(f"{what}: call dspy.configure(lm=dspy.LM(...)) first, as for DSPy's own optimizer")
    if isinstance(lm, str):
        raise TypeError(f"{what}: a dspy.LM is meant, not the text {lm!r}")
    return lm


def is_own_class(lm):
    """One that asks by itself: by its forward, or by an engine that is an object of the script's own."""
    return (not isinstance(lm, dspy.LM) or type(lm).forward is not dspy.LM.forward
            or not isinstance(getattr(lm, "_engine_spec", ""), str))


def model_json(lm, secrets, what):
    """A model as a job file has it: its keys by names of variables, its settings as they are. Of a provider that only
    DSPy's own client speaks it is python/NAME: dspy-mpi has DSPy ask it."""
    secrets.add(lm)
    if is_own_class(lm):
        engine = getattr(lm, "_engine_spec", "")
        kind = type(lm if isinstance(engine, str) else engine).__name__
        raise TypeError(f"{what} ({lm.model}) is a {kind}, a class of your own: a program may have such a model, for "
                        "the others a dspy.LM is meant")
    kind = getattr(lm, "model_type", "chat")
    if kind not in (None, "chat"):
        raise ValueError(f"{what} ({lm.model}) has model_type={kind!r}: dspy-mpi speaks chat alone")
    named = lm.model if "/" in lm.model else next((f"{p}/{lm.model}" for p, begins in BARE if lm.model.startswith(begins)), None)
    if named is None:
        raise ValueError(f"{what}: {lm.model!r} names no provider: write openai/{lm.model} for a server with OpenAI's "
                         f"interface, or another provider's name in place of openai")
    name = named if named.split("/")[0] in SPOKEN else f"python/{named}"
    out, kwargs, more = {"model": name}, dict(getattr(lm, "kwargs", {})), {}
    base = kwargs.pop("api_base", None) or kwargs.pop("base_url", None)
    kwargs.pop("base_url", None)
    if base:
        out["api_base"] = str(base)
    key = kwargs.get("api_key")
    default = KEY_OF.get(named.split("/")[0])
    if key:
        out["api_key_env"] = secrets.variable(key)
    elif base and default and os.environ.get(default):
        out["api_key_env"] = default  # where DSPy's client sends it too
    headers = {**(kwargs.get("headers") or {}), **(kwargs.get("extra_headers") or {})}
    if headers:
        out["headers_env"] = {name: secrets.variable(value) for name, value in headers.items()}
    for name, value in sending.without_secrets(kwargs).items():
        if value is None:
            continue
        if name in DIRECT:
            out[name] = value
        elif name == "extra_body":
            more.update(value)
        else:
            more[name] = value
    if more:
        out["extra_body"] = more
    if getattr(lm, "cache", True) is False:
        out["cache"] = False
    return out


def adapter_of(job):
    """DSPy's own by name; another one, or one with settings of its own, is sent as it is."""
    adapter = dspy.settings.adapter
    if adapter is None:
        return None
    name = ADAPTERS.get(type(adapter).__name__)
    usual = vars(type(adapter)()) if name else None
    mine = vars(adapter)
    if name and all(mine.get(k) == v for k, v in usual.items() if k != "callbacks"):
        job["adapter"] = name
        return None
    return adapter


def has_secret(name, value):
    parts = value.items() if isinstance(value, dict) else ()
    return bool(value) and (sending.is_secret(name, value) or any(has_secret(str(k), v) for k, v in parts))


def settings_of():
    """What the script has set by dspy.configure, or by the dspy.context around the call, and what it has there of its own."""
    out = {}
    for name, value in dspy.settings.copy().items():
        usual = DEFAULT_CONFIG.get(name)
        if name in OF_A_CALL or value is usual or (name in DEFAULT_CONFIG and value == usual):
            continue
        if has_secret(name, value):
            say(f"the setting {name} looks like a key: it is not sent to other processes; read it from the environment where it is used")
        elif name not in DEFAULT_CONFIG and not sending.picklable(value):
            say(f"the setting {name} cannot be sent to other processes: it is not set there")
        else:
            out[name] = value
    callbacks = []
    for c in dspy.settings.get("callbacks") or []:
        if sending.picklable(c):
            callbacks.append(c)
        else:
            say(f"the callback {type(c).__name__} cannot be sent to other processes: it is not called there")
    return {**out, **({"callbacks": callbacks} if callbacks else {})}


def own_models(job, secrets, lm):
    """The models that the program and the metric have beside the job's: found when they were written."""
    named = {job["lm"]["model"]: job["lm"]}
    for other in secrets.models:
        if other is lm or any(other is m for m in secrets.of_roles):
            continue
        if is_own_class(other):  # sent with the program, and asked by it when the rank says so
            m = {"model": f"python/{other.model}"}
        else:
            m = model_json(other, secrets, "a model of the program's own")
        known = named.get(m["model"])
        where = ("api_base", "api_key_env", "headers_env")
        if known is not None:
            if any(known.get(k) != m.get(k) for k in where):
                raise ValueError(f"the model {m['model']} is there twice, with another address or key: dspy-mpi tells models by "
                                 "their names")
            continue
        named[m["model"]] = m
        job.setdefault("lms", {})[f"own{len(named) - 1}"] = {k: m[k] for k in ("model", *where) if k in m}


def defining(job):
    """What makes it another run: neither its servers nor how many calls, processes and errors it may have."""
    def model(m):
        return {k: v for k, v in m.items() if k not in OF_A_SERVER}

    out = {k: v for k, v in job.items() if k not in ("python", "budget", "max_errors")}
    out["program"] = {k: v for k, v in job["program"].items() if k not in ("hosts", "path")}
    out["lm"] = model(job.get("lm", {}))
    out["lms"] = {name: model(m) for name, m in job.get("lms", {}).items()}
    return out


def budget_json(budget):
    if isinstance(budget, dict):
        return budget
    if isinstance(budget, str) and budget.startswith("$"):
        return {"cost": budget}
    if isinstance(budget, (int, str)) and not isinstance(budget, bool):
        return {"calls": budget}
    raise TypeError('budget: {"calls": 5000, "tokens": "50M", "cost": "$20", "time": "3h50m"}, "$20", or a number of calls')


def ranks_of(given):
    """None: one process, without MPI. A batch script says in DSPY_MPI_RANKS how many there are where the call does not."""
    where, ranks = ("ranks", given) if given is not None else ("DSPY_MPI_RANKS", os.environ.get("DSPY_MPI_RANKS") or None)
    if given is None and ranks is not None and ranks.isdecimal():
        ranks = int(ranks)
    if ranks is not None and (not isinstance(ranks, int) or isinstance(ranks, bool) or ranks < 1):
        raise ValueError(f"{where}: {ranks!r} is no number of ranks")
    return ranks


class Job:
    """One run: what it is given, the folder of its files, the words of its command."""

    def __init__(self, name, program, out, ranks, hosts, budget):
        self.name, self.out, self.ranks, self.secrets = name, out, ranks_of(ranks), sending.Secrets()
        self.secrets.take_environment()
        self.things = dict.fromkeys(sending.SENT)
        self.json = {"program": {"python": "sent.py:program"}, "python": sys.executable}
        self.program, self.state_files, self.lm = program, {}, None
        if hosts is not None:
            self.json["program"]["hosts"] = hosts
        if budget is not None:
            self.json["budget"] = budget_json(budget)

    def models(self, lm, **roles):
        self.lm = need_lm(lm)
        self.secrets.of_roles = [m for m in roles.values() if m is not None]
        self.json["lm"] = model_json(self.lm, self.secrets, "the model")
        for role, other in roles.items():
            if other is not None and other is not self.lm:
                self.json.setdefault("lms", {})[role] = model_json(need_lm(other, role), self.secrets, f"the {role} model")

    def concurrency(self, n):
        if n is not None:
            for m in [self.json["lm"], *self.json.get("lms", {}).values()]:
                m["concurrency"] = n

    def send(self, metric=None, **sets):
        program = self.program.deepcopy()
        for mine, sent in zip(self.program.predictors(), program.predictors()):
            if mine.lm is self.lm:
                sent.lm = None
        self.things.update(program=program, metric=metric)
        for name, examples in sets.items():
            if examples is not None:
                self.things[name] = list(examples)
                self.json[name] = {"python": f"sent.py:{name}"}
        if metric is not None:
            self.json["metric"] = {"python": "sent.py:metric"}
        adapter = adapter_of(self.json)
        self.things["settings"] = {**settings_of(), **({"adapter": adapter} if adapter is not None else {})}

    def write(self, anew=False):
        """job/ within the folder, which is named after what is in it where the script names none. anew: what is in that
        is moved aside."""
        things = {**self.things, "source": sending.source_of(self.program, self.secrets)}
        data = sending.pickled(things, self.secrets)
        own_models(self.json, self.secrets, self.lm)
        self.json["program"]["path"] = sending.folders()
        lasting = {k: v for k, v in things["settings"].items() if k not in OF_NO_MATTER}
        mark = sending.fingerprint({**things, "settings": lasting}, self.secrets)
        if self.out is None:
            told = json.dumps(defining(self.json), sort_keys=True, default=str)
            told += mark + "".join(self.state_files.values())
            self.out = os.path.join("dspy-mpi-runs", f"{self.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}")
        self.out = os.path.abspath(self.out)
        if anew and os.path.exists(self.out):
            aside = next(name for name in (f"{self.out}.{n}" for n in itertools.count(1)) if not os.path.exists(name))
            os.rename(self.out, aside)
            say(f"what was in {os.path.relpath(self.out)} is in {os.path.relpath(aside)} now")
        folder = os.path.join(self.out, "job")
        os.makedirs(folder, exist_ok=True)
        names = tuple(n for n in sending.SENT if self.things[n] is not None)
        sending.put(os.path.join(folder, "sent.pkl"), data)
        sending.put(os.path.join(folder, "sent.py"), sending.MODULE.format(fingerprint=mark, names=names).encode())
        for name, text in self.state_files.items():
            sending.put(os.path.join(folder, name), self.secrets.masked(text).encode())
        text = json.dumps({**self.json, "out": ".."}, indent=1)
        sending.put(os.path.join(folder, "job.json"), self.secrets.masked(text).encode() + b"\n")
        return os.path.join(folder, "job.json")

    def words(self, command, *more):
        launch = [] if self.ranks is None else ["launch", "-n", str(self.ranks)]
        return [*launch, command, os.path.join(self.out, "job", "job.json"), f"--out={self.out}", *more]

    def where(self):
        """For the first line: how it runs, and where."""
        n = self.ranks
        place = "one process" if n is None else "1 rank" if n == 1 else f"{n} ranks"
        return f"on {place}; results in {os.path.relpath(self.out)}"


