/* codegen/c_printer.h: what the files share that print nests in C and the C of GPUs (OpenCL, CUDA).
 */
#ifndef NEO_CODEGEN_C_PRINTER_H
#define NEO_CODEGEN_C_PRINTER_H

#include "codegen/codegen.h"
#include "schedule/matrix.h"

/* Helper functions of a printed file, in the order in which they may need each other. */
#define C_HELPERS(X)                                                                               \
  X(DIV)                                                                                           \
  X(MOD)                                                                                           \
  X(FLOORDIV)                                                                                      \
  X(FLOORMOD)                                                                                      \
  X(SHL)                                                                                           \
  X(SHR)                                                                                           \
  X(IABS)                                                                                          \
  X(MIN)                                                                                           \
  X(MAX)                                                                                           \
  X(TRUNC)                                                                                         \
  X(FLOOR)                                                                                         \
  X(CEIL)                                                                                          \
  X(ROUND)                                                                                         \
  X(FMA)                                                                                           \
  X(ISNAN)                                                                                         \
  X(FMOD)                                                                                          \
  X(FFLOORMOD)                                                                                     \
  X(FLOORDIV_SINGLE)                                                                               \
  X(FLOORMOD_SINGLE)                                                                               \
  X(TO_ODD)                                                                                        \
  X(INT_TO_ODD)                                                                                    \
  X(FROM_F16)                                                                                      \
  X(TO_F16)                                                                                        \
  X(FROM_BF16)                                                                                     \
  X(TO_BF16)                                                                                       \
  X(TO_INT)                                                                                        \
  X(BITCAST)

typedef enum c_helper {
#define X(name) C_HELPER_##name,
  C_HELPERS(X)
#undef X
      C_HELPER_COUNT
} c_helper;

/* How often each node of the statement at hand is used, and the name of its temporary. */
typedef struct c_node {
  const neo_expr *expr;
  int uses, name; /* 0: printed where it is used */
} c_node;

enum { C_WIDE_MOST = 16 };

/* What the statement at hand loads in vectors. */
typedef struct c_wide {
  bool on;
  int n;
  const neo_expr *load[C_WIDE_MOST];
} c_wide;

typedef struct c_printer c_printer;

/* Accesses of n elements: 2, 4, 8 or 16, `widest` bytes at most. Each appends a statement. */
typedef struct c_vectors {
  int widest;
  bool aligned; /* they must stand at a multiple of their size */
  void (*copy)(neo_buf *out, int n, const char *to, const char *from);
  /* into a constant of that name */
  void (*load)(neo_buf *out, neo_dtype dtype, int n, const char *name, const char *from);
  /* values: n of them, with commas between */
  void (*store)(neo_buf *out, neo_dtype dtype, int n, const char *to, const char *values);
  void (*lane)(neo_buf *out, int lane); /* what selects it, behind a name */
} c_vectors;

/* What differs from one language to the next. */
typedef struct c_dialect {
  const char *name;
  const char *prologue;
  const char *barrier;   /* a statement; NULL: there are no groups of work-items */
  bool unroll;           /* loops that should be unrolled say so */
  bool narrow;           /* index variables have 32 bits where that is enough */
  bool single;           /* f64 only where a nest has it: many GPUs have none; fmodf is exact */
  const c_vectors *wide; /* NULL: there are no accesses in vectors */
  /* Appends the function of launch k around its body, which stands at depth 2. */
  void (*function)(c_printer *p, neo_buf *out, int k, const char *symbol, const neo_buf *body);
  /* A matrix instruction, and the functions that those of a file need; NULL: as loops. */
  void (*matrix)(c_printer *p, neo_buf *out, const neo_matrix_stmt *m);
  void (*matrix_helpers)(c_printer *p, neo_buf *out);
} c_dialect;

struct c_printer {
  neo_ctx *ctx;
  const neo_nest *nest;
  const c_dialect *dialect;
  neo_dtype index;  /* I64 or I32: of variables, offsets and extents */
  bool too_wide;    /* an index needs more bits than that */
  neo_range *range; /* of variables */
  uint8_t *twos;    /* how many times 2 divides them */
  c_wide wide;
  neo_arena arena;
  neo_status status;
  neo_buf out; /* the functions, before the helpers they need are known */
  int depth;
  bool used[C_HELPER_COUNT][NEO_DTYPE_COUNT][NEO_DTYPE_COUNT];
  bool buffer_used[NEO_NEST_MAX_BUFFERS];
  uint64_t matrices;                 /* which of the dialect's functions for them are needed */
  bool shares[NEO_NEST_MAX_BUFFERS]; /* parameters that may have another one's memory */
  bool *var_used;
  int lane_number;  /* of the lane at hand; -1: l */
  const char *lane; /* the element's number in a vector, as text; NULL: the lane's */
  int n_names;
  int n_nodes, n_slots;
  c_node *nodes; /* hash table of n_slots */
};

void c_fail(c_printer *p, neo_status status, const char *format, ...) NEO_PRINTF(3, 4);
/* ---- c.c ---- */
/* The whole text of a nest: prologue, helpers, one function per launch. */
neo_status c_print_nest(neo_ctx *ctx, const neo_nest *nest, const c_dialect *dialect,
                        const char *symbol, neo_buf *out);
/* The value as it is stored: halves as their bits. */
void c_print_stored(c_printer *p, neo_buf *out, neo_dtype dtype, const char *value);
/* ---- c_wide.c ---- */
/* Prints a vector store whose accesses are wide; false, with nothing printed, if none is.
 * overlaps: the value reads elsewhere in the buffer that is stored to. */
bool c_print_wide(c_printer *p, neo_buf *out, const neo_stmt *s, bool overlaps);
/* The number of this load of the statement at hand; -1: it is none in vectors. */
int c_wide_find(c_printer *p, const neo_expr *load);
void c_wide_print_lane(c_printer *p, neo_buf *out, int k, int lane);
/* ---- c_expr.c ---- */
const char *c_type(neo_dtype dtype);        /* of values: F16, BF16 are float */
const char *c_memory_type(neo_dtype dtype); /* of elements */
/* An index expression: offsets, extents, conditions; signed arithmetic that does not overflow. */
void c_print_index(c_printer *p, neo_buf *out, const neo_expr *e);
/* Prints what a store needs: temporaries as lines at p->depth into `lines`, then the value into
 * `value`. */
void c_print_value(c_printer *p, const neo_expr *e, neo_buf *lines, neo_buf *value);
void c_indent(const c_printer *p, neo_buf *out);
/* ---- c_matrix.c ---- */
void c_print_matrix_loops(c_printer *p, neo_buf *out, const neo_matrix_stmt *m);
/* ---- c_helpers.c ---- */
/* Marks a helper as needed and appends its name. b: second type of a pair. */
void c_helper_name(c_printer *p, neo_buf *out, c_helper helper, neo_dtype a, neo_dtype b);
void c_print_helpers(c_printer *p, neo_buf *out);

#endif
