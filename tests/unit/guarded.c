/* Tests start metrics, whose guard is this program. Criterion runs each test in a process of its
 * own, and has taken main in whatever is started from there: so the guard is entered before. Of the
 * C libraries glibc gives a constructor the words of the program. */
#include "metric/guard.h"

__attribute__((constructor)) static void before_main(int argc, char **argv)
{
    dm_guard_enter(argc, argv);
}
