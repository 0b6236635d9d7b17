# Two hosts, in network namespaces of their own with a wire between them: a compile over both, then one whose second
# host is cut off in mid-run, and one whose second host dies with its server. The first host goes on, in the same
# attempt, to the same program; what is left on the other ends when the wire is back. Needs root, ip, and Open MPI 4 or 5.
LEAKS=0
. tests/lib.sh
plan 12
a=dm$$a b=dm$$b
# In a chroot whose root is no mount point a namespace can be made, but not entered.
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! ip netns add "$a" 2>/dev/null || ! ip netns exec "$a" true 2>/dev/null; then
	ip netns del "$a" 2>/dev/null
	skip_all 12 "needs root and network namespaces that can be entered (iproute2; in a chroot, one on a mount point)"
	exit 0
fi
down() {
	for ns in "$a" "$b"; do
		for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
		ip netns del "$ns" 2>/dev/null
	done
	rm -rf "${TMPDIR:-/tmp}"/ompi.node-$$* /dev/shm/*_segment.node-$$-* "/etc/netns/$a" "/etc/netns/$b"
	cleanup
}
trap down EXIT
ip netns add "$b"
ip link add "$a" netns "$a" type veth peer name "$b" netns "$b"
for k in 1 2; do
	[ $k = 1 ] && ns=$a || ns=$b
	ip -n "$ns" addr add "10.77.0.$k/24" dev "$ns"
	ip -n "$ns" link set "$ns" up
	ip -n "$ns" link set lo up
	mkdir -p "/etc/netns/$ns" # is /etc/hosts there
	printf '127.0.0.1 localhost\n10.77.0.1 node-%s-1\n10.77.0.2 node-%s-2\n' $$ $$ >"/etc/netns/$ns/hosts"
	printf 'node-%s-%s slots=3\n' $$ $k >>"$DIR/hosts"
done
# on HOST COMMAND...: there; mpirun's way to the other host. As with ssh the words are a line for a shell:
# Open MPI 5 begins it with variables.
cat >"$DIR/on" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
host=\$1
shift
case \$host in *-1) ns=$a ;; *) ns=$b ;; esac
case \$* in [A-Z]*=*) line="\$*" ;; *) line="exec \$*" ;; esac
exec ip netns exec \$ns unshare --uts sh -c "hostname \$host; \$line"
END
chmod +x "$DIR/on"
servers() { # one on each host
	for ns in "$a" "$b"; do
		ip netns exec "$ns" "$MOCK" --port 9900 --orphan yes --rule planted --seed 9 --latency 30 --latency-jitter 120 >/dev/null 2>&1 &
		until ip netns exec "$ns" "$MOCK" --fetch 127.0.0.1:9900 /stats >/dev/null 2>&1; do sleep 0.05; done
	done
}
asked() { # of both servers together
	for ns in "$a" "$b"; do ip netns exec "$ns" "$MOCK" --fetch 127.0.0.1:9900 /stats | "$MOCK" --json-get requests; done 2>/dev/null | awk '{ s += $1 } END { print s + 0 }'
}
mpirun --version | grep -q ' 5\.' && agent=plm_ssh_agent || agent=plm_rsh_agent
compile() {
	timeout -k 5 120 "$DIR/on" "node-$$-1" "$PROGRAM" launch -n 6 --hostfile "$DIR/hosts" --mca $agent "$DIR/on" compile "$DIR/job.json" --out="$1" --verbose ${2:+--lm.api_base="$2"}
}
"$MOCK" --make-data 80 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 80 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 8},
 "lm": {"model": "hosted_vllm/any", "api_base": "http://127.0.0.1:9900/v1", "concurrency": 10}}
END
servers
compile "$DIR/whole" >"$DIR/out" 2>"$DIR/err"
rc=$?
check "on two hosts" [ $rc = 0 ]
check "three workers on the second" [ "$(grep -c "is on node-$$-2" "$DIR/err")" = 3 ]
calls=$(asked)
begin() { # a run that cannot end before something is done to it
	MOCK_URL=http://127.0.0.1:9900/v1
	shut
	rm -rf "$DIR/o"
	compile "$DIR/o" "$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	under_way $pid "$DIR/o" 8000
}
disturbed() { # disturbed WHAT COMMAND...: done to a run on both hosts
	disaster=$1
	shift
	before=$(asked)
	begin
	"$@"
	opened
	wait $pid
	rc=$?
	check "$disaster: done, in the same attempt" [ "$rc $(grep -c 'is lost; its work' "$DIR/err") $(grep -c attempt "$DIR/err")" = "0 3 0" ]
	check "$disaster: the same program" cmp "$DIR/o/program.json" "$DIR/whole/program.json"
}
left() { # our processes on the second host; mpirun's daemon stays until its connection comes to an end
	for pid in $(ip netns pids "$b"); do
		grep -q '^[0-9]* (dspy-mpi) [^Z]' "/proc/$pid/stat" 2>/dev/null && echo "$pid"
	done | wc -l
}
cut_off() { ip -n "$a" link set "$a" down; }
disturbed "the second host is cut off" cut_off
ip -n "$a" link set "$a" up # else its ranks wait a quarter of an hour for a coordinator that may be suspended
for _ in $(seq 600); do
	[ "$(left)" = 0 ] && break
	sleep 0.1
done
check "the wire is back: what is left there ends by itself" [ "$(left)" = 0 ]
check "no more calls again than were under way there: $(($(asked) - before - calls))" [ $(($(asked) - before)) -le $((calls + 10)) ]
here() { # processes of the run on the first host, mpirun's daemons on the second
	pgrep -f -- "--out=$DIR/o" | wc -l
}
begin
kill -9 "$(pgrep -f -o "^$PROGRAM launch .*--out=$DIR/o")"
for _ in $(seq 100); do
	[ "$(left) $(here)" = "0 0" ] && break
	sleep 0.1
done
check "the launcher is killed: the ranks of both hosts end" [ "$(left) $(here)" = "0 0" ]
wait $pid
compile "$DIR/o" >"$DIR/out" 2>"$DIR/err"
rc=$?
check "and it goes on from there" [ "$rc $(grep -c resumed "$DIR/err")" = "0 1" ]
check "to the same program" cmp "$DIR/o/program.json" "$DIR/whole/program.json"
# shellcheck disable=SC2046
dies() { kill -9 $(ip netns pids "$b"); }
disturbed "the second host dies" dies
check "nothing is left there" [ "$(left)" = 0 ]
