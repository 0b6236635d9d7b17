/* dspy-mpi diff A B: what two programs have otherwise, which answers differ, and whether one is
 * better.
 *
 * A and B are OUT folders, whose predictions are compared example by example, or program files.
 * With --job both programs are run on the job's test set, or its validation set, instead. */
#include "base/show.h"
#include "cmd/asked.h"
#include "cmd/commands.h"
#include "cmd/program_file.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"
#include "report/story.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_NAMES 20 /* ids in a line */

typedef struct side {
    const char *given;
    bool folder;
    dm_story story;              /* of a folder */
    const dm_candidate *program; /* NULL: it cannot be read, or is an ensemble */
    const dm_ensemble *ensemble;
    const dm_value *made; /* what its file says of how it was made; NULL: nothing */
} side;

/* Examples that both were run on, in the order of B. */
typedef struct pairs {
    const char *name;   /* of the set */
    dm_result *r[2];    /* [n] */
    const char **id;    /* [n] */
    size_t n, left_out; /* left_out: examples that only one has */
} pairs;

/* ---- reading ---- */

static dm_status read_side(dm_arena *a, const char *path, const dm_program *program, side *s,
                           dm_error *err)
{
    struct stat st;
    *s = (side){.given = path};
    if (stat(path, &st) != 0)
        return dm_fail(err, DM_E_USAGE, "%s: %s", path, strerror(errno));
    s->folder = S_ISDIR(st.st_mode);
    dm_status read = s->folder ? dm_story_read(a, path, &s->story, err) : DM_OK;
    if (read == DM_OK)
        read = dm_program_file_any(a, path, program, &s->program, &s->ensemble, &s->made, err);
    if (read == DM_OK && s->ensemble)
        s->program = NULL;
    return read;
}

typedef struct found {
    dm_str id;
    size_t at;
    bool taken;
} found;

static int by_id(const void *a, const void *b)
{
    const found *x = a, *y = b;
    int by = dm_str_cmp(x->id, y->id);
    return by ? by : (x->at > y->at) - (x->at < y->at);
}

static bool same_example(const dm_story_example *a, const dm_story_example *b)
{
    return a->inputs && b->inputs ? dm_value_equal(a->inputs, b->inputs) : a->inputs == b->inputs;
}

/* The program's own results: of a run that kept the start, that is the compiled one too. */
static const dm_result *own(const dm_story_split *s, size_t i)
{
    return &s->results[s->examples[i].there[1]][i];
}

/* The first of that id with the same inputs that is not taken; SIZE_MAX: none. */
static size_t find(found *f, size_t n, const dm_story_split *x, const dm_story_example *e)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (dm_str_cmp(f[middle].id, e->id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < n && dm_str_eq(f[low].id, e->id); low++)
        if (!f[low].taken && same_example(&x->examples[f[low].at], e)) {
            f[low].taken = true;
            return f[low].at;
        }
    return SIZE_MAX;
}

static pairs pair_up(dm_arena *a, const dm_story_split *x, const dm_story_split *y)
{
    pairs p = {.name = y->name, .id = dm_arena_alloc_n(a, y->n + 1, sizeof *p.id)};
    found *f = dm_alloc_n(x->n + 1, sizeof *f);
    for (int i = 0; i < 2; i++)
        p.r[i] = dm_arena_alloc_n(a, y->n + 1, sizeof **p.r);
    for (size_t i = 0; i < x->n; i++)
        f[i] = (found){x->examples[i].id, i, false};
    qsort(f, x->n, sizeof *f, by_id);
    for (size_t i = 0; i < y->n; i++) {
        size_t at = find(f, x->n, x, &y->examples[i]);
        if (at == SIZE_MAX)
            continue;
        p.r[0][p.n] = *own(x, at);
        p.r[1][p.n] = *own(y, i);
        p.id[p.n++] = dm_arena_printf(a, "%.*s", DM_STR_ARG(y->examples[i].id));
    }
    p.left_out = x->n + y->n - 2 * p.n;
    free(f);
    return p;
}

/* ---- programs ---- */

/* Each line behind a mark. */
static void put_marked(dm_buf *b, char mark, dm_str text)
{
    dm_buf_printf(b, "  %c ", mark);
    for (size_t i = 0; i < text.n; i++) {
        dm_buf_char(b, text.p[i]);
        if (text.p[i] == '\n')
            dm_buf_printf(b, "  %c ", mark);
    }
    dm_buf_char(b, '\n');
}

static bool has_demo(const dm_candidate_part *p, const dm_value *demo)
{
    for (size_t i = 0; i < p->n_demos; i++)
        if (dm_value_equal(p->demos[i], demo))
            return true;
    return false;
}

