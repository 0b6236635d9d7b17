/* One's own metric as a program: JSON Lines to its stdin, JSON Lines from its stdout.
 *
 *     {"example": {...}, "prediction": {...}, "trace": null, "id": 7}
 *       -> {"id": 7, "score": 0.5} | {"id": 7, "error": "..."}
 *        | {"id": 7, "score": 0.5, "feedback": "what is wrong, and what would be right"}
 *
 * Each child is asked one question at a time. The id is a hash of the question: the same line in
 * each run, and nothing that a child can name before it was asked. An answer that names it belongs
 * to it, whatever else is said and when.
 *
 * An answer without an id could be a second one to the question before. So it is held, and the
 * child gets the first byte of the next question, whatever that will be ('{'). When it has read
 * that byte it has nothing more to say to the question, and what it did say has arrived: one answer
 * is the answer; two that differ are asked again of a fresh child. Only then the rest of the next
 * question goes out, and what was said in between was asked for by nobody: that child is ended.
 * (A program that reads ahead of its answers, in a thread of its own, has to repeat the id to be
 * safe from its own second answers.) The first question of a child is sent whole, so one that reads
 * blocks in place of lines gets on, too, with a new child for each question.
 *
 * Lines that are no answers go to the log; the end of what it wrote to stderr goes into an error.
 */
#include "metric/talk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"
#include "metric/inside.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAID       2000
#define LOOK_AT    1.0  /* s between looks at a child that says nothing: it may have died */
#define LOOK_IN    0.05 /* s between looks whether it has read */
#define AT_ONCE    ((size_t)64 << 10) /* bytes that are heard before somebody else's turn */
#define NOISE      20                 /* lines to a question, or after it, that go to the log */
#define MOST_NOISE 100000             /* such lines: more are a flood */
#define SHOWN      200                /* bytes of a line that are shown */

/* Examples in a row without an answer: of a metric that never gave one, and of one that did, for
 * each of its processes. Then it is asked no more. */
#define SILENT_EVER 3
#define SILENT_NOW  10

/* What an answer looks like, for those who have to write one. */
#define ANSWER_IS                                                                                  \
    "an answer is a line such as {\"id\": ..., \"score\": 0.5} or {\"id\": ..., \"error\": "       \
    "\"why\"}, with the id of the question"

/* ---- what a line says ---- */

/* The text of a "feedback"; NULL: there is none. */
static const char *feedback_of(dm_arena *a, const dm_value *v)
{
    const dm_value *f = dm_value_get(v, "feedback");
    return f && f->kind == DM_STRING && f->text.n ? dm_arena_string(a, f->text.p, f->text.n) : NULL;
}

static const char *words_of(dm_arena *a, dm_str error)
{
    char *own = dm_outside_end(error, error.n);
    const char *words = dm_arena_string(a, own, strlen(own));
    free(own);
    return words;
}

/* JSON, also where a byte of a text is no UTF-8 or the line has a NUL. */
static const dm_value *read_json(dm_arena *a, dm_str line)
{
    const dm_value *v = dm_json_read(a, line, NULL);
    if (v || line.n == 0)
        return v;
    char *own = dm_arena_string(a, line.p, line.n);
    dm_metric_mend(own, line.n);
    for (size_t i = 0; i < line.n; i++)
        if (own[i] == 0)
            own[i] = ' ';
    return dm_json_read(a, (dm_str){own, line.n}, NULL);
}

static int64_t id_of(const dm_value *v)
{
    if (!v || v->kind == DM_NULL)
        return -1;
    double number = v->kind == DM_INT || v->kind == DM_FLOAT ? v->number : 0;
    char text[24];
    if (v->kind == DM_STRING && v->text.n < sizeof text) {
        snprintf(text, sizeof text, "%.*s", DM_STR_ARG(v->text));
        number = strtod(text, NULL);
    }
    return number >= 1 && number < 0x1p53 ? (int64_t)number : 0;
}

static const char *no_score(dm_arena *a, const dm_value *score)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, score, DM_JSON_PYTHON);
    char *shown = dm_outside(dm_buf_view(&b), 60);
    const char *text =
        dm_arena_printf(a, "the metric gave the score %s, which is not a number from 0 to 1",
                        shown);
    free(shown);
    dm_buf_free(&b);
    return text;
}

