/* target/target.h: devices as data. A target is one line of canonical text; only what changes the
 * generated code or its ranking is in it (ISA, registers, caches, peak), never a host name or
 * clock. */
#ifndef NEO_TARGET_TARGET_H
#define NEO_TARGET_TARGET_H

#include "base/core.h"

#define NEO_TARGET_TEXT 512

/* X(enumerator, text): instruction-set features that schedules and code generators ask about. */
#define NEO_ISA_FEATURES(X)                                                                        \
  X(SSE42, "sse4.2")                                                                               \
  X(AVX2, "avx2")                                                                                  \
  X(FMA, "fma")                                                                                    \
  X(F16C, "f16c")                                                                                  \
  X(AVX512, "avx512") /* f, bw, dq, vl, cd together */                                             \
  X(AVX512_VNNI, "avx512vnni")                                                                     \
  X(AVX_VNNI, "avxvnni")                                                                           \
  X(AVX512_BF16, "avx512bf16")                                                                     \
  X(NEON, "neon")                                                                                  \
  X(DOTPROD, "dotprod")                                                                            \
  X(FP16, "fp16")                                                                                  \
  X(VFP4, "vfp4") /* 32-bit Arm: fused multiply-add, half floats, integer division */              \
  X(RVV, "rvv")   /* RISC-V vectors of 16 bytes or more */                                         \
  X(RVV256, "rvv256")                                                                              \
  X(SVE256, "sve256") /* Arm's scalable vectors, of 32 bytes or more */                            \
  X(HVX, "hvx")       /* Hexagon's vectors of 128 bytes: of integers, v65 or later */

typedef enum neo_isa {
#define X(name, text) NEO_ISA_##name,
  NEO_ISA_FEATURES(X)
#undef X
      NEO_ISA_COUNT
} neo_isa;

/* The GPU that kernels are for; the other fields of a target are then of the processor that drives
 * it, but for the vector, whose bytes are those of one load of a work-item. */
#define NEO_GPU_DEVICE 192
typedef struct neo_gpu {
  char api[8];    /* opencl, cuda; "": kernels are for the processor */
  char model[16]; /* cuda: the architecture, as sm_72; opencl: its name, as mali-t860; -: any */
  int units;      /* compute units (streaming multiprocessors) */
  int simd;       /* work-items that run in step */
  int items;      /* of a group, at most */
  int64_t shared; /* bytes that a group shares, at most */
  char device[NEO_GPU_DEVICE]; /* of records: the one GPU, as its driver calls it; "": any */
} neo_gpu;

typedef struct neo_target {
  char arch[16];    /* x86_64, aarch64, armv7, riscv64, hexagon, c (portable C, scalar) */
  char os[16];      /* "": Linux; else windows, android: calling convention and file format */
  char triple[64];  /* LLVM triple */
  char cpu[32];     /* LLVM scheduling model: generic, znver3, ... ; not part of correctness */
  uint64_t isa;     /* bit set of neo_isa */
  int vector_bytes; /* widest useful vector: 16, 32, 64; 4 = scalar */
  int vector_registers;
  int fma_ports;       /* vector FMAs started per cycle */
  int fma_latency;     /* cycles */
  int64_t l1d, l2, l3; /* bytes; l1d and l2 of one core, l3 shared; 0: none */
  double ghz;          /* nominal, for the analytic model only; not in the canonical text */
  neo_gpu gpu;
} neo_target;

/* One row of target/targets.def by name ("x86-64-v3", "generic-c", ...), or canonical text, or
 * "host"/NULL: detected (CPUID through the compiler's builtins, caches through hwloc). A name may
 * have an operating system behind it: "x86-64-v3-windows", "rasp4b-android". Errors list the names.
 */
neo_status neo_target_find(neo_ctx *ctx, const char *name, neo_target *out);
/* Canonical: "x86_64 avx2,fma,f16c vec=32 regs=16 fma=2x4 l1=32768 l2=524288 l3=33554432
 * cpu=znver3", and " os=windows" where it is not Linux; for a GPU follows " gpu=opencl units=4
 * simd=16 items=256 shared=32768 model=-", and " device=NAME" where that is known. */
void neo_target_print(neo_buf *buf, const neo_target *target);
neo_status neo_target_parse(neo_ctx *ctx, const char *text, neo_target *out);
bool neo_target_is_gpu(const neo_target *target);
/* Is the GPU of this name, as its driver reports it, one that the target is for? Of the model only
 * letters and digits count: mali-t860 is in "Mali-T860/ARM/...", iris-xe in "Iris(R)_Xe". */
bool neo_target_fits_device(const neo_target *target, const char *device);
bool neo_target_has(const neo_target *target, neo_isa isa);
/* Is a multiply-add of floats one instruction that rounds once? */
bool neo_target_fuses(const neo_target *target);
/* Lanes of a vector of elements of so many bytes; 1 where the target has no such vectors. */
int neo_target_lanes(const neo_target *target, bool is_float, size_t bytes);
/* Bytes of a pointer. */
int neo_target_pointer_bytes(const neo_target *target);
/* FMAs started per cycle on vectors of so many bytes. More of the narrower ones where the one
 * 64-byte unit is a pair of 32-byte ones (Zen 4, Intel's client cores). */
int neo_target_fma_ports(const neo_target *target, int bytes);
/* Can this process run code for the target? (its features are a subset of the host's, its operating
 * system is this one; whether a GPU is there, only its library knows) */
bool neo_target_runs_here(const neo_target *target);
/* What else is on the board of a row, and not used: "GPU Mali-T764"; "" if nothing is known. */
const char *neo_target_accelerators(const char *name);
/* Feature names, as in the canonical text; visits those of the target in order. */
void neo_target_visit_features(const neo_target *target, void (*fn)(void *self, const char *name),
                               void *self);
/* Rows for `neo targets`: calls fn(self, name, description, target) for each. */
void neo_target_visit(void (*fn)(void *self, const char *name, const char *about,
                                 const neo_target *target),
                      void *self);

/* ---- the machine's cores (hwloc) ------------------------------------------------------------- */

typedef struct neo_cores {
  int n;        /* usable cores: in the allowed cpuset and this process's affinity; 256 at most */
  int n_cpus;   /* usable logical cpus: n, or more with SMT; 256 at most */
  int cpu[256]; /* best first: cpu[0..n) one of each core, fast cores before efficient ones, cores
                   of one package together; cpu[n..n_cpus) their SMT siblings in the same order */
  int64_t l1d, l2, l3; /* as seen by cpu[0], bytes; 0: none or unknown */
  int packages, numa_nodes;
} neo_cores;

/* synthetic NULL: this machine; else an hwloc synthetic description ("pack:1 core:2 pu:2"), for
 * tests. */
neo_status neo_cores_detect(neo_ctx *ctx, const char *synthetic, neo_cores *out);
/* Pins the calling thread to one cpu. NEO_UNSUPPORTED where the OS refuses: logged as a warning,
 * not recorded in the context, since it is not fatal. */
neo_status neo_cores_pin(neo_ctx *ctx, int cpu);
/* The cpus that the calling thread may run on. */
typedef struct neo_affinity {
  unsigned char set[128];
  bool known;
} neo_affinity;
void neo_cores_affinity(neo_affinity *out);
/* Undoes a pinning; does nothing if it was not known. */
void neo_cores_set_affinity(const neo_affinity *affinity);
/* Which cpus measure and which build: with n cores, measuring gets `threads`, building the rest
 * (all, if nothing is left). */
void neo_cores_split(const neo_cores *cores, int threads, int *n_measure, int *n_build);

#endif
