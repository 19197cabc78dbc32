/* codegen/llvm_machine.c: LLVM target machines.
 *
 * What may change results comes from neo_target.isa alone: the cpu name only chooses the scheduling
 * model (tune-cpu), since LLVM's cpu names switch on instruction sets of their own. Code is
 * position independent and small: everything of one object sits together. */
#include "codegen/llvm_machine.h"

#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t targets_once = PTHREAD_ONCE_INIT;

/* Loop strength reduction takes a third of the build time of an ordinary kernel and most of that of
 * a large one, and gains nothing here: addresses are already pointers that move with their loops.
 * Instructions stay in the order they are emitted in: a nest's order is a schedule already, and
 * LLVM's schedulers hoist the loads of unrolled steps above their use until a full register tile
 * spills (a 14 x 2 tile unrolled five times: 80 instead of 115 GFLOP/s).
 *
 * Of Hexagon's own passes the propagation of copies after register allocation (rdf-opt) gives wrong
 * code where the scheduler has not run: tests' convolutions of bytes crashed or were wrong.
 * Software pipelining, bits and "insert" took most of the time of large blocks. Packets may hold a
 * load that sees what the store beside it writes, which qemu 7.2, where such code is tested, gets
 * wrong.
 *
 * None of this has another switch. */
static void init_targets(void) {
  const char *const options[] = {"neo",
                                 "-disable-lsr",
                                 "-pre-RA-sched=source",
                                 "-enable-misched=false",
                                 "-slot1-store-slot0-load=false",
                                 "-rdf-opt=false",
                                 "-enable-pipeliner=false",
                                 "-hexagon-bit=false",
                                 "-hexagon-insert=false"};
  LLVMParseCommandLineOptions(NEO_COUNT(options), options, NULL);
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
  LLVMInitializeAArch64AsmParser();
  LLVMInitializeARMTargetInfo();
  LLVMInitializeARMTarget();
  LLVMInitializeARMTargetMC();
  LLVMInitializeARMAsmPrinter();
  LLVMInitializeARMAsmParser();
  LLVMInitializeRISCVTargetInfo();
  LLVMInitializeRISCVTarget();
  LLVMInitializeRISCVTargetMC();
  LLVMInitializeRISCVAsmPrinter();
  LLVMInitializeRISCVAsmParser();
  LLVMInitializeHexagonTargetInfo();
  LLVMInitializeHexagonTarget();
  LLVMInitializeHexagonTargetMC();
  LLVMInitializeHexagonAsmPrinter();
  LLVMInitializeHexagonAsmParser();
}

typedef struct feature_row {
  neo_isa isa;
  const char *features;
} feature_row;

static const feature_row feature_rows[] = {
    {NEO_ISA_SSE42, "+sse4.2,+popcnt,+cx16"},
    {NEO_ISA_AVX2, "+avx2,+bmi,+bmi2,+lzcnt"},
    {NEO_ISA_FMA, "+fma"},
    {NEO_ISA_F16C, "+f16c"},
    {NEO_ISA_AVX512, "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd,+fma,+f16c"},
    {NEO_ISA_AVX512_VNNI, "+avx512vnni"},
    {NEO_ISA_AVX_VNNI, "+avxvnni"},
    {NEO_ISA_AVX512_BF16, "+avx512bf16"},
    {NEO_ISA_NEON, "+neon"},
    {NEO_ISA_DOTPROD, "+dotprod"},
    {NEO_ISA_FP16, "+fullfp16"},
    {NEO_ISA_VFP4, "+vfp4,+fp16,+hwdiv-arm,+hwdiv"},
    {NEO_ISA_RVV, "+v"},
    {NEO_ISA_RVV256, "+zvl256b"},
    {NEO_ISA_SVE256, "+sve"},
    {NEO_ISA_HVX, "+hvxv65,+hvx-length128b"},
};

/* What every target of the architecture has. */
typedef struct base_row {
  const char *arch, *cpu, *features;
} base_row;

static const base_row bases[] = {
    {"x86_64", "x86-64", ""},
    {"aarch64", "generic", ""},
    {"armv7", "generic", "+vfp3d16"},
    {"riscv64", "generic-rv64", "+m,+a,+f,+d,+c"},
    {"hexagon", "hexagonv65", "-small-data"},
};

