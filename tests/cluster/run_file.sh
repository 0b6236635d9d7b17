# run over a file: lines in order as answers come, --out that is gone on with, stdin, ranks, a stop that loses nothing;
# what eval keeps, and what predictions.jsonl says of each example.
. tests/lib.sh
plan 42
start_mock --rule planted --seed 3
rows=400
"$MOCK" --make-data $rows 3 0 >"$DIR/data.jsonl"
cd "$DIR" || exit 70
cat >job.json <<END
{"program": {"predict": "question -> answer"}, "valset": "data.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}}
END
refused() { # refused NAME CODE WORDS COMMAND...
	name=$1 code=$2 words=$3
	shift 3
	if run "$code" "$PROGRAM" "$@" && said "$words"; then ok "$name: $(tail -1 err | cut -c1-150)"; else not_ok "$name (wanted $code and \"$words\")" err out; fi
}
lines_of() { if [ -f "$1" ]; then wc -l <"$1"; else echo 0; fi; }
begins() { head -n "$(lines_of "$1")" "$2" | cmp -s - "$1"; } # begins PART WHOLE
until_lines() { # until_lines FILE N PID
	until [ "$(lines_of "$1")" -ge "$2" ]; do
		kill -0 "$3" 2>/dev/null || return 1
		sleep 0.02
	done
}
start() { # start RANKS COMMAND...: in the background, $PID
	start_n=$1
	shift
	mpi=""
	[ "$start_n" = 1 ] || mpi="launch -n $start_n" # mpirun has an exit code of its own for INT
	ASAN_OPTIONS=detect_leaks=0 setsid "$PROGRAM" $mpi "$@" >part 2>part.err &
	PID=$!
}
stopped() { # stopped SIGNAL CODE
	kill -"$1" $PID
	wait $PID 2>/dev/null
	rc=$?
	[ "$rc" = "$2" ] || echo "exit $rc, not $2" >>part.err
	[ "$rc" = "$2" ]
}

check "a file: a line for each row" run 0 "$PROGRAM" run job.json --inputs data.jsonl
cp out whole
check "as many as rows" [ "$(lines_of whole)" = $rows ]
check "through a pipe" sh -c "cat data.jsonl | '$PROGRAM' run job.json --inputs - >out 2>err && cmp -s out whole"
check "on ranks" sh -c "cat data.jsonl | ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3 '$PROGRAM' run job.json --inputs=- >out 2>err && cmp -s out whole"
check "packed" sh -c "gzip -c data.jsonl | '$PROGRAM' run job.json --inputs - >out 2>err && cmp -s out whole"
check "with their inputs" run 0 "$PROGRAM" run job.json --inputs data.jsonl --with-inputs
sed 's/^{"question": "\([^"]*\)".*/{"question": "\1", /' data.jsonl >left
sed 's/^{//' whole | paste -d '' left - >want
check "before the outputs" cmp -s want out

# As they come, and stopped: what is there is the beginning, and nothing of it is lost.
shut
for ranks in 1 3; do
	shut
	start $ranks run job.json --inputs data.jsonl --lm.api_base="$SLOW_URL"
	check "$ranks: lines come while it runs" until_lines part 8 $PID
	check "$ranks: INT, exit 75" stopped INT 75
	check "$ranks: the beginning" begins part whole
	[ $ranks = 1 ] && check "and it says how far it is" grep -q "stopped after $(lines_of part) of $rows rows; with --out" part.err
	opened
done
for ranks in 1 3; do
	for signal in INT KILL; do
		rm -rf to to.run
		shut
		before=$(stat_of requests)
		start $ranks run job.json --inputs data.jsonl --out to --lm.api_base="$SLOW_URL"
		until_lines to 8 $PID
		if [ $signal = KILL ]; then
			pkill -KILL -s $PID # the ranks too
			wait $PID 2>/dev/null
			printf '{"answer": "to' >>to
		else
			check "$ranks: INT with --out, exit 75" stopped INT 75
			check "$ranks: the beginning is in the file" begins to whole
		fi
		opened
		while [ "$(stat_of in_flight)" -gt 0 ]; do sleep 0.02; done
		check "$ranks: gone on with after $signal" run 0 "$PROGRAM" run job.json --inputs data.jsonl --out to
		calls=$(($(stat_of requests) - before))
		most=$rows # and, of a killed one, what was out and not journaled
		[ $signal = KILL ] && most=$((rows + 32 * ranks))
		check "$ranks: the whole, in $calls calls for $rows rows" [ "$(cmp to whole && [ $calls -le $most ] && echo yes)" = yes ]
	done
done
before=$(stat_of requests)
run 0 "$PROGRAM" run job.json --inputs data.jsonl --out to
check "a finished one asks nothing" [ "$(stat_of requests) $(cmp to whole && echo same)" = "$before same" ]
head -n 5 data.jsonl >few.jsonl
refused "fewer rows than lines" 73 "more lines than these 5 rows" run job.json --inputs few.jsonl --out to
sed '3s/item 2/item 17/' data.jsonl >others.jsonl
refused "other rows" 73 "to:3: this line is not the one" run job.json --inputs others.jsonl --out to
refused "another program" 73 "belongs to another job: \`adapter\` differs" run job.json --inputs data.jsonl --out to --adapter=json
check "with --fresh" run 0 "$PROGRAM" run job.json --inputs few.jsonl --out to --adapter=json --fresh
check "the old one is aside" cmp -s to.1 whole
echo mine >precious
refused "a file of somebody's" 73 "no run of this program wrote it" run job.json --inputs data.jsonl --out precious
check "is as it was" [ "$(cat precious)" = mine ]

# What a user is told.
refused "an input that is none" 64 'no input "qestion"; did you mean "question"?' run job.json --input qestion=x
refused "in JSON too" 64 'no input "topic"; it has question' run job.json --input-json '{"question": "x", "topic": "y"}'
run 0 "$PROGRAM" run job.json --input question=x --lm=embedded/stand-in
check "run names the stand-in" said "stand-in, not a language model"
run 0 "$PROGRAM" run job.json --input question=x --verbose
check "--verbose: model and address" said "model hosted_vllm/any at $MOCK_URL"

# eval --out, and predictions of a program of two steps.
printf '{"id": 7, "question": "q", "answer": "red"}\n{"question": "r", "answer": "blue"}\n' >two.jsonl
steps='{"steps": [{"name": "find", "predict": "question -> query"}, {"name": "say", "predict": "question, query -> answer"}]}'
check "eval --out" run 0 "$PROGRAM" eval job.json --valset=two.jsonl --program="$steps" --lm=embedded/stand-in --out=kept
check "id, inputs, label, steps" sh -c "head -1 kept/predictions.jsonl | grep -q '^{\"split\": \"valset\", \"program\": \"start\", \"id\": 7, \"inputs\": {\"question\": \"q\"}, \"label\": {\"answer\": \"red\"}, \"outputs\": {\"answer\": .*, \"steps\": {\"find\": {\"query\": .*}, \"say\": {\"answer\": .*}}, \"score\": ' && tail -1 kept/predictions.jsonl | grep -q '\"id\": \"row 2\"'"
check "the same on ranks" sh -c "ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3 '$PROGRAM' eval job.json --valset=two.jsonl '--program=$steps' --lm=embedded/stand-in --out=kept3 >out 2>err && cmp -s kept/predictions.jsonl kept3/predictions.jsonl"
check "score.json: the last line's score" [ "$(json valset.score kept/score.json)" = "$(json valset.score out)" ]