bool dm_talk_read(dm_arena *a, dm_str line, dm_metric_score *s, int64_t *id)
{
    const dm_value *v = memchr(line.p, '{', line.n) ? read_json(a, line) : NULL;
    const dm_value *score = dm_value_get(v, "score"), *error = dm_value_get(v, "error");
    *s = (dm_metric_score){.score = NAN};
    *id = id_of(dm_value_get(v, "id"));
    if (error && error->kind != DM_NULL) {
        s->text = error->kind == DM_STRING ? words_of(a, error->text) : "the metric says error";
    } else if (score) {
        bool number = score->kind == DM_INT || score->kind == DM_FLOAT || score->kind == DM_BOOL;
        s->score = score->kind == DM_BOOL ? score->boolean : score->number;
        s->ok = number && s->score >= 0 && s->score <= 1;
        s->text = s->ok ? NULL : no_score(a, score);
        s->feedback = s->ok ? feedback_of(a, v) : NULL;
    } else {
        return false;
    }
    return true;
}

/* ---- a question's end ---- */

static void drop_held(dm_talker *c)
{
    free((char *)c->answer.text);
    free((char *)c->answer.feedback);
    c->answer = (dm_metric_score){.text = NULL};
    c->held = c->ends = false;
}

static void tell(dm_talker *c, const dm_metric_score *s)
{
    dm_question *q = c->asked;
    c->asked = NULL;
    q->done(q->user, s);
    free(q->line);
    free(q);
}

/* The child's own answer. */
static void finish(dm_metric_command *m, dm_talker *c, const dm_metric_score *s)
{
    c->answered = c->child.pid > 0;
    m->ever = true;
    m->silent = 0;
    c->old[c->n_old++ % DM_METRIC_OLD_IDS] = c->asked->id;
    tell(c, s);
}

static void end_child(dm_talker *c)
{
    dm_child_end(&c->child);
    drop_held(c);
    c->starts++;
    c->nudged = c->ready = c->begun = c->answered = false;
    c->n_old = c->n_noise = c->sent = c->heard = 0;
    dm_buf_reset(&c->line);
}

/* The answer that was held is the answer. */
static void release(dm_metric_command *m, dm_talker *c)
{
    dm_metric_score s = c->answer;
    bool ends = c->ends;
    c->answer = (dm_metric_score){.text = NULL};
    c->held = c->ends = false;
    if (ends)
        end_child(c);
    finish(m, c, &s);
    free((char *)s.text);
    free((char *)s.feedback);
}

/* Nothing came: neither an answer, nor, of one that never gave any, an end with words of it. */
static void count_silence(dm_metric_command *m, const char *text)
{
    if (++m->silent >= (m->ever ? SILENT_NOW * m->n : SILENT_EVER) && !*m->trouble)
        snprintf(m->trouble, sizeof m->trouble,
                 "the metric's program gave no answer to %zu examples in a row: %s", m->silent,
                 text);
}

typedef enum loss { ENDED, SILENT, SENSELESS } loss;

/* The child is lost with its question: what it said last goes into the error. */
static void fail(dm_metric_command *m, dm_talker *c, const char *what, loss how)
{
    char *said = dm_outside_end(dm_buf_view(&c->said), SAID);
    dm_buf text;
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_buf_printf(&text, "%s%s%s", what, *said ? "; its last words: " : "", said);
    free(said);
    dm_buf_reset(&c->said);
    end_child(c);
    if (how == SILENT || (how == ENDED && !m->ever))
        count_silence(m, text.data);
    tell(c, &(dm_metric_score){.text = text.data, .ended = how == ENDED});
    dm_buf_free(&text);
}

/* ---- sending ---- */

static void write_question(dm_talker *c)
{
    if (!c->asked || c->sent >= c->asked->n)
        return;
    ssize_t n = dm_child_write(&c->child, c->asked->line + c->sent, c->asked->n - c->sent);
    if (n > 0) /* else it is full, or gone: reading tells */
        c->sent += (size_t)n;
    if (c->sent == c->asked->n)
        c->nudged = c->ready = false;
}

