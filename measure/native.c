/* Runs a te once on this machine with generated code: packing of constants at compile time.
 *
 * Why not the interpreter: transforming a large network's weights takes it minutes. How: the
 * analytic schedule (row-major boundary) through LLVM and the object loader; if that fails
 * anywhere, the interpreter does it, slowly and surely. */
#include <string.h>

#include "measure/parts.h"

static neo_status lower_native(neo_ctx *ctx, const neo_te *te, const neo_target *target,
                               neo_arena *arena, neo_nest *nest) {
  static const neo_layout row_major = {0};
  neo_space_options options = {
      .threads = 1, .accuracy = NEO_ACCURACY_EXACT, .max_params_growth = 1};
  for (int b = 0; b < te->n_buffers; b++)
    options.fixed[b] = &row_major;
  neo_space *space = NULL;
  neo_candidate best;
  neo_schedule *schedule = neo_arena_alloc(arena, sizeof *schedule);
  NEO_TRY(neo_space_build(ctx, te, target, &options, &space));
  neo_space_analytic(space, 1, &best);
  neo_space_schedule(space, &best, schedule);
  neo_space_destroy(space);
  NEO_TRY(neo_schedule_lower(ctx, te, schedule, target, arena, nest));
  neo_nest_expand_math(nest);
  return NEO_OK;
}

static neo_status run_loaded(neo_ctx *ctx, const neo_nest *nest, const neo_loaded *loaded,
                             void *const *params) {
  void *work = neo_aligned_alloc(ctx, (size_t)nest->work_bytes + 64);
  void *scratch = neo_aligned_alloc(ctx, (size_t)nest->scratch_bytes + 64);
  neo_status status =
      work && scratch ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "packing: out of memory");
  for (int l = 0; l < nest->n_launches && status == NEO_OK; l++) {
    char name[32];
    snprintf(name, sizeof name, "native_%d", l);
    neo_kernel_fn fn = neo_object_symbol(loaded, name);
    neo_kernel_env env = {
        .begin = 0, .end = nest->launch[l].grid, .work = work, .scratch = scratch};
    if (!fn || fn(&env, params, NULL) != 0)
      status = neo_fail(ctx, NEO_INTERNAL, "packing: kernel %s failed", name);
  }
  neo_aligned_free(ctx, work);
  neo_aligned_free(ctx, scratch);
  return status;
}

/* Buffers that the nest takes: IN, CONST and OUT in te order; constants stay row-major (no pack in
 * an all-row-major space would be legal only if the schedule has none). */
static bool plain_constants(const neo_nest *nest, const neo_te *te, neo_tensor *const *buffers,
                            void **params) {
  int n = 0;
  for (int b = 0; b < te->n_buffers; b++) {
    if (te->buffer[b].role == NEO_TE_TMP)
      continue;
    if (n >= nest->n_params ||
        (size_t)nest->buffer[n].elements * neo_dtype_size(nest->buffer[n].dtype) !=
            buffers[b]->size)
      return false;
    params[n++] = buffers[b]->data;
  }
  return n == nest->n_params;
}

neo_status neo_measure_native(neo_ctx *ctx, const neo_te *te, neo_tensor *const *buffers) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_target host;
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  void *params[NEO_NEST_MAX_BUFFERS];
  neo_ctx own;
  neo_ctx_fork(&own, ctx);
  bool done = neo_target_find(&own, NULL, &host) == NEO_OK &&
              lower_native(&own, te, &host, &arena, nest) == NEO_OK &&
              plain_constants(nest, te, buffers, params) &&
              neo_codegen_find("llvm")->build(&own, nest, &host, "native", &object) == NEO_OK &&
              neo_object_load(&own, (const uint8_t *)object.bytes.data, object.bytes.size,
                              &loaded) == NEO_OK &&
              run_loaded(&own, nest, loaded, params) == NEO_OK;
  neo_object_unload(loaded);
  neo_object_fini(&object);
  neo_arena_fini(&arena);
  return done ? NEO_OK : neo_te_interpret(ctx, te, buffers);
}
