/* OpenAI's chat completions, which many servers speak: what their classes have in common. */
#ifndef DM_LM_OPENAI_H
#define DM_LM_OPENAI_H

#include "lm/provider.h"

/* "?api-version=...&..." of what the job gives; nothing where it gives nothing. */
void dm_openai_query(dm_buf *b, const dm_lm_config *c);
void dm_openai_extra(dm_buf *b,
                     const dm_outgoing *o); /* extra_body's members, each behind a comma */
/* A string, or the text parts of a list. */
void dm_openai_content(dm_buf *b, const dm_value *content);
dm_response_format dm_openai_format(const dm_lm_config *c, dm_response_format wanted);
void dm_openai_url(dm_buf *b, const dm_lm_config *c, const char *base);
void dm_openai_head(dm_buf *b, const dm_message *messages, size_t n);
void dm_openai_sampling(dm_buf *b, const dm_lm_config *c, double temperature);
void dm_openai_body(dm_buf *b, const dm_outgoing *o);
void dm_openai_json(dm_buf *b, const dm_lm_config *c, const dm_lm_request *r);
dm_verdict dm_openai_read(const dm_provider *p, dm_reply *r, const dm_value *root);
void dm_openai_complain(dm_complaint *c, const dm_value *root);
void dm_openai_models_url(dm_buf *b, const dm_lm_config *c, const char *base);
void dm_openai_models(dm_served *s, const dm_value *root, const char *name);

/* base.c, for base_of: servers that have all below /v1, of whatever path behind it the address has;
 * an address that has another path is as it is. */
const char *dm_base_at_root(dm_arena *a, const char *base);
/* The same where every path has /v1 behind it: DSPy writes all addresses without, as Ollama's own
 * API is asked. */
const char *dm_base_of_ollama(dm_arena *a, const char *base);
#define DM_ANTHROPIC_HOST "https://api.anthropic.com"
/* Its own host has all below /v1; DSPy asks any other at the address itself (as recorded), and
 * whether /v1 was meant shows when that is not found. */
const char *dm_base_of_anthropic(dm_arena *a, const char *base);
extern const char *const dm_azure_domains[]; /* of Azure's own hosts; ends in NULL */
/* On Azure's own hosts without what azure.c puts behind it. Another host may have a path of its own
 * that ends so: DSPy asks below it. */
const char *dm_base_of_azure(dm_arena *a, const char *base);
#define DM_GEMINI_HOST "https://generativelanguage.googleapis.com"
/* Google's host has OpenAI's form below a path of its own. */
const char *dm_base_of_gemini(dm_arena *a, const char *base);

#define DM_BEARER .key_header = "Authorization: Bearer "
#define DM_OPENAI_WIRE_BUT_BODY                                                                    \
    .url = dm_openai_url, .head = dm_openai_head, .sampling = dm_openai_sampling,                  \
    .json = dm_openai_json, .read = dm_openai_read, .complain = dm_openai_complain,                \
    .models_url = dm_openai_models_url, .models = dm_openai_models
#define DM_OPENAI_WIRE DM_OPENAI_WIRE_BUT_BODY, .body = dm_openai_body

#endif
