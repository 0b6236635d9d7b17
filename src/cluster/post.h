/* What the cluster asks of MPI, without a type of mpi.h: so the program fits every ABI of MPI. Each
 * ABI has a table of these functions, which is post_mpi.c compiled with that mpi.h. A program is
 * linked with one (post_linked.c: `make`), or loads the one that fits the MPI that started it
 * (post_find.c: `make MPI=loaded`). */
#ifndef DM_CLUSTER_POST_H
#define DM_CLUSTER_POST_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define DM_POST_VERSION 1 /* of the table: it grows with each change of struct dm_post */

/* A transfer under way. Its bytes are MPI's until done says true. */
typedef struct dm_post_request {
    void *handle; /* room for MPI's own, whatever that is */
} dm_post_request;

typedef enum dm_post_kind { DM_POST_PARCEL = 1, DM_POST_SIGN } dm_post_kind;

/* All but library are called by the one thread that called start. "collective": all ranks call it,
 * in the same order. Ranks and bytes are of this program's own communicator. */
typedef struct dm_post {
    int version;     /* DM_POST_VERSION */
    const char *abi; /* "openmpi", "mpich", "standard" */
    /* Its own name and version in one line, "" where there is none; also before start. */
    void (*library)(char *text, size_t room);
    bool (*start)(int *argc, char ***argv, int *rank, int *size); /* collective; may abort */
    void (*end)(void);                                            /* collective, unless alone */

    bool (*one_host)(void); /* collective: whether all ranks share one, the same on all */
    void (*extremes)(int value, int *least, int *most);    /* collective */
    bool (*gather)(const void *mine, void *all, int each); /* collective; all: [size][each] */
    void (*spread)(void *bytes, int n);                    /* collective; from rank 0 */
    void (*collect)(const int *mine, int *all, dm_post_request *r); /* collective; all: [size] on
                                                                       rank 0; waits for nobody */

    /* None of these waits. False: it could not be sent, and r is not to be asked for. */
    bool (*send)(const void *bytes, size_t n, int to, dm_post_kind kind, dm_post_request *r);
    /* Whether a message of this kind is there. It is to be taken before the next match; one of no
     * bytes may be dropped instead. */
    bool (*match)(dm_post_kind kind, int *from, size_t *n);
    void (*take)(void *bytes, size_t n, dm_post_request *r);
    void (*drop)(void);
    bool (*done)(dm_post_request *r); /* once true, r is not to be asked for again */
} dm_post;

/* The table for the MPI that started this process; the same at each call. NULL: why not, in one
 * sentence. Does not start MPI. */
const dm_post *dm_post_find(dm_error *err);
/* Where its library is, for people: a path, or "linked". */
const char *dm_post_origin(void);

#endif
