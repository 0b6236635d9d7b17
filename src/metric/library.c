/* One's own metric as a shared library (include/dspy_mpi/metric.h). */
#include "dspy_mpi/metric.h"
#include "json/json.h"
#include "metric/inside.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

#define SYMBOL "dspy_mpi_metric"

typedef struct dm_metric_library {
    void *handle;
    const dspy_mpi_metric_table *table;
    void *own; /* what its open gave */
    bool opened;
    char *name;
    dm_arena *scratch; /* of one score */
} dm_metric_library;

/* ---- reading values ---- */

static const dm_value *in(const dspy_mpi_value *v)
{
    return (const dm_value *)v;
}

static const dspy_mpi_value *out(const dm_value *v)
{
    return (const dspy_mpi_value *)v;
}

static dspy_mpi_kind kind_of(const dspy_mpi_value *v)
{
    static const dspy_mpi_kind kinds[] = {
        [DM_NULL] = DSPY_MPI_NULL,   [DM_BOOL] = DSPY_MPI_BOOL,     [DM_INT] = DSPY_MPI_INT,
        [DM_FLOAT] = DSPY_MPI_FLOAT, [DM_STRING] = DSPY_MPI_STRING, [DM_LIST] = DSPY_MPI_LIST,
        [DM_DICT] = DSPY_MPI_DICT,
    };
    return v ? kinds[in(v)->kind] : DSPY_MPI_NULL;
}

static const dspy_mpi_value *member(const dspy_mpi_value *dict, const char *name)
{
    return dict && name ? out(dm_value_get(in(dict), name)) : NULL;
}

static size_t size_of(const dspy_mpi_value *v)
{
    return v && (in(v)->kind == DM_LIST || in(v)->kind == DM_DICT) ? in(v)->n : 0;
}

static const dspy_mpi_value *item(const dspy_mpi_value *v, size_t i)
{
    if (i >= size_of(v))
        return NULL;
    return out(in(v)->kind == DM_LIST ? in(v)->items[i] : in(v)->members[i].value);
}

static const char *key(const dspy_mpi_value *v, size_t i)
{
    return i < size_of(v) && in(v)->kind == DM_DICT ? in(v)->members[i].key.p : NULL;
}

static const char *text(const dspy_mpi_value *v, size_t *n)
{
    bool has = v && (in(v)->kind == DM_STRING || in(v)->kind == DM_INT);
    if (n)
        *n = has ? in(v)->text.n : 0;
    return has ? in(v)->text.p : NULL;
}

static double number(const dspy_mpi_value *v)
{
    if (v && in(v)->kind == DM_BOOL)
        return in(v)->boolean;
    return v && (in(v)->kind == DM_INT || in(v)->kind == DM_FLOAT) ? in(v)->number : NAN;
}

static const dspy_mpi_values values = {
    .kind = kind_of,
    .member = member,
    .size = size_of,
    .item = item,
    .key = key,
    .text = text,
    .number = number,
};

/* ---- asking ---- */

/* What it wrote, up to size bytes; NULL: nothing. */
static const char *words_of(char *text, size_t size)
{
    text[size - 1] = 0;
    dm_metric_mend(text, strlen(text));
    return *text ? text : NULL;
}

static void submit(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user)
{
    dm_metric_library *l = self;
    dspy_mpi_score said = {.score = 0};
    dm_metric_score s = {.ok = false};
    dm_arena_reset(l->scratch);
    const dspy_mpi_question q = {
        .example = out(example),
        .prediction = out(prediction),
        .trace = trace ? out(dm_metric_trace(l->scratch, trace, n_steps, program)) : NULL,
    };
    s.ok = l->table->score(l->own, &values, &q, &said) == 0;
    const char *words = words_of(said.text, sizeof said.text);
    if (s.ok && !(said.score >= 0 && said.score <= 1)) {
        s.ok = false;
        words = dm_arena_printf(l->scratch, "%s gave the score %g, which is not from 0 to 1",
                                l->name, said.score);
    }
    if (s.ok)
        s.feedback = words;
    else
        s.text = words ? words : dm_arena_printf(l->scratch, "%s failed and said nothing", l->name);
    s.score = s.ok ? said.score : 0;
    done(user, &s);
}

