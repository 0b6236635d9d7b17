"""Prints tests/golden/data/rouge_l.json: rows of label (or a list of them), prediction and F-measure, by the package rouge-score, 0.1.2."""
import json
import random

from rouge_score import rouge_scorer

scorer = rouge_scorer.RougeScorer(["rougeL"])
rng = random.Random(7)
words = "a b c d the cat sat on mat x9 42 don't e-mail".split()
marks = [" ", "  ", ", ", ".\n", "-", "'", "\t", "\u00a0", "\u200b", "_"]


def text(n, vocabulary):
    return "".join(rng.choice(vocabulary) + rng.choice(marks) for _ in range(n))


pairs = [
    ("the cat sat on the mat", "the cat lay on the mat"),
    ("police killed the gunman", "the gunman killed police"),
    ("", "a"), ("a", ""), ("", ""), ("...", "a"), ("a", "!?"),
    ("The Quick Brown", "the quick brown"),
    ("don't", "dont"), ("don't", "don t"), ("3.14", "3 14"), ("e-mail me", "email me"),
    ("caf\u00e9", "caf"), ("caf\u00e9", "cafe"), ("stra\u00dfe", "STRASSE"), ("na\u00efve r\u00e9sum\u00e9", "na ve r sum"),
    ("\u0130stanbul", "istanbul"), ("\u0130stanbul", "i stanbul"), ("\u212a9", "k9"), ("\u2460 one", "one"), ("\uff41\uff42", "ab"),
    ("\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"), ("a\x00b", "a b"), ("running runs", "run run"),
    ("a_b", "a b"), ("x" * 300, "x" * 300), ("1 2 3 4 5 6 7", "7 6 5 4 3 2 1"),
]
for n, m, k in [(3, 4, 3), (10, 7, 5), (20, 20, 4), (63, 64, 5), (64, 65, 6), (65, 63, 8), (128, 127, 9), (129, 200, 13), (300, 40, 13), (1, 500, 3), (700, 600, 13)]:
    for _ in range(3):
        pairs.append((text(n, words[:k]), text(m, words[:k])))
out = [[a, b, scorer.score(a, b)["rougeL"].fmeasure] for a, b in pairs]
for labels, b in [(["no", "the cat sat"], "a cat sat"), (["x y", "x"], "x"), (["", "a b c"], "c a b")]:
    out.append([labels, b, scorer.score_multi(labels, b)["rougeL"].fmeasure])
print("[" + ",\n ".join(json.dumps(row) for row in out) + "]")
