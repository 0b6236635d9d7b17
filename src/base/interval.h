/* Intervals of means, which scores (report) and advice are printed with. */
#ifndef DM_BASE_INTERVAL_H
#define DM_BASE_INTERVAL_H

#include <stddef.h>

#define DM_Z95 1.959963984540054 /* 97.5 % of the normal distribution: half of a 95 % interval */

/* Wilson's score interval (1927, JASA 22:209) of the share p of n, z standard errors to each side;
 * within 0 to 1. */
void dm_wilson(double p, double n, double z, double *low, double *high);
/* Student's quantile for the mean of n values where the normal one is z, by Cornish and Fisher's
 * expansion (Abramowitz and Stegun 26.7.5). n of 5 and more: below that it is too small. */
double dm_student(double z, size_t n);

#endif
