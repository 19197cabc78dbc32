/* codegen/llvm_nest.c: statements of a nest as LLVM control flow.
 *
 * Loops are do-while loops around one block (with a test before where the extent may be 0);
 * unrolled loops are emitted body by body with their variable bound to a constant, so all index
 * arithmetic on it folds away. Vector registers (scope REG) are SSA values from the start:
 * em->reg[buffer][k] is the current one, a loop that stores to the buffer gets a phi for each, and
 * phis that turn out unused or unchanged are erased when the loop closes. So no mem2reg pass is
 * needed, and an accumulator is what the register allocator likes best: a loop-carried phi. */
#include "codegen/llvm_emitter.h"

#include <string.h>

static void emit_list(llvm_emitter *em, const neo_stmt *s);

/* ---- which registers a region stores to ---------------------------------------------------------- */

typedef struct buffer_set {
  bool has[NEO_NEST_MAX_BUFFERS];
} buffer_set;

static void stored(const neo_stmt *s, buffer_set *out) {
  for (; s; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      stored(s->u.loop.body, out);
      break;
    case NEO_STMT_LET:
      stored(s->u.let.body, out);
      break;
    case NEO_STMT_IF:
      stored(s->u.branch.then, out);
      stored(s->u.branch.otherwise, out);
      break;
    case NEO_STMT_STORE:
      out->has[s->u.store.buffer] = true;
      break;
    case NEO_STMT_PREFETCH:
    case NEO_STMT_BARRIER:
    case NEO_STMT_MATRIX: /* of GPUs only */
      break;
    }
}

static int64_t reg_count(const llvm_emitter *em, int buffer) {
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  return b->scope == NEO_SCOPE_REG || em->row[buffer] ? b->elements / b->lanes : 0;
}

static LLVMTypeRef reg_type(llvm_emitter *em, int buffer) {
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  return llvm_type(em, b->dtype, b->lanes);
}

/* Copies of the current values of the registers in `set`, in order. */
static LLVMValueRef *save_regs(llvm_emitter *em, const buffer_set *set) {
  int64_t n = 0;
  for (int b = 0; b < em->nest->n_buffers; b++)
    n += set->has[b] ? reg_count(em, b) : 0;
  LLVMValueRef *saved = neo_arena_alloc(&em->arena, sizeof *saved * (size_t)(n + 1));
  n = 0;
  for (int b = 0; b < em->nest->n_buffers; b++)
    for (int64_t k = 0; set->has[b] && k < reg_count(em, b); k++)
      saved[n++] = em->reg[b][k];
  return saved;
}

static void restore_regs(llvm_emitter *em, const buffer_set *set, LLVMValueRef *saved) {
  for (int b = 0; b < em->nest->n_buffers; b++)
    for (int64_t k = 0; set->has[b] && k < reg_count(em, b); k++)
      em->reg[b][k] = *saved++;
}

static LLVMValueRef value_or_undef(LLVMValueRef v, LLVMTypeRef type) {
  return v ? v : LLVMGetUndef(type);
}

/* After a join of two blocks, of which `a` ended with the values a_regs and em->block's predecessor
 * b with the current ones. */
static void merge_regs(llvm_emitter *em, const buffer_set *set, LLVMBasicBlockRef a,
                       LLVMValueRef *a_regs, LLVMBasicBlockRef b) {
  for (int buffer = 0; buffer < em->nest->n_buffers; buffer++)
    for (int64_t k = 0; set->has[buffer] && k < reg_count(em, buffer); k++) {
      LLVMValueRef from_a = *a_regs++, *reg = &em->reg[buffer][k];
      if (from_a == *reg)
        continue;
      LLVMTypeRef type = reg_type(em, buffer);
      LLVMValueRef values[2] = {value_or_undef(from_a, type), value_or_undef(*reg, type)};
      LLVMBasicBlockRef blocks[2] = {a, b};
      LLVMValueRef phi = LLVMBuildPhi(em->builder, type, "");
      LLVMAddIncoming(phi, values, blocks, 2);
      *reg = phi;
    }
}

/* Memory that a region may change is not what it was. */
static void touch(llvm_emitter *em, const buffer_set *set) {
  em->clock++;
  for (int b = 0; b < em->nest->n_buffers; b++)
    if (set->has[b])
      em->epoch[b] = em->clock;
}

/* ---- loops --------------------------------------------------------------------------------------- */

typedef struct loop_state {
  LLVMBasicBlockRef before, header, after;
  LLVMValueRef counter;
  buffer_set set;
  LLVMValueRef *phis, *initial;
  bool guarded; /* the loop may run zero times */
} loop_state;

