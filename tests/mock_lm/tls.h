/* TLS for the mock server, where the tests were built with OpenSSL; else every call refuses. */
#ifndef MOCK_TLS_H
#define MOCK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct mock_tls mock_tls;

/* Writes a self-signed certificate for host (a name or an IPv4 address) and its key, PEM.
 * days < 0: it ran out so many days ago. */
bool mock_tls_make_cert(const char *host, const char *cert, const char *key, long days);
/* clients: certificates of which one has to be shown; NULL: nobody is asked. */
mock_tls *mock_tls_new(const char *cert, const char *key,
                       const char *clients); /* NULL: said on stderr */
void mock_tls_free(mock_tls *t);

/* A connection; recv and send return what the system calls do, EAGAIN included. */
void *mock_tls_open(mock_tls *t, int fd);
ssize_t mock_tls_recv(void *tls_conn, void *p, size_t n);
ssize_t mock_tls_send(void *tls_conn, const void *p, size_t n);
void mock_tls_close(void *tls_conn);

#endif
