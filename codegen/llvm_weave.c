/* codegen/llvm_weave.c: neighbouring stores of long formulas, interleaved.
 *
 * Why: instructions stay in the order of the nest (DECISIONS 14). The formula of SiLU or GELU is a
 * chain of some 60 cycles; one after another, a core's schedulers hold no more than three or four
 * of them, and the chain's latency shows (SiLU behind a convolution: 16 cycles a vector, where its
 * operations take 10). How: the instructions of up to LLVM_WEAVE_WAYS stores that follow each other
 * in a block are remembered; when the run ends they are put in turn, one of each, as far as
 * operands allow.
 *
 * Invariants
 *   1. All stores of a run go to one buffer that no formula of the run reads, so loads may pass
 *      them. An output that took over an input's memory has that property element by element: only
 *      the store that replaces an element reads it.
 *   2. An instruction stays behind its operands: those of its own formula keep their order, and it
 *      waits for those of others, which a shared subexpression makes possible. */
#include "codegen/llvm_emitter.h"

enum { SHORTEST = 16, LONGEST = 160, SLOTS = 2048 };

typedef struct weaver {
  LLVMValueRef inst[LLVM_WEAVE_WAYS][LONGEST];
  int n[LLVM_WEAVE_WAYS], at[LLVM_WEAVE_WAYS];
  LLVMValueRef waiting[SLOTS]; /* a set, by address: instructions not placed yet */
} weaver;

static LLVMValueRef *slot_of(weaver *w, LLVMValueRef v) {
  size_t k = ((uintptr_t)v >> 4) * 0x9e3779b1u % SLOTS;
  while (w->waiting[k] && w->waiting[k] != v)
    k = (k + 1) % SLOTS;
  return &w->waiting[k];
}

/* Placed ones stay in the set, marked in `placed`: an open hash loses nothing. */
static bool is_ready(weaver *w, LLVMValueRef inst, const bool *placed) {
  int n = LLVMGetNumOperands(inst);
  for (int k = 0; k < n; k++) {
    LLVMValueRef *slot = slot_of(w, LLVMGetOperand(inst, (unsigned)k));
    if (*slot && !placed[slot - w->waiting])
      return false;
  }
  return true;
}

static void collect(llvm_emitter *em, weaver *w) {
  const llvm_weave *run = &em->weave;
  for (int s = 0; s < run->n; s++) {
    LLVMValueRef inst = run->first[s];
    for (w->n[s] = 0; w->n[s] < run->size[s]; inst = LLVMGetNextInstruction(inst)) {
      w->inst[s][w->n[s]++] = inst;
      *slot_of(w, inst) = inst;
    }
  }
}

/* Moves the run's instructions, which follow each other, behind themselves in their new order. */
static void place(llvm_emitter *em, weaver *w) {
  bool placed[SLOTS] = {false};
  LLVMValueRef next = LLVMGetNextInstruction(em->weave.last);
  if (next)
    LLVMPositionBuilderBefore(em->builder, next);
  else
    LLVMPositionBuilderAtEnd(em->builder, em->weave.block);
  for (bool more = true; more;) {
    more = false;
    for (int s = 0; s < em->weave.n; s++) {
      LLVMValueRef inst = w->at[s] < w->n[s] ? w->inst[s][w->at[s]] : NULL;
      if (!inst || !is_ready(w, inst, placed))
        continue;
      LLVMInstructionRemoveFromParent(inst);
      LLVMInsertIntoBuilder(em->builder, inst);
      placed[slot_of(w, inst) - w->waiting] = true;
      w->at[s]++;
      more = true;
    }
  }
  LLVMPositionBuilderAtEnd(em->builder, em->block);
}

void llvm_weave_end(llvm_emitter *em) {
  if (em->weave.n > 1) {
    weaver w = {0};
    collect(em, &w);
    place(em, &w);
  }
  em->weave.n = 0;
}

void llvm_weave_open(llvm_emitter *em, int buffer) {
  llvm_weave *run = &em->weave;
  bool follows = run->block == em->block && run->buffer == buffer &&
                 run->last == LLVMGetLastInstruction(em->block);
  if (!follows || run->n == LLVM_WEAVE_WAYS)
    llvm_weave_end(em);
  run->reads = false;
  run->buffer_now = buffer;
  run->before = LLVMGetLastInstruction(em->block);
  run->block_now = em->block;
}

void llvm_weave_close(llvm_emitter *em) {
  llvm_weave *run = &em->weave;
  LLVMValueRef first =
      run->before ? LLVMGetNextInstruction(run->before) : LLVMGetFirstInstruction(run->block_now);
  int size = 0;
  for (LLVMValueRef i = first; i && size <= LONGEST; i = LLVMGetNextInstruction(i))
    size++;
  if (em->block != run->block_now || run->reads || size < SHORTEST || size > LONGEST) {
    llvm_weave_end(em);
    return;
  }
  run->block = em->block;
  run->buffer = run->buffer_now;
  run->last = LLVMGetLastInstruction(em->block);
  run->first[run->n] = first;
  run->size[run->n++] = size;
}
