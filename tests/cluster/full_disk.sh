# A disk that is full when the results are saved: exit 73, a sentence, and nothing half-written.
. tests/lib.sh
plan 2
if ! (mkdir "$DIR/disk" && mount -t tmpfs -o size=32k none "$DIR/disk") 2>/dev/null; then
	skip "needs root to mount a small disk"
	skip "needs root to mount a small disk"
	exit 0
fi
trap 'umount "$DIR/disk"; cleanup' EXIT
"$MOCK" --make-data 400 1 0 >"$DIR/train.jsonl"
echo '{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "labeled_few_shot", "k": 400}, "lm": "embedded/stand-in", "out": "disk/o"}' >"$DIR/job.json"
check "exit 73" run 73 "$PROGRAM" compile "$DIR/job.json"
check "$(tail -1 "$DIR/err")" sh -c "grep -q 'No space left' $DIR/err && ! ls $DIR/disk/o/program.json* 2>/dev/null"
