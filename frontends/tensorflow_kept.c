/* frontends/tensorflow_kept.c: loops that stay loops: the body becomes the body graph of an
 * operator `loop`. What it leaves unchanged is then a capture, a list it only reads is captured as
 * the tensor it came from, and a list it writes at the loop's counter is a scan output. */
#include "frontends/tensorflow_flow.h"

#include <string.h>

/* ---- loops that stay loops --------------------------------------------------------------------------- */

/* What each state of the loop is to the operator `loop`. */
typedef enum role {
  STATE,   /* a tensor that changes */
  CAPTURE, /* a tensor that does not */
  SOURCE,  /* a list that is only read: its tensor is a capture */
  SCAN,    /* a list that is written */
  OTHER    /* variables, strings */
} role;

typedef struct kept {
  tf_loop *loop;
  role *role;
  int n_inputs, *input; /* of the operator: max_trips, cond, states, captures */
  tf_value *inside;     /* the loop's states within the body */
  int n_states, n_scans;
  int64_t trips; /* -1: the condition decides */
  bool *last;    /* a scan of which only the last row counts */
  int64_t *from; /* a scan's first place: the items before it were written before the loop */
} kept;

static neo_status assign_role(tf_import *im, kept *k, int i) {
  tf_loop *loop = k->loop;
  const tf_value *v = &loop->start[i];
  bool invariant = i >= loop->n || tf_loop_is_invariant(im, loop, i);
  if (v->kind == TF_TENSOR)
    k->role[i] = invariant ? CAPTURE : STATE;
  else if (v->kind == TF_LIST && invariant && !v->list->item && v->list->source != NEO_NO_VALUE)
    k->role[i] = SOURCE;
  else if (v->kind == TF_LIST && !invariant && !v->list->logged)
    k->role[i] = SCAN;
  else
    k->role[i] = OTHER;
  if (k->role[i] == OTHER && (!invariant || v->kind == TF_LIST))
    return tf_loop_unsupported(im, loop, "a loop with a list that it reads and writes");
  return NEO_OK;
}

static void add_body_input(tf_import *im, tf_inner *in, kept *k, int i) {
  const tf_value *outer = &k->loop->start[i];
  int id = outer->kind == TF_LIST ? outer->list->source : outer->id;
  const neo_tensor *constant = k->role[i] == STATE ? NULL : neo_emit_const(in->outer, id);
  int inside =
      constant ? neo_emit_tensor(im->e, in->outer->scope, constant) : tf_inner_input(im, in, id);
  if (!constant)
    k->input[k->n_inputs++] = id;
  k->inside[i] = (tf_value){.kind = TF_TENSOR, .id = inside};
  if (k->role[i] == SOURCE) {
    tf_list *list = neo_arena_copy(&im->arena, outer->list, sizeof *list);
    list->source = inside;
    k->inside[i] = tf_list_value(list);
  }
}

static void make_body_inputs(tf_import *im, tf_inner *in, kept *k) {
  int total = k->loop->n + k->loop->n_shared;
  neo_graph_add_input(im->e->graph, "i", NEO_I64, &(neo_shape){0});
  neo_graph_add_input(im->e->graph, "cond", NEO_BOOL, &(neo_shape){0});
  for (int i = 0; i < total; i++)
    if (k->role[i] == STATE) {
      add_body_input(im, in, k, i);
      k->n_states++;
    }
  for (int i = 0; i < total; i++) {
    if (k->role[i] == CAPTURE || k->role[i] == SOURCE)
      add_body_input(im, in, k, i);
    if (k->role[i] == OTHER)
      k->inside[i] = k->loop->start[i];
    if (k->role[i] == SCAN) {
      tf_list *list = neo_arena_copy(&im->arena, k->loop->start[i].list, sizeof *list);
      list->logged = true;
      k->inside[i] = tf_list_value(list);
    }
  }
}

/* Does the value, within the body, count iterations: a state that grows by 1? Its start, else -1.
 */
static int64_t counts_from(tf_import *im, const tf_inner *in, const kept *k, const tf_value *next,
                           int value) {
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] != STATE || k->inside[i].id != value || next[i].kind != TF_TENSOR)
      continue;
    const neo_tensor *start = neo_emit_const(in->outer, k->loop->start[i].id);
    int made_by = im->e->graph->value[next[i].id].node;
    const neo_node *add = made_by >= 0 ? &im->e->graph->node[made_by] : NULL;
    if (!start || !add || strcmp(add->op->name, "add") != 0)
      return -1;
    int other = add->input[0] == value ? add->input[1] : add->input[0];
    const neo_tensor *by = neo_emit_const(im->e, other);
    if ((add->input[0] != value && add->input[1] != value) || !by || by->size == 0 ||
        start->size == 0 || neo_tensor_get_i64(by, 0) != 1)
      return -1;
    return neo_tensor_get_i64(start, 0);
  }
  return -1;
}

/* Do the iterations write each item of the list that is not written yet, in order? */
static bool fills_list(const kept *k, const tf_list *list, int64_t from) {
  if (from < 0 || k->trips < 0 || from + k->trips != list->n)
    return false;
  for (int64_t i = 0; i < from; i++)
    if (!list->item || list->item[i] == NEO_NO_VALUE)
      return false;
  return true;
}

