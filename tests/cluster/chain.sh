# Optimizers one after the other: each from the other's winner, in one journal and on one budget; the same program at
# any number of ranks, over kills and under caps; members of an ensemble may be such.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
ROUNDS=${ROUNDS:-1}
RANKS=${RANKS:-"2 5"}
seq 0 39 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/train.jsonl"
seq 100 123 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/val.jsonl"
start_mock --rule tokens --latency 3
mipro='{"name": "mipro_v2", "auto": null, "num_candidates": 3, "num_trials": 3, "minibatch": false}'
gepa='{"name": "gepa", "max_metric_calls": 200}'
job() { # job OPTIMIZER
	cat >"$DIR/job.json" <<X
{"program": {"predict": {"signature": "question -> answer", "instructions": "Answer."}}, "trainset": "train.jsonl", "valset": "val.jsonl",
 "inputs": ["question"], "metric": "exact_match", "optimizer": $1, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
X
}
instruction() { json self.signature.instructions "$1"; }

job "[$mipro, $gepa]"
check "plan has the phases of both" run 0 "$PROGRAM" plan "$DIR/job.json"
check "by name" [ "$(grep -cE '^(search, mipro_v2|search, gepa|reflect, gepa|propose, mipro_v2) ' "$DIR/err")" = 4 ]
high=$(json calls.high "$DIR/out")
check "mipro_v2, then gepa" compile_at 1 "$DIR/whole"
cp "$DIR/out" "$DIR/last"
calls=$(json calls "$DIR/last")
check "within the plan: $calls of $high" [ "$calls" -le "$high" ]
winner=$(grep '^[0-9]*,mipro_v2' "$DIR/whole/trials.csv" | awk -F, '$6 == 24' | sort -t, -k3,3gr -k1,1g | head -1 | sed 's/.*candidates/candidates/; s/,.*//')
start=$(grep ',gepa 0,' "$DIR/whole/trials.csv" | sed 's/.*candidates/candidates/; s/,.*//')
check "gepa starts from what mipro_v2 found: $winner, $start" [ "$(instruction "$DIR/whole/$winner")" = "$(instruction "$DIR/whole/$start")" ]
best=$(awk -F, '$11 == 1 { print $2 }' "$DIR/whole/trials.csv")
check "the program is the last one's: $best" [ "${best%% *}" = gepa ]
check "and no worse than the start: $(json valset.compiled.score "$DIR/last")" awk -v a="$(json valset.baseline.score "$DIR/last")" -v b="$(json valset.compiled.score "$DIR/last")" 'BEGIN { exit !(b >= a) }'
check "the file says what made it" grep -q '"name": "chain"' "$DIR/whole/program.json"
check "a run of another chain is another job" run 73 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole" --optimizer="[$gepa, $gepa]"
check "the same is finished" compile_at 1 "$DIR/whole"
for arguments in --seed=1 --budget.calls=200; do
	compile_at 1 "$DIR/w" $arguments
	code=$?
	[ "$arguments" = --seed=1 ] || check "the cap is kept: $(json calls "$DIR/out")" [ "$(json calls "$DIR/out")" -le 200 ]
	[ "$arguments" = --seed=1 ] || check "gepa has its share of it" grep -q ',gepa 1,' "$DIR/w/trials.csv"
	same_at_ranks $code $arguments
	check "$arguments, at 1 $RANKS ranks: $same" [ "$same" = yes ]
done
start_mock --rule tokens --mark yes --latency 25 # so slow that kills come while it runs
job "[$mipro, $gepa]"
rm -rf "$DIR/whole"
check "the undisturbed run" compile_at 1 "$DIR/whole"
calls=$(stat_of requests)
post /whole >/dev/null
rounds_of_kills "$calls"

job '["bootstrap_few_shot", "labeled_few_shot"]'
check "of those that score nothing the last one's program is taken" compile_at 1 "$DIR/b"
check "with its demonstrations: $(grep -c '"question"' "$DIR/b/program.json")" [ "$(grep -c '"question": "q' "$DIR/b/program.json")" = 16 ]
job "{\"name\": \"ensemble\", \"of\": [[$mipro, $gepa]], \"k\": 2}"
check "members may be chains" compile_at 1 "$DIR/e"
check "each has both" [ "$(grep -lE ',gepa 0,' "$DIR"/e/members/*/trials.csv | wc -l) $(grep -lE ',mipro_v2 start,' "$DIR"/e/members/*/trials.csv | wc -l)" = "2 2" ]

job '[]'
check "an empty list is refused" run 78 "$PROGRAM" check "$DIR/job.json"
job '["gepa", ["gepa"]]'
check "a list in a list is" run 78 "$PROGRAM" check "$DIR/job.json"
check "with a sentence" said "optimizer[1]: a list of optimizers cannot hold another list"
job "[\"gepa\", {\"name\": \"ensemble\", \"of\": \"gepa\"}]"
check "an ensemble in a list is" run 78 "$PROGRAM" check "$DIR/job.json"
job '["gepa", "gepe"]'
check "and a name that is none" run 78 "$PROGRAM" check "$DIR/job.json"
check "in its place" said 'optimizer[1]: no optimizer is called "gepe"; did you mean "gepa"?'
job "[\"mipro_v2\", \"gepa\"]"
check "flags go to the chain" run 0 "$PROGRAM" check "$DIR/job.json" --optimizer.seed=3
plan $n
