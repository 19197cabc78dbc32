/* frontends/torch_eval.c: the partial evaluator of TorchScript (torch_script.h).
 *
 * Conditions that are known are decided, loops of known length are unrolled. A condition that
 * depends on the data becomes the graph's `if`: both branches are walked in graphs of their own,
 * and the variables that both set become its outputs. A branch that raises is taken not to happen.
 * Work is bounded: statements, calls in calls, and iterations. */
#include "frontends/torch_script.h"

#include <string.h>

enum {
  MAX_STEPS = 4000000,
  ARENA_ALWAYS = 32 << 20,
  MAX_CALLS = 150,
  MAX_TRIPS = 100000,
  MAX_BRANCH_OUTPUTS = TS_MAX_NAMES
};

static bool stopped(const script *s) {
  return s->raised || s->t.failed != NEO_OK;
}

void ts_set_local(script *s, ts_env *env, const char *name, tv v) {
  tv *old = neo_map_get(&env->names, name);
  if (old)
    *old = v;
  else if (!neo_map_put(&env->names, name, neo_arena_copy(&s->t.arena, &v, sizeof v)))
    torch_bad(&s->t, NEO_NO_MEMORY, "names");
}

/* ---- expressions --------------------------------------------------------------------------------------------------- */

static tv name_value(script *s, ts_env *env, const ts_expr *e) {
  const tv *local = env ? neo_map_get(&env->names, e->text) : NULL;
  (void)s;
  return local ? *local : (tv){.kind = TV_NAME, .s = e->text};
}

static tv constant(script *s, const char *name) {
  int64_t i;
  neo_scan scan;
  neo_scan_init(&scan, name + 1);
  if (name[0] == 'c' && neo_scan_int(&scan, &i) && s->constants.kind == TV_TUPLE && i >= 0 &&
      i < s->constants.seq->n)
    return s->constants.seq->item[i];
  torch_bad(&s->t, NEO_BAD_INPUT, "no constant CONSTANTS.%s", name);
  return torch_poison();
}

/* A constant of the class: `stride : Final[...] = (1, 1)`. */
static bool class_constant(script *s, const ts_class *cls, const char *name, tv *out) {
  for (int i = 0; cls && i < cls->fields.n; i++) {
    const ts_stmt *field = &cls->fields.stmt[i];
    if (field->n_targets == 1 && field->value && field->target[0]->kind == TS_NAME &&
        strcmp(field->target[0]->text, name) == 0) {
      *out = ts_eval(s, NULL, field->value);
      return true;
    }
  }
  return false;
}

/* An attribute that __setstate__ sets; it is called when the first such is asked for. */
static bool restored(script *s, const ts_class *cls, const tv *object, const char *name, tv *out) {
  const tv *state = torch_object_get(object->object, "__state__");
  const ts_def *set = cls && state ? ts_find_method(cls, "__setstate__") : NULL;
  bool changed = s->state_changed;
  if (!set || state->kind == TV_NONE)
    return false;
  tv arg[2] = {*object, *state};
  torch_object_set(&s->t, object->object, "__state__", torch_none());
  ts_call_def(s, set, "__setstate__", &(torch_args){.n = 2, .arg = arg});
  s->state_changed = changed;
  const tv *held = torch_object_get(object->object, name);
  *out = held ? *held : torch_none();
  return held != NULL;
}

static tv attribute(script *s, const tv *base, const char *name) {
  const tv *held;
  tv out;
  switch (base->kind) {
  case TV_NAME:
    if (strcmp(base->s, "CONSTANTS") == 0)
      return constant(s, name);
    return (tv){.kind = TV_NAME, .s = neo_arena_printf(&s->t.arena, "%s.%s", base->s, name)};
  case TV_OBJECT:
    held = torch_object_get(base->object, name);
    if (held)
      return *held;
    const ts_class *cls = ts_find_class(s, base->object->cls);
    if (class_constant(s, cls, name, &out) || restored(s, cls, base, name, &out))
      return out;
    if (cls && ts_find_method(cls, name))
      return (tv){.kind = TV_METHOD, .object = base->object, .s = name};
    torch_bad(&s->t, NEO_BAD_INPUT, "%s has no attribute '%s'", base->object->cls, name);
    return torch_poison();
  case TV_TENSOR:
    return ts_builtin(s, name, &(torch_args){.n = 1, .arg = base});
  default:
    if (base->kind != TV_POISON)
      torch_unsupported(&s->t, name, "attribute of %s", torch_kind_name(base));
    return torch_poison();
  }
}

