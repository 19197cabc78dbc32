/* Allocation through the context's allocator, aligned blocks, and overflow-free size arithmetic.
 *
 * Why: runtime/, rpc/ and tuning-db/ must survive every failed allocation and are tested with an
 * allocator that fails the n-th call; so nothing there calls malloc directly.
 *
 * Design: an aligned block is an ordinary block with room for the alignment; the pointer that the
 * allocator gave stands in the word before the aligned address, so any allocator can serve it.
 * Large ones ask for huge pages: on pages of 4 KB, which of them share cache sets is chance. */
#include "base/core.h"

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { TENSOR_ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

#if defined(MADV_HUGEPAGE)

void neo_pages_prefer_huge(void *data, size_t bytes) {
  uintptr_t begin = ((uintptr_t)data + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  uintptr_t end = ((uintptr_t)data + bytes) / HUGE_PAGE * HUGE_PAGE;
  if (begin < end)
    madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

#else

void neo_pages_prefer_huge(void *data, size_t bytes) {
  (void)data;
  (void)bytes;
}

#endif

void *neo_resize(neo_ctx *ctx, void *ptr, size_t size) {
  if (ctx->allocator)
    return ctx->allocator->resize(ctx->allocator->self, ptr, size);
  if (size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, size);
}

void *neo_alloc(neo_ctx *ctx, size_t size) {
  size_t at_least_one = size ? size : 1;
  if (!ctx->allocator)
    return calloc(1, at_least_one);
  void *ptr = neo_resize(ctx, NULL, at_least_one);
  if (ptr)
    memset(ptr, 0, at_least_one);
  return ptr;
}

void neo_free(neo_ctx *ctx, void *ptr) {
  if (ptr)
    neo_resize(ctx, ptr, 0);
}

void *neo_aligned_alloc(neo_ctx *ctx, size_t size) {
  size_t extra = TENSOR_ALIGNMENT + sizeof(void *);
  if (size > SIZE_MAX - extra)
    return NULL;
  char *block = neo_alloc(ctx, size + extra);
  if (!block)
    return NULL;
  uintptr_t first = (uintptr_t)block + sizeof(void *);
  size_t gap = (TENSOR_ALIGNMENT - first % TENSOR_ALIGNMENT) % TENSOR_ALIGNMENT;
  char *aligned = block + sizeof(void *) + gap;
  neo_pages_prefer_huge(aligned, size);
  memcpy(aligned - sizeof(void *), &block, sizeof(void *));
  return aligned;
}

void neo_aligned_free(neo_ctx *ctx, void *ptr) {
  if (!ptr)
    return;
  void *block;
  memcpy(&block, (char *)ptr - sizeof(void *), sizeof(void *));
  neo_free(ctx, block);
}

bool neo_mul_size(size_t a, size_t b, size_t *out) {
  if (b != 0 && a > SIZE_MAX / b)
    return false;
  *out = a * b;
  return true;
}

int64_t neo_floor_div(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

int64_t neo_floor_mod(int64_t a, int64_t b) {
  int64_t rest = a % b;
  return rest < 0 ? rest + b : rest;
}
