#include "pool/wire.h"

#include <string.h>

#define MOST_WORKERS   ((size_t)1 << 24)
#define MOST_STATES    ((size_t)1 << 24)
#define MOST_ENDPOINTS ((size_t)1 << 20)

/* ---- messages ---- */

static dm_writer begin(dm_buf *b, dm_message_type type, size_t n)
{
    dm_writer w;
    dm_buf_init(b, DM_MAX_MESSAGE);
    dm_writer_init(&w, b);
    dm_write_array(&w, n + 2);
    dm_write_int(&w, DM_WIRE_VERSION);
    dm_write_int(&w, type);
    return w;
}

bool dm_wire_open(dm_wire_message *m, dm_str bytes)
{
    m->type = 0;
    if (!dm_record_open(&m->record, bytes, NULL, &m->items))
        return false;
    int64_t version = dm_read_int(&m->items);
    m->type = (dm_message_type)dm_read_size(&m->items, DM_MESSAGE_TYPES - 1);
    bool greets = m->type == DM_MSG_SETUP || m->type == DM_MSG_HELLO;
    return (version == DM_WIRE_VERSION || greets) && m->type >= DM_MSG_SETUP && !m->record.bad;
}

void dm_wire_close(dm_wire_message *m)
{
    dm_record_free(&m->record);
}

void dm_wire_put_empty(dm_buf *b, dm_message_type type)
{
    (void)begin(b, type, 0);
}

/* ---- lists ---- */

void dm_wire_list_init(dm_wire_list *l)
{
    dm_buf_init(&l->bytes, DM_MAX_MESSAGE);
    l->n = 0;
}

void dm_wire_list_free(dm_wire_list *l)
{
    dm_buf_free(&l->bytes);
}

static dm_writer add(dm_wire_list *l, size_t fields)
{
    dm_writer w;
    l->n++;
    dm_writer_init(&w, &l->bytes);
    dm_write_array(&w, fields);
    return w;
}

static void put_list(dm_buf *b, dm_writer *w, dm_wire_list *l)
{
    dm_write_array(w, l->n);
    dm_buf_str(b, dm_buf_view(&l->bytes));
    b->full |= l->bytes.full;
    dm_buf_reset(&l->bytes);
    l->n = 0;
}

/* The fields of the list's next item; false: there is none. */
static bool next(dm_reader *list, dm_reader *fields)
{
    if (*list->bad || list->at >= list->n)
        return false;
    *fields = dm_read_array(list);
    return !*list->bad;
}

/* ---- SETUP and HELLO ---- */

bool dm_wire_same_build(dm_str build)
{
    return dm_str_is(build, DM_BUILD);
}

void dm_wire_put_setup(dm_buf *b, size_t worker, dm_str json)
{
    dm_writer w = begin(b, DM_MSG_SETUP, 3);
    dm_write_str(&w, DM_STR(DM_BUILD));
    dm_write_int(&w, (int64_t)worker);
    dm_write_str(&w, json);
}

bool dm_wire_get_setup(dm_wire_message *m, dm_wire_setup *out)
{
    *out = (dm_wire_setup){.build = dm_read_str(&m->items)};
    if (dm_wire_same_build(out->build)) {
        out->worker = dm_read_size(&m->items, MOST_WORKERS);
        out->json = dm_read_str(&m->items);
    }
    return !m->record.bad;
}

void dm_wire_put_hello(dm_buf *b, dm_str host, int64_t pid)
{
    dm_writer w = begin(b, DM_MSG_HELLO, 3);
    dm_write_str(&w, DM_STR(DM_BUILD));
    dm_write_str(&w, host);
    dm_write_int(&w, pid);
}

bool dm_wire_get_hello(dm_wire_message *m, dm_wire_hello *out)
{
    *out = (dm_wire_hello){.build = dm_read_str(&m->items)};
    if (dm_wire_same_build(out->build)) {
        out->host = dm_read_str(&m->items);
        out->pid = dm_read_int(&m->items);
    }
    return !m->record.bad;
}

