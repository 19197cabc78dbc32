/* frontends/torch_pickle.c: pickles of PyTorch as values; nothing is executed.
 *
 * The opcodes are those of Python's Lib/pickletools.py up to protocol 4, as far as torch writes
 * them. What a global may do is decided here and nowhere else: __torch__ classes become objects,
 * the rebuild functions of tensors and typed lists become what they stand for, OrderedDict a dict;
 * any other global is refused with its name.
 *
 * Invariants: (1) the stack and the memo never exceed the pickle's length; (2) every read is
 * bounded by the pickle; (3) a value that contains itself cannot be walked forever: torch's readers
 * walk to a fixed depth. */
#include "frontends/torch.h"

#include <string.h>

typedef struct machine {
  torch *t;
  torch_pickle *p;
  neo_reader in;
  tv *stack;
  int n, cap;
  int *mark;
  int n_marks, cap_marks;
  tv *memo;
  int n_memo, cap_memo;
  bool failed, stopped;
} machine;

static void fail(machine *m, const char *what, const char *name) {
  if (!m->failed)
    torch_bad(m->t, NEO_BAD_INPUT, "%s: byte %zu: %s%s%s", m->p->name, m->in.at, what,
              name ? " " : "", name ? name : "");
  m->failed = true;
}

/* ---- stack ----------------------------------------------------------------------------------------------------- */

static void push(machine *m, tv v) {
  m->stack = neo_arena_grow(&m->t->arena, m->stack, &m->cap, m->n + 1, sizeof v);
  m->stack[m->n++] = v;
}

static int floor_of(const machine *m) {
  return m->n_marks ? m->mark[m->n_marks - 1] : 0;
}

static tv pop(machine *m) {
  if (m->n <= floor_of(m)) {
    fail(m, "stack is empty", NULL);
    return torch_none();
  }
  return m->stack[--m->n];
}

static tv *top(machine *m) {
  static tv nothing;
  nothing = torch_none();
  if (m->n > floor_of(m))
    return &m->stack[m->n - 1];
  fail(m, "stack is empty", NULL);
  return &nothing;
}

/* Takes what lies above the last mark; it stays readable until the next push. */
static int pop_mark(machine *m, tv **items) {
  if (m->n_marks == 0) {
    fail(m, "no mark", NULL);
    return 0;
  }
  int from = m->mark[--m->n_marks], n = m->n - from;
  *items = m->stack ? m->stack + from : NULL;
  m->n = from;
  return n;
}

static void push_seq(machine *m, tv_kind kind, int n) {
  if (m->n - floor_of(m) < n) {
    fail(m, "stack is empty", NULL);
    return;
  }
  m->n -= n;
  push(m, torch_seq_new(m->t, kind, n, m->stack ? m->stack + m->n : NULL));
}

static void mark_seq(machine *m, tv_kind kind) {
  tv *items = NULL;
  int n = pop_mark(m, &items);
  if (!m->failed)
    push(m, torch_seq_new(m->t, kind, n, items));
}

static void memo_put(machine *m, uint64_t at) {
  tv v = *top(m);
  if (at > m->in.size) {
    fail(m, "memo index out of range", NULL);
    return;
  }
  m->memo = neo_arena_grow(&m->t->arena, m->memo, &m->cap_memo, (int)at + 1, sizeof v);
  m->memo[at] = v;
  if ((int)at >= m->n_memo)
    m->n_memo = (int)at + 1;
}

static void memo_get(machine *m, uint64_t at) {
  if (at >= (uint64_t)m->n_memo)
    fail(m, "memo index out of range", NULL);
  else
    push(m, m->memo[at]);
}

/* ---- literals -------------------------------------------------------------------------------------------------- */

static const char *text(machine *m, uint64_t n) {
  const uint8_t *bytes = n <= m->in.size ? neo_read_bytes(&m->in, (size_t)n) : NULL;
  if (!bytes && n > 0)
    fail(m, "text beyond the end", NULL);
  return bytes ? neo_arena_strndup(&m->t->arena, (const char *)bytes, (size_t)n) : "";
}

static const char *line(machine *m) {
  const uint8_t *from = m->in.data + m->in.at, *end = memchr(from, '\n', m->in.size - m->in.at);
  if (!end) {
    fail(m, "line beyond the end", NULL);
    return "";
  }
  const char *out = text(m, (uint64_t)(end - from));
  neo_read_u8(&m->in);
  return out;
}

