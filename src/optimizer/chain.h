/* Optimizers one after the other (chain.c): `"optimizer": ["mipro_v2", "gepa"]`. */
#ifndef DM_OPTIMIZER_CHAIN_H
#define DM_OPTIMIZER_CHAIN_H

#include "optimizer/inside.h"

typedef struct dm_chain_params {
    dm_params base;
    dm_param_optimizers of;
} dm_chain_params;

dm_status dm_chain_check(dm_arena *a, const dm_at *at, dm_params *p, dm_error *err);

#endif
