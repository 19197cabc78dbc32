/* tests/frontends/torch_build.h: makes small archives as PyTorch does, and damaged ones. */
#ifndef NEO_TESTS_TORCH_BUILD_H
#define NEO_TESTS_TORCH_BUILD_H

#include <string.h>

#include "base/core.h"

/* A zip of stored members, written by hand so that it can also be wrong. */
typedef struct zip_build {
  neo_buf body, directory;
  int n;
} zip_build;

static inline void zip_u16(neo_buf *buf, uint32_t v) {
  neo_buf_u8(buf, (uint8_t)v);
  neo_buf_u8(buf, (uint8_t)(v >> 8));
}

/* size: what the headers say the member expands to; method 0 or 8. */
static inline void zip_add_as(zip_build *z, const char *name, const void *data, size_t n,
                              uint32_t size, int method) {
  uint32_t offset = (uint32_t)z->body.size, crc = neo_crc32(0, data, n);
  for (int local = 1; local >= 0; local--) {
    neo_buf *out = local ? &z->body : &z->directory;
    neo_buf_text(out, local ? "PK\003\004" : "PK\001\002");
    if (!local)
      zip_u16(out, 20);
    zip_u16(out, 20);
    zip_u16(out, 0);
    zip_u16(out, (uint32_t)method);
    neo_buf_u32le(out, 0);
    neo_buf_u32le(out, crc);
    neo_buf_u32le(out, (uint32_t)n);
    neo_buf_u32le(out, size);
    zip_u16(out, (uint32_t)strlen(name));
    zip_u16(out, 0);
    if (!local) {
      zip_u16(out, 0);
      zip_u16(out, 0);
      zip_u16(out, 0);
      neo_buf_u32le(out, 0);
      neo_buf_u32le(out, offset);
    }
    neo_buf_text(out, name);
  }
  neo_buf_append(&z->body, data, n);
  z->n++;
}

static inline void zip_add(zip_build *z, const char *name, const void *data, size_t n) {
  zip_add_as(z, name, data, n, (uint32_t)n, 0);
}

static inline void zip_text(zip_build *z, const char *name, const char *text) {
  zip_add(z, name, text, strlen(text));
}

/* The whole archive in z->body. */
static inline void zip_end(zip_build *z) {
  uint32_t offset = (uint32_t)z->body.size;
  neo_buf_append(&z->body, z->directory.data, z->directory.size);
  neo_buf_text(&z->body, "PK\005\006");
  neo_buf_u32le(&z->body, 0);
  zip_u16(&z->body, (uint32_t)z->n);
  zip_u16(&z->body, (uint32_t)z->n);
  neo_buf_u32le(&z->body, (uint32_t)z->directory.size);
  neo_buf_u32le(&z->body, offset);
  zip_u16(&z->body, 0);
}

static inline void zip_fini(zip_build *z) {
  neo_buf_fini(&z->body);
  neo_buf_fini(&z->directory);
}

/* Pickle of __torch__.M() with the attribute w, a tensor f32 [2,3] of storage 0 with this offset.
 */
static inline void pickle_module(neo_buf *out, int offset) {
  static const char head[] =
      "\x80\x02"
      "c__torch__\nM\n)\x81}(X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage"
      "ctorch\nFloatStorage\nX\x01\0\0\0"
      "0X\x03\0\0\0cpuK\x06tQK";
  static const char tail[] = "K\x02K\x03\x86K\x03K\x01\x86\x89}tRX\x08\0\0\0training\x89ub.";
  neo_buf_append(out, head, sizeof head - 1);
  neo_buf_u8(out, (uint8_t)offset);
  neo_buf_append(out, tail, sizeof tail - 1);
}

/* An archive of class M with this body of forward(self, x: Tensor). */
static inline void script_archive(zip_build *z, const char *forward) {
  static const float weights[6] = {1, 2, 3, 4, 5, 6};
  neo_buf code = {0}, pickle = {0};
  neo_buf_printf(&code,
                 "class M(Module):\n  w : Tensor\n  training : bool\n  def forward(self: "
                 "__torch__.M,\n    x: Tensor) -> Tensor:\n%s",
                 forward);
  pickle_module(&pickle, 0);
  zip_add(z, "m/data.pkl", pickle.data, pickle.size);
  zip_add(z, "m/code/__torch__.py", code.data, code.size);
  zip_add(z, "m/data/0", weights, sizeof weights);
  zip_text(z, "m/constants.pkl", "\x80\x02).");
  zip_end(z);
  neo_buf_fini(&code);
  neo_buf_fini(&pickle);
}

#endif
