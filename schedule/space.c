/* Schedule spaces: which sketches a te has on a target, under layout constraints.
 *
 * Why: the space matters more than the search, so everything that makes kernels fast (algorithm,
 * layouts, packing, register tiles, fusion of producers) is a sketch or a decision here. How:
 * variants = the te rewritten by each applicable algorithm. For each variant and each plan of
 * boundary layouts, the rules of rules.def take the blocks from the last to the first and write
 * slots; a rule that has alternatives (which axis becomes the vector) is asked again. The sketch of
 * row `small` (scalar, serial) is last and always there. A sketch whose first candidate does not
 * lower is left out and counted. */
#include "schedule/algorithm.h"
#include "schedule/intrinsic.h"
#include "schedule/matrix.h"
#include "schedule/sketch.h"

#include <string.h>

#define MAX_CHOICES 6
#define N_PLANS 3

/* Algorithms to try besides "direct", with the least accuracy setting that admits this form. */
static const struct {
  const char *text;
  neo_accuracy accuracy;
  bool gpu;  /* on GPUs only; all others on processors only */
  bool half; /* where f16 is multiplied and added only */
  bool wide; /* on 64-bit Arm only, where scalars are lanes of registers */
} forms[] = {
    {"stage", NEO_ACCURACY_EXACT, true},
    {"pad", NEO_ACCURACY_EXACT},
    {"wide", NEO_ACCURACY_EXACT, .wide = true},
    {"wide pad=1", NEO_ACCURACY_EXACT, .wide = true},
    {"half terms=72", NEO_ACCURACY_FAST, .half = true}, /* eight channels of 3x3 */
    {"half terms=72 pad=1", NEO_ACCURACY_FAST, .half = true},
    {"rfactor lanes=8", NEO_ACCURACY_EXACT},
    {"rfactor lanes=32", NEO_ACCURACY_EXACT},
    {"winograd m=2 n=2", NEO_ACCURACY_DEFAULT},
    {"winograd m=4 n=4 fine=1", NEO_ACCURACY_DEFAULT},
    {"winograd m=4 n=2 fine=1", NEO_ACCURACY_DEFAULT},
    {"winograd m=6 n=6", NEO_ACCURACY_FAST},
    {"winograd m=2 n=2 fine=1", NEO_ACCURACY_DEFAULT}, /* 5x5 */
    {"winograd m=1 n=2", NEO_ACCURACY_DEFAULT},        /* 1x5, 1x7 */
    {"winograd m=2 n=1", NEO_ACCURACY_DEFAULT},
    {"winograd m=1 n=4", NEO_ACCURACY_DEFAULT}, /* 1x5 */
    {"winograd m=4 n=1", NEO_ACCURACY_DEFAULT},
    {"winograd m=1 n=4 fine=1", NEO_ACCURACY_DEFAULT}, /* 1x3 */
    {"winograd m=4 n=1 fine=1", NEO_ACCURACY_DEFAULT},
    {"strassen g=16", NEO_ACCURACY_DEFAULT},
    {"strassen g=32", NEO_ACCURACY_DEFAULT},
    {"strassen g=48", NEO_ACCURACY_DEFAULT},
};

static double constant_bytes(const neo_te *te) {
  double sum = 0;
  int64_t n;
  for (int k = 0; k < te->n_buffers; k++)
    if (te->buffer[k].role == NEO_TE_CONST && neo_shape_elements(&te->buffer[k].shape, &n))
      sum += (double)n * (double)neo_dtype_size(te->buffer[k].dtype);
  return sum;
}

static neo_status add_variant(neo_ctx *ctx, neo_space *space, const char *alg) {
  neo_ctx quiet;
  neo_ctx_fork(&quiet, ctx);
  quiet.log = NULL;
  neo_schedule *line = neo_alloc(ctx, sizeof(*line));
  if (!line)
    return neo_fail(ctx, NEO_NO_MEMORY, "space: no memory for a schedule");
  neo_schedule_naive(line);
  memset(line->instr[0].name, 0, sizeof(line->instr[0].name));
  strncpy(line->instr[0].name, alg, sizeof(line->instr[0].name) - 1);
  neo_variant *variant = neo_arena_alloc(&space->arena, sizeof(*variant));
  neo_status status = neo_schedule_rewrite(&quiet, &space->te, line, &space->arena, &variant->te);
  neo_free(ctx, line);
  if (status == NEO_BAD_INPUT || status == NEO_UNSUPPORTED)
    return NEO_OK;
  if (status != NEO_OK)
    return neo_fail(ctx, status, "%s", quiet.message);
  if (constant_bytes(&variant->te) >
      constant_bytes(&space->te) * (space->options.max_params_growth + 0.01))
    return NEO_OK;
  strncpy(variant->alg, alg, sizeof(variant->alg) - 1);
  neo_facts_find(&space->arena, &variant->te, &variant->facts);
  space->variant[space->n_variants++] = variant;
  return NEO_OK;
}