static tv indexed(script *s, const tv *base, const tv *index) {
  tv pair[2] = {*base, *index};
  if (base->kind == TV_POISON || index->kind == TV_POISON)
    return torch_poison();
  if (base->kind == TV_TENSOR) { /* x[i] */
    tv args[3] = {*base, torch_int(0), *index};
    return torch_call_op(&s->t, "select", &(torch_args){.n = 3, .arg = args});
  }
  return ts_builtin(s, "__getitem__", &(torch_args){.n = 2, .arg = pair});
}

static bool is_type(const tv *v, const ts_expr *type) {
  static const struct {
    const char *name;
    tv_kind kind;
  } types[] = {{"Tensor", TV_TENSOR}, {"int", TV_INT},    {"float", TV_FLOAT},
               {"bool", TV_BOOL},     {"str", TV_STRING}, {"List", TV_LIST},
               {"Tuple", TV_TUPLE},   {"Dict", TV_DICT},  {"NoneType", TV_NONE}};
  if (type->kind == TS_TUPLE || type->kind == TS_LIST) {
    for (int i = 0; i < type->n; i++)
      if (is_type(v, type->item[i]))
        return true;
    return false;
  }
  const char *name = type->kind == TS_INDEX ? type->base->text : type->text;
  for (int i = 0; name && i < NEO_COUNT(types); i++)
    if (strcmp(types[i].name, name) == 0)
      return v->kind == types[i].kind;
  return v->kind == TV_OBJECT;
}

/* Names that are forms of the language and not functions; true if it is one. */
static bool special_call(script *s, ts_env *env, const char *name, const ts_expr *e, tv *out) {
  if ((strcmp(name, "annotate") == 0 || strcmp(name, "unchecked_cast") == 0) && e->n == 2)
    *out = ts_eval(s, env, e->item[1]);
  else if (strcmp(name, "uninitialized") == 0)
    *out = torch_none();
  else if (strcmp(name, "isinstance") == 0 && e->n == 2) {
    tv v = ts_eval(s, env, e->item[0]);
    *out = v.kind == TV_POISON ? v : torch_bool(is_type(&v, e->item[1]));
  } else if (strcmp(name, "getattr") == 0 && e->n == 2 && e->item[1]->kind == TS_VALUE &&
             e->item[1]->value.kind == TV_STRING) {
    tv base = ts_eval(s, env, e->item[0]);
    *out = stopped(s) ? torch_poison() : attribute(s, &base, e->item[1]->value.s);
  } else
    return false;
  return true;
}

