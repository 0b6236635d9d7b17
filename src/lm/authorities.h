/* By whose certificates servers are known. */
#ifndef DM_LM_AUTHORITIES_H
#define DM_LM_AUTHORITIES_H

#include "lm/config.h"

typedef struct dm_authorities {
    const char *file, *folder; /* NULL: libcurl's own */
    const char *named_by; /* of file: "ca_file", "SSL_CERT_FILE", "CURL_CA_BUNDLE", or "" where it
                             was looked for */
} dm_authorities;

/* The job's ca_file, else what SSL_CERT_FILE or CURL_CA_BUNDLE names; else libcurl's own, or where
 * it has none, as one that is bundled or was built for another system, the file that this one
 * keeps. Borrowed from the config, the environment or this process. */
dm_authorities dm_authorities_of(const dm_lm_config *c);

/* The first that there is of the files where systems keep certificates, then certifi's beside the
 * program whose folder is bin; below root ("": the system's). path is "" where there is none. */
void dm_authorities_look(const char *root, const char *bin, char *path, size_t room);
/* Where neither libcurl nor this system has any: what was looked for, and what to do. NULL: there
 * are some. */
const char *dm_authorities_missing(void);
/* For `--version --verbose`: where the certificates are that are taken when none are named. */
const char *dm_authorities_text(void);

#endif
