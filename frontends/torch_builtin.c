/* frontends/torch_builtin.c: what TorchScript code calls besides ATen: lists, strings, dicts, None,
 * exceptions. */
#include "frontends/torch_script.h"

#include <string.h>

tv ts_raise(script *s, const char *message) {
  s->raised = true;
  s->message = message;
  return torch_poison();
}

bool ts_equal(const tv *a, const tv *b) {
  if (torch_is_number(a) && torch_is_number(b))
    return a->kind == TV_FLOAT || b->kind == TV_FLOAT ? torch_number(a) == torch_number(b)
                                                      : a->i == b->i;
  if (a->kind != b->kind)
    return false;
  switch (a->kind) {
  case TV_NONE:
    return true;
  case TV_STRING:
  case TV_NAME:
    return strcmp(a->s, b->s) == 0;
  case TV_LIST:
  case TV_TUPLE:
    if (a->seq == b->seq)
      return true;
    if (a->seq->n != b->seq->n)
      return false;
    for (int i = 0; i < a->seq->n; i++)
      if (!ts_equal(&a->seq->item[i], &b->seq->item[i]))
        return false;
    return true;
  case TV_TENSOR:
    return a->cell == b->cell;
  default:
    return a->object == b->object;
  }
}

/* A comparison of number input k names a value that the model may be specialised for. */
static void note_candidate(script *s, const tv *input, const tv *value) {
  if (!s->candidates || input->origin < 1 || input->origin > MAX_NUMBER_INPUTS ||
      value->kind != TV_INT)
    return;
  ts_candidates *c = &s->candidates[input->origin - 1];
  for (int i = 0; i < c->n; i++)
    if (c->value[i] == value->i)
      return;
  if (c->n < MAX_CANDIDATES)
    c->value[c->n++] = value->i;
}

static void note_candidates(script *s, const torch_args *args) {
  const tv *a = &args->arg[0], *b = &args->arg[1];
  if (args->n != 2)
    return;
  note_candidate(s, a, b);
  note_candidate(s, b, a);
  for (int i = 0; torch_is_seq(a) && i < a->seq->n; i++)
    note_candidate(s, b, &a->seq->item[i]);
}

/* ---- strings ------------------------------------------------------------------------------------------------------ */

static void print_value(neo_buf *out, const tv *v, int depth) {
  if (v->kind == TV_STRING)
    neo_buf_text(out, v->s);
  else if (v->kind == TV_BOOL)
    neo_buf_text(out, v->i ? "True" : "False");
  else if (v->kind == TV_INT)
    neo_buf_printf(out, "%lld", (long long)v->i);
  else if (v->kind == TV_FLOAT)
    neo_buf_double(out, v->f);
  else if (torch_is_seq(v) && depth < 4) {
    neo_buf_text(out, v->kind == TV_LIST ? "[" : "(");
    for (int i = 0; i < v->seq->n && i < 64; i++) {
      neo_buf_text(out, i ? ", " : "");
      print_value(out, &v->seq->item[i], depth + 1);
    }
    neo_buf_text(out, v->kind == TV_LIST ? "]" : ")");
  } else
    neo_buf_printf(out, "<%s>", torch_kind_name(v));
}

/* "{}" by the arguments in order */
static tv formatted(script *s, const torch_args *args) {
  neo_buf out = {0};
  int next = 1;
  for (const char *at = args->arg[0].s; *at && out.size < 4096; at++)
    if (at[0] == '{' && at[1] == '}' && next < args->n) {
      print_value(&out, &args->arg[next++], 0);
      at++;
    } else {
      neo_buf_append(&out, at, 1);
    }
  tv text = torch_string(neo_arena_strdup(&s->t.arena, out.data ? out.data : ""));
  neo_buf_fini(&out);
  return text;
}

static tv text_of(script *s, const tv *v) {
  neo_buf out = {0};
  print_value(&out, v, 0);
  tv text = torch_string(neo_arena_strdup(&s->t.arena, out.data ? out.data : ""));
  neo_buf_fini(&out);
  return text;
}

/* ---- lists ----------------------------------------------------------------------------------------------------------- */

static bool list_index(script *s, const tv *list, const tv *index, int *out) {
  tv i;
  if (!torch_known_number(&s->t, index, &i) || i.i < -list->seq->n || i.i >= list->seq->n)
    return false;
  *out = (int)(i.i < 0 ? i.i + list->seq->n : i.i);
  return true;
}

