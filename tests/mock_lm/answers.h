/* Answers of the mock server: completions, errors as OpenAI and vLLM word them, faults on demand.
 */
#ifndef MOCK_ANSWERS_H
#define MOCK_ANSWERS_H

#include "rules.h"
#include "server.h"

#define MOCK_FAULTS 40

typedef struct mock_faults {
    struct {
        const char *kind;
        double rate;
    } list[MOCK_FAULTS];
    size_t n;
    struct {
        dm_str match;
        const char *kind;
    } poisons[MOCK_FAULTS]; /* [n_poisons] */
    size_t n_poisons;
    uint64_t seed;
    int retry_after;
    double slow; /* s: how long slow_first_byte waits */
} mock_faults;

/* KIND=RATE,...; false: a kind that is none, or rates that pass 1 together (said on stderr). */
bool mock_faults_add(mock_faults *f, const char *text);
/* TEXT:KIND, text kept: a request whose last message holds TEXT is always spoilt so. */
bool mock_poison_add(mock_faults *f, const char *text);
const char *mock_poison_of(const mock_faults *f, const char *user); /* NULL: none */
/* A pure function of seed, request and attempt; NULL: none. */
const char *mock_faults_choose(const mock_faults *f, uint64_t hash, uint32_t attempt);
/* Writes the kinds, a line each. */
void mock_faults_list(void);

typedef struct mock_out { /* one answer, before any fault */
    const mock_request *request;
    dm_str content; /* p NULL: null */
    const char *finish;
    size_t prompt_tokens, cached_tokens;
    size_t completion_tokens; /* 0: by the content */
    const char *usage;        /* JSON, in place of all of them; NULL */
    bool anthropic;           /* in the form of its Messages */
    const char *tier;         /* service_tier that is told; NULL: none */
    const char *headers;      /* further ones, with line ends; NULL: none */
    double delay;             /* s */
} mock_out;

/* Each sends one answer and returns its status; 0: none was sent. */
int mock_send_completion(mock_conn *c, const mock_out *o);
int mock_send_fault(const mock_faults *f, const char *kind, mock_conn *c, const mock_out *o);
int mock_send_error(mock_conn *c, int status, const char *headers, const char *type,
                    const char *code, const char *message, double delay);
/* A body of one's own. */
int mock_send_words(mock_conn *c, int status, const char *headers, const char *body);
void mock_put_escaped(dm_buf *b, dm_str s); /* as a JSON string */

#endif
