# Odd surroundings: a temporary folder that is full, missing, read-only or none, no PATH, no HOME, a key file that is no
# key, closed or full standard streams. What can work, works; else one sentence of ours and an exit code of the README.
# BIG=1 runs every command everywhere.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan $((33 + ${BIG:+7} + 0))
cd "$DIR" || exit 70
start_mock --rule planted --seed 3 --key right-key-123
"$MOCK" --make-data 16 3 0 >train.jsonl
job() { # job FILE LM MORE
	cat >"$1" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset_size": 6, "metric": "answer_exact_match",
 "optimizer": {"name": "labeled_few_shot", "k": 3}, "lm": $2, "out": "o" $3}
END
}
job job.json '"embedded/stand-in"'
run 0 "$PROGRAM" compile job.json --out=whole || exit 70
cp whole/program.json whole.json
one_sentence() { [ "$(grep -c '^dspy-mpi: ' err)" = 1 ] && tail -1 err | grep -q "^dspy-mpi: .*$1"; }
all() { # all WHAT CODE WORDS COMMAND-PREFIX...: each command under it ends in CODE, and says WORDS if that is not 0
	what=$1 code=$2 words=$3 wrong=""
	shift 3
	for words_of in "check job.json" "plan job.json" "eval job.json" "run whole.json --job=job.json --input question=x" "show whole.json" "compile job.json --fresh"; do
		# shellcheck disable=SC2086
		run "$code" "$@" "$PROGRAM" $words_of && { [ "$code" = 0 ] || one_sentence "$words"; } || wrong="$wrong $words_of: $rc $(tail -1 err);"
	done
	[ "$code" != 0 ] || cmp -s o/program.json whole.json || wrong="$wrong another program"
	check "$what: ${wrong:-each command ends in $code}" [ -z "$wrong" ]
}
launched() { # launched WHAT CODE WORDS COMMAND-PREFIX...: the same of launch eval
	what=$1 code=$2 words=$3
	shift 3
	if run "$code" "$@" "$PROGRAM" launch -n 2 eval job.json && { [ "$code" = 0 ] || one_sentence "$words"; }; then ok "$what, launch: $code $(grep '^dspy-mpi: ' err)"; else not_ok "$what, launch" err; fi
}

big() { [ -z "${BIG:-}" ] || "$@"; }

# with a metric that fills the temporary folder
cat >metric.sh <<'END'
dd if=/dev/zero of="$TMPDIR/fill" bs=64k 2>/dev/null
while read -r line; do echo '{"score": 1}'; done
END
cat >filled <<'END'
#!/bin/sh
exec "$@" --metric='{"command": ["sh", "./metric.sh"], "timeout": 5}'
END
chmod +x filled

# the temporary folder
all "TMPDIR is missing" 0 "" env TMPDIR="$DIR/none"
launched "TMPDIR is missing" 73 "none: No such file or directory.*set TMPDIR" env TMPDIR="$DIR/none"
big all "TMPDIR is a file" 0 "" env TMPDIR="$DIR/job.json"
launched "TMPDIR is a file" 73 "Not a directory.*set TMPDIR" env TMPDIR="$DIR/job.json"
big all "TMPDIR is empty" 0 "" env TMPDIR=
big launched "TMPDIR is empty" 0 "" env TMPDIR=
mkdir full ro some
trap 'umount full ro some 2>/dev/null; cd /; cleanup' EXIT
if mount -t tmpfs -o size=8k none full 2>/dev/null && mount -t tmpfs -o ro none ro && mount -t tmpfs -o size=4m none some; then
	dd if=/dev/zero of=full/x bs=1k count=16 2>/dev/null
	all "TMPDIR is full" 0 "" env TMPDIR="$DIR/full"
	launched "TMPDIR is full" 73 "No space left on device.*set TMPDIR" env TMPDIR="$DIR/full"
	launched "TMPDIR has room for ours, not for mpirun's files" 73 "No space left on device.*needs 10 MB.*set TMPDIR" env TMPDIR="$DIR/some"
	check "and nothing stays in it" [ -z "$(ls some)" ]
	umount some
	mount -t tmpfs -o size=12m none some
	launched "TMPDIR fills up in mid-run" 0 "" env TMPDIR="$DIR/some" "$DIR/filled"
	big all "TMPDIR is read-only" 0 "" env TMPDIR="$DIR/ro"
	launched "TMPDIR is read-only" 73 "Read-only.*set TMPDIR" env TMPDIR="$DIR/ro"