static const char *after(const char *text, const char *prefix) {
  size_t n = strlen(prefix);
  return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* A new object of the model's class: a NamedTuple by its fields, others by __init__. */
static tv construct(script *s, const ts_class *cls, const char *qualified, const torch_args *args) {
  tv made = {.kind = TV_OBJECT, .object = torch_object_new(&s->t, qualified)};
  const ts_def *init = ts_find_method(cls, "__init__");
  if (init) {
    tv *with_self =
        neo_arena_alloc(&s->t.arena, sizeof(tv) * (size_t)(args->n + args->n_named + 1));
    with_self[0] = made;
    memcpy(with_self + 1, args->arg, sizeof(tv) * (size_t)(args->n + args->n_named));
    ts_call_def(s, init, qualified,
                &(torch_args){args->n + 1, args->n_named, with_self, args->name});
    return made;
  }
  for (int i = 0, k = 0; i < cls->fields.n && k < args->n; i++) {
    const ts_stmt *field = &cls->fields.stmt[i];
    if (field->n_targets == 1 && field->target[0]->kind == TS_NAME && !field->value)
      torch_object_set(&s->t, made.object, field->target[0]->text, args->arg[k++]);
  }
  return made;
}

static tv call_name(script *s, const char *name, const torch_args *args) {
  static const char *const conversions[][2] = {
      {"int", "Int"}, {"float", "Float"}, {"bool", "Bool"}};
  const char *op = after(name, "torch.");
  if (op)
    return ts_builtin(s, op, args);
  op = after(name, "ops.quantized.");
  if (op)
    return ts_quantized(s, op, args);
  if (after(name, "ops.")) {
    op = strrchr(name, '.') + 1;
    return ts_builtin(s, op, args);
  }
  for (int i = 0; i < NEO_COUNT(conversions); i++)
    if (strcmp(name, conversions[i][0]) == 0)
      return ts_builtin(s, conversions[i][1], args);
  if (!after(name, "__torch__."))
    return ts_builtin(s, name, args);
  const ts_def *def = ts_find_def(s, name);
  if (def)
    return ts_call_def(s, def, name, args);
  const char *made = strstr(name, ".__new__");
  const char *qualified = made ? neo_arena_strndup(&s->t.arena, name, (size_t)(made - name)) : name;
  const ts_class *cls = ts_find_class(s, qualified);
  if (cls && made)
    return (tv){.kind = TV_OBJECT, .object = torch_object_new(&s->t, qualified)};
  if (cls)
    return construct(s, cls, qualified, args);
  torch_bad(&s->t, NEO_BAD_INPUT, "no function or class %s in the archive", name);
  return torch_poison();
}

static tv call_method(script *s, const tv *self, const char *name, const torch_args *args) {
  tv *with_self = neo_arena_alloc(&s->t.arena, sizeof(tv) * (size_t)(args->n + args->n_named + 1));
  with_self[0] = *self;
  if (args->n + args->n_named > 0)
    memcpy(with_self + 1, args->arg, sizeof(tv) * (size_t)(args->n + args->n_named));
  torch_args full = {args->n + 1, args->n_named, with_self, args->name};
  if (self->kind != TV_OBJECT)
    return ts_builtin(s, name, &full);
  const ts_class *cls = ts_find_class(s, self->object->cls);
  const ts_def *def = cls ? ts_find_method(cls, name) : NULL;
  if (!def) {
    torch_bad(&s->t, NEO_BAD_INPUT, "%s has no method '%s'", self->object->cls, name);
    return torch_poison();
  }
  const char *dot = strrchr(self->object->cls, '.');
  return ts_call_def(
      s, def, neo_arena_printf(&s->t.arena, "%s.%s", dot ? dot + 1 : self->object->cls, name),
      &full);
}

static tv call(script *s, ts_env *env, const ts_expr *e) {
  const ts_expr *callee = e->base;
  tv out, base = torch_none(), fn;
  bool method = callee->kind == TS_ATTR;
  if (callee->kind == TS_NAME && !(env && neo_map_get(&env->names, callee->text)) &&
      special_call(s, env, callee->text, e, &out))
    return out;
  base = method ? ts_eval(s, env, callee->base) : torch_none();
  tv *arg = neo_arena_alloc(&s->t.arena, sizeof(tv) * (size_t)(e->n + 1));
  for (int i = 0; i < e->n && !stopped(s); i++)
    arg[i] = ts_eval(s, env, e->item[i]);
  if (stopped(s))
    return torch_poison();
  torch_args args = {e->n - e->n_named, e->n_named, arg, e->key};
  if (method && base.kind != TV_NAME)
    return base.kind == TV_POISON ? base : call_method(s, &base, callee->text, &args);
  fn = method ? attribute(s, &base, callee->text) : ts_eval(s, env, callee);
  if (fn.kind == TV_NAME)
    return call_name(s, fn.s, &args);
  if (fn.kind == TV_METHOD)
    return call_method(s, &(tv){.kind = TV_OBJECT, .object = fn.object}, fn.s, &args);
  if (fn.kind != TV_POISON && !stopped(s))
    torch_bad(&s->t, NEO_BAD_INPUT, "line %d: call of %s", e->line, torch_kind_name(&fn));
  return torch_poison();
}

static tv sequence(script *s, ts_env *env, const ts_expr *e, tv_kind kind) {
  tv out = torch_seq_new(&s->t, kind, 0, NULL);
  for (int i = 0; i < e->n && !stopped(s); i++)
    torch_seq_add(&s->t, out.seq, ts_eval(s, env, e->item[i]));
  return out;
}

tv ts_eval(script *s, ts_env *env, const ts_expr *e) {
  tv base, index;
  if (stopped(s))
    return torch_poison();
  switch (e->kind) {
  case TS_VALUE:
    return e->value;
  case TS_NAME:
    return name_value(s, env, e);
  case TS_ATTR:
    base = ts_eval(s, env, e->base);
    return stopped(s) ? torch_poison() : attribute(s, &base, e->text);
  case TS_CALL:
    return call(s, env, e);
  case TS_INDEX:
    base = ts_eval(s, env, e->base);
    index = ts_eval(s, env, e->item[0]);
    return stopped(s) ? torch_poison() : indexed(s, &base, &index);
  case TS_LIST:
    return sequence(s, env, e, TV_LIST);
  case TS_TUPLE:
    return sequence(s, env, e, TV_TUPLE);
  default:
    return sequence(s, env, e, TV_DICT);
  }
}

/* ---- statements ------------------------------------------------------------------------------------------------------- */

static void assign_one(script *s, ts_env *env, const ts_expr *target, tv v) {
  if (target->kind == TS_NAME) {
    ts_set_local(s, env, target->text, v);
  } else if (target->kind == TS_ATTR) {
    tv base = ts_eval(s, env, target->base);
    if (base.kind == TV_OBJECT) {
      torch_object_set(&s->t, base.object, target->text, v);
      s->state_changed = true;
    }
  } else {
    torch_bad(&s->t, NEO_BAD_INPUT, "line %d: assignment to an expression", target->line);
  }
}

static void assign(script *s, ts_env *env, const ts_stmt *stmt) {
  if (!stmt->value)
    return;
  tv v = ts_eval(s, env, stmt->value);
  if (stopped(s))
    return;
  if (!stmt->unpack) {
    assign_one(s, env, stmt->target[0], v);
    return;
  }
  tv fields = torch_seq_new(&s->t, TV_TUPLE, 0, NULL);
  if (v.kind == TV_OBJECT) { /* a NamedTuple */
    for (int i = 0; i < v.object->n; i++)
      torch_seq_add(&s->t, fields.seq, v.object->value[i]);
    v = fields;
  }
  if (v.kind != TV_POISON && (!torch_is_seq(&v) || v.seq->n != stmt->n_targets)) {
    torch_bad(&s->t, NEO_BAD_INPUT, "%s: line %d: %d values expected", env->what, stmt->line,
              stmt->n_targets);
    return;
  }
  for (int i = 0; i < stmt->n_targets; i++)
    assign_one(s, env, stmt->target[i], v.kind == TV_POISON ? v : v.seq->item[i]);
}

/* ---- branches on data ---------------------------------------------------------------------------------------------------- */

void ts_collect_names(const ts_block *block, const char **names, int *n) {
  for (int i = 0; i < block->n; i++) {
    const ts_stmt *stmt = &block->stmt[i];
    for (int k = 0; k < stmt->n_targets; k++) {
      int at = 0;
      if (stmt->target[k]->kind != TS_NAME)
        continue;
      while (at < *n && strcmp(names[at], stmt->target[k]->text) != 0)
        at++;
      if (at == *n && *n < MAX_BRANCH_OUTPUTS)
        names[(*n)++] = stmt->target[k]->text;
    }
    ts_collect_names(&stmt->body, names, n);
    ts_collect_names(&stmt->orelse, names, n);
  }
}

typedef struct branch {
  neo_emitter emitter;
  torch_frame frame;
  ts_env env;
  tv value[MAX_BRANCH_OUTPUTS]; /* of the names, NONE if not set */
  bool set[MAX_BRANCH_OUTPUTS], raised;
} branch;

static void copy_entry(script *s, ts_env *into, const ts_env *from, const char *name) {
  const tv *v = neo_map_get(&from->names, name);
  if (v)
    ts_set_local(s, into, name, *v);
}

/* Every name that the block mentions, into the branch's own locals. */
static void copy_used(script *s, ts_env *into, const ts_env *from, const ts_expr *e) {
  if (!e)
    return;
  if (e->kind == TS_NAME)
    copy_entry(s, into, from, e->text);
  copy_used(s, into, from, e->base);
  for (int i = 0; i < e->n; i++)
    copy_used(s, into, from, e->item[i]);
}

static void copy_block_names(script *s, ts_env *into, const ts_env *from, const ts_block *block) {
  for (int i = 0; i < block->n; i++)
    ts_copy_names(s, into, from, &block->stmt[i]);
}

void ts_copy_names(script *s, ts_env *into, const ts_env *from, const ts_stmt *stmt) {
  copy_used(s, into, from, stmt->value);
  for (int k = 0; k < stmt->n_targets; k++)
    copy_used(s, into, from, stmt->target[k]);
  copy_block_names(s, into, from, &stmt->body);
  copy_block_names(s, into, from, &stmt->orelse);
}

static neo_status run_branch(script *s, ts_env *env, const ts_block *block, int n,
                             const char **names, branch *b) {
  NEO_TRY(neo_emitter_init(&b->emitter, s->t.ctx, s->t.source, "branch"));
  b->emitter.graph->budget = s->t.emitter.graph->budget;
  b->emitter.scope = s->t.frame->emitter->scope;
  b->frame = (torch_frame){.parent = s->t.frame, .emitter = &b->emitter};
  b->env.what = env->what;
  copy_block_names(s, &b->env, env, block);
  s->t.frame = &b->frame;
  ts_run_block(s, &b->env, block);
  s->t.frame = b->frame.parent;
  b->raised = s->raised;
  s->raised = false;
  for (int i = 0; i < n; i++) {
    const tv *v = neo_map_get(&b->env.names, names[i]);
    b->set[i] = v != NULL;
    b->value[i] = v ? *v : torch_none();
  }
  neo_map_fini(&b->env.names);
  return s->t.failed;
}

/* Values that both branches set, made one: known and equal ones stay, others become outputs. */
typedef struct merge {
  int n;
  int id[2][MAX_BRANCH_OUTPUTS]; /* in each branch's graph */
} merge;

static tv merged(script *s, branch *b, tv x, tv y, merge *m, int depth) {
  if (ts_equal(&x, &y) && x.kind != TV_TENSOR)
    return x;
  if (torch_is_seq(&x) && torch_is_seq(&y) && x.seq->n == y.seq->n && depth < 8) {
    tv out = torch_seq_new(&s->t, x.kind, 0, NULL);
    for (int i = 0; i < x.seq->n; i++)
      torch_seq_add(&s->t, out.seq, merged(s, b, x.seq->item[i], y.seq->item[i], m, depth + 1));
    return out;
  }
  bool fit =
      (x.kind == TV_TENSOR || torch_is_number(&x)) && (y.kind == TV_TENSOR || torch_is_number(&y));
  if (!fit || m->n == MAX_BRANCH_OUTPUTS)
    return x.kind == TV_POISON || y.kind == TV_POISON ? torch_poison() : torch_none();
  const tv *side[2] = {&x, &y};
  for (int k = 0; k < 2; k++) {
    s->t.frame = &b[k].frame;
    m->id[k][m->n] = torch_id(&s->t, side[k]);
    s->t.frame = b[k].frame.parent;
  }
  return torch_int(m->n++); /* its place; replaced below */
}

/* Captures of both branches as one list, so that both graphs have the same inputs. */
static int union_captures(script *s, branch *b, int *outer, int cap) {
  int n = 0;
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < b[k].frame.n_captures; i++) {
      int at = 0;
      while (at < n && outer[at] != b[k].frame.outer[i])
        at++;
      if (b[k].emitter.graph->value[b[k].frame.inner[i]].constant)
        continue;
      if (at == n && n < cap)
        outer[n++] = b[k].frame.outer[i];
    }
  (void)s;
  return n;
}

