/* What is said of options: sentences made from the tables. */
#ifndef DM_CMD_OPTION_TEXT_H
#define DM_CMD_OPTION_TEXT_H

#include "json/param.h"

/* "help (default)"; without brackets where the table has no default. */
const char *dm_option_text(dm_arena *a, const dm_param *row);
/* Of a parameter of optimizers: what each means by it, and what stands for its value. */
const char *dm_parameter_text(dm_arena *a, const char *name, const char **value);
/* Appends the text in lines of at most 100 columns, each after `indent` blanks; the first line is
 * `at` columns long already. */
void dm_put_wrapped(dm_buf *b, size_t at, size_t indent, const char *text);

#endif
