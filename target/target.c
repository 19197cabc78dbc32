/* Targets: known devices, their canonical text, and this machine.
 *
 * Why text: records and artifacts name the device that they are for by this line; it must be the
 * same on every host, so it holds only what changes generated code or its ranking.
 *
 * Format, one line, fields in this order, one blank between them:
 *   ARCH FEATURES vec=BYTES regs=N fma=PORTSxLATENCY l1=BYTES l2=BYTES l3=BYTES cpu=NAME [os=NAME]
 * and for a GPU, behind them:
 *   gpu=API units=N simd=N items=N shared=BYTES model=NAME [device=NAME]
 * ARCH is a row of `architectures`; FEATURES are names of NEO_ISA_FEATURES joined by commas,
 * printed in the order of that table, or "-" for none. Parsing accepts features in any order and
 * nothing else that printing would not give. The LLVM triple follows from ARCH and os. */
#include "target/target.h"

#include <string.h>

#include "target/host_cpu.h"

#define NEO_BIT(name) (UINT64_C(1) << NEO_ISA_##name)

static const double unknown_ghz = 2.0;

typedef struct architecture {
  const char *name, *triple;
  uint64_t features; /* all that its targets may have */
  uint64_t fusing;   /* any of these: a fused multiply-add */
  bool fuses;        /* always */
  int pointer_bytes;
} architecture;

static const architecture architectures[] = {
    {"x86_64", "x86_64-unknown-linux-gnu",
     NEO_BIT(SSE42) | NEO_BIT(AVX2) | NEO_BIT(FMA) | NEO_BIT(F16C) | NEO_BIT(AVX512) |
         NEO_BIT(AVX512_VNNI) | NEO_BIT(AVX_VNNI) | NEO_BIT(AVX512_BF16),
     NEO_BIT(FMA) | NEO_BIT(AVX512), false, 8},
    {"aarch64", "aarch64-unknown-linux-gnu",
     NEO_BIT(NEON) | NEO_BIT(DOTPROD) | NEO_BIT(FP16) | NEO_BIT(SVE256), NEO_BIT(NEON), false, 8},
    {"armv7", "armv7-unknown-linux-gnueabihf", NEO_BIT(NEON) | NEO_BIT(VFP4), NEO_BIT(VFP4), false,
     4},
    {"riscv64", "riscv64-unknown-linux-gnu", NEO_BIT(RVV) | NEO_BIT(RVV256), 0, true, 8},
    {"hexagon", "hexagon-unknown-none-elf", NEO_BIT(HVX), 0, true, 4},
    {"c", "", 0, 0, false, 8},
};

/* Operating systems other than the architectures' own, where the generated code or its file
 * differs. */
typedef struct platform {
  const char *arch, *os, *triple;
} platform;

static const platform platforms[] = {
    {"x86_64", "windows", "x86_64-w64-windows-gnu"},
    {"aarch64", "android", "aarch64-unknown-linux-android24"},
};

static const char *const feature_names[] = {
#define X(name, text) text,
    NEO_ISA_FEATURES(X)
#undef X
};

typedef struct target_row {
  const char *name, *about, *arch;
  uint64_t isa;
  int vector_bytes, vector_registers, fma_ports, fma_latency;
  int64_t l1d, l2, l3;
  double ghz;
  const char *cpu;
  const char *accelerators; /* NULL: none */
} target_row;

static const target_row rows[] = {
#define NEO_TARGET_ROW(...) {__VA_ARGS__},
#include "target/targets.def"
};

/* GPUs, with the name of the row of the processor that drives them. */
typedef struct gpu_row {
  const char *name, *about, *host;
  neo_gpu gpu;
  int64_t l2;
  double ghz;
} gpu_row;

static const gpu_row gpu_rows[] = {
#define NEO_GPU_ROW(name, about, host, api, model, units, simd, items, shared, l2, ghz)            \
  {name, about, host, {api, model, units, simd, items, shared}, l2, ghz},
#include "target/gpus.def"
};

static const architecture *find_architecture(const char *name) {
  for (int i = 0; i < NEO_COUNT(architectures); i++)
    if (strcmp(architectures[i].name, name) == 0)
      return &architectures[i];
  return NULL;
}

/* Makes the target one of `os`, of `size` characters; false: not for this architecture. */
static bool set_os(neo_target *target, const char *os, size_t size) {
  for (int i = 0; i < NEO_COUNT(platforms); i++) {
    const platform *p = &platforms[i];
    if (strcmp(p->arch, target->arch) != 0 || strlen(p->os) != size || memcmp(p->os, os, size) != 0)
      continue;
    snprintf(target->os, sizeof(target->os), "%s", p->os);
    snprintf(target->triple, sizeof(target->triple), "%s", p->triple);
    return true;
  }
  return false;
}

