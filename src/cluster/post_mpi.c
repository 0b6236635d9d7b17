/* The table of one ABI of MPI: the only file that includes mpi.h. DM_POST_STANDARD: of the standard
 * one, MPI 5's, whose header some call mpi_abi.h. */
#include "cluster/post.h"

#include <string.h>
#if defined(DM_POST_STANDARD) && __has_include(<mpi_abi.h>)
#include <mpi_abi.h>
#else
#include <mpi.h>
#endif

#ifdef OPEN_MPI
#define ABI "openmpi"
#elif defined(DM_POST_STANDARD) || (defined(MPI_ABI_VERSION) && !defined(MPICH_NUMVERSION))
#define ABI "standard"
#else
#define ABI "mpich" /* also Intel's and others that came of it */
#endif
#if defined(DM_POST_STANDARD) && (defined(OPEN_MPI) || defined(MPICH_NUMVERSION))
#error "this mpi.h is not that of the standard ABI"
#endif

static MPI_Comm comm;
static MPI_Message found; /* what match saw last */

_Static_assert(sizeof(MPI_Request) <= sizeof(dm_post_request), "a request has room");

static void put(dm_post_request *to, MPI_Request r)
{
    memcpy(to, &r, sizeof r);
}

static MPI_Request get(const dm_post_request *from)
{
    MPI_Request r;
    memcpy(&r, from, sizeof r);
    return r;
}

static void library(char *text, size_t room)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int n = 0;
    MPI_Get_library_version(name, &n);
    size_t length = strcspn(name, "\n");
    if (length >= room)
        length = room - 1;
    memcpy(text, name, length);
    text[length] = 0;
}

static bool start(int *argc, char ***argv, int *rank, int *size)
{
    int provided;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return false;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (MPI_Comm_dup(MPI_COMM_WORLD, &comm) != MPI_SUCCESS)
        return false;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm, rank);
    MPI_Comm_size(comm, size);
    return true;
}

static void end(void)
{
    MPI_Finalize();
}

static bool one_host(void)
{
    MPI_Comm host;
    int n = 0, size = 0, mine = 0, all = 0;
    if (MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) != MPI_SUCCESS)
        return false;
    MPI_Comm_size(host, &n);
    MPI_Comm_free(&host);
    MPI_Comm_size(comm, &size);
    mine = n == size;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LAND, comm);
    return all;
}

static void extremes(int value, int *least, int *most)
{
    MPI_Allreduce(&value, most, 1, MPI_INT, MPI_MAX, comm);
    MPI_Allreduce(&value, least, 1, MPI_INT, MPI_MIN, comm);
}

static bool gather(const void *mine, void *all, int each)
{
    return MPI_Allgather(mine, each, MPI_BYTE, all, each, MPI_BYTE, comm) == MPI_SUCCESS;
}

static void spread(void *bytes, int n)
{
    MPI_Bcast(bytes, n, MPI_BYTE, 0, comm);
}

static void collect(const int *mine, int *all, dm_post_request *r)
{
    MPI_Request own = MPI_REQUEST_NULL;
    MPI_Igather(mine, 1, MPI_INT, all, 1, MPI_INT, 0, comm, &own);
    put(r, own);
}

static bool send(const void *bytes, size_t n, int to, dm_post_kind kind, dm_post_request *r)
{
    MPI_Request own;
    if (MPI_Isend(bytes, (int)n, MPI_BYTE, to, (int)kind, comm, &own) != MPI_SUCCESS)
        return false;
    put(r, own);
    return true;
}

static bool match(dm_post_kind kind, int *from, size_t *n)
{
    MPI_Status status;
    int there = 0, count = 0;
    MPI_Improbe(MPI_ANY_SOURCE, (int)kind, comm, &there, &found, &status);
    if (!there)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &count);
    *from = status.MPI_SOURCE;
    *n = (size_t)count;
    return true;
}

static void take(void *bytes, size_t n, dm_post_request *r)
{
    MPI_Request own = MPI_REQUEST_NULL;
    MPI_Imrecv(bytes, (int)n, MPI_BYTE, &found, &own);
    put(r, own);
}

static void drop(void)
{
    MPI_Request own = MPI_REQUEST_NULL;
    MPI_Imrecv(NULL, 0, MPI_BYTE, &found, &own);
    if (own != MPI_REQUEST_NULL)
        MPI_Request_free(&own);
}

static bool done(dm_post_request *r)
{
    MPI_Request own = get(r);
    int it = 0;
    MPI_Test(&own, &it, MPI_STATUS_IGNORE);
    put(r, own);
    return it;
}

extern const dm_post dm_post_table; /* a loaded table is found by this name */
const dm_post dm_post_table = {
    .version = DM_POST_VERSION,
    .abi = ABI,
    .library = library,
    .start = start,
    .end = end,
    .one_host = one_host,
    .extremes = extremes,
    .gather = gather,
    .spread = spread,
    .collect = collect,
    .send = send,
    .match = match,
    .take = take,
    .drop = drop,
    .done = done,
};
