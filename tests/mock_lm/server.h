/* A small HTTP/1.1 server in one thread: keep-alive, answers after a delay, no busy waiting. */
#ifndef MOCK_SERVER_H
#define MOCK_SERVER_H

#include "base/buf.h"
#include "tls.h"

typedef struct mock_server mock_server;
typedef struct mock_conn mock_conn;

typedef struct mock_http {
    char method[8], path[256];
    dm_str headers; /* raw, with line ends */
    dm_str body;
} mock_http;

/* Called with a whole request; answers by one of the calls below, once. */
typedef void mock_handler(void *user, mock_conn *c, const mock_http *request);
/* Called once for each request that was marked: its answer has been handed to the kernel whole
 * (sent), or the connection ended before. */
typedef void mock_done(void *user, uint64_t mark, bool good, bool sent);

typedef enum mock_end {            /* what happens after the bytes are sent */
                        MOCK_KEEP, /* the connection is kept */
                        MOCK_CLOSE,
                        MOCK_RESET, /* by a TCP reset */
                        MOCK_STALL  /* it is kept, and nothing comes any more */
} mock_end;

/* Binds to the loopback address. port 0: any; NULL: errno says why. tls: NULL for plain HTTP. */
mock_server *mock_server_new(int port, mock_tls *tls, mock_handler *handler, mock_done *done,
                             void *user);
bool mock_server_listen(mock_server *s); /* until then connections are refused */
int mock_server_port(const mock_server *s);
void mock_server_turn(mock_server *s, double timeout);
void mock_server_free(mock_server *s); /* ends every connection */
double mock_now(void);

void mock_mark(mock_conn *c, uint64_t mark, bool good); /* mock_done is wanted for this request */
/* Sends bytes after delay (s), then n_fill spaces. The bytes are taken. */
void mock_send(mock_conn *c, dm_buf *bytes, size_t n_fill, double delay, mock_end end);
void mock_silence(mock_conn *c);                                           /* never answers */
void mock_status(dm_buf *b, int status, const char *headers, dm_str body); /* a whole answer */
bool mock_is_kept(const mock_conn *c);                /* this is not its first request */
dm_str mock_header(dm_str headers, const char *name); /* its value; p NULL: not there */

#endif
