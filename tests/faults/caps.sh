# A cap is never passed: random jobs (optimizers, programs of one and two steps, chat and JSON mode, two models at two
# prices) under random caps in calls, tokens or money, at servers that refuse, fail, and lose what they answered, in one
# process and under launch -n 3, some killed and started again. What counts is what the servers counted: each request that
# came, and the tokens of each that was not refused, also where the answer never arrived.
#     JOBS=500 tests/run tests/faults/caps.sh      FROM=17 JOBS=1: that job alone      ROOM=8: so many at once
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
JOBS=${JOBS:-16} FROM=${FROM:-1} ROOM=${ROOM:-8}
plan 11
"$MOCK" --make-data 60 6 0 >"$DIR/train.jsonl"

# ---- the first call fails ----
"$MOCK" --make-data 20 6 1000 >"$DIR/val.jsonl"
for adapter in chat json; do
	for first in 1 3; do
		start_mock --rule planted --first-503 $first
		cat >"$DIR/first.json" <<-EOF
			{"program": {"predict": "question -> answer"}, "adapter": "$adapter", "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
			 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2},
			 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}, "budget": {"calls": 50}}
		EOF
		run 0 "$PROGRAM" compile "$DIR/first.json" --out="$DIR/first" --fresh
		rc=$?
		check "$adapter: $first times 503 at the start end nothing: $(stat_of requests) of 50 calls, left $(json left.calls "$DIR/out")" \
			[ $rc = 0 -a "$(json reason "$DIR/out")" = budget -a "$(stat_of requests)" -ge 48 -a "$(stat_of requests)" -le 50 ]
		stop_mock
	done
done

# ---- one random job ----
draw() { # draw SEED WHAT N: 0 to N-1
	h=$(printf '%s %s' "$1" "$2" | cksum | cksum) # once alone is linear
	echo $((${h%% *} / 7 % $3))
}
pick() { # pick SEED WHAT A B C ...: one of them
	seed=$1 what=$2
	shift 2
	shift "$(draw "$seed" "$what" $#)"
	echo "$1"
}
KINDS="429_plain 500 503 reset_before_headers reset_after_headers reset_after_answer close_before_headers close_after_answer
	close_kept reset_kept 500_close wrong_length half_headers truncated_json"
