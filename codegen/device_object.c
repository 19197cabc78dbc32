/* codegen/device_object.c: kernels of a GPU as a relocatable object.
 *
 * Why an object: it then goes wherever kernels of a processor go (build pool, boards, artifacts)
 * without anybody there knowing. How: each launch's symbol is a constant: a neo_device_kernel, the
 * kernel's name and the program. Everything in it is an offset, so nothing is relocated. Every
 * launch of a nest holds the whole program, which costs bytes but no time: drivers are asked to
 * compile equal programs once. */
#include "codegen/device_object.h"

#include <string.h>

#include "codegen/device_c.h"
#include "codegen/llvm_machine.h"
#include "codegen/object.h"
#include "neo/abi.h"

static bool describe(const neo_nest *nest, int k, const char *api, const char *symbol,
                     const neo_buf *program, neo_buf *out) {
  char name[256];
  int length = snprintf(name, sizeof name, "%s_%d", symbol, k);
  size_t at = (sizeof(neo_device_kernel) + (size_t)length + 1 + 15) / 16 * 16;
  neo_device_kernel kernel = {.magic = NEO_DEVICE_MAGIC,
                              .items = (uint32_t)nest->launch[k].lanes,
                              .n_args = (uint32_t)device_args(nest),
                              .name = sizeof(neo_device_kernel),
                              .program = at,
                              .program_size = program->size,
                              .align = nest->align > 0 ? (uint32_t)nest->align : NEO_DEVICE_ALIGN};
  snprintf(kernel.api, sizeof kernel.api, "%s", api);
  neo_buf_append(out, &kernel, sizeof kernel);
  neo_buf_append(out, name, (size_t)length + 1);
  while (out->size < at && !out->failed)
    neo_buf_append(out, "", 1);
  neo_buf_append(out, program->data, program->size);
  neo_buf_append(out, "", 1);
  return !out->failed;
}

static void add_constant(LLVMContextRef lc, LLVMModuleRef module, const char *name,
                         const neo_buf *bytes) {
  LLVMValueRef value = LLVMConstStringInContext2(lc, bytes->data, bytes->size, true);
  LLVMValueRef global = LLVMAddGlobal(module, LLVMTypeOf(value), name);
  LLVMSetInitializer(global, value);
  LLVMSetGlobalConstant(global, true);
  LLVMSetVisibility(global, LLVMHiddenVisibility);
  LLVMSetAlignment(global, 16);
}

neo_status device_object_build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                               const char *symbol, const neo_buf *program, neo_object *out) {
  const char *api = target->gpu.api;
  LLVMTargetMachineRef machine = NULL;
  neo_buf bytes = {0};
  NEO_TRY(llvm_machine_create(ctx, target, &machine));
  LLVMContextRef lc = LLVMContextCreate();
  LLVMModuleRef module = LLVMModuleCreateWithNameInContext("device", lc);
  llvm_machine_prepare(machine, target, module);
  neo_status status = NEO_OK;
  for (int k = 0; k < nest->n_launches && status == NEO_OK; k++) {
    neo_buf constant = {0};
    char name[256];
    snprintf(name, sizeof name, "%s_%d", symbol, k);
    if (describe(nest, k, api, symbol, program, &constant))
      add_constant(lc, module, name, &constant);
    else
      status = neo_fail(ctx, NEO_NO_MEMORY, "%s: no memory for an object", api);
    neo_buf_fini(&constant);
  }
  if (status == NEO_OK)
    status = llvm_machine_emit(ctx, machine, module, LLVMObjectFile, &bytes);
  if (status == NEO_OK)
    status = neo_object_adopt(ctx, &bytes, nest->n_launches, out);
  neo_buf_fini(&bytes);
  LLVMDisposeModule(module);
  LLVMContextDispose(lc);
  LLVMDisposeTargetMachine(machine);
  return status;
}
