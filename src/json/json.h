/* Reading, writing and repairing JSON text. */
#ifndef DM_JSON_JSON_H
#define DM_JSON_JSON_H

#include "json/value.h"

#define DM_JSON_DEPTH  512   /* deeper nesting is an error (readers) */
#define DM_SET_MEMBERS 16384 /* a set with more is none: members are compared with each other */

/* Reads one JSON text, surrounding white space allowed, nothing after it. RFC 8259, and NaN,
 * Infinity, -Infinity as Python's json reads them. Invalid UTF-8, unpaired surrogate escapes and
 * depth beyond DM_JSON_DEPTH are errors. The error names line and column (in characters, from 1).
 */
dm_value *dm_json_read(dm_arena *a, dm_str text, dm_error *err) DM_MUST_USE;
/* The same as dm_json_read, for a file that people write: warns of the first key that comes twice
 * in an object, since only the last one counts. Keys that begin with "//" may. name: the file's. */
dm_value *dm_json_read_written(dm_arena *a, dm_str text, const char *name,
                               dm_error *err) DM_MUST_USE;
/* As dm_json_read, for one value at the start of *rest, which then begins behind it; white space is
 * skipped. line is what errors and values count from, and is advanced. For JSON Lines and arrays
 * item by item. */
dm_value *dm_json_read_next(dm_arena *a, dm_str *rest, uint32_t *line, dm_error *err) DM_MUST_USE;

/* What a server sent, read as Python's json.loads reads bytes: UTF-8, UTF-16 or UTF-32, with or
 * without a byte order mark. Surrogates that are not paired, which Python keeps and no UTF-8 can
 * hold, become U+FFFD; all other bytes that are no text are an error. Values know no column. */
dm_value *dm_json_read_bytes(dm_arena *a, dm_str bytes, dm_error *err) DM_MUST_USE;
/* The first half of it: *text is valid UTF-8, and bytes themselves where they are that already. */
dm_status dm_json_decode(dm_arena *a, dm_str bytes, dm_str *text, dm_error *err) DM_MUST_USE;

typedef enum dm_json_style {
    DM_JSON_COMPACT, /* {"a":1,"b":[2]}; floats as orjson writes them, nan and inf as null */
    DM_JSON_PYTHON,  /* json.dumps(ensure_ascii=False): {"a": 1, "b": [2]}; NaN, Infinity (contract
                        0.5) */
    DM_JSON_PYTHON_INDENT, /* the same with indent=2 */
    DM_JSON_ORJSON_INDENT  /* orjson with OPT_INDENT_2, as DSPy's save writes (contract 0.4, 5.1) */
} dm_json_style;

void dm_json_write(dm_buf *b, const dm_value *v, dm_json_style style);
void dm_json_write_string(dm_buf *b, dm_str s); /* with its quotes; the same in all styles */
dm_str dm_json_text(dm_arena *a, const dm_value *v, dm_json_style style); /* up to DM_MAX_TEXT */

/* SHA-256 of the value with sorted keys, compact: equal for equal content whatever the key order.
 */
dm_hash dm_json_hash(const dm_value *v);

/* json_repair.loads(text) (contract 3.4, tests/golden/data/json_repair.json): never fails; text
 * without any value gives the empty string. */
dm_value *dm_json_repair(dm_arena *a, dm_str text);
/* ast.literal_eval(text): NULL where Python would raise. Tuples and sets become lists. */
dm_value *dm_py_literal(dm_arena *a, dm_str text);

/* Puts "name:" before the "line:column: ..." of a reader's error; returns status, also in err. */
dm_status dm_json_error_in(dm_error *err, dm_status status, const char *name);

/* Reads a whole file (up to max bytes; a UTF-8 BOM is skipped). The bytes belong to the arena. */
dm_status dm_read_file(dm_arena *a, const char *path, size_t max, dm_str *text,
                       dm_error *err) DM_MUST_USE;
/* The JSON in a file; NULL: there is no such file, or no JSON in it. */
const dm_value *dm_json_read_file(dm_arena *a, const char *path, size_t max);
/* Writes path.part (path.part1 ... where that is taken), fsync, rename, fsync of the folder: the
 * file is the old one or the new one. */
dm_status dm_write_file(const char *path, dm_str text, dm_error *err) DM_MUST_USE;
/* The same without waiting for the disk: for what is renewed all the time. */
dm_status dm_put_file(const char *path, dm_str text, dm_error *err) DM_MUST_USE;

#endif
