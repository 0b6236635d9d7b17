"""A planted language model for DSPy: answers by a rule, without network or cache."""
import contextlib
import io
import logging
import os
import re
import tempfile
import warnings
from types import SimpleNamespace

warnings.simplefilter("ignore")
os.environ["DSPY_CACHEDIR"] = tempfile.mkdtemp(prefix="dspy-mpi-golden.")
import dspy  # noqa: E402

logging.getLogger("dspy").setLevel(logging.CRITICAL)
logging.getLogger("dspy.utils.parallelizer").setLevel(logging.CRITICAL)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


class Planted(dspy.BaseLM):
    """rule(messages, settings) gives the text of a completion."""

    def __init__(self, rule, **settings):
        super().__init__("planted", "chat", settings.pop("temperature", 0.0), settings.pop("max_tokens", 1000), False, **settings)
        self.rule = rule

    def forward(self, prompt=None, messages=None, **settings):
        settings = {**self.kwargs, **settings}
        texts = [self.rule(messages, settings) for _ in range(settings.get("n") or 1)]
        choice = lambda t: SimpleNamespace(message=SimpleNamespace(content=t, tool_calls=None, reasoning_content=None), finish_reason="stop")
        return SimpleNamespace(model=self.model, usage={}, choices=[choice(t) for t in texts])

    def __deepcopy__(self, memo):
        return self


def output_fields(messages):
    """Names, from the system message."""
    part = messages[0]["content"].split("Your output fields are:\n", 1)[1].split("\nAll interactions will be", 1)[0]
    return re.findall(r"^\d+\. `(\w+)`", part, re.MULTILINE)


def question(messages):
    """N of the last user message's question qN."""
    return int(re.search(r"\[\[ ## question ## \]\]\nq(\d+)", messages[-1]["content"]).group(1))


def chat(fields):
    return "\n\n".join(f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()) + "\n\n[[ ## completed ## ]]"


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