static bool is_arm64(const neo_target *target) {
  return neo_target_has(target, NEO_ISA_NEON) && neo_target_pointer_bytes(target) == 8;
}

static neo_status add_variants(neo_ctx *ctx, neo_space *space) {
  NEO_TRY(add_variant(ctx, space, "direct"));
  if (space->n_variants == 0)
    return neo_fail(ctx, NEO_INTERNAL, "space: algorithm 'direct' does not apply");
  for (int i = 0; i < NEO_COUNT(forms); i++)
    if (forms[i].accuracy <= space->options.accuracy && space->n_variants < NEO_SPACE_VARIANTS &&
        forms[i].gpu == neo_target_is_gpu(&space->target) &&
        (!forms[i].half || neo_target_has(&space->target, NEO_ISA_FP16)) &&
        (!forms[i].wide || is_arm64(&space->target)))
      NEO_TRY(add_variant(ctx, space, forms[i].text));
  return NEO_OK;
}

/* ---- layouts of boundary buffers ------------------------------------------------------------------- */

/* Plan 0: row-major; 1: dim 1 innermost; 2: dim 1 in blocks of one vector. */
static void plan_layout(const neo_space *space, const neo_te_buffer *buffer, int plan,
                        neo_layout *out) {
  memset(out, 0, sizeof(*out));
  int rank = buffer->shape.rank;
  if (plan == 0 || rank < 3)
    return;
  int lanes = neo_target_lanes(&space->target, neo_dtype_class(buffer->dtype) == 'f',
                               neo_dtype_size(buffer->dtype));
  if (plan == 1 || lanes <= 1 || buffer->shape.dim[1] < lanes) {
    neo_layout_with_last(out, rank, 1);
    return;
  }
  int n = 0;
  out->dim[n++] = (neo_layout_dim){0, ' ', 0};
  out->dim[n++] = (neo_layout_dim){1, '/', lanes};
  for (int d = 2; d < rank; d++)
    out->dim[n++] = (neo_layout_dim){(int8_t)d, ' ', 0};
  out->dim[n++] = (neo_layout_dim){1, '%', lanes};
  out->n = n;
}

static void lay_boundary(neo_builder *b, int plan) {
  const neo_te *te = &b->variant->te;
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role != NEO_TE_IN && te->buffer[k].role != NEO_TE_OUT)
      continue;
    neo_layout layout;
    if (b->space->options.fixed[k])
      layout = b->space->fixed[k];
    else
      plan_layout(b->space, &te->buffer[k], plan, &layout);
    neo_builder_lay(b, k, &layout);
  }
}

/* ---- composing ---------------------------------------------------------------------------------------- */

static bool same_sketch(const neo_sketch *a, const neo_sketch *b) {
  return a->variant == b->variant && a->n_slots == b->n_slots &&
         memcmp(a->slot, b->slot, sizeof(*a->slot) * (size_t)a->n_slots) == 0;
}

static bool rule_used(const neo_sketch *sketch, const char *name) {
  for (int r = 0; r < neo_rule_count(); r++)
    if (strcmp(neo_rule_get(r)->name, name) == 0)
      return sketch->rules >> r & 1;
  return false;
}

static bool lowers(neo_ctx *ctx, neo_space *space, const neo_sketch *sketch) {
  int number = space->n_sketches;
  neo_candidate *c = neo_alloc(ctx, sizeof(*c));
  neo_schedule *line = neo_alloc(ctx, sizeof(*line));
  neo_nest *nest = neo_alloc(ctx, sizeof(*nest));
  bool ok = false;
  if (c && line && nest) {
    neo_ctx quiet;
    neo_arena arena;
    neo_ctx_fork(&quiet, ctx);
    neo_arena_init(&arena);
    space->sketch[number] = (neo_sketch *)(uintptr_t)sketch;
    c->sketch = (int16_t)number;
    c->n = (int16_t)sketch->n_decisions;
    neo_sketch_repair(sketch, &space->target, c);
    neo_space_schedule(space, c, line);
    ok = neo_schedule_lower(&quiet, &space->te, line, &space->target, &arena, nest) == NEO_OK;
    if (!ok) {
      neo_buf text = {0};
      neo_schedule_print(&text, line);
      neo_log(ctx, NEO_LOG_DEBUG, "space: sketch left out: %s: %s", quiet.message, text.data);
      neo_buf_fini(&text);
    }
    neo_arena_fini(&arena);
  }
  neo_free(ctx, c);
  neo_free(ctx, line);
  neo_free(ctx, nest);
  return ok;
}

