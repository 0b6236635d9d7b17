"""Answers for any DSPy prompt, typed as the prompt asks: a pure function of model, messages and settings."""
import hashlib
import json
import re

FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\)(?::|$)", re.M)  # before 3.0 without a colon


def quoted(kind):
    return [a or b for a, b in re.findall(r"'([^']*)'|\"([^\"]*)\"", kind)] or ["x"]


def code(seed, prompt):
    if "repl_history" in prompt and seed % 2:
        return f"```python\nSUBMIT(answer='a{seed % 7}')\n```"
    lines = [f"print('c{seed % 9}')", f"x = {seed % 5}\nprint(x * 2)", "print(1 / 0)"]
    return f"```python\n{lines[seed % 3]}\n```"


def calls(names, seed):
    """One or two, to the end in every second."""
    names = [n for n in names if n != "submit"][:1] + ["submit"] * ("submit" in names)
    chosen = names if seed % 5 == 0 else [names[seed % len(names)]]
    return [(n, {"answer": f"a{seed % 7}"} if n == "submit" else {"query": f"query{seed % 9}"}) for n in chosen]


def value(name, kind, seed, prompt):
    if kind == "ToolCalls":
        tools = re.search(r"The available tools are: ([^\n.]*)", prompt)
        names = re.findall(r"`(\w+)`", tools[1]) if tools else ["find"]
        return json.dumps({"tool_calls": [{"name": n, "args": a} for n, a in calls(names, seed)]})
    if name in ("generated_code", "code"):
        return code(seed, prompt)
    one_of = re.search(rf"## {name} ## \]\][^\n]*must be one of: ([^\n\]`]+)", prompt)
    one_of = one_of or re.search(rf"\[\[ ## {name} ## \]\]\n[^\n]*must be one of: ([^\n]+)", prompt)
    if one_of:
        options = [o.strip() for o in one_of[1].split(";")]
        return options[seed % len(options)]
    if kind.startswith(("Literal[", "Enum[")):
        options = quoted(kind)
        return options[seed % len(options)]
    if kind in ("bool", "<class 'bool'>"):
        return "True" if seed % 2 else "False"
    if kind == "int":
        return str(seed % 3)
    if kind.startswith(("float", "Optional[float]", "Union[float")):
        return str(seed % 100 / 10)
    if kind.startswith("list[int]"):
        return json.dumps([seed % 3, (seed + 1) % 3])
    if kind.startswith(("list[Literal", "List[Literal")):
        options = quoted(kind)
        return json.dumps([options[seed % len(options)]])
    if kind.startswith("list[str]"):
        return json.dumps([f"{name[0]}{seed % 9}", f"{name[0]}{seed % 7}"])
    if kind.startswith("list["):
        return json.dumps([{"entity_type": "sum", "value": str(seed % 10)}])
    if kind.startswith("dict"):
        return json.dumps({"n": str(seed % 9), "predict": f"try {seed % 9}"})
    return f"a{seed % 7}" if name in ("answer", "label") else f"{name} {seed % 1000}"


def flat(content):
    return content if isinstance(content, str) else json.dumps(content)


def instruction(last):
    """Of a reflection: a function of what it is shown, whatever the words around it."""
    shown = sorted(re.findall(r"fb[0-9a-f]{8}|unread \d+", last))
    return "By " + hashlib.sha256(" ".join(shown).encode()).hexdigest()[:8] + f", of {len(shown)}."


def fields_of(system, last, seed):
    part = system.split("Your output fields are:")[1].split("All interactions")[0]
    turns, out = last.count("[[ ## observation_"), {}
    for name, kind in FIELD.findall(part):
        if name == "next_tool_name":
            tools = [t for _, t in re.findall(r"\((\d+)\) (\w+)", system) if t != "finish"] or ["finish"]
            out[name] = "finish" if turns >= 2 else tools[(seed + turns) % len(tools)]
        elif name == "next_tool_args":
            at = system.find(f") {out.get('next_tool_name', '')}")
            names = [a or b for a, b in
                     re.findall(r"'(\w+)': \{'type'|\"(\w+)\": \{\"type\"", system[at:at + 600].split("\n")[0])]
            out[name] = "{}" if turns >= 2 else json.dumps({n: f"{n}{seed % 5}" for n in names or ["query"]})
        elif name == "new_instruction":
            out[name] = instruction(last)
        else:
            out[name] = value(name, kind, seed + len(name), system)
    return out


def text(messages, salt):
    seed = int(hashlib.sha256((json.dumps(messages, sort_keys=True) + str(salt)).encode()).hexdigest()[:8], 16)
    system = flat(messages[0]["content"]) if messages[0]["role"] == "system" else ""
    if "Your output fields are:" not in system:
        return f"free text {seed % 1000}"
    last = flat(messages[-1]["content"])
    if "answer unread" in last:
        return f"unread {seed % 1000}"
    out = fields_of(system, last, seed)
    if "Respond with a JSON object" in last:
        return json.dumps(out)
    return "\n\n".join(f"[[ ## {n} ## ]]\n{v}" for n, v in out.items()) + "\n\n[[ ## completed ## ]]"


def called(request, salt):
    """The calls of a reply to a request that offers tools, or that forces one."""
    forced = request.get("tool_choice")
    names = [t["function"]["name"] for t in request["tools"]]
    seed = int(hashlib.sha256((json.dumps(request["messages"], sort_keys=True) + str(salt)).encode()).hexdigest()[:8], 16)
    if isinstance(forced, dict):
        names = [forced["function"]["name"]]
    return [{"id": f"call_{seed % 1000}_{i}", "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
            for i, (n, a) in enumerate(calls(names, seed))]


def body(request):
    """The reply to a request of OpenAI's interface."""
    model = request["model"].split("/")[-1]
    salt = [model, request.get("temperature") or ""]
    more = {"tool_calls": called(request, salt)} if request.get("tools") else {}
    return {"choices": [{"index": i, "finish_reason": "stop", "logprobs": None,
                         "message": {"role": "assistant", "content": text(request["messages"], salt + [i]), **more}}
                        for i in range(request.get("n") or 1)],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}, "model": model}
