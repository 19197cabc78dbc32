/* ir/graph_text.c: a graph as text, and back.
 *
 * Printing renumbers: inputs, then the constants that live nodes or outputs use, then node outputs
 * in execution order, so that the text does not depend on the graph's history. Reading checks the
 * result. The format is shown in ir/graph.h. A constant that was printed as a hash cannot be read
 * back. */
#include "ir/graph.h"

#include <string.h>

#define SMALL_CONSTANT 16

/* ---- printing -------------------------------------------------------------------------------- */

static void print_quoted(neo_buf *buf, const char *text) {
  neo_buf_text(buf, "\"");
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\')
      neo_buf_printf(buf, "\\%c", *c);
    else if (*c < 32)
      neo_buf_printf(buf, "\\x%02x", *c);
    else
      neo_buf_u8(buf, *c);
  }
  neo_buf_text(buf, "\"");
}

/* A double that can be told from an integer. */
static void print_float(neo_buf *buf, double v) {
  size_t start = buf->size;
  neo_buf_double(buf, v);
  if (!buf->failed && !strpbrk(buf->data + start, ".einfa"))
    neo_buf_text(buf, ".0");
}

static void print_elements(neo_buf *buf, const neo_tensor *tensor) {
  int64_t n = 0;
  neo_shape_elements(&tensor->shape, &n);
  neo_buf_text(buf, "{");
  for (int64_t i = 0; i < n && !buf->failed; i++) {
    if (i)
      neo_buf_text(buf, ",");
    if (tensor->dtype == NEO_STR) {
      const char *text = ((const char *const *)tensor->data)[i];
      print_quoted(buf, text ? text : "");
    } else if (neo_dtype_class(tensor->dtype) == 'f' || neo_narrow_find(tensor->dtype))
      neo_buf_double(buf, neo_tensor_get_f64(tensor, i));
    else
      neo_buf_printf(buf, "%lld", (long long)neo_tensor_get_i64(tensor, i));
  }
  neo_buf_text(buf, "}");
}

static void print_hash(neo_buf *buf, const neo_tensor *tensor) {
  uint8_t digest[32];
  neo_sha256(tensor->data, tensor->size, digest);
  neo_buf_text(buf, "@sha256:");
  for (int i = 0; i < 32; i++)
    neo_buf_printf(buf, "%02x", digest[i]);
}

static void print_shape(neo_buf *buf, const neo_shape *shape, const char *const *dim_name) {
  if (shape->rank < 0) {
    neo_buf_text(buf, "?");
    return;
  }
  neo_buf_text(buf, "[");
  for (int i = 0; i < shape->rank; i++) {
    if (i)
      neo_buf_text(buf, ",");
    if (shape->dim[i] >= 0)
      neo_buf_printf(buf, "%lld", (long long)shape->dim[i]);
    else
      neo_buf_text(buf, "?");
    if (shape->dim[i] < 0 && dim_name && dim_name[i])
      print_quoted(buf, dim_name[i]);
  }
  neo_buf_text(buf, "]");
}

static void print_type(neo_buf *buf, const neo_value *value) {
  neo_buf_printf(buf, " %s ", value->dtype == NEO_DTYPE_COUNT ? "?" : neo_dtype_name(value->dtype));
  print_shape(buf, &value->shape, value->is_input ? value->dim_name : NULL);
}

/* How a graph is printed: its depth inside others, and whether large constants are. */
typedef struct printing {
  int depth;
  bool all;
} printing;

static void print_graph(neo_buf *buf, const neo_graph *graph, printing how);

static void print_indent(neo_buf *buf, int depth) {
  for (int i = 0; i < depth; i++)
    neo_buf_text(buf, "  ");
}

static void print_inner_graph(neo_buf *buf, const neo_graph *graph, printing how) {
  neo_buf_text(buf, "graph ");
  print_quoted(buf, graph->name);
  neo_buf_text(buf, " {\n");
  print_graph(buf, graph, (printing){how.depth + 1, how.all});
  print_indent(buf, how.depth);
  neo_buf_text(buf, "}");
}

