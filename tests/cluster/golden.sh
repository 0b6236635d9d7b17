# scripts/golden: the committed golden files are what the real DSPy gives, and a difference is shown.
. tests/lib.sh
plan 7
golden() { # golden CODE OPTIONS...: on a copy of the files
	code=$1
	shift
	run "$code" env DM_GOLDEN="$DIR/data" scripts/golden --with "$DSPY_PYTHON" "$@"
}
printed() { grep -qF -- "$1" "$DIR/out"; }
if ! python3 -m venv --without-pip "$DIR/bare" 2>"$DIR/err"; then
	skip_all 7 "needs python3 with venv"
	exit 0
fi
check "a Python without DSPy: what is missing and what to do" run 1 scripts/golden --with "$DIR/bare/bin/python"
check "is said" said "golden: this Python has no dspy: pip install -r tests/golden/requirements.txt"
if [ -z "${DSPY_PYTHON:-}" ]; then
	skip_all 5 "set DSPY_PYTHON to a Python that has dspy and optuna"
	exit 0
fi
quick="prompts parse adapters xml json_repair metrics rng optimizers" # what is read; make check looks at all
"$DSPY_PYTHON" -c 'import rouge_score' 2>"$DIR/err" && quick="$quick rouge_l"
SECONDS_LIMIT=900 # DSPy alone takes minutes on a busy machine
# shellcheck disable=SC2086
check "the committed files are what DSPy gives" run 0 scripts/golden --with "$DSPY_PYTHON" $quick
cp -r tests/golden/data "$DIR/data"
sed -i 's/"eiffel tower"/"eiffel towers"/' "$DIR/data/metrics.json"
shown() { golden 1 metrics && printed "metrics.normalize[0][1]" && printed '"eiffel towers"' && printed "1 differs in all"; }
check "a value that differs is shown, with its place" shown
rewritten() { golden 0 --write metrics && cmp "$DIR/data/metrics.json" tests/golden/data/metrics.json; }
check "--write makes it right, byte for byte" rewritten
sed -i '1a\ ["[5, 6"],' "$DIR/data/json_repair.json"
added() {
	golden 0 --write json_repair && printed "json_repair[0]" &&
		[ "$(json 0.1.1 "$DIR/data/json_repair.json")" = 6 ]
}
check "a new case needs its inputs alone" added
mkdir -p "$DIR/other/optuna" && echo "raise ImportError('gone')" >"$DIR/other/optuna/__init__.py"
lacking() {
	PYTHONPATH=$DIR/other golden 1 rng metrics && printed "rng: cannot be made by this DSPy: ImportError: gone" &&
		printed "metrics: nothing differs" && printed "1 cannot be made"
}
check "what another DSPy has not got is said, and the others are made" lacking
