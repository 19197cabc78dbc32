/* Asks the processor that we run on: CPUID and XGETBV on x86-64, the kernel's capability words and
 * MIDR on aarch64.
 *
 * The decoding is in host_cpu_decode.c, so that captured machines can be tested anywhere; here is
 * only what needs the machine itself. One definition of neo_host_cpu per architecture; any other is
 * portable C. */
#include "target/host_cpu.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)

#include <cpuid.h>

/* XGETBV by its opcode's mnemonic: the compiler's builtin would need -mxsave for the whole file. */
static uint64_t read_xcr0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

bool neo_host_cpu(neo_target *out) {
  neo_cpuid id = {0};
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d)) {
    memcpy(id.vendor, &b, 4);
    memcpy(id.vendor + 4, &d, 4);
    memcpy(id.vendor + 8, &c, 4);
  }
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    id.signature = a;
    id.leaf1_ecx = c;
  }
  uint32_t subleaves = 0;
  if (__get_cpuid_count(7, 0, &subleaves, &b, &c, &d)) {
    id.leaf7_ebx = b;
    id.leaf7_ecx = c;
  }
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
    id.leaf7_1_eax = a;
  if (id.leaf1_ecx >> 27 & 1)
    id.xcr0 = read_xcr0();
  neo_cpuid_describe(&id, out);
  return true;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

bool neo_host_cpu(neo_target *out) {
  enum { HWCAP_DOT_PRODUCT = 20, HWCAP_HALF_VECTORS = 10 };
  unsigned long capabilities = getauxval(AT_HWCAP);
  char text[32] = "0";
  FILE *file = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "re");
  if (file && !fgets(text, sizeof(text), file))
    text[0] = '\0';
  if (file)
    fclose(file);
  neo_midr_describe(strtoull(text, NULL, 16), capabilities >> HWCAP_DOT_PRODUCT & 1,
                    capabilities >> HWCAP_HALF_VECTORS & 1, out);
  return true;
}

#else

bool neo_host_cpu(neo_target *out) {
  snprintf(out->arch, sizeof(out->arch), "c");
  snprintf(out->cpu, sizeof(out->cpu), "generic");
  out->vector_bytes = 4;
  out->vector_registers = 16;
  out->fma_ports = 1;
  out->fma_latency = 4;
  return false;
}

#endif

static double first_number(const char *path, const char *key) {
  char line[512];
  double value = 0;
  FILE *file = fopen(path, "re");
  while (file && value == 0 && fgets(line, sizeof(line), file)) {
    const char *at = strstr(line, key);
    neo_scan scan;
    neo_scan_init(&scan, at ? at + strcspn(at, "0123456789") : "");
    if (!neo_scan_double(&scan, &value))
      value = 0;
  }
  if (file)
    fclose(file);
  return value;
}

double neo_host_ghz(void) {
  double khz = first_number("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency", "");
  if (khz <= 0)
    khz = first_number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "");
  if (khz <= 0)
    khz = 1000 * first_number("/proc/cpuinfo", "cpu MHz");
  return khz > 1e5 && khz < 1e7 ? khz * 1e-6 : 2.0;
}
