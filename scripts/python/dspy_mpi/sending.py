"""What a script made (program, metric, examples), in a file that the processes of a run read.

Classes and functions of __main__ or of a notebook go by value, those of modules by name. Keys do not
go at all: each is left in the environment of the command that is started, and a name of a variable
stands in its place.
"""
import functools
import hashlib
import inspect
import io
import itertools
import linecache
import os
import re
import sys
import types
import typing

import cloudpickle
import dspy
from cloudpickle.cloudpickle import _code_reduce, _extract_code_globals, _should_pickle_by_reference
from dspy.predict.parameter import Parameter

VARIABLE = "DSPY_MPI_KEY_"
KEPT = "kept-by-dspy-mpi"
SHORTEST = 8  # characters; "none" and "local" are no secrets, and stand in many texts
# As in dspy-host: the names of a client's keys, and headers, in which gateways' keys are.
SECRET = re.compile(r"(^|_)(key|key_id|token|token_provider|secret|password|passphrase|credentials?|headers|authorization)$")
NO_SECRET = ("prompt_cache_key",)
NO_FILE = "<dynamic-code>"  # what cloudpickle has in place of the file that code comes from
SENT = ("program", "metric", "trainset", "valset", "testset", "settings")  # the names in the file
MODULE = '''"""Written by dspy_mpi: what the script made, for the processes of this run."""
FINGERPRINT = "{fingerprint}"


def __getattr__(name):
    from dspy_mpi.sending import receive

    if name not in {names!r}:
        raise AttributeError(name)
    return receive(__file__)[name]
'''


class CannotSend(TypeError):
    """Something of the script's cannot go to other processes; the message names it."""


def parts_of_state(lm):
    state = dict(lm.__getstate__() or {}) if hasattr(lm, "__getstate__") else dict(vars(lm))
    state["history"] = []
    return state


def is_secret(name, value):
    """A function that makes tokens is none: that it cannot be sent is said."""
    return name not in NO_SECRET and SECRET.search(name.lower().replace("-", "_")) is not None and not callable(value)


def without_secrets(kwargs):
    return {k: v for k, v in kwargs.items() if not is_secret(k, v)}


class Secrets:
    """The variable of each secret, and the models that they are of."""

    def __init__(self):
        self.variables, self.models, self.of_roles = {}, [], []

    def variable(self, value):
        value = str(value)
        if value not in self.variables:
            self.variables[value] = f"{VARIABLE}{len(self.variables) + 1}"
        return self.variables[value]

    def take_environment(self):
        """Keys there may stand in the program's texts too; they have names already."""
        for name, value in os.environ.items():
            if ("API_KEY" in name or "_TOKEN" in name or "SECRET" in name) and len(value) >= 2 * SHORTEST:
                self.variables.setdefault(value, name)

    def add(self, lm):
        if any(lm is other for other in self.models):
            return
        self.models.append(lm)
        for name, value in getattr(lm, "kwargs", {}).items():
            if is_secret(name, value):
                for secret in value.values() if isinstance(value, dict) else [value]:
                    if secret:
                        self.variable(secret)

    def environment(self):
        return {name: value for value, name in self.variables.items() if name.startswith(VARIABLE)}

    def in_text(self, text):
        """The secrets in it, longest first."""
        found = [s for s in self.variables if len(s) >= SHORTEST and s in text]
        return sorted(found, key=len, reverse=True)

    def masked(self, text):
        for secret in self.in_text(text):
            text = text.replace(secret, KEPT)
        return text


# ---- there ----


def revived(cls, state):
    lm = cls.__new__(cls)
    if hasattr(lm, "__setstate__"):
        lm.__setstate__(state)
    else:
        lm.__dict__.update(state)
    return lm


