/* What the mock model answers: a pure function of the request. */
#ifndef MOCK_RULES_H
#define MOCK_RULES_H

#include "base/buf.h"
#include "base/hash.h"

#define MAX_FIELDS 32

typedef struct mock_request { /* what a rule sees; strings are the body's, unescaped */
    char *system, *user;
    size_t n_demos;                    /* assistant turns */
    char **demo_users, **demo_answers; /* [n_demos] */
    char fields[MAX_FIELDS][64];       /* outputs that are asked for */
    size_t n_fields;
    bool json; /* JSON mode */
    char *model;
    double temperature; /* -1: not given */
    uint64_t hash;      /* of the body */
} mock_request;

typedef struct mock_reply {
    dm_buf content;
    const char *finish; /* "stop" */
} mock_reply;

typedef struct mock_rule {
    const char *name; /* echo, golden, planted, script */
    uint64_t seed;
    struct mock_line {
        char *match, *content, *finish;
        int status;
    } * lines; /* of a script */
    size_t n_lines;
} mock_rule;

/* False: the body is no chat request. */
bool mock_request_read(mock_request *r, dm_str body);
void mock_request_free(mock_request *r);
bool mock_rule_load_script(mock_rule *rule, const char *path);
/* Returns the status (200, or what a script says). */
int mock_answer(const mock_rule *rule, const mock_request *r, mock_reply *out);

/* The planted world. Items are numbered; each has one of four labels and a difficulty, both by hash
 * of the seed. The model is right about item n iff noise(n) < skill = 250 + sum of word(w) over the
 * marker words of the instruction
 *                            + sum over the demos of item k: worth(k), or -120 if its label is
 * wrong (per mille; at most the first 16 demos count). worth(k) is -10 ... 70, word is carefully
 * 120, exactly 60, quickly -90, please 0. */
const char *mock_planted_label(uint64_t seed, long item);
int mock_planted_noise(uint64_t seed, long item);
int mock_planted_skill(uint64_t seed, const char *instruction, const long *items, const bool *right,
                       size_t n);

#endif
