/* A server's key: where it comes from, and what can be one. */
#include "base/secret.h"
#include "json/json.h"
#include "lm/provider.h"
#include "lm/proxy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_KEY_FILE 65536
#define MAX_KEY      16384 /* bytes; servers take no longer header */
#define MAX_NAME     24    /* bytes of what is a variable's name for sure, and no key */

/* ---- what can be a key ---- */

static bool is_quoted(dm_str s)
{
    return s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'' || s.p[0] == '`') && s.p[s.n - 1] == s.p[0];
}

/* Why the trimmed text cannot be a key; NULL: it can. Says nothing of the text itself. */
static const char *bad_key(dm_str s)
{
    bool utf16 = s.n >= 2 && (memcmp(s.p, "\xFF\xFE", 2) == 0 || memcmp(s.p, "\xFE\xFF", 2) == 0);
    if (utf16 || (s.n > 3 && (!s.p[1] || !s.p[0]) && memchr(s.p, 0, s.n)))
        return "is in UTF-16: save it as plain text (ASCII or UTF-8)";
    if (memchr(s.p, 0, s.n))
        return "holds a NUL byte: it is not text, or was damaged";
    if (s.n >= 7 && strncasecmp(s.p, "Bearer ", 7) == 0)
        return "begins with \"Bearer\": give the key alone, the word is put before it";
    if (is_quoted(s))
        return "is in quotes: give the key alone";
    if (s.n > MAX_KEY)
        return "is longer than any key (16 KiB)";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n' || c == '\r')
            return "has more than one line: give the key alone";
        if (c == ' ' || c == '\t')
            return "has a blank inside: a key has none";
        if (c < 0x20 || c == 0x7F)
            return "has a control character inside: a key has none";
        if (c >= 0x80)
            return "has a character that is not ASCII: a key has none";
    }
    return NULL;
}

/* source: what the key is called in messages. The key is known as a secret even if it is refused.
 */
static dm_status take_key(dm_str text, const char *source, char **key, dm_error *err)
{
    dm_str s = dm_secret_trim(text);
    if (s.n == 0)
        return dm_fail(err, DM_E_MODEL, "%s: there is no key in it", source);
    dm_secret_add(s);
    const char *bad = bad_key(s);
    if (bad)
        return dm_fail(err, DM_E_MODEL, "%s: what should be the key %s", source, bad);
    *key = dm_copy_bytes(s.p, s.n);
    return DM_OK;
}

/* ---- files ---- */

/* A key that was written where a path should be is not to be shown. */
static const char *shown_path(const char *path)
{
    bool like_a_path = strpbrk(path, "/.") || strlen(path) < MAX_NAME || access(path, F_OK) == 0;
    return like_a_path ? path : "the file that api_key_file names";
}

static dm_status read_key_file(const char *path, char **key, dm_error *err)
{
    dm_arena *a = dm_arena_new(4096);
    dm_str text;
    const char *shown = shown_path(path);
    dm_status st = dm_read_file(a, path, MAX_KEY_FILE, &text, shown == path ? err : NULL);
    if (st == DM_OK) {
        st = take_key(text, path, key, err);
        explicit_bzero((char *)(uintptr_t)text.p, text.n);
    } else if (shown != path) {
        st = dm_fail(err, DM_E_MODEL,
                     "api_key_file: there is no such file; a key itself does not "
                     "belong in a job");
    } else {
        dm_error_wrap(err, DM_E_MODEL, "api_key_file");
        st = DM_E_MODEL;
    }
    if (st != DM_OK && err)
        err->status = DM_E_MODEL;
    dm_arena_free(a);
    return st;
}

/* ---- variables ---- */

const char *dm_bad_key_name(const char *name)
{
    bool good = isalpha((unsigned char)*name) || *name == '_';
    for (const char *p = name; *p && good; p++)
        good = isalnum((unsigned char)*p) || *p == '_';
    return good ? NULL
                : "the name of an environment variable, such as MY_KEY; a key itself does not "
                  "belong in a job";
}

/* A key may look like a name too (letters, digits and _): names are short, or in capitals. */
static const char *shown_name(const char *name)
{
    for (const char *p = name; *p; p++)
        if (islower((unsigned char)*p) && strlen(name) > MAX_NAME)
            return "the variable that api_key_env names";
    return name;
}