static bool same_order(const dm_candidate_part *x, const dm_candidate_part *y)
{
    bool same = x->n_demos == y->n_demos;
    for (size_t i = 0; same && i < x->n_demos; i++)
        same = dm_value_equal(x->demos[i], y->demos[i]);
    return same;
}

static void put_json(dm_buf *b, char mark, const dm_value *v)
{
    dm_buf text;
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_json_write(&text, v, DM_JSON_PYTHON);
    put_marked(b, mark, dm_buf_view(&text));
    dm_buf_free(&text);
}

/* Whether anything differs. */
static bool put_part(dm_buf *b, dm_str name, const dm_candidate_part *x, const dm_candidate_part *y)
{
    bool same = dm_str_eq(x->instructions, y->instructions), differ = !same;
    size_t both = 0;
    if (!same) {
        dm_buf_printf(b, "instruction of %.*s\n", DM_STR_ARG(name));
        put_marked(b, '-', x->instructions);
        put_marked(b, '+', y->instructions);
    }
    for (size_t i = 0; i < x->n_demos; i++)
        both += has_demo(y, x->demos[i]);
    if (both < x->n_demos || both < y->n_demos || x->n_demos != y->n_demos) {
        differ = true;
        dm_buf_printf(b, "demonstrations of %.*s: %zu and %zu, %zu in both\n", DM_STR_ARG(name),
                      x->n_demos, y->n_demos, both);
        for (size_t i = 0; i < x->n_demos; i++)
            if (!has_demo(y, x->demos[i]))
                put_json(b, '-', x->demos[i]);
        for (size_t i = 0; i < y->n_demos; i++)
            if (!has_demo(x, y->demos[i]))
                put_json(b, '+', y->demos[i]);
    } else if (!same_order(x, y)) {
        differ = true;
        dm_buf_printf(b, "demonstrations of %.*s: the same in another order\n", DM_STR_ARG(name));
    }
    return differ;
}

/* A title, and what both have of it, where they differ. */
static bool put_two(dm_buf *b, const char *title, const dm_value *x, const dm_value *y)
{
    if (!x || !y || dm_value_equal(x, y))
        return false;
    dm_buf_printf(b, "%s\n", title);
    put_json(b, '-', x);
    put_json(b, '+', y);
    return true;
}

static bool put_modules(dm_buf *b, const dm_program *x, const dm_program *y)
{
    dm_arena *a = dm_arena_new(0);
    bool differ = !x->python && !y->python &&
                  put_two(b, "program", dm_program_write(a, x), dm_program_write(a, y));
    dm_arena_free(a);
    return differ;
}

static void put_programs(dm_buf *b, const side *x, const side *y)
{
    bool differ = false;
    if (!x->program || !y->program) {
        dm_buf_text(b, "programs   an ensemble is not compared text by text\n");
        return;
    }
    differ = put_modules(b, x->program->program, y->program->program);
    if (x->program->program->n != y->program->program->n) {
        dm_buf_printf(b, "programs   %zu and %zu predictors: their texts are not compared\n",
                      x->program->program->n, y->program->program->n);
        return;
    }
    for (size_t i = 0; i < x->program->program->n; i++)
        differ |= put_part(b, dm_predictor_label(&y->program->program->predictors[i]),
                           &x->program->parts[i], &y->program->parts[i]);
    if (!differ)
        dm_buf_text(b, "programs   the same instructions and demonstrations\n");
}

/* ---- scores ---- */

static void put_score(dm_buf *b, const char *who, const dm_score *s)
{
    if (s->n == 0)
        dm_buf_printf(b, "%s no answer", who);
    else
        dm_buf_printf(b, "%s %.1f %% (%.1f to %.1f)", who, 100 * s->score, 100 * s->low,
                      100 * s->high);
}

static void put_names(dm_buf *b, const pairs *p, int sign)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const dm_result *x = &p->r[0][i], *y = &p->r[1][i];
        if (!x->present || !y->present || sign * (y->score - x->score) <= 0)
            continue;
        if (n++ < MOST_NAMES)
            dm_show_printf(b, "%s%s", n == 1 ? ": " : ", ", p->id[i]);
    }
    if (n > MOST_NAMES)
        dm_buf_printf(b, " and %zu more", n - MOST_NAMES);
    dm_buf_char(b, '\n');
}