static void print_attr(neo_buf *buf, const neo_attr *attr, printing how) {
  neo_buf_printf(buf, "%s=", attr->name);
  switch (attr->kind) {
  case NEO_ATTR_INT:
    neo_buf_printf(buf, "%lld", (long long)attr->i);
    break;
  case NEO_ATTR_FLOAT:
    print_float(buf, attr->f);
    break;
  case NEO_ATTR_STRING:
    print_quoted(buf, attr->s);
    break;
  case NEO_ATTR_INTS:
    neo_buf_text(buf, "[");
    for (int i = 0; i < attr->n; i++)
      neo_buf_printf(buf, "%s%lld", i ? "," : "", (long long)attr->ints[i]);
    neo_buf_text(buf, "]");
    break;
  case NEO_ATTR_FLOATS:
    neo_buf_text(buf, attr->n ? "[" : "[.");
    for (int i = 0; i < attr->n; i++) {
      if (i)
        neo_buf_text(buf, ",");
      print_float(buf, attr->floats[i]);
    }
    neo_buf_text(buf, "]");
    break;
  case NEO_ATTR_TENSOR:
    neo_buf_printf(buf, "%s ", neo_dtype_name(attr->tensor->dtype));
    print_shape(buf, &attr->tensor->shape, NULL);
    neo_buf_text(buf, " ");
    print_elements(buf, attr->tensor);
    break;
  case NEO_ATTR_GRAPH:
    print_inner_graph(buf, attr->graph, how);
    break;
  }
}

static void print_node(neo_buf *buf, const neo_graph *graph, const neo_node *node, printing how,
                       int *number) {
  int *next = &number[graph->n_values];
  print_indent(buf, how.depth);
  for (int i = 0; i < node->n_outputs; i++) {
    const neo_value *value = &graph->value[node->output[i]];
    number[node->output[i]] = (*next)++;
    neo_buf_printf(buf, "%s%%%d ", i ? ", " : "", number[node->output[i]]);
    print_quoted(buf, value->name);
    print_type(buf, value);
  }
  neo_buf_printf(buf, " = %s(", node->op->name);
  for (int i = 0; i < node->n_inputs; i++) {
    neo_buf_text(buf, i ? ", " : "");
    if (node->input[i] == NEO_NO_VALUE)
      neo_buf_text(buf, "_");
    else
      neo_buf_printf(buf, "%%%d", number[node->input[i]]);
  }
  neo_buf_text(buf, ")");
  for (int i = 0; i < node->n_attrs; i++) {
    neo_buf_text(buf, i ? ", " : " {");
    print_attr(buf, &node->attr[i], how);
  }
  neo_buf_text(buf, node->n_attrs ? "} " : " ");
  print_quoted(buf, node->name);
  neo_buf_text(buf, "\n");
}

static void mark_used(const neo_graph *graph, bool *used) {
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; k < graph->node[i].n_inputs && !graph->node[i].dead; k++)
      if (graph->node[i].input[k] >= 0)
        used[graph->node[i].input[k]] = true;
  for (int i = 0; i < graph->n_outputs; i++)
    used[graph->output[i]] = true;
}

static void print_constants(neo_buf *buf, const neo_graph *graph, printing how, const bool *used,
                            int *number) {
  for (int i = 0; i < graph->n_values; i++) {
    const neo_value *value = &graph->value[i];
    int64_t n;
    if (!value->constant || !used[i])
      continue;
    number[i] = number[graph->n_values]++;
    print_indent(buf, how.depth);
    neo_buf_printf(buf, "%%%d const ", number[i]);
    print_quoted(buf, value->name);
    print_type(buf, value);
    neo_buf_text(buf, " ");
    if (how.all || (neo_shape_elements(&value->shape, &n) && n <= SMALL_CONSTANT))
      print_elements(buf, value->constant);
    else
      print_hash(buf, value->constant);
    neo_buf_text(buf, "\n");
  }
}