else
	skip_all $((6 + ${BIG:+1}+0)) "needs root to mount small disks"
fi

# the environment
big all "no PATH" 0 "" env -u PATH
launched "no PATH" 0 "" env -u PATH
launched "PATH is empty" 0 "" env PATH=
launched "PATH without mpirun" 70 "mpirun was not found" env PATH="$DIR"
job python.json '"embedded/stand-in"' ', "metric": {"command": ["python3", "-c", "0"]}'
sed -i 's/"metric": "answer_exact_match",//' python.json
for command in check plan eval compile; do
	run 78 env PATH="$DIR" "$PROGRAM" $command python.json
	check "$command, PATH without the metric's program: $(tail -1 err)" one_sentence "there is no program .*python3"
done
big all "no HOME" 0 "" env -u HOME
big launched "no HOME" 0 "" env -u HOME
all "no environment" 0 "" env -i

# keys
mkdir folder
: >empty
printf ' \n' >blank
head -c 70000 /dev/zero >large
chmod 000 blank
for kind in none:"No such file" folder:"directory" empty:"no key" large:"larger" job.json/x:"Not a directory"; do
	file=${kind%%:*} wrong=""
	job job.json "{\"model\": \"hosted_vllm/any\", \"api_base\": \"$MOCK_URL\", \"api_key_file\": \"./$file\"}"
	for words_of in "eval job.json" "compile job.json --fresh" "run whole.json --job=job.json --input question=x" "launch -n 2 --restarts 0 eval job.json"; do
		[ -n "${BIG:-}" -o "$file" = none ] || case $words_of in launch*) continue ;; esac
		# shellcheck disable=SC2086
		run 69 "$PROGRAM" $words_of && one_sentence "api_key_file.*${kind#*:}\|${kind#*:}" || wrong="$wrong $words_of: $rc $(tail -1 err);"
	done
	check "a key file: $file${wrong:-, 69: $(tail -1 err)}" [ -z "$wrong" ]
done
check "nobody was asked" [ "$(stat_of requests)" = 0 ]

# streams
job job.json '"embedded/stand-in"'
streams() { # streams WHAT CODE REDIRECTION
	wrong=""
	for words_of in "check job.json" "plan job.json" "eval job.json" "run whole.json --job=job.json --input question=x" "show whole.json" "compile job.json --fresh" "launch -n 2 eval job.json" --version --help; do
		[ -n "${BIG:-}" -o "$2" != 0 ] || case $words_of in launch*) continue ;; esac
		: >err
		sh -c "'$PROGRAM' $words_of $3"
		rc=$?
		[ $rc = "$2" ] || wrong="$wrong $words_of: $rc;"
		case $3 in *2\>err) [ "$2" = 0 ] || said "standard output cannot be written" || wrong="$wrong $words_of: $(tail -1 err);" ;; esac
	done
	cmp -s o/program.json whole.json || wrong="$wrong another program"
	check "$1${wrong:-: $2}" [ -z "$wrong" ]
}
streams "stdin is closed" 0 "<&- >out 2>err"
streams "stdout is closed" 73 ">&- 2>err"
streams "stderr is closed" 0 "2>&- >out"
streams "all are closed" 73 "<&- >&- 2>&-"
streams "stdout and stderr are full" 73 ">/dev/full 2>/dev/full"
streams "stdout is full" 73 ">/dev/full 2>err"
streams "stderr is full" 0 "2>/dev/full >out"
check "no stream ran into a file" [ -z "$(grep -l 'calls in flight allowed\|"status": "done", "reason": null, "program": null' o/journal o/program.json o/predictions.jsonl train.jsonl 2>/dev/null)" ]
printf '{"question": "x"}\n' >x.jsonl
for _ in $(seq 8); do cat x.jsonl x.jsonl >y && cat y >>x.jsonl; done
"$PROGRAM" launch -n 2 run whole.json --job=job.json --inputs x.jsonl 2>err | { sleep 0.2; md5sum; } >slow
check "answers of launch, a pipe full, to a reader that is slow" sh -c "'$PROGRAM' run whole.json --job=job.json --inputs x.jsonl 2>err | md5sum | cmp -s - slow"
check "a reader that leaves early is none of launch's faults" sh -c "{ '$PROGRAM' launch -n 2 run whole.json --job=job.json --inputs x.jsonl; echo \$? >code; } 2>err | head -1 >/dev/null; [ \$(cat code) = 0 ]"
