/* frontends/special_functions.h: functions that no operator is, written as those of ops.def.
 *
 * The logarithm of gamma is Lanczos' approximation (g = 7, nine terms), below 1/2 by reflection;
 * erfinv is Giles' (Approximating the erfinv function, GPU Computing Gems), both to a few units of
 * f32. */
#ifndef NEO_FRONTENDS_SPECIAL_FUNCTIONS_H
#define NEO_FRONTENDS_SPECIAL_FUNCTIONS_H

#include "frontends/emit.h"

int neo_emit_log_gamma(neo_emitter *e, int x);       /* log |gamma(x)| */
int neo_emit_log_gamma_upper(neo_emitter *e, int x); /* of x >= 1/2 */
int neo_emit_erfinv(neo_emitter *e, int x);

#endif
