/* ir/expr.h: the one expression type of te bodies, te indices and nests.
 *
 * Expressions are immutable and shared; they live in an arena. Every constructor folds constants
 * and applies the exact identities (x+0, x*1, floordiv by 1, ...; never float identities that
 * change a NaN, an infinity or a signed zero), so equal things tend to be built equal.
 *
 * In a te, VAR i is axis i of the block, indices are i64, and lanes is 1 everywhere. In a nest, VAR
 * i is loop variable i, LOAD has one flat element offset, and an expression may have lanes > 1. */
#ifndef NEO_IR_EXPR_H
#define NEO_IR_EXPR_H

#include "ir/tensor.h"

/* X(enumerator, text, arity). Integer DIV and MOD truncate; FLOORDIV and FLOORMOD need a constant
 * positive divisor in indices. Comparisons and logic yield bool. ROUND is half to even. MIN(a, b)
 * is b < a ? b : a and MAX(a, b) is a < b ? b : a: a NaN in a stays, one in b is dropped. Integer
 * division by zero gives 0; shifts by the width or more give 0 (SHR of a negative: -1). FMA is
 * fused for floats. ERF, EXP, ... are real functions: codegen sees them only after
 * neo_nest_expand_math. */
#define NEO_EXPR_OPS(X)                                                                            \
  X(CONST, "const", 0)                                                                             \
  X(VAR, "var", 0)                                                                                 \
  X(LOAD, "load", -1)                                                                              \
  X(NEG, "neg", 1)                                                                                 \
  X(ABS, "abs", 1)                                                                                 \
  X(NOT, "not", 1)                                                                                 \
  X(BITNOT, "bitnot", 1)                                                                           \
  X(SQRT, "sqrt", 1)                                                                               \
  X(FLOOR, "floor", 1)                                                                             \
  X(CEIL, "ceil", 1)                                                                               \
  X(ROUND, "round", 1)                                                                             \
  X(TRUNC, "trunc", 1)                                                                             \
  X(EXP, "exp", 1)                                                                                 \
  X(LOG, "log", 1)                                                                                 \
  X(SIN, "sin", 1)                                                                                 \
  X(COS, "cos", 1)                                                                                 \
  X(TAN, "tan", 1)                                                                                 \
  X(ASIN, "asin", 1)                                                                               \
  X(ACOS, "acos", 1)                                                                               \
  X(ATAN, "atan", 1)                                                                               \
  X(SINH, "sinh", 1)                                                                               \
  X(COSH, "cosh", 1)                                                                               \
  X(TANH, "tanh", 1)                                                                               \
  X(ASINH, "asinh", 1)                                                                             \
  X(ACOSH, "acosh", 1)                                                                             \
  X(ATANH, "atanh", 1)                                                                             \
  X(ERF, "erf", 1)                                                                                 \
  X(ISNAN, "isnan", 1)                                                                             \
  X(CAST, "cast", 1)                                                                               \
  X(BITCAST, "bitcast", 1)                                                                         \
  X(BROADCAST, "broadcast", 1)                                                                     \
  X(ADD, "add", 2)                                                                                 \
  X(SUB, "sub", 2)                                                                                 \
  X(MUL, "mul", 2)                                                                                 \
  X(DIV, "div", 2)                                                                                 \
  X(MOD, "mod", 2)                                                                                 \
  X(FLOORDIV, "floordiv", 2)                                                                       \
  X(FLOORMOD, "floormod", 2)                                                                       \
  X(POW, "pow", 2)                                                                                 \
  X(MIN, "min", 2)                                                                                 \
  X(MAX, "max", 2)                                                                                 \
  X(AND, "and", 2)                                                                                 \
  X(OR, "or", 2)                                                                                   \
  X(BITAND, "bitand", 2)                                                                           \
  X(BITOR, "bitor", 2)                                                                             \
  X(BITXOR, "bitxor", 2)                                                                           \
  X(SHL, "shl", 2)                                                                                 \
  X(SHR, "shr", 2)                                                                                 \
  X(LT, "lt", 2)                                                                                   \
  X(LE, "le", 2)                                                                                   \
  X(EQ, "eq", 2)                                                                                   \
  X(NE, "ne", 2)                                                                                   \
  X(SELECT, "select", 3)                                                                           \
  X(FMA, "fma", 3)                                                                                 \
  X(INTRINSIC, "intrinsic", -1)

