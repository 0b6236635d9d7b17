/* A prefix cache as OpenAI's and vLLM's: what a server has read of earlier prompts it need not read
 * again. Prompts are cut into blocks of so many tokens (a token is four bytes); a block is known
 * together with all before it, from the moment at which the first answer to a prompt with it has
 * begun. */
#ifndef MOCK_PREFIX_H
#define MOCK_PREFIX_H

#include "rules.h"

typedef struct mock_prefixes {
    long block,
        least; /* tokens: of a block (0: no cache), and below which nothing counts as cached */
    struct mock_block {
        uint64_t hash; /* of all up to its end; 0: the slot is free */
        double known;  /* from when on */
    } * blocks;        /* [cap] open addressing */
    size_t n, cap;
} mock_prefixes;

/* A prompt that comes now (s) and whose answer begins then: returns its cached tokens. *possible:
 * how many they would be if every earlier prompt had been answered already. */
size_t mock_prefix_read(mock_prefixes *p, const mock_request *r, double now, double begins,
                        size_t *possible);
void mock_prefixes_free(mock_prefixes *p); /* nothing is known any more */

#endif
