/* The bell and the signs of life: who is heard, by which road, and how long one sleeps. */
#include "cluster/doorbell.h"
#include "cluster/signs.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

/* ---- signs ---- */

static dm_signs *coordinator(int size)
{
    dm_signs *s = dm_signs_new(size, 100);
    for (int i = 1; i < size; i++)
        dm_signs_expect(s, i, true);
    return s;
}

/* Listens each tenth of a second; rank 1 is heard on the roads each second. */
static double listen_for(dm_signs *s, double now, double seconds, bool datagrams, bool messages)
{
    for (int i = 0; i < (int)(10 * seconds); i++) {
        now += 0.1;
        dm_signs_listen(s, now);
        if (i % 10 == 9 && datagrams)
            dm_signs_heard(s, 1, DM_ROAD_DATAGRAM);
        if (i % 10 == 9 && messages)
            dm_signs_heard(s, 1, DM_ROAD_MESSAGE);
        dm_signs_idle(s);
    }
    return now;
}

Test(bell, silent_is_who_is_heard_by_neither_road)
{
    static const struct {
        bool datagrams, messages, silent, deaf;
    } cases[] = {{true, true, false, false},
                 {true, false, false, false},
                 {false, true, false, true},
                 {false, false, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dm_signs *s = coordinator(2);
        double now = listen_for(s, 100, 3, true, true);
        listen_for(s, now, 60, cases[i].datagrams, cases[i].messages);
        cr_expect_eq(dm_signs_silence(s, 1) > 6, cases[i].silent, "case %zu", i);
        cr_expect_eq(dm_signs_deaf(s), cases[i].deaf, "case %zu", i);
        dm_signs_free(s);
    }
}

Test(bell, time_away_is_no_silence)
{
    dm_signs *s = coordinator(2);
    double now = listen_for(s, 100, 3, true, true);
    dm_signs_listen(s, now + 3600); /* we were stopped */
    cr_expect_lt(dm_signs_silence(s, 1), 1);
    cr_expect(!dm_signs_deaf(s));
    dm_signs_free(s);
}

Test(bell, who_is_not_expected_makes_nobody_deaf)
{
    dm_signs *s = coordinator(3);
    double now = listen_for(s, 100, 20, true, true);
    cr_expect(dm_signs_deaf(s), "rank 2 was never heard");
    cr_expect_float_eq(dm_signs_patience(s, now, false), 0.05, 1e-9);
    dm_signs_expect(s, 2, false); /* it is lost */
    cr_expect(!dm_signs_deaf(s));
    cr_expect_float_eq(dm_signs_patience(s, now, false), 0.1, 1e-9);
    dm_signs_free(s);
}

Test(bell, the_deaf_look_often_after_traffic_and_then_seldom)
{
    dm_signs *s = coordinator(2);
    double now = listen_for(s, 100, 20, false, true), last = 0;
    dm_signs_traffic(s, now);
    for (double quiet = 0; quiet < 3; quiet += 0.01) {
        double t = dm_signs_patience(s, now + quiet, false);
        cr_expect_geq(t, last, "it grows");
        cr_expect_geq(t, 0.001);
        cr_expect_leq(t, 0.05);
        if (quiet <= 0.2) /* a call of 200 ms: its places are full at least 90 % of the time */
            cr_expect_leq(t, 0.011);
        cr_expect_float_eq(dm_signs_patience(s, now + quiet, true), 0.001, 1e-9, "MPI is to move");
        last = t;
    }
    cr_expect_float_eq(last, 0.05, 1e-9);
    dm_signs_free(s);
}

Test(bell, who_hears_the_bell_sleeps_longer_from_turn_to_turn)
{
    dm_signs *s = coordinator(2);
    double now = listen_for(s, 100, 20, true, true), last = 0;
    dm_signs_traffic(s, now);
    cr_expect_eq(dm_signs_patience(s, now, false), 0);
    for (int turn = 0; turn < 12; turn++) {
        dm_signs_idle(s);
        double t = dm_signs_patience(s, now, false);
        cr_expect_geq(t, last);
        last = t;
    }
    cr_expect_float_eq(last, 0.1, 1e-9);
    dm_signs_free(s);
}

/* ---- datagrams ---- */

static int heard_of[2];

static void note(void *user, int rank)
{
    (void)user;
    heard_of[rank]++;
}

/* Two bells that know of each other; the caller frees them. */
static void pair(bool one_host, const char *interface, dm_doorbell *b[2])
{
    dm_error err = {DM_OK, ""};
    size_t len = 0;
    char cards[2048];
    for (int i = 0; i < 2; i++) {
        b[i] = dm_doorbell_new(one_host, interface, &err);
        cr_assert(b[i], "%s", err.text);
        const void *mine = dm_doorbell_address(b[i], &len);
        cr_assert_leq(2 * len, sizeof cards);
        memcpy(cards + (size_t)i * len, mine, len);
    }
    for (int i = 0; i < 2; i++) {
        dm_doorbell_peers(b[i], cards, len, 2);
        dm_doorbell_token(b[i], 42);
    }
    memset(heard_of, 0, sizeof heard_of);
}

static bool hush(dm_doorbell *b)
{
    struct pollfd fd = {dm_doorbell_fd(b), POLLIN, 0};
    poll(&fd, 1, 2000); /* it is there at once; a machine may be busy */
    return dm_doorbell_hush(b, note, NULL);
}

Test(bell, rings_and_beats_arrive)
{
    static const char *const interfaces[] = {NULL, "127.0.0.1", "192.0.2.77", "no address"};
    for (int i = 0; i < 5; i++) { /* the last on one host; an address that is not ours counts not */
        dm_doorbell *b[2];
        pair(i == 4, i < 4 ? interfaces[i] : NULL, b);
        dm_doorbell_ring(b[0], 1);
        cr_expect(hush(b[1]), "case %d", i);
        cr_expect_eq(dm_doorbell_beat(b[0], 1, 0), DM_BEAT_SENT);
        cr_expect(!hush(b[1]), "a beat is no ring");
        cr_expect_geq(heard_of[0], 1, "case %d", i); /* once for each of our addresses */
        dm_doorbell_beat(b[1], 0, 1);                /* to where the other's came from */
        cr_expect(!hush(b[0]));
        cr_expect_geq(heard_of[1], 1, "case %d", i);
        dm_doorbell_free(b[0]);
        dm_doorbell_free(b[1]);
    }
}

Test(bell, other_runs_are_not_heard)
{
    dm_doorbell *b[2];
    pair(false, "127.0.0.1", b);
    dm_doorbell_token(b[0], 43);
    dm_doorbell_beat(b[0], 1, 0);
    cr_expect(!hush(b[1]));
    dm_doorbell_token(b[0], 42);
    dm_doorbell_beat(b[0], 1, 7); /* there is no such rank */
    cr_expect(!hush(b[1]));
    cr_expect_eq(heard_of[0] + heard_of[1], 0);
    dm_doorbell_free(b[0]);
    dm_doorbell_free(b[1]);
}

Test(bell, on_one_host_the_dead_are_known)
{
    dm_doorbell *b[2];
    pair(true, NULL, b);
    cr_expect_eq(dm_doorbell_beat(b[0], 1, 0), DM_BEAT_SENT);
    dm_doorbell_free(b[1]);
    cr_expect_eq(dm_doorbell_beat(b[0], 1, 0), DM_BEAT_GONE);
    dm_doorbell_free(b[0]);
}
