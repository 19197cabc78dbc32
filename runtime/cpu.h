/* runtime/cpu.h: what this processor can do, in the ISA bits of docs/formats/plan.md (= neo_isa of
 * target/). */
#ifndef NEO_RUNTIME_CPU_H
#define NEO_RUNTIME_CPU_H

#include "runtime/runtime.h"

/* X(enumerator, text): the bit is the position */
#define NEO_CPU_FEATURES(X)                                                                        \
  X(SSE42, "sse4.2")                                                                               \
  X(AVX2, "avx2")                                                                                  \
  X(FMA, "fma")                                                                                    \
  X(F16C, "f16c")                                                                                  \
  X(AVX512, "avx512")                                                                              \
  X(AVX512_VNNI, "avx512vnni")                                                                     \
  X(AVX_VNNI, "avxvnni")                                                                           \
  X(AVX512_BF16, "avx512bf16")                                                                     \
  X(NEON, "neon")                                                                                  \
  X(DOTPROD, "dotprod")                                                                            \
  X(FP16, "fp16")                                                                                  \
  X(VFP4, "vfp4")                                                                                  \
  X(RVV, "rvv")                                                                                    \
  X(RVV256, "rvv256")                                                                              \
  X(SVE256, "sve256")                                                                              \
  X(HVX, "hvx")

typedef enum neo_cpu_feature {
#define X(name, text) NEO_CPU_##name,
  NEO_CPU_FEATURES(X)
#undef X
      NEO_CPU_FEATURE_COUNT
} neo_cpu_feature;

uint64_t neo_cpu_isa(void); /* supported by the processor and enabled by the system */
/* "avx512, avx512vnni": the names of bits; "bit 17" where there is none. Cut at size. */
void neo_cpu_names(uint64_t isa, char *out, size_t size);

/* Takes a stretch of memory out of all caches (clean lines stay in memory, dirty ones are written
 * back). false: this processor has no instruction for it, nothing happened. */
bool neo_cpu_evict(const void *data, size_t bytes);

#endif