/* ---- SHARD ---- */

void dm_wire_add_state(dm_wire_list *states, const dm_wire_state *s)
{
    dm_writer w = add(states, 5);
    dm_write_int(&w, (int64_t)s->id);
    dm_write_str(&w, s->program);
    dm_write_str(&w, s->candidate);
    dm_write_int(&w, s->work.role);
    dm_write_how(&w, &s->work);
}

bool dm_wire_next_state(dm_reader *states, dm_wire_state *out)
{
    dm_reader in;
    if (!next(states, &in))
        return false;
    *out = (dm_wire_state){.id = dm_read_size(&in, MOST_STATES)};
    out->program = dm_read_str(&in);
    out->candidate = dm_read_str(&in);
    out->work.role = (dm_role)dm_read_size(&in, DM_ROLES - 1);
    dm_read_how(&in, &out->work);
    return !*in.bad;
}

void dm_wire_add_task(dm_wire_list *tasks, const dm_wire_task *t)
{
    dm_writer w = add(tasks, 7);
    dm_write_int(&w, t->id);
    dm_write_int(&w, (int64_t)t->state);
    dm_write_int(&w, t->most);
    dm_write_bool(&w, t->asks_only);
    dm_write_int(&w, t->row);
    dm_write_str(&w, t->json);
    dm_write_int(&w, t->formats + (t->asks_format ? DM_FORMATS : 0));
}

bool dm_wire_next_task(dm_reader *tasks, dm_wire_task *out)
{
    dm_reader in;
    if (!next(tasks, &in))
        return false;
    *out = (dm_wire_task){.id = dm_read_int(&in)};
    out->state = dm_read_size(&in, MOST_STATES);
    out->most = dm_read_int(&in);
    out->asks_only = dm_read_bool(&in);
    out->row = dm_read_int(&in);
    out->json = dm_read_str(&in);
    if (in.at < in.n) {
        unsigned formats = (unsigned)dm_read_size(&in, 2 * DM_FORMATS - 1);
        out->formats = formats % DM_FORMATS;
        out->asks_format = formats >= DM_FORMATS;
    }
    return !*in.bad;
}

void dm_wire_put_shard(dm_buf *b, dm_wire_list *states, dm_wire_list *tasks)
{
    dm_writer w = begin(b, DM_MSG_SHARD, 2);
    put_list(b, &w, states);
    put_list(b, &w, tasks);
}

bool dm_wire_get_shard(dm_wire_message *m, dm_reader *states, dm_reader *tasks)
{
    *states = dm_read_array(&m->items);
    *tasks = dm_read_array(&m->items);
    return !m->record.bad;
}

/* ---- SLOTS ---- */

void dm_wire_put_slots(dm_buf *b, const dm_wire_slots *s)
{
    dm_writer w = begin(b, DM_MSG_SLOTS, 1);
    dm_write_array(&w, DM_ROLES);
    for (int m = 0; m < DM_ROLES; m++)
        dm_write_int(&w, s->n[m]);
}

bool dm_wire_get_slots(dm_wire_message *m, dm_wire_slots *out)
{
    dm_reader list = dm_read_array(&m->items);
    for (int i = 0; i < DM_ROLES; i++)
        out->n[i] = dm_read_int(&list);
    return !m->record.bad;
}

/* ---- FOUND ---- */

void dm_wire_add_found(dm_wire_list *l, const dm_wire_found *f)
{
    bool answer = f->kind == DM_FOUND_ANSWER;
    dm_writer w = add(l, 4);
    dm_write_int(&w, f->task);
    dm_write_int(&w, f->call);
    dm_write_int(&w, f->kind);
    if (answer)
        dm_write_answer(&w, &f->answer);
    else
        dm_write_int(&w, f->odd);
}

