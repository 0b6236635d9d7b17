# What mpirun and Open MPI's own libraries say of themselves is kept from people: lines as 4.1 and 5.0 write them.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 3
cat >"$DIR/noise" <<'END'
[vm][[4722,1],2][../../../../../../opal/mca/btl/tcp/btl_tcp_proc.c:266:mca_btl_tcp_proc_create_interface_graph] Unable to find reachable pairing between local and remote interfaces
[vm][[4722,1],0][../../../../../../opal/mca/btl/tcp/btl_tcp_proc.c:266:mca_btl_tcp_proc_create_interface_graph] [vm][[4722,1],1][../../../../../../opal/mca/btl/tcp/btl_tcp_proc.c:266:mca_btl_tcp_proc_create_interface_graph] Unable to find reachable pairing between local and remote interfaces
Unable to find reachable pairing between local and remote interfaces
[vm][[4722,1],0][btl_tcp_endpoint.c:626:mca_btl_tcp_endpoint_recv_connect_ack] received unexpected process identifier [[4722,1],1]
[vm:04722] PMIX ERROR: BAD-PARAM in file ../../../src/mca/gds/ds12/gds_ds12_lock_pthread.c at line 168
mpirun: Forwarding signal 10 to job
END
mkdir "$DIR/bin"
printf '#!/bin/sh\ncat "%s" >&2\necho "A line of the program itself" >&2\nPATH=$PLAIN exec mpirun "$@"\n' "$DIR/noise" >"$DIR/bin/mpirun"
chmod +x "$DIR/bin/mpirun"
launched() { run 0 env PLAIN="$PATH" PATH="$DIR/bin:$PATH" "$PROGRAM" launch -n 2 plan jobs/sample.json --out="$DIR/o"; }
check "a run whose mpirun makes noise" launched
silent() { while read -r line; do ! said "$line" || return 1; done <"$DIR/noise"; }
check "of which nothing is seen" silent
check "what is not mpirun's comes through" said "A line of the program itself"
