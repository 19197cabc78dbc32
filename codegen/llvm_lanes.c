/* codegen/llvm_lanes.c: scalars that lie side by side are loaded as one vector, for 64-bit Arm.
 *
 * Why: its multiply-add takes one factor from any lane of a register, so the scalars that a
 * register tile multiplies by need no instruction of their own but the load; four in one load save
 * a tenth of a tile's instructions (six vectors by three rows: 1.33 instructions per multiply-add
 * become 1.21).
 *
 * How: in a block, between stores, four loads of f32 from one pointer at distances of four bytes
 * (or eight of f16) become one, where the first of them stood. Each such vector takes a register
 * until its last lane is read, so there are never more at a time than the tile leaves: a spill
 * would cost more than it saves. The fences between unrolled steps are no obstacle: they order
 * nothing that is read only.
 */
#include "codegen/llvm_emitter.h"

#include <stdlib.h>

enum { VECTOR = 16 /* bytes */, LANES = 8, FEWEST = 4 };
enum { MOST = 1024, REGISTERS = 32, SPARE = 1, SPARE_UNROLLED = 3 };

typedef struct scalar {
  LLVMValueRef load, base;
  int64_t offset;
  int bytes; /* of an element */
  int at;    /* position in the block */
} scalar;

typedef struct quad {
  scalar lane[LANES];
  int n;           /* lanes */
  int first, last; /* positions */
} quad;

typedef struct region {
  llvm_emitter *em;
  int n, n_fmas, n_accumulators;
  int n_starts; /* accumulators that begin with a product here */
  scalar load[MOST];
} region;

static bool find_place(LLVMValueRef pointer, scalar *out) {
  out->base = pointer;
  out->offset = 0;
  if (!LLVMIsAGetElementPtrInst(pointer) || LLVMGetNumOperands(pointer) != 2 ||
      !LLVMIsAConstantInt(LLVMGetOperand(pointer, 1)))
    return true;
  if (LLVMGetTypeKind(LLVMGetGEPSourceElementType(pointer)) != LLVMIntegerTypeKind)
    return false;
  out->base = LLVMGetOperand(pointer, 0);
  out->offset = LLVMConstIntGetSExtValue(LLVMGetOperand(pointer, 1));
  return true;
}

static int by_place(const void *a, const void *b) {
  const scalar *x = a, *y = b;
  if (x->base != y->base)
    return (uintptr_t)x->base < (uintptr_t)y->base ? -1 : 1;
  if (x->offset != y->offset)
    return x->offset < y->offset ? -1 : 1;
  return x->at - y->at;
}

static int by_first(const void *a, const void *b) {
  return ((const quad *)a)->first - ((const quad *)b)->first;
}

static int lanes_of(const scalar *s) {
  return VECTOR / s->bytes;
}

/* Are as many scalars as a vector has side by side from s on? left: how many there are. */
static bool is_quad(const scalar *s, int left) {
  if (lanes_of(s) > left)
    return false;
  for (int k = 1; k < lanes_of(s); k++)
    if (s[k].base != s[0].base || s[k].bytes != s[0].bytes ||
        s[k].offset != s[0].offset + (int64_t)s[0].bytes * k)
      return false;
  return true;
}

static int find_quads(region *r, quad *out) {
  int n = 0;
  qsort(r->load, (size_t)r->n, sizeof *r->load, by_place);
  for (int k = 0; k < r->n;) {
    if (!is_quad(&r->load[k], r->n - k)) {
      k++;
      continue;
    }
    quad *q = &out[n++];
    q->n = lanes_of(&r->load[k]);
    q->first = q->last = r->load[k].at;
    for (int l = 0; l < q->n; l++) {
      q->lane[l] = r->load[k + l];
      q->first = r->load[k + l].at < q->first ? r->load[k + l].at : q->first;
      q->last = r->load[k + l].at > q->last ? r->load[k + l].at : q->last;
    }
    k += q->n;
  }
  qsort(out, (size_t)n, sizeof *out, by_first);
  return n;
}