faults_of() { # faults_of SEED PERCENT: some of the kinds, together as many per cent
	list="" n_kinds=0
	for kind in $KINDS; do
		[ "$(draw "$1" "$kind" 3)" = 0 ] && list="$list $kind" n_kinds=$((n_kinds + 1))
	done
	[ $n_kinds -gt 0 ] || list=500_close n_kinds=1
	for kind in $list; do awk -v k="$kind" -v p="$2" -v n=$n_kinds 'BEGIN { printf "%s=%.4f,", k, p / 100 / n }'; done
}
a_server() { # a_server NAME OPTIONS...: sets $base
	name=$1
	shift
	"$MOCK" --port-file "$name.port" --rule "planted:seed=3" --seed "$seed" --latency 3 "$@" >/dev/null 2>&1 &
	servers="$servers $!"
	until [ -s "$name.port" ]; do sleep 0.05; done
	base=http://127.0.0.1:$(cat "$name.port")/v1
}
count() { # the servers' sums: calls, tokens, money
	for name in task prompt; do "$MOCK" --fetch "127.0.0.1:$(cat "$dir/$name.port")" /stats >"$dir/$name.stats"; done
	set -- $(json requests "$dir/task.stats") $(json prompt "$dir/task.stats") $(json completion "$dir/task.stats") \
		$(json requests "$dir/prompt.stats") $(json prompt "$dir/prompt.stats") $(json completion "$dir/prompt.stats")
	calls=$(($1 + $4)) tokens=$(($2 + $3 + $5 + $6))
	cost=$(awk -v a="$2" -v b="$3" -v c="$5" -v d="$6" 'BEGIN { printf "%.7f", (a * 10 + b * 30 + c * 50 + d * 150) / 1e6 }')
}
one_job() ( # one_job SEED [BIG]: a line into $DIR/lines
	seed=$1 dir=$DIR/job$1 servers=""
	mkdir -p "$dir"
	trap 'for pid in $servers; do kill "$pid" 2>/dev/null; done; exit 1' TERM
	percent=$(pick "$seed" percent 0 0 5 12 25 40) steps=$(pick "$seed" steps 1 1 2) adapter=$(pick "$seed" adapter chat chat json)
	optimizer=$(pick "$seed" optimizer bootstrap_few_shot_with_random_search bootstrap_few_shot_with_random_search mipro_v2 bootstrap_few_shot)
	measure=$(pick "$seed" measure calls tokens cost) kills=$(pick "$seed" kills 0 0 1 2) ranks=$(pick "$seed" ranks 1 3)
	val=$((15 + $(draw "$seed" val 30))) target=$((25 + $(draw "$seed" target 130)))
	[ -n "$2" ] && optimizer=bootstrap_few_shot_with_random_search percent=$(pick "$seed" percent 0 5 12) val=80 target=$((560 + $(draw "$seed" target 200))) kills=0 measure=$2 steps=1
	"$MOCK" --make-data $val 6 1000 >"$dir/val.jsonl"
	case $steps in
	1) program='{"predict": "question -> answer"}' ;;
	2) program='{"steps": [{"name": "think", "chain_of_thought": "question -> answer"}, {"name": "say", "predict": "question, reasoning -> answer"}]}' ;;
	esac
	case $optimizer in
	mipro_v2) more='"max_labeled_demos": 2, "max_bootstrapped_demos": 2' ;;
	bootstrap_few_shot) more='"max_bootstrapped_demos": 3' ;;
	*) more='"max_bootstrapped_demos": 2, "max_labeled_demos": 3, "num_candidate_programs": 12' ;;
	esac
	role=teacher faults=""
	[ "$optimizer" = mipro_v2 ] && role=prompt
	[ "$percent" = 0 ] || faults=$(faults_of "$seed" "$percent")
	a_server "$dir/task" ${faults:+--fault "${faults%,}"}
	task=$base
	a_server "$dir/prompt" ${faults:+--fault "${faults%,}"}
	cat >"$dir/job.json" <<-EOF
		{"program": $program, "adapter": "$adapter", "trainset": "../train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
		 "optimizer": {"name": "$optimizer", $more},
		 "lm": {"model": "hosted_vllm/any", "api_base": "$task", "concurrency": $(pick "$seed" concurrency 4 16 32), "max_tokens": 60,
		        "num_retries": 6, "price": {"prompt": 10, "completion": 30}},
		 "lms": {"$role": {"model": "hosted_vllm/dear", "api_base": "$base", "concurrency": 4, "max_tokens": 60, "num_retries": 6,
		                    "price": {"prompt": 50, "completion": 150}}}}
	EOF
	# the price of a call is guessed: what the cap amounts to is no matter
	case $measure in
	calls) cap=$target ;;
	tokens) cap=$((target * 420 * steps)) ;;
	cost) cap=$(awk -v n=$target -v s=$steps 'BEGIN { printf "%.4f", n * s * .0048 }') ;;
	esac
	start="$PROGRAM"
	[ "$ranks" = 3 ] && start="$PROGRAM launch -n 3"
	killed=0
	while :; do
		# shellcheck disable=SC2086
		setsid timeout -k 5 150 $start compile "$dir/job.json" --out="$dir/o" --budget.$measure="$cap" >"$dir/out" 2>"$dir/err" &
		pid=$!
		[ $killed -lt "$kills" ] || break
		count
		until_calls=$((calls + 5 + $(draw "$seed" "kill$killed" $((target / 2)))))
		for _ in $(seq 300); do
			count
			[ "$calls" -lt $until_calls ] && kill -0 $pid 2>/dev/null || break
			sleep 0.02
		done
		pkill -KILL -s $pid
		wait $pid 2>/dev/null
		while pgrep -s $pid >/dev/null; do sleep 0.02; done
		killed=$((killed + 1))
	done
	wait $pid
	rc=$?
	count
	case $measure in calls) spent=$calls ;; tokens) spent=$tokens ;; *) spent=$cost ;; esac
	reason=$(json reason "$dir/out" 2>/dev/null) left=$(json "left.$measure" "$dir/out" 2>/dev/null)
	verdict=$(awk -v s="$spent" -v c="$cap" 'BEGIN { print s <= c ? "kept" : "PASSED" }')
	# where nothing failed: the most that the next run could take, of what was told of the longest prompt
	case "$adapter$measure" in
	chatcalls) room=$((2 * steps)) ;;
	jsoncalls) room=$steps ;;
	*) room=0 ;;
	esac
	used=$(awk -v s="$spent" -v c="$cap" 'BEGIN { printf "%.1f", 100 * s / c }')
	echo "$verdict job=$seed $measure cap=$cap spent=$spent used=$used left=${left:--} reserve=$room calls=$calls reason=${reason:--} exit=$rc percent=$percent kills=$killed ranks=$ranks $optimizer steps=$steps $adapter size=${2:+big}" >>"$DIR/lines"
	for server in $servers; do
		kill "$server"
		wait "$server" 2>/dev/null
	done
	[ $rc = 0 ] || sed "s/^/# job $seed: /" "$dir/err" | tail -2 >>"$DIR/failed"
	rm -rf "$dir"
)
some_jobs() { # some_jobs BIG SEED...: ROOM at a time
	big=$1
	shift
	while [ $# -gt 0 ]; do
		pids=""
		for _ in $(seq "$ROOM"); do
			[ $# -gt 0 ] || break
			one_job "$1" ${big:+"$(pick "$1" big calls tokens cost)"} &
			pids="$pids $!"
			shift
		done
		for pid in $pids; do wait "$pid"; done
	done
}
: >"$DIR/lines"
: >"$DIR/failed"
# shellcheck disable=SC2046
some_jobs "" $(seq "$FROM" $((FROM + JOBS - 1)))
BIG=${BIG:-$((JOBS / 8))}
# shellcheck disable=SC2046
some_jobs big $(seq $((FROM + 100000)) $((FROM + 100000 + BIG - 1)))
[ -n "$KEEP" ] && cp "$DIR/lines" "$KEEP"

# ---- what they came to ----
all=$(wc -l <"$DIR/lines")
passed=$(grep -c '^PASSED' "$DIR/lines")
cut=$(grep -c 'reason=budget' "$DIR/lines")
check "$all jobs, $cut of them cut, $(grep -c 'ranks=3' "$DIR/lines") under launch -n 3, $(grep -vc 'percent=0 ' "$DIR/lines") with faults, $(grep -vc 'kills=0' "$DIR/lines") killed: $passed passed their cap" \
	[ "$all" -ge $((JOBS + BIG)) -a "$passed" = 0 ]
grep '^PASSED' "$DIR/lines" | sed 's/^/# /'
for measure in calls tokens cost; do
	check "$measure: $(grep -c " $measure cap" "$DIR/lines") jobs, $(grep " $measure cap" "$DIR/lines" | grep -c 'reason=budget') cut, $(grep " $measure cap" "$DIR/lines" | grep -c PASSED) passed" [ "$(grep " $measure cap" "$DIR/lines" | grep -c PASSED)" = 0 ]
done
fine=$(grep -c 'exit=0' "$DIR/lines")
check "$fine of $all end with exit 0" [ $((100 * fine)) -ge $((90 * all)) ]
cat "$DIR/failed"
over=$(grep 'percent=0 .*kills=0' "$DIR/lines" | grep 'reason=budget' | grep -v 'reserve=0' | sed 's/.*left=\([0-9]*\) reserve=\([0-9]*\).*/\1 \2/' | awk '$1 >= $2' | wc -l)
calm=$(grep 'percent=0 .*kills=0' "$DIR/lines" | grep 'reason=budget' | grep -vc 'reserve=0')
check "cut, and nothing failed: in $over of $calm there is room left for another run" [ "$over" = 0 ]
median() { # of the big ones that were cut
	grep 'size=big' "$DIR/lines" | grep 'reason=budget' | grep "$@" | sed 's/.*used=\([0-9.]*\) .*/\1/' | sort -n | awk '{ a[NR] = $1 } END { print NR ? a[int((NR + 1) / 2)] : 100 }'
}
calm=$(median 'percent=0 ') faulty=$(median -v 'percent=0 ')
check "jobs of 500 calls and more ($(grep -c 'size=big' "$DIR/lines")): $calm % used without faults, $faulty % with them" \
	awk -v a="$calm" -v b="$faulty" 'BEGIN { exit !(a >= 97 && b >= 90) }'
