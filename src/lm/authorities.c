#include "lm/authorities.h"

#include <curl/curl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *value_of(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* ---- what a bundled libcurl does not know ---- */

static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, Arch */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* RHEL, older */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine without its package, BSD */
};

/* From bin, of the venv that the program is in; the last is `pip install --target`'s. */
static const char *const certifi[] = {
    "../lib/python3*/site-packages/certifi/cacert.pem",
    "../lib64/python3*/site-packages/certifi/cacert.pem",
    "../lib/python3*/dist-packages/certifi/cacert.pem",
    "../certifi/cacert.pem",
};

/* Containers have empty ones, and folders where a mount found no file. */
static bool has_some(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0 && access(path, R_OK) == 0;
}

static bool first_of(const char *pattern, char *path, size_t room)
{
    glob_t found;
    bool any = false;
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc && !any; i++)
        any = has_some(found.gl_pathv[i]) &&
              snprintf(path, room, "%s", found.gl_pathv[i]) < (int)room;
    globfree(&found);
    return any;
}

void dm_authorities_look(const char *root, const char *bin, char *path, size_t room)
{
    char place[2 * PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(place, sizeof place, "%s%s", root, files[i]);
        if (has_some(place) && snprintf(path, room, "%s", place) < (int)room)
            return;
    }
    for (size_t i = 0; i < sizeof certifi / sizeof *certifi; i++) {
        snprintf(place, sizeof place, "%s%s/%s", root, bin, certifi[i]);
        if (first_of(place, path, room))
            return;
    }
    *path = 0;
}

/* *file: libcurl's own; NULL: it does not say, as before 7.70. One that was built elsewhere may
 * name a file that is not here. */
static bool curl_has_some(const char **file)
{
    *file = NULL;
#if LIBCURL_VERSION_NUM >= 0x074600
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    if (v->age < CURLVERSION_SEVENTH)
        return true;
    *file = v->cainfo ? v->cainfo : v->capath;
    return v->cainfo ? has_some(v->cainfo) : v->capath != NULL;
#else
    return true;
#endif
}

static const char *looked_for(void)
{
    static char path[PATH_MAX], bin[PATH_MAX];
    static bool looked;
    if (!looked) {
        ssize_t n = readlink("/proc/self/exe", bin, sizeof bin - 1);
        bin[n > 0 ? n : 0] = 0;
        char *slash = strrchr(bin, '/');
        if (slash)
            *slash = 0;
        dm_authorities_look("", bin, path, sizeof path);
        looked = true;
    }
    return *path ? path : NULL;
}

dm_authorities dm_authorities_of(const dm_lm_config *c)
{
    static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE"};
    const char *own;
    if (c->ca_file)
        return (dm_authorities){c->ca_file, NULL, "ca_file"};
    for (size_t i = 0; i < 2; i++)
        if (value_of(names[i]))
            return (dm_authorities){value_of(names[i]), NULL, names[i]};
    return (dm_authorities){curl_has_some(&own) ? NULL : looked_for(), value_of("SSL_CERT_DIR"),
                            ""};
}

const char *dm_authorities_missing(void)
{
    static char text[1000];
    const char *own;
    size_t n = 0;
    if (curl_has_some(&own) || looked_for())
        return NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? ", " : "there is none of ",
                              files[i]);
    snprintf(text + n, sizeof text - n,
             " and no certifi beside dspy-mpi: install ca-certificates or certifi, or name a file "
             "of certificates with ca_file or SSL_CERT_FILE");
    return text;
}

const char *dm_authorities_text(void)
{
    static char text[PATH_MAX + 32];
    const char *own;
    if (!curl_has_some(&own))
        return looked_for() ? looked_for() : "none on this system";
    snprintf(text, sizeof text, "%s%slibcurl's own", own ? own : "", own ? ", " : "");
    return text;
}
