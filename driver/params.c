/* The constants of every kernel as compiled.params holds them.
 *
 * A constant is stored once per (its data, pack te, layout): kernels that agree share it. A pack te
 * runs natively first, then the layout is applied; blocks are 64-byte aligned, and equal blocks are
 * one, whatever they come from. */
#include <string.h>

#include "driver/stages.h"

/* The constant's identity, and how it is stored. */
static char *params_name(neo_arena *arena, const neo_tensor *constant, const neo_pack *pack) {
  neo_buf buf = {0};
  neo_buf_printf(&buf, "%p %s ", constant->data, neo_dtype_name(constant->dtype));
  neo_shape_print(&buf, &constant->shape);
  if (pack) {
    neo_buf_text(&buf, " ");
    neo_layout_print(&buf, &pack->layout, constant->shape.rank);
  }
  if (pack && pack->has_te) {
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

/* A stored block, and the one before it of the same size and checksum. */
typedef struct params_block {
  neo_stored at;
  struct params_block *next;
} params_block;

/* Appends the block unless its like is there. */
static neo_status put_block(neo_ctx *ctx, neo_params *params, const void *bytes, size_t size,
                            neo_stored *out) {
  static const char zeros[64];
  char key[48];
  snprintf(key, sizeof key, "%zu %08x", size, (unsigned)neo_crc32(0, bytes, size));
  params_block *known = neo_map_get(&params->blocks, key);
  for (params_block *b = known; b; b = b->next)
    if (size == 0 || memcmp(params->data.data + b->at.offset, bytes, size) == 0) {
      *out = b->at;
      return NEO_OK;
    }
  neo_buf_append(&params->data, zeros, (64 - params->data.size % 64) % 64);
  *out = (neo_stored){(int64_t)params->data.size, (int64_t)size};
  neo_buf_append(&params->data, bytes, size);
  params_block *block = neo_arena_alloc(&params->arena, sizeof *block);
  *block = (params_block){*out, known};
  bool kept = neo_map_put(&params->blocks, neo_arena_strdup(&params->arena, key), block);
  return kept && !params->data.failed
             ? NEO_OK
             : neo_fail(ctx, NEO_NO_MEMORY, "parameters: %zu bytes", params->data.size + size);
}

static neo_status store(neo_ctx *ctx, neo_params *params, const neo_tensor *tensor,
                        const neo_layout *layout, neo_stored *out) {
  size_t bytes =
      (size_t)neo_layout_elements(layout, &tensor->shape) * neo_dtype_size(tensor->dtype);
  void *packed = neo_aligned_alloc(ctx, bytes);
  if (!packed)
    return neo_fail(ctx, NEO_NO_MEMORY, "parameters: %zu bytes", bytes);
  neo_layout_pack(layout, tensor, packed);
  neo_status status = put_block(ctx, params, packed, bytes, out);
  neo_aligned_free(ctx, packed);
  return status;
}

/* Stored in several forms, a constant counts once. */
static neo_status count_weights(neo_ctx *ctx, neo_params *params, const neo_tensor *constant,
                                neo_stored *stored) {
  const char *own = params_name(&params->arena, constant, NULL);
  if (neo_map_get(&params->offsets, own))
    return NEO_OK;
  params->weights_bytes += constant->size;
  return neo_map_put(&params->offsets, own, stored) ? NEO_OK
                                                    : neo_fail(ctx, NEO_NO_MEMORY, "parameters");
}

neo_status neo_params_add(neo_ctx *ctx, neo_params *params, const neo_tensor *constant,
                          const neo_pack *pack, neo_stored *out) {
  const char *name = params_name(&params->arena, constant, pack);
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
    if (status == NEO_OK)
      status = count_weights(ctx, params, constant, known);
  }
  if (status == NEO_OK)
    *out = *known;
  return status;
}

void neo_params_init(neo_params *params) {
  memset(params, 0, sizeof *params);
  neo_arena_init(&params->arena);
}

void neo_params_fini(neo_params *params) {
  neo_buf_fini(&params->data);
  neo_map_fini(&params->offsets);
  neo_map_fini(&params->blocks);
  neo_arena_fini(&params->arena);
}
