/* A small HTTP/1.1 server in one thread: keep-alive, answers after a delay, no busy waiting. */
#ifndef MOCK_SERVER_H
#define MOCK_SERVER_H

#include "base/buf.h"

typedef struct mock_server mock_server;
typedef struct mock_conn mock_conn;

typedef struct mock_http {
    char method[8], path[256];
    dm_str headers; /* raw, with line ends */
    dm_str body;
} mock_http;

/* Called with a whole request; answers by one of the calls below, once. */
typedef void mock_handler(void *user, mock_conn *c, const mock_http *request);

mock_server *mock_server_new(int port, mock_handler *handler,
                             void *user); /* port 0: any; NULL: errno */
int mock_server_port(const mock_server *s);
void mock_server_turn(mock_server *s, double timeout);
void mock_server_free(mock_server *s);
double mock_now(void);

/* Sends bytes after delay (s); then keeps the connection, or ends it. The bytes are taken. */
void mock_send(mock_conn *c, dm_buf *bytes, double delay, bool close_after);
void mock_reset(mock_conn *c, double delay);                               /* a TCP reset */
void mock_silence(mock_conn *c);                                           /* never answers */
void mock_status(dm_buf *b, int status, const char *headers, dm_str body); /* a whole answer */

#endif
