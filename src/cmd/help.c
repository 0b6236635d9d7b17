#include "cmd/help.h"
#include "base/utf8.h"
#include "cmd/job_schema.h"
#include "cmd/say.h"
#include "cmd/topics.h"

#include <string.h>

#define MOST_NAMES 64

void dm_help_topics(dm_buf *b)
{
    for (const dm_topic *t = dm_topics; t->name; t++)
        dm_buf_printf(b, "  dspy-mpi help %-39s %s\n", t->name, t->about);
}

static int no_topic(const char *word, const dm_command *commands, size_t n)
{
    const char *names[MOST_NAMES] = {"launch", "cache"}, *all = "";
    dm_arena *a = dm_arena_new(0);
    size_t k = 2;
    for (size_t i = 0; i < n && k < MOST_NAMES; i++)
        names[k++] = commands[i].name;
    for (const dm_topic *t = dm_topics; t->name && k < MOST_NAMES; t++) {
        names[k++] = t->name;
        all = dm_arena_printf(a, "%s%s%s", all, *all ? ", " : "", t->name);
    }
    const char *near = dm_nearest(word, names, k);
    if (near)
        dm_say(stderr, "dspy-mpi: there is no help on \"%s\"; did you mean %s?\n", word, near);
    else
        dm_say(stderr, "dspy-mpi: there is no help on \"%s\"; there is on each command and on %s\n",
               word, all);
    dm_arena_free(a);
    return 64;
}

static bool put(dm_help_page *page, const char *word, const dm_command *commands, size_t n)
{
    static const char shell[] = "--completion=";
    for (const dm_topic *t = dm_topics; t->name; t++)
        if (strcmp(word, t->name) == 0) {
            t->put(page);
            return true;
        }
    if (strcmp(word, "--man") == 0)
        dm_put_manual(page->out, commands, n);
    else if (strcmp(word, "--schema") == 0)
        dm_put_job_schema(page->out);
    else
        return strncmp(word, shell, sizeof shell - 1) == 0 &&
               dm_put_completion(page->out, word + sizeof shell - 1, commands, n);
    return true;
}

int dm_help_on(const char *word, const dm_command *commands, size_t n)
{
    dm_buf b;
    dm_help_page page = {.out = &b, .a = dm_arena_new(0)};
    dm_buf_init(&b, DM_MAX_TEXT);
    bool known = put(&page, word, commands, n);
    if (known)
        dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    dm_arena_free(page.a);
    return known ? 0 : no_topic(word, commands, n);
}
