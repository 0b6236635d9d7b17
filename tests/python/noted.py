"""A score, and as GEPA asks it feedback that tells all that it was asked about: predictor, its step, the whole trace."""
import hashlib

import dspy
import spread


def told(value):
    said = repr(sorted((str(k), str(v)) for k, v in value.items()) if hasattr(value, "items") else value)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def metric(gold, pred, trace=None, pred_name=None, pred_trace=None):
    score = spread.metric(gold, pred)
    if pred_name is None:
        return score
    steps = [[told(inputs), told(outputs)] for _, inputs, outputs in pred_trace]
    return dspy.Prediction(score=score, feedback="fb" + told([pred_name, steps, len(trace)]))
