/* What advise concludes, and how it says so. */
#include "base/clock.h"
#include "base/show.h"
#include "base/utf8.h"
#include "cmd/advise.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- words ---- */

static void put_mean(dm_buf *b, const dm_mean *m)
{
    dm_buf_printf(b, "%.1f %% (%.1f to %.1f) of %zu examples", 100 * m->mean, 100 * m->low,
                  100 * m->high, m->n);
}

static const char *taken(dm_advising *v, dm_buf *b)
{
    const char *s = dm_arena_string(v->arena, b->data ? b->data : "", b->len);
    dm_buf_free(b);
    return s;
}

static void add_reason(dm_advising *v, const char *text)
{
    if (v->n_reasons < DM_MOST_REASONS)
        v->reasons[v->n_reasons++] = text;
}

static int scored_set(const dm_advising *v)
{
    return v->data.sets[DM_VALIDATION].n ? DM_VALIDATION : DM_TRAIN;
}

static const char *gain_words(const dm_mean *g)
{
    return g->low > 0 ? "better" : g->high < 0 ? "worse" : "no difference outside the noise";
}

static void put_probe(dm_buf *b, const dm_probe *p)
{
    dm_buf_printf(b, "%+.1f points (%+.1f to %+.1f) of %zu: %s", 100 * p->gain.mean,
                  100 * p->gain.low, 100 * p->gain.high, p->gain.n, gain_words(&p->gain));
}

static const dm_probe *best_probe(const dm_advising *v)
{
    const dm_probe *best = NULL;
    for (size_t i = 0; i < DM_PROBES; i++)
        if (v->probes[i].name && v->probes[i].gain.n &&
            (!best || v->probes[i].gain.mean > best->gain.mean))
            best = &v->probes[i];
    return best;
}

/* ---- what it costs and brings ---- */

/* Money a use more than before; 0: no price. */
static double dearer(const dm_advising *v)
{
    return v->compile && !isnan(v->after.cost) ? v->after.cost - v->before.cost : 0;
}

/* The gain from which on so many uses have paid; NAN: not known. */
static double needed_gain(const dm_advising *v)
{
    if (!v->compile || !v->has_cost || isnan(v->uses) || isnan(v->value))
        return NAN;
    return (v->cost.expected / v->uses + dearer(v)) / v->value;
}

/* After how many uses a gain has paid; INFINITY: after none. */
static double uses_to_pay(const dm_advising *v, double gain)
{
    double each = gain * v->value - dearer(v);
    return each > 0 ? ceil(v->cost.expected / each) : INFINITY;
}

/* What a compilation is taken to gain: what the best probe did, else a number to reckon with. */
static double assumed_gain(const dm_advising *v, bool *probed)
{
    const dm_probe *best = best_probe(v);
    *probed = best && best->gain.mean > 0;
    return *probed ? best->gain.mean : .05;
}

/* ---- reasons ---- */

static void reason_start(dm_advising *v)
{
    dm_buf b;
    if (v->start.n == 0)
        return;
    dm_side side = dm_side_of(&v->start);
    dm_buf_init(&b, 1000);
    dm_buf_text(&b, "the start program scores ");
    put_mean(&b, &v->start);
    dm_buf_text(&b, side == DM_SIDE_BELOW     ? ": below 80 %"
                    : side == DM_SIDE_ABOVE   ? ": above 90 % already"
                    : side == DM_SIDE_BETWEEN ? ": between 80 and 90 %"
                                              : ": the interval reaches across 80 or 90 %");
    add_reason(v, taken(v, &b));
}

static void reason_answers(dm_advising *v)
{
    if (v->unread)
        add_reason(
            v, dm_arena_printf(v->arena,
                               "%zu of %zu answers of the start program do not parse: compiling "
                               "may fix that, and so may max_tokens or another adapter",
                               v->unread, v->asked));
    if (v->truncated)
        add_reason(
            v,
            dm_arena_printf(
                v->arena,
                "%zu of %zu answers of the start program are cut off at max_tokens: raise it first",
                v->truncated, v->asked));
    if (v->metric_failed)
        add_reason(v, dm_arena_printf(v->arena,
                                      "the metric fails on %zu of %zu answers of the start program",
                                      v->metric_failed, v->asked));
}

