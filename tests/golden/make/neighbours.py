"""knn.json: dspy.KNN, dspy.KNNFewShot and dspy.retrievers.Embeddings with a planted embedder."""
import re

import numpy
from planted import Planted, calls, chat, field, output_fields, quiet

import dspy
from dspy.retrievers import Embeddings
from dspy.teleprompt.bootstrap import BootstrapFewShot

DIMENSIONS = 8


class Embed:
    """v[d] = how many code points c of the text have c % 8 == d; `asked` has all texts."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked.extend(texts)
        vectors = [[sum(ord(c) % DIMENSIONS == d for c in text) for d in range(DIMENSIONS)] for text in texts]
        return numpy.array(vectors, dtype=numpy.float32)


def rule(messages, settings):
    n = int(re.search(r"\d+", field(messages, "question")).group())
    shown = sum(m["role"] == "user" for m in messages) - 1
    fields = {"answer": "yes" if (n + shown) % 2 == 0 else "no"}
    return chat({"reasoning": f"r{n}", **fields} if "reasoning" in output_fields(messages) else fields)


def metric(example, prediction, trace=None):
    return example.answer == prediction.answer


class Noted(BootstrapFewShot):
    """Notes the demonstrations of what it compiles."""

    demos = None

    def compile(self, *args, **more):
        program = super().compile(*args, **more)
        Noted.demos = [[("*" if d.get("augmented") else "") + d["question"] for d in p.demos] for p in program.predictors()]
        return program


def answered(search, program, lm, embed, inputs, k):
    lm.asked.clear()
    Noted.demos = None
    neighbours = [search.KNN.trainset.index(e) for e in search.KNN(**inputs)]
    vector = embed([" | ".join(f"{key}: {value}" for key, value in inputs.items())])
    scores = [float(s) for s in numpy.atleast_1d(numpy.dot(search.KNN.trainset_vectors, vector.T).squeeze())]
    with quiet():
        result = program(**inputs)
    first = sorted(scores, reverse=True)[: k + 1]
    return {
        "inputs": inputs,
        **({"tie": True} if len(set(first)) < len(first) else {}),
        "scores": scores,
        "neighbours": neighbours,
        "demos": Noted.demos,
        "result": dict(result),
        "final_messages": lm.asked[-1],
        "calls": calls(lm),
    }


def few_shot(case):
    embed, lm = Embed(), Planted(rule)
    train = [dspy.Example(**row).with_inputs(*case["inputs"]) for row in case["train"]]
    options = {**case["args"], **({"metric": metric} if case["args"].get("metric") else {})}
    module = dspy.teleprompt.knn_fewshot
    plain, module.BootstrapFewShot = module.BootstrapFewShot, Noted
    try:
        with dspy.context(lm=lm):
            with quiet():
                search = dspy.KNNFewShot(k=case["k"], trainset=train, vectorizer=dspy.Embedder(embed, caching=False), **options)
                program = search.compile((dspy.ChainOfThought if case["cot"] else dspy.Predict)(case["signature"]))
            queries = [answered(search, program, lm, embed, q["inputs"], case["k"]) for q in case["queries"]]
    finally:
        module.BootstrapFewShot = plain
    return {**case, "texts": embed.asked[: len(train) + 1], "queries": queries}


def retrieved(corpus, k, case):
    found = Embeddings(corpus=corpus, embedder=dspy.Embedder(Embed(), caching=False), k=k, normalize=case["normalize"])(case["query"])
    return {**case, "indices": [int(i) for i in found.indices], "passages": found.passages}


def knn(was):
    embeddings = was["embeddings"]
    results = [retrieved(embeddings["corpus"], embeddings["k"], r) for r in embeddings["results"]]
    return {"_rule": was["_rule"], "cases": [few_shot(c) for c in was["cases"]], "embeddings": {**embeddings, "results": results}}


MAKERS = {"knn": knn}
