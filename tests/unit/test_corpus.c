/* The fuzzers' corpus, replayed: seeds, and each input that once made a target fail. */
#include "fuzz/fuzz.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    fuzz_target *run;
} targets[] = {
#define FUZZ_ROW(name) {#name, fuzz_##name},
    FUZZ_TARGETS(FUZZ_ROW)};

/* The bytes in a block of their own size: what is read beyond it is seen by the sanitizer. */
static void replay(fuzz_target *run, const char *path)
{
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(n ? n : 1);
    cr_assert_eq(fread(bytes, 1, n, f), n);
    fclose(f);
    run(bytes, n);
    free(bytes);
}

Test(fuzz, corpus)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char folder[300], path[600];
        snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", targets[i].name);
        DIR *d = opendir(folder);
        cr_assert_not_null(d, "%s", folder);
        size_t n = 0;
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            replay(targets[i].run, path);
            n++;
        }
        closedir(d);
        cr_expect_gt(n, 0, "%s: no seed", folder);
    }
}
