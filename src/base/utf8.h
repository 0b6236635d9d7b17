/* UTF-8 and Python's idea of text (contract 0.1 to 0.3). */
#ifndef DM_BASE_UTF8_H
#define DM_BASE_UTF8_H

#include "base/buf.h"
#include "base/mem.h"

/* Offset of the first byte that is not valid UTF-8 (surrogates and overlong forms are invalid), or
 * s.n. */
size_t dm_utf8_valid(dm_str s);
/* Decodes one code point at *pos (s is valid UTF-8 or bytes decode to U+FFFD); advances *pos. */
uint32_t dm_utf8_next(dm_str s, size_t *pos);
void dm_utf8_put(dm_buf *b, uint32_t cp);
size_t dm_utf8_length(dm_str s);            /* in code points */
dm_str dm_utf8_head(dm_str s, size_t most); /* at most so many bytes, no character cut */

bool dm_py_isspace(uint32_t cp); /* str.isspace's set, contract 0.1 */
bool dm_py_isword(uint32_t cp);  /* \w of Python's re: isalnum() or '_' */
bool dm_is_of_word(uint32_t cp); /* a letter, a mark on one, or a digit */
uint32_t dm_lower(uint32_t cp);  /* of a character that is one in lower case too */
dm_str dm_py_strip(dm_str s);    /* str.strip() */
dm_str dm_py_lstrip(dm_str s);
dm_str dm_py_rstrip(dm_str s);
/* str.splitlines(): calls give for each line, without its end. */
bool dm_py_next_line(dm_str *rest, dm_str *line);
dm_str dm_py_cleandoc(dm_arena *a, dm_str s); /* inspect.cleandoc, contract 0.3 */
dm_str dm_py_lower(dm_arena *a, dm_str s); /* str.lower(), full case mapping where Python has one */
/* unicodedata.normalize("NFD") by utf8proc; s itself, not copied, where it is ASCII. */
dm_str dm_nfd(dm_arena *a, dm_str s);

/* Nearest of n names by edit distance, for "unknown key 'metrc', did you mean 'metric'?"; NULL if
 * none is near (more than a third of the letters differ). Case, "_", "-" and blanks do not count.
 * Where none is near, the only name that begins or ends with the word (3 letters at least), or that
 * the word begins with. */
const char *dm_nearest(const char *word, const char *const *names, size_t n);

#endif