static dm_value *put_pairs(dm_buf *b, dm_arena *a, const pairs *p)
{
    dm_score x = dm_score_against(p->r[0], p->r[1], p->n),
             y = dm_score_against(p->r[1], p->r[0], p->n);
    dm_difference d = dm_paired(p->r[0], p->r[1], p->n);
    dm_value *v = dm_value_dict(a);
    dm_buf_printf(b, "%-10s %zu example%s", p->name, p->n, p->n == 1 ? "" : "s");
    if (p->left_out)
        dm_buf_printf(b, " (%zu that only one of them was run on are left out)", p->left_out);
    put_score(b, ": A", &x);
    put_score(b, ", B", &y);
    if (d.n) {
        const char *verdict = dm_verdict_text(&d);
        bool differs = strcmp(verdict, "better") == 0 || strcmp(verdict, "worse") == 0;
        dm_buf_printf(b, "; B - A %+.1f (%+.1f to %+.1f): %s%s", 100 * d.mean, 100 * d.low,
                      100 * d.high, differs ? "B is " : "", verdict);
        if (d.binary)
            dm_buf_printf(b, " (p = %.3f, exact McNemar test)", dm_sign_test(&d));
        dm_buf_printf(b, "\n           B better on %zu", d.up);
        put_names(b, p, 1);
        dm_buf_printf(b, "           A better on %zu", d.down);
        put_names(b, p, -1);
    } else {
        dm_buf_char(b, '\n');
    }
    dm_value_set(a, v, DM_STR("a"), dm_score_json(a, &x));
    dm_value_set(a, v, DM_STR("b"), dm_score_json(a, &y));
    dm_value_set(a, v, DM_STR("difference"), dm_difference_json(a, &d));
    return v;
}

static const dm_story_split *split_named(const side *s, const char *name)
{
    for (size_t i = 0; i < s->story.n_splits; i++)
        if (strcmp(s->story.splits[i].name, name) == 0)
            return &s->story.splits[i];
    return NULL;
}

/* Whose score on the validation set chose it, and so is too high. */
static void put_chosen(dm_buf *b, const side s[2])
{
    bool a = dm_story_chosen(&s[0].story), other = dm_story_chosen(&s[1].story);
    if (a || other)
        dm_buf_printf(b, "           (%s was chosen by its own validation score)\n",
                      a && other ? "each"
                      : a        ? "A"
                                 : "B");
}

/* What their folders keep. */
static void compare_kept(dm_buf *b, dm_arena *a, const side s[2], dm_value *last)
{
    static const char *const names[] = {"testset", "valset"};
    size_t compared = 0;
    const dm_value *m[2] = {dm_value_get(s[0].story.job, "metric"),
                            dm_value_get(s[1].story.job, "metric")};
    if (m[0] && m[1] && !dm_value_equal(m[0], m[1]))
        dm_buf_text(b, "metric     they were scored by different metrics: --job JOB.json scores "
                       "both by the same one\n");
    for (int i = 0; i < 2; i++) {
        const dm_story_split *x = split_named(&s[0], names[i]), *y = split_named(&s[1], names[i]);
        if (!x || !y)
            continue;
        pairs p = pair_up(a, x, y);
        if (p.n == 0)
            continue;
        compared++;
        dm_value_set(a, last, dm_str_of(names[i]), put_pairs(b, a, &p));
        if (i == 1)
            put_chosen(b, s);
    }
    if (!compared)
        dm_buf_text(b,
                    "scores     no example that both were run on: --job JOB.json runs both on the "
                    "job's test set\n");
}

/* ---- --job: both are run ---- */

static dm_status check_inputs(const dm_job *job, const side *s, const dm_program *p, dm_error *err)
{
    for (size_t i = 0; i < p->n_inputs && !p->python; i++) {
        bool there = false;
        for (size_t k = 0; k < job->setup.n_inputs; k++)
            there |= dm_str_eq(job->setup.inputs[k], p->inputs[i]);
        if (!there)
            return dm_fail(err, DM_E_DATA, "%s: it reads \"%.*s\", which is no input of %s",
                           s->given, DM_STR_ARG(p->inputs[i]), job->file);
    }
    return DM_OK;
}

static dm_status read_side_for(dm_arena *a, const dm_job *job, const char *path, side *s,
                               dm_error *err)
{
    dm_status st = read_side(a, path, job->program, s, err);
    if (st == DM_OK && s->program)
        st = check_inputs(job, s, s->program->program, err);
    for (size_t k = 0; st == DM_OK && s->ensemble && k < s->ensemble->n; k++)
        st = check_inputs(job, s, s->ensemble->members[k]->program, err);
    return st;
}