typedef enum neo_expr_op {
#define X(name, text, arity) NEO_EXPR_##name,
  NEO_EXPR_OPS(X)
#undef X
      NEO_EXPR_OP_COUNT
} neo_expr_op;

typedef struct neo_expr neo_expr;

/* lo <= index < hi must hold, else a guarded load yields its fill. Bounds are constants. */
typedef struct neo_guard {
  const neo_expr *index;
  int64_t lo, hi;
} neo_guard;

#define NEO_MAX_GUARDS 8

/* What a guarded load is made with. */
typedef struct neo_guards {
  int n;
  const neo_guard *guard;
  double fill;
} neo_guards;

struct neo_expr {
  neo_expr_op op;
  neo_dtype dtype; /* element type of the result */
  uint16_t lanes;  /* 1: scalar */
  uint16_t active; /* LOAD with lanes > 1: lanes read from memory, the rest give 0 */
  int n_args;      /* LOAD: the indices (one per dim in a te, one flat offset in a nest) */
  const neo_expr *const *arg;
  union {
    double f;  /* CONST of a float dtype */
    int64_t i; /* CONST of another dtype */
    int var;   /* VAR */
    int row;   /* INTRINSIC: row of schedule/intrinsics.def */
    struct {
      int buffer;
      int n_guards;
      const neo_guard *guard;
      double fill; /* value where a guard fails, converted to dtype */
    } load;
  } u;
};

const char *neo_expr_op_name(neo_expr_op op);
int neo_expr_op_arity(neo_expr_op op); /* -1: variable */

const neo_expr *neo_expr_const_f(neo_arena *arena, neo_dtype dtype, double v);
const neo_expr *neo_expr_const_i(neo_arena *arena, neo_dtype dtype, int64_t v);
const neo_expr *neo_expr_index(neo_arena *arena, int64_t v); /* i64 constant */
const neo_expr *neo_expr_var(neo_arena *arena, int var);     /* i64, scalar */
/* dtype and lanes follow the arguments (equal dtypes needed; lanes 1 is broadcast to the other's).
 */
const neo_expr *neo_expr_unary(neo_arena *arena, neo_expr_op op, const neo_expr *a);
const neo_expr *neo_expr_binary(neo_arena *arena, neo_expr_op op, const neo_expr *a,
                                const neo_expr *b);
const neo_expr *neo_expr_select(neo_arena *arena, const neo_expr *c, const neo_expr *a,
                                const neo_expr *b);
const neo_expr *neo_expr_fma(neo_arena *arena, const neo_expr *a, const neo_expr *b,
                             const neo_expr *c);
/* Float to integer saturates and rounds toward zero; NaN gives 0. Integer to integer wraps. */
const neo_expr *neo_expr_cast(neo_arena *arena, neo_dtype dtype, const neo_expr *a);
const neo_expr *neo_expr_bitcast(neo_arena *arena, neo_dtype dtype, const neo_expr *a);
const neo_expr *neo_expr_broadcast(neo_arena *arena, const neo_expr *a, int lanes);
const neo_expr *neo_expr_load(neo_arena *arena, neo_dtype dtype, int buffer, int n_index,
                              const neo_expr *const *index);
const neo_expr *neo_expr_load_guarded(neo_arena *arena, neo_dtype dtype, int buffer, int n_index,
                                      const neo_expr *const *index,
                                      const neo_guards *guards); /* guards may be NULL */
/* Nest form: a contiguous vector at a flat offset; active <= lanes. */
const neo_expr *neo_expr_load_vector(neo_arena *arena, neo_dtype dtype, int buffer,
                                     const neo_expr *offset, int lanes, int active);
const neo_expr *neo_expr_intrinsic(neo_arena *arena, int row, neo_dtype dtype, int lanes,
                                   int n_args, const neo_expr *const *arg);
/* A node of the same operation, dtype and payload over other arguments (guard: a load's, as many as
 * e has), through the constructors. */
const neo_expr *neo_expr_rebuild(neo_arena *arena, const neo_expr *e, const neo_expr *const *arg,
                                 const neo_guard *guard);

bool neo_expr_equal(const neo_expr *a, const neo_expr *b);
bool neo_expr_is_const(const neo_expr *e, int64_t *out); /* integer constant */
bool neo_expr_uses_var(const neo_expr *e, int var);
/* Number of nodes, loads counted with their indices; for limits and costs. */
int neo_expr_size(const neo_expr *e);

