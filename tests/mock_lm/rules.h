/* What the mock model answers: a pure function of the request, and of how often it came. */
#ifndef MOCK_RULES_H
#define MOCK_RULES_H

#include "base/buf.h"
#include "base/hash.h"

#define MAX_FIELDS 32

typedef struct mock_request { /* what a rule sees; strings are the body's, unescaped */
    char *system, *user;
    size_t n_demos;                    /* assistant turns */
    char **demo_users, **demo_answers; /* [n_demos] */
    struct mock_field {
        char name[64], type[128]; /* type: Python's text; empty for str */
    } fields[MAX_FIELDS];         /* outputs that are asked for */
    size_t n_fields;
    bool json;   /* JSON mode, by its prompt */
    bool format; /* response_format is asked for */
    char *model;
    double temperature; /* -1: not given */
    long max_tokens;    /* -1: not given */
    uint64_t hash;      /* of the body */
    uint32_t before;    /* how often the same body came before */
} mock_request;

typedef struct mock_reply {
    dm_buf content;
    const char *finish; /* "stop" */
} mock_reply;

typedef struct mock_rule {
    const char *name; /* echo, golden, planted, stand-in, tokens, script */
    uint64_t seed;
    int base, mix; /* of the planted world, per mille */
    struct mock_line {
        char *match, *and, *content, *then, *finish;
        int status;
    } * lines; /* of a script */
    size_t n_lines;
} mock_rule;

/* False: the body is no chat request. */
bool mock_request_read(mock_request *r, dm_str body);
void mock_request_free(mock_request *r);

void mock_rule_init(mock_rule *rule); /* echo */
/* NAME or NAME:KEY=VALUE,... (echo, golden, planted:seed=S,base=B,mix=M, stand-in, tokens) or
 * script:FILE, JSON Lines of {"match", "and", "content", "then", "finish_reason", "status"}, the
 * first line whose match is part of the system message or of the last one, and whose "and", too.
 * The same request again is answered with "then", if there is one. The text is
 * kept and written to. False: said on stderr.
 */
bool mock_rule_parse(mock_rule *rule, char *text);
void mock_rule_free(mock_rule *rule);
/* Returns the status (200, or what a script says). */
int mock_answer(const mock_rule *rule, const mock_request *r, mock_reply *out);

/* stand-in: what provider `embedded` answers (rollout 0).
 *
 * echo answers each field with its name (str), or the least value of its type.
 *
 * golden: the model of the recorded optimizer runs: question qN gets reasoning rN and the answer
 * yes iff N % 3 != 0, or N % 6 == 0 and at least 6 demo turns are shown; else no.
 *
 * planted: items are numbered ("item 17: what is its label?"); each has one of four labels and a
 * difficulty, both by hash of the seed. The model is right about item n iff noise(n) < skill:
 *
 *   skill = base + sum of word(w) over the marker words w of the instruction
 *                + sum over the first 16 demos, of item k: worth(k), or -120 if its label is wrong
 *
 * in per mille, noise uniform in 0 ... 999, worth(k) in -10 ... 70, base 250, word carefully 120,
 * exactly 60, quickly -90, please 0. The instruction is what follows "your objective is" in the
 * system message. When wrong it names the next label. With mix=M, for M per mille of the (item,
 * instruction, demos) the noise is drawn anew from the three together, so that scores differ by
 * more than skill. At a temperature the skill is up to 99 higher, by hash of the whole request.
 * Output fields whose name contains `instruction` get one of 8 proposals, by hash of the request:
 * each of carefully, exactly and quickly is in half of them. */
const char *mock_planted_label(uint64_t seed, long item);
int mock_planted_noise(uint64_t seed, long item);
int mock_planted_skill(uint64_t seed, const char *instruction, const long *items, const bool *right,
                       size_t n);
/* tokens.c: the value of a field. */
void mock_tokens_value(const mock_request *r, const char *field, char *out, size_t room);

#endif