/* The branch's graph with exactly these inputs in this order. */
static void order_inputs(script *s, branch *b, int n, const int *outer) {
  neo_graph *graph = b->emitter.graph;
  int *inputs = neo_arena_alloc(graph->arena, sizeof *inputs * (size_t)(n + 1));
  for (int i = 0; i < n; i++) {
    int at = 0;
    while (at < b->frame.n_captures && b->frame.outer[at] != outer[i])
      at++;
    const neo_value *from = &b->frame.parent->emitter->graph->value[outer[i]];
    bool constant = at < b->frame.n_captures && graph->value[b->frame.inner[at]].constant;
    if (at < b->frame.n_captures && !constant)
      inputs[i] = b->frame.inner[at];
    else
      inputs[i] = neo_graph_add_input(graph, neo_arena_printf(graph->arena, "unused%d", i),
                                      from->dtype, &from->shape);
  }
  graph->n_inputs = n;
  graph->input = inputs;
  graph->cap_inputs = n + 1;
  (void)s;
}

static tv placed(script *s, const tv *v, const neo_node *node) {
  tv out = *v;
  if (torch_is_seq(v)) {
    out = torch_seq_new(&s->t, v->kind, 0, NULL);
    for (int i = 0; i < v->seq->n; i++)
      torch_seq_add(&s->t, out.seq, placed(s, &v->seq->item[i], node));
  } else if (v->kind == TV_INT && v->origin == -1) {
    out = torch_tensor(&s->t, node->output[v->i]);
  }
  return out;
}

