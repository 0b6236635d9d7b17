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

/* OLLAMA_HOST as Ollama reads it, server and client: "", "host", ":port", "0.0.0.0:port" (where a
 * server listens, and is asked on this machine), "[v6]:port", with a scheme and a path or without.
 */
static char *of_ollama_host(dm_str value)
{
    static const char *const any[] = {"", "0.0.0.0", "[::]"};
    dm_buf b;
    dm_str host = value, port = DM_STR(":11434"), path = path_of(value);
    const char *sep = memmem(value.p, value.n, "://", 3);
    dm_buf_init(&b, 4096);
    host.n -= path.n;
    if (sep) { /* whose own port it is */
        dm_buf_str(&b, (dm_str){value.p, (size_t)(sep + 3 - value.p)});
        host = (dm_str){sep + 3, (size_t)(value.p + host.n - sep - 3)};
        port.n = 0;
    } else {
        dm_buf_text(&b, "http://");
    }
    const char *colon = host.n ? memrchr(host.p, ':', host.n) : NULL;
    bool bare_v6 = colon && host.p[0] != '[' && memchr(host.p, ':', host.n) != colon;
    if (colon && !bare_v6 && !memchr(colon, ']', (size_t)(host.p + host.n - colon))) {
        port = (dm_str){colon, (size_t)(host.p + host.n - colon)};
        host.n -= port.n;
    }
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        if (dm_str_is(host, any[i]))
            host = DM_STR("127.0.0.1");
    dm_buf_printf(&b, bare_v6 ? "[%.*s]%.*s%.*s" : "%.*s%.*s%.*s", DM_STR_ARG(host),
                  DM_STR_ARG(port), DM_STR_ARG(path));
    return dm_buf_take(&b, NULL);
}

char *dm_base_in_env(const dm_provider *p, const char **name)
{
    for (const char *const *env = p->base_envs; env && *env; env++) {
        const char *value = getenv(*env);
        dm_str text = dm_secret_trim(dm_str_of(value ? value : ""));
        if (text.n == 0)
            continue;
        if (name)
            *name = *env;
        return strcmp(*env, "OLLAMA_HOST") == 0 ? of_ollama_host(text)
                                                : dm_copy_bytes(text.p, text.n);
    }
    return NULL;
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
