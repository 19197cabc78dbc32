/* driver/assembly.h: the plan while it is made. Private to assemble*.c. */
#ifndef NEO_DRIVER_ASSEMBLY_H
#define NEO_DRIVER_ASSEMBLY_H

#include "driver/stages.h"

/* Memory of one or more values, or a step's workspace. */
typedef struct assembly_block {
  neo_storage storage; /* INPUT, OUTPUT: slot is a number; ARENA: placed at the end */
  int64_t slot;
  neo_lifetime life;
  int loop;       /* made inside this loop, -1: none */
  int owner_step; /* a workspace's step, else -1 */
} assembly_block;

/* A block made outside of a loop and used inside: alive until the loop ends. */
typedef struct assembly_hold {
  int block, loop;
} assembly_hold;

typedef struct assembly_loop {
  int parent, end; /* enclosing loop or -1; its last step */
} assembly_loop;

typedef struct assembly {
  neo_ctx *ctx;
  const neo_project *project;
  const neo_built *built;
  neo_params *params;
  neo_arena *arena;
  neo_plan *plan;
  int *root;      /* by graph value: the value whose memory it is, or one nearer to it */
  int64_t *shift; /* by graph value: bytes from there to its own */
  int *block;     /* by root: block, or -1 */
  int *id;        /* by graph value: plan value, or -1 */
  int *left;      /* by root: uses by steps to come; NEVER_LAST more if its end is not known here */
  int *uses;      /* by root: left at the start */
  int *direct;    /* by root: the model output it is written to, or -1 */
  int *first_function;              /* by task */
  int *region_start, *region_group; /* groups of each region, in order */
  int loop;                         /* being assembled, -1: none */
  assembly_block *blocks;
  assembly_hold *hold;
  assembly_loop *loops;
  int *value_block; /* by plan value: block, or -1 */
  int n_blocks, cap_blocks, n_holds, cap_holds, n_loops, cap_loops, cap_values, cap_steps,
      cap_value_block;
} assembly;

enum { NEVER_LAST = 1 << 20 };

int assembly_root(const assembly *a, int v);
/* The plan's value for a graph value, its memory made on first use and alive at `step`. */
neo_status assembly_value(assembly *a, int v, int step, int *out);
/* A value of no graph value: like v, in memory of its own. */
int assembly_temporary(assembly *a, int v, int step);
/* The number of the new step; args are to be filled in. */
int assembly_step(assembly *a, neo_plan_step_kind kind, const char *name, int n_args);
neo_status assembly_region(assembly *a, int region);

/* assemble_flow.c */
neo_status assembly_flow(assembly *a, const neo_group *group);
/* Control flow's share of the roots: what the graphs inside write at once where it belongs. */
void assembly_flow_roots(assembly *a, const neo_group *group);

#endif
