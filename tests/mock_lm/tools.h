/* What the test scripts need beside a server, so that they need neither curl nor Python. */
#ifndef MOCK_TOOLS_H
#define MOCK_TOOLS_H

/* If argv asks for a tool, runs it and returns its exit code; else -1.
 *   --json-get PATH            a value (a.b.0) of the JSON text on stdin, or of its last line
 *   --fetch HOST:PORT PATH     GET of a loopback server, the body to stdout
 *   --post HOST:PORT PATH [FILE]   POST of a file's bytes (none: empty)
 *   --make-data N [SEED FROM] [--seed S] [--from F]   the planted world's data set
 *   --make-cert HOST CERT KEY [DAYS]    a self-signed certificate; exit 69: built without OpenSSL
 *   --list-journal FILE        a line a record: the byte behind it, and the calls known by then
 *   --list-marks FILE          a line a call that is known: its mark (of a server with --mark yes)
 *   --list-keys FILE           the same, its request's key
 *   --kill-at FILE BYTES PID   kill -9 for the process group when the file has so many bytes
 *   --grow-journal FILE KIND BYTES   appends records that no run wrote: tiny, alike, long, copies,
 *                              attempts, nested, claims
 *   --faults                   the kinds of faults */
int mock_tool(int argc, char **argv);

/* journal.c */
typedef enum mock_listed { MOCK_RECORDS, MOCK_MARKS, MOCK_KEYS } mock_listed;
int mock_list_journal(const char *path, mock_listed what);
int mock_grow_journal(const char *path, const char *kind, const char *bytes);
int mock_kill_at(const char *path, const char *bytes, const char *pid);

#endif