/* Another sketch that differs only in the plan of layouts was seen to lower. */
static bool is_known(const neo_space *space, const neo_sketch *sketch) {
  for (int i = 0; i < space->n_sketches; i++)
    if (space->sketch[i]->variant == sketch->variant && space->sketch[i]->rules == sketch->rules &&
        space->sketch[i]->intrinsics == sketch->intrinsics &&
        space->sketch[i]->matrices == sketch->matrices &&
        space->sketch[i]->choice == sketch->choice)
      return true;
  return false;
}

static void keep_sketch(neo_ctx *ctx, neo_space *space, neo_builder *b) {
  if (b->failed || space->n_sketches == NEO_MAX_SKETCHES)
    return;
  /* algorithms, and the rules that make sense of them */
  static const char *const own[][3] = {{"winograd", "winograd", "winograd"},
                                       {"strassen", "strassen", "strassen"},
                                       {"stage", "gpu_tile", "gpu_mma"},
                                       {"half", "contract", "contract"}};
  for (int i = 0; i < NEO_COUNT(own); i++)
    if (strncmp(b->variant->alg, own[i][0], strlen(own[i][0])) == 0 &&
        !rule_used(b->sketch, own[i][1]) && !rule_used(b->sketch, own[i][2]))
      return;
  for (int i = 0; i < space->n_sketches; i++)
    if (same_sketch(space->sketch[i], b->sketch))
      return;
  if (is_known(space, b->sketch) || lowers(ctx, space, b->sketch))
    space->sketch[space->n_sketches++] = b->sketch;
  else
    space->n_left_out++;
}

static bool applies_here(const neo_builder *b, const neo_rule *rule) {
  bool gpu = neo_target_is_gpu(&b->space->target);
  return rule->device == NEO_RULE_ANY || (rule->device == NEO_RULE_GPU) == gpu;
}

static void apply_rules(neo_builder *b, int first_rule) {
  for (int block = b->variant->te.n_blocks - 1; block >= 0; block--) {
    for (int r = first_rule; r < neo_rule_count() && !b->done[block]; r++)
      if (applies_here(b, neo_rule_get(r)) && neo_rule_get(r)->apply(b, block)) {
        b->done[block] = true;
        b->sketch->rules |= UINT64_C(1) << r;
      }
    neo_assert(b->done[block]);
  }
}

/* One sketch; returns true if a rule has a further choice. */
static bool compose(neo_ctx *ctx, neo_space *space, int variant, int plan, int choice,
                    int first_rule) {
  neo_builder *b = neo_arena_alloc(&space->arena, sizeof(*b));
  b->space = space;
  b->variant = space->variant[variant];
  b->choice = choice;
  b->sketch = neo_arena_alloc(&space->arena, sizeof(*b->sketch));
  b->sketch->variant = variant;
  b->sketch->choice = choice;
  neo_slot *alg = neo_builder_slot(b, NEO_INSTR_ALG, -1);
  memcpy(alg->instr.name, b->variant->alg, sizeof(alg->instr.name));
  lay_boundary(b, plan);
  apply_rules(b, first_rule);
  keep_sketch(ctx, space, b);
  return b->more;
}

static neo_status build_sketches(neo_ctx *ctx, neo_space *space) {
  int last_rule = neo_rule_count() - 1;
  for (int v = 0; v < space->n_variants; v++)
    for (int plan = N_PLANS - 1; plan >= 0; plan--)
      for (int choice = 0; choice < MAX_CHOICES; choice++)
        if (!compose(ctx, space, v, plan, choice, 0))
          break;
  if (space->n_sketches == NEO_MAX_SKETCHES)
    space->n_sketches--;
  compose(ctx, space, 0, 0, 0, last_rule);
  if (space->n_sketches == 0)
    return neo_fail(ctx, NEO_INTERNAL, "space: not even the scalar schedule lowers");
  return NEO_OK;
}

