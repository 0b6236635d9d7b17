#include "report/story.h"
#include "data/csv.h"
#include "json/json.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_LABELS 24 /* different values of a label that is a class */

double dm_story_number(const dm_value *v, const char *key)
{
    const dm_value *n = dm_value_get(v, key);
    return n && (n->kind == DM_FLOAT || n->kind == DM_INT) ? n->number : NAN;
}

const char *dm_story_text(const dm_value *v, const char *key)
{
    const dm_value *t = dm_value_get(v, key);
    return t && t->kind == DM_STRING ? t->text.p : "";
}

static size_t count_at(const dm_value *v, const char *key)
{
    double n = dm_story_number(v, key);
    return n > 0 ? (size_t)n : 0;
}

/* .p NULL: it is not there. */
static dm_str file_of(const dm_story *s, const char *name, dm_error *err)
{
    dm_str text = {NULL, 0};
    const char *path = dm_arena_printf(s->arena, "%s/%s", s->out, name);
    if (access(path, F_OK) != 0)
        return text;
    if (dm_read_file(s->arena, path, DM_MAX_FILE, &text, err) != DM_OK)
        text.p = NULL;
    return text;
}

static const dm_value *json_of(const dm_story *s, const char *name)
{
    const dm_value *v =
        dm_json_read_file(s->arena, dm_arena_printf(s->arena, "%s/%s", s->out, name), DM_MAX_FILE);
    return v && v->kind == DM_DICT ? v : NULL;
}

/* ---- predictions.jsonl ---- */

static dm_score score_of_json(const dm_value *v)
{
    return (dm_score){.score = dm_story_number(v, "score"),
                      .low = dm_story_number(v, "low"),
                      .high = dm_story_number(v, "high"),
                      .corrected = dm_story_number(v, "corrected"),
                      .n = count_at(v, "n"),
                      .failed = count_at(v, "failed"),
                      .fallback = count_at(v, "fallback"),
                      .truncated = count_at(v, "truncated"),
                      .parse = count_at(v, "parse"),
                      .refused = count_at(v, "refused")};
}

typedef struct lines { /* of one split and program */
    const dm_value **v;
    size_t n, cap;
} lines;

static const dm_value *dict_or_null(const dm_value *v)
{
    return v && v->kind == DM_DICT ? v : NULL;
}

static void take_line(dm_story_split *s, size_t i, int which, const dm_value *v, dm_arena *a)
{
    dm_story_example *e = &s->examples[i];
    const dm_value *id = dm_value_get(v, "id"), *score = dm_value_get(v, "score");
    const char *error = dm_story_text(v, "error");
    bool scored = score && (score->kind == DM_FLOAT || score->kind == DM_INT);
    if (id && (id->kind == DM_STRING || id->kind == DM_INT))
        e->id = id->text;
    e->inputs = dict_or_null(dm_value_get(v, "inputs"));
    e->label = dict_or_null(dm_value_get(v, "label"));
    e->outputs[which] = dict_or_null(dm_value_get(v, "outputs"));
    e->error[which] = *error ? dm_arena_printf(a, "%s", error) : NULL;
    e->there[which] = true;
    s->results[which][i].score = scored ? score->number : NAN;
    s->results[which][i].present = scored;
    s->graded |= scored && score->number > 0 && score->number < 1;
}

/* The column that the last output is compared with: of the same name, else the only one. */
static dm_str label_of(const dm_story_split *s)
{
    dm_str name = {NULL, 0};
    for (size_t i = 0; i < s->n; i++) {
        const dm_value *label = s->examples[i].label, *out = s->examples[i].outputs[0];
        out = out ? out : s->examples[i].outputs[1];
        if (!label || !out)
            continue;
        for (size_t k = 0; k < out->n; k++)
            if (dm_value_get_str(label, out->members[k].key))
                name = out->members[k].key;
        if (!name.p && label->n == 1)
            name = label->members[0].key;
        return name;
    }
    return name;
}

static void take_split(dm_story *s, const char *name, const lines of[2])
{
    size_t n = of[0].n > of[1].n ? of[0].n : of[1].n;
    dm_story_split *p = &s->splits[s->n_splits];
    if (n == 0)
        return;
    s->n_splits++;
    *p = (dm_story_split){.name = name,
                          .n = n,
                          .examples = dm_arena_alloc_n(s->arena, n, sizeof *p->examples),
                          .two = of[0].n == n && of[1].n == n};
    for (int which = 0; which < 2; which++) {
        p->results[which] = dm_arena_alloc_n(s->arena, n, sizeof **p->results);
        for (size_t i = 0; i < of[which].n; i++)
            take_line(p, i, which, of[which].v[i], s->arena);
        const dm_value *said =
            dm_value_get(dm_value_get(s->last, name), which ? "compiled" : "baseline");
        p->score[which] = said ? score_of_json(said) : dm_score_of(p->results[which], n);
    }
    p->diff = dm_paired(p->results[0], p->results[1], n);
    p->label = label_of(p);
}

