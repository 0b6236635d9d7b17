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


class OptionOf(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("help", ctypes.c_char_p), ("kind", ctypes.c_int), ("constant", ctypes.c_bool)]


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
    """$DSPY_MPI_SEARCH, beside dspy-mpi, in its lib folder, here in a wheel, or in the sources that this lies in."""
    import shutil

    from dspy_mpi.running import installed

    name, here = "libdspympi.so.0", os.path.dirname(os.path.abspath(__file__))
    program = os.environ.get("DSPY_MPI") or installed() or shutil.which("dspy-mpi") or ""
    beside = os.path.dirname(os.path.realpath(program)) if program else here
    places = [os.environ.get("DSPY_MPI_SEARCH"), os.path.join(beside, name), os.path.join(beside, "..", "lib", name),
              os.path.join(here, name), os.path.join(here, "..", "..", "..", "build", "open", name)]
    for path in places:
        if path and os.path.exists(path):
            return path
    raise OSError(f"there is no {name}: make search-lib builds it, and DSPY_MPI_SEARCH names it where it lies elsewhere")


def library():
    lib = ctypes.CDLL(find())
    handle, size = ctypes.c_void_p, SIZE
    for name, result, *arguments in (
            ("dm_search_options_new", handle, ctypes.c_int, SIZES, size, size, size),
            ("dm_search_options_free", None, handle),
            ("dm_search_option_set", ctypes.c_bool, handle, ctypes.c_char_p, DOUBLE, ctypes.c_char_p, size),
            ("dm_search_option_at", ctypes.c_bool, size, ctypes.POINTER(OptionOf)),
            ("dm_search_new", handle, handle, ctypes.c_char_p, size),
            ("dm_search_free", None, handle),
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
        """levels: how many choices each slot has. options: those of Search.options(), by name."""
        if method not in METHODS:
            raise ValueError(f"method: {method!r} is none of {', '.join(METHODS)}")
        if method != "mipro" and budget is None:
            raise ValueError("budget: how many program runs there may be")
        self.lib, self.handle, self.levels = library(), None, tuple(levels)
        self.units = {}
        o = self.lib.dm_search_options_new(METHODS[method], (SIZE * len(self.levels))(*self.levels), len(self.levels),
                                           examples, budget or 0)
        why = ctypes.create_string_buffer(300)
        try:
            for name, value in {"seed": seed, "window": window, **options}.items():
                if not self.lib.dm_search_option_set(o, name.encode(), value, why, len(why)):
                    raise (ValueError if name in self.options() else TypeError)("Search: " + why.value.decode())
            self.handle = self.lib.dm_search_new(o, why, len(why))
        finally:
            self.lib.dm_search_options_free(o)
        if not self.handle:
            raise ValueError(why.value.decode())

    @staticmethod
    def options():
        """What Search takes beside levels, examples and budget: {name: what it is}."""
        lib, about, found = library(), OptionOf(), {}
        while lib.dm_search_option_at(len(found), ctypes.byref(about)):
            found[about.name.decode()] = about.help.decode()
        return found

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
