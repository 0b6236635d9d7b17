/* What a server's error says, for people: servers agree on no form of it. */
#ifndef DM_LM_WORDS_H
#define DM_LM_WORDS_H

#include "json/value.h"

/* Appends the words of an error: a string, {"error": "..."}, {"error": {"message": "..."}},
 * {"detail": [{"loc": [...], "msg": "..."}]}, [{"error": {...}}], {"errors": [...]} and their
 * relatives; an object that has words in no place that is known is shown whole. Not masked yet. */
void dm_said_words(dm_buf *b, const dm_value *root);
/* The error's object: the first of a list of them. */
const dm_value *dm_said_object(const dm_value *root);

/* Whether a body is HTML or XML, by its content type (NULL: none) or its beginning. */
bool dm_is_page(dm_str body, const char *content_type);
#define DM_SAID_BY_WHOM "; a gateway or proxy in front?"
/* Of a body that is no JSON: its type, size, a page's title, and its beginning, masked; and the
 * question above. */
void dm_said_odd(dm_buf *b, dm_str body, const char *content_type);

#endif
