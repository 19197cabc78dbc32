/* codegen/llvm_start.c: sums that start from what is added to them at their end, for 64-bit Arm.
 *
 * Why: behind a short sum the bias is an addition for each vector (16 channels: one instruction in
 * 20). As the accumulator's first value it is half a load: two neighbours come with one
 * instruction.
 *
 * How: where a block holds a chain product, multiply-add, ..., multiply-add, addition of a loaded
 * vector, and no link has another use, the product becomes a multiply-add to that vector, loaded
 * anew in front of it, and the addition goes away. A bias serves many sums: LLVM would load it once
 * and copy it, which saves nothing, so a fence for the compiler, which emits nothing, stands
 * between two loads of one place.
 *
 * Invariants
 *   1. What is read is not written in between, so its load may move up the block: not to the same
 * buffer (checked); an output that took over an input's memory is written element by element, and
 * an element by the store that its sum feeds.
 *   2. The load's pointer is there at the product: checked. */
#include "codegen/llvm_emitter.h"

enum { MOST = 64, LONGEST = 512, VECTOR = 16 /* bytes */ };

typedef struct sum {
  LLVMValueRef product, addition, chain, load, base;
  int64_t offset; /* of the load behind base */
} sum;

typedef struct finder {
  llvm_emitter *em;
  LLVMBasicBlockRef block;
  int n;
  sum sums[MOST]; /* by additions; then by products */
} finder;

static bool is_op(const finder *f, LLVMValueRef v, LLVMOpcode op) {
  return LLVMIsAInstruction(v) && LLVMGetInstructionParent(v) == f->block &&
         LLVMGetInstructionOpcode(v) == op;
}

static bool has_one_use(LLVMValueRef v) {
  LLVMUseRef use = LLVMGetFirstUse(v);
  return use && !LLVMGetNextUse(use);
}

/* The product that the chain begins with; NULL if there is none. */
static LLVMValueRef first_of(const finder *f, LLVMValueRef v) {
  unsigned fma = LLVMLookupIntrinsicID("llvm.fma", 8);
  for (int i = 0; i < LONGEST && has_one_use(v); i++) {
    if (is_op(f, v, LLVMFMul))
      return v;
    if (!is_op(f, v, LLVMCall) || llvm_called_intrinsic(v) != fma)
      return NULL;
    v = LLVMGetOperand(v, 2);
  }
  return NULL;
}

static bool precedes(LLVMValueRef a, LLVMValueRef b) {
  while (a && a != b)
    a = LLVMGetNextInstruction(a);
  return a;
}

/* Takes the load's pointer apart; false if its base is not there at the product. */
static bool find_place(const finder *f, sum *s) {
  LLVMValueRef pointer = LLVMGetOperand(s->load, 0);
  s->base = pointer;
  s->offset = 0;
  if (LLVMIsAGetElementPtrInst(pointer) && LLVMGetNumOperands(pointer) == 2 &&
      LLVMIsAConstantInt(LLVMGetOperand(pointer, 1)) &&
      LLVMGetGEPSourceElementType(pointer) == f->em->int8) {
    s->base = LLVMGetOperand(pointer, 0);
    s->offset = LLVMConstIntGetSExtValue(LLVMGetOperand(pointer, 1));
  }
  bool here = LLVMIsAInstruction(s->base) && LLVMGetInstructionParent(s->base) == f->block;
  return !here || precedes(s->base, s->product);
}

/* What the pointer was made of, through offsets and steps of loops. */
static LLVMValueRef buffer_of(LLVMValueRef pointer) {
  for (int i = 0; i < LONGEST && LLVMIsAInstruction(pointer); i++) {
    if (LLVMIsAGetElementPtrInst(pointer))
      pointer = LLVMGetOperand(pointer, 0);
    else if (LLVMIsAPHINode(pointer))
      pointer = LLVMGetIncomingValue(pointer, 0);
    else
      break;
  }
  return pointer;
}

/* Between the product and the load, where the latter would pass. */
static bool is_written(const sum *s) {
  LLVMValueRef buffer = buffer_of(s->base);
  for (LLVMValueRef v = s->product; v && v != s->load; v = LLVMGetNextInstruction(v))
    if (LLVMIsAStoreInst(v) && buffer_of(LLVMGetOperand(v, 1)) == buffer)
      return true;
  return false;
}

