/* Inside of the room of hosts: one process, and the runs in it. */
#ifndef DM_HOST_INSIDE_H
#define DM_HOST_INSIDE_H

#include "host/host.h"
#include "metric/child.h"

#define DM_HOST_WORDS 16384 /* bytes of its last words that are kept */

typedef enum dm_host_phase { DM_HOST_NONE, DM_HOST_STARTING, DM_HOST_READY } dm_host_phase;

typedef struct dm_process {
    dm_child child;
    dm_host_phase phase;
    int64_t pid;  /* its own, as it says */
    bool lone;    /* for runs that may be what ends a process: one at a time */
    bool forked;  /* by the zygote, and ends with it */
    bool orphan;  /* since the zygote has ended: not by its own doing */
    bool asked;   /* it was asked where it is, since a run hangs */
    double since; /* started, or asked */
    dm_buf out;   /* to be written, from `sent` on */
    size_t sent;
    dm_buf in; /* read, from `taken` on not yet taken; no line ends before `looked` */
    size_t taken, looked;
    dm_buf words; /* the end of its stderr */
    dm_buf line;  /* the last one that it began there */
    dm_host_run *runs;
    size_t n_runs;
    uint8_t *knows; /* [n_knows / 8] states by number */
    size_t n_knows;
} dm_process;

struct dm_host_state {
    size_t number;
    char *text; /* JSON */
    size_t n;
};

struct dm_host_run {
    dm_hosts *hosts;
    dm_process *process;      /* NULL: it waits for one */
    dm_host_run *next, *prev; /* of the process, or waiting */
    int64_t number;
    const dm_host_state *state;
    char *message;
    size_t n;
    const dm_host_events *events;
    void *user;
    int64_t open; /* calls that are not answered */
    double since; /* the last time that it was asked, answered or begun */
    int deaths;   /* of processes that it was in */
    bool alone;   /* in its process, for as long as it is there */
    bool suspect; /* it is to run alone */
};

/* ---- process.c ---- */

/* 0, or an errno. */
int dm_process_start(dm_process *p, char **argv, char *folder, dm_str hello);
/* A copy of another process, which has the program: the same. */
int dm_process_fork(dm_process *p, const dm_process *zygote);
void dm_process_end(dm_process *p);               /* it can be started again */
void dm_process_send(dm_process *p, dm_str line); /* with its newline; written as it fits */
/* Reads and writes what can be; false: it has ended. Lines are there to take until the next. */
bool dm_process_turn(dm_process *p);
/* What programs print is not shown meanwhile: they run on made-up answers. */
void dm_process_hush(bool hush);
/* The next line, without its end; .p NULL: there is none. Valid until the next turn. */
dm_str dm_process_line(dm_process *p);
/* The user's own line in what the process wrote when it was asked where it is, or when it broke
 * down: "mymod.py:20"; "": not reported. */
void dm_process_where(const dm_process *p, char *out, size_t room);
/* The last line that it wrote, for a sentence; "": none. */
void dm_process_last_words(const dm_process *p, char *out, size_t room);

/* ---- ready.c ---- */

const char *dm_host_text(const dm_value *d, const char *key); /* "": there is no such text */

/* ---- host.c, for way.c ---- */

/* The process where this run is, or any that is ready; NULL: none is. */
dm_process *dm_hosts_process(dm_hosts *h, int64_t run);
/* Told what a process says of a request that it was given (`done`), and that a process has ended.
 */
void dm_hosts_on_go(dm_hosts *h, void (*done)(void *user, const dm_value *message),
                    void (*lost)(void *user, const dm_process *p), void *user);

/* ---- ready.c ---- */

/* Whether what a process says is what has to be the same everywhere (expect; NULL: anything).
 * false: why says which. */
bool dm_ready_fits(const dm_value *expect, const dm_value *ready, char *why, size_t room);

#endif
