# Files of others are never cut, overwritten or followed: in OUT, in the cache, at the start and in mid-run.
# Each is refused with its name (73), its bytes as they were, no call made; --force moves it aside with a number and
# goes on. A journal that goes away in mid-run ends the run, and nothing in it is paid again.
# BIG=1: a journal of 500 MB too.
LEAKS=0
. tests/lib.sh
start_mock --rule planted --seed 9 --mark yes --latency 2
"$MOCK" --make-data 30 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 20 9 1000 >"$DIR/val.jsonl"
cd "$DIR" || exit 70
cat >job.json <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match", "out": "o",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}}
EOF
one_sentence() { [ "$(grep -c '^dspy-mpi: ' err)" = 1 ]; }
sum() { # of a file, or what a link, folder or FIFO is
	if [ -L "$1" ]; then readlink "$1"; elif [ -f "$1" ]; then sha256sum <"$1"; else stat -c %F "$1"; fi
}
unfinished() { sed -i 's/"status": "done"/"status": "running"/' "$1/status.json"; }

check "the undisturbed run" run 0 "$PROGRAM" compile job.json --out=whole
post /whole >/dev/null
calls=$(json calls out)
unfinished whole
header=$("$MOCK" --list-journal whole/journal | head -1 | cut -d' ' -f1)
last=$("$MOCK" --list-journal whole/journal | tail -2 | head -1 | cut -d' ' -f1)
size=$(wc -c <whole/journal)

# ---- at the start ----

put() { # put STATE PATH
	case $1 in
	diary) echo "my diary" >"$2" ;;
	one_byte) printf x >"$2" ;;
	version) sed 's/DMJ1/DMJ2/g' whole/journal >"$2" ;;
	version_first) { printf DMJ0 && tail -c +5 whole/journal; } >"$2" ;;
	headless) tail -c +$((header + 1)) whole/journal >"$2" ;;
	half_header) head -c $((header - 9)) whole/journal | sed 's/"adapter": "chat"/"adapter": "json"/' >"$2" ;;
	other_header) printf 'DMJ1\377\0\0\0\1\0\0\0abcd{"my": "notes"' >"$2" ;;
	zeros) head -c 5000 /dev/zero >"$2" ;;
	appended) { cat whole/journal && echo "dear diary"; } >"$2" ;;
	newer_tail) { cat whole/journal && printf 'DMJ2\1\0\0\0'; } >"$2" ;;
	middle) cp whole/journal "$2" && printf XXXX | dd of="$2" bs=1 seek=$((header + 20)) conv=notrunc 2>/dev/null ;;
	null) ln -s /dev/null "$2" ;;
	link) cp whole/journal elsewhere && ln -s "$DIR/elsewhere" "$2" ;;
	dangling) ln -s nowhere "$2" ;;
	second_name) cp whole/journal elsewhere && ln elsewhere "$2" ;;
	folder) mkdir "$2" && echo x >"$2/mine" ;;
	fifo) mkfifo "$2" ;;
	dspy) echo '{"self": {"traces": [], "train": [], "demos": []}, "metadata": {"dependency_versions": {"dspy": "3.0"}}}' >"$2" ;;
	ours) cp "whole/${2#o/}" "$2" ;;
	candidates) mkdir o/candidates && echo '{"mine": 1}' >o/candidates/000.json ;;
	esac
}
# refused FILE STATE SENTENCE
refused() {
	rm -rf o o.* elsewhere
	mkdir o
	case $4 in begun) cp whole/journal whole/status.json o ;; esac
	rm -f "o/$1"
	put "$2" "o/$1"
	kept=$(sum "o/$1")
	inside=$(cat elsewhere 2>/dev/null | sha256sum)
	before=$(stat_of requests)
	run 73 "$PROGRAM" compile job.json && said "$3" && said "o/$1" && one_sentence && [ "$(sum "o/$1")" = "$kept" ] &&
		[ "$(cat elsewhere 2>/dev/null | sha256sum)" = "$inside" ] && [ "$(stat_of requests)" = "$before" ]
}
forced() { # forced FILE: the same with --force: it is FILE.1 now, or FILE.2 where that is taken
	run 0 "$PROGRAM" compile job.json --force && [ "$(sum "o/$1.$2")" = "$kept" ] && [ -s o/program.json ] &&
		[ "$(cat elsewhere 2>/dev/null | sha256sum)" = "$inside" ]
}
table() { # lines FILE STATE BEGUN SENTENCE
	while read -r file state begun sentence; do
		refused "$file" "$state" "$sentence" "$begun" && first=yes || first=no
		if [ $first = yes ] && [ "$sentence" != truncate ]; then
			[ "$state" = diary ] && echo older >"o/$file.1" && number=2 || number=1
			forced "$file" $number || first="--force: no"
		fi
		if [ "$first" = yes ]; then ok "$file: $state, $begun: refused, untouched"; else not_ok "$file: $state, $begun: $first" out err; fi
	done <<EOF
journal diary new is not a journal
journal one_byte new is not a journal
journal version new of another version
journal version_first new of another version
journal headless new is not a journal
journal half_header new is not a journal
journal other_header new is not a journal
journal zeros new is not a journal
journal appended begun truncate
journal newer_tail begun truncate
journal middle begun truncate
journal null new is a symbolic link
journal link begun is a symbolic link
journal dangling new is a symbolic link
journal second_name begun has a second name
journal folder new is a folder
journal fifo new is a FIFO
journal.lock diary begun is not a lock
journal.lock null new is a symbolic link
journal.lock folder new is a folder
journal.lock fifo begun is a FIFO
status.json diary new not written by dspy-mpi
status.json dspy begun not written by dspy-mpi
status.json null new is a symbolic link
status.json folder new is a folder
program.json dspy new not written by dspy-mpi
program.json dspy begun not written by dspy-mpi
program.json ours new no run of this job wrote it
program.json null begun is a symbolic link
program.json folder begun is a folder
predictions.jsonl diary begun not written by dspy-mpi
predictions.jsonl ours new no run of this job wrote it
trials.csv diary new not written by dspy-mpi
trials.csv diary begun not written by dspy-mpi
candidates diary begun is not a folder
candidates null begun is not a folder
candidates candidates begun not written by dspy-mpi
stop diary begun asks a run to stop
EOF
}
table

