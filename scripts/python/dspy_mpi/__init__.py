"""DSPy's optimizers on all cores of a machine or a cluster: `from dspy_mpi import MIPROv2` in place of `from dspy`."""
from dspy_mpi.evaluating import Evaluate, evaluate
from dspy_mpi.optimizers import (GEPA, BootstrapFewShot, BootstrapFewShotWithRandomSearch, Ensemble, LabeledFewShot,
                                 MIPROv2)
from dspy_mpi.running import Failed
from dspy_mpi.search import Search
from dspy_mpi.sending import CannotSend

BootstrapRS = BootstrapFewShotWithRandomSearch
__all__ = ["GEPA", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch", "BootstrapRS", "CannotSend", "Ensemble", "Evaluate",
           "Failed", "LabeledFewShot", "MIPROv2", "Search", "evaluate"]