static void open_phis(llvm_emitter *em, loop_state *loop) {
  loop->initial = save_regs(em, &loop->set);
  for (int b = 0; b < em->nest->n_buffers; b++)
    for (int64_t k = 0; loop->set.has[b] && k < reg_count(em, b); k++) {
      LLVMValueRef *reg = &em->reg[b][k];
      LLVMTypeRef type = reg_type(em, b);
      LLVMValueRef phi = LLVMBuildPhi(em->builder, type, ""), first = value_or_undef(*reg, type);
      LLVMAddIncoming(phi, &first, &loop->before, 1);
      *reg = phi;
    }
  loop->phis = save_regs(em, &loop->set);
}

/* Closes the phis with the values at the loop's end, erasing those that nobody needs. */
static void close_phis(llvm_emitter *em, loop_state *loop, LLVMBasicBlockRef latch) {
  LLVMValueRef *phi = loop->phis, *initial = loop->initial;
  for (int b = 0; b < em->nest->n_buffers; b++)
    for (int64_t k = 0; loop->set.has[b] && k < reg_count(em, b); k++, phi++, initial++) {
      LLVMValueRef *reg = &em->reg[b][k];
      if (*reg == *phi) {
        LLVMReplaceAllUsesWith(*phi, value_or_undef(*initial, LLVMTypeOf(*phi)));
        *reg = *initial;
        LLVMInstructionEraseFromParent(*phi);
      } else if (!LLVMGetFirstUse(*phi)) {
        LLVMInstructionEraseFromParent(*phi);
      } else {
        LLVMAddIncoming(*phi, reg, &latch, 1);
      }
    }
}

static void open_loop(llvm_emitter *em, loop_state *loop, LLVMValueRef first, LLVMValueRef last) {
  loop->before = em->block;
  loop->header = llvm_new_block(em);
  loop->after = llvm_new_block(em);
  if (loop->guarded) {
    LLVMValueRef some = LLVMBuildICmp(em->builder, LLVMIntSLT, first, last, "");
    LLVMBuildCondBr(em->builder, some, loop->header, loop->after);
  } else {
    LLVMBuildBr(em->builder, loop->header);
  }
  llvm_set_block(em, loop->header);
  loop->counter = LLVMBuildPhi(em->builder, em->int64, "");
  LLVMAddIncoming(loop->counter, &first, &loop->before, 1);
  open_phis(em, loop);
  llvm_scope_open(em);
  touch(em, &loop->set);
}

static void close_loop(llvm_emitter *em, loop_state *loop, LLVMValueRef last) {
  LLVMValueRef one = LLVMConstInt(em->int64, 1, false);
  LLVMValueRef next = LLVMBuildNSWAdd(em->builder, loop->counter, one, "");
  LLVMValueRef more = LLVMBuildICmp(em->builder, LLVMIntSLT, next, last, "");
  LLVMBasicBlockRef latch = em->block;
  LLVMBuildCondBr(em->builder, more, loop->header, loop->after);
  LLVMAddIncoming(loop->counter, &next, &latch, 1);
  close_phis(em, loop, latch);
  llvm_scope_close(em);
  LLVMMoveBasicBlockAfter(loop->after, latch);
  llvm_set_block(em, loop->after);
  if (loop->guarded)
    merge_regs(em, &loop->set, loop->before, loop->initial, latch);
  touch(em, &loop->set);
}

static llvm_val loop_variable(llvm_emitter *em, LLVMValueRef v) {
  return (llvm_val){.v = v, .home = em->depth, .seq = ++em->seq};
}

/* Vector registers that one run of the list stores to, unrolled loops included. */
static int64_t register_stores(const llvm_emitter *em, const neo_stmt *s) {
  int64_t n = 0, trip;
  for (; s; s = s->next) {
    if (s->kind == NEO_STMT_STORE)
      n += reg_count(em, s->u.store.buffer) > 0;
    else if (s->kind == NEO_STMT_FOR && neo_expr_is_const(s->u.loop.extent, &trip))
      n += trip * register_stores(em, s->u.loop.body);
  }
  return n;
}

/* Steps of an unrolled reduction over a large tile of accumulators are kept apart by a fence for
 * the compiler, which emits nothing: else LLVM's schedulers move the loads of all steps in front of
 * the first and spill what does not fit the registers (measured: 2x7x2 tiles, five steps, 64 spills
 * and 64 % of the FMA peak; with fences none and 96 %). */