@functools.lru_cache(maxsize=None)
def receive(module_file):
    """What was sent, in a process of the run; a key that stood there is only a word here."""
    with open(os.path.join(os.path.dirname(os.path.abspath(module_file)), "sent.pkl"), "rb") as f:
        sent = cloudpickle.load(f)
    for name, thing in sent["main"].items():
        setattr(sys.modules["__main__"], name, thing)
    if sent["file"]:
        sys.modules["__main__"].__file__ = sent["file"]
    for name, lines in sent["texts"].items():  # as a notebook keeps a cell's: for tracebacks, and for what looks at a function's source
        text = [lines.get(n, "\n") for n in range(1, max(lines) + 1)]
        linecache.cache[name] = sum(map(len, text)), None, text, name
    if sent["settings"]:
        dspy.settings.configure(**sent["settings"])
    sent["program"].dspy_mpi_source = sent["source"]  # inspect would not find a class of __main__ here
    return sent


# ---- here ----


class Pickler(cloudpickle.Pickler):
    """main: what was met of the script's own classes and functions. pickle looks for them in __main__ there too, and DSPy
    draws by what pickle makes of a predictor's demonstrations. texts: their files, which agents show in tracebacks."""

    def __init__(self, file, secrets):
        super().__init__(file)
        self.secrets, self.main, self.texts = secrets, {}, {}

    def reducer_override(self, thing):
        if isinstance(thing, types.CodeType):
            return self.code(thing)
        if isinstance(thing, dspy.BaseLM):
            self.secrets.add(thing)
            state = parts_of_state(thing)
            if isinstance(state.get("kwargs"), dict):
                state["kwargs"] = without_secrets(state["kwargs"])
            return revived, (type(thing), state)
        name = getattr(thing, "__name__", None)
        if name and getattr(thing, "__module__", None) == "__main__" and getattr(sys.modules["__main__"], name, None) is thing:
            self.main[name] = thing
            if isinstance(thing, type):
                self.note(getattr(sys.modules["__main__"], "__file__", None), thing)
        return super().reducer_override(thing)


    def note(self, name, thing):
        """Its lines of the script or cell; the others, which may hold anything, stay here."""
        if name is None or (name != getattr(sys.modules["__main__"], "__file__", None) and os.path.exists(name)):
            return  # a module's
        try:
            lines, first = inspect.getsourcelines(thing)
        except (OSError, TypeError, SyntaxError):
            return
        self.texts.setdefault(name, {}).update(zip(itertools.count(max(first, 1)), lines))

    def code(self, thing):
        """cloudpickle leaves the file's name out."""
        make, arguments = _code_reduce(thing)
        name = thing.co_filename
        self.note(name, thing)
        return make, tuple(name if a == NO_FILE else a for a in arguments)


