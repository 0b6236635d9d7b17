/* The process between a rank and a metric's own (guard.c). */
#ifndef DM_METRIC_GUARD_H
#define DM_METRIC_GUARD_H

/* The first thing in main of every program that may start a metric or a host of Python: the guard
 * is this program under another name. Does not return in one. */
void dm_guard_enter(int argc, char **argv);

#endif
