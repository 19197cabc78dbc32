/* frontends/onnx_convert_nn.c: converters of layers whose attributes need more than copying:
 * recurrent layers. */
#include "frontends/onnx_import.h"

#include <ctype.h>
#include <string.h>

/* Names joined by commas, lower case; NULL if absent. */
static neo_status joined_strings(onnx_import *im, onnx_node *node, const char *name,
                                 const char **out) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  neo_buf text = {0};
  *out = NULL;
  if (!attr || attr->n_strings == 0)
    return NEO_OK;
  for (size_t i = 0; i < attr->n_strings; i++) {
    ProtobufCBinaryData s = attr->strings[i];
    neo_buf_text(&text, i ? "," : "");
    for (size_t k = 0; k < s.len; k++)
      neo_buf_printf(&text, "%c", isalnum(s.data[k]) ? tolower(s.data[k]) : '?');
  }
  *out = neo_arena_strdup(im->e.graph->arena, text.data ? text.data : "");
  neo_buf_fini(&text);
  return NEO_OK;
}

neo_status onnx_recurrent(onnx_import *im, onnx_node *node) {
  return onnx_recurrent_with(im, node, node->n_inputs, node->input);
}

neo_status onnx_recurrent_with(onnx_import *im, onnx_node *node, int n, const int *in) {
  const char *activations;
  NEO_TRY(joined_strings(im, node, "activations", &activations));
  neo_node *made = onnx_emit_row(im, node, n, in);
  if (!made)
    return NEO_OK;
  if (activations)
    neo_node_set_string(im->e.graph, made, "activations", activations);
  return onnx_copy_attrs(im, node, made);
}

neo_status onnx_max_roi_pool(onnx_import *im, onnx_node *node) {
  const int64_t *size;
  int n;
  double scale = 1;
  NEO_TRY(onnx_attr_ints(im, node, "pooled_shape", &n, &size));
  NEO_TRY(onnx_attr_float(im, node, "spatial_scale", &scale));
  if (n != 2 || node->n_inputs != 2)
    return onnx_bad(im, node, "%d inputs and a pooled_shape of %d", node->n_inputs, n);
  neo_node *made = onnx_emit(im, node, "max_roi_pool", 2, node->input, 1);
  neo_node_set_int(im->e.graph, made, "output_height", size[0]);
  neo_node_set_int(im->e.graph, made, "output_width", size[1]);
  neo_node_set_float(im->e.graph, made, "spatial_scale", scale);
  onnx_bind(im, node, 0, made->output[0]);
  return NEO_OK;
}