/* The lines below the first. number: of every value, and after them the next free one. */
static void print_graph(neo_buf *buf, const neo_graph *graph, printing how) {
  neo_arena scratch;
  neo_arena_init(&scratch);
  int *number = neo_arena_alloc(&scratch, sizeof *number * (size_t)(graph->n_values + 1));
  bool *used = neo_arena_alloc(&scratch, sizeof *used * (size_t)(graph->n_values + 1));
  mark_used(graph, used);
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *value = &graph->value[graph->input[i]];
    number[graph->input[i]] = number[graph->n_values]++;
    print_indent(buf, how.depth);
    neo_buf_printf(buf, "%%%d input ", number[graph->input[i]]);
    print_quoted(buf, value->name);
    print_type(buf, value);
    neo_buf_text(buf, "\n");
  }
  print_constants(buf, graph, how, used, number);
  for (int i = 0; i < graph->n_nodes; i++)
    if (!graph->node[i].dead)
      print_node(buf, graph, &graph->node[i], how, number);
  for (int i = 0; i < graph->n_outputs; i++) {
    print_indent(buf, how.depth);
    neo_buf_printf(buf, "output %%%d ", number[graph->output[i]]);
    print_quoted(buf, graph->output_name[i]);
    neo_buf_text(buf, "\n");
  }
  neo_arena_fini(&scratch);
}

void neo_graph_print(neo_buf *buf, const neo_graph *graph, bool all_constants) {
  neo_buf_text(buf, "graph 1 ");
  print_quoted(buf, graph->name);
  neo_buf_text(buf, "\n");
  print_graph(buf, graph, (printing){0, all_constants});
}

/* ---- reading --------------------------------------------------------------------------------- */

#define MAX_NODE_INPUTS 4096
#define MAX_NODE_OUTPUTS 256

/* What is read of a node before its operator is known. */
typedef struct node_head {
  int n_inputs, n_outputs;
  int input[MAX_NODE_INPUTS];
  neo_value output[MAX_NODE_OUTPUTS];
} node_head;

typedef struct parser {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_scan scan;
  node_head *head; /* reused by every node */
  int depth;
} parser;

