/* The constants of every kernel as compiled.params holds them.
 *
 * A constant is stored once per (value, pack te, layout): kernels that agree share it. A pack te
 * runs natively first, then the layout is applied; blocks are 64-byte aligned. */
#include <string.h>

#include "driver/stages.h"

static char *params_name(neo_arena *arena, int value, const neo_pack *pack, int rank) {
  neo_buf buf = {0};
  neo_buf_printf(&buf, "%d ", value);
  neo_layout_print(&buf, &pack->layout, rank);
  if (pack->has_te) {
    char key[33];
    neo_te_key(&pack->te, key);
    neo_buf_printf(&buf, " %s", key);
  }
  char *name = neo_arena_strdup(arena, buf.data);
  neo_buf_fini(&buf);
  return name;
}

/* Runs the pack te on the constant; *out is a heap tensor. */
static neo_status transform(neo_ctx *ctx, const neo_te *te, const neo_tensor *constant,
                            neo_tensor *out) {
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {0};
  neo_tensor source = *constant;
  for (int b = 0; b < te->n_buffers; b++) {
    if (te->buffer[b].role == NEO_TE_IN)
      buffers[b] = &source;
    if (te->buffer[b].role == NEO_TE_OUT) {
      NEO_TRY(neo_tensor_create(ctx, te->buffer[b].dtype, &te->buffer[b].shape, out));
      buffers[b] = out;
    }
  }
  return neo_measure_native(ctx, te, buffers);
}

static neo_status store(neo_ctx *ctx, neo_params *params, const neo_tensor *tensor,
                        const neo_layout *layout, neo_stored *out) {
  static const char zeros[64];
  neo_buf_append(&params->data, zeros, (64 - params->data.size % 64) % 64);
  size_t offset = params->data.size;
  size_t bytes =
      (size_t)neo_layout_elements(layout, &tensor->shape) * neo_dtype_size(tensor->dtype);
  void *packed = neo_aligned_alloc(ctx, bytes);
  if (!packed)
    return neo_fail(ctx, NEO_NO_MEMORY, "parameters: %zu bytes", bytes);
  neo_layout_pack(layout, tensor, packed);
  neo_buf_append(&params->data, packed, bytes);
  neo_aligned_free(ctx, packed);
  if (params->data.failed)
    return neo_fail(ctx, NEO_NO_MEMORY, "parameters: %zu bytes", offset + bytes);
  *out = (neo_stored){(int64_t)offset, (int64_t)bytes};
  return NEO_OK;
}

neo_status neo_params_add(neo_ctx *ctx, neo_params *params, const neo_tensor *constant, int value,
                          const neo_pack *pack, neo_stored *out) {
  neo_arena arena;
  neo_arena_init(&arena);
  const char *name = params_name(&arena, value, pack, constant->shape.rank);
  neo_stored *known = neo_map_get(&params->offsets, name);
  neo_status status = NEO_OK;
  if (!known) {
    neo_tensor made = {0};
    known = neo_arena_alloc(&params->arena, sizeof *known);
    if (pack->has_te)
      status = transform(ctx, &pack->te, constant, &made);
    if (status == NEO_OK)
      status = store(ctx, params, pack->has_te ? &made : constant, &pack->layout, known);
    neo_tensor_free(ctx, &made);
    if (status == NEO_OK && !neo_map_put(&params->offsets, name, known))
      status = neo_fail(ctx, NEO_NO_MEMORY, "parameters");
    char *own = neo_arena_printf(&params->arena, "constant %d", value);
    if (!neo_map_get(&params->offsets, own)) /* stored in several forms, it counts once */
      params->weights_bytes += constant->size;
    if (status == NEO_OK && !neo_map_put(&params->offsets, own, known))
      status = neo_fail(ctx, NEO_NO_MEMORY, "parameters");
  }
  if (status == NEO_OK)
    *out = *known;
  neo_arena_fini(&arena);
  return status;
}

void neo_params_init(neo_params *params) {
  memset(params, 0, sizeof *params);
  neo_arena_init(&params->arena);
}

void neo_params_fini(neo_params *params) {
  neo_buf_fini(&params->data);
  neo_map_fini(&params->offsets);
  neo_arena_fini(&params->arena);
}