neo_status neo_space_build(neo_ctx *ctx, const neo_te *te, const neo_target *target,
                           const neo_space_options *options, neo_space **out) {
  neo_space *space = neo_alloc(ctx, sizeof(*space));
  if (!space)
    return neo_fail(ctx, NEO_NO_MEMORY, "space: no memory");
  neo_arena_init(&space->arena);
  neo_te_copy(&space->te, &space->arena, te);
  space->target = *target;
  space->options = *options;
  if (space->options.threads < 1)
    space->options.threads = 1;
  if (space->options.max_params_growth <= 0)
    space->options.max_params_growth = 4;
  for (int k = 0; k < NEO_TE_MAX_BUFFERS; k++)
    if (options->fixed[k]) {
      space->fixed[k] = *options->fixed[k];
      space->options.fixed[k] = &space->fixed[k];
    }
  space->allocator = ctx->allocator;
  neo_status status = add_variants(ctx, space);
  if (status == NEO_OK)
    status = build_sketches(ctx, space);
  if (status != NEO_OK) {
    neo_space_destroy(space);
    return status;
  }
  *out = space;
  return NEO_OK;
}

void neo_space_destroy(neo_space *space) {
  if (!space)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = space->allocator;
  neo_arena_fini(&space->arena);
  neo_free(&ctx, space);
}

const neo_te *neo_space_te(const neo_space *space) {
  return &space->te;
}

int neo_space_sketches(const neo_space *space) {
  return space->n_sketches;
}

/* ---- size and text ---------------------------------------------------------------------------------- */

#define SIZE_SAMPLES 512

/* Product of the domains times the share of random points that keep the limits. */
static double sketch_size(const neo_space *space, int number) {
  const neo_sketch *sketch = space->sketch[number];
  double product = 1;
  for (int d = 0; d < sketch->n_decisions; d++)
    product *= sketch->decision[d].n;
  if (sketch->n_limits == 0)
    return product;
  neo_rng rng;
  neo_rng_init(&rng, 1);
  int legal = 0;
  neo_candidate c = {.sketch = (int16_t)number, .n = (int16_t)sketch->n_decisions};
  for (int i = 0; i < SIZE_SAMPLES; i++) {
    for (int d = 0; d < sketch->n_decisions; d++)
      c.decision[d] = (int16_t)neo_rng_below(&rng, (uint64_t)sketch->decision[d].n);
    bool ok = true;
    for (int k = 0; ok && k < sketch->n_limits; k++)
      ok = neo_limit_holds(&sketch->limit[k], sketch, &c);
    legal += ok;
  }
  return neo_max_i64(1, (int64_t)(product * (legal + 0.5) / (SIZE_SAMPLES + 0.5)));
}

double neo_space_size(const neo_space *space) {
  double sum = 0;
  for (int i = 0; i < space->n_sketches; i++)
    sum += sketch_size(space, i);
  return sum;
}

static void print_decision(neo_buf *buf, const neo_decision *d) {
  neo_buf_printf(buf, "    %s:", d->name);
  if (d->choice)
    neo_buf_printf(buf, " %d plans", d->n);
  for (int i = 0; !d->choice && i < d->n; i++)
    neo_buf_printf(buf, " %d", (int)d->value[i]);
  neo_buf_text(buf, "\n");
}

void neo_space_print(neo_buf *buf, const neo_space *space) {
  neo_buf_printf(buf, "algorithms:");
  for (int v = 0; v < space->n_variants; v++)
    neo_buf_printf(buf, " [%s]", space->variant[v]->alg);
  neo_buf_printf(buf, "\nsketches: %d", space->n_sketches);
  if (space->n_left_out > 0)
    neo_buf_printf(buf, " (%d left out: do not lower)", space->n_left_out);
  neo_buf_printf(buf, "\nsize: about %.3g candidates\n", neo_space_size(space));
  for (int i = 0; i < space->n_sketches; i++) {
    const neo_sketch *sketch = space->sketch[i];
    neo_buf_printf(buf, "  sketch %d: alg %s; rules", i, space->variant[sketch->variant]->alg);
    for (int r = 0; r < neo_rule_count(); r++)
      if (sketch->rules >> r & 1)
        neo_buf_printf(buf, " %s", neo_rule_get(r)->name);
    for (int r = 0; r < neo_intrinsic_count(); r++)
      if (sketch->intrinsics >> r & 1)
        neo_buf_printf(buf, "; intrinsic %s", neo_intrinsic_get(r)->name);
    for (int r = 0; r < neo_matrix_count(); r++)
      if (sketch->matrices >> r & 1)
        neo_buf_printf(buf, "; matrix %s", neo_matrix_get(r)->name);
    neo_buf_printf(buf, "; about %.3g candidates\n", sketch_size(space, i));
    for (int d = 0; d < sketch->n_decisions; d++)
      print_decision(buf, &sketch->decision[d]);
  }
}