static int64_t long_value(machine *m, uint64_t n) {
  const uint8_t *bytes = n <= m->in.size ? neo_read_bytes(&m->in, (size_t)n) : NULL;
  uint64_t v = 0;
  if (!bytes || n == 0)
    return 0;
  for (uint64_t i = 0; i < 8; i++)
    v |= (uint64_t)(i < n ? bytes[i] : bytes[n - 1] & 0x80 ? 0xff : 0) << (8 * i);
  return (int64_t)v; /* longer ones (the magic of legacy files) keep their low bits */
}

static double big_endian_double(machine *m) {
  uint64_t v = 0;
  double out;
  for (int i = 0; i < 8; i++)
    v = v << 8 | neo_read_u8(&m->in);
  memcpy(&out, &v, sizeof out);
  return out;
}

/* ---- globals ----------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  neo_dtype dtype;
} storages[] = {
    {"FloatStorage", NEO_F32},     {"DoubleStorage", NEO_F64}, {"HalfStorage", NEO_F16},
    {"BFloat16Storage", NEO_BF16}, {"LongStorage", NEO_I64},   {"IntStorage", NEO_I32},
    {"ShortStorage", NEO_I16},     {"CharStorage", NEO_I8},    {"ByteStorage", NEO_U8},
    {"BoolStorage", NEO_BOOL},     {"QInt8Storage", NEO_I8},   {"QUInt8Storage", NEO_U8},
    {"QInt32Storage", NEO_I32}};

static const char *const functions[] = {"torch._utils._rebuild_tensor_v2",
                                        "torch._utils._rebuild_parameter",
                                        "torch._utils._rebuild_qtensor",
                                        "torch.per_tensor_affine",
                                        "torch.per_channel_affine",
                                        "torch._utils._rebuild_tensor_v3",
                                        "torch.jit._pickle.build_intlist",
                                        "torch.jit._pickle.build_doublelist",
                                        "torch.jit._pickle.build_boollist",
                                        "torch.jit._pickle.build_tensorlist",
                                        "torch.jit._pickle.restore_type_tag",
                                        "collections.OrderedDict",
                                        "torch.Size",
                                        "torch.device",
                                        "torch._utils._rebuild_device_tensor_from_numpy"};

static bool allowed(const char *name) {
  if (strncmp(name, "__torch__.", 10) == 0)
    return true;
  for (int i = 0; i < NEO_COUNT(functions); i++)
    if (strcmp(functions[i], name) == 0)
      return true;
  for (int i = 0; i < NEO_COUNT(storages); i++)
    if (strncmp(name, "torch.", 6) == 0 && strcmp(storages[i].name, name + 6) == 0)
      return true;
  return false;
}

static void push_global(machine *m, const char *module, const char *name) {
  const char *full = neo_arena_printf(&m->t->arena, "%s.%s", module, name);
  if (!allowed(full))
    fail(m, "forbidden global", full);
  push(m, (tv){.kind = TV_NAME, .s = full});
}

/* ('storage', torch.FloatStorage, '0', 'cpu', numel) as an object of class "storage". */
static void persistent(machine *m) {
  tv id = pop(m);
  const tv *item = id.kind == TV_TUPLE && id.seq->n >= 5 ? id.seq->item : NULL;
  neo_dtype dtype = NEO_DTYPE_COUNT;
  if (!item || item[1].kind != TV_NAME || item[2].kind != TV_STRING) {
    fail(m, "a persistent id that is no storage", NULL);
    return;
  }
  for (int i = 0; i < NEO_COUNT(storages); i++)
    if (strcmp(item[1].s, neo_arena_printf(&m->t->arena, "torch.%s", storages[i].name)) == 0)
      dtype = storages[i].dtype;
  torch_object *storage = torch_object_new(m->t, "storage");
  torch_object_set(m->t, storage, "dtype", torch_int(dtype));
  torch_object_set(m->t, storage, "key", item[2]);
  push(m, (tv){.kind = TV_OBJECT, .object = storage});
}

static bool ints(const tv *v, int *n, int64_t *out) {
  if (!torch_is_seq(v) || v->seq->n > NEO_MAX_RANK)
    return false;
  *n = v->seq->n;
  for (int i = 0; i < *n; i++)
    if (v->seq->item[i].kind != TV_INT)
      return false;
    else
      out[i] = v->seq->item[i].i;
  return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks) */
