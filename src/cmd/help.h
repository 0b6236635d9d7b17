/* What the program says of itself, made from the tables: help, manual page, completions. */
#ifndef DM_CMD_HELP_H
#define DM_CMD_HELP_H

#include "cmd/options.h"

#include <stddef.h>

typedef struct dm_command {
    const char *name;
    unsigned bit;
    int (*run)(dm_arena *a, const dm_command_line *line);
    bool ranks; /* may run on several */
    const char *usage, *help;
} dm_command;

/* `dspy-mpi help WORD` where the word is no command: a topic, or --man, --schema,
 * --completion=SHELL. Gives the exit code. */
int dm_help_on(const char *word, const dm_command *commands, size_t n);
/* The topics, a line each. */
void dm_help_topics(dm_buf *b);

/* manual.c, completion.c: appended to b; shell: "bash", "zsh", "fish", false: none of them. */
void dm_put_manual(dm_buf *b, const dm_command *commands, size_t n);
bool dm_put_completion(dm_buf *b, const char *shell, const dm_command *commands, size_t n);

#endif
