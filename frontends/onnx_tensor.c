/* frontends/onnx_tensor.c: TensorProto -> neo_tensor.
 *
 * Data comes as raw little-endian bytes (small ones copied by protobuf-c, big ones still in the
 * mapped file, see onnx_wire.c), as typed repeated fields, or from a file beside the model. Mapped
 * data is used in place when it is aligned to its element, else copied.
 *
 * Hostile input: the element count is computed without overflow and must equal what is there before
 * anything is allocated; an external file must lie inside the model's folder after links are
 * resolved. */
#include "frontends/onnx_import.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  int dtype; /* -1: not ours */
} types[] = {
    [1] = {"float32", NEO_F32},
    [2] = {"uint8", NEO_U8},
    [3] = {"int8", NEO_I8},
    [4] = {"uint16", NEO_U16},
    [5] = {"int16", NEO_I16},
    [6] = {"int32", NEO_I32},
    [7] = {"int64", NEO_I64},
    [8] = {"string", NEO_STR},
    [9] = {"bool", NEO_BOOL},
    [10] = {"float16", NEO_F16},
    [11] = {"float64", NEO_F64},
    [12] = {"uint32", NEO_U32},
    [13] = {"uint64", NEO_U64},
    [14] = {"complex64", -1},
    [15] = {"complex128", -1},
    [16] = {"bfloat16", NEO_BF16},
    [17] = {"float8e4m3fn", NEO_F8E4M3FN},
    [18] = {"float8e4m3fnuz", NEO_F8E4M3FNUZ},
    [19] = {"float8e5m2", NEO_F8E5M2},
    [20] = {"float8e5m2fnuz", NEO_F8E5M2FNUZ},
    [21] = {"uint4", NEO_U4},
    [22] = {"int4", NEO_I4},
    [23] = {"float4e2m1", NEO_F4E2M1},
    [24] = {"float8e8m0", NEO_F8E8M0},
    [25] = {"uint2", NEO_U2},
    [26] = {"int2", NEO_I2},
};

neo_status onnx_dtype(int32_t data_type, neo_dtype *out, const char **type_name) {
  *type_name = "an unknown element type";
  if (data_type <= 0 || data_type >= NEO_COUNT(types))
    return NEO_UNSUPPORTED;
  *type_name = types[data_type].name;
  if (types[data_type].dtype < 0)
    return NEO_UNSUPPORTED;
  *out = (neo_dtype)types[data_type].dtype;
  return NEO_OK;
}

void onnx_files_release(void *keep) {
  onnx_files *files = keep;
  for (int i = 0; i < files->n; i++)
    neo_file_unmap(&files->external[i].file);
  neo_file_unmap(&files->model);
}

void onnx_files_idle(void *keep) {
  onnx_files *files = keep;
  for (int i = 0; i < files->n; i++)
    neo_file_idle(&files->external[i].file);
  neo_file_idle(&files->model);
}

/* ---- external data --------------------------------------------------------------------------- */

static const char *entry(const Onnx__Tensor *pb, const char *key) {
  for (size_t i = 0; i < pb->n_external_data; i++)
    if (pb->external_data[i]->key && strcmp(pb->external_data[i]->key, key) == 0)
      return pb->external_data[i]->value;
  return NULL;
}

static neo_status entry_size(onnx_import *im, const Onnx__Tensor *pb, const char *key,
                             const char *what, size_t otherwise, size_t *out) {
  const char *text = entry(pb, key);
  neo_scan scan;
  int64_t v;
  *out = otherwise;
  if (!text)
    return NEO_OK;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &v) || v < 0 || !neo_scan_end(&scan))
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s': external data's %s is '%.40s'",
                    what, key, text);
  *out = (size_t)v;
  return NEO_OK;
}

static bool is_plain_location(const char *location) {
  if (!*location || *location == '/' || strchr(location, '\\'))
    return false;
  for (const char *part = location; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2]))
      return false;
  }
  return true;
}

/* PATH's folder and the location as real paths; the second must lie below the first. */
static neo_status resolve(onnx_import *im, const char *what, const char *location, char *out) {
  char folder[PATH_MAX];
  neo_status status = NEO_OK;
  if (!is_plain_location(location))
    return neo_fail(im->e.ctx, NEO_BAD_INPUT,
                    "onnx: tensor '%s': external data at '%.200s', outside the model's folder",
                    what, location);
  const char *slash = strrchr(im->path, '/');
  char *copy = neo_arena_strndup(im->e.graph->arena, slash ? im->path : "./",
                                 slash ? (size_t)(slash - im->path) + 1 : 2);
  char *joined = neo_arena_printf(im->e.graph->arena, "%s%s", copy, location);
  if (!realpath(copy, folder) || !realpath(joined, out))
    return neo_fail(im->e.ctx, NEO_BAD_INPUT,
                    "onnx: tensor '%s': external data '%.200s' is missing", what, location);
  size_t length = strlen(folder);
  if (strncmp(out, folder, length) != 0 || (length > 1 && out[length] != '/'))
    status = neo_fail(im->e.ctx, NEO_BAD_INPUT,
                      "onnx: tensor '%s': external data '%.200s' links outside the model's folder",
                      what, location);
  return status;
}

