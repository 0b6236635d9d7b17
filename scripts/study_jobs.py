"""What the studies on real models share: data sets cut into three, the model, and one command of dspy-mpi."""
import argparse
import json
import os
import pathlib
import subprocess
import sys


def row_of(row):
    """One input and one output, whatever the set calls them."""
    if "label" in row:
        return {"id": row["id"], "text": row.get("text", row.get("claim")), "answer": str(row["label"])}
    text = row["question"]
    if "passage" in row:
        text = f"{row['passage']}\n{text}"
    for letter, choice in zip("ABCDEFGHIJ", row.get("choices", [])):
        text += f"\n{letter}) {choice}"
    return {"id": row["id"], "text": text, "answer": str(row["answer"])}


def write(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


def cut(source, folder, args):
    """Train, validation and test set, which are the same in each attempt."""
    read = lambda name: [row_of(json.loads(line)) for line in open(source / name, encoding="utf-8")]
    train, dev = read("train.jsonl"), read("dev.jsonl")
    if len(train) < args.train + args.val or len(dev) < args.test:
        sys.exit(f"{source}: {len(train)} and {len(dev)} rows are too few")
    write(folder / "train.jsonl", train[:args.train])
    write(folder / "val.jsonl", train[args.train:args.train + args.val])
    write(folder / "test.jsonl", dev[:args.test])
    labels = sorted({r["answer"] for r in train + dev})
    few = len(labels) <= 20
    # a Literal where there are few labels; else any text
    return f"text -> answer: Literal[{', '.join(repr(v) for v in labels)}]" if few else "text -> answer"


def arguments(usage, **sizes):
    parser = argparse.ArgumentParser(usage=usage)
    parser.add_argument("address")
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("sets", nargs="+", type=pathlib.Path)
    for name, default in {**sizes, "max-tokens": 120, "concurrency": 4, "timeout": 600}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--dspy-mpi", default=os.environ.get("PROGRAM", str(pathlib.Path(__file__).parent.parent / "build/dspy-mpi")))
    return parser.parse_args()


def model_of(args):
    return {"model": args.model, "api_base": args.address, "temperature": 0, "max_tokens": args.max_tokens, "concurrency": args.concurrency,
            "timeout": args.timeout, "wait": 60}


def run(command, path, args, *options):
    """The last line of `dspy-mpi COMMAND PATH`, which goes on where an attempt before it stopped."""
    done = subprocess.run([args.dspy_mpi, command, str(path), "--json", *options], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{path}: exit {done.returncode}; the same command goes on where it stopped")
    return json.loads(done.stdout)