static void feature_text(const neo_target *target, const base_row *base, neo_buf *out) {
  neo_buf_text(out, base->features);
  for (int k = 0; k < NEO_COUNT(feature_rows); k++)
    if (neo_target_has(target, feature_rows[k].isa))
      neo_buf_printf(out, "%s%s", out->size ? "," : "", feature_rows[k].features);
}

static const base_row *find_base(const neo_target *target) {
  for (int k = 0; k < NEO_COUNT(bases); k++)
    if (strcmp(bases[k].arch, target->arch) == 0)
      return &bases[k];
  return NULL;
}

neo_status llvm_machine_create(neo_ctx *ctx, const neo_target *target, LLVMTargetMachineRef *out) {
  const base_row *base = find_base(target);
  char *why = NULL;
  LLVMTargetRef llvm_target;
  if (!base)
    return neo_fail(
        ctx, NEO_UNSUPPORTED,
        "llvm: no code for architecture '%s' (x86_64, aarch64, armv7, riscv64, hexagon)",
        target->arch);
  pthread_once(&targets_once, init_targets);
  if (LLVMGetTargetFromTriple(target->triple, &llvm_target, &why)) {
    neo_status status =
        neo_fail(ctx, NEO_UNSUPPORTED, "llvm: triple '%s': %s", target->triple, why);
    LLVMDisposeMessage(why);
    return status;
  }
  neo_buf features = {0};
  feature_text(target, base, &features);
  LLVMTargetMachineRef machine = LLVMCreateTargetMachine(
      llvm_target, target->triple, base->cpu, features.data ? features.data : "",
      LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelSmall);
  neo_buf_fini(&features);
  if (!machine)
    return neo_fail(ctx, NEO_UNSUPPORTED, "llvm: no machine for triple '%s'", target->triple);
  *out = machine;
  return NEO_OK;
}

/* What LLVM calls in the prologue of functions whose frame is larger than a page: Windows commits a
 * stack's pages one by one, from the top. In: rax, the frame's size; changes nothing but flags. In
 * every module, since kernels import nothing. */
static const char stack_probe[] = ".text\n"
                                  ".p2align 4\n"
                                  "___chkstk_ms:\n"
                                  "  pushq %rcx\n"
                                  "  pushq %rax\n"
                                  "  leaq 24(%rsp), %rcx\n"
                                  ".Lneo_page:\n"
                                  "  cmpq $4096, %rax\n"
                                  "  jb .Lneo_rest\n"
                                  "  subq $4096, %rcx\n"
                                  "  orl $0, (%rcx)\n"
                                  "  subq $4096, %rax\n"
                                  "  jmp .Lneo_page\n"
                                  ".Lneo_rest:\n"
                                  "  subq %rax, %rcx\n"
                                  "  orl $0, (%rcx)\n"
                                  "  popq %rax\n"
                                  "  popq %rcx\n"
                                  "  retq\n";

void llvm_machine_prepare(LLVMTargetMachineRef machine, const neo_target *target,
                          LLVMModuleRef module) {
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  LLVMSetModuleDataLayout(module, layout);
  LLVMSetTarget(module, target->triple);
  if (strcmp(target->os, "windows") == 0)
    LLVMSetModuleInlineAsm2(module, stack_probe, strlen(stack_probe));
  LLVMDisposeTargetData(layout);
}

neo_status llvm_machine_emit(neo_ctx *ctx, LLVMTargetMachineRef machine, LLVMModuleRef module,
                             LLVMCodeGenFileType type, neo_buf *out) {
  char *why = NULL;
  LLVMMemoryBufferRef memory = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, type, &why, &memory)) {
    neo_status status = neo_fail(ctx, NEO_INTERNAL, "llvm: %s", why ? why : "cannot emit code");
    LLVMDisposeMessage(why);
    return status;
  }
  neo_buf_append(out, LLVMGetBufferStart(memory), LLVMGetBufferSize(memory));
  LLVMDisposeMemoryBuffer(memory);
  return out->failed ? neo_fail(ctx, NEO_NO_MEMORY, "llvm: no memory for the emitted code")
                     : NEO_OK;
}