static neo_status external_file(onnx_import *im, const char *what, const char *location,
                                neo_mapping *out) {
  char real[PATH_MAX];
  onnx_files *files = im->files;
  NEO_TRY(resolve(im, what, location, real));
  for (int i = 0; i < files->n; i++)
    if (strcmp(files->external[i].path, real) == 0) {
      *out = files->external[i].file;
      return NEO_OK;
    }
  NEO_TRY(neo_file_map(im->e.ctx, real, out));
  files->external = neo_arena_grow(im->main->arena, files->external, &files->cap, files->n + 1,
                                   sizeof *files->external);
  files->external[files->n].path = neo_arena_strdup(im->main->arena, real);
  files->external[files->n++].file = *out;
  return NEO_OK;
}

static neo_status external_bytes(onnx_import *im, const Onnx__Tensor *pb, const char *what,
                                 size_t want, const uint8_t **data) {
  const char *location = entry(pb, "location");
  size_t offset, length;
  neo_mapping file;
  if (!location)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s': external data without a location",
                    what);
  NEO_TRY(entry_size(im, pb, "offset", what, 0, &offset));
  NEO_TRY(entry_size(im, pb, "length", what, want, &length));
  NEO_TRY(external_file(im, what, location, &file));
  if (length != want || offset > file.size || want > file.size - offset)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT,
                    "onnx: tensor '%s': %zu bytes at %zu of '%.200s' (%zu bytes), %zu needed", what,
                    length, offset, location, file.size, want);
  *data = file.data + offset;
  return NEO_OK;
}

/* ---- raw and typed data ---------------------------------------------------------------------- */

static neo_status raw_bytes(onnx_import *im, const Onnx__Tensor *pb, const char *what, size_t want,
                            const uint8_t **data) {
  size_t have = pb->has_neo_raw_size ? (size_t)pb->neo_raw_size : pb->raw_data.len;
  size_t file = im->files ? im->files->model.size : 0;
  if (have != want)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' has %zu bytes of data, %zu needed",
                    what, have, want);
  if (!pb->has_neo_raw_size)
    *data = pb->raw_data.data;
  else if (pb->neo_raw_offset > file || want > file - pb->neo_raw_offset)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' lies outside the file", what);
  else
    *data = im->files->model.data + pb->neo_raw_offset;
  return NEO_OK;
}

/* The repeated field that holds elements of this type. */
static size_t typed_count(const Onnx__Tensor *pb, neo_dtype dtype) {
  switch (dtype) {
  case NEO_F32:
    return pb->n_float_data;
  case NEO_F64:
    return pb->n_double_data;
  case NEO_I64:
    return pb->n_int64_data;
  case NEO_U32:
  case NEO_U64:
    return pb->n_uint64_data;
  default:
    return pb->n_int32_data;
  }
}

static void typed_store(const Onnx__Tensor *pb, neo_tensor *to, int64_t n) {
  uint16_t *half = to->data;
  for (int64_t i = 0; i < n; i++) {
    switch (to->dtype) {
    case NEO_F32:
      ((float *)to->data)[i] = pb->float_data[i];
      break;
    case NEO_F64:
      ((double *)to->data)[i] = pb->double_data[i];
      break;
    case NEO_F16:
    case NEO_BF16:
      half[i] = (uint16_t)pb->int32_data[i];
      break;
    case NEO_I64:
      ((int64_t *)to->data)[i] = pb->int64_data[i];
      break;
    case NEO_U32:
    case NEO_U64:
      neo_tensor_set_i64(to, i, (int64_t)pb->uint64_data[i]);
      break;
    default:
      neo_tensor_set_i64(to, i, pb->int32_data[i]);
    }
  }
}

static neo_status typed_data(onnx_import *im, const Onnx__Tensor *pb, const char *what, int64_t n,
                             neo_tensor *tensor) {
  size_t have = typed_count(pb, tensor->dtype);
  if (have != (size_t)n)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' has %zu values, %lld needed", what,
                    have, (long long)n);
  NEO_TRY(neo_tensor_create(im->e.ctx, tensor->dtype, &tensor->shape, tensor));
  neo_graph_adopt(im->e.graph, tensor->data);
  typed_store(pb, tensor, n);
  return NEO_OK;
}

static neo_status use_or_copy(onnx_import *im, bool mapped, const uint8_t *data,
                              neo_tensor *tensor) {
  size_t width = neo_dtype_size(tensor->dtype);
  size_t size = tensor->size;
  if (mapped && (uintptr_t)data % width == 0 && tensor->dtype != NEO_BOOL) {
    tensor->data = (void *)data;
    return NEO_OK;
  }
  NEO_TRY(neo_tensor_create(im->e.ctx, tensor->dtype, &tensor->shape, tensor));
  neo_graph_adopt(im->e.graph, tensor->data);
  if (size > 0)
    memcpy(tensor->data, data, size);
  for (size_t i = 0; tensor->dtype == NEO_BOOL && i < size; i++)
    ((uint8_t *)tensor->data)[i] = ((uint8_t *)tensor->data)[i] != 0;
  return NEO_OK;
}

