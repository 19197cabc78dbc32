/* ir/partition.c: the graph as a list of fused operators.
 *
 * Why: a contraction's output is cheapest to transform while it is in registers; an elementwise
 * operator alone is bound by memory. So each contraction or reduction takes the elementwise
 * operators behind it.
 *
 * How: nodes are visited in topological order. A node that no group has yet becomes the anchor of
 * one. From an anchor a region grows: the earliest free elementwise node that reads a value of the
 * region, has the anchor's output shape, and whose other operands are constants, inputs, in the
 * region or computed by earlier groups (so a residual add joins the later of its two producers).
 * Whenever exactly one value leaves the region, and it is the newest, the region is a legal group;
 * the largest legal one is taken. Values used several times inside (swish, hard-swish) are handled
 * by that rule alone.
 *
 * A flattened graph (neo_graph_flatten) has regions; no group reaches out of one.
 *
 * The te grows along (neo_te_append); a value that stays inside becomes TMP, and
 * neo_te_canonicalise substitutes it. Views make no code: they are steps of their own, to be
 * aliased by whoever plans memory. Operators without a te are runtime steps.
 *
 * Invariants: every live node is in exactly one group; a group reads only constants, graph inputs
 * and outputs of earlier groups; the args of a TE group are its te's IN, CONST and OUT buffers in
 * order. */
#include "ir/flow.h"

#include <string.h>

#define MAX_REGION 32

/* A te that grows, with the graph value of each buffer. */
typedef struct region {
  int n, node[MAX_REGION];
  neo_te te;
  int value[NEO_TE_MAX_BUFFERS]; /* te buffer -> graph value, -1 for inner temporaries */
} region;

typedef struct partitioner {
  neo_ctx *ctx;
  const neo_graph *graph;
  neo_arena *arena;
  neo_arena scratch;
  int *first_user, *next_user, *user_node; /* lists of consumers, one entry a use */
  bool *is_output;
  int *group_of; /* node -> group, -1: free */
  neo_partition *out;
  int cap_groups;
  region *work;    /* three, reused: accepted, growing, candidate */
  neo_buf missing; /* a line for each node that has no code */
} partitioner;

/* ---- consumers ------------------------------------------------------------------------------- */

static void index_users(partitioner *p) {
  const neo_graph *graph = p->graph;
  int n_uses = 0, at = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    n_uses += graph->node[i].n_inputs;
  p->first_user = neo_arena_alloc(&p->scratch, sizeof(int) * (size_t)(graph->n_values + 1));
  p->next_user = neo_arena_alloc(&p->scratch, sizeof(int) * (size_t)(n_uses + 1));
  p->user_node = neo_arena_alloc(&p->scratch, sizeof(int) * (size_t)(n_uses + 1));
  p->is_output = neo_arena_alloc(&p->scratch, (size_t)graph->n_values + 1);
  p->group_of = neo_arena_alloc(&p->scratch, sizeof(int) * (size_t)(graph->n_nodes + 1));
  for (int i = 0; i < graph->n_values; i++)
    p->first_user[i] = -1;
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    const neo_node *node = &graph->node[i];
    p->group_of[i] = -1;
    for (int k = 0; !node->dead && k < node->n_inputs; k++) {
      if (node->input[k] == NEO_NO_VALUE)
        continue;
      p->user_node[at] = i;
      p->next_user[at] = p->first_user[node->input[k]];
      p->first_user[node->input[k]] = at++;
    }
  }
  for (int i = 0; i < graph->n_outputs; i++)
    p->is_output[graph->output[i]] = true;
}

static bool in_region(const region *r, int node) {
  for (int i = 0; i < r->n; i++)
    if (r->node[i] == node)
      return true;
  return false;
}

/* Is the value needed outside of the region? */
static bool escapes(const partitioner *p, const region *r, int value) {
  if (p->is_output[value])
    return true;
  for (int use = p->first_user[value]; use >= 0; use = p->next_user[use])
    if (!in_region(r, p->user_node[use]))
      return true;
  return false;
}

/* ---- growing --------------------------------------------------------------------------------- */

static int region_buffer(const region *r, int value) {
  for (int i = 0; i < r->te.n_buffers; i++)
    if (r->value[i] == value)
      return i;
  return -1;
}

