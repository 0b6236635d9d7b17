#include "adapter/media.h"
#include "json/json.h"

#include <string.h>

#define BEGIN "<<CUSTOM-TYPE-START-IDENTIFIER>>"
#define END   "<<CUSTOM-TYPE-END-IDENTIFIER>>"

static const struct {
    const char *type, *words;
} kinds[] = {{"image_url", "an image"},      {"image", "an image"},    {"input_image", "an image"},
             {"input_audio", "a recording"}, {"audio", "a recording"}, {"video_url", "a video"},
             {"input_video", "a video"},     {"video", "a video"},     {"file", "a file"},
             {"input_file", "a file"}};

static const char *words_for(dm_str type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (dm_str_is(type, kinds[i].type))
            return kinds[i].words;
    return NULL;
}

/* Where it is to be had, if its bytes are not here. */
static dm_str address_of(const dm_value *part, dm_str type)
{
    const dm_value *inner = dm_value_get_str(part, type), *url = dm_value_get(inner, "url");
    url = url ? url : inner;
    bool has = url && url->kind == DM_STRING && dm_str_starts(url->text, "http");
    return has ? url->text : (dm_str){NULL, 0};
}

static void put_part(dm_buf *b, const dm_value *part)
{
    const dm_value *type = dm_value_get(part, "type"), *text = dm_value_get(part, "text");
    dm_str name = type && type->kind == DM_STRING ? type->text : (dm_str){NULL, 0};
    const char *words = name.p ? words_for(name) : NULL;
    if (words) {
        dm_str url = address_of(part, name);
        dm_buf_printf(b, "[%s that is not shown%s%.*s]", words, url.n ? ": " : "", DM_STR_ARG(url));
    } else if (name.p && dm_str_is(name, "text") && text && text->kind == DM_STRING) {
        dm_buf_str(b, text->text);
    } else {
        dm_json_write(b, part, DM_JSON_PYTHON);
    }
}

/* The parts, which may stand in a text of JSON in their turn. NULL: they cannot be read. */
static const dm_value *parts_of(dm_arena *a, dm_str s)
{
    const dm_value *v = dm_json_read(a, s, NULL);
    if (!v) {
        const dm_value *text =
            dm_json_read(a, dm_str_of(dm_arena_printf(a, "\"%.*s\"", DM_STR_ARG(s))), NULL);
        v = text && text->kind == DM_STRING ? dm_json_read(a, text->text, NULL) : NULL;
    }
    return v && v->kind == DM_LIST ? v : NULL;
}

static void put_parts(dm_buf *b, dm_arena *a, dm_str s)
{
    const dm_value *parts = parts_of(a, s);
    if (!parts)
        dm_buf_text(b, "[something that is not shown]");
    for (size_t i = 0; parts && i < parts->n; i++)
        put_part(b, parts->items[i]);
}

static const char *find(dm_str s, const char *what)
{
    return s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

static dm_str from(dm_str s, const char *p)
{
    return (dm_str){p, s.n - (size_t)(p - s.p)};
}

static const dm_value *of_text(dm_arena *a, const dm_value *v)
{
    dm_str s = v->text;
    const char *begin = find(s, BEGIN), *end;
    if (!begin)
        return v;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    while ((begin = find(s, BEGIN))) {
        dm_str inner = from(s, begin + strlen(BEGIN));
        end = find(inner, END);
        if (!end)
            break;
        dm_buf_add(&b, s.p, (size_t)(begin - s.p));
        put_parts(&b, a, (dm_str){inner.p, (size_t)(end - inner.p)});
        s = from(s, end + strlen(END));
    }
    dm_buf_str(&b, s);
    const dm_value *shown = dm_value_string(a, dm_buf_view(&b));
    dm_buf_free(&b);
    return shown;
}

static const dm_value *of_list(dm_arena *a, const dm_value *v)
{
    dm_value *shown = dm_value_list(a);
    bool same = true;
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *item = dm_without_media(a, v->items[i]);
        same = same && item == v->items[i];
        dm_value_append(a, shown, item);
    }
    return same ? v : shown;
}

static const dm_value *of_dict(dm_arena *a, const dm_value *v)
{
    dm_value *shown = dm_value_dict(a);
    bool same = true;
    for (size_t i = 0; i < v->n; i++) {
        const dm_value *item = dm_without_media(a, v->members[i].value);
        same = same && item == v->members[i].value;
        dm_value_set(a, shown, v->members[i].key, item);
    }
    return same ? v : shown;
}

const dm_value *dm_without_media(dm_arena *a, const dm_value *v)
{
    switch (v->kind) {
    case DM_STRING:
        return of_text(a, v);
    case DM_LIST:
        return of_list(a, v);
    case DM_DICT:
        return of_dict(a, v);
    default:
        return v;
    }
}