static neo_status tensor_shape(onnx_import *im, const Onnx__Tensor *pb, const char *what,
                               neo_tensor *tensor, int64_t *n) {
  size_t bytes;
  if (pb->n_dims > NEO_MAX_RANK)
    return neo_fail(im->e.ctx, NEO_UNSUPPORTED,
                    "onnx: tensor '%s' has rank %zu, at most %d supported", what, pb->n_dims,
                    NEO_MAX_RANK);
  tensor->shape.rank = (int)pb->n_dims;
  for (size_t i = 0; i < pb->n_dims; i++) {
    if (pb->dims[i] < 0)
      return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' has dimension %lld", what,
                      (long long)pb->dims[i]);
    tensor->shape.dim[i] = pb->dims[i];
  }
  if (!neo_shape_elements(&tensor->shape, n) ||
      !neo_mul_size((size_t)*n, neo_dtype_size(tensor->dtype), &bytes))
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s': its size overflows", what);
  tensor->size = bytes;
  return NEO_OK;
}

/* Narrow types: from raw bytes, or a byte (or packed bytes) per int32_data entry. */
static neo_status packed_data(onnx_import *im, const Onnx__Tensor *pb, const char *what, int64_t n,
                              neo_tensor *tensor) {
  int bits = neo_narrow_bits(tensor->dtype);
  size_t bytes = onnx_packed_bytes(bits, n);
  const uint8_t *data = NULL;
  if (pb->data_location == 1) {
    NEO_TRY(external_bytes(im, pb, what, bytes, &data));
  } else if (pb->has_raw_data || pb->has_neo_raw_size) {
    NEO_TRY(raw_bytes(im, pb, what, bytes, &data));
  } else if (pb->n_int32_data != bytes) {
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' has %zu values, %zu needed", what,
                    pb->n_int32_data, bytes);
  } else {
    uint8_t *copy = neo_arena_alloc(im->e.graph->arena, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
      copy[i] = (uint8_t)pb->int32_data[i];
    data = copy;
  }
  NEO_TRY(neo_tensor_create(im->e.ctx, tensor->dtype, &tensor->shape, tensor));
  neo_graph_adopt(im->e.graph, tensor->data);
  onnx_packed_store(data, n, tensor);
  return NEO_OK;
}

static neo_status text_data(onnx_import *im, const Onnx__Tensor *pb, const char *what, int64_t n,
                            neo_tensor *tensor) {
  if (pb->n_string_data != (size_t)n)
    return neo_fail(im->e.ctx, NEO_BAD_INPUT, "onnx: tensor '%s' has %zu values, %lld needed", what,
                    pb->n_string_data, (long long)n);
  const char **text = neo_arena_alloc(im->e.graph->arena, sizeof *text * (size_t)n + 16);
  for (int64_t i = 0; i < n; i++) {
    ProtobufCBinaryData s = pb->string_data[i];
    if (s.len > 0 && memchr(s.data, 0, s.len))
      return neo_fail(im->e.ctx, NEO_UNSUPPORTED, "onnx: tensor '%s': a string with a zero byte",
                      what);
    text[i] = neo_arena_strndup(im->e.graph->arena, s.data ? (const char *)s.data : "", s.len);
  }
  tensor->data = text;
  return NEO_OK;
}

neo_status onnx_tensor(onnx_import *im, const Onnx__Tensor *pb, const char *what, neo_tensor *out) {
  neo_tensor tensor = {0};
  const char *type_name;
  const uint8_t *data = NULL;
  int64_t n = 0;
  if (onnx_dtype(pb->data_type, &tensor.dtype, &type_name) != NEO_OK) {
    neo_unsupported_add(&im->e.unsupported, "tensor '%s': %s (%d)", what, type_name,
                        (int)pb->data_type);
    tensor.dtype = NEO_F32;
    tensor.size = 4;
    tensor.data = neo_arena_alloc(im->e.graph->arena, 16);
    *out = tensor;
    return NEO_OK;
  }
  NEO_TRY(tensor_shape(im, pb, what, &tensor, &n));
  if (tensor.dtype == NEO_STR) {
    NEO_TRY(text_data(im, pb, what, n, &tensor));
  } else if (neo_narrow_bits(tensor.dtype)) {
    NEO_TRY(packed_data(im, pb, what, n, &tensor));
  } else if (pb->data_location == 1) {
    NEO_TRY(external_bytes(im, pb, what, tensor.size, &data));
    NEO_TRY(use_or_copy(im, true, data, &tensor));
  } else if (pb->has_raw_data || pb->has_neo_raw_size) {
    NEO_TRY(raw_bytes(im, pb, what, tensor.size, &data));
    NEO_TRY(use_or_copy(im, pb->has_neo_raw_size, data, &tensor));
  } else {
    NEO_TRY(typed_data(im, pb, what, n, &tensor));
  }
  *out = tensor;
  return NEO_OK;
}