static void mark_places(tv *v, const tv *x, const tv *y) {
  if (torch_is_seq(v) && torch_is_seq(x) && torch_is_seq(y))
    for (int i = 0; i < v->seq->n; i++)
      mark_places(&v->seq->item[i], &x->seq->item[i], &y->seq->item[i]);
  else if (v->kind == TV_INT && !(ts_equal(x, y) && x->kind != TV_TENSOR))
    v->origin = -1;
}

static void emit_if(script *s, ts_env *env, int condition, branch *b, int n, const char **names) {
  merge m = {0};
  tv value[MAX_BRANCH_OUTPUTS];
  int inputs[257];
  for (int i = 0; i < n; i++)
    if (b[0].set[i] && b[1].set[i]) {
      value[i] = merged(s, b, b[0].value[i], b[1].value[i], &m, 0);
      if (!(torch_is_seq(&value[i]) && ts_equal(&b[0].value[i], &b[1].value[i])))
        mark_places(&value[i], &b[0].value[i], &b[1].value[i]);
    }
  for (int k = 0; k < 2; k++)
    torch_refuse_complex(&s->t, &b[k].emitter, m.n, m.id[k]);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < m.n; i++)
      neo_graph_add_output(b[k].emitter.graph, m.id[k][i],
                           neo_arena_printf(b[k].emitter.graph->arena, "y%d", i));
  inputs[0] = condition;
  int captures = union_captures(s, b, inputs + 1, 256);
  for (int k = 0; k < 2; k++) {
    neo_emit_infer(&b[k].emitter);
    order_inputs(s, &b[k], captures, inputs + 1);
  }
  neo_emitter *e = torch_emitter(&s->t);
  neo_node *node = NULL;
  if (m.n > 0) {
    node = neo_emit_node(e, "if", 1 + captures, inputs, m.n);
    for (int k = 0; k < 2; k++) {
      neo_node_set_graph(e->graph, node, k ? "else" : "then", b[k].emitter.graph);
      b[k].emitter.graph = NULL;
    }
  }
  for (int i = 0; i < n; i++)
    if (b[0].set[i] && b[1].set[i])
      ts_set_local(s, env, names[i], node ? placed(s, &value[i], node) : value[i]);
}

