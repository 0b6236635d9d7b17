#!/bin/sh
# The package dspy_mpi (scripts/python): a script of DSPy's with one line changed, on one process, stopped, and
# resumed on four ranks. DSPY_PYTHON or python3 has to have dspy.
. tests/lib.sh
plan 9
python=$(command -v "${DSPY_PYTHON:-python3}")
"$python" -c 'import dspy, cloudpickle' 2>/dev/null || {
	skip_all 9 "no dspy in ${DSPY_PYTHON:-python3}: DSPY_PYTHON names the Python that has it"
	exit 0
}
export DSPY_MPI="$PROGRAM" PYTHONPATH="$PWD/scripts/python:$PWD/tests/python/package:$PWD/tests/python" PYTHONDONTWRITEBYTECODE=1
export LITELLM_LOCAL_MODEL_COST_MAP=True DSPY_CACHEDIR="$DIR/cache" PYTHONHASHSEED=0
[ -x "$PROGRAM" ] || PROGRAM=$(command -v "$PROGRAM")
"$python" tests/python/server.py "$DIR/port" "$DIR/log" &
SERVER=$!
trap 'kill $SERVER 2>/dev/null; cleanup' EXIT
for _ in $(seq 200); do
	[ -s "$DIR/port" ] && break
	sleep 0.05
done
URL="http://127.0.0.1:$(cat "$DIR/port")/v1"
count() { curl -s "$URL/models" | sed 's/.*"count": \([0-9]*\).*/\1/'; }
cat >"$DIR/script" <<EOF
#!/bin/sh
[ "\$1" = dspy_mpi ] || plain="$PWD/tests/python/package/plain.py"
exec "$python" \$plain "$PWD/tests/python/package/script.py" "\$1" "\$2" "$URL" "\$3"
EOF
chmod +x "$DIR/script" # script dspy|dspy_mpi OUT.json OPTIONS
ALONE="{\"out\": \"$DIR/four\", \"hosts\": 1}"
FOUR="{\"out\": \"$DIR/four\", \"hosts\": 1, \"ranks\": 4}"

check "DSPy itself compiles the script" run 0 "$DIR/script" dspy "$DIR/theirs.json" "{}"
before=$(count)
check "one line changed, one process: the same file, byte for byte" eval 'run 0 "$DIR/script" dspy_mpi "$DIR/one.json" "{\"out\": \"$DIR/one\", \"hosts\": 1}" && cmp "$DIR/theirs.json" "$DIR/one.json"'
calm=$(($(count) - before))
check "its first line says how it runs, and where" said "dspy_mpi: BootstrapFewShot on one process; results in"

# Stopped by Ctrl-C while calls are out, then the same call again, on four ranks.
before=$(count)
check "Ctrl-C stops it in order" run 0 "$python" tests/python/package/stop.py "$DIR/log.shut" "$DIR/script" dspy_mpi "$DIR/four.json" "$ALONE"
check "it says that the same call goes on" said "and the same call goes on from there"
stopped=$(($(count) - before))
check "which it does on four ranks, to the same file, byte for byte" eval 'run 0 "$DIR/script" dspy_mpi "$DIR/four.json" "$FOUR" && cmp "$DIR/theirs.json" "$DIR/four.json"'
asked=$(($(count) - before))
# what was out when it was stopped is asked again: at most one call of each of the 6 examples in flight
check "only calls in flight are asked twice ($calm in one go; $stopped and $((asked - stopped)))" [ "$stopped" -gt 6 -a $((asked - stopped)) -lt "$calm" -a "$asked" -ge "$calm" -a "$asked" -le $((calm + 6)) ]
check "no key is in any file" eval '! grep -rlE "sk-in-(the-model|a-global)|hush-hush" "$DIR/one" "$DIR/four" "$DIR"/*.json >"$DIR/out"'
run 0 "$python" "$PWD/tests/python/package/plain.py" "$PWD/tests/python/package/others.py" "$URL" "$DIR/others"
check "refusals, evaluate, Search, LabeledFewShot and MIPROv2 ($(grep -c "^same" "$DIR/out") of 32)" eval '[ "$(grep -c "^same$" "$DIR/out")" = 32 ] && [ "$(grep -cv "^same$" "$DIR/out")" = 0 ]'