/* A whole register of f32 or f16. */
static bool is_quad(LLVMValueRef v) {
  LLVMTypeRef type = LLVMTypeOf(v);
  if (LLVMGetTypeKind(type) != LLVMVectorTypeKind)
    return false;
  LLVMTypeKind element = LLVMGetTypeKind(LLVMGetElementType(type));
  return (element == LLVMFloatTypeKind && LLVMGetVectorSize(type) == VECTOR / 4) ||
         (element == LLVMHalfTypeKind && LLVMGetVectorSize(type) == VECTOR / 2);
}

static void add_sum(finder *f, LLVMValueRef addition) {
  for (unsigned side = 0; side < 2 && f->n < MOST; side++) {
    sum s = {.addition = addition,
             .chain = LLVMGetOperand(addition, side),
             .load = LLVMGetOperand(addition, 1 - side)};
    s.product = is_op(f, s.load, LLVMLoad) ? first_of(f, s.chain) : NULL;
    if (s.product && s.product != s.chain && find_place(f, &s) && !is_written(&s)) {
      f->sums[f->n++] = s;
      return;
    }
  }
}

static bool same_place(const sum *a, const sum *b, int64_t apart) {
  return a->base == b->base && a->offset == b->offset + apart;
}

/* A place of many sums is worth loading anew only together with a neighbour. */
static bool pays(const finder *f, const sum *s) {
  bool shared = false, paired = false;
  for (int k = 0; k < f->n; k++) {
    shared = shared || (&f->sums[k] != s && same_place(&f->sums[k], s, 0));
    paired = paired || same_place(&f->sums[k], s, VECTOR) || same_place(&f->sums[k], s, -VECTOR);
  }
  return !shared || paired;
}

static void sort_by_product(finder *f) {
  for (int i = 1; i < f->n; i++)
    for (int k = i; k > 0 && precedes(f->sums[k].product, f->sums[k - 1].product); k--) {
      sum s = f->sums[k];
      f->sums[k] = f->sums[k - 1];
      f->sums[k - 1] = s;
    }
}

static void start_from(llvm_emitter *em, const sum *s) {
  LLVMValueRef at = s->base, offset = LLVMConstInt(em->int64, (unsigned long long)s->offset, true);
  if (s->offset)
    at = LLVMBuildGEP2(em->builder, em->int8, at, &offset, 1, "");
  LLVMValueRef first = LLVMBuildLoad2(em->builder, LLVMTypeOf(s->load), at, "");
  LLVMSetAlignment(first, LLVMGetAlignment(s->load));
  LLVMValueRef args[3] = {LLVMGetOperand(s->product, 0), LLVMGetOperand(s->product, 1), first};
  LLVMReplaceAllUsesWith(s->product, llvm_multiply_add(em, args));
  LLVMInstructionEraseFromParent(s->product);
  LLVMReplaceAllUsesWith(s->addition, s->chain);
  LLVMInstructionEraseFromParent(s->addition);
  if (!LLVMGetFirstUse(s->load))
    LLVMInstructionEraseFromParent(s->load);
}

static void start_sums(finder *f) {
  bool good[MOST];
  int since = 0; /* the first sum behind the last fence */
  sort_by_product(f);
  for (int i = 0; i < f->n; i++)
    good[i] = pays(f, &f->sums[i]);
  for (int i = 0; i < f->n; i++) {
    bool again = false;
    for (int k = since; k < i; k++)
      again = again || (good[k] && same_place(&f->sums[k], &f->sums[i], 0));
    if (!good[i])
      continue;
    LLVMPositionBuilderBefore(f->em->builder, f->sums[i].product);
    if (again) {
      LLVMBuildFence(f->em->builder, LLVMAtomicOrderingSequentiallyConsistent, true, "");
      since = i;
    }
    start_from(f->em, &f->sums[i]);
  }
}

void llvm_start_sums(llvm_emitter *em) {
  if (!llvm_is_neon64(em) || em->status != NEO_OK)
    return;
  finder *f = neo_arena_alloc(&em->arena, sizeof *f);
  f->em = em;
  for (f->block = LLVMGetFirstBasicBlock(em->function); f->block;
       f->block = LLVMGetNextBasicBlock(f->block)) {
    f->n = 0;
    for (LLVMValueRef v = LLVMGetFirstInstruction(f->block); v; v = LLVMGetNextInstruction(v))
      if (LLVMGetInstructionOpcode(v) == LLVMFAdd && is_quad(v))
        add_sum(f, v);
    start_sums(f);
  }
}