/* Constants, inputs, values of the region, values of earlier groups. */
static bool operand_ready(const partitioner *p, const region *r, int value) {
  int node = value == NEO_NO_VALUE ? -1 : p->graph->value[value].node;
  return node < 0 || p->group_of[node] >= 0 || in_region(r, node);
}

static bool may_join(const partitioner *p, const region *r, int id) {
  const neo_node *node = &p->graph->node[id];
  const neo_node *anchor = &p->graph->node[r->node[0]];
  if (p->group_of[id] >= 0 || node->dead || node->op->fuse != 'e' || !node->op->lower ||
      node->n_outputs != 1 || in_region(r, id) || node->region != anchor->region)
    return false;
  if (!neo_shape_equal(&p->graph->value[node->output[0]].shape,
                       &p->graph->value[anchor->output[0]].shape))
    return false;
  for (int k = 0; k < node->n_inputs; k++)
    if (!operand_ready(p, r, node->input[k]))
      return false;
  return true;
}

/* The earliest node that may join, or -1. */
static int next_member(const partitioner *p, const region *r) {
  int best = -1;
  for (int i = 0; i < r->n; i++) {
    int value = p->graph->node[r->node[i]].output[0];
    for (int use = p->first_user[value]; use >= 0; use = p->next_user[use]) {
      int id = p->user_node[use];
      if ((best < 0 || id < best) && may_join(p, r, id))
        best = id;
    }
  }
  return best;
}

/* Exactly the newest member's value leaves the region. */
static bool is_closed(const partitioner *p, const region *r) {
  for (int i = 0; i < r->n - 1; i++)
    if (escapes(p, r, p->graph->node[r->node[i]].output[0]))
      return false;
  return true;
}

static neo_status lower_node(partitioner *p, int id, neo_te *te, int *value) {
  const neo_node *node = &p->graph->node[id];
  int out = 0;
  for (int i = 0; i < NEO_TE_MAX_BUFFERS; i++)
    value[i] = -1;
  neo_te_init(te, p->arena);
  NEO_TRY(node->op->lower(p->ctx, p->graph, node, te, value));
  for (int i = 0; i < te->n_buffers; i++) {
    if (te->buffer[i].role == NEO_TE_TMP)
      value[i] = -1;
    if (te->buffer[i].role == NEO_TE_OUT) {
      neo_assert(out < node->n_outputs);
      value[i] = node->output[out++];
    }
  }
  neo_assert(out == node->n_outputs);
  return NEO_OK;
}

