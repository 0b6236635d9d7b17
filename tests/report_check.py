"""report_check.py OUT [WORDS...]: OUT/report.html is well-formed, runs and fetches nothing, and every number in it is that
of the files beside it. WORDS have to stand in its text. Prints what is wrong, a line each; nothing: all is well."""
import base64, csv, hashlib, html.parser, json, math, pathlib, re, sys

out, words = pathlib.Path(sys.argv[1]), sys.argv[2:]
wrong = []
VOID = {"meta", "br", "img", "link", "input", "hr"}
ALLOWED = set("html head meta title style body main header h1 h2 h3 p b dl div dt dd section svg text line rect circle path g span blockquote code "
              "ins del ol li details summary table thead tbody tr th td pre br".split())


class Page(html.parser.HTMLParser):
    """Texts with the way to them, ids, and all that is not allowed."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.texts, self.ids, self.labelled, self.style, self.csp = [], [], [], [], "", ""

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag not in ALLOWED:
            wrong.append(f"a <{tag}>")
        for k, v in attrs:
            if k.startswith("on") or k in ("href", "src", "style", "action", "xlink:href", "srcset", "data", "formaction"):
                wrong.append(f"<{tag} {k}={v!r}>")
            if k == "class" and not re.fullmatch(r"[a-z0-9 ]*", v or ""):
                wrong.append(f"class {v!r}")
            if re.search(r"(?i)https?:|javascript:", v or "") and k not in ("aria-label",):
                wrong.append(f"an address in <{tag} {k}>")
        if "id" in a:
            self.ids.append(a["id"])
        if "aria-labelledby" in a:
            self.labelled.append(a["aria-labelledby"])
        if tag == "svg" and not (a.get("role") == "img" and a.get("aria-label")):
            wrong.append("a drawing without a name")
        if a.get("http-equiv") == "Content-Security-Policy":
            self.csp = a["content"]
        if tag not in VOID:
            self.stack.append((tag, a))

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1][0] != tag:
            wrong.append(f"</{tag}> closes {self.stack[-1][0] if self.stack else 'nothing'}")
        else:
            self.stack.pop()

    def handle_data(self, data):
        tag, a = self.stack[-1] if self.stack else ("", {})
        if tag == "style":
            self.style += data
        elif data.strip():
            self.texts.append((tag, a.get("class", ""), tuple(t for t, _ in self.stack), data))

    def handle_comment(self, data):
        wrong.append("a comment")


def read(name, what):
    path = out / name
    return what(path.read_text(encoding="utf-8")) if path.exists() else None


source = (out / "report.html").read_text(encoding="utf-8")
page = Page()
page.feed(source)
page.close()
if page.stack:
    wrong.append(f"not closed: {[t for t, _ in page.stack]}")
if len(set(page.ids)) != len(page.ids):
    wrong.append("an id stands twice")
if set(page.labelled) - set(page.ids):
    wrong.append("a section is labelled by what is not there")
digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
if page.csp != f"default-src 'none'; style-src 'sha256-{digest}'":
    wrong.append(f"policy {page.csp}")
if re.search(r"url\(|@import|expression", page.style):
    wrong.append("the style fetches something")
text = " ".join(" ".join(t[3] for t in page.texts).split())
for w in words:
    if w not in text and w not in source:
        wrong.append(f"not there: {w}")


# ---- contrast of the colours that carry text, in both schemes (WCAG 2.1: 4.5 to 1)
def luminance(c):
    c = c.lstrip("#")
    c = "".join(x * 2 for x in c) if len(c) == 3 else c
    f = [int(c[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    f = [x / 12.92 if x <= .03928 else ((x + .055) / 1.055) ** 2.4 for x in f]
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]


for scheme in re.findall(r":root\{([^}]*)\}", page.style):
    v = dict(re.findall(r"--(\w+):(#\w+)", scheme))
    for ink, ground in [("ink", "bg"), ("soft", "bg"), ("ink", "pan"), ("soft", "pan"), ("c1", "bg"), ("good", "bg"), ("bad", "bg"), ("on", "c0"), ("on", "good"), ("on", "bad")]:
        a, b = sorted((luminance(v[ink]), luminance(v[ground])))
        if (b + .05) / (a + .05) < 4.5:
            wrong.append(f"contrast of {ink} on {ground}: {(b + .05) / (a + .05):.2f}")

# ---- numbers: made anew of the files, in the page's words
status = read("status.json", json.loads)
last, progress = status.get("last") or {}, status.get("progress") or {}
evidence = read("evidence.json", json.loads) or {}
trials = list(csv.DictReader((read("trials.csv", str.splitlines)) or []))
predictions = [json.loads(l) for l in (read("predictions.jsonl", str.splitlines) or [])]
for p in (status, evidence):
    assert isinstance(p, dict)


def percent(x):
    return "not known" if x is None else f"{100 * x:.1f}"


def grouped(n):
    return f"{n:,.0f}"


def expect(what, *told):
    for t in told:
        if " ".join(t.split()) not in text:
            wrong.append(f"{what}: the page does not say {t!r}")


for split in ("testset", "valset"):
    rows = {}
    for p in predictions:
        if p["split"] == split:
            rows.setdefault(p["program"], []).append(p)
    if len(rows) != 2:
        continue
    pairs = [(a["score"], b["score"]) for a, b in zip(*[rows[k] for k in ("start", "compiled")])]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    up, down = sum(b > a for a, b in both), sum(b < a for a, b in both)
    d = last[split]["difference"]
    mean = sum(b - a for a, b in both) / len(both)
    n = up + down
    p = min(1, 2 * sum(math.comb(n, k) for k in range(min(up, down) + 1)) / 2 ** n)
    if (d["better"], d["worse"], d["n"]) != (up, down, len(both)) or abs(d["mean"] - mean) > 1e-12 or (d["p"] is not None and abs(d["p"] - p) > 1e-9):
        wrong.append(f"{split}: difference in status.json {d}, not {up} {down} {mean} {p}")
    for program, who in (("baseline", "start"), ("compiled", "compiled")):
        s = [x["score"] for x in rows[who] if x["score"] is not None]
        if s and abs(sum(s) / len(s) - last[split][program]["score"]) > 1e-9:
            wrong.append(f"{split} {program}: mean of predictions.jsonl")
    c, b = last[split]["compiled"], last[split]["baseline"]
    shown = c.get("corrected", c["score"])
    expect(split, f"{len(pairs)} examples", f"{percent(shown)} %", f"{percent(b['score'])} %")
    if "corrected" in c:
        expect(split, f"{percent(shown)} % (was {percent(c['score'])})")
    if split == ("testset" if "testset" in last else "valset"):
        expect("verdict", f"{100 * d['low']:+.1f} to {100 * d['high']:+.1f} points; {up} answer", f"{down} became")
        if d["p"] is not None:
            expect("verdict", f"(p = {p:.3f}, exact McNemar test)")
        sure = d["verdict"] != "no difference outside the noise"
        expect("verdict", f"{d['verdict']} by {abs(100 * mean):.1f} points" if sure else "no difference outside the noise")
        if not sure and re.search(r"(better|worse) by [\d.]+ points", text):
            wrong.append("a difference inside the noise is called one")
        kinds = {"right in both": 0, "now right": 0, "now wrong": 0, "wrong in both": 0}
        if all(x in (0, 1) for ab in both for x in ab):
            for a, b2 in both:
                kinds["right in both" if a and b2 else "now right" if b2 else "now wrong" if a else "wrong in both"] += 1
            for k, v in kinds.items():
                expect("became", f"{k} {v}")
        labels = {}
        field = next(iter(predictions[0]["label"]), None)
        for x, y in zip(rows["start"], rows["compiled"]):
            if x["score"] is not None and y["score"] is not None and len(x["label"]) == 1:
                t = labels.setdefault(str(x["label"][field]), [0, 0, 0])
                t[0] += x["score"]; t[1] += y["score"]; t[2] += 1
        if "By label" in text and all(x in (0, 1) for ab in both for x in ab):
            for a, b2, k in labels.values():
                expect("by label", f"{a:.0f} → {b2:.0f} of {k}")

said = last or progress
expect("facts", grouped(said["calls"]))
titles = [t[3] for t in page.texts if t[0] == "title"]
cells = [[t[3].strip() for t in page.texts if t[2][-2:] == ("tr", "td")]]
for i, t in enumerate(trials):
    if len(trials) <= 200:
        m = (evidence.get("candidates") or [{}] * len(trials))[i]
        interval = f"{percent(float(t['low']))} to {percent(float(t['high']))}" if t["low"] else "not known"
        score = percent(float(t["score"]) if t["score"] else None)
        row = f"{i} {t['name']}" + (" ★" if t["best"] == "1" else "")
        if t["instructions"]:
            row += f" {t['instructions']}" + (f" / {t['demos']}" if t["demos"] else "")
        row += f" {score} {interval}"
        if any("estimate" in c for c in evidence.get("candidates") or []):
            row += " " + percent(m.get("estimate"))
        row += f" {t['n']} {t['failed']} {t['parse']}" + (f" {grouped(m['prompt_tokens'])}" if "prompt_tokens" in m else "")
        expect("table of candidates", row)
        if t["score"]:
            point = f"{t['name']}: {score} % ({interval}) on {t['n']}"
            if not any(x.startswith(point) for x in titles):
                wrong.append(f"no point says {point!r}")
for u in evidence.get("usage", []):
    expect("usage", f"{u['phase']}, {u['role']} {grouped(u['runs'])} {grouped(u['calls'])} {grouped(u['tokens']['prompt'])} {grouped(u['tokens']['completion'])}")
if evidence.get("usage") and last:
    for what, total in (("calls", last["calls"]), ("answers", last["answers"])):
        if sum(u[what] for u in evidence["usage"]) != total:
            wrong.append(f"{what} by phase and role are not those of the last line")
    if sum(u["tokens"]["prompt"] for u in evidence["usage"]) != last["tokens"]["prompt"]:
        wrong.append("prompt tokens by phase and role are not those of the last line")
for m in (evidence.get("ensemble") or {}).get("members", []):
    expect("member", f"{m['from']} {m['votes']} {percent(m.get('score'))}")
if (out / "program.json").exists():
    expect("sum", hashlib.sha256((out / "program.json").read_bytes()).hexdigest())
# what is left: a number with a point in the prose, the tables and the marks has to stand in a file in that form
known = set(re.findall(r"\d+\.\d+", " ".join(json.dumps(x) for x in (status, evidence))))
known |= {f"{float(x):.{k}f}" for x in list(known) for k in (1, 2, 3)} | {f"{100 * float(x):.1f}" for x in list(known)}
for t in trials:
    known |= {percent(float(t[k])) for k in ("score", "low", "high") if t[k]}
known |= {f"{abs(100 * (last.get(s) or {}).get('difference', {}).get(k, 0) or 0):.1f}" for s in ("valset", "testset") for k in ("mean", "low", "high")}
for tag, cls, way, data in page.texts:
    if tag in ("dd", "blockquote", "code", "ins", "del", "pre") or "tick" in cls or way[-1] == "td" and any(c in cls for c in ("id", "gold", "goodt", "badt", "plain")) or "by rank" in data:
        continue
    if tag in ("p", "b", "title") or "val" in cls:
        for x in re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", data):
            if x not in known:
                wrong.append(f"{x} in {data.strip()[:80]!r} stands in no file")
print("\n".join(dict.fromkeys(wrong)))
sys.exit(1 if wrong else 0)
