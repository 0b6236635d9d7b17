#include "echo.h"

#include <string.h>

#define LONGEST 4097
#define STEP                                                                                       \
    67            /* with no divisor in common with LONGEST: all lengths come, and all ends mod 64 \
                   */
#define SHORT 150 /* of each second one: its key is near enough to be shown */
#define FORMS 7

static dm_buf words;

static void put_base64(dm_buf *b, dm_str s, const char *last_two)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++) {
            unsigned d = v >> (18 - 6 * k) & 63;
            dm_buf_char(b, i + k > s.n ? '=' : d < 62 ? digits[d] : last_two[d - 62]);
        }
    }
}

static void put_each(dm_buf *b, dm_str s, size_t form)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (form == 1)
            dm_buf_printf(b, "\\u%04x", c);
        else if (form == 2)
            dm_buf_printf(b, "%%%02X", c);
        else
            dm_buf_printf(b, "%%%02x", c);
    }
}

void mock_echo_make(dm_str authorization, size_t n)
{
    size_t form = n % FORMS;
    if (!words.max)
        dm_buf_init(&words, 1 << 20);
    dm_buf_reset(&words);
    if (!authorization.p)
        return;
    size_t before = n * STEP % LONGEST;
    for (size_t i = 0; i < (n % 2 ? before % SHORT : before); i++)
        dm_buf_char(&words, 'x');
    if (form == 0)
        dm_buf_str(&words, authorization);
    else if (form < 4)
        put_each(&words, authorization, form);
    else if (form < 6)
        put_base64(&words, authorization, form == 4 ? "+/" : "-_");
    else /* as Basic has it: user and key */
        put_base64(&words, (dm_str){authorization.p + 5, authorization.n - 5}, "+/");
    dm_buf_text(&words, " is what was sent");
}

dm_str mock_echo(void)
{
    return words.len ? dm_buf_view(&words) : DM_STR("");
}
