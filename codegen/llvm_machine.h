/* codegen/llvm_machine.h: LLVM modules turned into objects and text for a neo_target. */
#ifndef NEO_CODEGEN_LLVM_MACHINE_H
#define NEO_CODEGEN_LLVM_MACHINE_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "base/core.h"
#include "target/target.h"

/* Release with LLVMDisposeTargetMachine. NEO_UNSUPPORTED for an arch that LLVM is not set up for
 * here. */
neo_status llvm_machine_create(neo_ctx *ctx, const neo_target *target, LLVMTargetMachineRef *out);
void llvm_machine_prepare(LLVMTargetMachineRef machine, const neo_target *target,
                          LLVMModuleRef module);
/* Appends an object or assembly. */
neo_status llvm_machine_emit(neo_ctx *ctx, LLVMTargetMachineRef machine, LLVMModuleRef module,
                             LLVMCodeGenFileType type, neo_buf *out);

#endif
