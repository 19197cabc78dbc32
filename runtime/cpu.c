/* CPU features: whether an artifact's code may run here.
 *
 * Why not target/: the runtime depends on libc alone. The bits are the ones of the plan format; a
 * test holds them against target/'s.
 *
 * How: x86-64 asks CPUID, and XGETBV whether the system saves the wide registers ("Intel 64 and
 * IA-32 Architectures SDM", volume 1, 14.3 and 15.2); Arm asks the auxiliary vector, and aarch64
 * the system for the length of scalable vectors; RISC-V reads the length of vectors, since
 * Linux before 6.5 and qemu before 8 do not tell that there are any. */
#include "runtime/cpu.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#elif defined(__arm__)
#include <sys/auxv.h>
#elif defined(__riscv)
#include <signal.h>
#include <ucontext.h>
#endif

#define BIT(name) ((uint64_t)1 << NEO_CPU_##name)

#if defined(__x86_64__)

const char *neo_cpu_arch(void) {
  return "x86_64";
}

static uint64_t enabled_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static uint64_t avx512_bits(uint32_t ebx7, uint32_t ecx7, uint32_t eax71) {
  const uint32_t all = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  if ((ebx7 & all) != all)
    return 0;
  return BIT(AVX512) | (ecx7 & 1u << 11 ? BIT(AVX512_VNNI) : 0) |
         (eax71 & 1u << 5 ? BIT(AVX512_BF16) : 0);
}

uint64_t neo_cpu_isa(void) {
  enum { OSXSAVE = 1 << 27, YMM_STATE = 0x06, ZMM_STATE = 0xe6 };
  uint32_t a, b, c, d, eax71 = 0, ebx7 = 0, ecx7 = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return 0;
  uint32_t ecx1 = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    ebx7 = b;
    ecx7 = c;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
      eax71 = a;
  }
  uint64_t isa = ecx1 & 1u << 20 ? BIT(SSE42) : 0;
  uint64_t state = ecx1 & OSXSAVE ? enabled_state() : 0;
  if ((state & YMM_STATE) != YMM_STATE)
    return isa;
  isa |= (ecx1 & 1u << 12 ? BIT(FMA) : 0) | (ecx1 & 1u << 29 ? BIT(F16C) : 0) |
         (ebx7 & 1u << 5 ? BIT(AVX2) : 0) | (eax71 & 1u << 4 ? BIT(AVX_VNNI) : 0);
  if ((state & ZMM_STATE) == ZMM_STATE)
    isa |= avx512_bits(ebx7, ecx7, eax71);
  return isa;
}

void neo_cpu_model(char *out, size_t size) {
  uint32_t word[13] = {0};
  for (uint32_t i = 0; i < 3; i++)
    if (!__get_cpuid(0x80000002u + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2],
                     &word[4 * i + 3]))
      memcpy(word, "unknown", 8);
  const char *text = (const char *)word;
  snprintf(out, size, "%s", text + strspn(text, " "));
  for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
    out[n - 1] = '\0';
}

#elif defined(__aarch64__)

const char *neo_cpu_arch(void) {
  return "aarch64";
}

#ifndef PR_SVE_GET_VL
#define PR_SVE_GET_VL 51
#endif

static bool has_wide_sve(unsigned long caps) {
  enum { LENGTH = 0xffff };
  int vl = caps & 1ul << 22 ? prctl(PR_SVE_GET_VL, 0, 0, 0, 0) : -1;
  return vl >= 0 && (vl & LENGTH) >= 32;
}

uint64_t neo_cpu_isa(void) {
  unsigned long caps = getauxval(AT_HWCAP);
  return (caps & 1ul << 1 ? BIT(NEON) : 0) | (caps & 1ul << 20 ? BIT(DOTPROD) : 0) |
         ((caps & 1ul << 9) && (caps & 1ul << 10) ? BIT(FP16) : 0) |
         (has_wide_sve(caps) ? BIT(SVE256) : 0);
}

void neo_cpu_model(char *out, size_t size) {
  snprintf(out, size, "aarch64");
}

#elif defined(__arm__)

const char *neo_cpu_arch(void) {
  return "armv7";
}

