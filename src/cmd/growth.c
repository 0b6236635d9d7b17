#include "cmd/growth.h"
#include "base/clock.h"
#include "cmd/out.h"
#include "cmd/owned.h"
#include "cmd/trials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROW_SECONDS 2.0
#define GROW_SHARE   50 /* of the time between two goes to that of one */

/* Members are told apart by what they are given (optimizer/inside.h): "member 2". */
static dm_book *book_of(dm_growth *g, const dm_tried *t)
{
    size_t number = 0;
    for (size_t i = 0; i < g->n_books; i++)
        if (g->books[i].who == t->who)
            return &g->books[i];
    if (t->part) {
        if (strncmp(t->part, "member ", strlen("member ")) != 0)
            return NULL;
        char *end;
        number = strtoul(t->part + strlen("member "), &end, 10);
        if (*end)
            return NULL;
    }
    g->books = dm_room(g->books, g->n_books, &g->cap_books, sizeof *g->books);
    dm_book *b = &g->books[g->n_books++];
    *b = (dm_book){.who = t->who,
                   .job = t->part ? dm_job_of_member(g->arena, g->job, number, t->who) : *g->job};
    dm_buf_init(&b->text, DM_MAX_TEXT);
    if (t->part)
        (void)mkdir(dm_arena_printf(g->arena, "%s/members", g->job->out), 0777);
    if (t->part)
        (void)mkdir(b->job.out, 0777);
    (void)mkdir(dm_arena_printf(g->arena, "%s/candidates", b->job.out), 0777);
    return b;
}

static void put_candidate(dm_arena *a, const dm_book *b, const dm_tried_row *row, const dm_score *s)
{
    dm_buf text;
    char name[64];
    dm_error unsaid;
    snprintf(name, sizeof name, "candidates/%03zu.json", b->n);
    dm_buf_init(&text, DM_MAX_FILE);
    dm_program_text(&text, a, &b->job, row->what.candidate, dm_trial_scores(a, s));
    (void)!dm_out_put(&b->job, name, dm_buf_view(&text), &unsaid);
    dm_buf_free(&text);
}

/* What changes a line: more results, or being the best. */
static size_t known_of(const dm_tried_row *row)
{
    return 2 * (row->tally.n + row->tally.failed + row->tally.refused) + row->best + 1;
}

static void write_books(dm_growth *g, const dm_pool_stats *stats)
{
    dm_error unsaid;
    dm_arena *a = dm_arena_new(0);
    for (size_t i = 0; i < stats->n_tried; i++) {
        const dm_tried_row *row = stats->tried[i];
        dm_book *b = book_of(g, &row->what);
        if (i == g->n_seen) {
            g->seen = dm_room(g->seen, g->n_seen, &g->cap_seen, sizeof *g->seen);
            g->seen[g->n_seen++] = 0;
        }
        if (!b)
            continue;
        dm_score s = dm_score_of_tally(&row->tally);
        if (b->n == 0)
            dm_buf_text(&b->text, DM_TRIALS_HEADER);
        if (g->seen[i] != known_of(row)) {
            put_candidate(a, b, row, &s);
            dm_arena_reset(a);
            b->news = true;
        }
        g->seen[i] = known_of(row);
        dm_put_trial(&b->text, b->n++, row->what.name, &s, row->best, row->what.levels, NULL,
                     false);
    }
    for (size_t k = 0; k < g->n_books; k++) {
        dm_book *b = &g->books[k];
        if (b->news && !b->text.full)
            (void)!dm_out_put(&b->job, "trials.csv", dm_buf_view(&b->text), &unsaid);
        dm_buf_reset(&b->text);
        b->n = 0;
        b->news = false;
    }
    dm_arena_free(a);
}

void dm_growth_write(dm_growth *g, const dm_pool_stats *stats)
{
    double now = dm_now();
    if (stats->n_tried == 0 || (g->at > 0 && now - g->at < GROW_SECONDS) ||
        now - g->at < GROW_SHARE * g->took)
        return;
    write_books(g, stats);
    g->at = dm_now();
    g->took = g->at - now;
}

void dm_growth_free(dm_growth *g)
{
    for (size_t k = 0; k < g->n_books; k++)
        dm_buf_free(&g->books[k].text);
    free(g->books);
    free(g->seen);
}

void dm_growth_trim(dm_arena *a, const dm_job *job, size_t n)
{
    for (;; n++) {
        const char *path = dm_arena_printf(a, "%s/candidates/%03zu.json", job->out, n);
        if (access(path, F_OK) != 0 || dm_owned_file(path, "candidates/000.json", NULL) != DM_OK ||
            unlink(path) != 0)
            return;
    }
}
