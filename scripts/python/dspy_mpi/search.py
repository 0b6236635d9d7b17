"""The search of dspy-mpi by itself: ask what to run next, tell what came out.

    search = Search(levels=[4, 6, 6], examples=100, budget=2000, seed=1)
    for unit in search:                              # a candidate, and examples to run it on
        search.tell(unit, [score(unit.levels, e) for e in unit.examples])
    print(search.best())                             # its levels; level 0 of each slot is the program as written

Scores are 0 to 1; None is an example without one. With window=n up to n units may be out at once: ask() gives None
while the oldest has to be told first. include/dspy_mpi/search.h says what the search promises.
"""
import ctypes
import os
from typing import NamedTuple

METHODS = {"factor": 0, "mipro": 1, "tpe": 2, "random": 3, "halving": 4}
KINDS = ("start", "explore", "decide", "complete")
SIZE, DOUBLE = ctypes.c_size_t, ctypes.c_double
SIZES, LEVELS = ctypes.POINTER(SIZE), ctypes.POINTER(ctypes.c_uint16)


class Constants(ctypes.Structure):
    _fields_ = [(n, SIZE) for n in ("block", "block_max", "start", "refit_percent", "passes")]
    _fields_ += [(n, DOUBLE) for n in ("effect", "rest", "trust_effect", "trust_rest", "difficulty", "explore_until",
                                       "explore", "temperature", "informed", "contender")]
    _fields_ += [("finalists", SIZE), ("finals_share", DOUBLE)]


class Options(ctypes.Structure):
    _fields_ = [("method", ctypes.c_int), ("n_slots", SIZE), ("levels", SIZES), ("names", ctypes.POINTER(ctypes.c_char_p)),
                ("n_examples", SIZE), ("budget", SIZE), ("window", SIZE), ("seed", ctypes.c_uint64), ("trials", SIZE),
                ("minibatch", ctypes.c_bool), ("minibatch_size", SIZE), ("full_eval_steps", SIZE),
                ("random_sampler", ctypes.c_bool), ("stop_at_score", DOUBLE), ("patience", SIZE), ("constants", Constants)]


class UnitOf(ctypes.Structure):
    _fields_ = [("id", SIZE), ("trial", SIZE), ("kind", ctypes.c_int), ("candidate", SIZE), ("levels", LEVELS),
                ("examples", SIZES), ("n", SIZE)]


class EstimateOf(ctypes.Structure):
    _fields_ = [("candidate", SIZE), ("levels", LEVELS), ("known", SIZE), ("raw", DOUBLE), ("mean", DOUBLE),
                ("error", DOUBLE), ("logit", DOUBLE), ("logit_error", DOUBLE), ("complete", ctypes.c_bool)]


class Unit(NamedTuple):
    id: int
    kind: str
    candidate: int
    levels: tuple
    examples: tuple


class Estimate(NamedTuple):
    candidate: int
    levels: tuple
    known: int
    raw: float
    mean: float
    error: float
    complete: bool


def find():
    """$DSPY_MPI_SEARCH, beside dspy-mpi, in its lib folder, or in the sources that this lies in."""
    import shutil

    from dspy_mpi.running import installed

    name, here = "libdspympi.so.0", os.path.dirname(os.path.abspath(__file__))
    program = os.environ.get("DSPY_MPI") or installed() or shutil.which("dspy-mpi") or ""
    beside = os.path.dirname(os.path.realpath(program)) if program else here
    places = [os.environ.get("DSPY_MPI_SEARCH"), os.path.join(beside, name), os.path.join(beside, "..", "lib", name),
              os.path.join(here, "..", "..", "..", "build", "open", name)]
    for path in places:
        if path and os.path.exists(path):
            return path
    raise OSError(f"there is no {name}: make search-lib builds it, and DSPY_MPI_SEARCH names it where it lies elsewhere")