static dm_status no_key(const char *given, int rank, dm_error *err)
{
    char host[256] = "this machine";
    const char *name = shown_name(given);
    gethostname(host, sizeof host - 1);
    if (rank == 0 || name != given)
        return dm_fail(err, DM_E_MODEL,
                       "there is no %s%s in the environment: set it, or name a file with "
                       "api_key_file",
                       name == given ? "" : "such thing as ", name);
    return dm_fail(err, DM_E_MODEL,
                   "rank %d on %s has no %s: set it, pass it on with mpirun -x %s, or name a file "
                   "with api_key_file",
                   rank, host, name, name);
}

dm_status dm_header_find(const char *name, int rank, dm_str *out, dm_error *err)
{
    const char *value = dm_secret_env(name);
    *out = dm_secret_trim(dm_str_of(value ? value : ""));
    return out->n ? DM_OK : no_key(name, rank, err);
}

const char *dm_bad_header(dm_str name, dm_str value)
{
    for (size_t i = 0; i < name.n; i++)
        if (!isalnum((unsigned char)name.p[i]) && (!name.p[i] || !strchr("-_.~", name.p[i])))
            return "its name may have letters, digits, \"-\", \"_\", \".\" and \"~\" only";
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7F)
            return "a text in one line, without control characters";
    return name.n ? NULL : "it needs a name";
}

static bool is_home(const dm_provider *p, const char *base)
{
    bool home = p->key_host && dm_same_origin(base, p->key_host);
    for (const char *const *d = p->key_domains; d && *d; d++)
        home |= dm_in_domain(base, *d);
    return home;
}

/* Whose variables hold the key for base, where the model names none; NULL: no key goes there. A
 * provider's goes to its own hosts and where its own variables lead; OpenAI's to its host whatever
 * name that is asked under. */
static const dm_provider *owner_of(const dm_provider *p, const char *base, bool *home)
{
    const dm_provider *openai = &dm_provider_openai;
    char *led = dm_base_in_env(p, NULL);
    *home = is_home(p, base);
    bool own = *home || (led && dm_same_origin(base, led));
    free(led);
    if (own)
        return p->key_envs ? p : NULL;
    bool alike = p->key_envs && strcmp(p->key_header, openai->key_header) == 0;
    *home = alike && is_home(openai, base);
    return *home ? openai : NULL;
}

static bool has_value(const char *name)
{
    const char *value = dm_secret_env(name);
    return value && dm_secret_trim(dm_str_of(value)).n;
}

dm_status dm_key_find(const dm_lm_config *c, const char *base, int rank, char **key, dm_error *err)
{
    *key = NULL;
    if (c->api_key_file)
        return read_key_file(c->api_key_file, key, err);
    bool home = false;
    const char *name = c->api_key_env;
    const dm_provider *owner = name ? NULL : owner_of(c->provider, base, &home);
    if (!name && !owner)
        return DM_OK;
    for (size_t i = 0; owner && owner->key_envs[i] && !name; i++)
        if (has_value(owner->key_envs[i]))
            name = owner->key_envs[i];
    if (name && has_value(name))
        return take_key(dm_str_of(dm_secret_env(name)), shown_name(name), key, err);
    if (!name && !home)
        return DM_OK;
    return no_key(name ? name : owner->key_envs[0], rank, err);
}

/* The first variable whichever provider the job asks; the others, which may be there for something
 * else, where they may be its. */
static void know_keys_of(const dm_provider *p, bool asked)
{
    for (size_t i = 0; p->key_envs && p->key_envs[i] && (i == 0 || asked); i++)
        (void)dm_secret_env(p->key_envs[i]);
}

void dm_key_know(const dm_lm_config *c)
{
    struct stat s;
    char *key = NULL;
    for (size_t i = 0; i < dm_n_providers; i++)
        know_keys_of(dm_providers[i], dm_providers[i] == c->provider);
    if (c->api_key_env && !dm_bad_key_name(c->api_key_env))
        (void)dm_secret_env(c->api_key_env);
    if (c->api_key_file && stat(c->api_key_file, &s) == 0 && S_ISREG(s.st_mode) &&
        read_key_file(c->api_key_file, &key, NULL) == DM_OK)
        explicit_bzero(key, strlen(key));
    free(key);
    if (c->proxy)
        dm_url_secrets(c->proxy);
    dm_proxy_know_secrets();
    for (size_t i = 0; c->headers_env && i < c->headers_env->n; i++)
        (void)dm_secret_env(c->headers_env->members[i].value->text.p);
    for (size_t i = 0; c->headers && i < c->headers->n; i++)
        dm_secret_add(c->headers->members[i].value->text);
    for (size_t i = 0; c->query && i < c->query->n; i++)
        if (!dm_str_is(c->query->members[i].key, "api-version"))
            dm_secret_add(c->query->members[i].value->text);
}