static dm_status ask_side(dm_arena *a, dm_session *s, dm_job *job, const side *x,
                          const dm_dataset *set, const dm_result **out, dm_error *err)
{
    dm_asking how = {.scored = true,
                     .strict = true,
                     .inputs = job->setup.inputs,
                     .n_inputs = job->setup.n_inputs};
    dm_asked asked;
    dm_str missing;
    dm_ensemble e;
    const dm_value *role = dm_value_get(x->made, "role");
    bool own = !x->ensemble && role && role->kind == DM_STRING; /* it asks a model of its own */
    job->student = x->program;
    job->ensemble = NULL;
    if (own) {
        const dm_ensemble_rule rule = {.lms = &role->text};
        dm_status st = dm_ensemble_new(a, x->given, &x->program, 1, &rule, &e, err);
        if (st != DM_OK)
            return st;
    }
    if (own || x->ensemble) {
        e = own ? e : *x->ensemble;
        if (!dm_ensemble_find_models(a, &e, &job->own, &missing))
            return dm_fail(err, DM_E_JOB, "%s asks a model that the job does not have: `lms.%.*s`",
                           x->given, DM_STR_ARG(missing));
        job->ensemble = &e;
    }
    return dm_ask(s, &how, set, out, &asked, err);
}

static dm_status run_both(dm_arena *a, dm_job *job, const side s[2], pairs *p, dm_value **last,
                          dm_error *err)
{
    dm_session session;
    const dm_dataset *set = job->testset ? job->testset : job->valset;
    const dm_result *r[2] = {NULL, NULL};
    if (!set || set->n == 0)
        return dm_fail(err, DM_E_JOB, "%s has neither a test set nor a validation set to run on",
                       job->file);
    dm_status st = dm_session_open(&session, job, err);
    if (st != DM_OK)
        return st;
    dm_pool_phase(session.pool, "diff", s[0].ensemble || s[1].ensemble ? 0 : 2 * set->n);
    for (int i = 0; i < 2 && st == DM_OK; i++)
        st = ask_side(a, &session, job, &s[i], set, &r[i], err);
    *p = (pairs){.name = job->testset ? "testset" : "valset",
                 .n = st == DM_OK ? set->n : 0,
                 .id = dm_arena_alloc_n(a, set->n, sizeof *p->id)};
    for (int i = 0; i < 2 && st == DM_OK; i++) { /* they end with the session */
        p->r[i] = dm_arena_alloc_n(a, set->n, sizeof **p->r);
        memcpy(p->r[i], r[i], set->n * sizeof **p->r);
    }
    for (size_t i = 0; i < set->n; i++)
        p->id[i] = set->examples[i].id;
    *last = dm_last_line(a, &session, st > 0 ? st : DM_OK);
    dm_session_close(&session);
    return st;
}

/* ---- the command ---- */

static dm_status compare(dm_arena *a, const dm_command_line *line, dm_buf *b, dm_value **last,
                         dm_error *err)
{
    const dm_value *file = dm_value_get(line->flags, "job");
    dm_command_line own_line = *line;
    dm_job job;
    side s[2];
    dm_status st = DM_OK;
    pairs p;
    if (file) {
        own_line.job_file = file->text.p;
        st = dm_job_read(a, &own_line, (dm_job_wants){.data = true, .metric = true, .model = true},
                         &job, err);
        if (st == DM_OK)
            st = dm_job_settle(a, &job, err);
    }
    for (int i = 0; i < 2 && st == DM_OK; i++)
        st = file ? read_side_for(a, &job, line->files[i], &s[i], err)
                  : read_side(a, line->files[i], NULL, &s[i], err);
    if (st != DM_OK)
        return st;
    *last = dm_value_dict(a);
    dm_show_printf(b, "A          %s\n", s[0].given);
    dm_show_printf(b, "B          %s\n", s[1].given);
    put_programs(b, &s[0], &s[1]);
    if (!file) {
        (void)put_two(b, "model", dm_value_get(s[0].made, "model"),
                      dm_value_get(s[1].made, "model"));
        compare_kept(b, a, s, *last);
        return DM_OK;
    }
    st = run_both(a, &job, s, &p, last, err);
    if (st == DM_OK)
        dm_value_set(a, *last, dm_str_of(p.name), put_pairs(b, a, &p));
    return st;
}

int dm_cmd_diff(dm_arena *a, const dm_command_line *line)
{
    dm_error err = {DM_OK, ""};
    dm_value *last = NULL;
    dm_buf b;
    if (line->n_files != 2) {
        (void)dm_fail(&err, DM_E_USAGE,
                      "diff compares two programs: dspy-mpi diff OUT1 OUT2, or two program files");
        return dm_say_failure(&err);
    }
    dm_buf_init(&b, DM_MAX_FILE);
    dm_status st = compare(a, line, &b, &last, &err);
    if (st == DM_OK && dm_value_get(line->flags, "json"))
        dm_print_json(last);
    else if (st == DM_OK)
        dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    return st == DM_OK ? 0 : dm_say_failure(&err);
}
