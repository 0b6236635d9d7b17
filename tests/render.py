"""The messages that an exported prompt gives for inputs, beside those that were sent.

    python render.py FORMAT EXPORTED INPUTS.jsonl RECORDED [STEP]     RECORDED: of the mock server, --record

FORMAT: jinja, the whole file as one template; promptfoo, as promptfoo renders it: the prompt's JSON is read and each
text in it is a template; messages: "{{ NAME }}" in the last message is replaced.
"""

import json
import sys

import jinja2


def by_promptfoo(value, inputs):
    if isinstance(value, str):
        # as nunjucks does, and other than jinja2: line ends stay what they are
        template = jinja2.Environment(keep_trailing_newline=True).from_string(value.replace("\r", "<CR>"))
        return template.render(**inputs).replace("<CR>", "\r")
    if isinstance(value, list):
        return [by_promptfoo(v, inputs) for v in value]
    return {k: by_promptfoo(v, inputs) for k, v in value.items()}


def prompt_of(config, step):
    """What promptfoo documents: prompts with id, label and raw; providers with an id; tests with vars."""
    assert set(config) <= {"description", "prompts", "providers", "tests"} and isinstance(config["description"], str)
    assert all(set(p) == {"id", "label", "raw"} and all(isinstance(v, str) for v in p.values()) for p in config["prompts"])
    assert all(isinstance(p["id"], str) and set(p) <= {"id", "config"} for p in config["providers"]) and config["providers"]
    assert all(set(t) == {"vars"} and all(isinstance(v, str) for v in t["vars"].values()) for t in config["tests"]) and config["tests"]
    assert len({p["label"] for p in config["prompts"]}) == len(config["prompts"])
    return next(json.loads(p["raw"]) for p in config["prompts"] if step is None or p["label"] == step)


def messages(kind, text, inputs, step):
    if kind == "promptfoo":
        return by_promptfoo(prompt_of(json.loads(text), step), inputs)
    if kind == "jinja":
        got = json.loads(jinja2.Template(text).render(**inputs))
        return got[step] if step else got
    got = json.loads(text)
    got = got[step] if step else got
    for name, value in inputs.items():
        got[-1]["content"] = got[-1]["content"].replace("{{ %s }}" % name, value)
    return got


def main(kind, exported, inputs, recorded, step=None):
    text = open(exported, encoding="utf-8").read()
    sent = [json.loads(line)["body"]["messages"] for line in open(recorded, encoding="utf-8")]
    rows = [json.loads(line) for line in open(inputs, encoding="utf-8")]
    missing = [row for row in rows if messages(kind, text, row, step) not in sent]
    for row in missing[:2]:
        print(f"{kind}: not as it was sent: {messages(kind, text, row, step)[-1]!r}")
    print(f"{len(rows) - len(missing)} of {len(rows)} as they were sent, {len(sent)} sent")
    sys.exit(len(missing) > 0 or not rows)


main(*sys.argv[1:])
