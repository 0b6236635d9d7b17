#include "strict.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static int anthropic_error(dm_buf *b, int status, const char *type, const char *message)
{
    dm_buf_printf(b,
                  "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"},"
                  "\"request_id\":\"req_mock\"}",
                  type, message);
    return status;
}

static int openai_error(dm_buf *b, int status, const char *code, const char *param,
                        const char *message)
{
    dm_buf_printf(
        b,
        "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":\"%s\","
        "\"code\":\"%s\"}}",
        message, param, code);
    return status;
}

static bool in(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static const cJSON *at(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static bool has_key(const mock_http *http, const char *header, const char *before, const char *key)
{
    char wanted[300];
    dm_str given = mock_header(http->headers, header);
    snprintf(wanted, sizeof wanted, "%s%s", before, key ? key : "");
    return given.p && (key ? dm_str_is(given, wanted) : given.n > strlen(before));
}

/* ---- Anthropic ---- */

static size_t marks_in(const cJSON *v)
{
    size_t n = 0;
    const cJSON *child;
    cJSON_ArrayForEach(child, v)
    {
        n += (child->string && strcmp(child->string, "cache_control") == 0) + marks_in(child);
    }
    return n;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

static const char *bad_turns(const cJSON *messages)
{
    const cJSON *m, *block;
    if (!cJSON_IsArray(messages) || cJSON_GetArraySize(messages) == 0)
        return "messages: Field required";
    cJSON_ArrayForEach(m, messages)
    {
        const cJSON *role = at(m, "role"), *content = at(m, "content");
        const char *name = cJSON_IsString(role) ? role->valuestring : "";
        if (strcmp(name, "user") != 0 && strcmp(name, "assistant") != 0)
            return "messages: Unexpected role. The Messages API accepts a top-level `system` "
                   "parameter, not \\\"system\\\" as an input message role.";
        if (cJSON_IsString(content) ? is_blank(content->valuestring) : !cJSON_IsArray(content))
            return "messages: text content blocks must be non-empty";
        cJSON_ArrayForEach(block, content)
        {
            const cJSON *text = at(block, "text");
            if (!cJSON_IsString(text) || is_blank(text->valuestring))
                return "messages: text content blocks must contain non-whitespace text";
        }
    }
    return NULL;
}

static int anthropic(const char *key, const mock_http *http, const cJSON *root, dm_buf *b)
{
    static const char *const fields[] = {
        "model", "messages", "system",   "max_tokens",     "stream",        "temperature",  "top_p",
        "top_k", "metadata", "thinking", "stop_sequences", "output_config", "service_tier", NULL};
    static const char bad[] = "invalid_request_error";
    char text[200];
    const cJSON *f, *t = at(root, "temperature"), *most = at(root, "max_tokens");
    size_t n = strlen(http->path);
    if (n < 9 || strcmp(http->path + n - 9, "/messages") != 0)
        return anthropic_error(b, 404, "not_found_error", "Not found");
    if (mock_header(http->headers, "Authorization").p || !has_key(http, "x-api-key", "", key))
        return anthropic_error(b, 401, "authentication_error", "invalid x-api-key");
    if (!mock_header(http->headers, "anthropic-version").p)
        return anthropic_error(b, 400, bad, "anthropic-version: header is required");
    cJSON_ArrayForEach(f, root)
    {
        snprintf(text, sizeof text, "%.100s: Extra inputs are not permitted", f->string);
        if (!in(f->string, fields))
            return anthropic_error(b, 400, bad, text);
    }
    if (!cJSON_IsNumber(most) || most->valuedouble < 1)
        return anthropic_error(b, 400, bad, "max_tokens: Field required");
    if (t && (t->valuedouble < 0 || t->valuedouble > 1))
        return anthropic_error(b, 400, bad, "temperature: range: 0..1");
    const char *why = bad_turns(at(root, "messages"));
    if (why)
        return anthropic_error(b, 400, bad, why);
    if (marks_in(root) > 4)
        return anthropic_error(b, 400, bad,
                               "A maximum of 4 blocks with cache_control may be provided");
    return 0;
}

/* ---- those that speak OpenAI's form ---- */

static int azure(const char *key, const mock_http *http, const cJSON *root, dm_buf *b)
{
    const char *deployment = strstr(http->path, "/openai/deployments/");
    (void)root;
    if (!has_key(http, "api-key", "", key) || mock_header(http->headers, "Authorization").p)
        return openai_error(b, 401, "401", "", "Access denied due to invalid subscription key");
    if (!deployment || !strstr(http->path, "/chat/completions?api-version="))
        return openai_error(b, 404, "DeploymentNotFound", "",
                            "The API deployment for this resource does not exist");
    return 0;
}

static int gemini(const char *key, const mock_http *http, const cJSON *root, dm_buf *b)
{
    static const char *const fields[] = {"model",
                                         "messages",
                                         "max_tokens",
                                         "top_p",
                                         "temperature",
                                         "max_completion_tokens",
                                         "stop",
                                         "stream",
                                         "n",
                                         "response_format",
                                         "reasoning_effort",
                                         NULL};
    const cJSON *f;
    if (!strstr(http->path, "/v1beta/openai/chat/completions"))
        return openai_error(b, 404, "404", "", "not found");
    if (!has_key(http, "Authorization", "Bearer ", key)) {
        dm_buf_text(b, "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a "
                       "valid API key.\",\"status\":\"INVALID_ARGUMENT\"}}]");
        return 400;
    }
    cJSON_ArrayForEach(f, root)
    {
        if (in(f->string, fields))
            continue;
        dm_buf_printf(
            b,
            "[{\"error\":{\"code\":400,\"message\":\"Invalid JSON payload received. Unknown "
            "name \\\"%s\\\": Cannot find field.\",\"status\":\"INVALID_ARGUMENT\"}}]",
            f->string);
        return 400;
    }
    return 0;
}

static int reasons(const char *key, const mock_http *http, const cJSON *root, dm_buf *b)
{
    const cJSON *t = at(root, "temperature");
    (void)key;
    (void)http;
    if (at(root, "max_tokens"))
        return openai_error(b, 400, "unsupported_parameter", "max_tokens",
                            "Unsupported parameter: 'max_tokens' is not supported with this model. "
                            "Use 'max_completion_tokens' instead.");
    if (t && t->valuedouble != 1)
        return openai_error(
            b, 400, "unsupported_value", "temperature",
            "Unsupported value: 'temperature' does not support this value with this "
            "model. Only the default (1) value is supported.");
    return 0;
}

static const struct {
    const char *kind;
    int (*refuse)(const char *key, const mock_http *http, const cJSON *root, dm_buf *b);
} kinds[] = {{"anthropic", anthropic}, {"azure", azure}, {"gemini", gemini}, {"reasons", reasons}};

bool mock_strict_known(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            return true;
    return false;
}

int mock_strict(const char *kind, const char *key, const mock_http *http, dm_buf *refusal)
{
    cJSON *root = cJSON_ParseWithLength(http->body.p, http->body.n);
    int status = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            status = kinds[i].refuse(key, http, root, refusal);
    cJSON_Delete(root);
    return status;
}