static tv rebuilt(machine *m, const tv *args) {
  const tv *item = args->seq->item, *dtype, *key;
  torch_weight *w = neo_arena_alloc(&m->t->arena, sizeof *w);
  int n_strides;
  if (args->seq->n < 4 || item[0].kind != TV_OBJECT ||
      strcmp(item[0].object->cls, "storage") != 0 || item[1].kind != TV_INT ||
      !ints(&item[2], &w->shape.rank, w->shape.dim) || !ints(&item[3], &n_strides, w->stride) ||
      n_strides != w->shape.rank) {
    fail(m, "damaged tensor", NULL);
    return torch_poison();
  }
  dtype = torch_object_get(item[0].object, "dtype");
  key = torch_object_get(item[0].object, "key");
  w->dtype = (neo_dtype)dtype->i;
  w->offset = item[1].i;
  w->name = neo_arena_printf(&m->t->arena, "storage %s", key->s);
  if (!m->p->storage) /* for its type and shape only */
    return torch_weight_tensor(m->t, w);
  if (w->dtype == NEO_DTYPE_COUNT) {
    neo_unsupported_add(&m->t->emitter.unsupported, "%s: its element type", w->name);
    return torch_poison();
  }
  if (!m->p->storage(m->t, key->s, &w->data, &w->size)) {
    m->failed = true;
    return torch_poison();
  }
  if (!torch_weight_check(m->t, w)) {
    m->failed = true;
    return torch_poison();
  }
  return torch_weight_tensor(m->t, w);
}

static void reduce(machine *m) {
  tv args = pop(m), fn = pop(m);
  if (m->failed)
    return;
  if (fn.kind != TV_NAME || args.kind != TV_TUPLE) {
    fail(m, "call of something that is no function", NULL);
    return;
  }
  const char *name = fn.s;
  bool one = args.seq->n >= 1;
  if (strcmp(name, "torch._utils._rebuild_tensor_v2") == 0)
    push(m, rebuilt(m, &args));
  else if (strcmp(name, "torch._utils._rebuild_qtensor") == 0)
    push(m, args.seq->n > 4 ? torch_quantised_weight(m->t, rebuilt(m, &args), &args.seq->item[4])
                            : torch_poison());
  else if (strcmp(name, "collections.OrderedDict") == 0)
    push(m, torch_seq_new(m->t, TV_DICT, 0, NULL));
  else if (strcmp(name, "torch.device") == 0)
    push(m, torch_string("cpu"));
  else if (one &&
           (strncmp(name, "torch.jit._pickle.", 18) == 0 || strcmp(name, "torch.Size") == 0 ||
            strcmp(name, "torch._utils._rebuild_parameter") == 0))
    push(m, args.seq->item[0]);
  else if (strncmp(name, "__torch__.", 10) == 0)
    push(m, (tv){.kind = TV_OBJECT, .object = torch_object_new(m->t, name)});
  else
    fail(m, "call of", name);
}

static void new_object(machine *m) {
  tv args = pop(m), cls = pop(m);
  (void)args;
  if (cls.kind != TV_NAME || strncmp(cls.s, "__torch__.", 10) != 0) {
    fail(m, "object of a class that is not the model's", cls.kind == TV_NAME ? cls.s : NULL);
    return;
  }
  push(m, (tv){.kind = TV_OBJECT, .object = torch_object_new(m->t, cls.s)});
}

/* BUILD: the state, a dict or (for __setstate__ classes) anything, into the object. */
static void build(machine *m) {
  tv state = pop(m), *object = top(m);
  if (m->failed || object->kind != TV_OBJECT)
    return;
  if (state.kind != TV_DICT) {
    torch_object_set(m->t, object->object, "__state__", state);
    return;
  }
  for (int i = 0; i + 1 < state.seq->n; i += 2)
    if (state.seq->item[i].kind == TV_STRING)
      torch_object_set(m->t, object->object, state.seq->item[i].s, state.seq->item[i + 1]);
}

static void add_items(machine *m, tv_kind into, int n, const tv *items) {
  tv *list = top(m);
  if (m->failed)
    return;
  if (list->kind != into || (into == TV_DICT && n % 2 != 0)) {
    fail(m, "items into something that holds none", NULL);
    return;
  }
  for (int i = 0; i < n; i++)
    torch_seq_add(m->t, list->seq, items[i]);
}

static void marked_items(machine *m, tv_kind into) {
  tv *items = NULL;
  int n = pop_mark(m, &items);
  add_items(m, into, n, items);
}

static void single_items(machine *m, tv_kind into, int n) {
  tv items[2];
  for (int i = n; i-- > 0;)
    items[i] = pop(m);
  add_items(m, into, n, items);
}

static void stack_global(machine *m) {
  tv name = pop(m), module = pop(m);
  if (name.kind == TV_STRING && module.kind == TV_STRING)
    push_global(m, module.s, name.s);
  else
    fail(m, "global without a name", NULL);
}

/* ---- opcodes ------------------------------------------------------------------------------------------------------ */

