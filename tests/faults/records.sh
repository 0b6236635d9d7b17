# The plug pulled after the records of the journal (EVERY=1: after every single one): for each optimizer a small job whose journal is
# cut behind each record in turn, and at a byte within the next one; and, on every seventh, a real kill -9 when
# the record stands in the file. Each is resumed, at other rank counts too: the same program byte for byte, and
# exactly the calls that the journal did not have (counted at the server, whose answers are a function of the
# request). A race drops candidates whose next block is under way, so its calls are not always as many: there
# each call that the journal has is followed by itself (--mark yes), as it is everywhere beside the count.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
EVERY=${EVERY:-9} # 1: behind every single one, two minutes and a half
KILLS=${KILLS:-7} # 1: with EVERY=1 a real kill -9 behind every single one, five minutes
spread=$((EVERY > 1 ? 4 : 20)) # every so many resumes at several ranks
plan 16
start_mock --rule planted --seed 9 --latency 0 --mark yes
"$MOCK" --make-data 10 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 6 9 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 30 9 1000 >"$DIR/thirty.jsonl"
cat >"$DIR/race.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "thirty.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 3}}
END
cat >"$DIR/steps.json" <<END
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 3}}
END
compile() { # compile RANKS OUT: to the end. mpirun must not read what the loops below read
	if [ "$1" = 1 ]; then
		run 0 "$PROGRAM" compile "$DIR/$job.json" --optimizer="$optimizer" --out="$2" </dev/null
	else
		run 0 mpirun --oversubscribe -n "$1" "$PROGRAM" compile "$DIR/$job.json" --optimizer="$optimizer" --out="$2" </dev/null
	fi
}
# resumed WHAT RANKS KNOWN: OUT o goes on; it knew so many calls
resumed() {
	known "$DIR/o/journal"
	before=$(stat_of requests) again=$(stat_of known_again)
	compile "$2" "$DIR/o" || problem="$1: exit $rc"
	spent=$(($(stat_of requests) - before))
	cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" || problem="$1: another program"
	[ "$(stat_of known_again)" = "$again" ] || problem="$1: journaled calls were made again"
	[ $spent = $((calls - $3)) ] || [ $job = race ] || problem="$1: $spent calls, $3 of $calls were known"
	resumes=$((resumes + 1))
}
for optimizer in '{"name":"labeled_few_shot","k":2}' '{"name":"bootstrap_few_shot","max_bootstrapped_demos":2,"max_rounds":2}' \
	'{"name":"bootstrap_few_shot_with_random_search","num_candidate_programs":1,"max_bootstrapped_demos":2,"max_labeled_demos":2}' \
	'{"name":"bootstrap_few_shot_with_random_search","num_candidate_programs":2,"max_bootstrapped_demos":2,"max_labeled_demos":2,"race":true,"race_alpha":0.5}' \
	'{"name":"mipro_v2","auto":null,"num_candidates":2,"num_trials":3,"minibatch":false,"max_bootstrapped_demos":1,"max_labeled_demos":1}'; do
	case $optimizer in *race*) job=race ;; *) job=steps ;; esac
	rm -rf "$DIR/whole"
	post /reset >/dev/null
	before=$(stat_of requests)
	compile 1 "$DIR/whole"
	calls=$(($(stat_of requests) - before))
	post /whole >/dev/null
	[ $job = steps ] || check "the race drops somebody" [ "$(awk -F, 'NR > 1 && $6 < 30 { n++ } END { print n + 0 }' "$DIR/whole/trials.csv")" -gt 0 ]
	"$MOCK" --list-journal "$DIR/whole/journal" >"$DIR/records"
	records=$(wc -l <"$DIR/records")
	check "$optimizer: $calls calls in $records records" [ "$(tail -1 "$DIR/records" | cut -d' ' -f2)" = "$calls" ]
	problem="" resumes=0 i=0 last=$(wc -c <"$DIR/whole/journal")
	while read -r end known; do
		i=$((i + 1))
		[ $((i % EVERY)) = 0 ] || continue
		for more in 0 $((i * 7919 % 40 + 1)); do # a record is longer than 40 bytes
			[ $((end + more)) -le "$last" ] && [ "$end" -lt "$last" ] || more=0
			rm -rf "$DIR/o"
			mkdir "$DIR/o"
			head -c $((end + more)) "$DIR/whole/journal" >"$DIR/o/journal"
			sed 's/"status": "done"/"status": "running"/' "$DIR/whole/status.json" >"$DIR/o/status.json"
			ranks=1
			[ $more = 0 ] && [ $((i / EVERY % spread)) = 1 ] && ranks=$((i / EVERY / spread % 3 + 2))
			resumed "cut behind record $i and $more bytes, $ranks ranks" $ranks "$known"
		done
	done <"$DIR/records"
	check "$optimizer: cut behind each record, $resumes resumes: ${problem:-the same program, no call repeated}" [ -z "$problem" -a $resumes -ge $((records / EVERY)) ]
	problem="" resumes=0 i=0 kills=0
	while read -r end known; do
		i=$((i + 1))
		[ $((i % (KILLS * EVERY))) = $((3 % (KILLS * EVERY))) ] || continue
		rm -rf "$DIR/o"
		setsid "$PROGRAM" compile "$DIR/$job.json" --optimizer="$optimizer" --out="$DIR/o" >"$DIR/out" 2>"$DIR/err" </dev/null &
		pid=$!
		"$MOCK" --kill-at "$DIR/o/journal" "$end" $pid && kills=$((kills + 1))
		wait $pid 2>/dev/null
		while [ "$(stat_of in_flight)" -gt 0 ]; do sleep 0.05; done
		known=$("$MOCK" --list-journal "$DIR/o/journal" | tail -1 | cut -d' ' -f2)
		resumed "killed behind record $i" $((i % 3 + 1)) "${known:-0}"
	done <"$DIR/records"
	check "$optimizer: killed -9 $kills times in $resumes: ${problem:-the same program, no call repeated}" [ -z "$problem" -a $resumes -gt 0 -a $kills -gt 0 ]
done
