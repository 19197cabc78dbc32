/* schedule/sketch.h: inside of a schedule space, for the rules and the analytic model (this folder
 * only).
 *
 * A space holds variants (te rewritten by one algorithm, with the facts rules ask about) and
 * sketches. A sketch is a full instruction list with holes: a slot is one instruction whose
 * arguments or layout factors may be decisions, and which may be present only for some values of a
 * choosing decision. */
#ifndef NEO_SCHEDULE_SKETCH_H
#define NEO_SCHEDULE_SKETCH_H

#include "schedule/schedule.h"

/* ---- facts: what a te's blocks touch ------------------------------------------------------------ */

#define NEO_STRIDE_ODD                                                                             \
  INT64_MIN /* not a constant stride: a vector access is one lane at a time                        \
             */

typedef struct neo_access {
  int buffer, rank;
  bool store, guarded, indirect;
  uint32_t guard_axes;       /* bit per axis that a guard depends on */
  bool affine[NEO_MAX_RANK]; /* false: coef holds 1 for each axis that it uses */
  int64_t divide[NEO_MAX_RANK], modulo[NEO_MAX_RANK]; /* of a / d, a % m, a / d % m; else 0 */
  uint32_t from_zero;          /* bit per dim: a affine part without a constant */
  uint32_t axes[NEO_MAX_RANK]; /* bit per axis with a coefficient */
  int64_t base[NEO_MAX_RANK];
  int64_t coef[NEO_MAX_RANK][NEO_TE_MAX_AXES]; /* dim x axis */
} neo_access;

typedef struct neo_block_facts {
  int n_access; /* access[0] is the store; loads follow in body order, equal ones once */
  neo_access *access;
  bool contraction; /* reduction by add of a product of two different loads */
  int formulas;     /* a body that selects among sums by an axis: how many; else 1 */
  double ops; /* arithmetic operations of one body evaluation; expensive functions count more */
} neo_block_facts;

typedef struct neo_facts {
  const neo_te *te;
  neo_block_facts block[NEO_TE_MAX_BLOCKS];
  int writer[NEO_TE_MAX_BUFFERS];    /* first writing block, -1 for IN and CONST */
  int n_readers[NEO_TE_MAX_BUFFERS]; /* blocks that read it */
  int reader[NEO_TE_MAX_BUFFERS];    /* the last of them */
} neo_facts;

void neo_facts_find(neo_arena *arena, const neo_te *te, neo_facts *out);
/* Elements between neighbours along `axis` in memory; 0 if it does not move; NEO_STRIDE_ODD if not
 * constant over aligned groups of `lanes`. */
int64_t neo_access_stride(const neo_access *access, const neo_te *te, const neo_layout *layout,
                          int axis, int lanes);
/* The buffer's dim that `axis` alone moves with coefficient 1; -1 if there is none or several. */
int neo_access_dim(const neo_access *access, int axis);
bool neo_access_uses(const neo_access *access, int axis);
/* Does `read`, out's load of what red computes, take each spatial axis of red's along one of out's
 * own, whole and in order? Then out_of_red has out's axis for each of red's, -1 for those of
 * extent 1. */
bool neo_access_maps_axes(const neo_access *read, const neo_te_block *out, const neo_te_block *red,
                          int *out_of_red);

/* ---- sketches ------------------------------------------------------------------------------------- */

#define NEO_SKETCH_DOMAIN 40
#define NEO_SKETCH_HOLES 6
#define NEO_HOLE_LAYOUT 100 /* hole.where >= this: factor of layout dim (where - this) */

typedef struct neo_decision {
  const char *name;
  bool choice; /* selects slots; else its values are holes' numbers in ascending order */
  int n;
  int32_t value[NEO_SKETCH_DOMAIN];
} neo_decision;

typedef struct neo_hole {
  int16_t where, decision; /* arg index or NEO_HOLE_LAYOUT + dim */
  int32_t scale, plus;     /* the argument is decision's value * scale + plus */
} neo_hole;

typedef struct neo_slot {
  neo_instr instr;
  int choose;    /* decision that this slot depends on; -1: always present */
  uint64_t when; /* its domain indices for which the slot is present */
  int n_holes;
  neo_hole hole[NEO_SKETCH_HOLES];
} neo_slot;

/* Legality by construction: each limit lowers decisions until it holds; index 0 always satisfies
 * it. */
typedef enum neo_limit_kind {
  NEO_LIMIT_REGISTERS, /* d[0] vectors x the others <= a registers with operands */
  NEO_LIMIT_PRODUCT,   /* a * product of all <= b; the first of them gives way */
  NEO_LIMIT_COVER,     /* d[0] <= ceil(b / (a * product of the others)) */
  NEO_LIMIT_DIVIDES,   /* d[0] divides d[1] (or a, where d[1] < 0) */
  NEO_LIMIT_FACTORS,   /* the product of all divides b; the first of them gives way */
} neo_limit_kind;

typedef struct neo_limit {
  neo_limit_kind kind;
  int n, d[6];
  int64_t a, b;
} neo_limit;

#define NEO_SKETCH_DECISIONS 64
#define NEO_SKETCH_LIMITS 64

typedef struct neo_sketch {
  int variant, choice;
  uint64_t rules;      /* rows of rules.def that wrote it */
  uint64_t intrinsics; /* rows of intrinsics.def that it uses */
  uint64_t matrices;   /* rows of matrices.def */
  int n_slots, n_decisions, n_limits, cap_slots;
  neo_slot *slot;
  neo_decision decision[NEO_SKETCH_DECISIONS];
  neo_limit limit[NEO_SKETCH_LIMITS];
} neo_sketch;

