/* codegen/llvm_emitter.h: the state that the files of the LLVM generator share while they emit one
 * module.
 *
 * Scopes. A scope is a region of straight code with what is nested in it: the function's entry, a
 * loop's body, a branch of an if. Scope 0 is the entry. Every scope has a marker instruction at its
 * start; a value that depends on nothing below scope s (its `home`) is placed before the marker of
 * s, so index arithmetic sits outside every loop that it does not depend on. Values that depend on
 * memory or registers are `local`: they stay where they are first needed and are shared until their
 * scope closes. */
#ifndef NEO_CODEGEN_LLVM_EMITTER_H
#define NEO_CODEGEN_LLVM_EMITTER_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "codegen/codegen.h"

typedef struct llvm_val {
  LLVMValueRef v;
  int home;     /* the innermost scope that it depends on */
  bool local;   /* placed in the stream of its home scope, not before the marker */
  uint32_t seq; /* order of birth: makes sums of equal terms equal */
} llvm_val;

/* What a value is: equal keys are equal values. */
typedef struct llvm_key {
  int op;
  uint16_t dtype, lanes;
  LLVMValueRef arg[3];
  int64_t extra;
} llvm_key;

typedef struct llvm_entry {
  llvm_key key;
  llvm_val val;
  bool dead;                        /* its scope is closed */
  struct llvm_entry *bucket, *peer; /* next in the bucket; next of the same scope */
} llvm_entry;

enum { LLVM_BUCKETS = 4096, LLVM_MEMOS = 1024, LLVM_MAX_SCOPES = 192 };

typedef struct llvm_memo {
  const neo_expr *expr;
  uint64_t generation;
  llvm_val val;
} llvm_memo;

/* Operations that are no neo_expr_op, for keys. */
enum {
  LLVM_OP_GEP = NEO_EXPR_OP_COUNT,
  LLVM_OP_BASE,
  LLVM_OP_ENV,
  LLVM_OP_LOAD,
  LLVM_OP_LANE,
  LLVM_OP_WORDS,
  LLVM_OP_PART
};

/* Stores that are to be interleaved: llvm_weave.c. */
enum { LLVM_WEAVE_WAYS = 4 };

typedef struct llvm_weave {
  LLVMBasicBlockRef block, block_now; /* of the run; of the store that is being emitted */
  LLVMValueRef last, before;          /* the run's end; what stands in front of the store */
  int buffer, buffer_now;
  bool reads; /* the formula reads the buffer that it is stored to */
  int n;
  LLVMValueRef first[LLVM_WEAVE_WAYS];
  int size[LLVM_WEAVE_WAYS];
} llvm_weave;

typedef struct llvm_emitter {
  neo_ctx *ctx;
  const neo_nest *nest;
  const neo_target *target;
  neo_arena arena;   /* entries */
  neo_status status; /* of the first failure; emission goes on with poison */
  LLVMContextRef lc;
  LLVMModuleRef module;
  LLVMBuilderRef builder;
  LLVMTypeRef int64, int32, int8, pointer;
  LLVMValueRef function, env, buffers;
  LLVMBasicBlockRef block; /* where the stream is */
  int depth;               /* of the innermost scope */
  LLVMValueRef marker[LLVM_MAX_SCOPES];
  llvm_entry *scope[LLVM_MAX_SCOPES];
  llvm_entry **bucket;
  llvm_memo *memo;
  uint64_t generation;
  uint32_t seq, clock;
  llvm_val *var;    /* n_vars */
  neo_range *range; /* n_vars */
  LLVMValueRef
      *reg[NEO_NEST_MAX_BUFFERS];       /* current value of each vector register; NULL: none yet */
  uint32_t epoch[NEO_NEST_MAX_BUFFERS]; /* clock of the last store */
  LLVMValueRef stack[NEO_NEST_MAX_BUFFERS];
  bool row[NEO_NEST_MAX_BUFFERS]; /* STACK buffers kept as scalars in reg: llvm_rows.c */
  llvm_weave weave;
} llvm_emitter;

/* ---- llvm_scope.c ---- */
void llvm_fail(llvm_emitter *em, neo_status status, const char *format, ...) NEO_PRINTF(3, 4);
void llvm_scope_open(llvm_emitter *em); /* at the end of em->block */
void llvm_scope_close(llvm_emitter *em);
void llvm_set_block(llvm_emitter *em, LLVMBasicBlockRef block);
LLVMBasicBlockRef llvm_new_block(llvm_emitter *em);
/* Finds a live value with this key. */
bool llvm_find(llvm_emitter *em, const llvm_key *key, llvm_val *out);
/* Moves the builder to where a value that depends on args belongs; llvm_placed moves it back and
 * records it. */
