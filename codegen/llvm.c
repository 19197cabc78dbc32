/* codegen/llvm.c: the LLVM code generator: a nest becomes a module, the module an ELF object.
 *
 * What was measured (Zen 3 and Zen 4, LLVM 19): explicit vectors, llvm.fma, accumulators as SSA
 * phis and no IR pass at all reach the FMA peak; every IR pass pipeline only costs build time. So
 * the emitter does the little that such passes would be good for (llvm_scope.c, llvm_memory.c) and
 * the module goes straight to the code generator at level Default.
 *
 * Threads: every build has its own LLVMContext and target machine, nothing is shared. */
#include "codegen/llvm_emitter.h"

#include <llvm-c/Analysis.h>

#include "codegen/llvm_machine.h"
#include "codegen/object.h"

static void emitter_init(llvm_emitter *em, neo_ctx *ctx, const neo_nest *nest,
                         const neo_target *target) {
  *em = (llvm_emitter){.ctx = ctx, .nest = nest, .target = target};
  neo_arena_init(&em->arena);
  if (llvm_has_f16(em))
    nest = neo_nest_narrow_halves(&em->arena, nest);
  em->nest = nest = llvm_by_lane(&em->arena, nest, target);
  em->lc = LLVMContextCreate();
  LLVMContextSetDiscardValueNames(em->lc, true);
  em->module = LLVMModuleCreateWithNameInContext("nest", em->lc);
  em->builder = LLVMCreateBuilderInContext(em->lc);
  em->int64 = LLVMInt64TypeInContext(em->lc);
  em->int32 = LLVMInt32TypeInContext(em->lc);
  em->int8 = LLVMInt8TypeInContext(em->lc);
  em->pointer = LLVMPointerTypeInContext(em->lc, 0);
  em->bucket = neo_arena_alloc(&em->arena, sizeof *em->bucket * LLVM_BUCKETS);
  em->memo = neo_arena_alloc(&em->arena, sizeof *em->memo * LLVM_MEMOS);
  em->var = neo_arena_alloc(&em->arena, sizeof *em->var * (size_t)(nest->n_vars + 1));
  em->range = neo_arena_alloc(&em->arena, sizeof *em->range * (size_t)(nest->n_vars + 1));
}

static void emitter_fini(llvm_emitter *em) {
  LLVMDisposeBuilder(em->builder);
  LLVMDisposeModule(em->module);
  LLVMContextDispose(em->lc);
  neo_arena_fini(&em->arena);
}

static neo_status emit_module(llvm_emitter *em, LLVMTargetMachineRef machine, const char *symbol) {
  llvm_machine_prepare(machine, em->target, em->module);
  for (int k = 0; k < em->nest->n_launches && em->status == NEO_OK; k++)
    llvm_emit_launch(em, k, symbol);
  return em->status;
}

static neo_status check_processor(neo_ctx *ctx, const neo_nest *nest, const neo_target *target) {
  if (neo_target_is_gpu(target) || neo_nest_is_grouped(nest))
    return neo_fail(ctx, NEO_UNSUPPORTED, "llvm: kernels for GPUs are for another generator");
  return NEO_OK;
}

static neo_status build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                        const char *symbol, neo_object *out) {
  llvm_emitter em;
  LLVMTargetMachineRef machine = NULL;
  neo_buf bytes = {0};
  NEO_TRY(check_processor(ctx, nest, target));
  NEO_TRY(llvm_machine_create(ctx, target, &machine));
  emitter_init(&em, ctx, nest, target);
  neo_status status = emit_module(&em, machine, symbol);
  if (status == NEO_OK)
    status = llvm_machine_emit(ctx, machine, em.module, LLVMObjectFile, &bytes);
  if (status == NEO_OK)
    status = neo_object_adopt(ctx, &bytes, nest->n_launches, out);
  neo_buf_fini(&bytes);
  emitter_fini(&em);
  LLVMDisposeTargetMachine(machine);
  return status;
}

static neo_status verify(neo_ctx *ctx, LLVMModuleRef module) {
  char *why = NULL;
  neo_status status = NEO_OK;
  if (LLVMVerifyModule(module, LLVMReturnStatusAction, &why))
    status = neo_fail(ctx, NEO_INTERNAL, "llvm: invalid module: %s", why);
  LLVMDisposeMessage(why);
  return status;
}

/* IR, then assembly. Verifies the module too: build does not, to save time. */
static neo_status text(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                       const char *symbol, neo_buf *out) {
  llvm_emitter em;
  LLVMTargetMachineRef machine = NULL;
  NEO_TRY(check_processor(ctx, nest, target));
  NEO_TRY(llvm_machine_create(ctx, target, &machine));
  emitter_init(&em, ctx, nest, target);
  neo_status status = emit_module(&em, machine, symbol);
  if (status == NEO_OK) {
    char *ir = LLVMPrintModuleToString(em.module);
    neo_buf_text(out, ir);
    LLVMDisposeMessage(ir);
    status = verify(ctx, em.module);
  }
  if (status == NEO_OK)
    status = llvm_machine_emit(ctx, machine, em.module, LLVMAssemblyFile, out);
  emitter_fini(&em);
  LLVMDisposeTargetMachine(machine);
  return status;
}

const neo_codegen neo_codegen_llvm = {.name = "llvm", .build = build, .text = text};
