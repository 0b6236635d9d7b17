/* Providers as classes: where their servers are, how they are asked, what their replies mean.
 *
 * To add one: a file with its class, and a row of DM_PROVIDERS. Nobody else knows its name; what
 * several have in common (OpenAI's chat completions) is in openai.h. */
#ifndef DM_LM_PROVIDER_H
#define DM_LM_PROVIDER_H

#include "lm/inside.h"

typedef struct dm_outgoing { /* what a request is made of; all borrowed */
    const dm_lm_config *config;
    dm_str head;               /* by the class's head */
    uint64_t head_hash;        /* of head */
    dm_str user;               /* the last message */
    const char *sampling;      /* by the class's sampling */
    dm_response_format format; /* lowered by the class's format */
    dm_str schema;             /* with DM_FORMAT_SCHEMA */
} dm_outgoing;

/* What an error's own code says beyond its status (src/README.md §5). */
typedef enum dm_meaning {
    DM_MEANS_STATUS,   /* nothing */
    DM_MEANS_REFUSED,  /* the endpoint: no quota is left, or there is no such model */
    DM_MEANS_TOO_FAST, /* a transport failure, as 429 */
    DM_MEANS_NO_ROOM,  /* for flex now: the request waits, and is not billed */
    DM_MEANS_TOO_LONG, /* the prompt, or prompt and answer, for the model */
    DM_MEANS_FILTERED  /* the provider's content filter */
} dm_meaning;

/* An error as the provider words it. Texts live as long as what they were read from, never NULL. */
typedef struct dm_complaint {
    const char *code, *message;
    const char *param; /* the request's key that it is about; "": not said */
    long status;       /* of the reply; or what an error in a 200 says that it is */
    dm_meaning means;
} dm_complaint;

/* What a server says that it serves; texts live as long as what they were read from. */
typedef struct dm_served {
    bool has_list, lists;  /* it says something; the model is among it */
    dm_str first;          /* of the list */
    const dm_value *list;  /* of dicts with an "id"; NULL: none */
    dm_str root;           /* of the model: vLLM's path of the weights; .n 0: not said */
    int64_t max_model_len; /* of the model; 0: not said */
} dm_served;

struct dm_provider {
    const char *name; /* what comes before the slash */

    /* ---- servers and keys ---- */
    const char *base; /* api_base where the job gives none, without a slash at the end */
    /* Variables that name another one, as DSPy's users have them set, up to a NULL; the first that
     * is set counts. NULL: none. */
    const char *const *base_envs;
    /* The address that is meant by one as people write it, without a slash at its end; NULL: each
     * is meant as it is. */
    const char *(*base_of)(dm_arena *a, const char *base);
    /* Unless the model names a key: the first of these variables that is set goes to key_host, and
     * where base_envs lead. Up to a NULL; NULL: none is sent. To key_host nothing goes without a
     * key. key_host may be NULL. */
    const char *const *key_envs, *key_host;
    const char *key_header;         /* what comes before the key: "Authorization: Bearer " */
    const char *const *key_domains; /* whose hosts it goes to likewise, up to a NULL; NULL */
    const char *wants_base;     /* there is no base: why the job has to give one; NULL: there is */
    const char *const *headers; /* further ones, up to a NULL; NULL: none */

    /* What it costs, into *out, where that is known; false: it is not. c is read, but for its
     * price. */
    bool (*price)(const dm_lm_config *c, dm_price *out);

    /* Tokens from which on its servers keep the beginning of a prompt for others that begin so; 0:
     * they do not. */
    int64_t cached_from;
    int64_t (*cached_from_of)(const dm_lm_config *c); /* where it depends on the model; NULL */
    /* What the job does not say, filled in; c is read, but for its price. NULL: nothing. */
    void (*complete)(dm_arena *a, dm_lm_config *c);

    /* ---- a request ---- */
    void (*url)(dm_buf *b, const dm_lm_config *c, const char *base);
    /* A sampling key's name on the wire; NULL: all have their own. */
    const char *(*sampling_name)(const dm_lm_config *c, const char *key);
    /* What JSON mode asks for, lowered to what the model is known to support (contract 3.5);
     * NULL: nothing. */
    dm_response_format (*format)(const dm_lm_config *c, dm_response_format wanted);
    /* The messages that are the same for all examples, in whatever form body takes them. Written
     * once for a state; its hash is part of the key of all requests that begin so. */
    void (*head)(dm_buf *b, const dm_message *messages, size_t n);
    /* The sampling, likewise: once for a model, and once more for a call with a temperature of its
     * own (NAN: the model's). */
    void (*sampling)(dm_buf *b, const dm_lm_config *c, double temperature);
    void (*body)(dm_buf *b, const dm_outgoing *o);
    /* The body of a request that is sent unchanged (lm.h); NULL: there are no such requests. */
    void (*json)(dm_buf *b, const dm_lm_config *c, const dm_lm_request *r);