static void reason_probes(dm_advising *v)
{
    const dm_probe *best = best_probe(v);
    dm_buf b;
    if (!best)
        return;
    dm_buf_init(&b, 1000);
    dm_buf_printf(&b, "the best of the cheap probes, %s, gives ", best->name);
    put_probe(&b, best);
    add_reason(v, taken(v, &b));
}

static void reason_examples(dm_advising *v)
{
    if (v->n_train < DM_FEW_TRAIN)
        add_reason(
            v, dm_arena_printf(
                   v->arena,
                   "%zu distinct training example%s: %d is the minimum, 50 is better, 100 is good",
                   v->n_train, v->n_train == 1 ? "" : "s", DM_FEW_TRAIN));
}

/* Said where a compilation is advised: it would be for nothing. */
static void reason_validation(dm_advising *v)
{
    size_t n = v->data.sets[scored_set(v)].distinct;
    if (v->verdict == DM_ADVICE_WORTH_IT && isnan(dm_smallest_gain(n)))
        add_reason(v, dm_arena_printf(v->arena,
                                      "%zu different validation examples cannot show any gain: "
                                      "validate on more first, with valset_size or another valset",
                                      n));
}

static void reason_pays(dm_advising *v, double needed)
{
    if (!isnan(needed) && v->start.n && needed > 1 - v->start.low)
        add_reason(v, dm_arena_printf(v->arena,
                                      "%.0f uses would have to gain %.1f points each to pay for "
                                      "it: more than can still be gained",
                                      v->uses, 100 * needed));
}

/* What would turn unclear into something else. */
static void reason_decide(dm_advising *v)
{
    size_t n = dm_examples_to_decide(v->start.mean);
    double calls = ceil((double)n * (double)v->job->program->n * 8 / 5);
    if (v->start.n == 0) {
        add_reason(v, v->stats.usage.requests ? "no answer was received that counts"
                                              : "one example may take more calls than are allowed");
        return;
    }
    if (v->start.mean > DM_WORTH_BELOW && v->start.mean < DM_LITTLE_ABOVE)
        add_reason(v, "between 80 and 90 % it depends on what a point is worth: --uses and --value "
                      "work that out, and a probe with a certain gain would decide it too");
    else if (n && n <= v->available)
        add_reason(v,
                   dm_arena_printf(v->arena,
                                   "if the score stays the same, %zu examples decide: --calls %.0f",
                                   n, calls));
    else if (n)
        add_reason(v, dm_arena_printf(v->arena,
                                      "if the score stays the same, %zu examples decide, and the "
                                      "job has %zu: add validation examples",
                                      n, v->available));
}

static void give_reasons(dm_advising *v, double needed)
{
    if (v->metric_fault)
        add_reason(v, v->metric_fault);
    else if (v->metric.odd && v->metric.useless)
        add_reason(v, dm_arena_printf(v->arena, "metric: %s", v->metric.odd));
    for (size_t i = 0; i < v->data.n && v->data.list[i].fix; i++)
        add_reason(v, v->data.list[i].text);
    if (v->verdict == DM_ADVICE_FIX_FIRST)
        reason_answers(v);
    if (v->verdict == DM_ADVICE_MORE_EXAMPLES) {
        reason_examples(v);
        for (size_t i = 0; i < v->data.n; i++)
            if (strcmp(v->data.list[i].code, "duplicates") == 0)
                add_reason(v, v->data.list[i].text);
    }
    reason_pays(v, needed);
    reason_start(v);
    reason_probes(v);
    if (v->verdict != DM_ADVICE_MORE_EXAMPLES)
        reason_examples(v);
    reason_validation(v);
    if (v->verdict != DM_ADVICE_FIX_FIRST)
        reason_answers(v);
    if (v->verdict == DM_ADVICE_UNCLEAR)
        reason_decide(v);
}

/* ---- the command to type ---- */

/* The keys that were given as options hold for the next command too. */
static void put_options(dm_buf *b, const dm_advising *v, unsigned command, bool other_optimizer)
{
    for (size_t i = 0; i < v->line->n_words; i++) {
        const char *word = v->line->words[i];
        bool optimizer = strncmp(word, "--optimizer", 11) == 0,
             kept = command == DM_FOR_EVAL && strncmp(word, "--out=", 6) == 0;
        if (!dm_option_is_for(command, word) || (optimizer && other_optimizer) || kept)
            continue;
        dm_buf_char(b, ' ');
        dm_put_word(b, word);
    }
}