# What a crash leaves is cut as before; our own results are written again
rm -rf o o.* && mkdir o
empty() { : >o/journal; }
part() { head -c $((header / 2)) whole/journal >o/journal; }
torn() { head -c $((last + 9)) whole/journal >o/journal; }
holes() { { head -c "$last" whole/journal && head -c 3000 /dev/zero; } >o/journal; }
for state in empty part torn holes; do
	cp -r whole/program.json whole/status.json whole/candidates o
	$state
	check "journal: $state: goes on" run 0 "$PROGRAM" compile job.json
	rm -rf o/*
done
# A journal of another version of the program is read, and not cut
sed 's/"version": "0.1.0"/"version": "0.9.9"/' whole/journal >other
check "a header whose sum is wrong is none" sh -c "cp other o/journal && ! '$PROGRAM' compile job.json 2>err && [ \"\$(sha256sum <other)\" = \"\$(sha256sum <o/journal)\" ]"

# OUT itself, and --fresh
rm -rf o o.*
echo "my diary" >o
check "OUT is a file: refused" run 73 "$PROGRAM" compile job.json
check "with --fresh too, untouched" sh -c "! '$PROGRAM' compile job.json --fresh 2>err && grep -q 'not a folder' err && [ \"\$(cat o)\" = 'my diary' ]"
check "--force moves it aside" sh -c "'$PROGRAM' compile job.json --force >out 2>err && [ \"\$(cat o.1)\" = 'my diary' ] && [ -s o/program.json ]"
rm -rf o o.* && mkdir o && echo "my diary" >o/journal && echo x >o/mine
check "--fresh moves no folder for a journal that is none" sh -c "! '$PROGRAM' compile job.json --fresh 2>err && [ \"\$(cat o/journal)\" = 'my diary' ] && [ -f o/mine ] && [ ! -e o.1 ]"
cp -r whole here && cp job.json train.jsonl val.jsonl here
check "--fresh does not move the job file away" sh -c "! '$PROGRAM' compile here/job.json --out=here --fresh 2>err && grep -q 'job file in it' err && [ -f here/job.json ]"
rm -rf o o.* && cp -r whole real && ln -s real o
check "--fresh behind a link moves the folder, the link stays" sh -c "'$PROGRAM' compile job.json --fresh >out 2>err && [ -L o ] && [ -s real/program.json ] && cmp -s whole/journal real.1/journal"
rm -rf o real real.1 && cp -r whole o && ln -s nowhere o.1
check "a link that leads nowhere is not overwritten" sh -c "'$PROGRAM' compile job.json --fresh >out 2>err && [ -L o.1 ] && [ -s o.2/journal ]"
rm -rf o o.* && cp -r whole o
check "--out=o/ with --fresh: beside it, not in it" sh -c "'$PROGRAM' compile job.json --fresh --out=o/ >out 2>err && cmp -s whole/journal o.1/journal && [ -s o/program.json ]"
rm -rf o o.* && cp -r whole o && rm o/program.json && echo mine >o/program.json.part
check "nor is a file beside the one that is written" sh -c "'$PROGRAM' compile job.json >out 2>err && [ \"\$(cat o/program.json.part)\" = mine ] && [ -s o/program.json ]"

# ---- the cache ----

rm -rf o o.*
check "a cache" run 0 "$PROGRAM" compile job.json --cache=kept
for state in diary version null fifo folder; do
	f=kept/foreign.answers
	rm -rf $f $f.1
	put $state $f
	kept=$(sum $f)
	rm -rf o
	run 73 "$PROGRAM" compile job.json --cache=kept && said "kept/foreign.answers" && one_sentence && [ "$(sum $f)" = "$kept" ] &&
		run 0 "$PROGRAM" cache prune kept --max-bytes 1G && [ "$(sum $f)" = "$kept" ] && run 0 "$PROGRAM" cache stats kept &&
		run 0 "$PROGRAM" eval job.json --cache=kept --force && [ "$(sum $f.1)" = "$kept" ] && rc=ok || rc=not
	rm -rf $f
	if [ $rc = ok ]; then ok "cache: $state: refused, untouched"; else not_ok "cache: $state" out err; fi
done
echo "my diary" >kept/foreign.answers
run 0 "$PROGRAM" cache prune kept --max-bytes 1
check "prune removes answers, and nobody's diary" sh -c "[ \"\$(cat kept/foreign.answers)\" = 'my diary' ] && [ \$(ls kept | grep -c 'answers$') = 1 ]"
echo "my diary" >file
check "a cache that is a file" run 73 "$PROGRAM" eval job.json --cache=file

# ---- in mid-run ----

stop_mock
start_mock --rule planted --seed 9 --mark yes --latency 60 # so that there is a middle on a busy machine too
sed -i "s|http://127.0.0.1:[0-9]*/v1|$MOCK_URL|" job.json
rm -rf o o.*
run 0 "$PROGRAM" compile job.json
post /whole >/dev/null

