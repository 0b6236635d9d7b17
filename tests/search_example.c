/* The search alone: 3 instructions x 4 demo sets on 50 examples, at most 300 program runs. */
#include <dspy_mpi/search.h>

#include <stdio.h>

static double run_program(const uint16_t *levels, size_t example) /* stands for your own program */
{
    return levels[0] * 7 + levels[1] * 11 + 5 > (int)(example * 37 % 60);
}

int main(void)
{
    size_t levels[2] = {3, 4}, left[50];
    double scores[50];
    char why[200];
    dm_search_options *options = dm_search_options_new(DM_SEARCH_FACTOR, levels, 2, 50, 300);
    dm_search_option_set(options, "seed", 1, why, sizeof why);
    dm_search *search = dm_search_new(options, why, sizeof why);
    dm_search_options_free(options);
    if (!search) {
        fprintf(stderr, "%s\n", why);
        return 64;
    }
    dm_search_unit unit; /* with a window of W, ask up to W ahead and run them at once */
    while (dm_search_ask(search, &unit) == DM_SEARCH_UNIT) {
        for (size_t i = 0; i < unit.n; i++)
            scores[i] = run_program(unit.levels, unit.examples[i]);
        dm_search_tell(search, unit.id, scores, NULL);
    }
    dm_search_estimate best;
    dm_search_estimate_of(search, dm_search_best(search), &best);
    size_t n = dm_search_missing(search, best.candidate, left);
    double sum = best.raw * (double)best.known; /* complete the row before its mean is printed */
    for (size_t i = 0; i < n; i++)
        sum += run_program(best.levels, left[i]);
    printf("instruction %d, demo set %d: %.2f (%s)\n", best.levels[0], best.levels[1], sum / 50,
           dm_search_end_name(dm_search_why(search)));
    int right = best.levels[0] == 2 && best.levels[1] == 3;
    dm_search_free(search);
    return !right;
}
