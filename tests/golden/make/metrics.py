"""metrics.json: DSPy's normalisation of answers and its scores."""
from dspy.evaluate.metrics import em_score, f1_score, hotpot_f1_score, normalize_text


def metrics(was):
    return {
        "normalize": [[text, normalize_text(text)] for text, *_ in was["normalize"]],
        "f1": [[answer, label, f1_score(answer, label)] for answer, label, *_ in was["f1"]],
        "hotpot": [[answer, label, hotpot_f1_score(answer, label)] for answer, label, *_ in was["hotpot"]],
        "em": [[answer, label, em_score(answer, label)] for answer, label, *_ in was["em"]],
    }


MAKERS = {"metrics": metrics}