static void join_quad(llvm_emitter *em, const quad *q) {
  LLVMTypeRef element = LLVMTypeOf(q->lane[0].load);
  LLVMValueRef earliest = q->lane[0].load, lane[LANES];
  for (int l = 0; l < q->n; l++)
    if (q->lane[l].at == q->first)
      earliest = q->lane[l].load;
  LLVMPositionBuilderBefore(em->builder, earliest);
  LLVMValueRef at = q->lane[0].base;
  LLVMValueRef offset = LLVMConstInt(em->int64, (unsigned long long)q->lane[0].offset, true);
  if (q->lane[0].offset)
    at = LLVMBuildGEP2(em->builder, em->int8, at, &offset, 1, "");
  LLVMValueRef v = LLVMBuildLoad2(em->builder, LLVMVectorType(element, (unsigned)q->n), at, "");
  LLVMSetAlignment(v, (unsigned)q->lane[0].bytes);
  for (int l = 0; l < q->n; l++)
    lane[l] =
        LLVMBuildExtractElement(em->builder, v, LLVMConstInt(em->int64, (unsigned)l, false), "");
  for (int l = 0; l < q->n; l++) {
    LLVMReplaceAllUsesWith(q->lane[l].load, lane[l]);
    LLVMInstructionEraseFromParent(q->lane[l].load);
  }
}

/* Registers that the tile leaves: those of the accumulators and of one step's vectors are taken. */
static int budget(const region *r) {
  int vectors = r->n ? (r->n_fmas + r->n - 1) / r->n : 0;
  int accumulators = r->n_accumulators > r->n_starts ? r->n_accumulators : r->n_starts;
  int spare = r->n_starts > 0 ? SPARE_UNROLLED : SPARE;
  return REGISTERS - spare - accumulators - vectors;
}

static void close_region(region *r) {
  quad quads[MOST / FEWEST];
  int last[REGISTERS], most = budget(r), n = r->n < FEWEST ? 0 : find_quads(r, quads);
  for (int k = 0; k < REGISTERS; k++)
    last[k] = -1;
  for (int k = 0; k < n; k++)
    for (int slot = 0; slot < most; slot++)
      if (last[slot] < quads[k].first) {
        last[slot] = quads[k].last;
        join_quad(r->em, &quads[k]);
        break;
      }
  r->n = r->n_fmas = r->n_starts = 0;
}

static bool is_vector(LLVMValueRef v) {
  return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind;
}

/* 0: no scalar that multiply-adds take from a lane. What is cast first has to be alone. */
static int bytes_of(LLVMValueRef load) {
  LLVMTypeKind kind = LLVMGetTypeKind(LLVMTypeOf(load));
  if (kind != LLVMHalfTypeKind)
    return kind == LLVMFloatTypeKind ? 4 : 0;
  for (LLVMUseRef use = LLVMGetFirstUse(load); use; use = LLVMGetNextUse(use))
    if (LLVMIsAFPExtInst(LLVMGetUser(use)))
      return 0;
  return 2;
}

static void join_block(region *r, LLVMBasicBlockRef block) {
  unsigned fma = LLVMLookupIntrinsicID("llvm.fma", 8);
  int at = 0;
  r->n = r->n_fmas = r->n_starts = r->n_accumulators = 0;
  for (LLVMValueRef next, v = LLVMGetFirstInstruction(block); v; v = next, at++) {
    next = LLVMGetNextInstruction(v);
    scalar s = {.load = v, .at = at};
    switch (LLVMGetInstructionOpcode(v)) {
    case LLVMPHI:
      r->n_accumulators += is_vector(v);
      break;
    case LLVMCall:
      r->n_fmas += is_vector(v) && llvm_called_intrinsic(v) == fma;
      break;
    case LLVMFMul:
      r->n_fmas += is_vector(v);
      r->n_starts += is_vector(v);
      break;
    case LLVMStore:
      close_region(r);
      break;
    case LLVMLoad:
      s.bytes = bytes_of(v);
      if (s.bytes > 0 && r->n < MOST && find_place(LLVMGetOperand(v, 0), &s))
        r->load[r->n++] = s;
      break;
    default:
      break;
    }
  }
  close_region(r);
}

/* 0: no intrinsic, such as a call through a pointer or of inline assembly. */
unsigned llvm_called_intrinsic(LLVMValueRef call) {
  LLVMValueRef callee = LLVMGetCalledValue(call);
  return LLVMIsAFunction(callee) ? LLVMGetIntrinsicID(callee) : 0;
}

bool llvm_is_neon64(const llvm_emitter *em) {
  return neo_target_has(em->target, NEO_ISA_NEON) && neo_target_pointer_bytes(em->target) == 8 &&
         !neo_target_has(em->target, NEO_ISA_SVE256);
}

/* Lanes are those of vectors of 16 bytes only. */
void llvm_join_lanes(llvm_emitter *em) {
  if (!llvm_is_neon64(em) || em->status != NEO_OK)
    return;
  region *r = neo_arena_alloc(&em->arena, sizeof *r);
  r->em = em;
  for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(em->function); b; b = LLVMGetNextBasicBlock(b))
    join_block(r, b);
}