static neo_status append(partitioner *p, region *r, int id) {
  neo_te consumer;
  int value[NEO_TE_MAX_BUFFERS], shared[NEO_TE_MAX_BUFFERS], map[NEO_TE_MAX_BUFFERS];
  int in = -1, out = -1;
  NEO_TRY(lower_node(p, id, &consumer, value));
  for (int i = 0; i < consumer.n_buffers; i++) {
    shared[i] =
        value[i] < 0 || consumer.buffer[i].role == NEO_TE_OUT ? -1 : region_buffer(r, value[i]);
    if (in < 0 && shared[i] >= 0 && r->te.buffer[shared[i]].role == NEO_TE_OUT) {
      in = i;
      out = shared[i];
      shared[i] = -1;
    }
  }
  if (in < 0 || r->te.n_buffers + consumer.n_buffers > NEO_TE_MAX_BUFFERS ||
      r->te.n_blocks + consumer.n_blocks > NEO_TE_MAX_BLOCKS)
    return NEO_UNSUPPORTED;
  int before = r->te.n_buffers;
  NEO_TRY(
      neo_te_append(p->ctx, &r->te, out, &consumer, in,
                    &(neo_te_append_options){.keep = true, .shared = shared, .buffer_map = map}));
  for (int i = before; i < r->te.n_buffers; i++)
    r->value[i] = -1;
  for (int i = 0; i < consumer.n_buffers; i++)
    if (i != in && shared[i] < 0)
      r->value[map[i]] = value[i];
  r->node[r->n++] = id;
  return NEO_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Values that stay inside become TMP; false if one of them cannot. */
static bool hide_inner_values(const partitioner *p, region *r) {
  int last = p->graph->node[r->node[r->n - 1]].output[0];
  for (int i = 0; i < r->te.n_buffers; i++) {
    if (r->te.buffer[i].role != NEO_TE_OUT || r->n == 1 || r->value[i] == last)
      continue;
    int before = r->te.n_buffers;
    if (neo_te_hide(p->ctx, &r->te, i) != NEO_OK)
      return false;
    r->value[i] = -1;
    for (int k = before; k < r->te.n_buffers; k++)
      r->value[k] = -1;
  }
  return true;
}

/* Grows a copy and keeps the largest closed state in *r. */
static neo_status grow(partitioner *p, region *r) {
  region *next = &p->work[1], *closed = &p->work[2];
  *next = *r;
  while (next->n < MAX_REGION) {
    int id = next_member(p, next);
    if (id < 0)
      break;
    neo_status status = append(p, next, id);
    if (status == NEO_UNSUPPORTED)
      break;
    NEO_TRY(status);
    if (!is_closed(p, next))
      continue;
    *closed = *next;
    if (hide_inner_values(p, closed))
      *r = *closed;
  }
  return NEO_OK;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static neo_group *new_group(partitioner *p, neo_step_kind kind, int anchor, int n_nodes,
                            const int *nodes) {
  neo_partition *out = p->out;
  out->group =
      neo_arena_grow(p->arena, out->group, &p->cap_groups, out->n_groups + 1, sizeof *out->group);
  neo_group *group = &out->group[out->n_groups];
  memset(group, 0, sizeof *group);
  group->kind = kind;
  group->region = p->graph->node[anchor].region;
  group->n_nodes = n_nodes;
  group->node = neo_arena_copy(p->arena, nodes, sizeof *nodes * (size_t)n_nodes);
  group->name = p->graph->node[anchor].name;
  group->op = p->graph->node[anchor].op->name;
  for (int i = 0; i < n_nodes; i++)
    p->group_of[nodes[i]] = out->n_groups;
  out->n_groups++;
  return group;
}

static void add_te_args(partitioner *p, neo_group *group, const int *value, const int *order) {
  const neo_te *te = &group->te;
  group->arg = neo_arena_alloc(p->arena, sizeof(int) * (size_t)te->n_buffers);
  for (int i = 0; i < te->n_buffers; i++) {
    neo_te_role role = te->buffer[i].role;
    if (role == NEO_TE_TMP)
      continue;
    group->arg[group->n_args++] = value[order[i]];
    group->n_inputs += role == NEO_TE_IN;
    group->n_consts += role == NEO_TE_CONST;
    group->n_outputs += role == NEO_TE_OUT;
  }
}

/* Kernels are made for loops that run at least once. */
static neo_status refuse_empty(const partitioner *p, int id, const neo_te *te) {
  const neo_node *node = &p->graph->node[id];
  for (int k = 0; k < te->n_buffers; k++)
    for (int d = 0; d < te->buffer[k].shape.rank; d++)
      if (te->buffer[k].shape.dim[d] == 0)
        return neo_fail(p->ctx, NEO_UNSUPPORTED,
                        "node '%s' (%s): dimension %d of a tensor is 0: there is no code for empty "
                        "tensors",
                        node->name, node->op->name, d);
  return NEO_OK;
}

static neo_status te_group(partitioner *p, int id) {
  region *r = &p->work[0];
  int order[NEO_TE_MAX_BUFFERS];
  const neo_node *node = &p->graph->node[id];
  NEO_TRY(lower_node(p, id, &r->te, r->value));
  NEO_TRY(refuse_empty(p, id, &r->te));
  r->node[0] = id;
  r->n = 1;
  if (strchr("ecm", node->op->fuse) && node->n_outputs == 1)
    NEO_TRY(grow(p, r));
  neo_group *group = new_group(p, NEO_STEP_TE, id, r->n, r->node);
  group->te = r->te;
  NEO_TRY(neo_te_canonicalise(p->ctx, &group->te, order));
  add_te_args(p, group, r->value, order);
  neo_te_key(&group->te, group->key);
  return NEO_OK;
}

static void plain_group(partitioner *p, int id, neo_step_kind kind) {
  const neo_node *node = &p->graph->node[id];
  neo_group *group = new_group(p, kind, id, 1, &id);
  group->n_inputs = kind == NEO_STEP_VIEW ? 1 : node->n_inputs;
  group->n_outputs = node->n_outputs;
  group->n_args = group->n_inputs + group->n_outputs;
  group->arg = neo_arena_alloc(p->arena, sizeof(int) * (size_t)group->n_args);
  memcpy(group->arg, node->input, sizeof(int) * (size_t)group->n_inputs);
  memcpy(group->arg + group->n_inputs, node->output, sizeof(int) * (size_t)group->n_outputs);
}

static neo_status visit_node(partitioner *p, int id) {
  const neo_node *node = &p->graph->node[id];
  if (node->dead || p->group_of[id] >= 0)
    return NEO_OK;
  if (node->op->fuse == 'v')
    plain_group(p, id, NEO_STEP_VIEW);
  else if (neo_flow_is(node))
    plain_group(p, id, NEO_STEP_FLOW);
  else if (!node->op->lower && !node->op->runtime)
    neo_buf_printf(
        &p->missing,
        "%snode '%s' (%s): there is no code for it that could run with values known only "
        "at run time",
        p->missing.size ? "\n" : "", node->name, node->op->name);
  else if (!node->op->lower)
    plain_group(p, id, NEO_STEP_RUNTIME);
  else
    return te_group(p, id);
  return NEO_OK;
}

neo_status neo_graph_partition(neo_ctx *ctx, const neo_graph *graph, neo_arena *arena,
                               neo_partition *out) {
  neo_partition made = {arena, graph, 0, NULL};
  partitioner p = {.ctx = ctx, .graph = graph, .arena = arena, .out = &made};
  neo_status status = NEO_OK;
  for (int i = 0; i < graph->n_values; i++)
    if (graph->value[i].node >= 0 && !graph->node[graph->value[i].node].dead &&
        graph->value[i].shape.rank < 0)
      return neo_fail(ctx, NEO_USAGE, "partition: value '%s' has no shape yet; infer first",
                      graph->value[i].name);
  neo_arena_init(&p.scratch);
  p.work = neo_arena_alloc(&p.scratch, 3 * sizeof *p.work);
  index_users(&p);
  for (int i = 0; status == NEO_OK && i < graph->n_nodes; i++)
    status = visit_node(&p, i);
  neo_arena_fini(&p.scratch);
  if (status == NEO_OK && p.missing.size)
    status = neo_fail(ctx, NEO_UNSUPPORTED, "%s", p.missing.data);
  neo_buf_fini(&p.missing);
  if (status == NEO_OK)
    *out = made;
  return status;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_args(neo_buf *buf, const neo_partition *partition, const neo_group *group,
                       int from, int n) {
  for (int i = from; i < from + n; i++) {
    neo_buf_text(buf, i > from ? ", " : "");
    if (group->arg[i] == NEO_NO_VALUE) {
      neo_buf_text(buf, "_");
      continue;
    }
    const neo_value *value = &partition->graph->value[group->arg[i]];
    neo_buf_printf(buf, "%s %s", value->name, neo_dtype_name(value->dtype));
    neo_shape_print(buf, &value->shape);
  }
}

void neo_partition_print(neo_buf *buf, const neo_partition *partition) {
  static const char *const kinds[] = {"te", "runtime", "view", "flow"};
  for (int i = 0; i < partition->n_groups; i++) {
    const neo_group *group = &partition->group[i];
    neo_buf_printf(buf, "%d %s %s", i, kinds[group->kind], group->key);
    for (int k = 0; k < group->n_nodes; k++)
      neo_buf_printf(buf, "%s%s", k ? "+" : " ", partition->graph->node[group->node[k]].op->name);
    neo_buf_printf(buf, " '%s': ", group->name);
    print_args(buf, partition, group, 0, group->n_args - group->n_outputs);
    neo_buf_text(buf, " -> ");
    print_args(buf, partition, group, group->n_args - group->n_outputs, group->n_outputs);
    neo_buf_text(buf, "\n");
  }
}
