/* tests/frontends/onnx_build.h: writes small ONNX files, sound and hostile ones, field by field. */
#ifndef NEO_TESTS_ONNX_BUILD_H
#define NEO_TESTS_ONNX_BUILD_H

#include <string.h>

#include "base/core.h"

static inline void put_varint(neo_buf *b, uint64_t v) {
  for (; v >= 128; v >>= 7)
    neo_buf_u8(b, (uint8_t)(v | 128));
  neo_buf_u8(b, (uint8_t)v);
}

static inline void put_int(neo_buf *b, int field, int64_t v) {
  put_varint(b, (uint64_t)field << 3);
  put_varint(b, (uint64_t)v);
}

static inline void put_bytes(neo_buf *b, int field, const void *data, size_t size) {
  put_varint(b, (uint64_t)field << 3 | 2);
  put_varint(b, size);
  if (size > 0)
    neo_buf_append(b, data, size);
}

static inline void put_text(neo_buf *b, int field, const char *text) {
  put_bytes(b, field, text, strlen(text));
}

/* Appends the finished message and empties it. */
static inline void put_message(neo_buf *b, int field, neo_buf *message) {
  put_bytes(b, field, message->data, message->size);
  neo_buf_fini(message);
  *message = (neo_buf){0};
}

/* ---- ONNX ---- */

typedef struct onnx_build {
  neo_buf graph, model;
} onnx_build;

/* Space-separated names; "" is an absent one, written as a lone '-'. */
static inline void put_names(neo_buf *b, int field, const char *names) {
  while (*names) {
    size_t length = strcspn(names, " ");
    put_bytes(b, field, names, length == 1 && *names == '-' ? 0 : length);
    names += length + (names[length] == ' ');
  }
}

static inline neo_buf build_attr_int(const char *name, int64_t v) {
  neo_buf b = {0};
  put_text(&b, 1, name);
  put_int(&b, 20, 2);
  put_int(&b, 3, v);
  return b;
}

static inline neo_buf build_attr_ints(const char *name, int n, const int64_t *v) {
  neo_buf b = {0};
  put_text(&b, 1, name);
  put_int(&b, 20, 7);
  for (int i = 0; i < n; i++)
    put_int(&b, 8, v[i]);
  return b;
}

/* attr (may be NULL) is consumed. */
static inline neo_buf build_node(const char *op, const char *name, const char *inputs,
                                 const char *outputs, neo_buf *attr) {
  neo_buf b = {0};
  put_names(&b, 1, inputs);
  put_names(&b, 2, outputs);
  put_text(&b, 3, name);
  put_text(&b, 4, op);
  if (attr)
    put_message(&b, 5, attr);
  return b;
}

static inline void add_node(onnx_build *m, const char *op, const char *name, const char *inputs,
                            const char *outputs, neo_buf *attr) {
  neo_buf node = build_node(op, name, inputs, outputs, attr);
  put_message(&m->graph, 1, &node);
}

/* A dimension of -100 and below is symbolic: "d100", ... */
static inline neo_buf build_value(const char *name, int elem_type, int rank, const int64_t *dim) {
  neo_buf shape = {0}, tensor = {0}, type = {0}, info = {0};
  for (int i = 0; i < rank; i++) {
    neo_buf d = {0};
    char text[32];
    snprintf(text, sizeof text, "d%lld", (long long)-dim[i]);
    if (dim[i] <= -100)
      put_text(&d, 2, text);
    else
      put_int(&d, 1, dim[i]);
    put_message(&shape, 1, &d);
  }
  put_int(&tensor, 1, elem_type);
  put_message(&tensor, 2, &shape);
  put_message(&type, 1, &tensor);
  put_text(&info, 1, name);
  put_message(&info, 2, &type);
  return info;
}

static inline void add_input(onnx_build *m, const char *name, int rank, const int64_t *dim) {
  neo_buf info = build_value(name, 1, rank, dim);
  put_message(&m->graph, 11, &info);
}

static inline void add_output(onnx_build *m, const char *name) {
  neo_buf info = build_value(name, 1, 0, NULL);
  put_message(&m->graph, 12, &info);
}

static inline neo_buf build_tensor(const char *name, int type, int rank, const int64_t *dim,
                                   const void *raw, size_t size) {
  neo_buf b = {0};
  for (int i = 0; i < rank; i++)
    put_int(&b, 1, dim[i]);
  put_int(&b, 2, type);
  put_text(&b, 8, name);
  if (raw)
    put_bytes(&b, 9, raw, size);
  return b;
}

/* tensor is consumed. */
static inline void add_tensor(onnx_build *m, neo_buf tensor) {
  put_message(&m->graph, 5, &tensor);
}

static inline void add_opset(onnx_build *m, const char *domain, int64_t version) {
  neo_buf b = {0};
  put_text(&b, 1, domain);
  put_int(&b, 2, version);
  put_message(&m->model, 8, &b);
}

/* ir_version and the graph; the bytes are m->model. */
static inline void finish_model(onnx_build *m) {
  put_int(&m->model, 1, 8);
  put_message(&m->model, 7, &m->graph);
}

static inline void build_fini(onnx_build *m) {
  neo_buf_fini(&m->graph);
  neo_buf_fini(&m->model);
}

#endif