static neo_status bad(parser *p, const char *what) {
  return neo_fail(p->ctx, NEO_BAD_INPUT, "graph: line %d: %s expected", p->scan.line, what);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static neo_status parse_quoted(parser *p, const char **out) {
  if (!neo_scan_token(&p->scan, "\""))
    return bad(p, "a quoted name");
  const char *c = p->scan.at;
  neo_buf text = {0};
  for (; *c && *c != '"' && *c != '\n'; c++) {
    if (*c != '\\') {
      neo_buf_u8(&text, (uint8_t)*c);
    } else if (c[1] == 'x' && hex_digit(c[2]) >= 0 && hex_digit(c[3]) >= 0 &&
               hex_digit(c[2]) + hex_digit(c[3]) > 0) {
      neo_buf_u8(&text, (uint8_t)(hex_digit(c[2]) * 16 + hex_digit(c[3])));
      c += 3;
    } else if (c[1] == '"' || c[1] == '\\') {
      neo_buf_u8(&text, (uint8_t) * ++c);
    } else {
      break;
    }
  }
  neo_status status = NEO_OK;
  if (*c != '"')
    status = bad(p, "a closing quote");
  else if (text.failed)
    status = neo_fail(p->ctx, NEO_NO_MEMORY, "graph: out of memory");
  else
    *out = neo_arena_strndup(p->graph->arena, text.data ? text.data : "", text.size);
  p->scan.at = c + (*c == '"');
  neo_buf_fini(&text);
  return status;
}

static neo_status parse_dtype(parser *p, neo_dtype *out) {
  char name[16];
  if (neo_scan_token(&p->scan, "?")) {
    *out = NEO_DTYPE_COUNT;
    return NEO_OK;
  }
  if (!neo_scan_name(&p->scan, name, sizeof name) || !neo_dtype_find(name, out))
    return bad(p, "a dtype");
  return NEO_OK;
}

/* dim_name may be NULL: then only known dims are allowed. */
static neo_status parse_shape(parser *p, neo_shape *shape, const char **dim_name) {
  memset(shape, 0, sizeof *shape);
  if (dim_name && neo_scan_token(&p->scan, "?")) {
    shape->rank = -1;
    return NEO_OK;
  }
  if (!neo_scan_token(&p->scan, "["))
    return bad(p, "a shape");
  while (!neo_scan_token(&p->scan, "]")) {
    int64_t *dim = &shape->dim[shape->rank];
    if (shape->rank == NEO_MAX_RANK || (shape->rank > 0 && !neo_scan_token(&p->scan, ",")))
      return bad(p, "a shape of at most 8 dimensions");
    if (dim_name && neo_scan_token(&p->scan, "?")) {
      *dim = -1;
      if (*p->scan.at == '"')
        NEO_TRY(parse_quoted(p, &dim_name[shape->rank]));
    } else if (!neo_scan_int(&p->scan, dim) || *dim < 0) {
      return bad(p, "a dimension");
    }
    shape->rank++;
  }
  return NEO_OK;
}

/* Elements grow with the text, so a claimed shape alone costs nothing. */
static neo_status parse_elements(parser *p, neo_dtype dtype, const neo_shape *shape,
                                 neo_tensor *out) {
  int64_t want, n = 0, cap = 0;
  size_t width = neo_dtype_size(dtype);
  if (!neo_shape_elements(shape, &want) || !neo_scan_token(&p->scan, "{"))
    return bad(p, "{elements} of the shape");
  neo_tensor tensor = {dtype, {0}, NULL, 0};
  neo_status status = NEO_OK;
  while (status == NEO_OK && !neo_scan_token(&p->scan, "}")) {
    if (n == cap) {
      cap = cap ? cap * 2 : 16;
      void *data = neo_arena_alloc(p->graph->arena, width * (size_t)cap);
      if (n > 0)
        memcpy(data, tensor.data, width * (size_t)n);
      tensor.data = data;
    }
    double f;
    int64_t i;
    if (n == want || (n > 0 && !neo_scan_token(&p->scan, ",")))
      return bad(p, "as many elements as the shape has");
    bool real = neo_dtype_class(dtype) == 'f' || neo_narrow_find(dtype);
    if (dtype == NEO_STR)
      status = parse_quoted(p, &((const char **)tensor.data)[n++]);
    else if (real && neo_scan_double(&p->scan, &f))
      neo_tensor_set_f64(&tensor, n++, f);
    else if (!real && neo_scan_int(&p->scan, &i))
      neo_tensor_set_i64(&tensor, n++, i);
    else
      status = bad(p, "an element");
  }
  if (status == NEO_OK && n != want)
    status = bad(p, "as many elements as the shape has");
  NEO_TRY(status);
  tensor.shape = *shape;
  tensor.size = width * (size_t)n;
  if (!tensor.data)
    tensor.data = neo_arena_alloc(p->graph->arena, 16);
  *out = tensor;
  return NEO_OK;
}

static neo_status parse_list(parser *p, neo_node *node, const char *name) {
  int64_t *ints = NULL;
  double *floats = NULL;
  int n = 0, cap_i = 0, cap_f = 0, exact = 0;
  bool no_floats = neo_scan_token(&p->scan, ".");
  while (!neo_scan_token(&p->scan, "]")) {
    if (no_floats || (n > 0 && !neo_scan_token(&p->scan, ",")))
      return bad(p, "a list of numbers");
    ints = neo_arena_grow(p->graph->arena, ints, &cap_i, n + 1, sizeof *ints);
    floats = neo_arena_grow(p->graph->arena, floats, &cap_f, n + 1, sizeof *floats);
    neo_scan_space(&p->scan);
    neo_scan start = p->scan;
    if (!neo_scan_double(&p->scan, &floats[n]))
      return bad(p, "a number");
    size_t length = (size_t)(p->scan.at - start.at);
    if (strcspn(start.at, ".einfa") >= length) {
      p->scan = start;
      if (!neo_scan_int(&p->scan, &ints[n]))
        return bad(p, "a 64-bit integer");
      exact++;
    }
    n++;
  }
  if (exact != n && exact != 0)
    return bad(p, "a list of numbers of one kind");
  if (no_floats || (n > 0 && exact == 0))
    neo_node_set_floats(p->graph, node, name, n, floats);
  else
    neo_node_set_ints(p->graph, node, name, n, ints);
  return NEO_OK;
}

static neo_status parse_line(parser *p);

/* graph "name" { lines }, of which `graph` is read. The graph is owned at once, so that a failure
 * leaks nothing. */
static neo_status parse_graph(parser *p, neo_node *node, const char *attr) {
  neo_graph *outer = p->graph, *inner = NULL;
  const char *name;
  neo_status status = NEO_OK;
  NEO_TRY(parse_quoted(p, &name));
  if (!neo_scan_token(&p->scan, "{"))
    return bad(p, "{");
  if (p->depth == NEO_MAX_GRAPH_DEPTH)
    return neo_fail(p->ctx, NEO_UNSUPPORTED, "graph: line %d: graphs nest more than %d deep",
                    p->scan.line, NEO_MAX_GRAPH_DEPTH);
  NEO_TRY(neo_graph_create(p->ctx, name, &inner));
  neo_node_set_graph(outer, node, attr, inner);
  p->graph = inner;
  p->depth++;
  while (status == NEO_OK) {
    if (!neo_scan_newline(&p->scan))
      status = bad(p, "a new line");
    else if (neo_scan_token(&p->scan, "}"))
      break;
    else
      status = parse_line(p);
  }
  p->graph = outer;
  p->depth--;
  return status;
}

static neo_status parse_attr(parser *p, neo_node *node) {
  char name[64];
  neo_dtype dtype;
  neo_shape shape;
  neo_tensor tensor;
  const char *text;
  double f;
  int64_t i;
  if (!neo_scan_name(&p->scan, name, sizeof name) || !neo_scan_token(&p->scan, "="))
    return bad(p, "name=value");
  neo_scan_space(&p->scan);
  neo_scan start = p->scan;
  if (*start.at == '"') {
    NEO_TRY(parse_quoted(p, &text));
    neo_node_set_string(p->graph, node, name, text);
    return NEO_OK;
  }
  if (neo_scan_token(&p->scan, "["))
    return parse_list(p, node, name);
  if (neo_scan_token(&p->scan, "graph "))
    return parse_graph(p, node, name);
  if (neo_scan_double(&p->scan, &f)) {
    if (strcspn(start.at, ".einfa") < (size_t)(p->scan.at - start.at)) {
      neo_node_set_float(p->graph, node, name, f);
      return NEO_OK;
    }
    p->scan = start;
    if (!neo_scan_int(&p->scan, &i))
      return bad(p, "a 64-bit integer");
    neo_node_set_int(p->graph, node, name, i);
    return NEO_OK;
  }
  p->scan = start;
  NEO_TRY(parse_dtype(p, &dtype));
  if (dtype == NEO_DTYPE_COUNT)
    return bad(p, "a dtype");
  NEO_TRY(parse_shape(p, &shape, NULL));
  NEO_TRY(parse_elements(p, dtype, &shape, &tensor));
  neo_node_set_tensor(p->graph, node, name, &tensor);
  return NEO_OK;
}

/* %N as the number of a value that exists. */
static neo_status parse_reference(parser *p, int *out) {
  int64_t id;
  if (!neo_scan_token(&p->scan, "%") || !neo_scan_int(&p->scan, &id) || id < 0 ||
      id >= p->graph->n_values)
    return bad(p, "%N of an earlier value");
  *out = (int)id;
  return NEO_OK;
}

static neo_status parse_node_outputs(parser *p, node_head *head) {
  int64_t id = p->graph->n_values;
  while (true) {
    if (head->n_outputs == MAX_NODE_OUTPUTS)
      return bad(p, "fewer outputs");
    neo_value *value = &head->output[head->n_outputs++];
    memset(value, 0, sizeof *value);
    NEO_TRY(parse_quoted(p, &value->name));
    NEO_TRY(parse_dtype(p, &value->dtype));
    NEO_TRY(parse_shape(p, &value->shape, value->dim_name));
    if (!neo_scan_token(&p->scan, ","))
      return neo_scan_token(&p->scan, "=") ? NEO_OK : bad(p, "=");
    int64_t number;
    if (!neo_scan_token(&p->scan, "%") || !neo_scan_int(&p->scan, &number) || number != ++id)
      return bad(p, "values numbered in order");
  }
}

static neo_status parse_node_inputs(parser *p, node_head *head) {
  if (!neo_scan_token(&p->scan, "("))
    return bad(p, "(");
  while (!neo_scan_token(&p->scan, ")")) {
    if (head->n_inputs == MAX_NODE_INPUTS)
      return bad(p, "fewer inputs");
    if (head->n_inputs > 0 && !neo_scan_token(&p->scan, ","))
      return bad(p, ",");
    int *input = &head->input[head->n_inputs++];
    if (neo_scan_token(&p->scan, "_"))
      *input = NEO_NO_VALUE;
    else
      NEO_TRY(parse_reference(p, input));
  }
  return NEO_OK;
}

static neo_status parse_node(parser *p) {
  char op[64];
  node_head *head = p->head;
  head->n_inputs = head->n_outputs = 0;
  NEO_TRY(parse_node_outputs(p, head));
  if (!neo_scan_name(&p->scan, op, sizeof op))
    return bad(p, "an operator");
  NEO_TRY(parse_node_inputs(p, head));
  neo_node *node =
      neo_graph_add_node(p->graph, op, "", head->n_inputs, head->input, head->n_outputs);
  if (!node)
    return neo_fail(p->ctx, NEO_BAD_INPUT, "graph: line %d: unknown operator '%s'", p->scan.line,
                    op);
  for (int i = 0; i < head->n_outputs; i++) {
    neo_value *value = &p->graph->value[node->output[i]];
    value->name = head->output[i].name;
    value->dtype = head->output[i].dtype;
    value->shape = head->output[i].shape;
  }
  if (neo_scan_token(&p->scan, "{"))
    while (!neo_scan_token(&p->scan, "}")) {
      if (node->n_attrs > 0 && !neo_scan_token(&p->scan, ","))
        return bad(p, ",");
      NEO_TRY(parse_attr(p, node));
    }
  return parse_quoted(p, &node->name);
}

static neo_status parse_constant(parser *p) {
  neo_value head = {0};
  neo_tensor tensor;
  NEO_TRY(parse_quoted(p, &head.name));
  NEO_TRY(parse_dtype(p, &head.dtype));
  NEO_TRY(parse_shape(p, &head.shape, NULL));
  if (head.dtype == NEO_DTYPE_COUNT)
    return bad(p, "a dtype");
  if (neo_scan_token(&p->scan, "@"))
    return neo_fail(
        p->ctx, NEO_BAD_INPUT,
        "graph: line %d: constant '%s' is only a hash; print all constants to read back",
        p->scan.line, head.name);
  NEO_TRY(parse_elements(p, head.dtype, &head.shape, &tensor));
  neo_graph_add_constant(p->graph, head.name, &tensor);
  return NEO_OK;
}

static neo_status parse_input(parser *p) {
  neo_value head = {0};
  NEO_TRY(parse_quoted(p, &head.name));
  NEO_TRY(parse_dtype(p, &head.dtype));
  NEO_TRY(parse_shape(p, &head.shape, head.dim_name));
  int id = neo_graph_add_input(p->graph, head.name, head.dtype, &head.shape);
  memcpy(p->graph->value[id].dim_name, head.dim_name, sizeof head.dim_name);
  return NEO_OK;
}

static neo_status parse_line(parser *p) {
  int value;
  int64_t id;
  const char *name;
  if (neo_scan_token(&p->scan, "output ")) {
    NEO_TRY(parse_reference(p, &value));
    NEO_TRY(parse_quoted(p, &name));
    neo_graph_add_output(p->graph, value, name);
    return NEO_OK;
  }
  if (!neo_scan_token(&p->scan, "%") || !neo_scan_int(&p->scan, &id) || id != p->graph->n_values)
    return bad(p, "values numbered in order");
  if (neo_scan_token(&p->scan, "input "))
    return parse_input(p);
  if (neo_scan_token(&p->scan, "const "))
    return parse_constant(p);
  return parse_node(p);
}

neo_status neo_graph_parse(neo_ctx *ctx, const char *text, neo_graph **out) {
  parser p = {.ctx = ctx};
  const char *name;
  NEO_TRY(neo_graph_create(ctx, "", &p.graph));
  p.head = neo_arena_alloc(p.graph->arena, sizeof *p.head);
  neo_scan_init(&p.scan, text);
  neo_status status = NEO_OK;
  if (!neo_scan_token(&p.scan, "graph 1 "))
    status = bad(&p, "'graph 1 \"name\"'");
  if (status == NEO_OK && (status = parse_quoted(&p, &name)) == NEO_OK)
    p.graph->name = name;
  while (status == NEO_OK && !neo_scan_end(&p.scan)) {
    if (!neo_scan_newline(&p.scan))
      status = bad(&p, "a new line");
    else
      status = parse_line(&p);
  }
  if (status == NEO_OK)
    status = neo_graph_check(ctx, p.graph);
  if (status == NEO_OK)
    *out = p.graph;
  else
    neo_graph_destroy(p.graph);
  return status;
}
