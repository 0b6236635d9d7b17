/* What started a process, by its environment: who is a rank, and what mpirun is left. */
#include "cluster/world.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* "A=1 B=2": in an environment of its own. */
static void set_all(const char *pairs)
{
    char text[1200];
    clearenv();
    snprintf(text, sizeof text, "%s", pairs);
    for (char *save, *pair = strtok_r(text, " ", &save); pair; pair = strtok_r(NULL, " ", &save))
        putenv(strdup(pair));
}

#define STEP(n) "SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=" n " "

Test(world, who_is_a_rank)
{
    static const struct {
        const char *environment;
        long rank, size;
        bool joins;       /* Open MPI */
        bool joins_mpich; /* another one, which knows PMI */
    } cases[] = {
        {"", 0, 1, false, false},
        {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3 PMIX_RANK=3", 3, 4, true, true},
        {"OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 PMIX_RANK=0", 0, 1, false, false},
        /* in a batch script */
        {"SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_NTASKS=8", 0, 1, false, false},
        /* mpirun there, and in a step */
        {"SLURM_JOB_ID=7 SLURM_PROCID=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1", 1, 2, true,
         true},
        {STEP("1") "PMIX_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1", 1, 2, true, true},
        /* srun -n 1 --pty bash, whatever its --mpi is */
        {STEP("1") "SLURM_PROCID=0", 0, 1, false, false},
        {STEP("1") "SLURM_PROCID=0 PMI_RANK=0 PMI_SIZE=1 PMI_FD=9", 0, 1, false, false},
        {STEP("1") "SLURM_PROCID=0 PMIX_RANK=0 PMIX_NAMESPACE=slurm.pmix.7.0", 0, 1, false, false},
        /* a shell for one of several */
        {STEP("4") "SLURM_PTY_PORT=4711 TTY=1 PMIX_RANK=0", 0, 1, false, false},
        {STEP("4") "SLURM_PTY_PORT=4711 TTY=1 PMI_RANK=0 PMI_SIZE=4", 0, 1, false, false},
        /* a step that was started from there, and mpirun */
        {STEP("4") "SLURM_PTY_PORT=4711 PMIX_RANK=1", 1, 4, true, true},
        {STEP("4") "SLURM_PTY_PORT=4711 TTY=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1", 1, 2,
         true, true},
        /* steps */
        {STEP("4") "SLURM_PROCID=2", 2, 4, false, false},
        {STEP("4") "SLURM_PROCID=2 PMI_RANK=2 PMI_SIZE=4", 2, 4, false, true},
        {STEP("4") "SLURM_PROCID=2 PMIX_RANK=2", 2, 4, true, true},
        /* a job that was submitted from a shell under srun */
        {STEP("1") "SLURM_PROCID=0 PMIX_RANK=0 PMIX_NAMESPACE=old", 0, 1, false, false},
        /* MPICH's own */
        {"PMI_RANK=1 PMI_SIZE=4", 1, 4, false, true},
        {"PMI_RANK=0 PMI_SIZE=1", 0, 1, false, false},
        /* its mpirun in an allocation, by srun to each host, whose step it is in then */
        {STEP("2") "SLURM_PROCID=1 PMI_RANK=5 PMI_SIZE=8 MPI_LOCALRANKID=1", 5, 8, false, true},
        /* a launcher that tells no size */
        {"PMIX_RANK=5 PMIX_NAMESPACE=x", 5, LONG_MAX, true, true},
        {"OMPI_COMM_WORLD_SIZE=many", 0, 1, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int open_mpi = 0; open_mpi < 2; open_mpi++) {
            set_all(cases[i].environment);
            dm_world w = dm_world_of(open_mpi, strstr(cases[i].environment, "TTY=1"));
            cr_expect(w.rank == cases[i].rank && w.size == cases[i].size, "%s: %ld of %ld",
                      cases[i].environment, w.rank, w.size);
            cr_expect_eq(w.joins, open_mpi ? cases[i].joins : cases[i].joins_mpich, "%s",
                         cases[i].environment);
            cr_expect_eq(w.by != NULL, w.size > 1, "%s", cases[i].environment);
        }
}

/* By an mpirun of another MPI; a step of SLURM is no such one, for its tasks may be meant to be
 * apart. */
Test(world, who_is_apart)
{
    static const struct {
        const char *environment;
        bool open_mpi, apart;
    } cases[] = {{"PMI_RANK=1 PMI_SIZE=4", true, true},
                 {"PMI_RANK=1 PMI_SIZE=4", false, false},
                 {"PMI_RANK=0 PMI_SIZE=1", true, false},
                 {STEP("2") "PMI_RANK=1 PMI_SIZE=4 MPI_LOCALRANKID=1", true, true},
                 {STEP("4") "PMI_RANK=2 PMI_SIZE=4", true, false},
                 {"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3", true, false},
                 {"PMIX_RANK=1 PMI_RANK=1 PMI_SIZE=4", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_all(cases[i].environment);
        cr_expect_eq(dm_world_of(cases[i].open_mpi, false).apart, cases[i].apart, "%s",
                     cases[i].environment);
    }
}

/* A server on this host; *port: its. */
static int listening(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static dm_starter starter_of(const char *pairs, int number)
{
    char text[600];
    snprintf(text, sizeof text, pairs, number);
    set_all(text);
    return dm_world_of(false, false).starter;
}

#define OF_FOUR "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 "

Test(world, whether_the_starter_is_there)
{
    static const char pmix[] = OF_FOUR "PMIX_SERVER_URI41=n.0;tcp4://127.0.0.1:%d";
    static const char srun[] = STEP("4") "PMIX_RANK=1 PMIX_SERVER_URI2=n.0;tcp4://127.0.0.1:%d";
    static const char pmi[] = "PMI_RANK=1 PMI_SIZE=4 PMI_FD=%d";
    int port, server = listening(&port);
    cr_expect_eq(starter_of(pmix, port), DM_STARTER_THERE);
    cr_expect_eq(starter_of(srun, port), DM_STARTER_THERE);
    close(server);
    cr_expect_eq(starter_of(pmix, port), DM_STARTER_GONE);
    cr_expect_eq(starter_of(srun, port), DM_STARTER_GONE);
    cr_expect_eq(starter_of(pmix, port), DM_STARTER_GONE, "it was only looked at");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(starter_of(pmi, fd), DM_STARTER_THERE);
    close(fd);
    cr_expect_eq(starter_of(pmi, fd), DM_STARTER_GONE);
    static const char *const untold[] = {OF_FOUR, "PMI_RANK=1 PMI_SIZE=4",
                                         OF_FOUR "PMIX_SERVER_URI2=n.0;tcp4://192.0.2.77:%d",
                                         OF_FOUR "PMIX_SERVER_URI2=n.0;tcp6://::1:%d",
                                         OF_FOUR "PMIX_SERVER_URI=pmix-server:%d:/tmp"};
    for (size_t i = 0; i < sizeof untold / sizeof *untold; i++)
        cr_expect_eq(starter_of(untold[i], port), DM_STARTER_UNSEEN, "%s", untold[i]);
    cr_expect_eq(starter_of(STEP("4") "PMIX_RANK=1", 0), DM_STARTER_THERE, "a step has others");
}

/* Of an earlier launcher nothing is left that would make one of several think that it is alone, or
 * of others. */
Test(world, what_an_earlier_launcher_left)
{
    static const char one[] = "OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 PMIX_RANK=0 "
                              "PMIX_NAMESPACE=7 OMPI_MCA_ess=^singleton OMPI_MCA_btl=tcp ";
    static const struct {
        const char *before, *now;
        long rank, size;
    } cases[] = {{one, "PMI_RANK=2 PMI_SIZE=4 MPI_LOCALRANKID=2", 2, 4},
                 {one, STEP("3") "PMIX_NAMESPACE=slurm.pmix.7.0 PMIX_RANK=1", 1, 3},
                 {OF_FOUR "PMIX_RANK=1 PMIX_SERVER_URI2=n.0;tcp4://127.0.0.1:%d ",
                  "PMI_RANK=2 PMI_SIZE=3 MPI_LOCALRANKID=2", 2, 3},
                 /* from a shell in a step, and by Hydra's processes that srun has started */
                 {STEP("1") "PMIX_RANK=0 PMIX_NAMESPACE=slurm.pmix.7.0 ",
                  "PMI_RANK=2 PMI_SIZE=4 MPI_LOCALRANKID=2", 2, 4},
                 {STEP("2") "PMIX_RANK=1 PMIX_NAMESPACE=slurm.pmix.7.1 ",
                  "PMI_RANK=5 PMI_SIZE=8 MPI_LOCALRANKID=1", 5, 8},
                 /* the other way round: Open MPI's is the later one */
                 {"PMI_RANK=0 PMI_SIZE=1 PMI_FD=9 MPI_LOCALRANKID=0 ", OF_FOUR "PMIX_RANK=1", 1, 4},
                 {"PMI_RANK=2 PMI_SIZE=3 PMI_FD=9 MPI_LOCALRANKID=0 ", OF_FOUR "PMIX_RANK=1", 1, 4},
                 {STEP("1") "PMIX_RANK=0 PMIX_NAMESPACE=slurm.pmix.7.0 ",
                  OF_FOUR "PMIX_NAMESPACE=7", 1, 4},
                 {STEP("2"), OF_FOUR "PMIX_NAMESPACE=7", 1, 4},
                 {"", one, 0, 1}};
    int port;
    close(listening(&port)); /* nobody has it now */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char form[600], both[600];
        snprintf(form, sizeof form, "%s%s", cases[i].before, cases[i].now);
        snprintf(both, sizeof both, form, port);
        set_all(both);
        dm_world_tidy();
        dm_world w = dm_world_of(false, false);
        cr_expect(w.rank == cases[i].rank && w.size == cases[i].size, "%s: %ld of %ld", both,
                  w.rank, w.size);
        cr_expect_eq(!getenv("OMPI_MCA_btl"), !strstr(both, "MCA_btl"), "people's own stay");
    }
}

Test(world, hosts_of_an_allocation)
{
    static const struct {
        const char *environment;
        long hosts;
    } cases[] = {{"", 0},
                 {"SLURM_NODELIST=n1", 0},
                 {"SLURM_JOB_ID=7", 1},
                 {"SLURM_JOB_ID=7 SLURM_NNODES=3", 3},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=2", 2},
                 {"SLURM_JOBID=7 SLURM_NODELIST=n1", 1},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=a,b,c", 3},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n[1-4]", 4},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n[08-10,12],m3", 5},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=r[1-2]n[1-3]", 6},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n[1-", 1},
                 {"SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n[]", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long hosts;
        set_all(cases[i].environment);
        cr_expect(!dm_world_by_slurm(&hosts), "there is no srun in PATH");
        cr_expect_eq(hosts, cases[i].hosts, "%s: %ld", cases[i].environment, hosts);
    }
}

Test(world, what_mpirun_is_left)
{
    set_all("PMIX_RANK=0 PMIX_SERVER_URI3=x PMI_FD=9 HYDI_CONTROL_FD=8 MPI_LOCALRANKID=0 "
            "OMPI_COMM_WORLD_SIZE=1 PMIX_MCA_gds=hash OMPI_MCA_ess=^singleton "
            "OMPI_MCA_ess_base_jobid=7 OMPI_MCA_orte_hnp_uri=x OMPI_MCA_orte_ess_num_procs=1 "
            "OMPI_MCA_orte_base_help_aggregate=0 "
            "OMPI_MCA_btl=tcp OMPI_MCA_plm=rsh SLURM_JOB_ID=7 PATH=/nowhere HOME=/root");
    dm_world_leave(false, false);
    cr_expect(!getenv("PMIX_RANK") && !getenv("PMIX_SERVER_URI3") && !getenv("PMI_FD") &&
              !getenv("HYDI_CONTROL_FD") && !getenv("MPI_LOCALRANKID") &&
              !getenv("OMPI_COMM_WORLD_SIZE"));
    cr_expect(!getenv("OMPI_MCA_ess") && !getenv("OMPI_MCA_ess_base_jobid") &&
                  !getenv("OMPI_MCA_orte_hnp_uri") && !getenv("OMPI_MCA_orte_ess_num_procs"),
              "of the mpirun that this is a rank of");
    cr_expect(getenv("OMPI_MCA_orte_base_help_aggregate"));
    cr_expect(getenv("PMIX_MCA_gds") && getenv("OMPI_MCA_btl") && getenv("SLURM_JOB_ID") &&
              getenv("HOME"));
    cr_expect_str_eq(getenv("OMPI_MCA_plm"), "rsh", "the user's");
    cr_expect_str_eq(getenv("OMPI_MCA_ras"), "^slurm");
    unsetenv("OMPI_MCA_plm");
    dm_world_leave(false, false);
    cr_expect_str_eq(getenv("OMPI_MCA_plm"), "isolated", "no ssh");
    unsetenv("OMPI_MCA_plm");
    dm_world_leave(false, true);
    cr_expect_str_eq(getenv("OMPI_MCA_plm"), "^slurm", "other hosts");
    unsetenv("OMPI_MCA_plm");
    unsetenv("OMPI_MCA_ras");
    dm_world_leave(true, false);
    cr_expect(!getenv("OMPI_MCA_plm") && !getenv("OMPI_MCA_ras"), "by srun");
    /* where an installation of Open MPI 5 was moved to; no rank's */
    set_all("PMIX_PREFIX=/opt/mpi OPAL_PREFIX=/opt/mpi OMPI_MCA_orte_tmpdir_base=/scratch");
    dm_world_leave(true, false);
    cr_expect(getenv("PMIX_PREFIX") && getenv("OPAL_PREFIX") &&
              getenv("OMPI_MCA_orte_tmpdir_base"));
}
