/* What calls cost, and the table of prices. */
#include "json/json.h"
#include "base/log.h"
#include "lm/provider.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_TABLE ((size_t)4 << 20)
#define OLD_DAYS  180.0

double dm_price_of(const dm_price *p, int64_t prompt, int64_t completion, int64_t cached,
                   int64_t written)
{
    if (!p->known)
        return NAN;
    return ((double)(prompt - cached - written) * p->prompt + (double)cached * p->cached +
            (double)written * p->cache_write + (double)completion * p->completion) /
           1e6;
}

double dm_price_most(const dm_price *p, int64_t prompt, int64_t completion)
{
    double dearest = fmax(p->prompt, fmax(p->cached, p->cache_write));
    return p->known ? ((double)prompt * dearest + (double)completion * p->completion) / 1e6 : NAN;
}

/* What was answered as flex costs a part; what the server does not say was is at the full price. */
double dm_cost_of(const dm_lm_config *c, const dm_usage *u)
{
    double full = dm_price_of(&c->price, u->prompt, u->completion, u->cached, u->written);
    double part = u->answers > 0 ? fmin(1, (double)u->flex / (double)u->answers) : 0;
    return full * (1 - part * (1 - c->price.flex));
}

const char *dm_lm_unpriced_at(const dm_lm_config *c)
{
    for (size_t i = 0; i < c->n_base; i++)
        if (!dm_is_own_machine(c->api_base[i]))
            return c->api_base[i];
    return c->api_base[0];
}

bool dm_free_on_own(const dm_lm_config *c, dm_price *out)
{
    for (size_t i = 0; i < c->n_base; i++)
        if (!dm_is_own_machine(c->api_base[i]))
            return false;
    *out = (dm_price){.known = true};
    return true;
}

/* ---- the table ----
 *
 * {"sources": {"openai": {"from": ADDRESS, "dated": "2026-07-24"}}, "prices": {"openai/gpt-5-mini":
 * {"prompt", "cached", "cache_write", "completion", "flex"}}}, by the job, DSPY_MPI_PRICES, beside
 * the program as it is installed, or in jobs/ above it as it is built. */

static bool find_table(const dm_lm_config *c, char *path, size_t room)
{
    static const char *const places[] = {"share/dspy-mpi/prices.json", "jobs/prices.json"};
    const char *given = c->prices ? c->prices : getenv("DSPY_MPI_PRICES");
    char program[4096];
    if (given && *given) {
        snprintf(path, room, "%s", given);
        return true;
    }
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    for (char *slash; (slash = strrchr(program, '/'));) {
        *slash = 0;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            snprintf(path, room, "%s/%s", program, places[i]);
            if (access(path, R_OK) == 0)
                return true;
        }
    }
    return false;
}

static double number(const dm_value *object, const char *key, double otherwise)
{
    const dm_value *v = dm_value_get(object, key);
    bool good = v && (v->kind == DM_INT || v->kind == DM_FLOAT) && v->number >= 0;
    return good ? v->number : otherwise;
}

/* "gpt-5-mini-2025-08-07" and "claude-haiku-4-5-20251001" cost what their names without the day do.
 */
static size_t without_day(const char *name, size_t n)
{
    static const char *const forms[] = {"-dddd-dd-dd", "-dddddddd"};
    for (size_t f = 0; f < 2; f++) {
        size_t k = strlen(forms[f]), i = 0;
        if (n <= k)
            continue;
        while (i < k && (forms[f][i] == 'd' ? isdigit((unsigned char)name[n - k + i])
                                            : name[n - k + i] == forms[f][i]))
            i++;
        if (i == k)
            return n - k;
    }
    return n;
}

static const dm_value *row_of(const dm_value *table, const char *model)
{
    const dm_value *prices = dm_value_get(table, "prices");
    const dm_value *row = dm_value_get(prices, model);
    size_t n = strlen(model);
    return row ? row : dm_value_get_str(prices, (dm_str){model, without_day(model, n)});
}

/* Once a provider and process: prices of long ago. */
static void say_age(const dm_lm_config *c, const dm_value *table, const char *path)
{
    static const dm_provider *said[16];
    const dm_value *source = dm_value_get(dm_value_get(table, "sources"), c->provider->name);
    const dm_value *dated = dm_value_get(source, "dated");
    struct tm t = {0};
    size_t i = 0;
    while (i < 16 && said[i] && said[i] != c->provider)
        i++;
    if (i == 16 || said[i] || !dated || dated->kind != DM_STRING ||
        !strptime(dated->text.p, "%Y-%m-%d", &t))
        return;
    double days = floor(difftime(time(NULL), timegm(&t)) / 86400);
    said[i] = c->provider;
    if (days > OLD_DAYS)
        dm_log(DM_WARN,
               "the prices of %s in %s are from %s, %.0f days ago: look at %s, and give lm.price "
               "or lm.prices if they have changed",
               c->provider->name, path, dated->text.p, days,
               dm_reply_word(dm_value_get(source, "from")));
}

bool dm_price_listed(const dm_lm_config *c, dm_price *out)
{
    char path[4200];
    dm_str text;
    bool known = false;
    if (!find_table(c, path, sizeof path))
        return false;
    dm_arena *a = dm_arena_new(65536);
    dm_error err = {DM_OK, ""};
    const dm_value *table =
        dm_read_file(a, path, MAX_TABLE, &text, &err) == DM_OK ? dm_json_read(a, text, &err) : NULL;
    const dm_value *row = row_of(table, c->model);
    if (!table)
        dm_log(DM_WARN, "the table of prices cannot be read: %s", err.text);
    if (row) {
        double prompt = number(row, "prompt", NAN), completion = number(row, "completion", NAN);
        *out = (dm_price){.known = !isnan(prompt) && !isnan(completion),
                          .prompt = prompt,
                          .cached = number(row, "cached", prompt),
                          .cache_write = number(row, "cache_write", prompt),
                          .completion = completion,
                          .flex = number(row, "flex", 1)};
        known = out->known;
        say_age(c, table, path);
    }
    dm_arena_free(a);
    return known;
}
