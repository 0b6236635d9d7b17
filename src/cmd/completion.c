/* Completion for shells: commands, their options, topics. */
#include "cmd/help.h"
#include "cmd/topics.h"
#include "lm/config.h"

#include <string.h>

typedef void each_flag(void *user, const char *name, const dm_option *o, const char *help);

/* Options of a command, with a model's keys in place of "lm.*". */
static void each(dm_arena *a, unsigned command, each_flag *put, void *user)
{
    for (size_t i = 0; dm_option_at(i); i++) {
        const dm_option *o = dm_option_at(i);
        size_t n = strlen(o->name);
        if (!(o->commands & command))
            continue;
        if (o->name[n - 1] != '*')
            put(user, o->name, o, o->help);
        for (const dm_param *row = dm_lm_table; o->name[n - 1] == '*' && row->name; row++)
            put(user, dm_arena_printf(a, "%.*s%s", (int)(n - 1), o->name, row->name), o, row->help);
    }
}

static void put_word(void *user, const char *name, const dm_option *o, const char *help)
{
    (void)help;
    dm_buf_printf(user, " --%s%s", name, o->kind == DM_OPT_SWITCH ? "" : "=");
}

static void put_names(dm_buf *b, const dm_command *commands, size_t n, bool topics)
{
    for (size_t i = 0; i < n; i++)
        dm_buf_printf(b, "%s ", commands[i].name);
    dm_buf_text(b, topics ? "launch cache" : "launch cache help");
    for (const dm_topic *t = dm_topics; topics && t->name; t++)
        dm_buf_printf(b, " %s", t->name);
}

/* As a pattern of the shell's case. */
static void put_pattern(dm_buf *b, const dm_command *commands, size_t n, const char *between)
{
    for (size_t i = 0; i < n; i++)
        dm_buf_printf(b, "%s%s", i ? between : "", commands[i].name);
}

