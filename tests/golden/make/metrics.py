"""metrics.json: DSPy's normalisation of answers and its scores. rouge_l.json: those of the package rouge-score."""
from dspy.evaluate.metrics import em_score, f1_score, hotpot_f1_score, normalize_text


def metrics(was):
    return {
        "normalize": [[text, normalize_text(text)] for text, *_ in was["normalize"]],
        "f1": [[answer, label, f1_score(answer, label)] for answer, label, *_ in was["f1"]],
        "hotpot": [[answer, label, hotpot_f1_score(answer, label)] for answer, label, *_ in was["hotpot"]],
        "em": [[answer, label, em_score(answer, label)] for answer, label, *_ in was["em"]],
    }


def rouge_l(was):
    from rouge_score.rouge_scorer import RougeScorer  # here: the other file is made without it

    scorer = RougeScorer(["rougeL"])
    made = []
    for label, prediction, *_ in was:
        score = scorer.score_multi if isinstance(label, list) else scorer.score
        made.append([label, prediction, score(label, prediction)["rougeL"].fmeasure])
    return made


MAKERS = {"metrics": metrics, "rouge_l": rouge_l}
