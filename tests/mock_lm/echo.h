/* A server that says the key it was sent: --echo yes. */
#ifndef MOCK_ECHO_H
#define MOCK_ECHO_H

#include "base/buf.h"

/* Makes the words that answers to the n-th request carry: the Authorization header behind 0 to
 * 4,096 other bytes, in one of several forms (as it is, escaped for JSON, URL-encoded in both cases
 * of hexadecimal, base64 in both alphabets). */
void mock_echo_make(dm_str authorization, size_t n);
dm_str mock_echo(void); /* the words; empty: nothing is to be said */

#endif
