/* Whether a hangup is to be ignored, as nohup says. Libraries that come with MPI (UCX, PSM2) catch
 * SIGHUP in their constructors, and whoever asks in main sees theirs: so it is looked at before
 * them. */
#include "cmd/session.h"

#include <signal.h>
#include <stdbool.h>

static bool ignored;

static void look(int argc, char **argv, char **env)
{
    struct sigaction s;
    (void)argc, (void)argv, (void)env;
    ignored = sigaction(SIGHUP, NULL, &s) == 0 && s.sa_handler == SIG_IGN;
}

/* Runs before the constructors of all libraries; musl has none of it, and finds what they left. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **,
                                                                            char **) = look;

void dm_keep_hangup(void)
{
    if (ignored)
        signal(SIGHUP, SIG_IGN);
}