static void put_bash(dm_buf *b, dm_arena *a, const dm_command *commands, size_t n)
{
    dm_buf_text(b, "# bash completion of dspy-mpi, made by `dspy-mpi help --completion=bash`\n"
                   "_dspy_mpi() {\n"
                   "\tlocal cur=${COMP_LINE:0:COMP_POINT} command=\"\" words=\"\" word\n"
                   "\tcur=${cur##*[[:space:]]}\n"
                   "\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                   "\t\tcase $word in\n\t\t");
    put_pattern(b, commands, n, " | ");
    dm_buf_text(b, " | cache | help) command=${command:-$word} ;;\n\t\tesac\n\tdone\n"
                   "\tcase $command in\n\t\"\") words=\"");
    put_names(b, commands, n, false);
    dm_buf_text(b, "\" ;;\n\thelp) words=\"");
    put_names(b, commands, n, true);
    dm_buf_text(b, "\" ;;\n\tcache) words=\"stats prune --older-than --max-bytes\" ;;\n");
    for (size_t i = 0; i < n; i++) {
        dm_buf_printf(b, "\t%s) words=\"", commands[i].name);
        each(a, commands[i].bit, put_word, b);
        dm_buf_text(b, "\" ;;\n");
    }
    /* = parts words there: what is completed begins behind the last one */
    dm_buf_text(b, "\tesac\n"
                   "\tif [[ $cur == --*=* ]]; then\n"
                   "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"${cur#*=}\")\n"
                   "\telif [[ $cur == -* || -z $command || $command == help ]]; then\n"
                   "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                   "\telse\n"
                   "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                   "\tfi\n"
                   "\t[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
                   "\treturn 0\n"
                   "}\ncomplete -o filenames -F _dspy_mpi dspy-mpi\n");
}

/* Within single quotes; zsh reads brackets and colons in a description otherwise. */
static void put_quoted(dm_buf *b, const char *text, bool zsh)
{
    for (; *text; text++)
        if (*text == '\'')
            dm_buf_text(b, zsh ? "'\\''" : "\\'");
        else if (zsh && strchr("[]:\\", *text))
            dm_buf_printf(b, "\\%c", *text);
        else
            dm_buf_char(b, *text);
}

static void put_zsh_flag(void *user, const char *name, const dm_option *o, const char *help)
{
    dm_buf_printf(user, " \\\n\t\t\t'--%s%s[", name, o->kind == DM_OPT_SWITCH ? "" : "=");
    put_quoted(user, help, true);
    dm_buf_printf(user, "]%s'", o->kind == DM_OPT_SWITCH ? "" : ":value:_files");
}

static void put_zsh(dm_buf *b, dm_arena *a, const dm_command *commands, size_t n)
{
    dm_buf_text(b, "#compdef dspy-mpi\n# made by `dspy-mpi help --completion=zsh`\n"
                   "_dspy_mpi() {\n"
                   "\tlocal -a commands topics\n\tlocal i command=''\n"
                   "\tfor ((i = 2; i < CURRENT; i++)); do\n\t\tcase $words[i] in\n\t\t");
    put_pattern(b, commands, n, "|");
    dm_buf_text(b, "|cache|help) command=$words[i]; break ;;\n\t\tesac\n\tdone\n\tcommands=(");
    put_names(b, commands, n, false);
    dm_buf_text(b, ")\n\ttopics=(");
    put_names(b, commands, n, true);
    dm_buf_text(b, ")\n\tcase $command in\n\t'') compadd -a commands ;;\n"
                   "\thelp) compadd -a topics ;;\n\tcache) compadd stats prune ; _files ;;\n");
    for (size_t i = 0; i < n; i++) {
        dm_buf_printf(b, "\t%s)\n\t\t_arguments", commands[i].name);
        each(a, commands[i].bit, put_zsh_flag, b);
        dm_buf_text(b, " \\\n\t\t\t'*:file:_files' ;;\n");
    }
    dm_buf_text(b, "\tesac\n}\n"
                   "if [[ $funcstack[1] == _dspy-mpi ]]; then _dspy_mpi \"$@\"; else compdef "
                   "_dspy_mpi dspy-mpi; fi\n");
}

typedef struct fish {
    dm_buf *b;
    const char *command;
} fish;

static void put_fish_flag(void *user, const char *name, const dm_option *o, const char *help)
{
    fish *f = user;
    dm_buf_printf(f->b, "complete -c dspy-mpi -n '__fish_seen_subcommand_from %s' -l '%s'%s -d '",
                  f->command, name, o->kind == DM_OPT_SWITCH ? "" : " -r");
    put_quoted(f->b, help, false);
    dm_buf_text(f->b, "'\n");
}

static void put_fish(dm_buf *b, dm_arena *a, const dm_command *commands, size_t n)
{
    dm_buf_text(b, "# fish completion of dspy-mpi, made by `dspy-mpi help --completion=fish`\n"
                   "set -l commands ");
    put_names(b, commands, n, false);
    dm_buf_text(b, "\ncomplete -c dspy-mpi -f -n \"not __fish_seen_subcommand_from $commands\" -a "
                   "\"$commands\"\ncomplete -c dspy-mpi -f -n '__fish_seen_subcommand_from help' "
                   "-a '");
    put_names(b, commands, n, true);
    dm_buf_text(b, "'\n");
    for (size_t i = 0; i < n; i++) {
        fish f = {b, commands[i].name};
        each(a, commands[i].bit, put_fish_flag, &f);
    }
}

bool dm_put_completion(dm_buf *b, const char *shell, const dm_command *commands, size_t n)
{
    static const struct {
        const char *name;
        void (*put)(dm_buf *b, dm_arena *a, const dm_command *commands, size_t n);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            dm_arena *a = dm_arena_new(0);
            shells[i].put(b, a, commands, n);
            dm_arena_free(a);
            return true;
        }
    return false;
}
