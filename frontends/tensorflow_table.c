/* frontends/tensorflow_table.c: lookup tables whose keys and values are constants.
 *
 * A table is the node of the main graph that makes it. What fills it is no step of what is
 * computed: an import beside it, or in a function whose arguments a call in the main graph gives,
 * which the SavedModel's initialisation calls. */
#include "frontends/tensorflow_convert.h"

#include <string.h>

#define MAX_ENTRIES 65536

typedef struct filling {
  const Tf__Node *keys, *values; /* NULL: none was found */
} filling;

static bool fills(const Tf__Node *pb) {
  static const char *const ops[] = {"InitializeTable", "InitializeTableV2", "LookupTableImport",
                                    "LookupTableImportV2"};
  for (int i = 0; i < NEO_COUNT(ops); i++)
    if (pb->op && strcmp(pb->op, ops[i]) == 0)
      return pb->n_input >= 3;
  return false;
}

/* The node behind an input: of this graph, or what the call in the main graph gives the function.
 */
static neo_status origin(tf_import *im, const tf_graph *g, const Tf__Node *call, const char *text,
                         const Tf__Node **out) {
  tf_ref ref;
  *out = NULL;
  if (*text == '^')
    return NEO_OK;
  NEO_TRY(tf_resolve(im, g, text, &ref));
  if (ref.node < 0) {
    if (!call || (size_t)ref.output >= call->n_input || *call->input[ref.output] == '^')
      return NEO_OK;
    g = &im->main;
    NEO_TRY(tf_resolve(im, g, call->input[ref.output], &ref));
  }
  *out = ref.node >= 0 ? g->node[ref.node] : NULL;
  return NEO_OK;
}

static neo_status find_in(tf_import *im, const tf_graph *g, const Tf__Node *call,
                          const Tf__Node *table, filling *out) {
  for (int i = 0; i < g->n && !out->keys; i++) {
    const Tf__Node *pb = g->node[i], *filled;
    if (!fills(pb))
      continue;
    NEO_TRY(origin(im, g, call, pb->input[0], &filled));
    if (filled != table)
      continue;
    NEO_TRY(origin(im, g, call, pb->input[1], &out->keys));
    NEO_TRY(origin(im, g, call, pb->input[2], &out->values));
  }
  return NEO_OK;
}

static neo_status find_filling(tf_import *im, const Tf__Node *table, filling *out) {
  im->evaluated += im->main.n / 64; /* the whole graph is looked through */
  NEO_TRY(find_in(im, &im->main, NULL, table, out));
  for (int i = 0; i < im->main.n && !out->keys; i++) {
    const Tf__Node *call = im->main.node[i];
    const Tf__Value *called = tf_attr(&(tf_node){.pb = call}, "f");
    const char *name = called && called->func ? called->func->name : NULL;
    const Tf__FunctionDef *f = name ? neo_map_get(&im->library, name) : NULL;
    bool any = false;
    for (size_t k = 0; f && k < f->n_node && !any; k++)
      any = fills(f->node[k]);
    const tf_graph *g = NULL;
    if (any)
      NEO_TRY(tf_function(im, name, &g));
    if (g)
      NEO_TRY(find_in(im, g, call, table, out));
  }
  return NEO_OK;
}

/* HashTable, HashTableV2 */
neo_status tf_table(tf_import *im, tf_node *node) {
  if (node->scope->graph != &im->main)
    return tf_unsupported(im, node, "a table that a function makes");
  node->out[0] = (tf_value){.kind = TF_TABLE, .id = node->index};
  return NEO_OK;
}

/* A list of constants as a value; NO_VALUE: no such constant. */
static neo_status list_of(tf_import *im, const Tf__Node *pb, int64_t *n, int *out) {
  const Tf__Value *v =
      pb && pb->op && strcmp(pb->op, "Const") == 0 ? tf_attr(&(tf_node){.pb = pb}, "value") : NULL;
  neo_tensor tensor;
  neo_dtype dtype;
  *out = NEO_NO_VALUE;
  if (!v || !v->tensor || !tf_dtype(v->tensor->dtype, &dtype))
    return NEO_OK;
  NEO_TRY(tf_tensor(im, v->tensor, im->e->scope, &tensor));
  if (tensor.shape.rank != 1)
    return NEO_OK;
  *n = tensor.shape.dim[0];
  *out = neo_emit_tensor(im->e, im->e->scope, &tensor);
  return NEO_OK;
}

static int last_axis(tf_import *im, const char *op, int x) {
  neo_node *made = neo_emit_node(im->e, op, 1, &x, 1);
  if (strcmp(op, "arg_max") == 0)
    neo_node_set_int(im->e->graph, made, "axis", -1);
  else
    neo_node_set_ints(im->e->graph, made, "axes", 1, (int64_t[]){-1});
  neo_node_set_int(im->e->graph, made, "keepdims", 0);
  return made->output[0];
}

/* LookupTableFind(table, x, otherwise): compared with every key */
neo_status tf_table_find(tf_import *im, tf_node *node) {
  filling found = {0};
  neo_emitter *e = im->e;
  int64_t n_keys = 0, n_values = 0, last = -1;
  int keys, values, x = tf_in(node, 1), otherwise = tf_in(node, 2);
  if (node->in[0].kind == TF_TABLE)
    NEO_TRY(find_filling(im, im->main.node[node->in[0].id], &found));
  if (!found.keys || !found.values)
    return tf_unsupported(im, node, "a table whose keys are not in the file");
  NEO_TRY(list_of(im, found.keys, &n_keys, &keys));
  NEO_TRY(list_of(im, found.values, &n_values, &values));
  if (x == NEO_NO_VALUE || otherwise == NEO_NO_VALUE || keys == NEO_NO_VALUE ||
      values == NEO_NO_VALUE)
    return tf_unsupported(im, node, "a table of strings, or of what is no constant");
  if (n_keys != n_values)
    return tf_bad(im, node, "%lld keys and %lld values", (long long)n_keys, (long long)n_values);
  if (n_keys < 1 || n_keys > MAX_ENTRIES)
    return tf_unsupported(im, node, "a table of %lld entries", (long long)n_keys);
  x = neo_emit_binary(e, "unsqueeze", x, neo_emit_ints(e, 1, &last));
  int hit = neo_emit_cast(e, neo_emit_binary(e, "equal", x, keys), NEO_I32);
  int at = neo_emit_binary(e, "gather", values, last_axis(im, "arg_max", hit));
  int any = neo_emit_cast(e, last_axis(im, "reduce_max", hit), NEO_BOOL);
  return tf_set1(node, neo_emit_node(e, "where", 3, (int[]){any, at, otherwise}, 1)->output[0]);
}
