"""DSPy's optimizers on all cores of a machine or a cluster: `from dspy_mpi import MIPROv2` in place of `from dspy`."""
try:
    import dspy as _dspy  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "dspy":
        raise
    raise ModuleNotFoundError("dspy_mpi needs DSPy: pip install 'dspy-mpi[dspy]'", name="dspy") from None

from dspy_mpi.evaluating import Evaluate, evaluate
from dspy_mpi.optimizers import (GEPA, BootstrapFewShot, BootstrapFewShotWithRandomSearch, Ensemble, LabeledFewShot,
                                 MIPROv2)
from dspy_mpi.running import Failed
from dspy_mpi.search import Search
from dspy_mpi.sending import CannotSend

BootstrapRS = BootstrapFewShotWithRandomSearch
__all__ = ["GEPA", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch", "BootstrapRS", "CannotSend", "Ensemble", "Evaluate",
           "Failed", "LabeledFewShot", "MIPROv2", "Search", "evaluate"]
