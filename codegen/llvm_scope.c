/* codegen/llvm_scope.c: scopes and value numbering of the LLVM generator.
 *
 * Why: LLVM runs no IR pass on our modules (they cost more than the rest of the build and gain
 * nothing), so common subexpressions and loop invariants are found here, while emitting: a hash
 * table from what a value is to where it is, whose entries die with the scope that they were placed
 * in.
 *
 * Invariants
 *   1. A live entry's value dominates the end of em->block.
 *   2. A value that is not local depends on values that are not local only. */
#include "codegen/llvm_emitter.h"

#include <string.h>

void llvm_fail(llvm_emitter *em, neo_status status, const char *format, ...) {
  if (em->status != NEO_OK)
    return;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  em->status = neo_fail(em->ctx, status, "llvm: %s", text);
}

void llvm_set_block(llvm_emitter *em, LLVMBasicBlockRef block) {
  em->block = block;
  LLVMPositionBuilderAtEnd(em->builder, block);
}

LLVMBasicBlockRef llvm_new_block(llvm_emitter *em) {
  return LLVMAppendBasicBlockInContext(em->lc, em->function, "");
}

static void open_marker(llvm_emitter *em) {
  LLVMTypeRef bit = LLVMInt1TypeInContext(em->lc);
  em->marker[em->depth] = LLVMBuildFreeze(em->builder, LLVMGetUndef(bit), "");
  em->scope[em->depth] = NULL;
}

void llvm_scope_open(llvm_emitter *em) {
  neo_assert(em->depth + 1 < LLVM_MAX_SCOPES);
  em->depth++;
  open_marker(em);
}

void llvm_scope_close(llvm_emitter *em) {
  for (llvm_entry *e = em->scope[em->depth]; e; e = e->peer)
    e->dead = true;
  LLVMInstructionEraseFromParent(em->marker[em->depth]);
  em->depth--;
}

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

static size_t hash_key(const llvm_key *key) {
  uint64_t h = mix((uint64_t)key->op, ((uint64_t)key->dtype << 16) | key->lanes);
  for (int k = 0; k < 3; k++)
    h = mix(h, (uint64_t)(uintptr_t)key->arg[k]);
  return (size_t)(mix(h, (uint64_t)key->extra) >> 20) % LLVM_BUCKETS;
}

static bool same_key(const llvm_key *a, const llvm_key *b) {
  return a->op == b->op && a->dtype == b->dtype && a->lanes == b->lanes && a->extra == b->extra &&
         a->arg[0] == b->arg[0] && a->arg[1] == b->arg[1] && a->arg[2] == b->arg[2];
}

bool llvm_find(llvm_emitter *em, const llvm_key *key, llvm_val *out) {
  llvm_entry **at = &em->bucket[hash_key(key)];
  while (*at) {
    llvm_entry *e = *at;
    if (e->dead) {
      *at = e->bucket;
      continue;
    }
    if (same_key(&e->key, key)) {
      *out = e->val;
      return true;
    }
    at = &e->bucket;
  }
  return false;
}

llvm_val llvm_constant(LLVMValueRef v) {
  return (llvm_val){.v = v};
}

llvm_val llvm_place(llvm_emitter *em, int n, const llvm_val *args) {
  llvm_val where = {.seq = ++em->seq};
  for (int k = 0; k < n; k++) {
    where.home = where.home > args[k].home ? where.home : args[k].home;
    where.local |= args[k].local;
  }
  if (where.local)
    where.home = em->depth;
  else
    LLVMPositionBuilderBefore(em->builder, em->marker[where.home]);
  return where;
}

llvm_val llvm_placed(llvm_emitter *em, const llvm_key *key, llvm_val where, LLVMValueRef v) {
  LLVMPositionBuilderAtEnd(em->builder, em->block);
  if (LLVMIsConstant(v))
    return llvm_constant(v);
  where.v = v;
  llvm_entry *e = neo_arena_alloc(&em->arena, sizeof *e);
  e->key = *key;
  e->val = where;
  llvm_entry **bucket = &em->bucket[hash_key(key)];
  e->bucket = *bucket;
  *bucket = e;
  e->peer = em->scope[where.home];
  em->scope[where.home] = e;
  return where;
}
