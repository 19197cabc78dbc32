/* frontends/onnx_text.c: ONNX's operators on strings over ours (ir/ops_text.c). */
#include "frontends/onnx_import.h"

#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int make_texts(onnx_import *im, onnx_node *node, const char *suffix, int rank, int n,
                      const char *const *text) {
  neo_arena *arena = im->e.graph->arena;
  neo_tensor t = {NEO_STR, {rank, {n}}, NULL, sizeof *text * (size_t)n};
  t.data = neo_arena_alloc(arena, t.size + sizeof *text);
  if (n > 0)
    memcpy(t.data, text, t.size);
  return neo_graph_add_constant(im->e.graph, neo_arena_printf(arena, "%s.%s", node->name, suffix),
                                &t);
}

int onnx_make_texts(onnx_import *im, onnx_node *node, const char *suffix, int n,
                    const char *const *text) {
  return make_texts(im, node, suffix, 1, n, text);
}

int onnx_make_text(onnx_import *im, onnx_node *node, const char *suffix, const char *text) {
  return make_texts(im, node, suffix, 0, 1, &text);
}

neo_status onnx_attr_texts(onnx_import *im, onnx_node *node, const char *name, int *n,
                           const char *const **out) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  *n = -1;
  *out = NULL;
  if (!attr)
    return NEO_OK;
  const char **text = neo_arena_alloc(im->e.graph->arena, sizeof *text * (attr->n_strings + 1));
  for (size_t i = 0; i < attr->n_strings; i++) {
    ProtobufCBinaryData s = attr->strings[i];
    if (s.len > 0 && memchr(s.data, 0, s.len))
      return onnx_bad(im, node, "attribute '%s' holds a zero byte", name);
    text[i] = neo_arena_strndup(im->e.graph->arena, s.data ? (const char *)s.data : "", s.len);
  }
  *n = (int)attr->n_strings;
  *out = text;
  return NEO_OK;
}

/* By the type that is guessed: asking for it would infer, and fix, what is known so far. */
neo_status onnx_equal(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0);
  if (x == NEO_NO_VALUE || im->e.graph->value[x].dtype != NEO_STR)
    return onnx_plain(im, node);
  onnx_bind(im, node, 0, emit(im, node, "text_equal", 2, node->input));
  return NEO_OK;
}

neo_status onnx_regex_full_match(onnx_import *im, onnx_node *node) {
  const char *pattern = "";
  NEO_TRY(onnx_attr_string(im, node, "pattern", &pattern));
  int in[2] = {onnx_input(node, 0), onnx_make_text(im, node, "pattern", pattern)};
  onnx_bind(im, node, 0, emit(im, node, "text_match", 2, in));
  return NEO_OK;
}

neo_status onnx_string_split(onnx_import *im, onnx_node *node) {
  const char *delimiter = "";
  int64_t most = -1;
  NEO_TRY(onnx_attr_string(im, node, "delimiter", &delimiter));
  NEO_TRY(onnx_attr_int(im, node, "maxsplit", &most));
  int in[2] = {onnx_input(node, 0), onnx_make_text(im, node, "delimiter", delimiter)};
  neo_node *made = onnx_emit(im, node, "text_split", 2, in, 2);
  neo_node_set_int(im->e.graph, made, "maxsplit", most);
  onnx_bind(im, node, 0, made->output[0]);
  onnx_bind(im, node, 1, made->output[1]);
  return NEO_OK;
}

/* Words are left out before their case changes. */
neo_status onnx_string_normalizer(onnx_import *im, onnx_node *node) {
  const char *to = "NONE", *locale = "";
  const char *const *words;
  int64_t sensitive = 0;
  int n, y = onnx_input(node, 0);
  NEO_TRY(onnx_attr_string(im, node, "case_change_action", &to));
  NEO_TRY(onnx_attr_string(im, node, "locale", &locale));
  NEO_TRY(onnx_attr_int(im, node, "is_case_sensitive", &sensitive));
  NEO_TRY(onnx_attr_texts(im, node, "stopwords", &n, &words));
  if (n > 0) {
    int in[2] = {y, onnx_make_texts(im, node, "stopwords", n, words)};
    y = emit(im, node, "text_filter", 2, in);
    neo_node_set_int(im->e.graph, &im->e.graph->node[im->e.graph->n_nodes - 1], "sensitive",
                     sensitive != 0);
  }
  bool upper = strcmp(to, "UPPER") == 0;
  if (upper || strcmp(to, "LOWER") == 0) {
    neo_node *made = onnx_emit(im, node, "text_case", 1, &y, 1);
    neo_node_set_int(im->e.graph, made, "upper", upper);
    y = made->output[0];
  } else if (strcmp(to, "NONE") != 0) {
    return onnx_unsupported(im, node, "case_change_action '%s'", to);
  }
  if (y == onnx_input(node, 0))
    y = emit(im, node, "identity", 1, &y);
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}

static int cast(onnx_import *im, onnx_node *node, int x, neo_dtype to) {
  neo_node *made = onnx_emit(im, node, "cast", 1, &x, 1);
  neo_node_set_string(im->e.graph, made, "to", neo_dtype_name(to));
  im->e.graph->value[made->output[0]].dtype = to;
  return made->output[0];
}

/* From strings or to them; both of one kind is no cast. */
void onnx_cast_text(onnx_import *im, onnx_node *node, neo_dtype to) {
  int x = onnx_input(node, 0), y;
  neo_dtype from = im->e.graph->value[x].dtype;
  bool real = neo_dtype_class(to == NEO_STR ? from : to) == 'f';
  if (from == to) {
    y = emit(im, node, "identity", 1, &x);
  } else if (to == NEO_STR) {
    if (from != NEO_F64)
      x = cast(im, node, x, real ? NEO_F32 : NEO_I64);
    y = emit(im, node, "text_print", 1, &x);
    im->e.graph->value[y].dtype = NEO_STR;
  } else {
    neo_node *made = onnx_emit(im, node, "text_parse", 1, &x, 1);
    neo_node_set_string(im->e.graph, made, "to", real ? "f64" : "i64");
    y = cast(im, node, made->output[0], to);
  }
  onnx_bind(im, node, 0, y);
}