const char *neo_target_accelerators(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0 && rows[i].accelerators)
      return rows[i].accelerators;
  return "";
}

static neo_target row_target(const target_row *row) {
  neo_target target = {.isa = row->isa,
                       .vector_bytes = row->vector_bytes,
                       .vector_registers = row->vector_registers,
                       .fma_ports = row->fma_ports,
                       .fma_latency = row->fma_latency,
                       .l1d = row->l1d,
                       .l2 = row->l2,
                       .l3 = row->l3,
                       .ghz = row->ghz};
  snprintf(target.arch, sizeof(target.arch), "%s", row->arch);
  snprintf(target.triple, sizeof(target.triple), "%s", find_architecture(row->arch)->triple);
  snprintf(target.cpu, sizeof(target.cpu), "%s", row->cpu);
  return target;
}

static const target_row *find_row(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      return &rows[i];
  return NULL;
}

/* Code of the processor is no more than data around the GPU's: no feature is needed. */
static neo_target gpu_target(const gpu_row *row) {
  neo_target target = row_target(find_row(row->host));
  target.gpu = row->gpu;
  target.isa = 0;
  snprintf(target.cpu, sizeof(target.cpu), "generic");
  target.vector_bytes = 16;
  target.vector_registers = 64;
  target.fma_ports = 1;
  target.fma_latency = 4;
  target.l1d = row->gpu.shared;
  target.l2 = row->l2;
  target.l3 = 0;
  target.ghz = row->ghz;
  return target;
}

void neo_target_visit(void (*fn)(void *self, const char *name, const char *about,
                                 const neo_target *target),
                      void *self) {
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_target target = row_target(&rows[i]);
    fn(self, rows[i].name, rows[i].about, &target);
  }
  for (int i = 0; i < NEO_COUNT(gpu_rows); i++) {
    neo_target target = gpu_target(&gpu_rows[i]);
    fn(self, gpu_rows[i].name, gpu_rows[i].about, &target);
  }
}

/* Caches come from hwloc; where it knows none (some virtual machines), the ISA level's row is a
 * fair guess. */
static neo_status detect_host(neo_ctx *ctx, neo_target *out) {
  neo_target target = {0};
  neo_cores cores;
  (void)neo_host_cpu(&target);
  NEO_TRY(neo_cores_detect(ctx, NULL, &cores));
  target.l1d = cores.l1d > 0 ? cores.l1d : 32 * 1024;
  target.l2 = cores.l2 > 0 ? cores.l2 : 256 * 1024;
  target.l3 = cores.l3;
  target.ghz = neo_host_ghz();
  *out = target;
  return NEO_OK;
}

/* Is one the other but for one letter, or the beginning of it? */
static bool resembles(const char *name, const char *row) {
  size_t n = strlen(name), m = strlen(row), head = 0, tail = 0;
  while (head < n && head < m && name[head] == row[head])
    head++;
  while (tail < n - head && tail < m - head && name[n - 1 - tail] == row[m - 1 - tail])
    tail++;
  return n >= 3 && (head == n || (n - head - tail <= 1 && m - head - tail <= 1));
}

static neo_status fail_unknown(neo_ctx *ctx, const char *name) {
  neo_buf names = {0};
  for (int i = 0; i < NEO_COUNT(rows) + NEO_COUNT(gpu_rows); i++) {
    const char *row = i < NEO_COUNT(rows) ? rows[i].name : gpu_rows[i - NEO_COUNT(rows)].name;
    if (resembles(name, row))
      neo_buf_printf(&names, "%s%s", names.size ? " or " : "; did you mean ", row);
  }
  neo_status status =
      neo_fail(ctx, NEO_USAGE,
               "target '%.40s' is unknown%s; `neo targets` lists all, and some take -windows "
               "or -android behind their name",
               name, names.data ? names.data : "");
  neo_buf_fini(&names);
  return status;
}

/* The target called name[0..size): "host" or a row. *out_found: there is one. */
static neo_status find_name(neo_ctx *ctx, const char *name, size_t size, neo_target *out,
                            bool *out_found) {
  *out_found = size == 4 && memcmp(name, "host", 4) == 0;
  if (*out_found)
    return detect_host(ctx, out);
  for (int i = 0; i < NEO_COUNT(rows) && !*out_found; i++) {
    *out_found = strlen(rows[i].name) == size && memcmp(rows[i].name, name, size) == 0;
    if (*out_found)
      *out = row_target(&rows[i]);
  }
  for (int i = 0; i < NEO_COUNT(gpu_rows) && !*out_found; i++) {
    *out_found = strlen(gpu_rows[i].name) == size && memcmp(gpu_rows[i].name, name, size) == 0;
    if (*out_found)
      *out = gpu_target(&gpu_rows[i]);
  }
  return NEO_OK;
}