bool dm_wire_next_found(dm_reader *list, dm_wire_found *out)
{
    dm_reader in;
    if (!next(list, &in))
        return false;
    *out = (dm_wire_found){.task = dm_read_int(&in)};
    out->call = (uint32_t)dm_read_size(&in, UINT32_MAX);
    out->kind = (dm_found)dm_read_size(&in, DM_FOUND_KINDS - 1);
    if (out->kind == DM_FOUND_ANSWER)
        out->answer = dm_read_answer(&in);
    else
        out->odd = dm_read_int(&in);
    *in.bad |= out->kind == DM_FOUND_ANSWER && !out->answer.content.p;
    return !*in.bad;
}

void dm_wire_put_found(dm_buf *b, dm_wire_list *l)
{
    dm_writer w = begin(b, DM_MSG_FOUND, 1);
    put_list(b, &w, l);
}

bool dm_wire_get_found(dm_wire_message *m, dm_reader *list)
{
    *list = dm_read_array(&m->items);
    return !m->record.bad;
}

/* ---- RESULTS ---- */

/* Most results come of calls that were told with their answers. */
static bool has_usage(const dm_wire_item *it)
{
    static const dm_usage nothing;
    return memcmp(&it->usage, &nothing, sizeof nothing) != 0;
}

void dm_wire_add_item(dm_wire_list *l, const dm_wire_item *it)
{
    bool usage = it->kind == DM_ITEM_RESULT && has_usage(it);
    size_t fields = it->kind == DM_ITEM_ANSWER ? 5 : it->kind == DM_ITEM_RESULT ? 3 + usage : 4;
    dm_writer w = add(l, fields);
    dm_write_int(&w, it->kind);
    dm_write_int(&w, it->task);
    switch (it->kind) {
    case DM_ITEM_ANSWER:
        dm_write_hash(&w, &it->key);
        dm_write_int(&w, it->predictor);
        dm_write_answer(&w, &it->answer);
        break;
    case DM_ITEM_RESULT:
        dm_write_str(&w, it->result);
        if (usage)
            dm_write_usage(&w, &it->usage);
        break;
    case DM_ITEM_FIND:
        dm_write_hash(&w, &it->key);
        dm_write_int(&w, it->call);
        break;
    case DM_ITEM_KINDS:
        break;
    }
}

bool dm_wire_next_item(dm_reader *list, dm_wire_item *out)
{
    dm_reader in;
    if (!next(list, &in))
        return false;
    *out = (dm_wire_item){.kind = (dm_item_kind)dm_read_size(&in, DM_ITEM_KINDS - 1)};
    out->task = dm_read_int(&in);
    switch (out->kind) {
    case DM_ITEM_ANSWER:
        out->key = dm_read_hash(&in);
        out->predictor = (uint32_t)dm_read_size(&in, UINT32_MAX);
        out->answer = dm_read_answer(&in);
        *in.bad |= !out->answer.content.p;
        break;
    case DM_ITEM_RESULT:
        out->result = dm_read_str(&in);
        if (in.at < in.n)
            out->usage = dm_read_usage(&in);
        break;
    case DM_ITEM_FIND:
        out->key = dm_read_hash(&in);
        out->call = (uint32_t)dm_read_size(&in, UINT32_MAX);
        break;
    case DM_ITEM_KINDS:
        *in.bad = true;
    }
    return !*in.bad;
}

void dm_wire_put_results(dm_buf *b, dm_wire_list *l)
{
    dm_writer w = begin(b, DM_MSG_RESULTS, 1);
    put_list(b, &w, l);
}

bool dm_wire_get_results(dm_wire_message *m, dm_reader *list)
{
    *list = dm_read_array(&m->items);
    return !m->record.bad;
}

/* ---- what a worker says of itself ---- */

void dm_wire_put_failed(dm_buf *b, dm_status status, dm_str text)
{
    dm_writer w = begin(b, DM_MSG_FAILED, 2);
    dm_write_int(&w, status);
    dm_write_str(&w, text);
}

bool dm_wire_get_failed(dm_wire_message *m, dm_wire_failed *out)
{
    int64_t status = dm_read_int(&m->items);
    out->status = status < DM_OK && status > INT32_MIN ? (dm_status)status : DM_E_INTERNAL;
    out->text = dm_read_str(&m->items);
    return !m->record.bad;
}

