/* frontends/tensorflow_flow.c: control flow but loops: calls, Switch and Merge, If.
 *
 * A Switch on a constant makes one of its outputs dead; on a computed predicate both go on, marked
 * with the predicate, and their Merge selects. */
#include "frontends/tensorflow_flow.h"

#include <string.h>

static neo_status set_all(tf_node *node, tf_kind kind) {
  for (int k = 0; k < node->n_outputs; k++)
    node->out[k] = (tf_value){.kind = kind};
  return NEO_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------- */

neo_status tf_function_attr(tf_import *im, const tf_node *node, const char *attr,
                            const tf_graph **out) {
  const Tf__Value *v = tf_attr(node, attr);
  if (!v || !v->func || !v->func->name)
    return tf_bad(im, node, "attribute '%s' names no function", attr);
  NEO_TRY(tf_function(im, v->func->name, out));
  return *out ? NEO_OK : tf_bad(im, node, "there is no function '%s'", v->func->name);
}

int tf_result_count(const tf_graph *f) {
  return (int)f->function->signature->n_output_arg;
}

neo_status tf_partitioned_call(tf_import *im, tf_node *node) {
  const tf_graph *f;
  NEO_TRY(tf_function_attr(im, node, "f", &f));
  tf_outputs(im, node, tf_result_count(f));
  return tf_call(im, f, node->scope, node->n_inputs, node->in, node->out);
}

/* ---- graphs within the graph ------------------------------------------------------------------------- */

neo_status tf_inner_begin(tf_import *im, tf_inner *in, const char *name) {
  NEO_TRY(neo_emitter_init(&in->e, im->ctx, im->source, name));
  in->e.graph->budget = im->e->graph->budget;
  in->outer = im->e;
  in->outer_generation = im->generation;
  in->e.scope = im->e->scope;
  im->e = &in->e;
  im->generation = ++im->last_generation;
  return NEO_OK;
}

/* Back to the outer graph. What was unsupported inside is so outside. */
void tf_inner_end(tf_import *im, tf_inner *in) {
  im->e = in->outer;
  im->generation = in->outer_generation;
  if (in->e.unsupported.n > 0) {
    neo_buf_append(&im->e->unsupported.text, in->e.unsupported.text.data,
                   in->e.unsupported.text.size);
    im->e->unsupported.n += in->e.unsupported.n;
  }
  if (im->e->failed == NEO_OK)
    im->e->failed = in->e.failed;
  neo_unsupported_fini(&in->e.unsupported);
}

/* An input of the inner graph with the type of this value of the outer one. */
int tf_inner_input(tf_import *im, tf_inner *in, int like) {
  neo_shape unknown = {.rank = -1};
  neo_dtype dtype = NEO_DTYPE_COUNT;
  if (like != NEO_NO_VALUE) {
    const neo_shape *shape = neo_emit_shape(in->outer, like);
    dtype = neo_emit_dtype(in->outer, like);
    unknown = shape ? *shape : unknown;
  }
  return neo_graph_add_input(im->e->graph, in->outer->scope, dtype, &unknown);
}

/* ---- If ---------------------------------------------------------------------------------------------- */

bool tf_const_predicate(tf_import *im, int value, bool *out) {
  const neo_tensor *tensor = neo_emit_const(im->e, value);
  int64_t n;
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n != 1)
    return false;
  *out = neo_tensor_get_f64(tensor, 0) != 0;
  return true;
}