neo_status neo_target_find(neo_ctx *ctx, const char *name, neo_target *out) {
  neo_target target = {0};
  bool found;
  if (!name)
    name = "host";
  if (strchr(name, ' '))
    return neo_target_parse(ctx, name, out);
  NEO_TRY(find_name(ctx, name, strlen(name), &target, &found));
  const char *dash = strrchr(name, '-');
  if (!found && dash) {
    NEO_TRY(find_name(ctx, name, (size_t)(dash - name), &target, &found));
    if (found && neo_target_is_gpu(&target) && strcmp(dash, "-windows") == 0)
      return neo_fail(ctx, NEO_UNSUPPORTED,
                      "target '%.40s': no GPU is driven under Windows: compile for %.*s, or for "
                      "Windows' processor (x86-64-v3-windows, ...)",
                      name, (int)(dash - name), name);
    found = found && set_os(&target, dash + 1, strlen(dash + 1));
  }
  if (!found)
    return fail_unknown(ctx, name);
  *out = target;
  return NEO_OK;
}

void neo_target_print(neo_buf *buf, const neo_target *target) {
  neo_buf_printf(buf, "%s ", target->arch);
  const char *separator = "";
  for (int i = 0; i < NEO_ISA_COUNT; i++) {
    if (!neo_target_has(target, (neo_isa)i))
      continue;
    neo_buf_printf(buf, "%s%s", separator, feature_names[i]);
    separator = ",";
  }
  neo_buf_printf(buf, "%s vec=%d regs=%d fma=%dx%d l1=%lld l2=%lld l3=%lld cpu=%s",
                 target->isa ? "" : "-", target->vector_bytes, target->vector_registers,
                 target->fma_ports, target->fma_latency, (long long)target->l1d,
                 (long long)target->l2, (long long)target->l3, target->cpu);
  if (target->os[0])
    neo_buf_printf(buf, " os=%s", target->os);
  const neo_gpu *gpu = &target->gpu;
  if (neo_target_is_gpu(target))
    neo_buf_printf(buf, " gpu=%s units=%d simd=%d items=%d shared=%lld model=%s", gpu->api,
                   gpu->units, gpu->simd, gpu->items, (long long)gpu->shared, gpu->model);
  if (neo_target_is_gpu(target) && gpu->device[0])
    neo_buf_printf(buf, " device=%s", gpu->device);
}

/* The word up to the next blank, comma or end, at most size - 1 characters; "" if there is none. */
static void take_word(const char **at, char *out, size_t size) {
  size_t length = strcspn(*at, " ,\n");
  if (length >= size)
    length = 0;
  memcpy(out, *at, length);
  out[length] = '\0';
  *at += length;
}

static neo_status parse_arch(neo_ctx *ctx, const char **at, neo_target *target,
                             const architecture **out_arch) {
  take_word(at, target->arch, sizeof(target->arch));
  const architecture *arch = find_architecture(target->arch);
  if (!arch)
    return neo_fail(
        ctx, NEO_BAD_INPUT,
        "target: architecture '%s' is unknown; known: x86_64 aarch64 armv7 riscv64 hexagon c",
        target->arch);
  snprintf(target->triple, sizeof(target->triple), "%s", arch->triple);
  *out_arch = arch;
  return NEO_OK;
}

static int find_feature(const char *name) {
  for (int i = 0; i < NEO_ISA_COUNT; i++)
    if (strcmp(feature_names[i], name) == 0)
      return i;
  return -1;
}

static neo_status parse_features(neo_ctx *ctx, const char **at, const architecture *arch,
                                 neo_target *target) {
  if (strncmp(*at, "- ", 2) == 0) {
    ++*at;
    return NEO_OK;
  }
  for (;;) {
    char name[24];
    take_word(at, name, sizeof(name));
    int feature = find_feature(name);
    if (feature < 0 || !(arch->features >> feature & 1))
      return neo_fail(ctx, NEO_BAD_INPUT, "target: '%s' is no feature of %s", name, arch->name);
    target->isa |= UINT64_C(1) << feature;
    if (**at != ',')
      return NEO_OK;
    ++*at;
  }
}

