/* What there is to know of a cell whose metric asks a model (legs.c has what is done with it). */
#include "pool/inside.h"

bool dm_is_judged(const dm_pool *p, const dm_cell *c)
{
    return c->legs || (p->judging && p->states[c->state].work.scored);
}

size_t dm_legs_left(const dm_pool *p, const dm_cell *c)
{
    if (!dm_is_judged(p, c))
        return 0;
    return dm_judging_calls(p->judging) - (c->legs ? c->legs->at + 1 : 0);
}

bool dm_leg_is_over(const dm_cell *c, int64_t task)
{
    return c->legs && (task >> 32) < c->legs->earlier;
}

int dm_leg_tries(const dm_cell *c)
{
    return c->tries - (c->legs ? c->legs->earlier : 0);
}

const dm_example *dm_leg_example(const dm_cell *c)
{
    return c->legs ? c->legs->example : c->example;
}

int dm_leg_model(const dm_pool *p, const dm_cell *c)
{
    return p->states[c->legs ? c->legs->state : c->state].model;
}

dm_hash dm_leg_key(const dm_cell *c, bool judged)
{
    dm_sha256 s;
    if (!judged)
        return c->key;
    dm_sha256_init(&s);
    dm_sha256_add(&s, c->key.b, sizeof c->key.b);
    dm_sha256_add(&s, "judge", 5);
    return dm_sha256_end(&s);
}

void dm_legs_free(dm_cell *c)
{
    if (c->legs)
        dm_arena_free(c->legs->arena);
    c->legs = NULL;
}