/* The body's outputs: the condition, the states, the scans. */
static bool make_body_outputs(tf_import *im, const tf_inner *in, kept *k, const tf_value *next,
                              const tf_value *cond) {
  neo_graph *g = im->e->graph;
  int go = k->trips < 0 ? cond->id : g->input[1];
  if (k->trips < 0 && cond->kind != TF_TENSOR)
    return false;
  neo_graph_add_output(g, tf_emit_written(im, go), "cond");
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] == STATE && next[i].kind != TF_TENSOR)
      return false;
    if (k->role[i] == STATE)
      neo_graph_add_output(g, tf_emit_written(im, next[i].id), "state");
  }
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] != SCAN)
      continue;
    const tf_write *w = next[i].kind == TF_LIST ? next[i].list->log : NULL;
    const neo_tensor *place = w ? neo_emit_const(im->e, w->index) : NULL;
    if (!w || w->before)
      return false;
    k->last[i] = place && place->size > 0 && neo_tensor_get_i64(place, 0) == 0 &&
                 next[i].list->n == 1 && k->trips > 0;
    if (!k->last[i]) {
      k->from[i] = counts_from(im, in, k, next, w->index);
      if (!fills_list(k, k->loop->start[i].list, k->from[i]))
        return false;
    }
    neo_graph_add_output(g, tf_emit_written(im, w->item), "scan");
    k->n_scans++;
  }
  return true;
}

static neo_status build_body(tf_import *im, tf_inner *in, kept *k, bool *sound) {
  tf_loop *loop = k->loop;
  int total = loop->n + loop->n_shared;
  tf_value *next = neo_arena_alloc(&im->arena, sizeof *next * (size_t)(total + 1)), cond = {0};
  bool *want = neo_arena_alloc(&im->arena, sizeof *want * (size_t)(loop->n + 1));
  make_body_inputs(im, in, k);
  memcpy(next, k->inside, sizeof *next * (size_t)total);
  for (int i = 0; i < loop->n; i++)
    want[i] = k->role[i] == STATE || k->role[i] == SCAN;
  NEO_TRY(tf_loop_step(im, loop, &(tf_step){k->inside, want, NULL, next}));
  if (k->trips < 0) {
    tf_value *after = neo_arena_copy(&im->arena, next, sizeof *after * (size_t)total);
    for (int i = 0; i < loop->n; i++)
      if (k->role[i] == SCAN)
        after[i] = k->inside[i];
    NEO_TRY(tf_loop_step(im, loop, &(tf_step){after, NULL, &cond, NULL}));
  }
  *sound = make_body_outputs(im, in, k, next, &cond);
  return NEO_OK;
}

static neo_status results_of_kept(tf_import *im, kept *k, const neo_node *made) {
  tf_loop *loop = k->loop;
  tf_value *result = neo_arena_copy(&im->arena, loop->start, sizeof *result * (size_t)loop->n);
  int *output = neo_arena_copy(&im->arena, made->output, sizeof(int) * (size_t)made->n_outputs);
  int state = 0, scan = k->n_states;
  for (int i = 0; i < loop->n; i++) {
    if (k->role[i] == STATE)
      result[i] = (tf_value){.kind = TF_TENSOR, .id = output[state++]};
    if (k->role[i] != SCAN)
      continue;
    tf_list *list = neo_arena_copy(&im->arena, loop->start[i].list, sizeof *list);
    int rows = output[scan++];
    if (k->from[i] > 0) {
      int before;
      list->n = (int)k->from[i];
      tf_list_stack(im, loop->node, list, &before);
      rows = tf_emit_concat(im, 2, (int[]){before, rows}, 0);
    }
    list->item = NULL;
    list->n = -1;
    list->source = rows;
    if (k->last[i]) {
      int from = neo_emit_ints(im->e, 1, (int64_t[]){-1});
      neo_node *row = neo_emit_node(im->e, "gather", 2, (int[]){list->source, from}, 1);
      neo_node_set_int(im->e->graph, row, "axis", 0);
      list->source = row->output[0];
    }
    result[i] = tf_list_value(list);
  }
  return tf_loop_results(loop, result);
}

/* first: the condition before the first iteration, unless trips says how many there are. */
neo_status tf_loop_keep(tf_import *im, tf_loop *loop, int64_t trips, const tf_value *first) {
  tf_inner in;
  int total = loop->n + loop->n_shared;
  bool sound = false;
  kept k = {.loop = loop, .trips = trips};
  k.role = neo_arena_alloc(&im->arena, sizeof *k.role * (size_t)(total + 1));
  k.input = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(total + 2));
  k.inside = neo_arena_alloc(&im->arena, sizeof *k.inside * (size_t)(total + 1));
  k.last = neo_arena_alloc(&im->arena, sizeof *k.last * (size_t)(total + 1));
  k.from = neo_arena_alloc(&im->arena, sizeof *k.from * (size_t)(total + 1));
  int before = im->e->unsupported.n;
  for (int i = 0; i < total; i++)
    NEO_TRY(assign_role(im, &k, i));
  if (im->e->unsupported.n != before)
    return NEO_OK;
  k.input[0] = trips >= 0 ? neo_emit_int(im->e, trips) : NEO_NO_VALUE;
  k.input[1] = trips >= 0 ? NEO_NO_VALUE : first->id;
  k.n_inputs = 2;
  NEO_TRY(tf_inner_begin(im, &in, "body"));
  neo_status status = build_body(im, &in, &k, &sound);
  tf_inner_end(im, &in);
  if (status != NEO_OK || !sound || im->e->unsupported.n > 0) {
    neo_graph_destroy(in.e.graph);
    NEO_TRY(status);
    return tf_loop_unsupported(
        im, loop,
        im->e->unsupported.n > 0
            ? NULL
            : "a loop whose lists are not written once an iteration, in order");
  }
  neo_node *made = neo_emit_node(im->e, "loop", k.n_inputs, k.input, k.n_states + k.n_scans);
  neo_node_set_graph(im->e->graph, made, "body", in.e.graph);
  neo_node_set_int(im->e->graph, made, "n_state", k.n_states);
  return results_of_kept(im, &k, made);
}