# disturbed WHAT SENTENCE: what is done to it while the run goes on, and what it says; then again to the end
disturbed() {
	what=$1 sentence=$2
	rm -rf o o.* elsewhere away
	post /reset >/dev/null
	"$PROGRAM" compile job.json >out 2>err &
	pid=$!
	until [ "$(stat_of requests)" -ge $((calls / 8)) ]; do :; done
	eval "$what"
	wait $pid
	rc=$?
	spent=$(stat_of requests)
	[ $rc = 73 ] && said "$sentence" && [ "$spent" -lt "$calls" ] && [ ! -e o/program.json ] || {
		not_ok "in mid-run: $what: exit $rc, $spent calls" err
		return
	}
	eval "$3"
	known "$DIR/o/journal"
	again=$(stat_of known_again)
	run 0 "$PROGRAM" compile job.json
	now=$(($(stat_of requests) - spent))
	if [ $rc = 0 ] && cmp -s o/program.json whole/program.json && [ "$(stat_of known_again)" = "$again" ] && [ $now = $((calls - KNOWN)) ] &&
		[ $((spent - KNOWN)) -le "$4" ]; then
		ok "in mid-run: $what: ended, resumed with $KNOWN of $spent calls known"
	else
		not_ok "in mid-run: $what: exit $rc, $KNOWN known, $spent and $now of $calls calls" out err
	fi
}
disturbed 'rm o/journal' "removed while the run wrote to it" : 24
disturbed 'rm -r o' "removed while the run wrote to it" : 24
disturbed 'echo "my diary" >d && mv d o/journal' "was replaced" '[ "$(cat o/journal)" = "my diary" ] && mv o/journal.1 o/journal' 24
disturbed 'ln -sf /dev/null o/journal' "was replaced" 'mv o/journal.1 o/journal' 24
disturbed 'mv o/journal o/away' "removed while the run wrote to it" : 24
disturbed 'mv o away' "moved away with its folder" 'mv away o' 24
disturbed 'head -c 4000 o/journal >d && cat d >o/journal' "was cut by somebody else" : 1000
disturbed ': >o/journal' "was cut by somebody else" : 1000
disturbed 'rm o/journal.lock' "journal.lock was removed or replaced" : 24
theirs() { # a program of somebody's comes while the run goes on
	rm -rf o o.*
	post /reset >/dev/null
	"$PROGRAM" compile job.json >out 2>err &
	pid=$!
	until [ "$(stat_of requests)" -ge $((calls / 8)) ]; do :; done
	echo '{"mine": 1}' >o/program.json
	wait $pid
	[ $? = 73 ] && said "not written by dspy-mpi" && [ "$(cat o/program.json)" = '{"mine": 1}' ] && mv o/program.json mine &&
		before=$(stat_of requests) && run 0 "$PROGRAM" compile job.json && [ "$(stat_of requests)" = "$before" ]
}
check "a program.json that comes in mid-run is not overwritten, and nothing is paid again" theirs