/* prefix, then an integer in [low, high] that starts with a digit. */
static neo_status parse_number(neo_ctx *ctx, const char **at, const char *prefix, int64_t low,
                               int64_t high, int64_t *out) {
  size_t length = strlen(prefix);
  if (strncmp(*at, prefix, length) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: '%s' expected at '%.30s'", prefix, *at);
  neo_scan scan;
  int64_t value;
  neo_scan_init(&scan, *at + length);
  bool digit = *scan.at >= '0' && *scan.at <= '9';
  if (!digit || !neo_scan_int(&scan, &value) || value < low || value > high)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: '%.30s': a number from %lld to %lld expected", *at,
                    (long long)low, (long long)high);
  *at = scan.at;
  *out = value;
  return NEO_OK;
}

static neo_status parse_numbers(neo_ctx *ctx, const char **at, neo_target *target) {
  int64_t vec, regs, ports, latency;
  const int64_t largest_cache = INT64_C(1) << 40;
  NEO_TRY(parse_number(ctx, at, " vec=", 4, 256, &vec));
  if (vec & (vec - 1))
    return neo_fail(ctx, NEO_BAD_INPUT, "target: vec=%lld is no power of two", (long long)vec);
  NEO_TRY(parse_number(ctx, at, " regs=", 1, 256, &regs));
  NEO_TRY(parse_number(ctx, at, " fma=", 1, 16, &ports));
  NEO_TRY(parse_number(ctx, at, "x", 1, 64, &latency));
  NEO_TRY(parse_number(ctx, at, " l1=", 0, largest_cache, &target->l1d));
  NEO_TRY(parse_number(ctx, at, " l2=", 0, largest_cache, &target->l2));
  NEO_TRY(parse_number(ctx, at, " l3=", 0, largest_cache, &target->l3));
  target->vector_bytes = (int)vec;
  target->vector_registers = (int)regs;
  target->fma_ports = (int)ports;
  target->fma_latency = (int)latency;
  return NEO_OK;
}

