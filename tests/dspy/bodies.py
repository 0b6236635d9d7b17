"""Each body as the forward of a program of its own: what scripts/from-dspy says of it. For tests/cluster/from_dspy.sh.

    python bodies.py PATH/TO/from-dspy      in a folder with the module progs

What changes a value between the steps, before the first or after the last, or decides by one, has to be refused with its
line, whether or not a made-up answer meets it; what only looks on has to be carried.
"""

import contextlib
import io
import os
import sys
import types

HEAD = '''import contextlib, functools, html, json, logging, os, random, re, sys, time, unicodedata, urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Optional
import dspy, json_repair, tenacity
TABLE, LAST = {"a": "b"}, None
def again(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        for _ in range(3):
            try: return f(*args, **kwargs)
            except Exception: pass
    return inner
class Base(dspy.Module):
    def __init__(self):
        super().__init__()
        self.verbose, self.n, self.last, self.seen = False, 0, "", []
        self.query = dspy.ChainOfThought("question -> query")
        self.answer = dspy.Predict("question, query -> answer: str")
    @again
    def again(self, question): return self.go(question)
    def go(self, question): return self.answer(**{"question": question}, query=self.query(question=question).query)
PICK = lambda text: "a" if re.search("zebra", text) else text
def helped(text):
    for each in re.finditer("zebra", text): text = text.replace(each[0], "")
    return text
class Types(dspy.Module):
    def __init__(self):
        super().__init__()
        self.a = dspy.Predict("question -> n: int, x: float, ok: bool, words: list[str], d: dict[str, int], note: Optional[str]")
        self.b = dspy.Predict("n: int, x: float, ok: bool, words: list[str], d: dict[str, int], note: Optional[str] -> answer")
'''


def handed(n="r.n", x="r.x", ok="r.ok", words="r.words", d="r.d", note="r.note"):
    return f"r = self.a(question=question)\nreturn self.b(n={n}, x={x}, ok={ok}, words={words}, d={d}, note={note})"


def between(e):
    return f"q = self.query(question=question).query\nreturn self.answer(question=question, query={e})"


def after(e):
    return f"r = self.go(question)\n{e}"


