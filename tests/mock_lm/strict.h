/* What the real servers refuse, before any model is asked: Anthropic's Messages, Azure's
 * deployments, Gemini's endpoint for OpenAI's form, OpenAI's models that reason. */
#ifndef MOCK_STRICT_H
#define MOCK_STRICT_H

#include "server.h"

/* kind: "anthropic", "azure", "gemini", "reasons"; key: that is asked for, or NULL. Returns 0, or
 * the status of the refusal, with its body. */
int mock_strict(const char *kind, const char *key, const mock_http *http, dm_buf *refusal);
bool mock_strict_known(const char *kind);

#endif