static void free_library(void *self)
{
    dm_metric_library *l = self;
    if (l->opened && l->table->close)
        l->table->close(l->own);
    if (l->handle)
        dlclose(l->handle);
    dm_arena_free(l->scratch);
}

const dm_metric_ops dm_library_ops = {.submit = submit, .free = free_library};

/* ---- making ---- */

const dm_param dm_library_table[] = {
    {.name = "library",
     .kind = DM_PARAM_ANY,
     .value = "FILE",
     .help = "a shared library that exports dspy_mpi_metric (dspy_mpi/metric.h)",
     .absent = "required",
     .schema = "\"type\": \"string\""},
    {.name = "options",
     .kind = DM_PARAM_ANY,
     .value = "JSON",
     .help = "what the library is opened with",
     .absent = "none"},
    DM_METRIC_SOURCE_KEY,
    {.name = NULL},
};

char *dm_library_path(dm_arena *a, const char *job_file, dm_str name)
{
    const char *slash = job_file && name.n && name.p[0] != '/' ? strrchr(job_file, '/') : NULL;
    if (slash)
        return dm_arena_printf(a, "%.*s%.*s", (int)(slash - job_file) + 1, job_file,
                               DM_STR_ARG(name));
    /* Without a slash the loader would look in its own folders. */
    return dm_arena_printf(a, "%s%.*s", name.n && name.p[0] == '/' ? "" : "./", DM_STR_ARG(name));
}

static dm_status load(dm_arena *a, const dm_at *at, dm_metric_library *l, const char *path,
                      dm_error *err)
{
    l->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle)
        return dm_at_fail(at, err, "it cannot be loaded: %s", dlerror());
    const dspy_mpi_metric_table *(*find)(void);
    void *symbol = dlsym(l->handle, SYMBOL);
    if (!symbol)
        return dm_at_fail(at, err,
                          "%s exports no function " SYMBOL "; dspy_mpi/metric.h says what it gives",
                          path);
    memcpy(&find, &symbol, sizeof find);
    const dspy_mpi_metric_table *t = find();
    if (!t || !t->score)
        return dm_at_fail(at, err, SYMBOL " of %s gives no table with a score", path);
    if (t->version != DSPY_MPI_METRIC_VERSION || t->size < sizeof *t)
        return dm_at_fail(at, err,
                          "%s was built for version %u of dspy_mpi/metric.h, and this is version "
                          "%d; build it again",
                          path, t->version, DSPY_MPI_METRIC_VERSION);
    l->table = t;
    l->name = dm_arena_printf(a, "%s", t->name && *t->name ? t->name : "library");
    return DM_OK;
}

static dm_status open_table(const dm_at *at, dm_metric_library *l, dm_error *err)
{
    char why[DSPY_MPI_TEXT] = "";
    dm_at options = dm_at_key(at, "options");
    if (l->table->open && l->table->open(&l->own, &values, out(options.v), why, sizeof why) != 0) {
        const char *words = words_of(why, sizeof why);
        return dm_at_fail(options.v ? &options : at, err, "%s: %s", l->name,
                          words ? words : "its open failed and said nothing");
    }
    l->opened = true;
    return DM_OK;
}

dm_metric_library *dm_library_new(dm_arena *a, const dm_at *at, dm_error *err)
{
    dm_metric_library *l = dm_arena_alloc(a, sizeof *l);
    dm_str name = {NULL, 0};
    dm_at file = dm_at_key(at, "library");
    l->scratch = dm_arena_new(8192);
    dm_status st = dm_params_known(a, dm_library_table, at, NULL, err);
    if (st == DM_OK)
        st = dm_get_string(&file, &name, err);
    if (st == DM_OK && name.n == 0)
        st = dm_at_fail(&file, err, "the file's name is missing");
    if (st == DM_OK)
        st = load(a, &file, l, dm_library_path(a, at->file, name), err);
    if (st == DM_OK)
        st = open_table(at, l, err);
    if (st != DM_OK) {
        free_library(l);
        return NULL;
    }
    return l;
}

const char *dm_library_name(const dm_metric_library *l)
{
    return l->name;
}