typedef struct neo_variant {
  char alg[64];
  neo_te te;
  neo_facts facts;
} neo_variant;

#define NEO_SPACE_VARIANTS 12

struct neo_space {
  neo_arena arena;
  neo_te te;
  neo_target target;
  neo_space_options options;
  neo_layout fixed[NEO_TE_MAX_BUFFERS];
  const neo_allocator *allocator;
  int n_variants, n_sketches;
  int n_left_out; /* sketches whose first candidate did not lower */
  neo_variant *variant[NEO_SPACE_VARIANTS];
  neo_sketch *sketch[NEO_MAX_SKETCHES];
};

/* ---- building: what rules use ------------------------------------------------------------------------ */

typedef struct neo_builder {
  neo_space *space;
  const neo_variant *variant;
  neo_sketch *sketch;
  neo_layout layout[NEO_TE_MAX_BUFFERS]; /* decided so far; holes stand at their smallest value */
  bool laid[NEO_TE_MAX_BUFFERS];         /* has a lay or pack slot, or is fixed row-major */
  bool done[NEO_TE_MAX_BLOCKS];
  int choice;  /* which of a rule's alternatives this sketch takes (vector axis) */
  bool more;   /* set by a rule: choice + 1 exists, too */
  bool failed; /* too many slots or decisions: the sketch is dropped */
} neo_builder;

/* A rule schedules the block (with what it computes inside it) if it can: adds slots, decisions and
 * limits, marks the blocks done and returns true; else returns false and has added nothing. */
typedef enum neo_rule_device { NEO_RULE_CPU, NEO_RULE_GPU, NEO_RULE_ANY } neo_rule_device;

typedef struct neo_rule {
  const char *name, *about;
  bool (*apply)(neo_builder *b, int block);
  neo_rule_device device;
} neo_rule;

int neo_rule_count(void);
const neo_rule *neo_rule_get(int row);

/* For a rule with one alternative beside what the rules after it do: false: this sketch is one of
 * theirs, whose choices begin at 0. */
bool neo_builder_take_one(neo_builder *b);
/* Returns the decision's number; -1 (and b->failed) when there are too many. */
int neo_builder_decision(neo_builder *b, const char *name, bool choice);
void neo_builder_value(neo_builder *b, int decision, int64_t value); /* ascending for numbers */
/* 1, 2, 3, 4, 6, 8, 12, 16, ... up to and including `most`. */
void neo_builder_ladder(neo_builder *b, int decision, int64_t most);
void neo_builder_divisors(neo_builder *b, int decision, int64_t n, int64_t most);
void neo_builder_limit(neo_builder *b, neo_limit_kind kind, int64_t a, int64_t bound, int n,
                       const int *d);

/* Adds a slot that is always present; fill its instr through the result (never NULL). */
neo_slot *neo_builder_slot(neo_builder *b, neo_instr_kind kind, int block);
void neo_slot_when(neo_slot *slot, int choose, uint64_t when);
void neo_slot_hole(neo_slot *slot, int where, int decision, int64_t scale);
void neo_slot_arg(neo_slot *slot, int64_t value);
/* An argument that is a decision's value; decision < 0: the constant scale. */
void neo_slot_arg_hole(neo_slot *slot, int decision, int64_t scale);
void neo_slot_loop(neo_slot *slot, int axis, int level); /* of `order` */
neo_slot *neo_builder_mark(neo_builder *b, neo_instr_kind kind, int block, int axis,
                           int level); /* vector, unroll */
/* lay or pack by the buffer's role; nothing for row-major. Returns the slot or NULL. */
neo_slot *neo_builder_lay(neo_builder *b, int buffer, const neo_layout *layout);

void neo_layout_permutation(neo_layout *out, int rank, const int *dims);
/* Dim `last` innermost, the others in order; row-major becomes n == 0. */
void neo_layout_with_last(neo_layout *out, int rank, int last);
/* Vector lanes for a block: by its widest element type among store and loads. */
int neo_builder_lanes(const neo_builder *b, int block);
/* Those of a block that stores what another sums, whose floats may be done lane by lane. */
int neo_builder_store_lanes(const neo_builder *b, int block);
/* The writer of a TMP that only `block` reads, and reads once; -1 otherwise. */
int neo_builder_producer(const neo_builder *b, int block, int access);

/* The spatial axis of `block` that moves its store by one element; -1 if there is none of extent
 * > 1. */
int neo_builder_unit_axis(const neo_builder *b, int block, int lanes);
/* Layouts for the TMP and CONST buffers that `block` reads and nobody laid yet: `axis` innermost
 * where it moves one dim by one, else row-major. */
void neo_builder_lay_reads(neo_builder *b, int block, int axis);
/* The spatial axes of `block` in the order of its store's physical dims, outermost first; returns
 * how many. */
int neo_builder_walk(const neo_builder *b, int block, int *axes);

/* ---- candidates ---------------------------------------------------------------------------------------- */

int32_t neo_sketch_value(const neo_sketch *sketch, const neo_candidate *c,
                         int decision); /* 1 if decision < 0 */
/* Lowers decisions until every limit holds; the canonical form of a candidate. */
void neo_sketch_repair(const neo_sketch *sketch, const neo_target *target, neo_candidate *c);
bool neo_limit_holds(const neo_limit *limit, const neo_sketch *sketch, const neo_candidate *c);

#endif
