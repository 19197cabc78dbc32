/* frontends/onnx_image.c: ONNX's ImageDecoder over image_decode (ir/ops_image.c), which wants the
 * picture's size: from a binding of the operator's output, else from the graph output's shape, if
 * the output is one; a constant picture says it itself. */
#include "frontends/onnx_import.h"

#include <string.h>

#include "base/image.h"

static void declared_size(const onnx_import *im, const char *name, int64_t *size) {
  const Onnx__Graph *graph = im->model->graph;
  for (size_t i = 0; i < graph->n_output; i++) {
    const Onnx__ValueInfo *info = graph->output[i];
    if (!info->name || strcmp(info->name, name) != 0 || !info->type || !info->type->tensor_type)
      continue;
    const Onnx__TensorShape *shape = info->type->tensor_type->shape;
    for (size_t d = 0; shape && shape->n_dim == 3 && d < 2; d++)
      size[d] = shape->dim[d]->dim_value;
  }
}

static neo_status bound_size(onnx_import *im, onnx_node *node, const char *name, int64_t *size) {
  const neo_binding *binding = onnx_binding_of(im, name);
  if (!binding)
    return NEO_OK;
  if (binding->shape.rank < 2 || binding->shape.rank > 3)
    return onnx_bad(im, node, "--input %s: HEIGHT,WIDTH or HEIGHT,WIDTH,CHANNELS expected", name);
  size[0] = binding->shape.dim[0];
  size[1] = binding->shape.dim[1];
  neo_graph_add_taken(im->main, name);
  return NEO_OK;
}

neo_status onnx_image_decoder(onnx_import *im, onnx_node *node) {
  static const char *const formats[NEO_IMAGE_FORMATS] = {"RGB", "BGR", "Grayscale"};
  const char *wanted = "RGB", *name = node->pb->n_output > 0 ? node->pb->output[0] : "";
  int64_t size[2] = {0, 0};
  int format = 0, in = onnx_input(node, 0);
  NEO_TRY(onnx_attr_string(im, node, "pixel_format", &wanted));
  while (format < NEO_IMAGE_FORMATS && strcmp(formats[format], wanted) != 0)
    format++;
  if (format == NEO_IMAGE_FORMATS)
    return onnx_bad(im, node, "pixel_format '%.40s', RGB, BGR or Grayscale expected", wanted);
  NEO_TRY(bound_size(im, node, name, size));
  if (size[0] <= 0 && node->scope->graph == im->main)
    declared_size(im, name, size);
  neo_node *made = onnx_emit(im, node, "image_decode", 1, &in, 1);
  if (!made)
    return NEO_OK;
  neo_node_set_int(im->e.graph, made, "format", format);
  neo_node_set_int(im->e.graph, made, "height", size[0]);
  neo_node_set_int(im->e.graph, made, "width", size[1]);
  onnx_bind(im, node, 0, made->output[0]);
  return NEO_OK;
}
