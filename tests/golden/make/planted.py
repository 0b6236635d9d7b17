"""A planted language model for DSPy: answers by a rule, without network or cache."""
import contextlib
import hashlib
import io
import json
import logging
import os
import re
import tempfile
import warnings
from types import SimpleNamespace

warnings.simplefilter("ignore")
os.environ["DSPY_CACHEDIR"] = tempfile.mkdtemp(prefix="dspy-mpi-golden.")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no network
import dspy  # noqa: E402

logging.getLogger("dspy").setLevel(logging.CRITICAL)
logging.getLogger("dspy.utils.parallelizer").setLevel(logging.CRITICAL)
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


class Planted(dspy.BaseLM):
    """rule(messages, settings) gives the text of a completion. `asked` has the messages of all requests, of copies too."""

    def __init__(self, rule, **settings):
        super().__init__("planted", "chat", settings.pop("temperature", 0.0), settings.pop("max_tokens", 1000), False, **settings)
        self.rule, self.asked = rule, []

    def forward(self, prompt=None, messages=None, **settings):
        settings = {**self.kwargs, **settings}
        self.asked.append(messages)
        texts = [self.rule(messages, settings) for _ in range(settings.get("n") or 1)]
        choice = lambda t: SimpleNamespace(message=SimpleNamespace(content=t, tool_calls=None, reasoning_content=None), finish_reason="stop")
        return SimpleNamespace(model=self.model, usage={}, choices=[choice(t) for t in texts])

    def copy(self, **changes):
        other = super().copy(**changes)
        other.asked = self.asked
        return other

    def __deepcopy__(self, memo):
        return self


def calls(lm):
    """How many requests, and a hash of them that no order changes: SHA-256 over the sorted SHA-256 digests, joined by line breaks."""
    one = lambda messages: hashlib.sha256(json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
    digests = sorted(one(messages) for messages in lm.asked)
    return {"count": len(digests), "sha256": hashlib.sha256("\n".join(digests).encode()).hexdigest()}


def output_fields(messages):
    """Names, from the system message."""
    part = messages[0]["content"].split("Your output fields are:\n", 1)[1].split("\nAll interactions will be", 1)[0]
    return re.findall(r"^\d+\. `(\w+)`", part, re.MULTILINE)


def field(messages, name):
    """The value of an input in the last user message; None: it is not there."""
    found = re.search(rf"(?:^|\n\n)\[\[ ## {name} ## \]\]\n(.*?)(?=\n\n\[\[ ## |\n\nRespond with|$)", messages[-1]["content"], re.DOTALL)
    return found.group(1) if found else None


def question(messages):
    """N of the last user message's question qN."""
    return int(re.search(r"\[\[ ## question ## \]\]\nq(\d+)", messages[-1]["content"]).group(1))


def chat(fields):
    return "\n\n".join(f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()) + "\n\n[[ ## completed ## ]]"


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
