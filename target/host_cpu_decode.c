/* From CPUID (x86) or MIDR (Arm) to the fields of a target. Pure: tests feed it captured machines.
 *
 * Why the OS matters: AVX and AVX-512 need the OS to save the wide registers; a hypervisor or an
 * old kernel may leave that off while CPUID still shows the feature, so XCR0 is asked too (Intel
 * SDM volume 1, 13.3).
 *
 * FMA ports and latencies per microarchitecture come from the vendors' optimisation guides and
 * uops.info. They only steer the analytic model; an unknown processor gets a safe default: two
 * ports up to 32-byte vectors, one for 64-byte ones, four cycles. */
#include "target/host_cpu.h"

#include <string.h>

#define BIT(name) (UINT64_C(1) << NEO_ISA_##name)

static bool bit(uint64_t word, int index) {
  return (word >> index) & 1;
}

static uint64_t decode_isa(const neo_cpuid *id) {
  bool saves_ymm = bit(id->leaf1_ecx, 27) && (id->xcr0 & 0x6) == 0x6;
  bool saves_zmm = saves_ymm && (id->xcr0 & 0xe0) == 0xe0;
  bool avx = saves_ymm && bit(id->leaf1_ecx, 28);
  const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  uint64_t isa = bit(id->leaf1_ecx, 20) ? BIT(SSE42) : 0;
  if (!avx)
    return isa;
  isa |= bit(id->leaf7_ebx, 5) ? BIT(AVX2) : 0;
  isa |= bit(id->leaf1_ecx, 12) ? BIT(FMA) : 0;
  isa |= bit(id->leaf1_ecx, 29) ? BIT(F16C) : 0;
  isa |= bit(id->leaf7_1_eax, 4) ? BIT(AVX_VNNI) : 0;
  if (!saves_zmm || (id->leaf7_ebx & avx512) != avx512)
    return isa;
  isa |= BIT(AVX512);
  isa |= bit(id->leaf7_ecx, 11) ? BIT(AVX512_VNNI) : 0;
  isa |= bit(id->leaf7_1_eax, 5) ? BIT(AVX512_BF16) : 0;
  return isa;
}

typedef struct core_row {
  int vendor; /* 'A' AMD (and Hygon), 'I' Intel */
  int family, first_model, last_model;
  uint64_t needs; /* features that tell models of one number apart; first match wins */
  const char *cpu;
  int ports, ports_wide, latency; /* up to 32-byte vectors; 64-byte ones */
} core_row;

static const core_row cores[] = {
    {'A', 0x17, 0x00, 0x2f, 0, "znver1", 1, 1, 5},
    {'A', 0x17, 0x30, 0xff, 0, "znver2", 2, 1, 5},
    {'A', 0x18, 0x00, 0xff, 0, "znver1", 1, 1, 5},
    {'A', 0x19, 0x10, 0x1f, 0, "znver4", 2, 1, 4},
    {'A', 0x19, 0x60, 0xaf, 0, "znver4", 2, 1, 4},
    {'A', 0x19, 0x00, 0xff, 0, "znver3", 2, 1, 4},
    {'A', 0x1a, 0x20, 0x2f, 0, "znver5", 2, 1, 4},
    {'A', 0x1a, 0x00, 0xff, 0, "znver5", 2, 2, 4},
    {'I', 6, 0x3c, 0x3c, 0, "haswell", 2, 1, 5},
    {'I', 6, 0x3f, 0x3f, 0, "haswell", 2, 1, 5},
    {'I', 6, 0x45, 0x46, 0, "haswell", 2, 1, 5},
    {'I', 6, 0x3d, 0x3d, 0, "broadwell", 2, 1, 5},
    {'I', 6, 0x47, 0x47, 0, "broadwell", 2, 1, 5},
    {'I', 6, 0x4f, 0x4f, 0, "broadwell", 2, 1, 5},
    {'I', 6, 0x56, 0x56, 0, "broadwell", 2, 1, 5},
    {'I', 6, 0x4e, 0x4e, 0, "skylake", 2, 1, 4},
    {'I', 6, 0x5e, 0x5e, 0, "skylake", 2, 1, 4},
    {'I', 6, 0x8e, 0x8e, 0, "skylake", 2, 1, 4},
    {'I', 6, 0x9e, 0x9e, 0, "skylake", 2, 1, 4},
    {'I', 6, 0xa5, 0xa6, 0, "skylake", 2, 1, 4},
    {'I', 6, 0x55, 0x55, BIT(AVX512_BF16), "cooperlake", 2, 2, 4},
    {'I', 6, 0x55, 0x55, BIT(AVX512_VNNI), "cascadelake", 2, 2, 4},
    {'I', 6, 0x55, 0x55, 0, "skylake-avx512", 2, 2, 4},
    {'I', 6, 0x6a, 0x6c, 0, "icelake-server", 2, 2, 4},
    {'I', 6, 0x7d, 0x7e, 0, "icelake-client", 2, 1, 4},
    {'I', 6, 0x8c, 0x8d, 0, "tigerlake", 2, 1, 4},
    {'I', 6, 0xa7, 0xa7, 0, "rocketlake", 2, 1, 4},
    {'I', 6, 0x8f, 0x8f, 0, "sapphirerapids", 2, 2, 4},
    {'I', 6, 0xcf, 0xcf, 0, "emeraldrapids", 2, 2, 4},
    {'I', 6, 0xad, 0xae, 0, "graniterapids", 2, 2, 4},
    {'I', 6, 0x97, 0x97, 0, "alderlake", 2, 1, 4},
    {'I', 6, 0x9a, 0x9a, 0, "alderlake", 2, 1, 4},
    {'I', 6, 0xb7, 0xb7, 0, "raptorlake", 2, 1, 4},
    {'I', 6, 0xba, 0xba, 0, "raptorlake", 2, 1, 4},
    {'I', 6, 0xbf, 0xbf, 0, "raptorlake", 2, 1, 4},
};

