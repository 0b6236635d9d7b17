/* Examples and data sets: JSON Lines, a JSON array of objects, tables of pandas (shapes.h), or CSV
 * with a header row; packed ones too (packed.h). */
#ifndef DM_DATA_DATASET_H
#define DM_DATA_DATASET_H

#include "json/value.h"

typedef struct dm_example {
    const dm_value *row; /* DM_DICT: all columns, in the file's order */
    dm_hash fingerprint; /* dm_json_hash(row) */
    const char *id;      /* column `id` as text if there is one, else "row N", from 1 */
} dm_example;

typedef struct dm_dataset {
    const char *path;     /* as given; for messages */
    dm_example *examples; /* [n], in the file's order */
    size_t n;
    bool cells;          /* read from cells of text, which are all strings: CSV */
    dm_hash fingerprint; /* over all examples in order */
} dm_dataset;

/* The format follows the name (.json, .jsonl, .ndjson, .csv, .tsv, each also .gz or .zst), else the
 * first byte. CSV cells are strings (csv.h). Errors: file:line:column. An empty data set is an
 * error, and so is a file that is something else (foreign.h). */
dm_status dm_dataset_read(dm_arena *a, const char *path, dm_dataset **out,
                          dm_error *err) DM_MUST_USE;
typedef enum dm_format { DM_FORMAT_GUESS, DM_JSON_LINES, DM_JSON_ARRAY, DM_CSV, DM_TSV } dm_format;
/* The same from bytes that are not packed: UTF-8 or UTF-16; name is what errors call them. */
dm_status dm_dataset_parse(dm_arena *a, const char *name, dm_str text, dm_format format,
                           dm_dataset **out, dm_error *err) DM_MUST_USE;
/* Every input named must be a column of every row; the error names file, row, and the columns there
 * are. */
dm_status dm_dataset_check(const dm_dataset *d, const dm_str *inputs, size_t n_inputs,
                           dm_error *err) DM_MUST_USE;
/* Examples d[from], ..., d[from + n - 1] as a set of its own; shares the examples. */
dm_dataset *dm_dataset_slice(dm_arena *a, const dm_dataset *d, size_t from, size_t n);
dm_dataset *dm_dataset_pick(dm_arena *a, const dm_dataset *d, const size_t *index, size_t n);
/* A set of rows made in memory (list of dicts). */
dm_dataset *dm_dataset_of(dm_arena *a, const char *name, const dm_value *rows);
/* A new dict of the named columns that the row has, in the row's order (Example.inputs()). */
dm_value *dm_example_inputs(dm_arena *a, const dm_value *row, const dm_str *inputs,
                            size_t n_inputs);

#endif