static void put_next(dm_buf *b, dm_advising *v)
{
    bool compile = v->verdict == DM_ADVICE_WORTH_IT;
    size_t n = dm_examples_to_decide(v->start.mean);
    bool again =
        v->verdict == DM_ADVICE_UNCLEAR && v->start.n && n > v->start.n && n <= v->available;
    bool none = v->verdict == DM_ADVICE_UNCLEAR && v->start.n == 0;
    bool small = v->verdict == DM_ADVICE_UNCLEAR && !again && !none;
    dm_buf_printf(b, "dspy-mpi %s ",
                  compile                          ? "compile"
                  : v->verdict == DM_ADVICE_LITTLE ? "eval"
                  : small                          ? "plan"
                                                   : "advise");
    dm_put_word(b, v->job->file);
    bool other = (compile || small) && v->compile && !v->own;
    put_options(b, v,
                compile                          ? DM_FOR_COMPILE
                : v->verdict == DM_ADVICE_LITTLE ? DM_FOR_EVAL
                : small                          ? DM_FOR_PLAN
                                                 : DM_FOR_ADVISE,
                other);
    if (other)
        dm_buf_printf(b, " --optimizer=%s", v->compile->optimizer->class->name);
    if (again)
        dm_buf_printf(b, " --calls=%.0f", ceil((double)(n * v->job->program->n) * 8 / 5));
    if (none)
        dm_buf_printf(b, " --calls=%d", DM_ADVISE_CALLS);
    if (v->verdict == DM_ADVICE_LITTLE && !v->job->testset && !v->job->valset)
        dm_buf_text(b, " --split=trainset");
}

void dm_advise_judge(dm_advising *v)
{
    dm_mean gains[DM_PROBES];
    dm_known k = {.n_train = v->n_train, .start = v->start, .gains = gains, .needed = NAN};
    dm_buf b;
    double needed = needed_gain(v);
    for (size_t i = 0; i < DM_PROBES; i++)
        if (v->probes[i].name)
            gains[k.n_gains++] = v->probes[i].gain;
    k.needed = needed;
    k.fix = v->metric_fault || v->metric.useless || 10 * v->truncated > v->asked ||
            10 * v->metric_failed > v->asked;
    for (size_t i = 0; i < v->data.n; i++)
        k.fix = k.fix || v->data.list[i].fix;
    v->verdict = dm_advise(&k);
    give_reasons(v, needed);
    dm_buf_init(&b, 8192);
    put_next(&b, v);
    v->next = taken(v, &b);
}

/* ---- for eyes ---- */

static bool is_reason(const dm_advising *v, const char *text)
{
    for (size_t i = 0; i < v->n_reasons; i++)
        if (v->reasons[i] == text)
            return true;
    return false;
}

static void text_data(dm_buf *b, const dm_advising *v)
{
    static const char *const names[] = {"train", "validation", "test"};
    dm_buf_text(b, "data      ");
    for (int s = 0; s < DM_SETS; s++)
        if (v->data.sets[s].n)
            dm_buf_printf(b, "%s%s %zu", s ? ", " : "", names[s], v->data.sets[s].n);
    dm_buf_text(b, " examples");
    if (v->job->valset_is_trainset)
        dm_buf_text(b, ", validated on the training set");
    for (size_t i = 0; i < v->data.n_classes && i < 4; i++) {
        const char *name = v->data.classes[i].name;
        dm_str head = dm_utf8_head(dm_str_of(*name ? name : "(empty)"), 40);
        dm_buf_printf(b, "%s %.*s %.0f %%", i ? "," : "; in training:", DM_STR_ARG(head),
                      100 * (double)v->data.classes[i].count[DM_TRAIN] /
                          (double)v->data.sets[DM_TRAIN].n);
    }
    if (v->data.n_classes > 4)
        dm_buf_printf(b, " and %zu more labels", v->data.n_classes - 4);
    dm_buf_char(b, '\n');
    for (size_t i = 0; i < v->data.n; i++)
        if (!is_reason(v, v->data.list[i].text))
            dm_buf_printf(b, "          %s\n", v->data.list[i].text);
}