static tv list_slice(script *s, const torch_args *args) {
  const torch_seq *from = args->arg[0].seq;
  int64_t n = from->n, start = 0, end = n, step = 1;
  tv out = torch_seq_new(&s->t, args->arg[0].kind, 0, NULL);
  if (args->n > 1 && args->arg[1].kind == TV_INT)
    start =
        args->arg[1].i < 0 ? neo_max_i64(args->arg[1].i + n, 0) : neo_min_i64(args->arg[1].i, n);
  if (args->n > 2 && args->arg[2].kind == TV_INT)
    end = args->arg[2].i < 0 ? args->arg[2].i + n : neo_min_i64(args->arg[2].i, n);
  if (args->n > 3 && args->arg[3].kind == TV_INT)
    step = args->arg[3].i;
  for (int64_t i = start; step > 0 && i < end; i += step)
    torch_seq_add(&s->t, out.seq, from->item[i]);
  return out;
}

static tv joined(script *s, const tv *a, const tv *b) {
  tv out = torch_seq_new(&s->t, a->kind, a->seq->n, a->seq->item);
  for (int i = 0; i < b->seq->n; i++)
    torch_seq_add(&s->t, out.seq, b->seq->item[i]);
  return out;
}

static tv repeated(script *s, const tv *list, int64_t times) {
  tv out = torch_seq_new(&s->t, list->kind, 0, NULL);
  if (times > 0 && list->seq->n > 0 && times > 1000000 / list->seq->n)
    return torch_unsupported(&s->t, "mul", "a list of more than a million items");
  for (int64_t k = 0; k < times; k++)
    for (int i = 0; i < list->seq->n; i++)
      torch_seq_add(&s->t, out.seq, list->seq->item[i]);
  return out;
}

static bool contains(const tv *list, const tv *item) {
  int step = list->kind == TV_DICT ? 2 : 1;
  for (int i = 0; i < list->seq->n; i += step)
    if (ts_equal(&list->seq->item[i], item))
      return true;
  return false;
}

/* Methods that change the list. */
static bool change_list(script *s, const char *name, const torch_args *args, tv *out) {
  const tv *list = &args->arg[0];
  torch_seq *seq = list->seq;
  int i;
  *out = torch_none();
  if (strcmp(name, "append") == 0 && args->n == 2) {
    torch_seq_add(&s->t, seq, args->arg[1]);
    *out = *list;
  } else if (strcmp(name, "extend") == 0 && args->n == 2 && torch_is_seq(&args->arg[1])) {
    tv both = joined(s, list, &args->arg[1]);
    *seq = *both.seq;
  } else if (strcmp(name, "clear") == 0) {
    seq->n = 0;
  } else if (strcmp(name, "reverse") == 0) {
    for (i = 0; i < seq->n / 2; i++) {
      tv swap = seq->item[i];
      seq->item[i] = seq->item[seq->n - 1 - i];
      seq->item[seq->n - 1 - i] = swap;
    }
  } else if (strcmp(name, "insert") == 0 && args->n == 3 && args->arg[1].kind == TV_INT) {
    int64_t at = args->arg[1].i < 0 ? neo_max_i64(args->arg[1].i + seq->n, 0)
                                    : neo_min_i64(args->arg[1].i, seq->n);
    torch_seq_add(&s->t, seq, args->arg[2]);
    memmove(seq->item + at + 1, seq->item + at, sizeof *seq->item * (size_t)(seq->n - 1 - at));
    seq->item[at] = args->arg[2];
  } else if (strcmp(name, "pop") == 0) {
    tv last = torch_int(-1);
    if (!list_index(s, list, args->n > 1 ? &args->arg[1] : &last, &i))
      *out = ts_raise(s, "IndexError: pop index out of range");
    else {
      *out = seq->item[i];
      memmove(seq->item + i, seq->item + i + 1, sizeof *seq->item * (size_t)(seq->n - 1 - i));
      seq->n--;
    }
  } else if (strcmp(name, "_set_item") == 0 && args->n == 3) {
    if (list_index(s, list, &args->arg[1], &i))
      seq->item[i] = args->arg[2];
    else
      *out = ts_raise(s, "IndexError: list assignment index out of range");
  } else
    return false;
  return true;
}

/* min, max, sum, any, all of a list of numbers */
static bool fold_list(script *s, const char *name, const tv *list, tv *out) {
  bool any = strcmp(name, "any") == 0, all = strcmp(name, "all") == 0;
  const char *op = strcmp(name, "sum") == 0 ? "add" : strcmp(name, "prod") == 0 ? "mul" : name;
  if (!any && !all && strcmp(name, "min") != 0 && strcmp(name, "max") != 0 && strcmp(op, name) == 0)
    return false;
  for (int i = 0; i < list->seq->n; i++)
    if (!torch_is_number(&list->seq->item[i]))
      return false;
  if (any || all) {
    bool v = all;
    for (int i = 0; i < list->seq->n; i++)
      v = any ? v || torch_number(&list->seq->item[i]) != 0
              : v && torch_number(&list->seq->item[i]) != 0;
    *out = torch_bool(v);
    return true;
  }
  *out = list->seq->n ? list->seq->item[0] : torch_int(0);
  for (int i = 1; i < list->seq->n; i++) {
    tv pair[2] = {*out, list->seq->item[i]};
    torch_python_op(&s->t, op, &(torch_args){.n = 2, .arg = pair}, out);
  }
  return true;
}