void ts_end_frame(script *s, neo_emitter *emitter) {
  if (emitter->unsupported.n > 0) {
    neo_buf_text(&s->t.emitter.unsupported.text, emitter->unsupported.text.data);
    s->t.emitter.unsupported.n += emitter->unsupported.n;
  }
  neo_emitter_drop(emitter);
}

static void branch_on_data(script *s, ts_env *env, const ts_stmt *stmt, const tv *condition) {
  const char *names[MAX_BRANCH_OUTPUTS];
  int n = 0, id = torch_cast(&s->t, torch_id(&s->t, condition), NEO_BOOL);
  branch *b = neo_arena_alloc(&s->t.arena, sizeof *b * 2);
  neo_status status = NEO_OK;
  id = torch_reshape(&s->t, id, 0, NULL);
  ts_collect_names(&stmt->body, names, &n);
  ts_collect_names(&stmt->orelse, names, &n);
  for (int k = 0; k < 2 && status == NEO_OK; k++)
    status = run_branch(s, env, k ? &stmt->orelse : &stmt->body, n, names, &b[k]);
  if (status == NEO_OK && b[0].raised != b[1].raised) /* what raises is taken not to happen */
    ts_run_block(s, env, b[0].raised ? &stmt->orelse : &stmt->body);
  else if (status == NEO_OK && b[0].raised)
    s->raised = true;
  else if (status == NEO_OK)
    emit_if(s, env, id, b, n, names);
  for (int k = 0; k < 2; k++)
    ts_end_frame(s, &b[k].emitter);
}