static bool start_with(dm_metric_command *m, dm_talker *c)
{
    int rc = dm_child_start(&c->child, m->argv, m->folder);
    if (rc == 0) {
        c->due = dm_now() + m->timeout + m->start;
        write_question(c);
        return true;
    }
    char text[400];
    snprintf(text, sizeof text, "the metric's program %s cannot be started: %s", m->argv[1],
             strerror(rc));
    fail(m, c, text, ENDED);
    return false;
}

/* A fresh child gets the question of one that is lost. */
static void ask_again(dm_metric_command *m, dm_talker *c)
{
    c->asked->again = true;
    end_child(c);
    dm_buf_reset(&c->said);
    start_with(m, c);
}

/* ---- hearing ---- */

/* Keeps the newest words, and before them what a key may take up that they begin in the middle of:
 * it is masked when they are told. */
static void read_said(dm_talker *c)
{
    char bytes[16384];
    ssize_t n = 0;
    size_t most = SAID + dm_secret_reach(), heard = 0;
    while (c->child.err >= 0 && heard < AT_ONCE &&
           (n = read(c->child.err, bytes, sizeof bytes)) > 0) {
        heard += (size_t)n;
        dm_buf_add(&c->said, bytes, (size_t)n);
        if (c->said.len > 2 * most) {
            memmove(c->said.data, c->said.data + c->said.len - most, most);
            c->said.len = most;
        }
    }
    if (c->child.err >= 0 && heard < AT_ONCE && n == 0) { /* it closed its stderr */
        close(c->child.err);
        c->child.err = -1;
    }
}

/* Keeps for those who ask what is wrong with a line. Programs print what they like, so only one
 * that is JSON is worth a warning, and the first alone. */
static void note_odd(dm_metric_command *m, dm_str line)
{
    dm_arena *a = dm_arena_new(4096);
    bool warn = dm_json_read(a, line, NULL) != NULL;
    if (warn || !*m->odd) {
        char *words = dm_outside(line, SHOWN);
        snprintf(m->odd, sizeof m->odd, "it wrote `%s`, which is not an answer; " ANSWER_IS, words);
        free(words);
    }
    if (warn)
        dm_log(DM_WARN, "the metric's program: %s", m->odd);
    m->warned = warn;
    dm_arena_free(a);
}

static void hear_noise(dm_metric_command *m, dm_talker *c, dm_str line)
{
    c->n_noise++;
    if (c->n_noise > NOISE)
        return;
    if (!m->warned)
        note_odd(m, line);
    char *words = dm_outside(line, 500);
    dm_log(DM_INFO, "metric: %s%s", words,
           c->n_noise == NOISE ? " (what else it prints is not shown)" : "");
    free(words);
}

/* An answer that nobody asked for: what the child says from now on may be anybody's. */
static void hear_stray(dm_metric_command *m, dm_talker *c, const char *what)
{
    dm_log(m->strays++ ? DM_INFO : DM_WARN,
           "the metric's program %s; it is stopped and started again. Each answer has to repeat "
           "the id of its question",
           what);
    if (!c->asked) {
        end_child(c);
    } else if (!c->asked->again) {
        ask_again(m, c);
    } else {
        char text[300];
        snprintf(text, sizeof text, "the metric's program %s", what);
        fail(m, c, text, SENSELESS);
    }
}

static void hold(dm_metric_command *m, dm_talker *c, const dm_metric_score *s)
{
    c->held = true;
    c->answer = *s;
    c->answer.text = s->text ? dm_copy_string(s->text) : NULL;
    c->answer.feedback = s->feedback ? dm_copy_string(s->feedback) : NULL;
    if (c->nudged)
        return;
    c->nudged = true;
    c->look = dm_now() + LOOK_IN;
    if (!dm_child_nudge(&c->child, c->asked->line[0])) { /* it takes nothing more */
        c->ends = true;
        release(m, c);
    }
}

static bool same_answer(const dm_metric_score *a, const dm_metric_score *b)
{
    return a->ok == b->ok && (a->ok ? a->score == b->score : strcmp(a->text, b->text) == 0);
}

/* A program that reads blocks may take the byte that it got for a question, and say that it is
 * none: each child of it, after the same answer. */
static bool complains(const dm_talker *c, const dm_metric_score *s)
{
    return c->asked->again && c->answer.ok && !s->ok && dm_child_unread(&c->child) == 0;
}

