"""Sees what a DSPy program's own Python does with values, for from-dspy: no model is called.

Values that are watched are strings, numbers, lists and dicts that know where they were looked into or changed.
Only what the program's own code does counts, not what DSPy does: whose frame is nearer decides. Each refusal is (place, words); the first one is kept in Watch.refusal, whatever the program catches.
"""

import ast
import contextlib
import functools
import inspect
import itertools
import linecache
import os
import re
import sys
import sysconfig
import textwrap
import threading
import types
import typing

import dspy

HERE = os.path.dirname(os.path.abspath(__file__))
DSPY = os.path.dirname(dspy.__file__)
LIBRARY = [os.path.realpath(sysconfig.get_paths()[k]) for k in ("stdlib", "platstdlib")]
SITES = [os.path.realpath(sysconfig.get_paths()[k]) for k in ("purelib", "platlib")]
# What a call of a model, of a server or of another program begins with (audit events of Python).
OUTWARD = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
CHANGES_FILES = {"sqlite3.connect", "os.remove", "os.rename", "os.mkdir", "os.truncate", "shutil.copyfile", "shutil.move"}


class Refused(BaseException):
    """Ends the program under watch; no `except Exception` of its own holds it up."""


class Watch:
    on = False
    refusal = None  # (place, words)
    own = ()  # folders of packages that the program is from, though they are installed
    returned_at = None


def set_own(folders):
    Watch.own = folders
    whose.cache_clear()


def under(file, folders):
    return any(file.startswith(f + os.sep) for f in folders)


@functools.lru_cache(maxsize=None)
def whose(file):
    """own, dspy, python or other."""
    if file.startswith("<"):
        return "python"
    file = os.path.realpath(file)
    if under(file, [os.path.realpath(DSPY)]):
        return "dspy"
    if under(file, Watch.own):
        return "own"
    if under(file, SITES):
        return "other"
    if os.path.dirname(file) == os.path.realpath(HERE) and os.path.basename(file) in ("from-dspy", "from_dspy_watch.py"):
        return "python"
    return "python" if under(file, LIBRARY) else "own"


def place_at(file, line):
    text = " ".join(linecache.getline(file, line).split())
    where = f"{os.path.relpath(file) if os.path.isabs(file) else file}:{line}"
    return f"{where}: `{text[:100]}`" if text else where


def own_frame(depth=2):
    """The frame of the program's own code that is at work, libraries between it and us; None: DSPy is."""
    frame = sys._getframe(depth)
    while frame is not None:
        who = whose(frame.f_code.co_filename)
        if who == "own":
            return frame
        if who == "dspy":
            return None
        frame = frame.f_back
    return None


def calling_place():
    """The line of the program's own code from which DSPy was called."""
    frame = sys._getframe(1)
    while frame is not None and whose(frame.f_code.co_filename) != "own":
        frame = frame.f_back
    return place_at(frame.f_code.co_filename, frame.f_lineno) if frame else None


def waiting_place():
    """The line of the program's own code at which the main thread is."""
    frame = sys._current_frames().get(threading.main_thread().ident)
    while frame is not None and whose(frame.f_code.co_filename) != "own":
        frame = frame.f_back
    return place_at(frame.f_code.co_filename, frame.f_lineno) if frame else None


def loading_place():
    """The line of the program's own code, of a module that is loaded, from which all came."""
    frame, at = sys._getframe(1), None
    while frame is not None:
        if whose(frame.f_code.co_filename) == "own":
            at = frame
        frame = frame.f_back
    return place_at(at.f_code.co_filename, at.f_lineno) if at else None


def place_of_error(error):
    at = None
    for frame, line in traceback_lines(error.__traceback__):
        if whose(frame.f_code.co_filename) == "own":
            at = place_at(frame.f_code.co_filename, line)
    return at


def traceback_lines(tb):
    while tb is not None:
        yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def refuse(place, words):
    if Watch.refusal is None:
        Watch.refusal = (place, words)
    raise Refused(words)


# ---- values that are watched ----


LOOKS = "Python of your own looks into a value, and what it does hangs on that"