/* Rebuilds e with VAR i replaced by map[i] where map[i] != NULL (i < n_map), simplifying. */
const neo_expr *neo_expr_substitute(neo_arena *arena, const neo_expr *e, const neo_expr *const *map,
                                    int n_map);
/* Calls fn on every LOAD of e (guard indices of loads are not loads of te buffers, but index
 * expressions may contain at most one indirect load, which is visited too). */
void neo_expr_visit_loads(const neo_expr *e, void (*fn)(void *self, const neo_expr *load),
                          void *self);
/* Rebuilds e, replacing each LOAD by fn's result (NULL: keep, with its indices rebuilt). */
const neo_expr *neo_expr_map_loads(neo_arena *arena, const neo_expr *e,
                                   const neo_expr *(*fn)(void *self, const neo_expr *load),
                                   void *self);

/* ---- affine forms and ranges ----------------------------------------------------------------- */

#define NEO_AFFINE_MAX_TERMS 16

/* base + sum coef[k] * VAR var[k]; terms sorted by var, coefficients non-zero. */
typedef struct neo_affine {
  int64_t base;
  int n;
  int var[NEO_AFFINE_MAX_TERMS];
  int64_t coef[NEO_AFFINE_MAX_TERMS];
} neo_affine;

/* False if e is not affine in its variables (floordiv, mod, loads, min, ...). */
bool neo_expr_affine(const neo_expr *e, neo_affine *out);
const neo_expr *neo_affine_expr(neo_arena *arena, const neo_affine *a);
int64_t neo_affine_coef(const neo_affine *a, int var); /* 0 if absent */

typedef struct neo_range {
  int64_t lo, hi; /* inclusive */
} neo_range;

/* Interval of an index expression when VAR i lies in range[i] (i < n); false if unbounded (loads).
 */
bool neo_expr_range(const neo_expr *e, const neo_range *range, int n, neo_range *out);

/* How many times 2 divides every value of an index expression, 30 at most, when it divides VAR i
 * twos[i] times (i < n). */
int neo_expr_twos(const neo_expr *e, const uint8_t *twos, int n);

/* floordiv/floormod of e by d > 0, splitting affine terms that d divides from a remainder proven
 * (by ranges) to lie in [0, d): the quasi-affine simplifier that layouts rely on. */
const neo_expr *neo_expr_floordiv(neo_arena *arena, const neo_expr *e, int64_t d,
                                  const neo_range *range, int n);
const neo_expr *neo_expr_floormod(neo_arena *arena, const neo_expr *e, int64_t d,
                                  const neo_range *range, int n);

/* Rebuilds e knowing the variables' ranges: divisions, min, max and comparisons that intervals
 * decide, guards that always (dropped) or never (the fill) hold. */
const neo_expr *neo_expr_simplify(neo_arena *arena, const neo_expr *e, const neo_range *range,
                                  int n);

/* ---- text ------------------------------------------------------------------------------------ */

/* Canonical, parse(print(e)) equals e:
 *   i64 constants: 3; other constants: f32:0.5, i8:-3; VAR 2: i2
 *   affine sums are printed infix: i2*2+i5-1 ; other operations as calls: max(a, b), cast.f32(x),
 *   floordiv(i1, 3) ; loads: b0[i0, i1+1] ; guarded: b0[i0, i2+i5-1 | 0<=i2+i5-1<56, ... else 0]
 *   nest vectors: b3.x8[...], with tail b3.x8a5[...] ; broadcast: bcast.x8(a) */
void neo_expr_print(neo_buf *buf, const neo_expr *e);
/* dtype_of(self, buffer) gives a buffer's element type (false: no such buffer). */
neo_status neo_expr_parse(neo_ctx *ctx, neo_arena *arena, neo_scan *scan,
                          bool (*dtype_of)(void *self, int buffer, neo_dtype *out), void *self,
                          const neo_expr **out);

/* ---- evaluation (interpreters of te and nest) ------------------------------------------------ */

/* One scalar: floats in f (already rounded to dtype), everything else in i. */
typedef struct neo_scalar {
  double f;
  int64_t i;
} neo_scalar;

/* The scalar semantics of every non-memory operation, in the precision of dtype; argument dtypes
 * are those of e's arguments. The single source of truth for interpreters and constant folding. */
neo_scalar neo_expr_apply(const neo_expr *e, const neo_scalar *args);
neo_scalar neo_scalar_round(neo_dtype dtype, neo_scalar v); /* wraps ints, rounds floats */

#endif