/* An answer that names no question. */
static void hear_unnamed(dm_metric_command *m, dm_talker *c, const dm_metric_score *s)
{
    if (!c->asked || c->sent < c->asked->n || (!c->nudged && dm_child_unread(&c->child) > 0)) {
        hear_stray(m, c, "gave an answer that nobody had asked for");
    } else if (!c->held) {
        hold(m, c, s);
    } else if (same_answer(&c->answer, s) || complains(c, s)) {
        c->ends = true;
        release(m, c);
    } else {
        hear_stray(m, c, "gave two different answers to one question");
    }
}

static bool is_old(const dm_talker *c, int64_t id)
{
    for (size_t i = 0; i < c->n_old && i < DM_METRIC_OLD_IDS; i++)
        if (c->old[i] == id)
            return true;
    return false;
}

static void take_line(dm_metric_command *m, dm_talker *c, dm_str line)
{
    dm_arena *a = dm_arena_new(4096);
    dm_metric_score s;
    int64_t id;
    if (!dm_talk_read(a, line, &s, &id)) {
        hear_noise(m, c, line);
    } else if (id < 0) {
        hear_unnamed(m, c, &s);
    } else if (c->asked && id == c->asked->id && c->sent == c->asked->n) {
        drop_held(c);
        finish(m, c, &s);
    } else if (!is_old(c, id)) {
        hear_stray(m, c, "gave an answer with an id that it was never asked");
    }
    dm_arena_free(a);
}

/* What it said last may end it. */
static void take_lines(dm_metric_command *m, dm_talker *c)
{
    size_t from = 0;
    char *end;
    unsigned start = c->starts;
    while (from < c->line.len && (end = memchr(c->line.data + from, '\n', c->line.len - from))) {
        size_t n = (size_t)(end - c->line.data) - from;
        take_line(m, c, (dm_str){c->line.data + from, n});
        if (c->starts != start)
            return;
        from += n + 1;
    }
    if (from) {
        memmove(c->line.data, c->line.data + from, c->line.len - from);
        c->line.len -= from;
    }
}

/* False: it wrote the last that will come. */
static bool read_lines(dm_metric_command *m, dm_talker *c)
{
    char bytes[16384];
    ssize_t n = 0;
    size_t heard = 0;
    unsigned start = c->starts;
    while (c->child.out >= 0 && heard < AT_ONCE &&
           (n = read(c->child.out, bytes, sizeof bytes)) > 0) {
        heard += (size_t)n;
        c->heard += (size_t)n;
        size_t before = c->line.len;
        dm_buf_add(&c->line, bytes, (size_t)n);
        if (!memchr(bytes, '\n', (size_t)n) && c->line.len > before)
            continue;
        take_lines(m, c);
        if (c->starts != start)
            return true;
    }
    return c->child.out < 0 || heard >= AT_ONCE || n != 0;
}

/* A child that had answered others may have died of them: a fresh one is asked again, once. */
static void ended_early(dm_metric_command *m, dm_talker *c)
{
    unsigned start = c->starts;
    read_said(c);
    if (c->line.len > 0) /* its last line has no end */
        take_line(m, c, dm_buf_view(&c->line));
    if (c->starts != start)
        return;
    if (c->held)
        release(m, c);
    else if (c->asked && c->answered)
        ask_again(m, c);
    else if (c->asked)
        fail(m, c, "the metric's program ended before it answered", ENDED);
    if (!c->asked)
        end_child(c);
}

/* Whether it came for more without a further word: then what it said is its answer. */
static void see_ready(dm_metric_command *m, dm_talker *c)
{
    unsigned start = c->starts;
    if (!c->nudged || c->ready || dm_child_unread(&c->child) > 0)
        return;
    read_lines(m, c); /* what it wrote before it read */
    if (c->starts != start)
        return;
    c->ready = true;
    if (c->held)
        release(m, c);
}

/* What it has to load was loaded when it reads its first question: from then on it has the time
 * that each has. */
static void see_begun(const dm_metric_command *m, dm_talker *c)
{
    if (c->begun || !c->asked || c->sent < c->asked->n || dm_child_unread(&c->child) > 0)
        return;
    c->begun = true;
    c->due = fmin(c->due, dm_now() + m->timeout);
}

