/* frontends/torch_script.c: TorchScript archives (.pt, .jit): the module tree from data.pkl, the
 * code from code/, and forward() evaluated (torch_eval.c); docs/formats/torch.md.
 *
 * The file says neither shapes nor element types of inputs: shapes come from the user, types from
 * the user or from the first use (an index is i64, a mask bool, anything else f32), for which the
 * code is run again. A number input
 * (`sr: int`) becomes an input of rank 0; where the code branches on it, the model is read once for
 * each value that it is compared with, and the one value with which nothing is raised is taken. */
#include "frontends/torch_script.h"

#include <stdlib.h>
#include <string.h>

enum {
  MAX_TEXT = 64 << 20,
  MAX_INPUTS = 64,
  MAX_RUNS = 2 * MAX_INPUTS + MAX_CANDIDATES * MAX_NUMBER_INPUTS
};

/* ---- code -------------------------------------------------------------------------------------------------------- */

/* "__torch__.a.b.Name" -> the parsed code/__torch__/a/b.py; *name: Name. */
static const ts_file *file_of(script *s, const char *qualified, const char **name) {
  const char *dot = strrchr(qualified, '.');
  if (!dot)
    return NULL;
  *name = dot + 1;
  char *path =
      neo_arena_printf(&s->t.arena, "%scode/%.*s", s->folder, (int)(dot - qualified), qualified);
  for (char *at = path + strlen(s->folder) + 5; *at; at++)
    *at = *at == '.' ? '/' : *at;
  path = neo_arena_printf(&s->t.arena, "%s.py", path);
  ts_file *file = neo_map_get(&s->files, path);
  if (file)
    return file;
  const neo_archive_member *member = neo_archive_find(s->t.archive, path);
  const uint8_t *text;
  if (!member)
    return NULL;
  neo_status status = neo_archive_read(s->t.ctx, s->t.archive, member, MAX_TEXT, &text);
  if (status != NEO_OK) {
    s->t.failed = s->t.failed != NEO_OK ? s->t.failed : status;
    return NULL;
  }
  file = ts_parse(&s->t, path, (const char *)text, member->size);
  if (file && !neo_map_put(&s->files, path, file))
    torch_bad(&s->t, NEO_NO_MEMORY, "files");
  return file;
}

const ts_class *ts_find_class(script *s, const char *qualified) {
  const char *name;
  const ts_file *file = file_of(s, qualified, &name);
  for (int i = 0; file && i < file->n_classes; i++)
    if (strcmp(file->cls[i].name, name) == 0)
      return &file->cls[i];
  return NULL;
}

const ts_def *ts_find_def(script *s, const char *qualified) {
  const char *name;
  const ts_file *file = file_of(s, qualified, &name);
  for (int i = 0; file && i < file->n_defs; i++)
    if (strcmp(file->def[i].name, name) == 0)
      return &file->def[i];
  return NULL;
}

const ts_def *ts_find_method(const ts_class *cls, const char *name) {
  for (int i = 0; i < cls->n_defs; i++)
    if (strcmp(cls->def[i].name, name) == 0)
      return &cls->def[i];
  return NULL;
}

/* ---- pickles --------------------------------------------------------------------------------------------------------- */

static bool storage_in(torch *t, const char *part, const char *key, const uint8_t **data,
                       uint64_t *size) {
  const script *s = (const script *)t; /* the script begins with its torch */
  const char *path = neo_arena_printf(&t->arena, "%s%s/%s", s->folder, part, key);
  const neo_archive_member *member = neo_archive_find(t->archive, path);
  if (!member) {
    torch_bad(t, NEO_BAD_INPUT, "no storage %s in the archive", path);
    return false;
  }
  neo_status status = neo_archive_read(t->ctx, t->archive, member, 0, data);
  *size = member->size;
  if (status != NEO_OK && t->failed == NEO_OK)
    t->failed = status;
  return status == NEO_OK;
}

static bool data_storage(torch *t, const char *key, const uint8_t **data, uint64_t *size) {
  return storage_in(t, "data", key, data, size);
}

static bool constant_storage(torch *t, const char *key, const uint8_t **data, uint64_t *size) {
  return storage_in(t, "constants", key, data, size);
}