/* What leaves the list as it is. */
static bool read_list(script *s, const char *name, const torch_args *args, tv *out) {
  const tv *a = &args->arg[0], *b = args->n > 1 ? &args->arg[1] : a;
  int i;
  if (strcmp(name, "len") == 0)
    *out = torch_int(a->seq->n);
  else if (strcmp(name, "list") == 0 || strcmp(name, "copy") == 0)
    *out = torch_seq_new(&s->t, TV_LIST, a->seq->n, a->seq->item);
  else if (strcmp(name, "__contains__") == 0)
    *out = torch_bool(contains(a, b));
  else if (strcmp(name, "slice") == 0)
    *out = list_slice(s, args);
  else if ((strcmp(name, "eq") == 0 || strcmp(name, "ne") == 0) && torch_is_seq(b))
    *out = torch_bool(ts_equal(a, b) == (name[0] == 'e'));
  else if (strcmp(name, "__getitem__") == 0 || strcmp(name, "select") == 0)
    *out = list_index(s, a, b, &i) ? a->seq->item[i]
                                   : ts_raise(s, "IndexError: list index out of range");
  else
    return false;
  return true;
}

static bool list_call(script *s, const char *name, const torch_args *args, tv *out) {
  const tv *a = &args->arg[0], *b = args->n > 1 ? &args->arg[1] : a;
  if (strcmp(name, "mul") == 0 && args->n == 2 && torch_is_seq(a) != torch_is_seq(b)) {
    const tv *list = torch_is_seq(a) ? a : b, *times = torch_is_seq(a) ? b : a;
    *out = times->kind == TV_INT ? repeated(s, list, times->i) : torch_poison();
    return times->kind == TV_INT;
  }
  if (!torch_is_seq(a))
    return false;
  if (args->n == 2 && torch_is_seq(b) && (strcmp(name, "add") == 0 || strcmp(name, "add_") == 0)) {
    *out = joined(s, a, b);
    if (name[3] == '_') {
      *a->seq = *out->seq;
      *out = *a;
    }
    return true;
  }
  return read_list(s, name, args, out) || change_list(s, name, args, out) ||
         fold_list(s, name, a, out);
}

/* ---- dicts -------------------------------------------------------------------------------------------------------------- */

static int dict_find(const tv *dict, const tv *key) {
  for (int i = 0; i + 1 < dict->seq->n; i += 2)
    if (ts_equal(&dict->seq->item[i], key))
      return i;
  return -1;
}

