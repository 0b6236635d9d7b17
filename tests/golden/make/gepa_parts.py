"""gepa_units.json: gepa's own functions on given inputs (the package gepa, which dspy.GEPA runs)."""
import random
from types import SimpleNamespace

from gepa.core.data_loader import ListDataLoader
from gepa.gepa_utils import find_dominator_programs, remove_dominated_programs, select_program_candidate_from_pareto_front
from gepa.proposer.merge import MergeProposer
from gepa.strategies.batch_sampler import EpochShuffledBatchSampler
from gepa.strategies.instruction_proposal import InstructionProposalSignature


def front(entry):
    sets = {}
    for row, members in enumerate(entry["inserted"]):
        sets[row] = {members[0]}
        for m in members[1:]:
            sets[row].add(m)  # one by one: the order of iteration depends on it
    copies = {row: set(s) for row, s in sets.items()}
    left = remove_dominated_programs(copies, scores=entry["means"])
    stream = random.Random(entry["seed"])
    choice = select_program_candidate_from_pareto_front({row: set(s) for row, s in sets.items()}, entry["means"], stream)
    return {
        "inserted": entry["inserted"],
        "means": entry["means"],
        "iterates": [list(s) for s in sets.values()],
        "copy_iterates": [list(s) for s in copies.values()],
        "reduced_iterates": [list(s) for s in left.values()],
        "survivors": find_dominator_programs({row: set(s) for row, s in sets.items()}, entry["means"]),
        "seed": entry["seed"],
        "choice": choice,
        "next32": stream.getrandbits(32),
    }


def minibatches(entry):
    n, b, seed = entry["n"], entry["b"], entry["seed"]
    loader = ListDataLoader(list(range(n)))

    def asked(iterations, times):
        sampler = EpochShuffledBatchSampler(b, random.Random(seed))
        return [[sampler.next_minibatch_ids(loader, SimpleNamespace(i=i)) for _ in range(times)] for i in iterations]

    return {
        "n": n, "b": b, "seed": seed,
        "minibatches": [one for (one,) in asked(range(len(entry["minibatches"])), 1)],
        "skipping_odd_iterations": [one for (one,) in asked(range(0, 12, 2), 1)],
        "two_per_iteration": asked(range(6), 2),
    }  # fmt: skip


def merge_rows(entry):
    loader = ListDataLoader(list(range(len(entry["scores1"]))))
    merge = MergeProposer(logger=None, valset=loader, evaluator=None, use_merge=True, max_merge_invocations=5, rng=random.Random(entry["seed"]))
    ids = merge.select_eval_subsample_for_merged_program(dict(enumerate(entry["scores1"])), dict(enumerate(entry["scores2"])))
    return {**entry, "ids": ids}


def units(was):
    return {
        "_rule": was["_rule"],
        "fences": [[answer, InstructionProposalSignature.output_extractor(answer.strip())["new_instruction"]] for answer, *_ in was["fences"]],
        "fronts": [front(e) for e in was["fronts"]],
        "sampler": [minibatches(e) for e in was["sampler"]],
        "merge_rows": [merge_rows(e) for e in was["merge_rows"]],
    }


MAKERS = {"gepa_units": units}