static void text_metric(dm_buf *b, const dm_advising *v)
{
    dm_buf_text(b, "metric    ");
    if (v->metric_fault || v->metric.useless)
        dm_buf_text(b, "cannot be used as it is, see above");
    else if (v->metric.odd)
        dm_buf_text(b, v->metric.odd);
    else if (v->metric.pairs)
        dm_buf_printf(b,
                      "right answers score %.3g on average, wrong ones %.3g (%zu pairs); %zu "
                      "answers scored twice got the same score",
                      v->metric.right, v->metric.wrong, v->metric.pairs, v->metric.twice);
    else
        dm_buf_text(b, "the rows have no labels to try it on");
    dm_buf_char(b, '\n');
}

static void text_asked(dm_buf *b, const dm_advising *v)
{
    if (v->start.n == 0) {
        dm_buf_printf(b, "start     %s\n",
                      v->verdict == DM_ADVICE_FIX_FIRST
                          ? "no model was called: this has to be fixed first"
                          : "no answer was received");
        return;
    }
    dm_buf_text(b, "start     ");
    put_mean(b, &v->start);
    dm_buf_printf(b, ", in %zu look%s of at most %d; %zu failed, %zu cut\n", v->looks,
                  v->looks == 1 ? "" : "s", DM_LOOKS, v->failed, v->truncated);
    const char *name = "headroom ";
    for (size_t i = 0; i < DM_PROBES; i++)
        if (v->probes[i].name) {
            dm_buf_printf(b, "%s %-18s ", name, v->probes[i].name);
            put_probe(b, &v->probes[i]);
            dm_buf_char(b, '\n');
            name = "         ";
        }
}

static void text_gain(dm_buf *b, const dm_advising *v)
{
    const struct dm_set_facts *f = &v->data.sets[scored_set(v)];
    double least = dm_smallest_gain(f->distinct);
    if (isnan(least))
        dm_buf_printf(b, "to show   %zu validation examples cannot show any gain\n", f->distinct);
    else
        dm_buf_printf(b,
                      "to show   %zu validation examples can show a gain of %.2g points or more\n",
                      f->distinct, 100 * least);
}

static void put_money(dm_buf *b, double money)
{
    dm_buf_printf(b, money < .01 ? "$%.3g" : "$%.2f", money);
}

static void text_cost(dm_buf *b, const dm_advising *v)
{
    if (!v->compile)
        return;
    const char *name = v->compile->optimizer->class->name;
    dm_buf_printf(b, "optimizer %s%s\n", name,
                  v->own && v->job->optimizer ? ", which the job has, fits the data"
                                              : " fits the data");
    dm_buf_printf(b, "cost      compile: %.0f calls (%.0f to %.0f), ", v->calls.expected,
                  v->calls.low, v->calls.high);
    dm_print_count(b, round(v->tokens.expected));
    dm_buf_text(b, " tokens");
    if (v->has_cost) {
        dm_buf_text(b, ", ");
        put_money(b, v->cost.expected);
    }
    dm_buf_printf(b, "; a use: %.0f tokens now, up to %.0f with %zu demonstrations",
                  v->before.prompt + v->before.completion, v->after.prompt + v->after.completion,
                  v->after_demos);
    if (v->has_cost) {
        dm_buf_text(b, ", ");
        put_money(b, v->before.cost);
        dm_buf_text(b, " and ");
        put_money(b, v->after.cost);
    }
    dm_buf_char(b, '\n');
}

static void text_pays(dm_buf *b, const dm_advising *v)
{
    double needed = needed_gain(v);
    bool probed;
    double gain = assumed_gain(v, &probed);
    if (isnan(v->uses) && isnan(v->value))
        return;
    dm_buf_text(b, "pays      ");
    if (!v->compile || !v->has_cost) {
        dm_buf_text(b, "the model has no price here, or a price of 0: give lm.price\n");
        return;
    }
    if (!isnan(v->uses)) {
        dm_buf_printf(b, "each of %.0f uses carries ", v->uses);
        put_money(b, v->cost.expected / v->uses);
        dm_buf_text(b, " of the compilation and ");
        put_money(b, dearer(v));
        dm_buf_text(b, " more for itself");
    }
    if (!isnan(needed))
        dm_buf_printf(b, ": it pays off from %.2g points", 100 * needed);
    if (!isnan(v->value)) {
        double uses = uses_to_pay(v, gain);
        dm_buf_printf(b, "%s%.2g points, %s, ", isnan(v->uses) ? "" : "; ", 100 * gain,
                      probed ? "as the best probe came to" : "for example");
        if (isinf(uses))
            dm_buf_text(b, "never pay");
        else
            dm_buf_printf(b, "pay after %.0f uses", uses);
    }
    dm_buf_char(b, '\n');
}