static void emit_unrolled(llvm_emitter *em, const neo_stmt *s, int64_t extent) {
  int var = s->u.loop.var;
  bool apart =
      extent > 1 && 3 * register_stores(em, s->u.loop.body) >= em->target->vector_registers;
  for (int64_t k = 0; k < extent && em->status == NEO_OK; k++) {
    if (apart && k > 0)
      LLVMBuildFence(em->builder, LLVMAtomicOrderingSequentiallyConsistent, true, "");
    em->var[var] = llvm_constant(LLVMConstInt(em->int64, (unsigned long long)k, true));
    em->range[var] = (neo_range){k, k};
    emit_list(em, s->u.loop.body);
  }
}

static void emit_for(llvm_emitter *em, const neo_stmt *s) {
  int var = s->u.loop.var;
  neo_range range;
  em->generation++;
  LLVMValueRef extent = llvm_emit(em, s->u.loop.extent).v;
  if (LLVMIsAConstantInt(extent)) {
    int64_t n = LLVMConstIntGetSExtValue(extent);
    range = (neo_range){n, n};
    if (s->u.loop.unrolled || n <= 1) {
      emit_unrolled(em, s, n);
      return;
    }
  } else if (s->u.loop.unrolled) {
    llvm_fail(em, NEO_BAD_INPUT, "loop i%d is unrolled but its extent is not constant", var);
    return;
  } else if (!neo_expr_range(s->u.loop.extent, em->range, em->nest->n_vars, &range)) {
    range = (neo_range){0, INT64_MAX};
  }
  if (range.hi < 1)
    return;
  loop_state loop = {.guarded = range.lo < 1};
  stored(s->u.loop.body, &loop.set);
  open_loop(em, &loop, LLVMConstInt(em->int64, 0, false), extent);
  em->var[var] = loop_variable(em, loop.counter);
  em->range[var] = (neo_range){0, range.hi - 1};
  emit_list(em, s->u.loop.body);
  close_loop(em, &loop, extent);
}

/* ---- the other statements -------------------------------------------------------------------------- */

static LLVMBasicBlockRef emit_branch(llvm_emitter *em, const neo_stmt *body,
                                     LLVMBasicBlockRef block, LLVMBasicBlockRef join) {
  llvm_set_block(em, block);
  llvm_scope_open(em);
  emit_list(em, body);
  llvm_scope_close(em);
  LLVMBuildBr(em->builder, join);
  return em->block;
}

static void emit_if(llvm_emitter *em, const neo_stmt *s) {
  em->generation++;
  LLVMValueRef cond = llvm_emit(em, s->u.branch.cond).v;
  if (LLVMIsAConstantInt(cond)) {
    emit_list(em, LLVMConstIntGetZExtValue(cond) ? s->u.branch.then : s->u.branch.otherwise);
    return;
  }
  buffer_set set = {{false}};
  stored(s->u.branch.then, &set);
  stored(s->u.branch.otherwise, &set);
  LLVMBasicBlockRef before = em->block, then = llvm_new_block(em), join = llvm_new_block(em);
  LLVMBasicBlockRef otherwise = s->u.branch.otherwise ? llvm_new_block(em) : join;
  LLVMBuildCondBr(em->builder, cond, then, otherwise);
  LLVMValueRef *initial = save_regs(em, &set);
  LLVMBasicBlockRef end_then = emit_branch(em, s->u.branch.then, then, join),
                    end_otherwise = before;
  LLVMValueRef *after_then = save_regs(em, &set);
  restore_regs(em, &set, initial);
  if (s->u.branch.otherwise)
    end_otherwise = emit_branch(em, s->u.branch.otherwise, otherwise, join);
  LLVMMoveBasicBlockAfter(join, em->block);
  llvm_set_block(em, join);
  merge_regs(em, &set, end_then, after_then, end_otherwise);
  touch(em, &set);
}

static void emit_let(llvm_emitter *em, const neo_stmt *s) {
  int var = s->u.let.var;
  em->generation++;
  em->var[var] = llvm_emit(em, s->u.let.value);
  if (!neo_expr_range(s->u.let.value, em->range, em->nest->n_vars, &em->range[var]))
    em->range[var] = (neo_range){INT64_MIN / 4, INT64_MAX / 4};
  emit_list(em, s->u.let.body);
}

