/* One function a command; each returns the exit code. */
#ifndef DM_CMD_COMMANDS_H
#define DM_CMD_COMMANDS_H

#include "cmd/options.h"

int dm_cmd_compile(dm_arena *a, const dm_command_line *line);
int dm_cmd_eval(dm_arena *a, const dm_command_line *line);
int dm_cmd_run(dm_arena *a, const dm_command_line *line);
int dm_cmd_show(dm_arena *a, const dm_command_line *line);
int dm_cmd_export(dm_arena *a, const dm_command_line *line);
int dm_cmd_check(dm_arena *a, const dm_command_line *line);
int dm_cmd_ensemble(dm_arena *a, const dm_command_line *line);
int dm_cmd_cache(int argc, char **argv); /* the words behind "cache" */
int dm_cmd_stop(dm_arena *a, const dm_command_line *line);
int dm_cmd_diff(dm_arena *a, const dm_command_line *line);
int dm_cmd_report(dm_arena *a, const dm_command_line *line);
int dm_cmd_status(dm_arena *a, const dm_command_line *line);
int dm_cmd_plan(dm_arena *a, const dm_command_line *line);
int dm_cmd_advise(dm_arena *a, const dm_command_line *line);
int dm_cmd_init(dm_arena *a, const dm_command_line *line);

#endif
