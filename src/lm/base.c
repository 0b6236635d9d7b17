/* api_base as people write it: DSPy's documentation gives Ollama's address without a path, others
 * give the whole path of a request. */
#include "base/secret.h"
#include "lm/openai.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool cut_end(dm_str *base, const char *end)
{
    size_t n = strlen(end);
    if (base->n <= n || strncasecmp(base->p + base->n - n, end, n) != 0)
        return false;
    base->n -= n;
    while (base->n && base->p[base->n - 1] == '/')
        base->n--;
    return true;
}

static dm_str path_of(dm_str base)
{
    const char *host = memmem(base.p, base.n, "://", 3);
    host = host ? host + 3 : base.p;
    const char *path = memchr(host, '/', (size_t)(base.p + base.n - host));
    return path ? (dm_str){path, (size_t)(base.p + base.n - path)} : (dm_str){"", 0};
}

/* Whether its last part is a version: "v1", "v1beta". */
static bool has_version(dm_str path)
{
    const char *last = path.n ? memrchr(path.p, '/', path.n) : NULL;
    const char *end = path.p + path.n;
    return last && last + 2 < end && (last[1] == 'v' || last[1] == 'V') &&
           isdigit((unsigned char)last[2]);
}

static const char *with_version(dm_arena *a, dm_str base, bool add)
{
    return dm_arena_printf(a, "%.*s%s", DM_STR_ARG(base), add ? "/v1" : "");
}

dm_str dm_base_in_env(const dm_provider *p)
{
    const char *value = p->base_env ? getenv(p->base_env) : NULL;
    return dm_secret_trim(dm_str_of(value ? value : ""));
}

const char *dm_base_at_root(dm_arena *a, const char *base)
{
    dm_str s = dm_str_of(base);
    (void)cut_end(&s, "/chat/completions");
    return with_version(a, s, path_of(s).n == 0);
}

const char *dm_base_of_ollama(dm_arena *a, const char *base)
{
    static const char *const its_own[] = {"/chat/completions", "/api/chat", "/api/generate",
                                          "/api/tags", "/api"};
    dm_str s = dm_str_of(base);
    for (size_t i = 0; i < sizeof its_own / sizeof *its_own; i++)
        if (cut_end(&s, its_own[i]))
            break;
    return with_version(a, s, !has_version(path_of(s)));
}

const char *dm_base_of_anthropic(dm_arena *a, const char *base)
{
    dm_str s = dm_str_of(base);
    (void)cut_end(&s, "/messages");
    return with_version(a, s, path_of(s).n == 0 && dm_same_origin(base, DM_ANTHROPIC_HOST));
}

const char *const dm_azure_domains[] = {".openai.azure.com", ".cognitiveservices.azure.com",
                                        ".services.ai.azure.com", NULL};

const char *dm_base_of_azure(dm_arena *a, const char *base)
{
    static const char *const between[] = {"/openai/deployments", "/openai"};
    dm_str s = dm_str_of(base);
    bool home = false;
    for (const char *const *d = dm_azure_domains; *d; d++)
        home |= dm_in_domain(base, *d);
    (void)cut_end(&s, "/chat/completions");
    for (size_t i = 0; i < 2 && home && s.n == strlen(base); i++)
        (void)cut_end(&s, between[i]);
    return with_version(a, s, false);
}

const char *dm_base_of_gemini(dm_arena *a, const char *base)
{
    dm_str s = dm_str_of(base), path;
    (void)cut_end(&s, "/chat/completions");
    path = path_of(s);
    bool home = dm_same_origin(base, DM_GEMINI_HOST);
    const char *end = !home         ? ""
                      : path.n == 0 ? "/v1beta/openai"
                                    : (has_version(path) ? "/openai" : "");
    return dm_arena_printf(a, "%.*s%s", DM_STR_ARG(s), end);
}
