# A gigabyte where a small file belongs: one sentence, and no more memory than the ceiling of what is read.
. tests/lib.sh
plan 10
if [ -n "$SANITIZED" ]; then
	skip_all 10 "the sanitizer needs more address space than the test gives"
	exit 0
fi
for name in big.jsonl big.json big.csv big; do truncate -s 1G "$DIR/$name"; done
yes '{"question": "item 1: what is its label?", "answer": "red"}' | head -c 1000M >"$DIR/rows.jsonl"
"$MOCK" --make-data 10 1 0 >"$DIR/train.jsonl"
job() { # job TRAINSET METRIC
	echo "{\"program\": {\"predict\": \"question -> answer\"}, \"trainset\": \"$1\", \"metric\": $2, \"out\": \"o\",
 \"optimizer\": {\"name\": \"bootstrap_few_shot\"}, \"lm\": \"embedded/stand-in\"}" >"$DIR/job.json"
}
# limited CODE KIB COMMAND...: in so much address space; one line comes
limited() {
	code=$1 kib=$2
	shift 2
	(ulimit -v "$kib" && run "$code" "$@") && [ "$(grep -c ^dspy-mpi: "$DIR/err")" = 1 ] && [ -s "$DIR/err" ]
}
for name in big.jsonl big.json big.csv rows.jsonl; do
	job $name '"answer_exact_match"'
	check "data $name: $(limited 65 400000 "$PROGRAM" check "$DIR/job.json" && echo refused)" said "larger than"
done
check "a job file" limited 78 400000 "$PROGRAM" check "$DIR/big"
check "a program file" limited 65 400000 "$PROGRAM" show "$DIR/big"
rm -f "$DIR"/big.* "$DIR/rows.jsonl"
job train.jsonl '"answer_exact_match"'
check "standard input that does not end: as a data file" limited 65 900000 sh -c "'$PROGRAM' check '$DIR/job.json' --trainset=/dev/zero"
job train.jsonl '{"command": ["cat", "/dev/zero"]}'
check "a metric that writes without end" limited 65 900000 "$PROGRAM" compile "$DIR/job.json"
check "no exit 0 for it on the second start either" run 65 "$PROGRAM" compile "$DIR/job.json"
start_mock --fault huge_body=1
sed 's|"embedded/stand-in"|{"model": "hosted_vllm/x", "api_base": "'"$MOCK_URL"'", "num_retries": 1, "outage": "2s"}|; s|{"command.*zero"\]}|"answer_exact_match"|' "$DIR/job.json" >"$DIR/http.json"
check "answers without end" limited 69 900000 "$PROGRAM" compile "$DIR/http.json" --out="$DIR/h"