static neo_status unpickle(script *s, const char *name, bool constants, tv *out) {
  const char *path = neo_arena_printf(&s->t.arena, "%s%s", s->folder, name);
  const neo_archive_member *member = neo_archive_find(s->t.archive, path);
  torch_pickle pickle = {.name = name, .storage = constants ? constant_storage : data_storage};
  if (!member)
    return neo_fail(s->t.ctx, NEO_BAD_INPUT, "%s: no %s in the archive", s->t.source->path, path);
  NEO_TRY(neo_archive_read(s->t.ctx, s->t.archive, member, 0, &pickle.data));
  pickle.size = member->size;
  return torch_unpickle(&s->t, &pickle, out) ? NEO_OK : s->t.failed;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------------ */

/* What holds for all runs over one file. */
typedef struct run_plan {
  const torch_seq *traced; /* of this run: the example inputs of a trace, or NULL */
  neo_dtype wanted[MAX_INPUTS];
  ts_candidates candidates[MAX_NUMBER_INPUTS];
  bool known[MAX_NUMBER_INPUTS]; /* number inputs are given these values */
  int64_t value[MAX_NUMBER_INPUTS];
  int n_numbers; /* found in the last run */
} run_plan;

static bool user_binds(script *s, const char *name, int k) {
  char arg[24];
  const neo_import_options *options = &s->t.source->options;
  snprintf(arg, sizeof arg, "arg%d", k);
  for (int i = 0; i < options->n_bindings; i++)
    if (strcmp(options->binding[i].name, name) == 0 || strcmp(options->binding[i].name, arg) == 0)
      return true;
  return false;
}

static bool mentions(const ts_expr *type, const char *name) {
  if (!type)
    return strcmp(name, "Tensor") == 0;
  if (type->text && strcmp(type->text, name) == 0)
    return true;
  for (int i = 0; i < type->n; i++)
    if (mentions(type->item[i], name))
      return true;
  return type->base && mentions(type->base, name);
}

/* Type and shape as the trace's example says, else type as wanted and shape as the user says. */
static tv tensor_input(script *s, const run_plan *plan, torch_inputs *inputs, const char *name) {
  neo_shape shape = {.rank = -1};
  int k = inputs->n;
  neo_dtype dtype = plan->wanted[k] != NEO_DTYPE_COUNT ? plan->wanted[k] : NEO_F32;
  const tv *example = plan->traced && k < plan->traced->n ? &plan->traced->item[k] : NULL;
  if (example && example->kind == TV_TENSOR && example->cell->weight->dtype < NEO_DTYPE_COUNT) {
    dtype = example->cell->weight->dtype;
    if (!user_binds(s, name, k))
      shape = example->cell->weight->shape;
  }
  return torch_input(&s->t, inputs, name, dtype, &shape);
}

/* int, float, bool: an input of rank 0, or the value it is given for this run. */
static tv number_input(script *s, run_plan *plan, torch_inputs *inputs, const char *name,
                       neo_dtype dtype) {
  neo_shape scalar = {0};
  int k = plan->n_numbers++;
  tv input = torch_input(&s->t, inputs, name, dtype, &scalar);
  if (k >= MAX_NUMBER_INPUTS || !plan->known[k])
    return input;
  tv number = dtype == NEO_BOOL ? torch_bool(plan->value[k] != 0) : torch_int(plan->value[k]);
  number.origin = k + 1;
  return number;
}

static tv one_input(script *s, run_plan *plan, torch_inputs *inputs, const char *name,
                    const ts_expr *type) {
  const char *base = type && type->kind == TS_INDEX ? type->base->text : NULL;
  if (inputs->n >= MAX_INPUTS) {
    torch_bad(&s->t, NEO_UNSUPPORTED, "more than %d inputs", MAX_INPUTS);
    return torch_poison();
  }
  if (base && strcmp(base, "Tuple") == 0) {
    const ts_expr *parts = type->item[0];
    tv out = torch_seq_new(&s->t, TV_TUPLE, 0, NULL);
    int n = parts->kind == TS_TUPLE ? parts->n : 1;
    for (int i = 0; i < n; i++)
      torch_seq_add(&s->t, out.seq,
                    one_input(s, plan, inputs, neo_arena_printf(&s->t.arena, "%s_%d", name, i),
                              parts->kind == TS_TUPLE ? parts->item[i] : parts));
    return out;
  }
  if (base && strcmp(base, "List") == 0 && mentions(type, "Tensor")) {
    tv out = torch_seq_new(&s->t, TV_LIST, 0, NULL);
    for (int i = 0; i < MAX_INPUTS; i++) {
      const char *item = neo_arena_printf(&s->t.arena, "%s_%d", name, i);
      if (!user_binds(s, item, inputs->n) && i > 0)
        break;
      torch_seq_add(&s->t, out.seq, tensor_input(s, plan, inputs, item));
    }
    return out;
  }
  if (mentions(type, "Tensor") && !(base && strcmp(base, "Dict") == 0))
    return tensor_input(s, plan, inputs, name);
  if (type->kind == TS_NAME && strcmp(type->text, "int") == 0)
    return number_input(s, plan, inputs, name, NEO_I64);
  if (type->kind == TS_NAME && strcmp(type->text, "bool") == 0)
    return number_input(s, plan, inputs, name, NEO_BOOL);
  if (type->kind == TS_NAME && strcmp(type->text, "float") == 0)
    return number_input(s, plan, inputs, name, NEO_F32);
  neo_unsupported_add(&s->t.emitter.unsupported, "input '%s': neither a tensor nor a number", name);
  return torch_poison();
}

/* ---- a run ---------------------------------------------------------------------------------------------------------------- */

/* {'forward': [examples]} of traced_inputs.pkl; NULL if the model was not traced. */
static const torch_seq *example_inputs(script *s) {
  const char *path = neo_arena_printf(&s->t.arena, "%straced_inputs.pkl", s->folder);
  const neo_archive_member *member = neo_archive_find(s->t.archive, path);
  torch_pickle pickle = {.name = "traced_inputs.pkl"};
  tv all;
  if (!member || neo_archive_read(s->t.ctx, s->t.archive, member, 0, &pickle.data) != NEO_OK)
    return NULL;
  pickle.size = member->size;
  if (!torch_unpickle(&s->t, &pickle, &all) || all.kind != TV_DICT)
    return NULL;
  for (int i = 0; i + 1 < all.seq->n; i += 2)
    if (all.seq->item[i].kind == TV_STRING && strcmp(all.seq->item[i].s, "forward") == 0)
      return torch_is_seq(&all.seq->item[i + 1]) ? all.seq->item[i + 1].seq : NULL;
  return NULL;
}

static neo_status run_forward(script *s, run_plan *plan) {
  tv module;
  torch_inputs inputs = {0};
  s->constants = torch_none();
  NEO_TRY(unpickle(s, "data.pkl", false, &module));
  if (neo_archive_find(s->t.archive, neo_arena_printf(&s->t.arena, "%sconstants.pkl", s->folder)))
    NEO_TRY(unpickle(s, "constants.pkl", true, &s->constants));
  if (module.kind != TV_OBJECT)
    return neo_fail(s->t.ctx, NEO_BAD_INPUT, "%s: data.pkl holds no module", s->t.source->path);
  const ts_class *cls = ts_find_class(s, module.object->cls);
  const ts_def *forward = cls ? ts_find_method(cls, "forward") : NULL;
  if (!forward && s->t.failed == NEO_OK)
    torch_bad(&s->t, NEO_BAD_INPUT, "%s has no method forward", module.object->cls);
  if (s->t.failed != NEO_OK)
    return s->t.failed;
  tv *arg = neo_arena_alloc(&s->t.arena, sizeof(tv) * (size_t)(forward->n_params + 1));
  const char **names =
      neo_arena_alloc(&s->t.arena, sizeof *names * (size_t)(forward->n_params + 1));
  torch_args args = {1, 0, arg, names};
  arg[0] = module;
  plan->n_numbers = 0;
  plan->traced = example_inputs(s);
  s->t.wanted = plan->wanted;
  s->t.n_wanted = MAX_INPUTS;
  for (int i = 1; i < forward->n_params; i++) {
    const ts_param *param = &forward->param[i];
    if (param->otherwise && !user_binds(s, param->name, inputs.n))
      continue;
    names[args.n_named++] = param->name;
    arg[args.n_named] = one_input(s, plan, &inputs, param->name, param->type);
  }
  if (!torch_inputs_end(&s->t, &inputs))
    return s->t.failed;
  tv out = ts_call_def(s, forward, "forward", &args);
  if (s->raised && !torch_poisoned(&s->t))
    torch_bad(&s->t, NEO_USAGE, "with inputs of these shapes the model raises: %s", s->message);
  if (s->t.failed == NEO_OK && !torch_poisoned(&s->t))
    torch_outputs(&s->t, &out);
  return s->t.failed;
}

/* One whole reading into a fresh graph. NEO_OK with s->t.rerun set: another is needed. */
static neo_status read_once(neo_ctx *ctx, const neo_source *source, run_plan *plan, bool *rerun,
                            bool *state, neo_graph **out) {
  script s = {.candidates = plan->candidates};
  *rerun = false;
  NEO_TRY(torch_init(&s.t, ctx, source, "torchscript"));
  neo_status status = neo_archive_open(ctx, source, &s.t.archive);
  for (int i = 0; status == NEO_OK && i < neo_archive_count(s.t.archive); i++) {
    const char *name = neo_archive_at(s.t.archive, i)->name, *slash = strchr(name, '/');
    if (slash && strcmp(slash, "/data.pkl") == 0)
      s.folder = neo_arena_strndup(&s.t.arena, name, (size_t)(slash + 1 - name));
  }
  if (status == NEO_OK && !s.folder)
    status = neo_fail(ctx, NEO_BAD_INPUT, "%s: no data.pkl in the archive", source->path);
  if (status == NEO_OK)
    status = run_forward(&s, plan);
  if (s.t.rerun) {
    *rerun = true;
    status = NEO_INTERNAL; /* drops the graph; the caller forgets it */
  }
  *state = s.state_changed;
  neo_map_fini(&s.files);
  return torch_finish(&s.t, status, out);
}

/* Reads again while inputs' types turn out otherwise than guessed. */
static neo_status read_typed(neo_ctx *ctx, const neo_source *source, run_plan *plan,
                             neo_graph **out) {
  bool rerun = true, state = false;
  neo_status status = NEO_OK;
  for (int runs = 0; rerun && runs <= MAX_INPUTS; runs++) {
    neo_ctx_clear(ctx);
    status = read_once(ctx, source, plan, &rerun, &state, out);
  }
  if (status == NEO_OK && state)
    neo_log(ctx, NEO_LOG_WARN,
            "%s: the model keeps state in its attributes; each run starts from the stored state",
            source->path);
  return status;
}

/* Are the number inputs ever compared with something? A value that stands nowhere tells. */
static bool has_candidates(const run_plan *plan) {
  for (int k = 0; k < plan->n_numbers && k < MAX_NUMBER_INPUTS; k++)
    if (plan->candidates[k].n > 0)
      return true;
  return false;
}

/* The next choice of candidates, as a counter of mixed radix; false after the last. */
static bool next_choice(run_plan *plan, int *choice) {
  for (int k = 0; k < plan->n_numbers && k < MAX_NUMBER_INPUTS; k++) {
    if (++choice[k] < plan->candidates[k].n)
      return true;
    choice[k] = 0;
  }
  return false;
}

/* With numbers as inputs first; if the code cannot be decided so, with each value it compares them
 * with. */
static neo_status read_numbers(neo_ctx *ctx, const neo_source *source, run_plan *plan,
                               neo_graph **out) {
  int choice[MAX_NUMBER_INPUTS] = {0};
  neo_status status = read_typed(ctx, source, plan, out);
  if (status == NEO_OK || plan->n_numbers == 0)
    return status;
  neo_ctx first = *ctx;
  for (int k = 0; k < MAX_NUMBER_INPUTS;
       k++) { /* a value that nobody compares with, to see what they do */
    plan->known[k] = true;
    plan->value[k] = 0;
  }
  neo_status probe = read_typed(ctx, source, plan, out);
  for (int runs = 0; probe != NEO_OK && has_candidates(plan) && runs < MAX_RUNS; runs++) {
    for (int k = 0; k < plan->n_numbers && k < MAX_NUMBER_INPUTS; k++)
      plan->value[k] = plan->candidates[k].n ? plan->candidates[k].value[choice[k]] : 0;
    probe = read_typed(ctx, source, plan, out);
    if (probe != NEO_OK && !next_choice(plan, choice))
      break;
  }
  if (probe != NEO_OK) {
    memcpy(ctx->message, first.message, sizeof ctx->message);
    ctx->status = first.status;
    return status;
  }
  for (int k = 0; k < plan->n_numbers && k < MAX_NUMBER_INPUTS; k++)
    neo_log(ctx, NEO_LOG_WARN,
            "%s: the model branches on number input %d: it is compiled for the value %lld only",
            source->path, k, (long long)plan->value[k]);
  return NEO_OK;
}

bool torch_script_detect(const neo_source *source) {
  static const char name[] = "/code/__torch__";
  const neo_mapping *file = &source->file;
  return !source->folder && neo_archive_detect(file->data, file->size) &&
         memmem(file->data, file->size, name, sizeof name - 1) != NULL;
}

neo_status torch_script_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  run_plan *plan = neo_alloc(ctx, sizeof *plan);
  if (!plan)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s", source->path);
  for (int k = 0; k < MAX_INPUTS; k++)
    plan->wanted[k] = NEO_DTYPE_COUNT;
  neo_status status = read_numbers(ctx, source, plan, out);
  neo_free(ctx, plan);
  return status;
}
