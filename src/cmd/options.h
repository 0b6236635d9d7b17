/* One table drives flags, the job file and --help (src/README.md §1); the optimizers' parameters in
 * it come from their own tables (optimizer/optimizer.h). */
#ifndef DM_CMD_OPTIONS_H
#define DM_CMD_OPTIONS_H

#include "json/get.h"

/* Which commands an option is for. */
#define DM_FOR_COMPILE  1u
#define DM_FOR_EVAL     2u
#define DM_FOR_RUN      4u
#define DM_FOR_SHOW     8u
#define DM_FOR_CHECK    16u
#define DM_FOR_PLAN     32u
#define DM_FOR_JOB      (DM_FOR_COMPILE | DM_FOR_EVAL | DM_FOR_CHECK | DM_FOR_PLAN | DM_FOR_ADVISE)
#define DM_FOR_STOP     64u
#define DM_FOR_ENSEMBLE 128u
#define DM_FOR_EXPORT   256u
#define DM_FOR_ADVISE   512u
#define DM_FOR_INIT     1024u
#define DM_FOR_STATUS   2048u
#define DM_FOR_REPORT   4096u
#define DM_FOR_DIFF     8192u
#define DM_FOR_ALL      (63u | DM_FOR_EXPORT | DM_FOR_ADVISE)

typedef enum dm_option_kind {
    DM_OPT_JOB,    /* a key of the job file, and a flag */
    DM_OPT_EITHER, /* the same; a number, or a path: one optimizer takes this, another that */
    DM_OPT_PATH, /* the same; a path: relative to the job file, or on the command line to the folder
                  */
    DM_OPT_FLAG, /* a flag alone, with a value */
    DM_OPT_SWITCH, /* a flag alone, without one */
    DM_OPT_LIST    /* a flag that may be given several times */
} dm_option_kind;

typedef struct dm_option {
    const char *name; /* "optimizer.max_rounds"; "lm.*" stands for all keys of a model */
    dm_option_kind kind;
    unsigned commands;
    const char *value; /* what stands for the value in --help; NULL: a switch */
    const char *help;  /* with the default */
} dm_option;

typedef struct dm_command_line {
    const char *job_file; /* the first word that is no flag; NULL: none */
    dm_value *keys;       /* dict of job keys given as flags, nested as in the job file */
    dm_value *flags;      /* dict of the other flags; switches are true, lists are lists */
    const char *
        *files; /* [n_files] all such words: one at the most, but for `ensemble` and `diff` */
    size_t n_files;
    const char **words; /* [n_words] what gave the keys: "--lm.temperature=0" */
    size_t n_words;
} dm_command_line;

/* Reads the words behind the command. DM_E_USAGE names the word and the nearest flag. */
dm_status dm_command_line_read(dm_arena *a, unsigned command, int argc, char **argv,
                               dm_command_line *out, dm_error *err) DM_MUST_USE;
/* The job file's dict with the flags' keys in their places (a string `lm` becomes an object where a
 * flag goes into it). Checks that all keys are in the table. */
dm_status dm_options_merge(dm_arena *a, const dm_value *job, const char *file, const dm_value *keys,
                           dm_value **out, dm_error *err) DM_MUST_USE;
/* Whether the command has the option of such a word. */
bool dm_option_is_for(unsigned command, const char *word);
void dm_options_help(dm_buf *b, unsigned command);
const dm_option *dm_option_at(size_t i);    /* NULL: there are no more */
bool dm_options_are_keys(unsigned command); /* whether it has options that are keys of a job too */

#endif
