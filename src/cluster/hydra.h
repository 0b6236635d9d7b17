/* What Hydra, the mpirun of MPICH and of Intel MPI, writes to stdout when a rank has died, among
 * the answers: a frame with "BAD TERMINATION". It is taken out; all else goes on byte for byte, and
 * at once but for lines that may begin such a frame. */
#ifndef DM_CLUSTER_HYDRA_H
#define DM_CLUSTER_HYDRA_H

#include "base/buf.h"

typedef struct dm_hydra {
    enum { DM_HYDRA_OUTSIDE, DM_HYDRA_RULE, DM_HYDRA_INSIDE, DM_HYDRA_BEHIND } where;
    bool passing; /* the line that is not yet whole is nothing of it, and goes on as it comes */
    bool blank;   /* an empty line is held: the frame begins with one */
    dm_buf line;  /* the one that is not yet whole, otherwise */
    dm_buf rule;  /* a line of =, until the next one tells what it is */
} dm_hydra;

void dm_hydra_init(dm_hydra *h);
void dm_hydra_free(dm_hydra *h);
/* Adds to out what is an answer, and to noise what is not. */
void dm_hydra_pass(dm_hydra *h, const char *bytes, size_t n, dm_buf *out, dm_buf *noise);
void dm_hydra_end(dm_hydra *h, dm_buf *out, dm_buf *noise); /* nothing more comes */

#endif
