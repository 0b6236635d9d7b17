/* The process of a metric: its pipes, its guard, and whether it has read what it was given. It
 * knows no questions and no answers; these are talk.c's. */
#ifndef DM_METRIC_CHILD_H
#define DM_METRIC_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* guard.c: argv[0] under which this program guards a metric's child, and the descriptor that it
 * reads to know that the rank lives. */
extern const char dm_guard_name[];
#define DM_GUARD_LIFE 3

/* Guards that were asked to end and have not yet. */
typedef struct dm_endings {
    struct dm_ending {
        pid_t pid;
        double since;
    } * list;
    size_t n, cap;
} dm_endings;

typedef struct dm_child {
    pid_t pid;        /* its guard; 0: not running */
    int in, out, err; /* our ends, none of which blocks; -1: closed */
    int life;         /* the guard's pipe: closed when this process ends */
    int epoll;        /* that becomes readable when something may be done */
    dm_endings *ends; /* where its guard is put when it is ended */
    bool waits;       /* `in` is known to epoll */
    bool narrow;      /* its stdin holds one page */
    bool by_socket;   /* before it is started: its stdin is to be a socket, for dm_child_fork */
} dm_child;

void dm_child_init(dm_child *c, int epoll, dm_endings *ends);
/* argv: dm_guard_name and the words of the command, up to a NULL; folder: a variable of its
 * environment. Returns 0, or an errno and the child is not running. */
int dm_child_start(dm_child *c, char **argv, char *folder);
/* One that `parent`, which was started by a socket, is asked to fork: it gets one byte there, and
 * with it the child's stdin, stdout and stderr, and the pipe by which its own guard knows that this
 * process lives. Returns 0 or an errno; EAGAIN: not now. */
int dm_child_fork(dm_child *c, const dm_child *parent);
/* With all that it started, also what has left its process group or session. Does not wait for it.
 */
void dm_child_end(dm_child *c);
/* Looks for those that have ended; wait: until all have. */
void dm_endings_clear(dm_endings *e, bool wait);
bool dm_child_has_died(const dm_child *c);

/* Bytes that were written to its stdin and that it has not read. */
size_t dm_child_unread(const dm_child *c);
/* How much of the n bytes its stdin took; -1: nothing more can come of it. What is left is waited
 * for with epoll. */
ssize_t dm_child_write(dm_child *c, const char *p, size_t n);
/* Gives it one byte and has epoll say when it was read. False: it takes none. */
bool dm_child_nudge(dm_child *c, char byte);

#endif
