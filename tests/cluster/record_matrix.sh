# scripts/record-matrix on the stand-in: an (instruction, demo set) grid, cell by cell, through dspy-mpi.
. tests/lib.sh
plan 8
if ! command -v python3 >/dev/null; then
	skip_all 8 "python3 is not here"
	exit 0
fi
"$MOCK" --make-data 20 1 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 12 1 100 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<'END'
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "mipro_v2"}, "lm": {"model": "embedded/stand-in"}}
END
echo '{"self": {"instead": ["Look carefully.", "Answer exactly."]}}' >"$DIR/proposals.json"
record() { run "$1" scripts/record-matrix "$DIR/job.json" "$DIR/m.json" --proposals "$DIR/proposals.json" --dspy-mpi "$PROGRAM" --demos "$2"; }
of() { python3 -c "import json; m = json.load(open('$DIR/m.json')); print($1)"; }

check "a grid is recorded" record 0 0,2,8
check "a row for every pair, a cell for every example" [ "$(of '[len(m["cells"])] + sorted({len(r) for r in m["cells"] + m["answers"]})')" = "[9, 12]" ]
check "the program's own instruction first, then the proposals" [ "$(of '(m["instructions"][1:], m["instructions"][0][:5])')" = "(['Look carefully.', 'Answer exactly.'], 'Given')" ]
check "demo sets by size" [ "$(of '[len(d) for d in m["demos"]]')" = "[0, 2, 8]" ]
# the same candidate by hand: instruction 2, demo set 1
python3 - "$DIR" <<'END'
import json, sys
d = sys.argv[1]
rows = [json.loads(l) for l in open(d + "/train.jsonl")]
m = json.load(open(d + "/m.json"))
with open(d + "/two.jsonl", "w") as f:
    f.writelines(json.dumps(rows[int(i) - 1]) + "\n" for i in m["demos"][1])
END
run 0 "$PROGRAM" compile "$DIR/job.json" --trainset="$DIR/two.jsonl" --program='{"predict": {"signature": "question -> answer", "instructions": "Answer exactly."}}' \
	--optimizer='{"name": "labeled_few_shot", "k": 2, "sample": false}' --out="$DIR/o"
run 0 "$PROGRAM" eval "$DIR/job.json" --program="$DIR/o/program.json" --split=valset
check "its row's mean is what eval says of the program ($(json valset.score "$DIR/out"))" [ "$(of 'round(sum(m["cells"][7]) / 12, 9)')" = "$(json valset.score "$DIR/out" | python3 -c 'print(round(float(input()), 9))')" ]
check "and not that of the program without demonstrations" [ "$(of 'm["cells"][7] != m["cells"][6]')" = True ]
cp "$DIR/m.json" "$DIR/whole.json"
python3 - "$DIR/m.json" <<'END'
import json, sys
m = json.load(open(sys.argv[1]))
m["cells"], m["answers"], m["instructions"] = m["cells"][:4], m["answers"][:4], m["instructions"][:2]
json.dump(m, open(sys.argv[1], "w"))
END
record 0 0,2,8
check "goes on where it stopped, to the same file" cmp "$DIR/m.json" "$DIR/whole.json"
check "other demo sets for a file that is there are refused" record 1 0,3
