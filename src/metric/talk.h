/* What is said between this process and a metric's children: questions out, answers in. */
#ifndef DM_METRIC_TALK_H
#define DM_METRIC_TALK_H

#include "metric/child.h"
#include "metric/metric.h"

#define DM_METRIC_OLD_IDS 64 /* of questions that a child has answered: it may say so again */

typedef struct dm_question {
    struct dm_question *next;
    char *line; /* to be sent, with its line end */
    size_t n;
    int64_t id;
    bool again; /* a second child has it */
    dm_metric_done *done;
    void *user;
} dm_question;

typedef struct dm_talker {
    dm_child child;
    dm_question *asked; /* NULL: free */
    size_t sent;        /* bytes of it */
    bool nudged, ready; /* the first byte of the next question was sent, and read */
    bool held;          /* an answer that names no question waits to be the only one */
    bool ends;          /* the child is ended with it: it said it twice, or takes no more */
    dm_metric_score answer;
    bool begun;    /* it has read a question */
    bool answered; /* something, since it was started */
    bool reading;  /* its answers are being handed out: what is submitted meanwhile waits */
    double due;
    double look;     /* when to see whether it lives, and has read */
    unsigned starts; /* how often it was started or ended: what it said before is void */
    int64_t old[DM_METRIC_OLD_IDS];
    size_t n_old;
    size_t n_noise;    /* lines since it was asked that were no answers */
    size_t heard;      /* bytes read since it was asked */
    dm_buf line, said; /* what came on stdout, and the newest of stderr */
} dm_talker;

struct dm_metric_command {
    char **argv;         /* the guard's name, and the words of the command */
    char *folder;        /* "DSPY_MPI_JOB_DIR=...": where scripts/metric-host looks for modules */
    dm_talker *children; /* [n] */
    size_t n;
    int epoll; /* of all that the children may say */
    dm_endings endings;
    double timeout, start;
    dm_question *first, **end; /* waiting */
    bool ever;                 /* it has answered */
    size_t silent;             /* examples in a row without an answer */
    size_t strays;             /* answers that nobody asked for */
    char odd[500];             /* what is wrong with a line that it wrote; "": nothing was seen */
    bool warned;               /* that was said */
    char trouble[2600];        /* why it is asked no more; "": it is */
};
typedef struct dm_metric_command dm_metric_command;

/* Gives a question to each child that is free. */
void dm_talk_ask(dm_metric_command *m);
/* Hears what the children said, and ends those whose time is over. */
void dm_talk_hear(dm_metric_command *m);
/* When dm_talk_hear has something to do at the latest; INFINITY: nothing is asked. */
double dm_talk_due(const dm_metric_command *m);
/* Ends the children; whoever waits gets the error that the run has ended. */
void dm_talk_end(dm_metric_command *m);

/* Whether the line, which a child wrote, is an answer; then *s is what it says (its text is a's)
 * and *id the question it names: 0 for one that cannot be, -1: it names none. */
bool dm_talk_read(dm_arena *a, dm_str line, dm_metric_score *s, int64_t *id) DM_MUST_USE;

#endif
