/* What a server says is wrong, in whatever form it says it: the many shapes of an error object, a
 * plain text, a page of HTML that somebody before the server wrote. */
#include "lm/words.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEEPEST    6   /* levels of an error object that are looked into */
#define MOST_ITEMS 3   /* of a list of complaints */
#define MOST_TITLE 100 /* bytes of a page's title */
#define MOST_BEGIN 120 /* of a body that is no JSON */
#define MOST_PAGE  ((size_t)64 << 10)

/* ---- objects ---- */

static bool is_blank(char c)
{
    return c && strchr(" \t\r\n\f\v", c);
}

static dm_str trimmed(dm_str s)
{
    while (s.n && is_blank(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static const dm_value *member(const dm_value *dict, const char *name)
{
    for (size_t i = 0; i < dict->n; i++)
        if (dict->members[i].key.n == strlen(name) &&
            strncasecmp(dict->members[i].key.p, name, dict->members[i].key.n) == 0)
            return dict->members[i].value;
    return NULL;
}

static bool put(dm_buf *b, const dm_value *v, int depth);

/* Where in the request it is, as pydantic says it: ["body", "messages", 0]. */
static void put_place(dm_buf *b, const dm_value *loc)
{
    bool any = false;
    for (size_t i = 0; loc && loc->kind == DM_LIST && i < loc->n; i++) {
        const dm_value *v = loc->items[i];
        if (v->kind != DM_STRING && v->kind != DM_INT)
            continue;
        dm_buf_printf(b, "%s%.*s", any ? "." : "", DM_STR_ARG(v->text));
        any = true;
    }
    if (any)
        dm_buf_text(b, ": ");
}

static bool put_list(dm_buf *b, const dm_value *list, int depth)
{
    size_t n = 0, i = 0;
    for (; i < list->n && n < MOST_ITEMS; i++) {
        size_t before = b->len;
        if (n)
            dm_buf_text(b, "; ");
        if (put(b, list->items[i], depth))
            n++;
        else
            b->len = before;
    }
    if (n && i < list->n)
        dm_buf_printf(b, "; and %zu more", list->n - i);
    return n > 0;
}

/* An object that has none of the usual names tells by its first member that says anything:
 * {"temperature": ["must be at most 2"]}. */
static bool put_any(dm_buf *b, const dm_value *dict, int depth)
{
    for (size_t i = 0; i < dict->n; i++) {
        size_t before = b->len;
        dm_buf_printf(b, "%.*s: ", DM_STR_ARG(dict->members[i].key));
        if (put(b, dict->members[i].value, depth))
            return true;
        b->len = before;
    }
    return false;
}

static bool put_dict(dm_buf *b, const dm_value *dict, int depth)
{
    static const char *const names[] = {
        "error",   "errors",        "message",      "msg",           "detail",
        "details", "error_message", "errorMessage", "error_msg",     "error_description",
        "title",   "description",   "reason",       "fault",         "faultstring",
        "cause",   "response",      "body",         "status_message"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const dm_value *v = member(dict, names[i]);
        size_t before = b->len;
        if (!v)
            continue;
        put_place(b, member(dict, "loc"));
        if (put(b, v, depth))
            return true;
        b->len = before;
    }
    return depth > 1 && put_any(b, dict, depth);
}

/* Whether it says anything; else b is as it was. */
static bool put(dm_buf *b, const dm_value *v, int depth)
{
    if (!v || depth > DEEPEST)
        return false;
    if (v->kind == DM_STRING) {
        dm_str s = trimmed(v->text);
        dm_buf_str(b, s);
        return s.n > 0;
    }
    if (v->kind == DM_LIST)
        return put_list(b, v, depth + 1);
    return v->kind == DM_DICT && put_dict(b, v, depth + 1);
}

void dm_said_words(dm_buf *b, const dm_value *root)
{
    if (put(b, root, 0) || !root || root->kind == DM_NULL)
        return;
    bool nothing = (root->kind == DM_DICT || root->kind == DM_LIST) && root->n == 0;
    if (!nothing) /* its own way: as it is */
        dm_json_write(b, root, DM_JSON_PYTHON);
}

const dm_value *dm_said_object(const dm_value *root)
{
    if (root && root->kind == DM_LIST && root->n > 0)
        root = root->items[0];
    return root;
}

/* ---- pages ---- */

static bool begins(dm_str s, const char *with)
{
    return s.n >= strlen(with) && strncasecmp(s.p, with, strlen(with)) == 0;
}

static dm_str after(dm_str s, size_t n)
{
    n = n < s.n ? n : s.n;
    return (dm_str){s.p + n, s.n - n};
}

/* Where the word begins, in any case; s.n: nowhere. */
static size_t find(dm_str s, const char *word)
{
    size_t i = 0;
    while (i < s.n && !begins(after(s, i), word))
        i++;
    return i;
}

static dm_str text_of_body(dm_str body)
{
    if (begins(body, "\xEF\xBB\xBF"))
        body = after(body, 3);
    return trimmed(body);
}

bool dm_is_page(dm_str body, const char *content_type)
{
    dm_str s = text_of_body(body);
    return (content_type &&
            (strcasestr(content_type, "html") || strcasestr(content_type, "xml"))) ||
           begins(s, "<!doctype") || begins(s, "<html") || begins(s, "<head") ||
           begins(s, "<body") || begins(s, "<?xml");
}

/* What stands between its title's tags, or its first heading's. */
static dm_str title_of(dm_str page)
{
    static const char *const tags[][2] = {{"<title", "</title"}, {"<h1", "</h1"}};
    page.n = page.n < MOST_PAGE ? page.n : MOST_PAGE;
    for (size_t i = 0; i < 2; i++) {
        dm_str from = after(page, find(page, tags[i][0]));
        from = after(from, find(from, ">") + 1);
        dm_str title = trimmed((dm_str){from.p, find(from, tags[i][1])});
        if (title.n && title.n < from.n)
            return title;
    }
    return (dm_str){"", 0};
}

/* "1,234 bytes". */
static void put_size(dm_buf *b, size_t n)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%zu", n);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            dm_buf_char(b, ',');
        dm_buf_char(b, digits[i]);
    }
    dm_buf_text(b, n == 1 ? " byte" : " bytes");
}

/* No more than so many bytes of the text, in one line, a run of blanks as one. */
static void put_begin(dm_buf *b, dm_str text, size_t most)
{
    dm_buf one;
    dm_buf_init(&one, MOST_PAGE + 1);
    text.n = text.n < MOST_PAGE ? text.n : MOST_PAGE;
    for (size_t i = 0; i < text.n; i++)
        if (!is_blank(text.p[i]))
            dm_buf_char(&one, text.p[i]);
        else if (one.len && one.data[one.len - 1] != ' ')
            dm_buf_char(&one, ' ');
    char *shown = dm_outside(trimmed(dm_buf_view(&one)), most);
    dm_buf_printf(b, "\"%s\"", shown);
    free(shown);
    dm_buf_free(&one);
}

void dm_said_odd(dm_buf *b, dm_str body, const char *content_type)
{
    dm_str text = text_of_body(body);
    if (text.n == 0) {
        dm_buf_text(b, "an empty body");
    } else {
        dm_str name = {content_type ? content_type : "", 0};
        name.n = strcspn(name.p, "; ");
        char *type = dm_outside(name, 60);
        dm_str title = dm_is_page(body, content_type) ? title_of(text) : (dm_str){"", 0};
        dm_buf_printf(b, "not JSON but %s of ", *type ? type : "a body without a content type");
        put_size(b, body.n);
        dm_buf_text(b, ", ");
        if (title.n) {
            put_begin(b, title, MOST_TITLE);
            dm_buf_text(b, ", that begins ");
        }
        put_begin(b, text, title.n ? MOST_BEGIN / 2 : MOST_BEGIN);
        free(type);
    }
    dm_buf_text(b, DM_SAID_BY_WHOM);
}
