/* What Hydra, MPICH's and Intel's mpirun, puts among the answers when a rank has died, and which
 * mpirun is which. */
#include "cluster/hydra.h"
#include "cluster/mpirun.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE "===================================================================================\n"
#define MPICH                                                                                      \
    "\n" RULE "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n"                         \
    "=   PID 18170 RUNNING AT vm\n"                                                                \
    "=   EXIT CODE: 9\n"                                                                           \
    "=   CLEANING UP REMAINING PROCESSES\n"                                                        \
    "=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES\n" RULE                                         \
    "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"                        \
    "This typically refers to a problem with your application.\n"                                  \
    "Please see the FAQ page for debugging suggestions\n"
#define INTEL                                                                                      \
    "\n" RULE "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n"                         \
    "=   RANK 1 PID 18207 RUNNING AT vm\n"                                                         \
    "=   KILLED BY SIGNAL: 9 (Killed)\n" RULE

/* In pieces of so many bytes. */
static void expect(const char *in, const char *out, size_t piece)
{
    dm_hydra h;
    dm_buf answers, noise;
    size_t n = strlen(in);
    dm_hydra_init(&h);
    dm_buf_init(&answers, 1 << 20);
    dm_buf_init(&noise, 1 << 20);
    for (size_t i = 0; i < n; i += piece)
        dm_hydra_pass(&h, in + i, n - i < piece ? n - i : piece, &answers, &noise);
    dm_hydra_end(&h, &answers, &noise);
    cr_expect_eq(answers.len, strlen(out), "%s: %s", in, answers.data);
    cr_expect(answers.len == 0 || memcmp(answers.data, out, answers.len) == 0, "%s: %s", in,
              answers.data);
    dm_hydra_free(&h);
    dm_buf_free(&answers);
    dm_buf_free(&noise);
}

Test(hydra, a_death_is_taken_out_of_the_answers)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"{\"a\": 1}\n", "{\"a\": 1}\n"},
        {"no end of line", "no end of line"},
        {"{\"a\": 1}\n" MPICH, "{\"a\": 1}\n"},
        {"{\"a\": 1}\n" INTEL, "{\"a\": 1}\n"},
        {"{\"a\": 1}\n" INTEL INTEL INTEL, "{\"a\": 1}\n"},
        {INTEL "{\"a\": 1}\n", "{\"a\": 1}\n"},
        {MPICH "{\"a\": 1}\n" MPICH "{\"b\": 1}\n", "{\"a\": 1}\n{\"b\": 1}\n"},
        {"x\n\n\n" INTEL, "x\n\n\n"}, /* an empty line that is not the frame's */
        /* what only looks like it */
        {"\n\nx\n\n", "\n\nx\n\n"},
        {"== a heading\n=\n", "== a heading\n=\n"},
        {"\n" RULE "a title\n" RULE, "\n" RULE "a title\n" RULE},
        {RULE RULE "\n" RULE, RULE RULE "\n" RULE},
        {RULE, RULE},
        {"\n" RULE, "\n" RULE},
        {"Please see the FAQ page for debugging suggestions\n",
         "Please see the FAQ page for debugging suggestions\n"},
        {"=   BAD TERMINATION\n", "=   BAD TERMINATION\n"},
        {INTEL "Please", "Please"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 200; piece += piece < 4 ? 1 : 37)
            expect(cases[i][0], cases[i][1], piece);
}

Test(hydra, an_answer_goes_on_at_once)
{
    dm_hydra h;
    dm_buf answers, noise;
    dm_hydra_init(&h);
    dm_buf_init(&answers, 1 << 20);
    dm_buf_init(&noise, 1 << 20);
    dm_hydra_pass(&h, "{\"a", 3, &answers, &noise);
    cr_expect_eq(answers.len, 3);
    dm_hydra_pass(&h, "\": 1}\n" INTEL "{\"b", 9 + strlen(INTEL), &answers, &noise);
    dm_hydra_pass(&h, "\": 2}\n", 6, &answers, &noise);
    cr_expect_str_eq(answers.data, "{\"a\": 1}\n{\"b\": 2}\n");
    cr_expect(strstr(noise.data, "KILLED BY SIGNAL: 9"), "kept for who wants to know");
    dm_hydra_free(&h);
    dm_buf_free(&answers);
    dm_buf_free(&noise);
}

Test(hydra, which_mpirun)
{
    static const struct {
        const char *says;
        dm_mpirun it;
    } cases[] = {
        {"mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n",
         DM_OPEN_MPI},
        {"mpirun (Open MPI) 5.0.11\n", DM_OPEN_MPI},
        {"mpirun (IBM Spectrum MPI) 10.4.0.03\n", DM_OPEN_MPI},
        {"HYDRA build details:\n    Version:                                 5.0.2\n", DM_MPICH},
        {"Intel(R) MPI Library for Linux* OS, Version 2021.18.1 Build 20260626 (id: b44796a)\n"
         "Copyright 2003-2026, Intel Corporation.\n",
         DM_INTEL},
        {"", DM_OPEN_MPI},
        {"a wrapper of this site\n", DM_OPEN_MPI}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(dm_mpirun_of(cases[i].says), cases[i].it, "%s", cases[i].says);
}

Test(hydra, what_the_user_has_set_stays)
{
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("HYDRA_LAUNCHER", "rsh", 1);
    setenv("I_MPI_PIN", "1", 1);
    setenv("DM_RECOVERY", "1", 1); /* of a launcher above this one */
    dm_mpirun_prepare(DM_MPICH, false, false);
    cr_expect_str_eq(getenv("HYDRA_LAUNCHER"), "rsh");
    cr_expect_str_eq(getenv("HYDRA_RMK"), "user");
    cr_expect(!getenv("DM_RECOVERY"), "its ranks leave by MPI_Finalize");
    dm_mpirun_prepare(DM_INTEL, false, true);
    cr_expect_str_eq(getenv("I_MPI_PIN"), "1");
    cr_expect_str_eq(getenv("I_MPI_HYDRA_BOOTSTRAP"), "ssh", "other hosts are named");
    cr_expect_str_eq(getenv("DM_RECOVERY"), "1");
    unsetenv("HYDRA_LAUNCHER");
    unsetenv("HYDRA_RMK");
    dm_mpirun_prepare(DM_MPICH, true, false);
    cr_expect(!getenv("HYDRA_LAUNCHER") && !getenv("HYDRA_RMK"), "by srun");
    unsetenv("SLURM_JOB_ID");
    dm_mpirun_prepare(DM_MPICH, false, false);
    cr_expect(!getenv("HYDRA_LAUNCHER"), "another system's ways");
}