static neo_status parse_cpu(neo_ctx *ctx, const char **at, neo_target *target) {
  static const char allowed[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+";
  if (strncmp(*at, " cpu=", 5) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: ' cpu=' expected at '%.30s'", *at);
  *at += 5;
  size_t length = strspn(*at, allowed);
  bool ends = (*at)[length] == '\0' || strncmp(*at + length, " os=", 4) == 0 ||
              strncmp(*at + length, " gpu=", 5) == 0;
  if (length == 0 || length >= sizeof(target->cpu) || !ends)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: cpu name '%.40s' is not usable", *at);
  memcpy(target->cpu, *at, length);
  target->cpu[length] = '\0';
  *at += length;
  return NEO_OK;
}

static neo_status parse_os(neo_ctx *ctx, const char **at, neo_target *target) {
  if (strncmp(*at, " os=", 4) != 0)
    return NEO_OK;
  const char *os = *at + strlen(" os=");
  size_t length = strcspn(os, " ");
  if (!set_os(target, os, length))
    return neo_fail(ctx, NEO_BAD_INPUT, "target: '%.40s' is no operating system of %s", os,
                    target->arch);
  *at = os + length;
  return NEO_OK;
}

static neo_status parse_gpu(neo_ctx *ctx, const char **at, neo_gpu *gpu) {
  static const char *const apis[] = {"opencl", "cuda"};
  int64_t units, simd, items;
  if (**at == '\0')
    return NEO_OK;
  if (strncmp(*at, " gpu=", 5) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: ' gpu=' expected at '%.30s'", *at);
  *at += 5;
  take_word(at, gpu->api, sizeof(gpu->api));
  if (strcmp(gpu->api, apis[0]) != 0 && strcmp(gpu->api, apis[1]) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: gpu=%s: opencl or cuda expected", gpu->api);
  NEO_TRY(parse_number(ctx, at, " units=", 1, 4096, &units));
  NEO_TRY(parse_number(ctx, at, " simd=", 1, 256, &simd));
  NEO_TRY(parse_number(ctx, at, " items=", 1, 1024, &items));
  NEO_TRY(parse_number(ctx, at, " shared=", 0, 1 << 20, &gpu->shared));
  if (strncmp(*at, " model=", 7) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "target: ' model=' expected at '%.30s'", *at);
  *at += 7;
  take_word(at, gpu->model, sizeof(gpu->model));
  if (gpu->model[0] && strncmp(*at, " device=", 8) == 0) {
    *at += 8;
    take_word(at, gpu->device, sizeof(gpu->device));
    if (!gpu->device[0])
      return neo_fail(ctx, NEO_BAD_INPUT, "target: the GPU's device is not usable");
  }
  if (!gpu->model[0] || **at != '\0')
    return neo_fail(ctx, NEO_BAD_INPUT, "target: the GPU's model is not usable");
  gpu->units = (int)units;
  gpu->simd = (int)simd;
  gpu->items = (int)items;
  return NEO_OK;
}

neo_status neo_target_parse(neo_ctx *ctx, const char *text, neo_target *out) {
  neo_target target = {.ghz = unknown_ghz};
  const architecture *arch = NULL;
  const char *at = text;
  NEO_TRY(parse_arch(ctx, &at, &target, &arch));
  if (*at != ' ')
    return neo_fail(ctx, NEO_BAD_INPUT, "target: features expected after '%s'", target.arch);
  at++;
  NEO_TRY(parse_features(ctx, &at, arch, &target));
  NEO_TRY(parse_numbers(ctx, &at, &target));
  NEO_TRY(parse_cpu(ctx, &at, &target));
  NEO_TRY(parse_os(ctx, &at, &target));
  NEO_TRY(parse_gpu(ctx, &at, &target.gpu));
  if (strcmp(target.os, "windows") == 0 && neo_target_is_gpu(&target))
    return neo_fail(ctx, NEO_UNSUPPORTED, "target: no GPU is driven under os=windows");
  *out = target;
  return NEO_OK;
}

bool neo_target_is_gpu(const neo_target *target) {
  return target->gpu.api[0] != '\0';
}

/* Letters, digits and dots, small; nothing of "(R)" and "(TM)". */
static void plain_letters(const char *text, char *out, size_t size) {
  size_t n = 0;
  for (const char *at = text; *at && n + 1 < size; at++) {
    if (strncmp(at, "(R)", 3) == 0 || strncmp(at, "(TM)", 4) == 0)
      at = strchr(at, ')');
    else if (*at >= 'A' && *at <= 'Z')
      out[n++] = (char)(*at - 'A' + 'a');
    else if ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '.')
      out[n++] = *at;
  }
  out[n] = '\0';
}

/* What follows must not go on with a digit: sm_7 is not in sm_75. */
static bool names_model(const char *device, const char *model) {
  size_t length = strlen(model);
  for (const char *at = device; length > 0 && (at = strstr(at, model)); at++)
    if (at[length] < '0' || at[length] > '9')
      return true;
  return false;
}

bool neo_target_fits_device(const neo_target *target, const char *device) {
  const neo_gpu *gpu = &target->gpu;
  char model[sizeof(gpu->model)], name[NEO_GPU_DEVICE];
  if (gpu->device[0] && strcmp(gpu->device, device) != 0)
    return false;
  plain_letters(gpu->model, model, sizeof(model));
  if (strcmp(gpu->model, "-") == 0)
    return true;
  /* word for word of a GPU's name, so that what follows a number is another part */
  while (*device) {
    size_t length = strcspn(device, "/");
    char part[NEO_GPU_DEVICE];
    snprintf(part, sizeof(part), "%.*s", (int)length, device);
    plain_letters(part, name, sizeof(name));
    if (names_model(name, model))
      return true;
    device += length + (device[length] == '/');
  }
  return false;
}

bool neo_target_has(const neo_target *target, neo_isa isa) {
  return target->isa >> isa & 1;
}

void neo_target_visit_features(const neo_target *target, void (*fn)(void *self, const char *name),
                               void *self) {
  for (int i = 0; i < NEO_ISA_COUNT; i++)
    if (neo_target_has(target, (neo_isa)i))
      fn(self, feature_names[i]);
}

bool neo_target_fuses(const neo_target *target) {
  const architecture *arch = find_architecture(target->arch);
  return arch && (arch->fuses || (target->isa & arch->fusing));
}

int neo_target_lanes(const neo_target *target, bool is_float, size_t bytes) {
  bool none = neo_target_has(target, NEO_ISA_HVX) && (is_float || bytes > 4);
  int lanes = none ? 1 : target->vector_bytes / (int)bytes;
  return lanes < 1 ? 1 : lanes;
}

int neo_target_pointer_bytes(const neo_target *target) {
  const architecture *arch = find_architecture(target->arch);
  return arch ? arch->pointer_bytes : 8;
}

int neo_target_fma_ports(const neo_target *target, int bytes) {
  bool paired = neo_target_has(target, NEO_ISA_AVX512) && target->fma_ports == 1;
  return paired && bytes <= 32 ? 2 : target->fma_ports;
}

bool neo_target_runs_here(const neo_target *target) {
  neo_target host = {0};
  if (strcmp(target->arch, "c") == 0)
    return true;
  return neo_host_cpu(&host) && strcmp(target->os, host.os) == 0 &&
         strcmp(target->arch, host.arch) == 0 && (target->isa & ~host.isa) == 0;
}