Q = "q = self.query(question=question)\n"
THEN = "return self.answer(question=question, query=q.query)"
REFUSED = [
    *map(between, (
        "q.strip()", "q[:200]", "q[:50000]", "re.sub('<[^>]+>', '', q)", "re.sub('zzzz', '', q)", "q.lower()", "q.split('###')[0]",
        "q.splitlines()[0]", "' '.join(q.split())", "''.join([q])", "f'{q}'", "'' + q", "'%s' % q", "TABLE.get(q, q)",
        "TABLE[q] if q in TABLE else q", "q or question", "q.removeprefix('Query: ')", "q.replace('zzzz', '')", "q.encode().decode()",
        "json.dumps(q)", "max(q, question)", "q.partition(':')[2]", "q.title()", "''.join(c for c in q if c.isalnum())", "'always'",
        "PICK(q)", "helped(q)", "re.match('zebra', q) and 'z' or q", "next((m[0] for m in re.finditer('zebra', q)), q)", "html.unescape(q)",
    )),
    *map(after, (
        "return dspy.Prediction(answer=r.answer.strip())", "r.answer = r.answer[:100]\nreturn r", "return r.answer", "r.sure = True\nreturn r",
        "assert r.answer in ('yes', 'no')\nreturn r", "return dspy.Prediction(answer=re.findall('[a-z]+', r.answer) and r.answer)",
        "if re.search('zebra', r.answer): r = self.go(question)\nreturn r", "return dspy.Prediction(answer=r.answer, words=len(r.answer))",
    )),
    Q + "if 'zebra' in q.query: return dspy.Prediction(answer='z')\n" + THEN,
    Q + "if re.search('zebra', q.query): return dspy.Prediction(answer='z')\n" + THEN,
    Q + "if len(q.query) > 10**6: q.query = 'x'\n" + THEN,
    Q + "q.query = q.query.strip()\n" + THEN,
    "for _ in range(3):\n    q = self.query(question=question)\n    if q.query: break\n" + THEN,
    "try: q = self.query(question=question)\nexcept Exception: q = self.query(question=question)\n" + THEN,
    "with dspy.context(lm=dspy.LM('openai/other')): q = self.query(question=question)\n" + THEN,
    "q = self.query(question=question, lm=dspy.LM('openai/other'))\n" + THEN,
    "try: x = dspy.LM('openai/other')('rewrite')[0]\nexcept Exception: x = ''\n" + Q + THEN,
    "try: x = dspy.settings.lm('rewrite: ' + question)[0]\nfinally: return self.go(question)",
    "with dspy.context(adapter=dspy.JSONAdapter()): q = self.query(question=question)\n" + THEN,
    "q = self.query(question=question, config={'temperature': 1.0})\n" + THEN,
    Q + "try: urllib.request.urlopen('http://127.0.0.1:9/')\nexcept Exception: pass\n" + THEN,
    "question = question.strip()\nreturn self.go(question)",
    # what outlives a call, chance, the clock and the environment
    "self.last = self.query(question=question).query\nif re.search('zebra', self.last): return dspy.Prediction(answer='z')\n"
    "return self.answer(question=question, query=self.last)",
    "global LAST\nLAST = self.query(question=question).query\nif LAST is None: return dspy.Prediction(answer='z')\n"
    "return self.answer(question=question, query=LAST)",
    "self.n += 1\nif self.n > 100: return dspy.Prediction(answer='tired')\nreturn self.go(question)",
    "self.seen.append(question)\nif self.seen[-1] == 'zebra': return dspy.Prediction(answer='z')\nreturn self.go(question)",
    "if random.random() < 0.0001: return dspy.Prediction(answer='z')\nreturn self.go(question)",
    "if time.time() % 86400 < 1: return dspy.Prediction(answer='z')\nreturn self.go(question)",
    "if os.environ.get('NOT_THERE'): return dspy.Prediction(answer='z')\nreturn self.go(question)",
    # failures, and who tries again
    "q = dspy.Prediction(query='')\nwith contextlib.suppress(Exception): q = self.query(question=question)\n" + THEN,
    "q = tenacity.Retrying(stop=tenacity.stop_after_attempt(3))(self.query, question=question)\n" + THEN,
    "return self.again(question)",
    "with ThreadPoolExecutor(1) as pool: q = pool.submit(self.query, question=question).result()\n" + THEN,
    # what is found by a value, and what libraries do with one
    after("return {'yes': dspy.Prediction(answer='y')}.get(str.strip(r.answer), r)"),
    after("return [dspy.Prediction(answer='y'), r][re.search('zebra', r.answer) is None]"),
    between("unicodedata.normalize('NFC', q)"), between("json_repair.loads(q) and q"),
    # what the program changes of its predictors, and what it leaves behind
    Q + "self.answer.demos = [dspy.Example(question='q', query='x', answer='z')]\n" + THEN,
    Q + "self.answer.signature = self.answer.signature.with_instructions('Be brief.')\n" + THEN,
    "self.answer.config = {'temperature': 0.9}\nreturn self.go(question)",
    Q + "self.answer.lm = dspy.LM('openai/other')\n" + THEN,
    after("with open('side.txt', 'a') as f: f.write(r.answer)\nreturn r"),
    "q = self.query(question=question)\nreturn dspy.Prediction(answer=q.query)",
]  # fmt: skip
TYPED = [
    handed(**e) for e in (
        {"ok": "not r.ok"}, {"n": "abs(r.n)"}, {"n": "min(r.n, 10**12)"}, {"x": "round(r.x, 6)"}, {"words": "r.words[:50]"},
        {"words": "sorted(r.words)"}, {"words": "[w.strip() for w in r.words]"}, {"words": "list(dict.fromkeys(r.words))"},
        {"d": "{k: v for k, v in r.d.items()}"}, {"note": "r.note or 'none'"}, {"note": "None if r.note == '' else r.note"}, {"n": "int(r.n)"},
    )
]  # fmt: skip
CARRIED = [
    *map(between, ("q", "str(q)")),
    *map(after, ("return r", "return dspy.Prediction(answer=r['answer'])")),
    Q + "print(q.query, f'{q.query}', q.query.upper(), file=sys.stderr)\n" + THEN,
    Q + "logging.info('query: %s', q.query)\n" + THEN,
    Q + "if self.verbose: print(q, file=sys.stderr)\n" + THEN,
    Q + "assert len(self.seen) == 0\n" + THEN,
]
BODIES = [(b, "Base", False) for b in REFUSED] + [(b, "Types", False) for b in TYPED]
BODIES += [(b, "Base", True) for b in CARRIED] + [(handed(), "Types", True)]


def main(path):
    sys.path[:0] = [os.path.dirname(path), "."]
    fd = types.ModuleType("from_dspy")
    fd.__file__ = path
    with open(path, encoding="utf-8") as f:
        exec(compile(f.read(), path, "exec"), fd.__dict__)
    with open("bodies_of.py", "w", encoding="utf-8") as f:
        f.write(HEAD)
        for i, (body, base, _) in enumerate(BODIES):
            lines = "".join(f"        {line}\n" for line in body.split("\n"))
            f.write(f"class C{i}({base}):\n    def forward(self, question):\n{lines}p{i} = C{i}()\n")
    wrong = 0
    for i, (body, _, carries) in enumerate(BODIES):
        fd.look.Watch.refusal, said = None, ""
        given = dict(program=f"bodies_of:p{i}", trainset="progs:questions", valset=None, testset=None, metric=None, out=f"b{i}")
        try:
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                fd.convert(types.SimpleNamespace(**given))
        except fd.CannotSay as e:
            said = str(e)
        if carries == bool(said) or (said and (not said.startswith("bodies_of.py:") or  "\n" in said)) or os.path.exists(f"b{i}") != carries:
            wrong += 1
            print(f"{'carried' if carries else 'refused'} was meant: {body!r}: {said!r}")
    print(f"{len(REFUSED) + len(TYPED)} refused, {len(CARRIED) + 1} carried, {wrong} of them wrongly")
    sys.exit(wrong > 0)


main(os.path.abspath(sys.argv[1]))
