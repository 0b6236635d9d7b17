/* What the test scripts need beside a server, so that they need neither curl nor Python. */
#ifndef MOCK_TOOLS_H
#define MOCK_TOOLS_H

/* If argv asks for a tool, runs it and returns its exit code; else -1.
 *   --json-get PATH            a value (a.b.0) of the JSON text on stdin, or of its last line
 *   --fetch HOST:PORT PATH     GET of a loopback server, the body to stdout
 *   --post HOST:PORT PATH [FILE]   POST of a file's bytes (none: empty)
 *   --make-data N [SEED FROM] [--seed S] [--from F]   the planted world's data set
 *   --make-cert HOST CERT KEY [DAYS]    a self-signed certificate; exit 69: built without OpenSSL
 *   --faults                   the kinds of faults */
int mock_tool(int argc, char **argv);

#endif
