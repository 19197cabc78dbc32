/* image_decode: a picture out of encoded bytes, by libneo_rt_image.so (base/image.h).
 *
 * The library is loaded when a session is made, so a run does not find it missing; it stays loaded
 * as long as the session. The output's shape is the only size that a picture may have. */
#include <string.h>

#include "base/image.h"
#include "runtime/ops.h"

enum { FORMAT };
static const neo_op_attribute image_attributes[] = {
    {"format", 'I', 0}, {"height", 'i', 0}, {"width", 'i', 0}, {NULL, 0, 0}};

static neo_status image_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *bytes = call->value[0], *out = call->value[1];
  int64_t format = call->integer[FORMAT];
  if (format < 0 || format >= NEO_IMAGE_FORMATS)
    return neo_fail(ctx, NEO_UNSUPPORTED, "image_decode: format %lld, 0 to %d expected",
                    (long long)format, NEO_IMAGE_FORMATS - 1);
  int64_t channels = format == NEO_IMAGE_GREY ? 1 : 3;
  if (bytes->dtype != NEO_RT_U8 || bytes->rank != 1 || bytes->bytes < bytes->dim[0] ||
      out->dtype != NEO_RT_U8 || out->rank != 3 || out->dim[2] != channels ||
      out->bytes < out->dim[0] * out->dim[1] * channels)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "image_decode: bytes u8 [n] and pixels u8 [height,width,%lld] expected",
                    (long long)channels);
  neo_image_library *library = neo_alloc(ctx, sizeof *library);
  if (!library)
    return neo_fail(ctx, NEO_NO_MEMORY, "image_decode: out of memory");
  neo_status status = neo_image_open(ctx, library);
  if (status == NEO_OK)
    call->state = library;
  else
    neo_free(ctx, library);
  return status;
}

static int32_t image_run(const neo_op_call *call) {
  const neo_image_library *library = call->state;
  const int64_t *dim = call->value[1]->dim;
  neo_image_source source = {call->data[0], (size_t)call->value[0]->dim[0]};
  neo_image_target target = {(int)call->integer[FORMAT], dim[1], dim[0], call->data[1]};
  char error[NEO_IMAGE_ERROR_BYTES] = "";
  int failed = library->decoder->decode(&source, &target, error);
  if (failed)
    snprintf(call->message, NEO_OP_MESSAGE_BYTES, "%s", error);
  return failed;
}

static void image_release(neo_op_call *call) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_image_close(call->state);
  neo_free(&ctx, call->state);
}

const neo_op neo_op_image_decode = {"image_decode",   1,           1,    1,         1,
                                    image_attributes, image_check, NULL, image_run, image_release};