# ---- crafted ones: time and memory ----

stop_mock
start_mock --rule planted --seed 9
sed -i "s|http://127.0.0.1:[0-9]*/v1|$MOCK_URL|" job.json

# crafted KIND BYTES CODE [VIRTUAL-KIB]
crafted() {
	rm -rf o
	mkdir o
	cp whole/journal o/journal
	[ "$1" = claims ] && head -c 200000 whole/journal >o/journal && head -c "$last" whole/journal >o/journal
	"$MOCK" --grow-journal o/journal "$1" "$2"
	before=$(sum o/journal)
	began=$(now_ms)
	(ulimit -v "$4" && run "$3" "$PROGRAM" compile job.json)
	rc=$?
	TOOK=$(($(now_ms) - began))
	[ $rc = 0 ] && { [ "$3" = 0 ] || [ "$(sum o/journal)" = "$before" ]; }
}
mib=1048576
if [ -n "$SANITIZED" ]; then
	skip_all 9 "the sanitizer needs more address space than the test gives"
else
	for kind in tiny alike copies attempts nested claims long; do
		code=0
		case $kind in claims | attempts) code=73 ;; esac # attempts: the server said something else in each
		SECONDS_LIMIT=200
		if crafted $kind $((64 * mib)) $code 400000; then ok "64 MB of $kind: exit $code, $TOOK ms"; else not_ok "64 MB of $kind, $TOOK ms" out err; fi
	done
	rm -rf o && cp -r whole o
	"$MOCK" --grow-journal o/journal tiny $((64 * mib))
	interrupted() { # TERM while it is read
		kept=$(sum o/journal)
		"$PROGRAM" compile job.json >out 2>err &
		pid=$!
		until [ -s o/journal.lock ]; do :; done
		kill $pid
		wait $pid
		[ $? = 75 ] && said "was interrupted before the run began" && [ "$(sum o/journal)" = "$kept" ]
	}
	check "TERM is obeyed meanwhile: exit 75" interrupted
	if [ -n "$BIG" ]; then
		check "500 MB in 200 MB of memory" crafted long $((500 * mib)) 0 400000
	else
		skip "500 MB: with BIG=1"
	fi
fi
plan $n