static bool dict_call(script *s, const char *name, const torch_args *args, tv *out) {
  const tv *dict = &args->arg[0];
  if (dict->kind != TV_DICT)
    return false;
  int at = args->n > 1 ? dict_find(dict, &args->arg[1]) : -1;
  if (strcmp(name, "len") == 0)
    *out = torch_int(dict->seq->n / 2);
  else if (strcmp(name, "__contains__") == 0)
    *out = torch_bool(at >= 0);
  else if (strcmp(name, "__getitem__") == 0)
    *out = at >= 0 ? dict->seq->item[at + 1] : ts_raise(s, "KeyError");
  else if (strcmp(name, "get") == 0)
    *out = at >= 0 ? dict->seq->item[at + 1] : args->n > 2 ? args->arg[2] : torch_none();
  else if (strcmp(name, "_set_item") == 0 && args->n == 3) {
    if (at < 0) {
      torch_seq_add(&s->t, dict->seq, args->arg[1]);
      torch_seq_add(&s->t, dict->seq, args->arg[2]);
    } else
      dict->seq->item[at + 1] = args->arg[2];
    *out = torch_none();
  } else if (strcmp(name, "keys") == 0 || strcmp(name, "values") == 0 ||
             strcmp(name, "items") == 0) {
    *out = torch_seq_new(&s->t, TV_LIST, 0, NULL);
    for (int i = 0; i + 1 < dict->seq->n; i += 2)
      torch_seq_add(&s->t, out->seq,
                    name[0] == 'i'   ? torch_seq_new(&s->t, TV_TUPLE, 2, &dict->seq->item[i])
                    : name[0] == 'k' ? dict->seq->item[i]
                                     : dict->seq->item[i + 1]);
  } else
    return false;
  return true;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------------ */

static bool identity_call(const char *name, const torch_args *args, tv *out) {
  bool is = strcmp(name, "__is__") == 0;
  if (args->n != 2 || (!is && strcmp(name, "__isnot__") != 0))
    return false;
  *out = torch_bool(ts_equal(&args->arg[0], &args->arg[1]) == is);
  return true;
}

static bool string_call(script *s, const char *name, const torch_args *args, tv *out) {
  const tv *a = &args->arg[0], *b = args->n > 1 ? &args->arg[1] : a;
  if (strcmp(name, "str") == 0 && args->n == 1)
    *out = text_of(s, a);
  else if (a->kind != TV_STRING)
    return false;
  else if (strcmp(name, "format") == 0)
    *out = formatted(s, args);
  else if (strcmp(name, "add") == 0 && b->kind == TV_STRING)
    *out = torch_string(neo_arena_printf(&s->t.arena, "%s%s", a->s, b->s));
  else if (strcmp(name, "eq") == 0 || strcmp(name, "ne") == 0)
    *out = torch_bool(ts_equal(a, b) == (name[0] == 'e'));
  else if (strcmp(name, "len") == 0)
    *out = torch_int((int64_t)strlen(a->s));
  else if (strcmp(name, "type") == 0 && args->n == 1) /* of a device */
    *out = *a;
  else if (strcmp(name, "startswith") == 0 && b->kind == TV_STRING)
    *out = torch_bool(strncmp(a->s, b->s, strlen(b->s)) == 0);
  else
    return false;
  return true;
}

static bool is_one_of(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcmp(name, *list) == 0)
      return true;
  return false;
}

/* range(a, b, c) as length and elements */
static bool range_call(const char *name, const torch_args *args, tv *out) {
  const tv *a = args->arg;
  for (int i = 0; i < args->n; i++)
    if (a[i].kind != TV_INT)
      return false;
  if (args->n == 3 && strcmp(name, "__range_length") == 0 && a[2].i != 0) {
    int64_t span = a[2].i > 0 ? a[1].i - a[0].i : a[0].i - a[1].i,
            step = a[2].i > 0 ? a[2].i : -a[2].i;
    *out = torch_int(span <= 0 ? 0 : neo_ceil_div(span, step));
    return true;
  }
  if (args->n == 3 && strcmp(name, "__derive_index") == 0) {
    *out = torch_int(a[1].i + a[0].i * a[2].i);
    return true;
  }
  return false;
}

tv ts_builtin(script *s, const char *name, const torch_args *args) {
  static const char *const silent[] = {"warn",
                                       "print",
                                       "set_grad_enabled",
                                       "_log_api_usage_once",
                                       "manual_seed",
                                       "_jit_set_profiling_mode",
                                       NULL};
  static const char *const python[] = {"__is__",
                                       "__isnot__",
                                       "len",
                                       "list",
                                       "append",
                                       "extend",
                                       "format",
                                       "str",
                                       "slice",
                                       "__getitem__",
                                       "__contains__",
                                       "_set_item",
                                       "keys",
                                       "values",
                                       "items",
                                       "insert",
                                       "pop",
                                       "clear",
                                       "reverse",
                                       "copy",
                                       "get",
                                       "__range_length",
                                       "__derive_index",
                                       NULL};
  static const char *const compared[] = {"eq", "ne", "lt", "le", "gt", "ge", "__contains__", NULL};
  tv out;
  if (strcmp(name, "RaiseException") == 0)
    return ts_raise(s, args->n && args->arg[0].kind == TV_STRING ? args->arg[0].s : "an exception");
  if (is_one_of(name, silent))
    return torch_none();
  if (is_one_of(name, compared))
    note_candidates(s, args);
  if (strcmp(name, "device") == 0 && args->n >= 1 && args->arg[0].kind == TV_STRING)
    return torch_string("cpu");
  if (strcmp(name, "unchecked_unwrap_optional") == 0 || strcmp(name, "_unwrap_optional") == 0 ||
      strcmp(name, "unwrap_optional") == 0)
    return args->arg[0];
  if (args->n > 0 && args->arg[0].kind == TV_POISON && is_one_of(name, python))
    return torch_poison();
  if (identity_call(name, args, &out) || range_call(name, args, &out) ||
      ts_quantised_call(s, name, args, &out))
    return out;
  if (args->n > 0 && (string_call(s, name, args, &out) || dict_call(s, name, args, &out) ||
                      list_call(s, name, args, &out)))
    return out;
  return torch_apply(&s->t, name, args);
}
