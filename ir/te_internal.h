/* ir/te_internal.h: shared by the te_*.c files only. */
#ifndef NEO_IR_TE_INTERNAL_H
#define NEO_IR_TE_INTERNAL_H

#include "ir/expr_internal.h"
#include "ir/te.h"

/* range[k] = [0, extent[k]) of the block's axes; returns their number. */
int neo_te_ranges(const neo_te_block *block, neo_range *range);
int64_t neo_te_volume(const neo_te_block *block); /* product of all extents, saturating */
/* buffer[i0, i1, ...] with a spatial axis per dim (constant 0 also on unit dims). */
bool neo_te_is_identity_write(const neo_te *te, const neo_te_block *block);
/* e copied node by node into another arena. */
const neo_expr *neo_expr_copy(neo_arena *arena, const neo_expr *e);
const char *neo_te_role_name(neo_te_role role);
const char *neo_combine_name(neo_combine combine);
/* The index of element i0.. in order, VAR 0 to VAR rank - 1. */
void neo_te_identity(neo_arena *arena, int rank, const neo_expr **index);

#endif
