/* Inside of json_repair: the place in the text, and the texts (repair_text.c) for the containers
 * (json_repair.c). */
#ifndef DM_JSON_REPAIR_H
#define DM_JSON_REPAIR_H

#include "json/value.h"

/* What the quotes from some place on say; kept, since texts ask again and again for the same. */
typedef struct dm_ahead {
    const char *from; /* holds for every place from here to the first quote */
    const char *quote, *second;
    bool key; /* "second" has a : behind it: the quote opens a key */
    char family;
} dm_ahead;

typedef struct dm_repair {
    dm_arena *arena;
    const char *p, *end;
    int depth, lists, dicts; /* lists, dicts: how many of each are open */
    dm_ahead seen;
} dm_repair;

/* Where a text stands. */
typedef enum dm_place { DM_TOP, DM_KEY, DM_MEMBER, DM_ITEM } dm_place;

static inline bool dm_repair_at_end(const dm_repair *s)
{
    return s->p >= s->end;
}

static inline char dm_repair_peek(const dm_repair *s)
{
    return dm_repair_at_end(s) ? 0 : *s->p;
}

static inline bool dm_repair_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool dm_repair_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 128;
}

static inline bool dm_repair_word_char(char c)
{
    return dm_repair_letter(c) || dm_repair_digit(c) || c == '_';
}

void dm_repair_skip_blank(dm_repair *s);   /* and comments */
bool dm_repair_skip_slashes(dm_repair *s); /* the comment with / that begins here: true */
const char *dm_repair_skip_spaces(const dm_repair *s, const char *p);
/* The length of the quote at p, 0 for none: ' " and the curly ones; family: what closes it. */
size_t dm_repair_quote_at(const dm_repair *s, const char *p, char *family);
const dm_ahead *dm_repair_look(dm_repair *s, const char *p, char family);
/* Whether what separates values, or the end, follows. */
bool dm_repair_separates(const dm_repair *s, const char *p);
dm_str dm_repair_keep(dm_repair *s, dm_buf *b); /* the text to the arena; frees b */

/* The text in quotes that begins here, and one without. */
dm_str dm_repair_quoted(dm_repair *s, dm_place where);
dm_str dm_repair_unquoted(dm_repair *s, dm_place where);

#endif
