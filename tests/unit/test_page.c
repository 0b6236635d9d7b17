/* Pieces of the report: foreign text stays text, numbers as people read them. */
#include "report/page.h"

#include <criterion/criterion.h>
#include <string.h>

static void shows(const char *text, size_t most, const char *want)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_page_text(&b, dm_str_of(text), most);
    dm_buf_char(&b, 0);
    cr_expect_str_eq(b.data, want);
    dm_buf_free(&b);
}

Test(page, text)
{
    shows("<script>alert('1' & \"2\")</script>", 0,
          "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;");
    shows("&amp;", 0, "&amp;amp;");
    shows("a\nb\tc", 0, "a\nb\tc");
    shows("\xe2\x80\xae"
          "right to left",
          0, "\\u202eright to left");
    shows("\x1b[31m", 0, "\\x1b[31m");
    shows("\xff", 0, "\\xff");
    shows("", 4, "");
    shows("abcdef", 4, "abcd…");
    shows("<<<<<<", 2, "&lt;&lt;…");                   /* an entity is never cut */
    shows("\xc3\xa4\xc3\xb6\xc3\xbc", 3, "\xc3\xa4…"); /* nor is a letter */
}

Test(page, numbers)
{
    static const struct {
        double n;
        const char *want;
    } table[] = {{0, "0"},           {7, "7"},
                 {999, "999"},       {1000, "1,000"},
                 {1343, "1,343"},    {-1000, "-1,000"},
                 {-999, "-999"},     {1234567, "1,234,567"},
                 {NAN, "not known"}, {INFINITY, "not known"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        dm_buf b;
        dm_buf_init(&b, 100);
        dm_page_count(&b, table[i].n);
        dm_buf_char(&b, 0);
        cr_expect_str_eq(b.data, table[i].want);
        dm_buf_free(&b);
    }
}

Test(page, values)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_value_dict(a), *list = dm_value_list(a);
    dm_buf b;
    dm_buf_init(&b, 1000);
    dm_value_append(a, list, dm_value_text(a, "<b>"));
    dm_value_set(a, d, DM_STR("k\"<"), list);
    dm_page_value(&b, d, 0);
    dm_page_value(&b, dm_value_text(a, "<i>"), 0);
    dm_page_value(&b, NULL, 0);
    dm_buf_char(&b, 0);
    cr_expect_str_eq(b.data, "{&quot;k\\&quot;&lt;&quot;: [&quot;&lt;b&gt;&quot;]}&lt;i&gt;");
    dm_buf_free(&b);
    dm_arena_free(a);
}