void dm_advise_text(dm_buf *b, const dm_advising *v)
{
    dm_buf_printf(b, "%s", dm_advice_words(v->verdict));
    for (size_t i = 0; i < v->n_reasons; i++)
        dm_buf_printf(b, "%s%s\n", i ? "          " : ": ", v->reasons[i]);
    if (v->n_reasons == 0)
        dm_buf_char(b, '\n');
    if (v->job->stand_in && v->start.n)
        dm_buf_text(b, "          (a stand-in answered, not a language model)\n");
    text_data(b, v);
    text_metric(b, v);
    text_asked(b, v);
    text_gain(b, v);
    text_cost(b, v);
    text_pays(b, v);
    if (v->metric.explains)
        dm_buf_text(b, "          the metric says why it scores as it does: GEPA would read that "
                       "(--optimizer=gepa)\n");
    dm_buf_printf(b, "asked     %lld calls\nnext      %s\n", (long long)v->stats.usage.requests,
                  v->next);
}

/* ---- for scripts ---- */

static void set(dm_arena *a, dm_value *d, const char *key, const dm_value *v)
{
    dm_value_set(a, d, dm_str_of(key), v);
}

static void set_count(dm_arena *a, dm_value *d, const char *key, size_t n)
{
    set(a, d, key, dm_value_int(a, (int64_t)n));
}

static dm_value *json_data(const dm_advising *v)
{
    static const char *const names[] = {"trainset", "valset", "testset"};
    dm_arena *a = v->arena;
    dm_value *d = dm_value_dict(a);
    for (int s = 0; s < DM_SETS; s++) {
        const struct dm_set_facts *f = &v->data.sets[s];
        dm_value *one = dm_value_dict(a), *labels = dm_value_dict(a);
        if (f->n == 0)
            continue;
        set_count(a, one, "n", f->n);
        set_count(a, one, "distinct", f->distinct);
        set_count(a, one, "near_duplicates", f->similar);
        for (size_t i = 0; i < v->data.n_classes; i++)
            if (v->data.classes[i].count[s])
                set_count(a, labels, v->data.classes[i].name, v->data.classes[i].count[s]);
        if (labels->n)
            set(a, one, "labels", labels);
        set(a, d, names[s], one);
    }
    return d;
}

static dm_value *json_findings(const dm_advising *v)
{
    dm_arena *a = v->arena;
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < v->data.n; i++) {
        dm_value *d = dm_value_dict(a);
        set(a, d, "code", dm_value_text(a, v->data.list[i].code));
        set(a, d, "fix", dm_value_bool(a, v->data.list[i].fix));
        set(a, d, "text", dm_value_text(a, v->data.list[i].text));
        dm_value_append(a, list, d);
    }
    return list;
}

static dm_value *json_metric(const dm_advising *v)
{
    dm_arena *a = v->arena;
    dm_value *d = dm_value_dict(a);
    const char *odd = v->metric_fault ? v->metric_fault : v->metric.odd;
    set(a, d, "usable", dm_value_bool(a, !v->metric_fault && !v->metric.useless));
    set(a, d, "text", odd ? dm_value_text(a, odd) : dm_value_null(a));
    set(a, d, "right", dm_value_finite(a, v->metric.right));
    set(a, d, "wrong", dm_value_finite(a, v->metric.wrong));
    set_count(a, d, "pairs", v->metric.pairs);
    set_count(a, d, "scored_twice", v->metric.twice);
    set_count(a, d, "changed", v->metric.changed);
    return d;
}

static const dm_value *json_start(const dm_advising *v)
{
    dm_arena *a = v->arena;
    dm_value *d = dm_value_dict(a);
    if (v->start.n == 0)
        return dm_value_null(a);
    set(a, d, "score", dm_value_finite(a, v->start.mean));
    set(a, d, "low", dm_value_finite(a, v->start.low));
    set(a, d, "high", dm_value_finite(a, v->start.high));
    set_count(a, d, "n", v->start.n);
    set_count(a, d, "looks", v->looks);
    set_count(a, d, "failed", v->failed);
    set_count(a, d, "parse", v->unread);
    set_count(a, d, "truncated", v->truncated);
    return d;
}

