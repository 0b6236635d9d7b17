/* A page of help, as plain text or as the source of a manual page (roff). */
#ifndef DM_CMD_HELP_PAGE_H
#define DM_CMD_HELP_PAGE_H

#include "json/param.h"

typedef struct dm_help_page {
    dm_buf *out;
    dm_arena *a;
    bool roff, within; /* within: titles are of a section's parts */
} dm_help_page;

void dm_help_title(dm_help_page *p, const char *text); /* of a section */
void dm_help_text(dm_help_page *p, const char *text);  /* a paragraph */
void dm_help_item(dm_help_page *p, const char *term, const char *text);
void dm_help_rows(dm_help_page *p, const char *prefix,
                  const dm_param *table); /* prefixNAME=VALUE */

#endif
