/* target/host_cpu.h: what the machine says about its own processor. Inside target/ and its tests.
 */
#ifndef NEO_TARGET_HOST_CPU_H
#define NEO_TARGET_HOST_CPU_H

#include "target/target.h"

/* Raw answers of the CPUID and XGETBV instructions, as read or as captured from another machine. */
typedef struct neo_cpuid {
  char vendor[13];
  uint32_t signature;            /* leaf 1 EAX: family and model */
  uint32_t leaf1_ecx;            /* SSE4.2, FMA, F16C, OSXSAVE, AVX */
  uint32_t leaf7_ebx, leaf7_ecx; /* AVX2, AVX-512 */
  uint32_t leaf7_1_eax;          /* AVX-VNNI, AVX512-BF16 */
  uint64_t xcr0;                 /* register state that the OS saves; 0 without OSXSAVE */
} neo_cpuid;

/* arch, triple, cpu, isa, vector and FMA fields; caches and ghz are left alone. */
void neo_cpuid_describe(const neo_cpuid *id, neo_target *out);
/* The same for an Arm core: MIDR_EL1 (0: unknown) and the dot product and FP16 capabilities. */
void neo_midr_describe(uint64_t midr, bool dotprod, bool fp16, neo_target *out);

/* This processor, no caches. False on an architecture that we do not know; out is then "c". */
bool neo_host_cpu(neo_target *out);
/* A nominal clock in GHz from what the OS offers; 2.0 if it offers nothing. */
double neo_host_ghz(void);

#endif