/* VFPv4 has fused multiply-adds; integer division is asked for, too, since code relies on both. */
uint64_t neo_cpu_isa(void) {
  unsigned long caps = getauxval(AT_HWCAP);
  return (caps & 1ul << 12 ? BIT(NEON) : 0) |
         ((caps & 1ul << 16) && (caps & 1ul << 17) ? BIT(VFP4) : 0);
}

void neo_cpu_model(char *out, size_t size) {
  snprintf(out, size, "armv7");
}

#elif defined(__riscv)

const char *neo_cpu_arch(void) {
  return "riscv64";
}

static void skip_instruction(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC] += 4;
}

/* Bytes of a vector; 0: none. The instruction that an older processor does not know is skipped. */
static unsigned long vector_bytes(void) {
  struct sigaction skip = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO}, before;
  unsigned long bytes = 0;
  if (sigaction(SIGILL, &skip, &before) != 0)
    return 0;
  __asm__ volatile(".option push\n\t.option norvc\n\tcsrr %0, 0xc22\n\t.option pop"
                   : "+r"(bytes)); /* vlenb */
  sigaction(SIGILL, &before, NULL);
  return bytes;
}

uint64_t neo_cpu_isa(void) {
  unsigned long bytes = vector_bytes();
  return (bytes >= 16 ? BIT(RVV) : 0) | (bytes >= 32 ? BIT(RVV256) : 0);
}

void neo_cpu_model(char *out, size_t size) {
  snprintf(out, size, "riscv64");
}

#elif defined(__hexagon__)

const char *neo_cpu_arch(void) {
  return "hexagon";
}

/* No instruction that a program may use tells; what was built with vectors is for such processors.
 */
uint64_t neo_cpu_isa(void) {
#ifdef __HVX__
  return BIT(HVX);
#else
  return 0;
#endif
}

void neo_cpu_model(char *out, size_t size) {
  snprintf(out, size, "hexagon");
}

#else

const char *neo_cpu_arch(void) {
  return "other";
}
uint64_t neo_cpu_isa(void) {
  return 0;
}
void neo_cpu_model(char *out, size_t size) {
  snprintf(out, size, "unknown");
}

#endif

/* ---- eviction ------------------------------------------------------------------------------------ */

#if defined(__x86_64__)

/* clflushopt; a processor without it ignores the 66 prefix and does clflush. */
bool neo_cpu_evict(const void *data, size_t bytes) {
  enum { LINE = 64 };
  const char *at = data, *end = at + bytes;
  for (at -= (uintptr_t)at % LINE; at < end; at += LINE)
    __asm__ volatile(".byte 0x66\n\tclflush %0" ::"m"(*at) : "memory");
  __asm__ volatile("mfence" ::: "memory");
  return true;
}

#elif defined(__aarch64__)

/* dc civac, which Linux allows; CTR_EL0 bits 16..19 are the log2 of the line's words. */
bool neo_cpu_evict(const void *data, size_t bytes) {
  uint64_t ctr;
  __asm__ volatile("mrs %0, ctr_el0" : "=r"(ctr));
  uintptr_t line = (uintptr_t)4 << (ctr >> 16 & 15);
  const char *at = data, *end = at + bytes;
  for (at -= (uintptr_t)at % line; at < end; at += line)
    __asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
  __asm__ volatile("dsb sy" ::: "memory");
  return true;
}

#else

bool neo_cpu_evict(const void *data, size_t bytes) {
  (void)data;
  (void)bytes;
  return false;
}

#endif

static const char *const names[] = {
#define X(name, text) text,
    NEO_CPU_FEATURES(X)
#undef X
};

void neo_cpu_names(uint64_t isa, char *out, size_t size) {
  size_t at = 0;
  if (size)
    out[0] = '\0';
  for (int bit = 0; bit < 64 && at < size; bit++) {
    if (!(isa >> bit & 1))
      continue;
    const char *comma = at ? ", " : "";
    int n = bit < NEO_CPU_FEATURE_COUNT ? snprintf(out + at, size - at, "%s%s", comma, names[bit])
                                        : snprintf(out + at, size - at, "%sbit %d", comma, bit);
    at += n > 0 ? (size_t)n : 0;
  }
}