llvm_val llvm_place(llvm_emitter *em, int n, const llvm_val *args);
llvm_val llvm_placed(llvm_emitter *em, const llvm_key *key, llvm_val where, LLVMValueRef v);
llvm_val llvm_constant(LLVMValueRef v);

/* ---- llvm_expr.c ---- */
LLVMTypeRef llvm_type(llvm_emitter *em, neo_dtype dtype, int lanes);        /* in registers */
LLVMTypeRef llvm_memory_type(llvm_emitter *em, neo_dtype dtype, int lanes); /* in memory */
llvm_val llvm_emit(llvm_emitter *em, const neo_expr *e);
llvm_val llvm_splat(llvm_emitter *em, neo_dtype dtype, llvm_val scalar, int lanes);
LLVMValueRef llvm_splat_int(LLVMTypeRef type, int64_t v); /* type: an integer or a vector of them */
LLVMValueRef llvm_splat_float(LLVMTypeRef type, double v);
LLVMTypeRef llvm_with_lanes(LLVMTypeRef scalar, int lanes);
int llvm_lanes(LLVMTypeRef type);
LLVMValueRef llvm_select(llvm_emitter *em, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b);
/* Calls the intrinsic `name` overloaded by types. */
LLVMValueRef llvm_call(llvm_emitter *em, const char *name, int n_types, LLVMTypeRef *types,
                       int n_args, LLVMValueRef *args);
LLVMValueRef llvm_call_same(llvm_emitter *em, const char *name, int n_args, LLVMValueRef *args);

/* x[0] * x[1] + x[2] of floats, rounded once where the target can. */
LLVMValueRef llvm_multiply_add(llvm_emitter *em, LLVMValueRef *x);

/* ---- llvm_soft.c: instructions, or what stands for them where there is none ---- */
/* name: llvm.floor, llvm.ceil, llvm.trunc, llvm.roundeven */
LLVMValueRef llvm_rounded(llvm_emitter *em, const char *name, LLVMValueRef x);
/* Truncated; y is not 0, nor -1 where x is the least number. */
LLVMValueRef llvm_quotient(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef llvm_remainder(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMValueRef y);
/* x / y or x % y of an index 0 <= x <= most and a constant y > 0; NULL: not better than those. */
LLVMValueRef llvm_index_divide(llvm_emitter *em, bool mod, int64_t most, LLVMValueRef x,
                               LLVMValueRef y);
LLVMValueRef llvm_int_to_float(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMTypeRef type);
/* Saturating; NaN becomes 0. */
LLVMValueRef llvm_float_to_int(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMTypeRef type);

/* ---- llvm_by_lane.c ---- */
/* The nest as it is to be emitted: itself, or one of the arena's. */
const neo_nest *llvm_by_lane(neo_arena *arena, const neo_nest *nest, const neo_target *target);

/* ---- llvm_soft_float.c ---- */
void llvm_soften(llvm_emitter *em); /* of a function that is complete */

/* ---- llvm_intrinsic.c ---- */
llvm_val llvm_intrinsic(llvm_emitter *em, const neo_expr *e);

/* ---- llvm_cast.c: F16 and BF16 are floats in registers, always on the grid of their type; but F16
 * is what it is in memory where the target computes with it ---- */
bool llvm_has_f16(const llvm_emitter *em);
LLVMValueRef llvm_cast(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a);
LLVMValueRef llvm_bitcast(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a);
LLVMValueRef llvm_round_to(llvm_emitter *em, neo_dtype dtype,
                           LLVMValueRef a); /* float onto the grid */
LLVMValueRef llvm_to_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a);
LLVMValueRef llvm_from_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a);

/* ---- llvm_memory.c ---- */
llvm_val llvm_load(llvm_emitter *em, const neo_expr *e);
void llvm_store(llvm_emitter *em, const neo_stmt *s);
void llvm_prefetch(llvm_emitter *em, const neo_stmt *s);

/* ---- llvm_weave.c ---- */
void llvm_weave_open(llvm_emitter *em, int buffer); /* before a store to memory is emitted */
void llvm_weave_close(llvm_emitter *em);            /* after it */
void llvm_weave_end(llvm_emitter *em);              /* what is left, at the end of a function */

/* ---- llvm_lanes.c ---- */
unsigned llvm_called_intrinsic(LLVMValueRef call); /* its number; 0: it is none */
bool llvm_is_neon64(const llvm_emitter *em);       /* 64-bit Arm, vectors of 16 bytes */
void llvm_join_lanes(llvm_emitter *em);            /* of a function that is complete */

/* ---- llvm_start.c ---- */
void llvm_start_sums(llvm_emitter *em); /* after llvm_join_lanes, which counts products */

/* ---- llvm_rows.c ---- */
void llvm_find_rows(llvm_emitter *em, const neo_stmt *body);

/* ---- llvm_nest.c ---- */
void llvm_emit_launch(llvm_emitter *em, int k, const char *symbol);

#endif