static dm_status read_predictions(dm_story *s, dm_error *err)
{
    static const char *const names[2] = {"testset", "valset"};
    lines of[2][2] = {{{NULL, 0, 0}, {NULL, 0, 0}}, {{NULL, 0, 0}, {NULL, 0, 0}}};
    uint32_t line = 1;
    dm_error local = {DM_OK, ""};
    dm_str rest = file_of(s, "predictions.jsonl", &local);
    dm_status st = local.status == DM_OK ? DM_OK : dm_fail(err, local.status, "%s", local.text);
    while (rest.p && rest.n && st == DM_OK) {
        const dm_value *v = dm_json_read_next(s->arena, &rest, &line, err);
        if (!v) {
            st = rest.n ? dm_json_error_in(err, DM_E_DATA, "predictions.jsonl") : DM_OK;
            break;
        }
        for (int i = 0; i < 2; i++)
            if (strcmp(dm_story_text(v, "split"), names[i]) == 0) {
                lines *l = &of[i][strcmp(dm_story_text(v, "program"), "start") != 0];
                l->v = dm_room(l->v, l->n, &l->cap, sizeof *l->v);
                l->v[l->n++] = v;
            }
        while (rest.n && (*rest.p == '\n' || *rest.p == '\r' || *rest.p == ' '))
            rest.p++, rest.n--;
    }
    for (int i = 0; i < 2; i++) {
        if (st == DM_OK)
            take_split(s, names[i], of[i]);
        free(of[i][0].v);
        free(of[i][1].v);
    }
    return st;
}

/* ---- trials.csv ---- */

static dm_str cell(const dm_value *row, const char *name)
{
    return dm_value_text_of(dm_value_get(row, name));
}

static double number_cell(const dm_value *row, const char *name)
{
    dm_str text = cell(row, name);
    return text.n ? strtod(text.p, NULL) : NAN;
}

static size_t count_cell(const dm_value *row, const char *name)
{
    double n = number_cell(row, name);
    return n > 0 ? (size_t)n : 0;
}

static dm_status read_trials(dm_story *s, dm_error *err)
{
    dm_str text = file_of(s, "trials.csv", NULL);
    dm_value *rows = dm_value_list(s->arena);
    const dm_value *more = dm_value_get(s->evidence, "candidates");
    if (!text.p)
        return DM_OK;
    dm_status st = dm_csv_parse(s->arena, "trials.csv", text, ',', rows, err);
    if (st != DM_OK)
        return st;
    s->n_trials = rows->n;
    s->trials = dm_arena_alloc_n(s->arena, rows->n, sizeof *s->trials);
    for (size_t i = 0; i < rows->n; i++) {
        const dm_value *r = rows->items[i],
                       *m = more && more->kind == DM_LIST && i < more->n ? more->items[i] : NULL;
        s->trials[i] =
            (dm_story_trial){.name = cell(r, "name"),
                             .file = cell(r, "file"),
                             .instructions = cell(r, "instructions"),
                             .demos = cell(r, "demos"),
                             .best = dm_str_is(cell(r, "best"), "1"),
                             .front = dm_str_is(cell(r, "front"), "1"),
                             .score = {number_cell(r, "score"), number_cell(r, "low"),
                                       number_cell(r, "high"), NAN, count_cell(r, "n"),
                                       count_cell(r, "failed"), count_cell(r, "fallback"),
                                       count_cell(r, "truncated"), count_cell(r, "parse"), 0},
                             .calls = dm_story_number(m, "calls"),
                             .seconds = dm_story_number(m, "seconds"),
                             .estimate = dm_story_number(m, "estimate"),
                             .tokens = dm_story_number(m, "prompt_tokens")};
    }
    return DM_OK;
}

/* ---- programs ---- */

static void read_programs(dm_story *s)
{
    dm_str text = file_of(s, "program.json", NULL);
    const dm_value *start = dm_value_get(s->evidence, "start"), *made;
    dm_error unsaid;
    if (!text.p)
        return;
    dm_hash hash = dm_hash_of(text.p, text.n);
    dm_hash_hex(&hash, s->sum);
    const dm_value *file = dm_json_read(s->arena, text, NULL);
    if (!file || dm_ensemble_is(file, NULL) ||
        dm_state_read(s->arena, text, "program.json", NULL, &s->compiled, &made, &unsaid) != DM_OK)
        return;
    dm_at at = dm_at_root(start, "evidence.json", DM_E_DATA);
    if (start)
        s->start = dm_candidate_read(s->arena, s->compiled->program, &at, &unsaid);
}

static const char *name_of_folder(dm_arena *a, const char *out)
{
    char real[PATH_MAX];
    const char *path = realpath(out, real) ? real : out, *slash = strrchr(path, '/');
    return dm_arena_printf(a, "%s", slash && slash[1] ? slash + 1 : path);
}

bool dm_story_chosen(const dm_story *s)
{
    return s->n_trials > 1 || s->committee;
}

dm_status dm_story_read(dm_arena *a, const char *out, dm_story *s, dm_error *err)
{
    *s = (dm_story){.arena = a, .out = out, .title = name_of_folder(a, out)};
    if (access(out, F_OK) != 0)
        return dm_fail(err, DM_E_USAGE, "%s: %s", out, strerror(errno));
    s->status = json_of(s, "status.json");
    if (!s->status || !dm_value_get(s->status, "job"))
        return dm_fail(err, DM_E_USAGE,
                       "%s has no status.json of a compile: give the folder OUT of one", out);
    s->job = dm_value_get(s->status, "job");
    s->last = dm_value_get(s->status, "last");
    s->progress = dm_value_get(s->status, "progress");
    s->evidence = json_of(s, "evidence.json");
    s->committee = dm_value_get(s->evidence, "ensemble");
    dm_status st = read_predictions(s, err);
    if (st == DM_OK)
        st = read_trials(s, err);
    if (st == DM_OK)
        read_programs(s);
    return st;
}
