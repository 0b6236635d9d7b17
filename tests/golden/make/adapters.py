"""prompts.json, parse.json, adapters.json, xml.json, json_repair.json: what DSPy's adapters send and what they read from answers."""
import ast

import json_repair
from planted import Planted

import dspy
from dspy.adapters import ChatAdapter, JSONAdapter, TwoStepAdapter, XMLAdapter
from dspy.adapters.baml_adapter import BAMLAdapter

ADAPTERS = {"chat": ChatAdapter, "json": JSONAdapter}
CONSTRAINTS = {
    "greater than: ": "gt", "greater than or equal to: ": "ge", "less than: ": "lt", "less than or equal to: ": "le",
    "minimum length: ": "min_length", "maximum length: ": "max_length", "a multiple of the given number: ": "multiple_of",
}  # fmt: skip


def limits(constraints):
    """The arguments of a field whose constraints DSPy describes in these words."""
    found = {}
    for one in constraints.split(", ") if constraints else []:
        words = next(w for w in CONSTRAINTS if one.startswith(w))
        found[CONSTRAINTS[words]] = ast.literal_eval(one[len(words):])
    return found


def predictor(entry):
    signature = dspy.Signature(entry["signature"])
    descs, constraints = entry["descs"] or {}, entry["constraints"] or {}
    if descs or constraints:
        fields = {}
        for name, field in signature.fields.items():
            make = dspy.InputField if name in signature.input_fields else dspy.OutputField
            described = {"desc": descs[name]} if name in descs else {}
            fields[name] = (field.annotation, make(**described, **limits(constraints.get(name))))
        signature = dspy.Signature(fields)
    if entry["instructions"] is not None:
        signature = signature.with_instructions(entry["instructions"])
    return dspy.ChainOfThought(signature).predict if entry["cot"] else dspy.Predict(signature)


def prompts(was):
    made = []
    for entry in was:
        p = predictor(entry)
        made.append({
            **entry,
            "effective_instructions": p.signature.instructions,
            "state": p.dump_state()["signature"],
            "messages": ADAPTERS[entry["adapter"]]().format(p.signature, entry["demos"], entry["inputs"]),
        })  # fmt: skip
    return made


def plain(value):
    """As the state file keeps it: tuples and sets are lists."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple, set)) else value


def parse(was):
    made = []
    for entry in was:
        now = {k: entry[k] for k in ("adapter", "signature", "completion")}
        try:
            now["ok"] = plain(ADAPTERS[entry["adapter"]]().parse(dspy.Signature(entry["signature"]), entry["completion"]))
        except Exception as e:  # which class it is, is the finding
            now["error"] = type(e).__name__
        made.append(now)
    return made


def repair(was):
    return [[text, json_repair.loads(text)] for text, *_ in was]


OTHERS = {"xml": XMLAdapter, "baml": BAMLAdapter, "two_step": lambda: TwoStepAdapter(Planted(None))}


def messages(entry):
    signature = dspy.Signature(entry["signature"])
    if entry["instructions"] is not None:
        signature = signature.with_instructions(entry["instructions"])
    return {**entry, "messages": OTHERS[entry["adapter"]]().format(signature, entry["demos"], entry["inputs"])}


def xml_parse(entry):
    now = {k: entry[k] for k in ("signature", "completion")}
    try:
        now["ok"] = plain(XMLAdapter().parse(dspy.Signature(entry["signature"]), entry["completion"]))
    except Exception as e:  # which class it is, is the finding
        now["error"] = type(e).__name__
    return now


def adapters(was):
    return {"adapters": [messages(e) for e in was["adapters"]], "xml_parse": [xml_parse(e) for e in was["xml_parse"]]}


def xml(was):
    return {"messages": [messages(e) for e in was["messages"]], "parse": [xml_parse(e) for e in was["parse"]]}


MAKERS = {"prompts": prompts, "parse": parse, "adapters": adapters, "xml": xml, "json_repair": repair}