def looked_into(name):
    def hook(self, *args, **kwargs):
        frame = own_frame() if Watch.on else None
        if frame is not None:
            refuse(place_at(frame.f_code.co_filename, frame.f_lineno), LOOKS)
        return getattr(self.plain, name)(self, *args, **kwargs)

    return hook


def made_from(name):
    """A text made of a watched one: nothing is wrong with it until it is handed on, or looked into."""

    def hook(self, *args, **kwargs):
        value = getattr(str, name)(self, *args, **kwargs)
        frame = own_frame() if Watch.on else None
        if frame is None or value is NotImplemented:
            return value
        changed = Text(value)
        changed.changed_at = place_at(frame.f_code.co_filename, frame.f_lineno)
        return changed

    return hook


COMPARED = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]
HELD = [*COMPARED, "__contains__", "__len__", "__iter__"]
TEXT_LOOKS = [*HELD, "__hash__", "split", "rsplit", "splitlines", "partition", "rpartition", "find", "rfind", "index", "rindex",
              "count", "startswith", "endswith", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier",
              "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "encode"]  # fmt: skip
TEXT_MAKES = ["__add__", "__mul__", "__rmul__", "__mod__", "__getitem__", "__format__", "capitalize", "casefold", "center",
              "expandtabs", "format", "format_map", "join", "ljust", "lower", "lstrip", "removeprefix", "removesuffix", "replace",
              "rjust", "rstrip", "strip", "swapcase", "title", "translate", "upper", "zfill"]  # fmt: skip
NUMBER_LOOKS = [*COMPARED, "__hash__", "__bool__", "__int__", "__float__", "__round__", "__trunc__", "__floor__", "__ceil__"]
DICT_LOOKS = [*(n for n in HELD if n not in COMPARED[2:]), "__getitem__", "get", "keys", "values", "items", "copy", "pop", "popitem",
              "update", "setdefault", "clear", "__setitem__", "__delitem__", "__or__"]  # fmt: skip
LIST_LOOKS = [*HELD, "__getitem__", "__add__", "__mul__", "__setitem__", "__delitem__", "append", "extend", "insert", "pop", "remove",
              "clear", "sort", "reverse", "index", "count", "copy"]  # fmt: skip


def watched(plain, looks):
    members = {name: looked_into(name) for name in looks}
    if plain in (list, dict):
        members["__hash__"] = None
    return type(f"Watched{plain.__name__}", (plain,), {**members, "plain": plain, "changed_at": None})


class Text(watched(str, TEXT_LOOKS)):
    def __str__(self):
        return self

    def __bool__(self):
        looked_into("__len__")(self)
        return len(str.__str__(self)) > 0

    def __radd__(self, other):
        frame = own_frame() if Watch.on else None
        changed = Text(str.__add__(other, self))
        changed.changed_at = place_at(frame.f_code.co_filename, frame.f_lineno) if frame else None
        return changed

    def __reduce__(self):
        return str, (str.__str__(self),)


for each in TEXT_MAKES:
    setattr(Text, each, made_from(each))
Int, Float = watched(int, [*NUMBER_LOOKS, "__index__"]), watched(float, NUMBER_LOOKS)
List, Dict = watched(list, LIST_LOOKS), watched(dict, DICT_LOOKS)
WATCHED = (Text, Int, Float, List, Dict)


def watch(value):
    if type(value) is str:
        return Text(value)
    if type(value) is int:
        return Int(value)
    if type(value) is float:
        return Float(value)
    if type(value) is list:
        return List(map(watch, value))
    if type(value) is dict:
        return Dict((k, watch(v)) for k, v in value.items())
    return value


# ---- made-up values ----

# What a model may well answer, and code between two steps may well look for. Each is a kind of its own.
TEXTS = [
    "made up {n}", " \t made up {n} \n", "Made UP {n}", "made up\n\n  - {n}\nof several\nlines", "long {n} " + "made up " * 2500,
    "<b>made up</b> <answer>{n}</answer>", "see https://example.org/a?b={n}#c", "made.up+{n}@example.org", "{n}", "-{n}.50 %",
    "", "Yes", "no", "None", "N/A", '{{"made": "up {n}"}}', '["made", "up {n}"]', "```python\nprint({n})\n```", "made, up; {n}",
    "(made [up] {n}) 'quoted' \"twice\"", "Answer: made up {n}.", "1. made\n2. up {n}", "ü ß 漢字 🙂 {n}", "\\n {{}} %s ${{x}} {n}",
    "Made up {n}? Made up! I don't know.", "[[ ## made up ## ]] {n}",
]  # fmt: skip
NUMBERS = [10_000, 0, 1, -3, 2, 100, 1_000_000_000]
ROUNDS = len(TEXTS)


def made_up(t, n, kind):
    """A value of type t, of the kind of this round; n is another number for each value."""
    origin, args = typing.get_origin(t), typing.get_args(t)
    if t is bool:
        return (n + kind) % 2 == 0
    if t is int:
        return Int(NUMBERS[kind % len(NUMBERS)] + (n if kind % len(NUMBERS) == 0 else 0))
    if t is float:
        return Float(NUMBERS[kind % len(NUMBERS)] / 4 + (n if kind % len(NUMBERS) == 0 else 0))
    if origin is typing.Literal:
        return watch(args[(n + kind) % len(args)])
    if origin in (typing.Union, types.UnionType):
        return made_up(args[(n + kind) % len(args)], n, kind)
    if t in (type(None), None):
        return None
    many = range(kind % 4) if kind else range(1)
    if list in (t, origin):
        return List(made_up(args[0] if args else str, n + i, kind) for i in many)
    if dict in (t, origin):
        return Dict({f"k{n + i}": made_up(args[1] if args else str, n + i, kind) for i in many})
    if tuple in (t, origin):
        return tuple(made_up(a, n, kind) for a in args if a is not Ellipsis) or (f"made up {n}",)
    if t in (set, frozenset) or origin in (set, frozenset):
        return (origin or t)([made_up(args[0] if args else str, n, kind)])
    return Text(TEXTS[kind % len(TEXTS)].format(n=n))


def same(a, b):
    """Whether b is what a was, handed on as it is."""
    return a is b or (type(a) is type(b) and a == b and not isinstance(a, WATCHED))


# ---- no model, no server ----


def no_model(self, *args, **kwargs):
    if Watch.on:
        if threading.current_thread() is not threading.main_thread():
            refuse(waiting_place(), "it calls a predictor or a model in a thread of its own")
        refuse(calling_place(), "it calls a model by itself, and not through a predictor")
    refuse(loading_place(), "it calls a model as it is loaded; put that behind `if __name__ == \"__main__\":`")


async def no_model_later(self, *args, **kwargs):
    no_model(self)


def shut(cls):
    for name in ("__call__", "forward"):
        if name in cls.__dict__ or cls is dspy.BaseLM:
            setattr(cls, name, no_model)
    for name in ("acall", "aforward"):
        if name in cls.__dict__ or cls is dspy.BaseLM:
            setattr(cls, name, no_model_later)
    for sub in cls.__subclasses__():
        shut(sub)


def writes(event, args):
    """A file that the program's own code opens for it, or changes; not one of a log."""
    if event == "open":
        mode, flags = args[1], args[2]
        to_write = any(c in mode for c in "wax+") if isinstance(mode, str) else isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        if not to_write or args[0] in (os.devnull, "/dev/tty"):
            return False
    elif event not in CHANGES_FILES:
        return False
    frame = sys._getframe(2)
    while frame is not None and whose(frame.f_code.co_filename) == "python":
        if "logging" in frame.f_code.co_filename:
            return False
        frame = frame.f_back
    return frame is not None and whose(frame.f_code.co_filename) == "own"


def no_way_out(event, args):
    if Watch.on and writes(event, args):
        refuse(calling_place(), "it writes a file or a data base")
    if Watch.on and event in OUTWARD:
        refuse(calling_place(), "it starts a program" if "." in event and event[:2] in ("su", "os") else "it calls a server by itself")


def shut_models():
    """From here on no model is called in this process, whoever asks."""

    def also_shut(cls, **kwargs):
        super(dspy.BaseLM, cls).__init_subclass__(**kwargs)
        shut(cls)

    dspy.BaseLM.__init_subclass__ = classmethod(also_shut)
    shut(dspy.BaseLM)
    sys.addaudithook(no_way_out)


# ---- what was run ----


def looks_without_trace(function):
    """Patterns and the like, of C, to which a watched text is as any: what they find decides what comes next."""
    owner = getattr(function, "__self__", None)
    return isinstance(owner, re.Pattern) or getattr(owner, "__name__", None) == "unicodedata"


def handed_to_a_library(frame):
    """What a library of others does with a value is not seen."""
    caller = frame.f_back
    if caller is None or whose(caller.f_code.co_filename) != "own":
        return
    if any(isinstance(value, WATCHED) for value in frame.f_locals.values()):
        name = os.path.splitext(os.path.basename(frame.f_code.co_filename))[0]
        refuse(place_at(caller.f_code.co_filename, caller.f_lineno), f"a value is handed to a library ({name}.{frame.f_code.co_name})")


def library_between():
    """A library of others that called what is called now, such as one that tries again: (place, its name)."""
    frame, found = sys._getframe(1), None
    while frame is not None:
        who = whose(frame.f_code.co_filename)
        if who == "other":
            found = frame
        if who == "own" and found is not None:
            break
        frame = frame.f_back
    if found is None:
        return None
    part = os.path.relpath(found.f_code.co_filename, next(s for s in SITES if under(os.path.realpath(found.f_code.co_filename), [s])))
    return place_at(frame.f_code.co_filename, frame.f_lineno) if frame else None, part.split(os.sep)[0].removesuffix(".py")


@contextlib.contextmanager
def watching(program, codes):
    """codes: the functions of the program's own that ran, filled in."""
    top = getattr(type(program).forward, "__code__", None)

    def profile(frame, event, arg):
        if event == "call" and frame.f_code not in codes and whose(frame.f_code.co_filename) == "own":
            codes[frame.f_code] = frame.f_locals.get("self")
        if event == "call" and whose(frame.f_code.co_filename) == "other":
            handed_to_a_library(frame)
        if event == "c_call" and looks_without_trace(arg):
            own = frame if frame.f_code.co_filename != re.__file__ else frame.f_back
            if own is not None and whose(own.f_code.co_filename) == "own":
                refuse(place_at(own.f_code.co_filename, own.f_lineno), LOOKS)
        if event == "return" and frame.f_code is top:
            Watch.returned_at = place_at(frame.f_code.co_filename, frame.f_lineno)

    before = sys.getprofile()
    Watch.on = True
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
        Watch.on = False


@functools.lru_cache(maxsize=None)
def tree_of_file(file):
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None


def trees_of(code):
    """(tree, lines before it) of a function; of a lambda those of its line, which may be several."""
    if code.co_name == "<lambda>":
        tree = tree_of_file(code.co_filename)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
                yield node, 0
        return
    if code.co_name.startswith("<"):
        return  # a comprehension is looked at with what it stands in
    try:
        lines, start = inspect.getsourcelines(code)
        yield ast.parse(textwrap.dedent("".join(lines))), start - 1
    except (OSError, SyntaxError, TypeError):
        return


def deciding(node):
    """What it hangs on whether, or how often, a part of the node is run."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
        return [node.test]
    if isinstance(node, ast.Match):
        return [node.subject]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [node.iter]
    if isinstance(node, ast.comprehension):
        return [node.iter, *node.ifs]
    return node.values[:-1] if isinstance(node, ast.BoolOp) else []


# What a test may call: of constants and of the program's own make-up it gives the same each time.
SAME_EACH_TIME = {"isinstance", "issubclass", "hasattr", "callable", "len", "range", "enumerate", "zip", "list", "tuple", "reversed",
                  "bool", "super"}  # fmt: skip
MUTATORS = {"append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "popitem", "add", "discard", "appendleft"}


def locals_of(code):
    return set(code.co_varnames + code.co_cellvars + code.co_freevars) - {"self", "cls"}


def changed_in(node):
    """The expressions whose value, or a part of it, the node replaces."""
    if isinstance(node, ast.Assign):
        return node.targets
    if isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.NamedExpr)):
        return [node.target]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return [node.func.value]
    return []


def kept(codes):
    """What outlives a call and is changed in it: (attributes of self, names of modules)."""
    attributes, names = set(), set()
    for code in codes:
        for tree, _ in trees_of(code) if code.co_name != "__init__" else ():
            stated = {name for n in ast.walk(tree) if isinstance(n, ast.Global) for name in n.names}
            for target in (t for n in ast.walk(tree) for t in changed_in(n)):
                whole = target
                while isinstance(target, (ast.Subscript, ast.Attribute)):
                    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in ("self", "cls"):
                        attributes.add(target.attr)
                    target = target.value
                if isinstance(target, ast.Name) and target.id not in ("self", "cls") and (
                        target.id in stated or target is not whole or target.id not in locals_of(code)):
                    names.add(target.id)
    return attributes, names


def hangs_on_a_value(test, local, attributes, names):
    """Not on constants, nor on how the program was set up."""
    for n in ast.walk(test):
        if isinstance(n, ast.Name) and (n.id in local or n.id in names or n.id == "environ"):
            return True
        if isinstance(n, ast.Attribute) and (n.attr == "environ" or (
                isinstance(n.value, ast.Name) and n.value.id in ("self", "cls") and n.attr in attributes)):
            return True
        if isinstance(n, ast.Call) and not (isinstance(n.func, ast.Name) and n.func.id in SAME_EACH_TIME):
            return True
    return False


def looked_up(node):
    """The key by which something is found; None: nothing is."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return node.slice
    if isinstance(node, ast.Call) and node.args:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return node.args[0]
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            return node.args[-1] if len(node.args) < 2 else node.args[1]
    return None


def suppresses(node):
    items = node.items if isinstance(node, (ast.With, ast.AsyncWith)) else []
    calls = [i.context_expr.func for i in items if isinstance(i.context_expr, ast.Call)]
    return any("suppress" in (getattr(f, "attr", None) or getattr(f, "id", "")) for f in calls)


def branches(codes):
    """(place, words) for what a function does in one case and not in another, where a value decides."""
    attributes, names = kept(codes)
    for code in codes:
        local = locals_of(code)
        for tree, before in trees_of(code):
            for node in ast.walk(tree):
                tests, key = deciding(node), looked_up(node)
                if any(hangs_on_a_value(test, local, attributes, names) for test in tests):
                    place = place_at(code.co_filename, before + tests[0].lineno)
                    yield place, "Python of your own decides by a value what comes next"
                elif key is not None and hangs_on_a_value(key, local, attributes, names):
                    yield place_at(code.co_filename, before + node.lineno), "Python of your own looks up by a value what comes next"
                elif (isinstance(node, ast.Try) and node.handlers) or suppresses(node):
                    yield place_at(code.co_filename, before + node.lineno), "what is done after a failure is Python of your own"


def line_of_attribute(program, name):
    """Where the program says self.NAME = ..., else where its class stands; None: not known."""
    for cls in type(program).__mro__:
        if cls.__module__.startswith("dspy.") or cls is object:
            continue
        try:
            lines, start = inspect.getsourcelines(cls)
        except (OSError, TypeError):
            continue
        for i, line in enumerate(lines):
            if f"self.{name}" in line.split("=")[0]:
                return place_at(inspect.getsourcefile(cls), start + i)
        return place_at(inspect.getsourcefile(cls), start)
    return None


def line_of_method(cls, name):
    try:
        lines, start = inspect.getsourcelines(getattr(cls, name))
        return place_at(inspect.getsourcefile(getattr(cls, name)), start + next(i for i, line in enumerate(lines) if "def " in line))
    except (AttributeError, OSError, TypeError, StopIteration):
        return None


def line_of_field(signature, name):
    """Where a class says NAME: TYPE; None: it is no class of a file."""
    try:
        lines, start = inspect.getsourcelines(signature)
        file = inspect.getsourcefile(signature)
    except (OSError, TypeError):
        return None
    at = next((i for i, line in enumerate(lines) if line.split(":")[0].strip() == name), 0)
    return place_at(file, start + at)


def rounds():
    """The kind of text of each round, each of them once for all values, then all of them mixed."""
    return itertools.chain(range(ROUNDS), [None, None])