/* ---- control flow ------------------------------------------------------------------------------------------------------------ */

static void run_if(script *s, ts_env *env, const ts_stmt *stmt) {
  tv condition = ts_eval(s, env, stmt->value), known;
  if (stopped(s))
    return;
  if (torch_known_number(&s->t, &condition, &known)) {
    ts_run_block(s, env, torch_number(&known) != 0 ? &stmt->body : &stmt->orelse);
    return;
  }
  if (condition.kind == TV_TENSOR && !torch_poisoned(&s->t)) {
    branch_on_data(s, env, stmt, &condition);
    return;
  }
  if (condition.kind != TV_POISON && !torch_poisoned(&s->t)) {
    torch_bad(&s->t, NEO_BAD_INPUT, "%s: line %d: a condition of kind %s", env->what, stmt->line,
              torch_kind_name(&condition));
    return;
  }
  ts_run_block(s, env, &stmt->body); /* both, to list what else is unsupported */
  s->raised = false;
  ts_run_block(s, env, &stmt->orelse);
  s->raised = false;
}

static void run_for(script *s, ts_env *env, const ts_stmt *stmt) {
  const ts_expr *over = stmt->value;
  tv list, length;
  int64_t n;
  bool range = over->kind == TS_CALL && over->base->kind == TS_NAME &&
               strcmp(over->base->text, "range") == 0 && over->n == 1;
  list = ts_eval(s, env, range ? over->item[0] : over);
  if (stopped(s) || list.kind == TV_POISON)
    return;
  if (range && !torch_known_number(&s->t, &list, &length)) {
    ts_loop_on_data(s, env, stmt, &list);
    return;
  }
  if (!range && !torch_is_seq(&list)) {
    torch_unsupported(&s->t, "for", "a loop over %s", torch_kind_name(&list));
    return;
  }
  n = range ? length.i : list.seq->n;
  if (n > MAX_TRIPS) {
    torch_unsupported(&s->t, "for", "%lld iterations: at most %d are unrolled", (long long)n,
                      MAX_TRIPS);
    return;
  }
  for (int64_t i = 0; i < n && !stopped(s) && !env->returned; i++) {
    assign_one(s, env, stmt->target[0], range ? torch_int(i) : list.seq->item[i]);
    ts_run_block(s, env, &stmt->body);
  }
}

