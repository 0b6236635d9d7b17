/* Messages from a predictor's state, and fields from a completion: DSPy's adapters byte for byte
 * (contract 2, 3). */
#ifndef DM_ADAPTER_ADAPTER_H
#define DM_ADAPTER_ADAPTER_H

#include "json/get.h"
#include "program/program.h"

/* To add an adapter: a file with its class (inside.h), and a row here, at the end: journals and the
 * wire know an adapter by its number. The second word is its name in job files. */
#define DM_ADAPTERS(ROW)                                                                           \
    ROW(DM_CHAT, chat)                                                                             \
    ROW(DM_JSON, json)                                                                             \
    ROW(DM_XML, xml)

#define DM_ADAPTER_NUMBER(number, name) number,
typedef enum dm_adapter { DM_ADAPTERS(DM_ADAPTER_NUMBER) DM_N_ADAPTERS } dm_adapter;
#define DM_ADAPTER_BAR(number, name) "|" #name
#define DM_ADAPTER_NAMES             (&(DM_ADAPTERS(DM_ADAPTER_BAR))[1]) /* "chat|json", for help */

const char *dm_adapter_name(dm_adapter kind);  /* "chat" */
const char *dm_adapter_shown(dm_adapter kind); /* "chat adapter" */
/* An absent value leaves *out as it is; the error tells the names. */
dm_status dm_adapter_read(const dm_at *at, dm_adapter *out, dm_error *err) DM_MUST_USE;
/* What is asked once more when an answer cannot be read; kind itself: nothing is. */
dm_adapter dm_adapter_fallback(dm_adapter kind);

typedef enum dm_message_role { DM_SYSTEM, DM_USER, DM_ASSISTANT } dm_message_role;
const char *dm_message_role_name(dm_message_role r); /* "system", "user", "assistant" */
/* Of a message as JSON, {"role": "user", ...}. False: it has none of these, and *out stays. */
bool dm_message_role_read(const dm_value *message, dm_message_role *out);

typedef struct dm_message {
    dm_message_role role;
    dm_str content;
} dm_message;

/* What does not depend on the example: the system message and the demonstrations, rendered once for
 * a candidate. */
typedef struct dm_prefix {
    dm_message *messages; /* [n] */
    size_t n;
} dm_prefix;

/* A list value with a non-string item in a str field is DSPy's TypeError: DM_E_DATA, naming the
 * field. */
dm_status dm_adapter_prefix(dm_arena *a, dm_adapter kind, const dm_signature *s,
                            dm_str instructions, const dm_value *const *demos, size_t n_demos,
                            dm_prefix *out, dm_error *err) DM_MUST_USE;
/* The final user message. inputs: a dict; missing ones disappear, extra ones are ignored. */
dm_status dm_adapter_user(dm_arena *a, dm_adapter kind, const dm_signature *s,
                          const dm_value *inputs, dm_str *out, dm_error *err) DM_MUST_USE;

/* Output fields (a dict in the signature's order) from a completion. DM_E_PARSE with DSPy's words
 * where DSPy raises AdapterParseError. */
dm_status dm_adapter_parse(dm_arena *a, dm_adapter kind, const dm_signature *s, dm_str completion,
                           const dm_value **fields, dm_error *err) DM_MUST_USE;

/* A completion that keeps to the form, with these outputs (a dict): what dm_adapter_parse reads
 * back.
 */
dm_status dm_adapter_completion(dm_buf *b, dm_arena *a, dm_adapter kind, const dm_signature *s,
                                const dm_value *outputs, dm_error *err) DM_MUST_USE;

/* Contract 3.3. in: text of a completion (DM_STRING), or a JSON value. */
dm_status dm_coerce(dm_arena *a, const dm_type *t, const dm_value *in, const dm_value **out,
                    dm_error *err) DM_MUST_USE;

/* The response_format of a call (contract 3.5): the schema of case c, {"type":"json_object"}, or
 * nothing, by what the adapter wants and the model is known to support. */
typedef enum dm_response_format {
    DM_FORMAT_NONE,
    DM_FORMAT_JSON_OBJECT,
    DM_FORMAT_SCHEMA
} dm_response_format;
dm_response_format dm_adapter_format(dm_adapter kind,
                                     const dm_signature *s); /* callers lower it by model */
void dm_adapter_schema(dm_buf *b, const dm_signature *s);    /* the schema S of case c */

/* Of the error text of an answer that did not parse, the answer as far as it is quoted there; "" of
 * one that quotes none. */
dm_str dm_parse_quoted(dm_str error);
/* Whether it says that some of the fields could be read, DSPy's parsed_result. */
bool dm_parse_found_some(dm_str error);

#endif