/* It would go on for the whole of its time, and take ours. */
static bool is_too_much(const dm_talker *c)
{
    return c->heard > DM_MAX_ANSWER || c->n_noise > MOST_NOISE;
}

static void too_much(dm_metric_command *m, dm_talker *c)
{
    const char *what = c->line.len > DM_MAX_ANSWER / 2
                           ? "the metric wrote a line that never ends"
                           : "the metric wrote more than a hundred thousand lines, or 16 MB, and "
                             "no answer";
    if (c->asked)
        fail(m, c, what, SENSELESS);
    else
        end_child(c);
}

static void hear_child(dm_metric_command *m, dm_talker *c)
{
    unsigned start = c->starts;
    c->reading = true;
    read_said(c);
    write_question(c);
    bool ended = !read_lines(m, c);
    if (c->starts == start) {
        see_ready(m, c);
        see_begun(m, c);
    }
    if (c->starts == start && !ended && dm_now() >= c->look) { /* a fork of it may hold the pipe */
        c->look = dm_now() + (c->nudged && !c->ready ? LOOK_IN : LOOK_AT);
        ended = dm_child_has_died(&c->child);
    }
    if (c->starts == start && is_too_much(c))
        too_much(m, c);
    else if (c->starts == start && ended)
        ended_early(m, c);
    c->reading = false;
}

/* ---- silence ---- */

static void time_is_over(dm_metric_command *m, dm_talker *c)
{
    const char *odd = m->ever ? "" : m->odd;
    char text[800];
    c->reading = true;
    if (c->held) { /* it has answered, and comes for no more */
        c->ends = true;
        release(m, c);
    } else {
        snprintf(text, sizeof text, "the metric did not answer within %.3g s%s%s", m->timeout,
                 *odd ? "; " : "", odd);
        fail(m, c, text, SILENT);
    }
    c->reading = false;
}

/* ---- all of them ---- */

static void ask_child(dm_metric_command *m, dm_talker *c)
{
    while (!c->asked && !c->reading && m->first) {
        c->reading = true; /* no deeper: the loop asks the next one */
        if (c->child.pid > 0)
            read_lines(m, c); /* nobody has asked for that */
        c->asked = m->first;
        m->first = c->asked->next;
        if (!m->first)
            m->end = &m->first;
        c->sent = c->child.pid > 0 && c->nudged ? 1 : 0;
        c->heard = c->n_noise = 0;
        c->look = dm_now() + LOOK_AT;
        c->due = dm_now() + m->timeout + (c->answered ? 0 : m->start);
        dm_buf_reset(&c->said);
        if (c->child.pid > 0)
            write_question(c);
        else
            start_with(m, c);
        c->reading = false;
    }
}

void dm_talk_ask(dm_metric_command *m)
{
    for (size_t i = 0; i < m->n; i++)
        ask_child(m, &m->children[i]);
}

void dm_talk_hear(dm_metric_command *m)
{
    if (m->endings.n > 0)
        dm_endings_clear(&m->endings, false);
    for (size_t i = 0; i < m->n; i++) {
        dm_talker *c = &m->children[i];
        if (c->child.pid > 0)
            hear_child(m, c);
        if (c->asked && dm_now() >= c->due)
            time_is_over(m, c);
        ask_child(m, c);
    }
}

double dm_talk_due(const dm_metric_command *m)
{
    double first = INFINITY;
    for (size_t i = 0; i < m->n; i++)
        if (m->children[i].asked)
            first = fmin(first, fmin(m->children[i].due, m->children[i].look));
    return first;
}

void dm_talk_end(dm_metric_command *m)
{
    for (size_t i = 0; i < m->n; i++)
        m->children[i].reading = true; /* no child is started any more */
    for (size_t i = 0; i < m->n; i++)
        end_child(&m->children[i]); /* all at once */
    dm_endings_clear(&m->endings, true);
    for (size_t i = 0; i < m->n; i++) {
        dm_talker *c = &m->children[i];
        if (c->asked)
            tell(c, &(dm_metric_score){.text = "the run has ended"});
        dm_buf_free(&c->line);
        dm_buf_free(&c->said);
    }
    while (m->first) {
        dm_question *q = m->first;
        m->first = q->next;
        q->done(q->user, &(dm_metric_score){.text = "the run has ended"});
        free(q->line);
        free(q);
    }
}