/* The branch as a graph whose inputs are the captures. */
static neo_status branch_graph(tf_import *im, tf_node *node, const tf_graph *f, neo_graph **out) {
  tf_inner in;
  int n = node->n_inputs - 1;
  tf_value *arg = neo_arena_alloc(&im->arena, sizeof *arg * (size_t)(n + 1));
  tf_value *result = neo_arena_alloc(&im->arena, sizeof *result * (size_t)(tf_result_count(f) + 1));
  NEO_TRY(tf_inner_begin(im, &in, "branch"));
  for (int i = 0; i < n; i++) {
    arg[i] = node->in[i + 1];
    if (arg[i].kind == TF_TENSOR)
      arg[i] = (tf_value){.kind = TF_TENSOR, .id = tf_inner_input(im, &in, node->in[i + 1].id)};
  }
  neo_status status = tf_call(im, f, node->scope, n, arg, result);
  for (int i = 0; status == NEO_OK && i < tf_result_count(f); i++) {
    int id = NEO_NO_VALUE;
    if (result[i].kind == TF_VARIABLE)
      status = tf_variable_read(im, node, result[i].id, &id);
    if (result[i].kind == TF_TENSOR)
      id = result[i].id;
    if (id == NEO_NO_VALUE)
      tf_unsupported(im, node, "a branch gives something else than tensors");
    else
      neo_graph_add_output(im->e->graph, tf_emit_written(im, id), "");
  }
  tf_inner_end(im, &in);
  *out = in.e.graph;
  return status;
}

static neo_status kept_if(tf_import *im, tf_node *node, const tf_graph *yes, const tf_graph *no) {
  neo_graph *then_graph = NULL, *else_graph = NULL;
  int n = 0, *inputs = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)node->n_inputs);
  for (int i = 0; i < node->n_inputs; i++)
    if (node->in[i].kind == TF_TENSOR)
      inputs[n++] = node->in[i].id;
    else if (node->in[i].kind == TF_LIST)
      return tf_unsupported(im, node, "a list goes into a branch");
  neo_status status = branch_graph(im, node, yes, &then_graph);
  if (status == NEO_OK)
    status = branch_graph(im, node, no, &else_graph);
  if (status != NEO_OK || im->e->unsupported.n > 0) {
    neo_graph_destroy(then_graph);
    neo_graph_destroy(else_graph);
    set_all(node, TF_BAD);
    return status;
  }
  neo_node *made = neo_emit_node(im->e, "if", n, inputs, node->n_outputs);
  neo_node_set_graph(im->e->graph, made, "then", then_graph);
  neo_node_set_graph(im->e->graph, made, "else", else_graph);
  for (int k = 0; k < node->n_outputs; k++)
    tf_set(node, k, made->output[k]);
  return NEO_OK;
}

neo_status tf_if(tf_import *im, tf_node *node) {
  const tf_graph *yes, *no;
  bool taken;
  NEO_TRY(tf_function_attr(im, node, "then_branch", &yes));
  NEO_TRY(tf_function_attr(im, node, "else_branch", &no));
  if (tf_result_count(yes) != tf_result_count(no) || node->n_inputs < 1)
    return tf_bad(im, node, "its branches differ in their results");
  tf_outputs(im, node, tf_result_count(yes));
  if (tf_const_predicate(im, tf_in(node, 0), &taken))
    return tf_call(im, taken ? yes : no, node->scope, node->n_inputs - 1, node->in + 1, node->out);
  if (node->in[0].kind != TF_TENSOR)
    return tf_unsupported(im, node, "its condition is no tensor");
  return kept_if(im, node, yes, no);
}

/* Results of one branch instead of those so far, where the index is k; false: said. */
static bool choose(tf_import *im, tf_node *node, int64_t k, const tf_value *result) {
  int index = neo_emit_cast(im->e, tf_in(node, 0), NEO_I64);
  int own = neo_emit_binary(im->e, "equal", index, neo_emit_int(im->e, k));
  for (int i = 0; i < node->n_outputs; i++) {
    const tf_value *so_far = &node->out[i];
    if (so_far->kind != TF_TENSOR || result[i].kind != TF_TENSOR) {
      tf_unsupported(im, node, "a branch gives something else than tensors");
      return false;
    }
    const neo_shape *a = neo_emit_shape(im->e, so_far->id),
                    *b = neo_emit_shape(im->e, result[i].id);
    if (a && b && !neo_shape_equal(a, b)) {
      tf_unsupported(im, node, "its branches give different shapes");
      return false;
    }
    int in[3] = {own, result[i].id, so_far->id};
    tf_set(node, i, neo_emit_node(im->e, "where", 3, in, 1)->output[0]);
  }
  return true;
}