static void emit_list(llvm_emitter *em, const neo_stmt *s) {
  for (; s && em->status == NEO_OK; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      emit_for(em, s);
      break;
    case NEO_STMT_IF:
      emit_if(em, s);
      break;
    case NEO_STMT_STORE:
      llvm_store(em, s);
      break;
    case NEO_STMT_PREFETCH:
      llvm_prefetch(em, s);
      break;
    case NEO_STMT_BARRIER: /* of one work-item */
    case NEO_STMT_MATRIX:  /* of none: such nests are refused */
      break;
    case NEO_STMT_LET:
      emit_let(em, s);
      break;
    }
}

/* ---- a launch ------------------------------------------------------------------------------------ */

static void add_attribute(llvm_emitter *em, const char *key, const char *value) {
  LLVMAttributeRef a =
      LLVMCreateStringAttribute(em->lc, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(em->function, LLVMAttributeFunctionIndex, a);
}

/* Names of ISA levels are no processors to schedule for. */
static const char *tuning_cpu(const neo_target *target) {
  return target->cpu[0] && strncmp(target->cpu, "x86-64", 6) != 0 ? target->cpu : "generic";
}

/* Scalable vectors are at least as long as the target's: code for vectors of that size uses them.
 */
static void declare_vectors(llvm_emitter *em) {
  const uint64_t unit = 16, longest = 16;
  unsigned range = LLVMGetEnumAttributeKindForName("vscale_range", 12);
  if (neo_target_has(em->target, NEO_ISA_SVE256))
    LLVMAddAttributeAtIndex(
        em->function, LLVMAttributeFunctionIndex,
        LLVMCreateEnumAttribute(em->lc, range,
                                (uint64_t)em->target->vector_bytes / unit << 32 | longest));
}

static void declare(llvm_emitter *em, int k, const char *symbol) {
  char name[256];
  snprintf(name, sizeof name, "%s_%d", symbol, k);
  LLVMTypeRef params[3] = {em->pointer, em->pointer, em->pointer};
  em->function = LLVMAddFunction(em->module, name, LLVMFunctionType(em->int32, params, 3, false));
  unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
  LLVMAddAttributeAtIndex(em->function, LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(em->lc, nounwind, 0));
  add_attribute(em, "no-builtins", "");
  declare_vectors(em);
  if (strcmp(em->target->arch, "x86_64") == 0)
    add_attribute(em, "tune-cpu", tuning_cpu(em->target));
  em->env = LLVMGetParam(em->function, 0);
  em->buffers = LLVMGetParam(em->function, 1);
}

/* Registers without a value, and no local arrays yet (llvm_memory.c makes them when first used). */
static void fresh_buffers(llvm_emitter *em) {
  for (int b = 0; b < em->nest->n_buffers; b++) {
    int64_t n = reg_count(em, b);
    em->stack[b] = NULL;
    if (n)
      em->reg[b] = neo_arena_alloc(&em->arena, sizeof(LLVMValueRef) * (size_t)n);
  }
}

static LLVMValueRef grid_bound(llvm_emitter *em, int field) {
  LLVMValueRef index = LLVMConstInt(em->int64, (unsigned)field, false);
  LLVMValueRef at = LLVMBuildGEP2(em->builder, em->int64, em->env, &index, 1, "");
  return LLVMBuildLoad2(em->builder, em->int64, at, "");
}

void llvm_emit_launch(llvm_emitter *em, int k, const char *symbol) {
  const neo_launch *launch = &em->nest->launch[k];
  declare(em, k, symbol);
  LLVMBasicBlockRef entry = llvm_new_block(em);
  llvm_set_block(em, entry);
  em->depth = -1;
  llvm_find_rows(em, launch->body);
  fresh_buffers(em);
  llvm_scope_open(em);
  LLVMValueRef begin = grid_bound(em, 0), end = grid_bound(em, 1);
  loop_state loop = {.guarded = true};
  stored(launch->body, &loop.set);
  for (int b = 0; b < em->nest->n_buffers; b++)
    if (reg_count(em, b))
      loop.set.has[b] = false; /* nothing in a register outlives a grid index */
  open_loop(em, &loop, begin, end);
  em->range[launch->var] = (neo_range){0, launch->grid - 1};
  em->var[launch->var] = launch->grid == 1 ? llvm_constant(LLVMConstInt(em->int64, 0, false))
                                           : loop_variable(em, loop.counter);
  emit_list(em, launch->body);
  close_loop(em, &loop, end);
  llvm_scope_close(em);
  llvm_weave_end(em);
  LLVMBuildRet(em->builder, LLVMConstInt(em->int32, 0, false));
  llvm_join_lanes(em);
  llvm_start_sums(em);
  llvm_soften(em);
}