static void run_while(script *s, ts_env *env, const ts_stmt *stmt) {
  for (int trips = 0; !stopped(s) && !env->returned; trips++) {
    tv condition = ts_eval(s, env, stmt->value), known;
    if (stopped(s) || condition.kind == TV_POISON)
      return;
    if (trips > MAX_TRIPS) {
      torch_unsupported(&s->t, "while", "it does not end");
      return;
    }
    if (!torch_known_number(&s->t, &condition, &known)) {
      ts_loop_on_data(s, env, stmt, NULL);
      return;
    }
    if (torch_number(&known) == 0)
      return;
    ts_run_block(s, env, &stmt->body);
  }
}

/* Loops of a small file make as much as they like. */
static bool within_memory(script *s, const ts_env *env) {
  const neo_arena *top = s->t.emitter.graph->arena, *now = torch_emitter(&s->t)->graph->arena;
  size_t used = s->t.arena.total + top->total + (now == top ? 0 : now->total);
  if (used <= 4 * s->t.source->file.size + ARENA_ALWAYS)
    return true;
  torch_bad(&s->t, NEO_UNSUPPORTED,
            "%s: the code's loops, unrolled, take more than 4 times the file and 32 MB", env->what);
  return false;
}

static void run_statement(script *s, ts_env *env, const ts_stmt *stmt) {
  neo_emitter *e = torch_emitter(&s->t);
  if (++s->steps > MAX_STEPS) {
    torch_bad(&s->t, NEO_UNSUPPORTED, "%s: the code does not end after %d statements", env->what,
              MAX_STEPS);
    return;
  }
  if (!within_memory(s, env))
    return;
  e->scope = neo_arena_printf(e->graph->arena, "%s:%d", env->what, stmt->line);
  switch (stmt->kind) {
  case TS_ASSIGN:
    assign(s, env, stmt);
    break;
  case TS_EXPR:
    ts_eval(s, env, stmt->value);
    break;
  case TS_RETURN:
    env->result = stmt->value ? ts_eval(s, env, stmt->value) : torch_none();
    env->returned = true;
    break;
  case TS_IF:
    run_if(s, env, stmt);
    break;
  case TS_FOR:
    run_for(s, env, stmt);
    break;
  case TS_WHILE:
    run_while(s, env, stmt);
    break;
  case TS_WITH:
    ts_run_block(s, env, &stmt->body);
    break;
  case TS_PASS:
    break;
  }
}

void ts_run_block(script *s, ts_env *env, const ts_block *block) {
  for (int i = 0; i < block->n && !stopped(s) && !env->returned; i++)
    run_statement(s, env, &block->stmt[i]);
}

/* ---- calls -------------------------------------------------------------------------------------------------------------------- */

static bool bind_params(script *s, ts_env *env, const ts_def *def, const torch_args *args) {
  for (int i = 0; i < def->n_params; i++) {
    const ts_param *param = &def->param[i];
    int at = i < args->n ? i : -1;
    for (int k = 0; at < 0 && k < args->n_named; k++)
      if (strcmp(args->name[k], param->name) == 0)
        at = args->n + k;
    if (at < 0 && !param->otherwise) {
      torch_bad(&s->t, NEO_BAD_INPUT, "%s: no argument '%s'", env->what, param->name);
      return false;
    }
    ts_set_local(s, env, param->name, at >= 0 ? args->arg[at] : ts_eval(s, NULL, param->otherwise));
  }
  return !stopped(s);
}

tv ts_call_def(script *s, const ts_def *def, const char *what, const torch_args *args) {
  ts_env env = {.what = what};
  if (s->depth >= MAX_CALLS) {
    torch_bad(&s->t, NEO_UNSUPPORTED, "%s: calls nested more than %d deep", what, MAX_CALLS);
    return torch_poison();
  }
  s->depth++;
  if (bind_params(s, &env, def, args))
    ts_run_block(s, &env, &def->body);
  s->depth--;
  neo_map_fini(&env.names);
  return stopped(s) ? torch_poison() : env.result;
}