static const core_row *find_core(const neo_cpuid *id, uint64_t isa) {
  int base_family = (id->signature >> 8) & 15;
  int family = base_family == 15 ? 15 + (int)((id->signature >> 20) & 255) : base_family;
  int model = (int)((id->signature >> 4) & 15);
  if (base_family == 6 || base_family == 15)
    model |= (int)((id->signature >> 12) & 0xf0);
  bool amd = strcmp(id->vendor, "AuthenticAMD") == 0 || strcmp(id->vendor, "HygonGenuine") == 0;
  bool intel = strcmp(id->vendor, "GenuineIntel") == 0;
  int vendor = amd ? 'A' : intel ? 'I' : 0;
  for (int i = 0; i < NEO_COUNT(cores); i++) {
    const core_row *row = &cores[i];
    if (row->vendor == vendor && row->family == family && row->first_model <= model &&
        model <= row->last_model && (isa & row->needs) == row->needs)
      return row;
  }
  return NULL;
}

/* An ISA level that LLVM knows as a cpu; for processors that the table does not hold. */
static const char *level_name(uint64_t isa) {
  const uint64_t v3 = BIT(SSE42) | BIT(AVX2) | BIT(FMA) | BIT(F16C);
  if ((isa & (v3 | BIT(AVX512))) == (v3 | BIT(AVX512)))
    return "x86-64-v4";
  if ((isa & v3) == v3)
    return "x86-64-v3";
  return isa & BIT(SSE42) ? "x86-64-v2" : "x86-64";
}

void neo_cpuid_describe(const neo_cpuid *id, neo_target *out) {
  uint64_t isa = decode_isa(id);
  const core_row *row = find_core(id, isa);
  bool wide = isa & BIT(AVX512);
  snprintf(out->arch, sizeof(out->arch), "x86_64");
  snprintf(out->triple, sizeof(out->triple), "x86_64-unknown-linux-gnu");
  snprintf(out->cpu, sizeof(out->cpu), "%s", row ? row->cpu : level_name(isa));
  out->isa = isa;
  out->vector_bytes = wide ? 64 : isa & BIT(AVX2) ? 32 : 16;
  out->vector_registers = wide ? 32 : 16;
  int ports = row ? row->ports : 2, ports_wide = row ? row->ports_wide : 1;
  out->fma_ports = wide ? ports_wide : isa & BIT(FMA) ? ports : 1;
  out->fma_latency = row ? row->latency : 4;
}

typedef struct arm_row {
  int implementer, part;
  const char *cpu;
  int ports, latency;
} arm_row;

static const arm_row arm_cores[] = {
    {0x41, 0xd03, "cortex-a53", 1, 8},  {0x41, 0xd05, "cortex-a55", 1, 4},
    {0x41, 0xd07, "cortex-a57", 1, 10}, {0x41, 0xd08, "cortex-a72", 1, 7},
    {0x41, 0xd09, "cortex-a73", 1, 7},  {0x41, 0xd0a, "cortex-a75", 2, 5},
    {0x41, 0xd0b, "cortex-a76", 2, 4},  {0x41, 0xd0d, "cortex-a77", 2, 4},
    {0x41, 0xd41, "cortex-a78", 2, 4},  {0x41, 0xd0c, "neoverse-n1", 2, 4},
    {0x41, 0xd49, "neoverse-n2", 2, 4}, {0x41, 0xd40, "neoverse-v1", 4, 4},
    {0x41, 0xd4f, "neoverse-v2", 4, 4},
};

void neo_midr_describe(uint64_t midr, bool dotprod, bool fp16, neo_target *out) {
  int implementer = (int)(midr >> 24 & 0xff), part = (int)(midr >> 4 & 0xfff);
  const arm_row *row = NULL;
  for (int i = 0; i < NEO_COUNT(arm_cores) && !row; i++)
    if (arm_cores[i].implementer == implementer && arm_cores[i].part == part)
      row = &arm_cores[i];
  snprintf(out->arch, sizeof(out->arch), "aarch64");
  snprintf(out->triple, sizeof(out->triple), "aarch64-unknown-linux-gnu");
  snprintf(out->cpu, sizeof(out->cpu), "%s", row ? row->cpu : "generic");
  out->isa = BIT(NEON) | (dotprod ? BIT(DOTPROD) : 0) | (fp16 ? BIT(FP16) : 0);
  out->vector_bytes = 16;
  out->vector_registers = 32;
  out->fma_ports = row ? row->ports : 1;
  out->fma_latency = row ? row->latency : 4;
}
