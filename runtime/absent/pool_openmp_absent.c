/* In place of pool_openmp.c on boards: no OpenMP runtime, a fifth of the binary, that they would
 * not use. A kind that nobody can ask for. */
#include "runtime/pool.h"

const neo_pool_row neo_pool_openmp = {.kind = (neo_pool_kind)-1};
