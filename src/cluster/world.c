#include "cluster/world.h"
#include "base/path.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* ---- whether the starter is still there ---- */

/* "n.0;tcp4://127.0.0.1:40123": a server on this host has the port as long as it lives. It is not
 * connected to, which it would have to answer; on another host nothing is seen of it. */
static dm_starter pmix_server(const char *uri)
{
    const char *at = strstr(uri, "tcp4://");
    size_t n = at ? strcspn(at += 7, ":") : 0;
    char host[32], *end;
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (!at || at[n] != ':' || n >= sizeof host)
        return DM_STARTER_UNSEEN;
    snprintf(host, sizeof host, "%.*s", (int)n, at);
    long port = strtol(at + n + 1, &end, 10);
    if (end == at + n + 1 || port < 1 || port > 65535 || inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return DM_STARTER_UNSEEN;
    a.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int why = fd < 0 ? errno : bind(fd, (const struct sockaddr *)&a, sizeof a) ? errno : 0;
    if (fd >= 0)
        close(fd);
    return why == 0 ? DM_STARTER_GONE : why == EADDRINUSE ? DM_STARTER_THERE : DM_STARTER_UNSEEN;
}

static dm_starter pmix_starter(void)
{
    static const char name[] = "PMIX_SERVER_URI";
    dm_starter it = DM_STARTER_UNSEEN;
    for (char **e = environ; e && *e && it != DM_STARTER_THERE; e++) {
        dm_starter one = strncmp(*e, name, sizeof name - 1) == 0 ? pmix_server(*e) : it;
        it = one != DM_STARTER_UNSEEN ? one : it;
    }
    return it;
}

/* Hydra and SLURM give a rank a descriptor, unless they give it a port. */
static dm_starter pmi_starter(void)
{
    long fd = number("PMI_FD", 0, -1);
    return fd < 0 || fd > INT_MAX          ? DM_STARTER_UNSEEN
           : fcntl((int)fd, F_GETFD) != -1 ? DM_STARTER_THERE
                                           : DM_STARTER_GONE;
}

/* ---- what it started ---- */

dm_world dm_world_of(bool open_mpi, bool terminal)
{
    static const dm_world alone = {.size = 1};
    dm_world w = {.by = "mpirun"};
    if (getenv("OMPI_COMM_WORLD_SIZE")) {
        w.size = number("OMPI_COMM_WORLD_SIZE", 1, 1);
        w.rank = number("OMPI_COMM_WORLD_RANK", 0, 0);
        w.joins = true;
        w.starter = pmix_starter();
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
    w.starter = pmix ? pmix_starter() : pmi_starter();
    if (tasks && w.starter == DM_STARTER_UNSEEN)
        w.starter = DM_STARTER_THERE; /* as far as a step's variables tell */
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

/* ---- what is left to others ---- */

#define N(list) (sizeof(list) / sizeof *(list))

static bool begins(const char *variable, const char *const *with, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(variable, with[i], strlen(with[i])) == 0)
            return true;
    return false;
}

static void drop_those(bool (*goes)(const char *variable))
{
    char name[256];
    for (size_t i = 0; environ && environ[i];) {
        const char *end = strchr(environ[i], '=');
        size_t n = end ? (size_t)(end - environ[i]) : 0;
        if (n == 0 || n >= sizeof name || !goes(environ[i])) {
            i++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)n, environ[i]);
        unsetenv(name); /* the next one is in its place */
    }
}

/* What mpirun of Open MPI, 4 and 5, tells its ranks; some of it looks like people's own settings. A
 * further mpirun takes it for its own, and fails. */
static bool is_open_mpi_ranks(const char *variable)
{
    static const char *const begin[] = {"OMPI_COMM_WORLD_", "OMPI_UNIVERSE_", "OMPI_WORLD_",
                                        "OMPI_MCA_ess_base_", "OMPI_MCA_orte_ess_"};
    static const char *const whole[] = {"OMPI_APP_CTX_NUM_PROCS=",
                                        "OMPI_ARGV=",
                                        "OMPI_COMMAND=",
                                        "OMPI_FILE_LOCATION=",
                                        "OMPI_FIRST_RANKS=",
                                        "OMPI_NUM_APP_CTX=",
                                        "OMPI_MCA_ess=",
                                        "OMPI_MCA_initial_wdir=",
                                        "OMPI_MCA_mpi_oversubscribe=",
                                        "OMPI_MCA_num_procs=",
                                        "OMPI_MCA_orte_app_num=",
                                        "OMPI_MCA_orte_bound_at_launch=",
                                        "OMPI_MCA_orte_hnp_uri=",
                                        "OMPI_MCA_orte_jobfam_session_dir=",
                                        "OMPI_MCA_orte_launch=",
                                        "OMPI_MCA_orte_local_daemon_uri=",
                                        "OMPI_MCA_orte_num_nodes=",
                                        "OMPI_MCA_orte_precondition_transports=",
                                        "OMPI_MCA_orte_tmpdir_base=",
                                        "OMPI_MCA_orte_top_session_dir=",
                                        "OMPI_MCA_pmix=",
                                        "OMPI_MCA_shmem_RUNTIME_QUERY_hint=",
                                        "PRTE_LAUNCHED="};
    return begins(variable, begin, N(begin)) || begins(variable, whole, N(whole));
}

static bool is_pmix_servers(const char *variable)
{
    return strncmp(variable, "PMIX_", 5) == 0 && strncmp(variable, "PMIX_MCA_", 9) != 0;
}

static bool is_hydras(const char *variable)
{
    static const char *const begin[] = {"PMI_", "HYDI_", "HYDRA_BSTRAP_", "MPI_LOCAL"};
    return begins(variable, begin, N(begin));
}

static bool in_slurms_pmix(void)
{
    const char *space = getenv("PMIX_NAMESPACE");
    return space && strncmp(space, "slurm.", 6) == 0;
}

/* Of several, by what is newer than what PMIx is of. srun may have started Hydra's own processes,
 * and told them of PMIx. */
static bool is_hydras_rank(void)
{
    bool newer = getenv("OMPI_COMM_WORLD_SIZE") ? number("OMPI_COMM_WORLD_SIZE", 1, 1) == 1
                                                : in_slurms_pmix() && getenv("MPI_LOCALRANKID");
    return getenv("PMI_RANK") && number("PMI_SIZE", 1, 1) > 1 && pmi_starter() != DM_STARTER_GONE &&
           (newer || pmix_starter() == DM_STARTER_GONE);
}

void dm_world_tidy(void)
{
    bool hydra = is_hydras_rank();
    if (hydra || (in_slurms_pmix() && getenv("OMPI_COMM_WORLD_SIZE")))
        drop_those(is_open_mpi_ranks);
    if (hydra)
        drop_those(is_pmix_servers);
}

void dm_world_leave(bool by_slurm, bool far)
{
    if (getenv("OMPI_COMM_WORLD_SIZE"))
        drop_those(is_open_mpi_ranks);
    if (getenv("PMIX_RANK") || getenv("PMIX_NAMESPACE")) /* else they are of this installation */
        drop_those(is_pmix_servers);
    drop_those(is_hydras);
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