/* Case(index, inputs..) of several branches: all are computed, and one is chosen; an index outside
 * is that of the last. */
neo_status tf_case(tf_import *im, tf_node *node) {
  const Tf__Value *attr = tf_attr(node, "branches");
  size_t n = attr && attr->list ? attr->list->n_func : 0;
  if (n < 1 || node->n_inputs < 1 || node->in[0].kind != TF_TENSOR)
    return tf_bad(im, node, "%zu branches", n);
  for (size_t k = n; k-- > 0;) {
    const tf_graph *f = NULL;
    if (attr->list->func[k]->name)
      NEO_TRY(tf_function(im, attr->list->func[k]->name, &f));
    if (!f || (k + 1 < n && tf_result_count(f) != node->n_outputs))
      return tf_bad(im, node, "branch %zu is no function, or gives other results", k);
    if (k + 1 == n)
      tf_outputs(im, node, tf_result_count(f));
    tf_value *result = neo_arena_alloc(&im->arena, sizeof *result * (size_t)(node->n_outputs + 1));
    NEO_TRY(tf_call(im, f, node->scope, node->n_inputs - 1, node->in + 1,
                    k + 1 == n ? node->out : result));
    if (k + 1 < n && !choose(im, node, (int64_t)k, result))
      return NEO_OK;
  }
  return NEO_OK;
}

/* ---- Switch, Merge ----------------------------------------------------------------------------------- */

/* Switch(data, predicate) -> false, true */
neo_status tf_switch(tf_import *im, tf_node *node) {
  bool taken;
  if (node->n_inputs < 2)
    return tf_bad(im, node, "it lacks an input");
  node->out[0] = node->out[1] = node->in[0];
  if (tf_const_predicate(im, tf_in(node, 1), &taken)) {
    node->out[taken ? 0 : 1] = (tf_value){.kind = TF_DEAD};
  } else if (node->in[0].kind == TF_TENSOR && node->in[1].kind == TF_TENSOR) {
    node->out[0].pred = node->out[1].pred = node->in[1].id + 1;
    node->out[0].side = false;
    node->out[1].side = true;
  } else if (node->in[0].kind == TF_TENSOR) {
    set_all(node, TF_BAD);
  }
  return NEO_OK;
}

neo_status tf_merge(tf_import *im, tf_node *node) {
  tf_value live[2];
  int n = 0;
  tf_outputs(im, node, 2);
  node->out[0] = node->out[1] = (tf_value){.kind = TF_DEAD};
  for (int k = 0; k < node->n_inputs; k++) {
    if (node->in[k].kind == TF_DEAD)
      continue;
    if (n < 2)
      live[n] = node->in[k];
    n++;
  }
  if (n == 0)
    return NEO_OK;
  node->out[0] = live[0];
  node->out[1] = (tf_value){.kind = TF_OPAQUE};
  if (n == 1 || live[0].kind == TF_BAD)
    return NEO_OK;
  const tf_value *marked = live[0].pred ? &live[0] : &live[1];
  const tf_value *other = marked == live ? &live[1] : &live[0];
  if (n > 2 || live[0].kind != TF_TENSOR || live[1].kind != TF_TENSOR || !marked->pred ||
      (other->pred == marked->pred && other->side == marked->side))
    return tf_unsupported(im, node, "it joins branches of different conditions");
  int yes = marked->side ? marked->id : other->id, no = marked->side ? other->id : marked->id;
  return tf_set1(
      node, neo_emit_node(im->e, "where", 3, (int[]){marked->pred - 1, yes, no}, 1)->output[0]);
}

/* Enter, NextIteration, LoopCond outside of what a loop evaluates. */
neo_status tf_pass(tf_import *im, tf_node *node) {
  if (node->n_inputs < 1)
    return tf_bad(im, node, "it lacks its input");
  node->out[0] = node->in[0];
  return NEO_OK;
}

/* Placeholders of what is pruned or never read: NoOp, Assert, strings. */
neo_status tf_opaque(tf_import *im, tf_node *node) {
  (void)im;
  return set_all(node, TF_OPAQUE);
}
