# scripts/from-hf: files that dspy-mpi names as what they are, written as JSON Lines that it reads. pyarrow, openpyxl and
# PyYAML come from PyPI into build-hf (scripts/install-deps --test); where they not available, their part is skipped.
# No dataset is fetched: the package datasets is one of the test's own.
. tests/lib.sh
plan 19
if ! command -v python3 >/dev/null; then
	skip_all 19 "no python3"
	exit 0
fi
python=$PWD/build-hf/bin/python from_hf=$PWD/scripts/from-hf
cd "$DIR" || exit 70
refused() { # refused NAME CODE WORDS COMMAND...: in one line
	name=$1 code=$2 words=$3
	shift 3
	if run "$code" "$@" && said "$words" && [ "$(wc -l <err)" -le 1 ]; then ok "$name: $(head -1 err | cut -c1-150)"; else not_ok "$name" err out; fi
}
mkdir fake
cat >fake/datasets.py <<'END'
class D(dict): pass
def load_dataset(name, config=None):
    if name == "gone/away": raise RuntimeError("not found,\n  or no network")
    rows = [{"question": name, "answer": config}]
    return D(train=rows) if name == "one/split" else D(train=rows, test=rows * 2)
def load_from_disk(path): return [{"question": "disk", "answer": None}]
END
refused "no argument" 64 "required: FILE_OR_DATASET" python3 "$from_hf"
refused "an unknown option" 64 "--splt" python3 "$from_hf" a/b --splt x
refused "no such file" 65 "gone.parquet: no such file" python3 "$from_hf" gone.parquet
refused "a dataset of several splits" 64 "two/splits has the splits train, test" env PYTHONPATH=fake python3 "$from_hf" two/splits
refused "a split that it has not" 65 "has the splits train, test" env PYTHONPATH=fake python3 "$from_hf" two/splits --split dev
refused "a dataset that is not to be had" 69 "gone/away: not found, or no network" env PYTHONPATH=fake python3 "$from_hf" gone/away
refused "no package datasets" 69 "pip install datasets" python3 -S -I "$from_hf" a/b
check "a split of it" sh -c "PYTHONPATH=fake python3 '$from_hf' two/splits --split test --config c >out 2>err && printf '{\"question\": \"two/splits\", \"answer\": \"c\"}\n{\"question\": \"two/splits\", \"answer\": \"c\"}\n' | cmp - out"
check "the only split, into a file" sh -c "PYTHONPATH=fake python3 '$from_hf' one/split --out new.jsonl 2>err && [ \"\$(cat new.jsonl)\" = '{\"question\": \"one/split\", \"answer\": null}' ] && [ ! -e new.jsonl.part ]"
check "a folder of save_to_disk" sh -c "PYTHONPATH=fake python3 '$from_hf' fake >out 2>err && grep -q disk out"

if ! "$python" -c 'import pyarrow, openpyxl, yaml' 2>/dev/null; then
	skip_all 9 "no pyarrow, openpyxl and PyYAML in build-hf: scripts/install-deps --test gets them from PyPI"
	exit 0
fi
"$python" - <<'END'
import datetime, openpyxl, pyarrow as pa, pyarrow.feather, pyarrow.parquet as pq
t = pa.table({"question": ["q0", "q1 ä"], "answer": [["a", "b"], []], "n": [1, None], "f": [0.5, float("nan")],
              "at": [datetime.date(2026, 1, 2)] * 2, "__index_level_0__": [7, 3]})
pq.write_table(t, "t.parquet")
pyarrow.feather.write_feather(t, "t.feather")
with pa.OSFile("t.arrow", "wb") as f, pa.ipc.new_stream(f, t.schema) as w: w.write_table(t)
pq.write_table(pa.table({"question": ["q"], "image": [b"\xff\xd8"]}), "picture.parquet")
b = openpyxl.Workbook()
s = b.active
for row in [(None, None), ("question", "answer", None), ("q0", 1), (None, None), ("q1", datetime.date(2026, 1, 2))]: s.append(row)
b.create_sheet("more").append(("question", "answer"))
b["more"].append(("q", True))
b.save("t.xlsx")
END
printf -- '- question: q0\n  answer: [a, b]\n- question: q1\n  answer: null\n' >t.yaml
printf '{"question": "q0", "answer": ["a", "b"], "n": 1, "f": 0.5, "at": "2026-01-02"}\n{"question": "q1 ä", "answer": [], "n": null, "f": null, "at": "2026-01-02"}\n' >want
printf '{"program": {"predict": "question -> answer"}, "valset": "t.jsonl", "metric": "exact_match", "lm": "embedded/stand-in"}' >job.json
# one FILE [OPTION...]: what dspy-mpi says of it, done, gives $DIR/t.jsonl, which dspy-mpi reads
one() {
	run 65 "$PROGRAM" check job.json --valset="$1" && said "scripts/from-hf" && said "$1 > NEW.jsonl" &&
		"$python" "$from_hf" "$@" >t.jsonl 2>err && run 0 "$PROGRAM" check job.json
}
for kind in parquet feather arrow; do
	one t.$kind
	check "$kind" cmp -s want t.jsonl
done
check "a workbook" one t.xlsx
check "its rows" sh -c "printf '{\"question\": \"q0\", \"answer\": 1}\n{\"question\": \"q1\", \"answer\": \"2026-01-02T00:00:00\"}\n' | cmp - t.jsonl"
check "another sheet" sh -c "'$python' '$from_hf' t.xlsx --config more >out 2>err && [ \"\$(cat out)\" = '{\"question\": \"q\", \"answer\": true}' ]"
check "YAML" one t.yaml
check "its rows" sh -c "printf '{\"question\": \"q0\", \"answer\": [\"a\", \"b\"]}\n{\"question\": \"q1\", \"answer\": null}\n' | cmp - t.jsonl"
refused "bytes that are no text" 65 "row 1, column image: bytes that are not text" "$python" "$from_hf" picture.parquet