static uint32_t u16(machine *m) {
  uint32_t low = neo_read_u8(&m->in);
  return low | (uint32_t)neo_read_u8(&m->in) << 8;
}

/* Opcodes that push a value without looking at the stack; false if it is none. */
static bool push_literal(machine *m, uint8_t op) {
  switch (op) {
  case 'N':
    push(m, torch_none());
    return true;
  case 0x88:
  case 0x89:
    push(m, torch_bool(op == 0x88));
    return true;
  case 'K':
    push(m, torch_int(neo_read_u8(&m->in)));
    return true;
  case 'M':
    push(m, torch_int(u16(m)));
    return true;
  case 'J':
    push(m, torch_int((int32_t)neo_read_u32le(&m->in)));
    return true;
  case 0x8a:
    push(m, torch_int(long_value(m, neo_read_u8(&m->in))));
    return true;
  case 'G':
    push(m, torch_float(big_endian_double(m)));
    return true;
  case 'X':
    push(m, torch_string(text(m, neo_read_u32le(&m->in))));
    return true;
  case 'T':
  case 'B':
    push(m, torch_string(text(m, neo_read_u32le(&m->in))));
    return true;
  case 'U':
  case 'C':
  case 0x8c:
    push(m, torch_string(text(m, neo_read_u8(&m->in))));
    return true;
  case 0x8d:
  case 0x8e:
    push(m, torch_string(text(m, neo_read_u64le(&m->in))));
    return true;
  default:
    return false;
  }
}

static bool memo_or_container(machine *m, uint8_t op) {
  switch (op) {
  case 'q':
    memo_put(m, neo_read_u8(&m->in));
    return true;
  case 'r':
    memo_put(m, neo_read_u32le(&m->in));
    return true;
  case 0x94:
    memo_put(m, (uint64_t)m->n_memo);
    return true;
  case 'h':
    memo_get(m, neo_read_u8(&m->in));
    return true;
  case 'j':
    memo_get(m, neo_read_u32le(&m->in));
    return true;
  case ')':
    push(m, torch_seq_new(m->t, TV_TUPLE, 0, NULL));
    return true;
  case ']':
    push(m, torch_seq_new(m->t, TV_LIST, 0, NULL));
    return true;
  case '}':
    push(m, torch_seq_new(m->t, TV_DICT, 0, NULL));
    return true;
  case 0x85:
  case 0x86:
  case 0x87:
    push_seq(m, TV_TUPLE, op - 0x84);
    return true;
  case 't':
    mark_seq(m, TV_TUPLE);
    return true;
  case 'l':
    mark_seq(m, TV_LIST);
    return true;
  default:
    return false;
  }
}

static void step(machine *m, uint8_t op) {
  const char *module;
  if (push_literal(m, op) || memo_or_container(m, op))
    return;
  switch (op) {
  case 0x80:
    neo_read_u8(&m->in);
    break;
  case 0x95:
    neo_read_u64le(&m->in);
    break;
  case '(':
    m->mark = neo_arena_grow(&m->t->arena, m->mark, &m->cap_marks, m->n_marks + 1, sizeof *m->mark);
    m->mark[m->n_marks++] = m->n;
    break;
  case '0':
    pop(m);
    break;
  case 'e':
    marked_items(m, TV_LIST);
    break;
  case 'a':
    single_items(m, TV_LIST, 1);
    break;
  case 'u':
    marked_items(m, TV_DICT);
    break;
  case 's':
    single_items(m, TV_DICT, 2);
    break;
  case 'c':
    module = line(m);
    push_global(m, module, line(m));
    break;
  case 0x93:
    stack_global(m);
    break;
  case 'Q':
    persistent(m);
    break;
  case 'R':
    reduce(m);
    break;
  case 0x81:
    new_object(m);
    break;
  case 'b':
    build(m);
    break;
  case '.':
    m->stopped = true;
    break;
  default:
    fail(m, "opcode that torch does not write", NULL);
  }
}

bool torch_unpickle(torch *t, torch_pickle *pickle, tv *out) {
  machine m = {.t = t, .p = pickle, .in = {pickle->data, pickle->size}};
  if (pickle->size > INT32_MAX / 2)
    fail(&m, "longer than 1 GB", NULL);
  while (!m.failed && !m.stopped) {
    uint8_t op = neo_read_u8(&m.in);
    if (!m.in.failed)
      step(&m, op);
    if (m.in.failed)
      fail(&m, "it ends in the middle", NULL);
  }
  if (!m.failed)
    *out = pop(&m);
  pickle->used = m.in.at;
  return !m.failed;
}
