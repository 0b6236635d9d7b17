#include "cluster/world.h"
#include "base/path.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Not below least; otherwise: it is not there, or no number. */
static long number(const char *name, long least, long otherwise)
{
    const char *text = getenv(name);
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    return text && end != text && !*end && n >= least ? n : otherwise;
}

/* Tasks of the step; 0: in no step. What is of the job alone is also in its batch script. */
static long slurm_tasks(void)
{
    if (!getenv("SLURM_STEP_ID") && !getenv("SLURM_STEPID"))
        return 0;
    return number("SLURM_STEP_NUM_TASKS", 1, number("SLURM_NTASKS", 1, 1));
}

dm_world dm_world_of(bool open_mpi, bool terminal)
{
    static const dm_world alone = {.size = 1};
    dm_world w = {.by = "mpirun"};
    if (getenv("OMPI_COMM_WORLD_SIZE")) {
        w.size = number("OMPI_COMM_WORLD_SIZE", 1, 1);
        w.rank = number("OMPI_COMM_WORLD_RANK", 0, 0);
        w.joins = true;
        return w.size > 1 ? w : alone;
    }
    if (terminal && (getenv("SLURM_PTY_PORT") || getenv("SLURM_PTY_WIN_COL")))
        return alone;
    long tasks = slurm_tasks();
    bool pmix = getenv("PMIX_RANK"), pmi = getenv("PMI_RANK");
    /* Hydra, the mpirun of MPICH and of Intel MPI; in an allocation it goes to hosts by srun, in a
     * step whose tasks are its own proxies. */
    bool hydra = pmi && !pmix && (!tasks || getenv("MPI_LOCALRANKID"));
    w.by = hydra ? "mpirun" : tasks ? "srun" : "the launcher";
    w.joins = pmix || (pmi && !open_mpi);
    w.apart = hydra && !w.joins;
    if (pmix)
        w.rank = number("PMIX_RANK", 0, 0);
    else
        w.rank = number(pmi ? "PMI_RANK" : "SLURM_PROCID", 0, 0);
    if (hydra)
        w.size = number("PMI_SIZE", 1, 1);
    else if (tasks)
        w.size = tasks;
    else
        w.size = pmix ? LONG_MAX : 1; /* a launcher that does not tell: MPI knows */
    return w.size > 1 ? w : alone;
}

/* Open MPI 4 of Debian ends where there is no ssh, for ranks on this host too. */
static bool reaches_hosts(void)
{
    static const char *const others[] = {"PBS_JOBID", "LSB_JOBID", "PE_HOSTFILE", "LOADL_STEP_ID"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (getenv(others[i]))
            return true;
    return dm_in_path("ssh", "") || dm_in_path("rsh", "");
}

void dm_world_leave(bool by_slurm, bool far)
{
    static const char *const theirs[] = {"PMIX_",          "PMI_",  "OMPI_COMM_WORLD_",
                                         "OMPI_UNIVERSE_", "HYDI_", "HYDRA_BSTRAP_",
                                         "MPI_LOCAL"};
    char name[256];
    for (size_t i = 0; environ && environ[i];) {
        const char *end = strchr(environ[i], '=');
        size_t n = end ? (size_t)(end - environ[i]) : 0;
        bool goes = false;
        for (size_t k = 0; k < sizeof theirs / sizeof *theirs; k++)
            goes |= strncmp(environ[i], theirs[k], strlen(theirs[k])) == 0;
        goes &= strncmp(environ[i], "PMIX_MCA_", 9) != 0 && n > 0 && n < sizeof name;
        if (!goes) {
            i++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)n, environ[i]);
        unsetenv(name); /* the next one is in its place */
    }
    if (by_slurm)
        return;
    setenv("OMPI_MCA_ras", "^slurm", 0);
    setenv("PRTE_MCA_ras", "^slurm", 0); /* Open MPI 5 */
    setenv("PRTE_MCA_plm", "^slurm", 0);
    setenv("OMPI_MCA_plm", far || reaches_hosts() ? "^slurm" : "isolated", 0);
}

/* "n1", "a,b", "n[01-10,12],m[1-2]x[1-3]": how many names. */
static long count_names(const char *list)
{
    long all = 0, of_name = *list ? 1 : 0;
    for (const char *p = list; *p; p++) {
        if (*p == ',') {
            all += of_name;
            of_name = 1;
        } else if (*p == '[') {
            long in_brackets = 0;
            while (*p && *p != ']') {
                char *end;
                long from = strtol(++p, &end, 10), to = from;
                if (*end == '-')
                    to = strtol(end + 1, &end, 10);
                in_brackets += to >= from && to - from < 1000000 ? to - from + 1 : 1;
                p = end;
                while (*p && *p != ',' && *p != ']')
                    p++;
            }
            of_name *= in_brackets;
            if (!*p)
                break;
        }
    }
    return all + of_name;
}

static long slurm_hosts(void)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    if (!getenv("SLURM_JOB_ID") && !getenv("SLURM_JOBID"))
        return 0;
    if (!list)
        list = getenv("SLURM_NODELIST");
    return list ? count_names(list)
                : number("SLURM_JOB_NUM_NODES", 1, number("SLURM_NNODES", 1, 1));
}

bool dm_world_by_slurm(long *hosts)
{
    *hosts = slurm_hosts();
    return *hosts > 1 && dm_in_path("srun", "");
}