static dm_value *json_probes(const dm_advising *v)
{
    dm_arena *a = v->arena;
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < DM_PROBES; i++) {
        const dm_probe *p = &v->probes[i];
        dm_value *d = dm_value_dict(a);
        if (!p->name)
            continue;
        set(a, d, "probe", dm_value_text(a, p->name));
        set_count(a, d, "n", p->gain.n);
        set(a, d, "start", dm_value_finite(a, p->start));
        set(a, d, "score", dm_value_finite(a, p->score));
        set(a, d, "gain", dm_value_finite(a, p->gain.mean));
        set(a, d, "low", dm_value_finite(a, p->gain.low));
        set(a, d, "high", dm_value_finite(a, p->gain.high));
        dm_value_append(a, list, d);
    }
    return list;
}

static dm_value *json_use(dm_arena *a, const dm_use *u)
{
    dm_value *d = dm_value_dict(a);
    set(a, d, "prompt", dm_value_finite(a, round(u->prompt)));
    set(a, d, "completion", dm_value_finite(a, round(u->completion)));
    set(a, d, "cost", dm_value_finite(a, u->cost));
    return d;
}

static const dm_value *json_range(dm_arena *a, const dm_range *r)
{
    dm_value *d = dm_value_dict(a);
    set(a, d, "low", dm_value_finite(a, r->low));
    set(a, d, "expected", dm_value_finite(a, r->expected));
    set(a, d, "high", dm_value_finite(a, r->high));
    return d;
}

static void json_cost(const dm_advising *v, dm_value *d)
{
    dm_arena *a = v->arena;
    dm_value *use = dm_value_dict(a), *compile = dm_value_dict(a);
    if (!v->compile) {
        set(a, d, "optimizer", dm_value_null(a));
        return;
    }
    set(a, d, "optimizer", dm_value_text(a, v->compile->optimizer->class->name));
    set(a, compile, "calls", json_range(a, &v->calls));
    set(a, compile, "tokens", json_range(a, &v->tokens));
    set(a, compile, "cost", v->has_cost ? json_range(a, &v->cost) : dm_value_null(a));
    set(a, d, "compile", compile);
    set(a, use, "before", json_use(a, &v->before));
    set(a, use, "after", json_use(a, &v->after));
    set_count(a, use, "demonstrations", v->after_demos);
    set(a, d, "use", use);
    if (isnan(v->value) || !v->has_cost)
        return;
    bool probed;
    double gain = assumed_gain(v, &probed);
    dm_value *pays = dm_value_dict(a);
    set(a, pays, "gain", dm_value_finite(a, gain));
    set(a, pays, "uses", dm_value_finite(a, uses_to_pay(v, gain)));
    set(a, pays, "gain_needed", dm_value_finite(a, needed_gain(v)));
    set(a, d, "pays", pays);
}

dm_value *dm_advise_json(const dm_advising *v)
{
    dm_arena *a = v->arena;
    dm_value *d = dm_value_dict(a), *tokens = dm_value_dict(a);
    const dm_usage *u = &v->stats.usage;
    set(a, d, "status", dm_value_text(a, "done"));
    set(a, d, "reason",
        v->capped ? dm_value_text(a, dm_status_name(v->stopped)) : dm_value_null(a));
    set(a, d, "verdict", dm_value_text(a, dm_advice_name(v->verdict)));
    dm_value *reasons = dm_value_list(a);
    for (size_t i = 0; i < v->n_reasons; i++)
        dm_value_append(a, reasons, dm_value_text(a, v->reasons[i]));
    set(a, d, "reasons", reasons);
    set(a, d, "data", json_data(v));
    set(a, d, "findings", json_findings(v));
    set(a, d, "metric", json_metric(v));
    set(a, d, "start", json_start(v));
    set(a, d, "headroom", json_probes(v));
    set(a, d, "smallest_gain",
        dm_value_finite(a, dm_smallest_gain(v->data.sets[scored_set(v)].distinct)));
    json_cost(v, d);
    set(a, d, "next", dm_value_text(a, v->next));
    set(a, d, "calls", dm_value_int(a, u->requests));
    set(a, tokens, "prompt", dm_value_int(a, u->prompt));
    set(a, tokens, "completion", dm_value_int(a, u->completion));
    set(a, d, "tokens", tokens);
    set(a, d, "cost", dm_value_finite(a, v->stats.cost));
    set(a, d, "seconds", dm_value_finite(a, round(1e3 * v->seconds) / 1e3));
    return d;
}
