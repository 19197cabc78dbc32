/* ir/ops_image.c: image_decode, a picture out of encoded bytes.
 *
 * Its result's extents are data, and nothing that reads a picture (a resize, a convolution) can be
 * compiled for a size that is not known. So the size is part of the operator: attributes that the
 * reader took from the file or from the user, or what the header of a constant stream says. When
 * run, a picture of another size is an error, found before memory is taken for it. */
#include "base/image.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>

static neo_image_source source_of(const neo_tensor *bytes) {
  return (neo_image_source){bytes->data, bytes->size};
}

/* Of a constant stream. */
static neo_status size_of(neo_ctx *ctx, const neo_node *node, const neo_tensor *bytes, int64_t *h,
                          int64_t *w) {
  neo_image_library library;
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  neo_image_source source = source_of(bytes);
  NEO_TRY(neo_image_open(ctx, &library));
  int failed = library.decoder->size(&source, w, h, error);
  neo_image_close(&library);
  return failed ? neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s", error) : NEO_OK;
}

neo_status neo_infer_image_decode(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *bytes = neo_op_in(graph, node, 0);
  int64_t h = neo_node_int(node, "height", 0), w = neo_node_int(node, "width", 0);
  int64_t format = neo_node_int(node, "format", NEO_IMAGE_RGB);
  if (bytes->dtype != NEO_U8 || bytes->shape.rank != 1 || format < 0 || format >= NEO_IMAGE_FORMATS)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "bytes u8 [n] and format 0 to %d expected",
                       NEO_IMAGE_FORMATS - 1);
  if ((h <= 0 || w <= 0) && bytes->constant)
    NEO_TRY(size_of(ctx, node, bytes->constant, &h, &w));
  if (h <= 0 || w <= 0)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "how large the picture is is known at run time only: give it as --input "
                       "NAME=HEIGHT,WIDTH, NAME being the operator's output");
  if (h > NEO_IMAGE_MAX_SIDE || w > NEO_IMAGE_MAX_SIDE || h * w > NEO_IMAGE_MAX_PIXELS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "a picture of %" PRId64 " x %" PRId64 " (sides up to %d, %" PRId64
                       " pixels)",
                       h, w, NEO_IMAGE_MAX_SIDE, NEO_IMAGE_MAX_PIXELS);
  neo_node_set_int(graph, node, "height", h);
  neo_node_set_int(graph, node, "width", w);
  neo_shape shape = {.rank = 3, .dim = {h, w, format == NEO_IMAGE_GREY ? 1 : 3}};
  neo_op_set(graph, node, 0, NEO_U8, &shape);
  return NEO_OK;
}

neo_status neo_eval_image_decode(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_tensor *const *in, neo_tensor *out) {
  neo_image_library library;
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  neo_image_source source = source_of(in[0]);
  neo_image_target target = {(int)neo_node_int(node, "format", NEO_IMAGE_RGB), out->shape.dim[1],
                             out->shape.dim[0], out->data};
  (void)graph;
  NEO_TRY(neo_image_open(ctx, &library));
  int failed = library.decoder->decode(&source, &target, error);
  neo_image_close(&library);
  return failed ? neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s", error) : NEO_OK;
}