void dm_wire_put_log(dm_buf *b, dm_level level, dm_str line)
{
    dm_writer w = begin(b, DM_MSG_LOG, 2);
    dm_write_int(&w, level);
    dm_write_str(&w, line);
}

bool dm_wire_get_log(dm_wire_message *m, dm_wire_log *out)
{
    out->level = (dm_level)dm_read_size(&m->items, DM_ERROR);
    out->line = dm_read_str(&m->items);
    return !m->record.bad;
}

void dm_wire_put_failing(dm_buf *b, dm_role role)
{
    dm_writer w = begin(b, DM_MSG_FAILING, 1);
    dm_write_int(&w, role);
}

bool dm_wire_get_failing(dm_wire_message *m, dm_role *out)
{
    *out = (dm_role)dm_read_size(&m->items, DM_ROLES - 1);
    return !m->record.bad;
}

void dm_wire_put_slow(dm_buf *b, const dm_wire_slow *s)
{
    dm_writer w = begin(b, DM_MSG_SLOW, 3);
    dm_write_int(&w, s->role);
    dm_write_int(&w, (int64_t)s->endpoint);
    dm_write_double(&w, s->seconds);
}

bool dm_wire_get_slow(dm_wire_message *m, dm_wire_slow *out)
{
    out->role = (dm_role)dm_read_size(&m->items, DM_ROLES - 1);
    out->endpoint = dm_read_size(&m->items, MOST_ENDPOINTS);
    out->seconds = dm_read_double(&m->items);
    return !m->record.bad;
}

void dm_wire_put_limits(dm_buf *b, const dm_wire_limits *l)
{
    dm_writer w = begin(b, DM_MSG_LIMITS, 2 + DM_RATES);
    dm_write_int(&w, l->role);
    dm_write_int(&w, (int64_t)l->endpoint);
    for (int k = 0; k < DM_RATES; k++)
        dm_write_double(&w, l->limit[k]);
}

bool dm_wire_get_limits(dm_wire_message *m, dm_wire_limits *out)
{
    out->role = (dm_role)dm_read_size(&m->items, DM_ROLES - 1);
    out->endpoint = dm_read_size(&m->items, MOST_ENDPOINTS);
    for (int k = 0; k < DM_RATES; k++)
        out->limit[k] = dm_read_double(&m->items);
    return !m->record.bad;
}

void dm_wire_put_tally(dm_buf *b, const dm_wire_tally *t)
{
    dm_writer w = begin(b, DM_MSG_TALLY, 4);
    dm_write_int(&w, t->role);
    dm_write_int(&w, (int64_t)t->endpoint);
    dm_write_int(&w, (int64_t)t->answered);
    dm_write_int(&w, (int64_t)t->refused);
}

bool dm_wire_get_tally(dm_wire_message *m, dm_wire_tally *out)
{
    out->role = (dm_role)dm_read_size(&m->items, DM_ROLES - 1);
    out->endpoint = dm_read_size(&m->items, MOST_ENDPOINTS);
    out->answered = dm_read_size(&m->items, UINT32_MAX);
    out->refused = dm_read_size(&m->items, UINT32_MAX);
    return !m->record.bad;
}

void dm_wire_put_pace(dm_buf *b, const dm_wire_pace *p)
{
    dm_writer w = begin(b, DM_MSG_PACE, 4);
    dm_write_int(&w, p->role);
    dm_write_int(&w, (int64_t)p->endpoint);
    dm_write_double(&w, p->pace);
    dm_write_double(&w, p->offset);
}

bool dm_wire_get_pace(dm_wire_message *m, dm_wire_pace *out)
{
    out->role = (dm_role)dm_read_size(&m->items, DM_ROLES - 1);
    out->endpoint = dm_read_size(&m->items, MOST_ENDPOINTS);
    out->pace = dm_read_double(&m->items);
    out->offset = dm_read_double(&m->items);
    return !m->record.bad;
}
