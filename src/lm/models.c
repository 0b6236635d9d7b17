/* The one reader of what a server says that it serves: for probes, which ask beside calls, and for
 * the journal, which waits for it. */
#include "json/json.h"
#include "lm/provider.h"

bool dm_serves_asks(const dm_lm_config *c)
{
    return c->provider->models != NULL;
}

dm_served dm_serves_read(dm_arena *a, const dm_lm_config *c, dm_str reply)
{
    dm_served s = {.first = {"", 0}, .root = {"", 0}};
    const dm_value *root = dm_json_read_bytes(a, dm_reply_plain(a, reply), NULL);
    if (root)
        c->provider->models(&s, root, c->name);
    return s;
}