def library():
    lib = ctypes.CDLL(find())
    handle, size = ctypes.c_void_p, SIZE
    for name, result, *arguments in (
            ("dm_search_defaults", None, ctypes.POINTER(Options), ctypes.c_int, size, size),
            ("dm_search_new", handle, ctypes.POINTER(Options), ctypes.c_char_p, size),
            ("dm_search_free", None, handle),
            ("dm_search_mipro_runs", size, size, size, ctypes.c_bool, size, size),
            ("dm_search_leak", None, handle, size, size, size),
            ("dm_search_known", None, handle, LEVELS, size, DOUBLE),
            ("dm_search_ask", ctypes.c_int, handle, ctypes.POINTER(UnitOf)),
            ("dm_search_tell", ctypes.c_bool, handle, size, ctypes.POINTER(DOUBLE), ctypes.POINTER(ctypes.c_bool)),
            ("dm_search_stop", None, handle),
            ("dm_search_best", size, handle),
            ("dm_search_candidates", size, handle),
            ("dm_search_estimate_of", None, handle, size, ctypes.POINTER(EstimateOf)),
            ("dm_search_why", ctypes.c_int, handle),
            ("dm_search_end_name", ctypes.c_char_p, ctypes.c_int)):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Search:
    def __init__(self, levels, examples, budget=None, *, method="factor", seed=0, window=1, **options):
        """levels: how many choices each slot has. options: trials, minibatch, minibatch_size, full_eval_steps,
        stop_at_score, patience, and the constants of search.h by name."""
        if method not in METHODS:
            raise ValueError(f"method: {method!r} is none of {', '.join(METHODS)}")
        if method != "mipro" and budget is None:
            raise ValueError("budget: how many program runs there may be")
        self.lib, self.handle, self.levels = library(), None, tuple(levels)
        self.units, o = {}, Options()
        self.of_levels = (SIZE * len(self.levels))(*self.levels)
        o.n_slots, o.levels = len(self.levels), self.of_levels
        self.lib.dm_search_defaults(ctypes.byref(o), METHODS[method], examples, budget or 0)
        o.seed, o.window = seed, window
        for name, value in options.items():
            places = [p for p in (o, o.constants) if name in [f[0] for f in p._fields_]]
            if not places or name in ("method", "n_slots", "levels", "names", "n_examples", "constants"):
                raise TypeError(f"Search has no option {name}")
            setattr(places[0], name, value)
        if method == "mipro":
            o.budget = budget or self.lib.dm_search_mipro_runs(o.trials, examples, o.minibatch, o.minibatch_size,
                                                               o.full_eval_steps)
        why = ctypes.create_string_buffer(300)
        self.handle = self.lib.dm_search_new(ctypes.byref(o), why, len(why))
        if not self.handle:
            raise ValueError(why.value.decode())

    def __del__(self):
        if getattr(self, "handle", None):
            self.lib.dm_search_free(self.handle)
            self.handle = None

    def leak(self, slot, level, example):
        """Candidates with this level are never asked on this example: it stands in their demonstrations."""
        self.lib.dm_search_leak(self.handle, slot, level, example)

    def known(self, levels, example, score):
        """A score that is there already, before the first ask."""
        self.lib.dm_search_known(self.handle, (ctypes.c_uint16 * len(self.levels))(*levels), example, score)

    def ask(self):
        """A unit; None: the oldest has to be told first, or it is over (`over` tells)."""
        u = UnitOf()
        self.answer = self.lib.dm_search_ask(self.handle, ctypes.byref(u))
        if self.answer != 0:
            return None
        self.units[u.id] = u.n
        return Unit(u.id, KINDS[u.kind], u.candidate, tuple(u.levels[: len(self.levels)]), tuple(u.examples[: u.n]))

    def tell(self, unit, scores):
        scores, n = list(scores), self.units.get(unit.id)
        if n is None:
            raise ValueError(f"unit {unit.id} is not out")
        if len(scores) != n:
            raise ValueError(f"unit {unit.id} has {n} examples, and {len(scores)} scores were told")
        absent = [s is None or s != s for s in scores]
        values = [0.0 if a else float(s) for a, s in zip(absent, scores)]
        if not all(0 <= v <= 1 for v in values):
            raise ValueError("scores are 0 to 1")
        if not self.lib.dm_search_tell(self.handle, unit.id, (DOUBLE * n)(*values), (ctypes.c_bool * n)(*absent)):
            raise ValueError(f"unit {unit.id} is not out")
        del self.units[unit.id]

    def __iter__(self):
        while (unit := self.ask()) is not None:
            yield unit

    def stop(self):
        self.lib.dm_search_stop(self.handle)

    @property
    def over(self):
        """Why nothing more is handed out, such as "budget"; None: it goes on."""
        end = self.lib.dm_search_why(self.handle)
        return self.lib.dm_search_end_name(end).decode() if end else None

    def estimate(self, candidate):
        e = EstimateOf()
        self.lib.dm_search_estimate_of(self.handle, candidate, ctypes.byref(e))
        return Estimate(e.candidate, tuple(e.levels[: len(self.levels)]), e.known, e.raw, e.mean, e.error, e.complete)

    def candidates(self):
        return [self.estimate(c) for c in range(self.lib.dm_search_candidates(self.handle))]

    def best(self):
        """The levels of the candidate to take."""
        return self.estimate(self.lib.dm_search_best(self.handle)).levels
