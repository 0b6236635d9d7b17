/* The rule of tests/golden/data/gepa.json (its _rule): instructions carry tokens <kJ>, questions
 * are qN, and a reflection adds the token that a failure shows to be missing. */
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

typedef struct tokens {
    long k[MOST], sum;
    size_t n;
} tokens;

static bool has(const tokens *t, long k)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->k[i] == k)
            return true;
    return false;
}

static tokens tokens_in(const char *text)
{
    tokens t = {{0}, 0, 0};
    for (const char *p = text; (p = strstr(p, "<k")) && t.n < MOST; p++) {
        char *end;
        long k = strtol(p + 2, &end, 10);
        if (end == p + 2 || *end != '>' || has(&t, k))
            continue;
        t.k[t.n++] = k;
        t.sum += k;
    }
    return t;
}

static bool good(long n, const tokens *t)
{
    return (has(t, n % 7) && (n + t->sum) % 5 != 0) || n % (3 + (long)t->n) == 0;
}

static long number_behind(const char *text, const char *mark)
{
    const char *p = strstr(text, mark);
    return p ? strtol(p + strlen(mark), NULL, 10) : 0;
}

/* The cases begin with their inputs; what is behind tells what came out. */
static void reflect(const mock_request *r, char *out, size_t room)
{
    static const char inputs[] = "nputs\": {", question[] = "\"question\": \"q";
    const char *p = strstr(r->user, "[[ ## current_instruction ## ]]"), *next;
    tokens t = tokens_in("");
    long add = -1;
    if (p) {
        const char *end = strstr(p, "\n\n[[ ## ");
        char text[4096];
        snprintf(text, sizeof text, "%.*s", end ? (int)(end - p) : (int)strlen(p), p);
        t = tokens_in(text);
    }
    for (p = strstr(r->user, inputs); p && add < 0; p = next) {
        long n = number_behind(p, question);
        next = strstr(p + 1, inputs);
        const char *hint = strstr(p, "utputs\": {\"hint\"");
        bool of_hint = hint && (!next || hint < next);
        long k = n % (of_hint ? 5 : 7);
        add = has(&t, k) ? -1 : k;
    }
    size_t used = (size_t)snprintf(out, room, "Answer.");
    for (size_t i = t.n && (t.n >= 4 || add < 0); i < t.n; i++)
        used += (size_t)snprintf(out + used, room - used, " <k%ld>", t.k[i]);
    if (add >= 0)
        snprintf(out + used, room - used, " <k%ld>", add);
}

void mock_tokens_value(const mock_request *r, const char *field, char *out, size_t room)
{
    /* the sentences around the instruction hold no tokens */
    tokens t = tokens_in(r->system);
    long n = number_behind(r->user, "[[ ## question ## ]]\nq");
    const char *hint = strstr(r->user, "[[ ## hint ## ]]\n");
    bool odd = false, ok = good(n, &t);
    if (strcmp(field, "new_instruction") == 0) {
        reflect(r, out, room);
        return;
    }
    if (strcmp(field, "hint") == 0) {
        odd = t.n && (n + t.sum) % 6 == 0;
        snprintf(out, room, "%s", odd ? "odd" : has(&t, n % 5) || n % 4 == 0 ? "good" : "bad");
        return;
    }
    if (hint) {
        hint += strlen("[[ ## hint ## ]]\n");
        odd = strncmp(hint, "odd", 3) == 0;
        ok = odd ? t.n < 2 && n % 2 == 1 : ok && (strncmp(hint, "good", 4) == 0 || n % 2 == 0);
    }
    snprintf(out, room, "%s", ok ? "yes" : "no");
}