def hide(data, secrets):
    """Each secret's bytes in the pickle by as many others: a text keeps its length, and so the file its form."""
    for secret in sorted(secrets.variables, key=len, reverse=True):
        raw = secret.encode("utf-8", "surrogatepass")
        if len(secret) >= SHORTEST and raw in data:
            data = data.replace(raw, (KEPT * (len(raw) // len(KEPT) + 1))[: len(raw)].encode())
    return data


def culprit(thing, path, depth=0):
    """The innermost part that cannot be pickled, as one would write it, and its type."""
    if isinstance(thing, types.FunctionType) and not _should_pickle_by_reference(thing):
        names = _extract_code_globals(thing.__code__)
        parts = [(f"{path}: the global {n}", thing.__globals__[n]) for n in names if n in thing.__globals__]
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or ())
        parts += [(f"{path}: {n}", c.cell_contents) for n, c in cells if not is_empty(c)]
    elif isinstance(thing, type):
        parts = [(f"{path}.{n}", v) for n, v in vars(thing).items() if isinstance(v, types.FunctionType)]
    elif isinstance(thing, dict):
        parts = [(f"{path}[{n!r}]", v) for n, v in thing.items()]
    elif isinstance(thing, (list, tuple)):
        parts = [(f"{path}[{n}]", v) for n, v in enumerate(thing)]
    elif isinstance(thing, dspy.Example):
        parts = [(f"{path}.{n}", v) for n, v in thing.items()]
    else:
        parts = [(f"{path}.{n}", v) for n, v in getattr(thing, "__dict__", {}).items()]
        if not _is_by_reference(type(thing)):
            parts.append((path, type(thing)))
    for name, part in parts if depth < 8 else ():
        if not picklable(part):
            return culprit(part, name, depth + 1)
    return f"{path} ({type(thing).__name__})"


def is_empty(cell):
    try:
        cell.cell_contents
    except ValueError:
        return True
    return False


def picklable(thing):
    try:
        Pickler(io.BytesIO(), Secrets()).dump(thing)
        return True
    except Exception:
        return False


def pickled(things, secrets):
    buffer = io.BytesIO()
    pickler = Pickler(buffer, secrets)
    try:
        file = getattr(sys.modules["__main__"], "__file__", None)
        pickler.dump({**things, "file": file and os.path.abspath(file), "main": pickler.main, "texts": pickler.texts})  # both are full by then
    except Exception as e:
        for name, thing in things.items():
            if not picklable(thing):
                raise CannotSend(f"{culprit(thing, name)} cannot be sent to other processes ({e}): make it where it is "
                                 "used, in forward or in a module that forward imports") from e
        raise
    return hide(buffer.getvalue(), secrets)


def source_of(program, secrets):
    """What MIPROv2's proposer sees; it is found here, where a notebook's cells are."""
    try:
        import contextlib

        from dspy.propose.utils import get_dspy_source_code

        with contextlib.redirect_stdout(io.StringIO()):
            return secrets.masked(get_dspy_source_code(program))
    except Exception:
        return None


def _is_by_reference(thing):
    try:
        return bool(_should_pickle_by_reference(thing))
    except Exception:
        return True


def put(path, data):
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)


# ---- the fingerprint ----


class Walk:
    """A hash of what objects mean. A pickle's bytes differ from run to run; this does not, and where code is
    by value only its meaning counts, not its layout, its comments or its place."""

    SKIPPED = {"history", "callbacks", "__dict__", "__weakref__", "__module__", "__firstlineno__", "_abc_impl",
               "__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__", "__orig_bases__"}

    def __init__(self, secrets):
        self.secrets, self.hash, self.seen, self.kept = secrets, hashlib.sha256(), {}, []

    def put(self, *words):
        for word in words:
            data = str(word).encode("utf-8", "surrogatepass")
            self.hash.update(b"%d:" % len(data))
            self.hash.update(data)

    def items(self, kind, things):
        things = list(things)
        self.put(kind, len(things))
        for thing in things:
            self.walk(thing)

    def alone(self, thing):
        w = Walk(self.secrets)
        w.walk(thing)
        return w.hash.hexdigest()

    def walk(self, thing):
        if thing is None or isinstance(thing, (bool, int, float, complex, bytes)) and type(thing).__module__ == "builtins":
            return self.put(type(thing).__name__, repr(thing))
        if type(thing) is str:
            return self.put("str", self.secrets.masked(thing))
        if id(thing) in self.seen:
            return self.put("again", self.seen[id(thing)])
        self.seen[id(thing)] = len(self.seen)
        self.kept.append(thing)
        if type(thing) in (list, tuple):
            return self.items(type(thing).__name__, thing)
        if type(thing) is dict:
            return self.items("dict", [part for item in thing.items() for part in item])
        if type(thing) in (set, frozenset):
            return self.put("set", *sorted(self.alone(x) for x in thing))
        if isinstance(thing, types.CodeType):
            return self.code(thing)
        if isinstance(thing, types.FunctionType):
            return self.function(thing)
        if isinstance(thing, type):
            return self.type(thing)
        if isinstance(thing, types.ModuleType):
            return self.put("module", thing.__name__)
        if isinstance(thing, (staticmethod, classmethod)):
            return self.items(type(thing).__name__, [thing.__func__])
        if isinstance(thing, property):
            return self.items("property", [thing.fget, thing.fset])
        if isinstance(thing, types.MethodType):
            return self.items("method", [thing.__func__, thing.__self__])
        if typing.get_origin(thing) is not None:
            return self.items("generic", [repr(typing.get_origin(thing)), *typing.get_args(thing)])
        if isinstance(thing, dspy.BaseLM):
            state = {k: v for k, v in vars(thing).items() if k in ("model", "model_type", "cache")}
            return self.items("lm", [type(thing), state, without_secrets(getattr(thing, "kwargs", {}))])
        if isinstance(thing, dspy.Example):
            return self.items("example", [type(thing).__name__, dict(thing.items()),
                                          sorted(getattr(thing, "_input_keys", None) or ())])
        return self.object(thing)

    def code(self, c):
        self.put("code", c.co_name, c.co_code.hex(), c.co_names, c.co_varnames, c.co_freevars, c.co_cellvars,
                 c.co_argcount, c.co_kwonlyargcount, c.co_flags)
        self.items("consts", c.co_consts)

    def function(self, f):
        if _is_by_reference(f):
            return self.put("function", f.__module__, f.__qualname__)
        names = sorted(_extract_code_globals(f.__code__))
        self.put("function", f.__qualname__)
        self.walk(f.__code__)
        self.items("defaults", [f.__defaults__, f.__kwdefaults__])
        self.items("closure", [None if is_empty(c) else c.cell_contents for c in f.__closure__ or ()])
        self.items("globals", [part for n in names if n in f.__globals__ for part in (n, f.__globals__[n])])

    def type(self, cls):
        if _is_by_reference(cls):
            return self.put("class", cls.__module__, cls.__qualname__)
        self.put("class", cls.__qualname__)
        self.items("bases", cls.__bases__)
        fields = getattr(cls, "model_fields", None)
        own = {n: v for n, v in vars(cls).items() if n not in self.SKIPPED}
        if isinstance(fields, dict):  # pydantic's: the rest of it is made of these
            own = {n: v for n, v in own.items() if n == "__doc__" or isinstance(
                v, (types.FunctionType, staticmethod, classmethod, property))}
            self.items("fields", [part for n, f in fields.items() for part in (
                n, f.annotation, repr(f.default), repr(f.description), repr(f.json_schema_extra), repr(f.metadata))])
        else:
            self.items("annotations", [part for n, a in vars(cls).get("__annotations__", {}).items() for part in (n, a)])
        self.items("members", [part for n in sorted(own) for part in (n, own[n])])

    def object(self, thing):
        try:
            reduced = thing.__reduce_ex__(4)
        except Exception:
            reduced = None
        if not isinstance(reduced, tuple):
            return self.put("object", type(thing).__qualname__, reduced or "")
        maker, args, state, more, pairs = (*reduced, None, None, None)[:5]
        if isinstance(state, dict):
            state = {k: v for k, v in state.items() if k not in self.SKIPPED}
            if isinstance(thing, Parameter):
                state.pop("stage", None)  # drawn at random for each predictor and each dspy.Retrieve, and read by nobody
        self.put("object", getattr(maker, "__qualname__", type(maker).__name__))
        self.items("made", [args, state])
        self.items("more", [part for part in more or ()])
        self.items("pairs", [part for pair in pairs or () for part in pair])


def fingerprint(things, secrets):
    w = Walk(secrets)
    for name in sorted(things):
        w.put(name)
        w.walk(things[name])
    return w.hash.hexdigest()


def folders():
    """Where modules of the script are found that no installed package has: the processes look there too."""
    standard = os.path.realpath(os.path.dirname(inspect.__file__))
    out = []
    for p in sys.path:
        real = os.path.realpath(p or os.getcwd())
        if not os.path.isdir(real) or "site-packages" in real or "dist-packages" in real or real in out:
            continue
        if real == standard or real.startswith(standard + os.sep):
            continue
        out.append(real)
    return out