    /* ---- a reply ---- */
    /* One with a status below 300, by this class: content, usage, whether it was cut; or, by
     * dm_reply_end and dm_reply_error, why there is none. */
    dm_verdict (*read)(const dm_provider *p, dm_reply *r, const dm_value *root);
    /* An error; root is the first of a list of them, and may be NULL: not JSON. c has the reply's
     * status, its words wherever they were, and no code. */
    void (*complain)(dm_complaint *c, const dm_value *root);

    /* ---- what a server serves; both NULL: it is not asked ---- */
    void (*models_url)(dm_buf *b, const dm_lm_config *c, const char *base);
    void (*models)(dm_served *s, const dm_value *root, const char *name);

    /* It answers in this process; all after the price but head is NULL. NULL: servers do. */
    void (*answer)(dm_buf *out, const dm_message *messages, size_t n, int64_t rollout);
};

/* In the order in which users see the names. */
#define DM_PROVIDERS(ROW)                                                                          \
    ROW(openai)                                                                                    \
    ROW(hosted_vllm)                                                                               \
    ROW(ollama_chat)                                                                               \
    ROW(anthropic)                                                                                 \
    ROW(azure)                                                                                     \
    ROW(gemini)                                                                                    \
    ROW(python)                                                                                    \
    ROW(embedded)

#define DM_PROVIDER_DECLARE(name) extern const dm_provider dm_provider_##name;
DM_PROVIDERS(DM_PROVIDER_DECLARE)

extern const dm_provider *const dm_providers[];
extern const size_t dm_n_providers;

/* price.c, for price: nothing, where all servers are the user's own machines. */
bool dm_free_on_own(const dm_lm_config *c, dm_price *out);
/* price.c, for price: by the table of prices, under provider/name. */
bool dm_price_listed(const dm_lm_config *c, dm_price *out);

/* base.c: the address that one of base_envs holds, without blanks around it; the caller's to free,
 * NULL: none. *name, unless name is NULL: which. */
char *dm_base_in_env(const dm_provider *p, const char **name);
/* unspoken.c: why there is no provider of this name, and what to write instead; lives in a. */
const char *dm_no_provider(dm_arena *a, dm_str name, dm_str model);

/* ---- models.c ---- */

#define DM_MAX_LIST ((size_t)4 << 20) /* bytes of a reply */

bool dm_serves_asks(const dm_lm_config *c); /* its servers can be asked what they serve */
/* GET the list of models of e's server, within seconds. True: *reply, the caller's to free either
 * way, is the body of a 200. Blocks. */
bool dm_serves_ask(const dm_endpoint *e, double seconds, dm_buf *reply);
/* What the reply says of the model; lives in a. */
dm_served dm_serves_read(dm_arena *a, const dm_lm_config *c, dm_str reply);

/* ---- answer.c, for read ---- */

/* The reply itself where it came packed, as gateways send what nobody asked them to pack; lives in
 * a. One that cannot be unpacked is as it came. */
dm_str dm_reply_plain(dm_arena *a, dm_str body);
/* The text of a string up to U+0000 (codes, and words for people); "" of all else. */
const char *dm_reply_word(const dm_value *v);
/* A count or a limit that a server tells; 0: none, or nothing that can be one. */
int64_t dm_reply_count(const dm_value *object, const char *key);
/* Tokens that a reply reports; 0: not reported; DM_NO_COUNT: nonsense. */
int64_t dm_reply_tokens(const dm_value *usage, const char *key);
/* The verdict, with what went wrong and the server's words. fault: with DM_FINAL. */
dm_verdict dm_reply_end(dm_reply *r, dm_verdict v, dm_fault fault, const char *what,
                        const char *message);
/* An error object, in a 200 or with a status of its own, by the table of src/README.md §5. */
dm_verdict dm_reply_error(const dm_provider *p, dm_reply *r, const dm_value *root);
/* Whether text has one of the words, up to a NULL, in any case. */
bool dm_reply_says(const char *text, const char *const *words);

#endif
