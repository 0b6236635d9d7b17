/* Limits of requests and tokens a minute, refusals counted too, and the heads that tell of them. */
#ifndef MOCK_LIMITS_H
#define MOCK_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mock_limits {
    double rpm, tpm, kept; /* kept: s of them that may be had at once; rpm 0: no limits */
    const char *tell;      /* "openai", "anthropic", "none"; NULL: none */
    double left[2], filled;
    bool begun;
    char headers[1024]; /* of the reply to the newest request */
} mock_limits;

/* "600:90000:1"; false: not so. */
bool mock_limits_parse(mock_limits *l, const char *text);
/* A request of so many tokens comes at now (s): true: it is refused, and counts. */
bool mock_limits_refuse(mock_limits *l, double tokens, double now);

#endif
