/* The keys that this process knows, and the text that comes from outside.
 *
 * What a server, a metric's program or a file says may hold a key: as it is, or as it was echoed
 * (escaped for JSON or HTML, URL-encoded, in base64, also as part of "Bearer KEY" or "user:KEY").
 * The rule: mask first, then cut, then escape. Who shortens such text calls dm_outside, which does
 * the first two in this order; dm_fail and dm_log mask what they are given before they cut it.
 *
 * A key may be short, or a word ("none", "EMPTY"). How far it is masked depends on what is lost if
 * an ordinary word is taken for it, see dm_mask_level. */
#ifndef DM_BASE_SECRET_H
#define DM_BASE_SECRET_H

#include "base/buf.h"

typedef enum dm_mask_level {
    DM_MASK_ALL,    /* text from outside: every key; one of 1 or 2 bytes where it stands alone */
    DM_MASK_LINES,  /* our own sentences: keys of 8 bytes and more */
    DM_MASK_ANSWERS /* what a model answers, which is content: keys that no answer holds by chance:
                       of 8 bytes and more with a digit among them, or of 16 */
} dm_mask_level;

/* Known as a secret from now on, as long as the process. A variable of the environment that holds
 * it is removed as dm_secret_env does, whatever its name: one that is the key (of
 * DM_MASK_ANSWERS), or that has it as a part (16 bytes or more). */
void dm_secret_add(dm_str secret);

/* The value that the variable had when it was first asked for; NULL: there was none. From then on
 * it is here only: its bytes are overwritten where they lie (/proc/PID/environ shows these), it is
 * unset, and what it holds but for blanks around is a secret. Before threads and children start. */
const char *dm_secret_env(const char *name);
/* The value that was taken out of the environment; NULL: none was. */
const char *dm_secret_taken(const char *name);
/* Overwrites every variable of this process and unsets it: for a child that needs none. */
void dm_secret_wipe_env(void);

/* Without line ends, blanks and byte order marks at both ends. */
dm_str dm_secret_trim(dm_str s);

bool dm_secret_in(dm_str text, dm_mask_level level);
/* Appends the text with *** in place of each secret. */
void dm_mask(dm_buf *out, dm_str text, dm_mask_level level);

/* Text from outside as it may be shown and kept: masked, shown in one line (base/show.h), at most
 * so many bytes ("..." at its end where it was longer). The caller frees it. */
char *dm_outside(dm_str text, size_t most);
/* The same for a program's last words: its lines stay, and of a longer text the end is given. The
 * text may begin in the middle of a key, if the first dm_secret_reach() bytes are more than most.
 */
char *dm_outside_end(dm_str text, size_t most);
/* Bytes that a secret takes up at the most, in any form that is looked for. */
size_t dm_secret_reach(void);

#endif
