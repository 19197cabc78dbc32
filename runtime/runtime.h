/* runtime/runtime.h: what rpc/, measure/ and tests use of the runtime below neo_rt.h: the worker
 * pool, the loader of relocatable kernels, and the timing harness that also runs on boards. libc
 * and base/core only. */
#ifndef NEO_RUNTIME_RUNTIME_H
#define NEO_RUNTIME_RUNTIME_H

#include "base/core.h"
#include "neo/abi.h"
#include "runtime/device.h"
#include "runtime/plan.h"

/* ---- small facts ------------------------------------------------------------------------------ */

/* Bytes of an element type by its number in plans and frames (docs/formats/plan.md); 0: no such
 * type. */
size_t neo_rt_dtype_size(int dtype);
/* Are its elements pointers to texts? */
bool neo_rt_dtype_is_text(int dtype);
/* "AMD EPYC 9R14" or "unknown". */
void neo_cpu_model(char *out, size_t size);
/* What code this process runs: "x86_64", "aarch64", "armv7", "riscv64", "hexagon", "other". */
const char *neo_cpu_arch(void);

/* ---- worker pools: one vtable, rows pthread and openmp -----------------------------------------
 */

typedef struct neo_pool neo_pool;
typedef void (*neo_pool_fn)(void *self, int worker, int64_t begin, int64_t end);

typedef enum neo_pool_kind { NEO_POOL_DEFAULT, NEO_POOL_PTHREAD, NEO_POOL_OPENMP } neo_pool_kind;

/* threads >= 1 workers, the calling thread being worker 0. cpus: one logical cpu per worker to pin
 * to, or NULL. */
neo_status neo_pool_create(neo_ctx *ctx, neo_pool_kind kind, int threads, const int *cpus,
                           neo_pool **out);
void neo_pool_destroy(neo_pool *pool);
int neo_pool_threads(const neo_pool *pool);
/* Splits [0, n) into one contiguous range per worker (static), runs fn on each, returns when all
 * are done. No allocation. Not reentrant on one pool. */
void neo_pool_run(neo_pool *pool, int64_t n, neo_pool_fn fn, void *self);

/* One operator with its memory. scratch: threads * scratch_bytes, scratch_bytes rounded up to 64.
 */
typedef struct neo_pool_call {
  int n_launches;
  const neo_kernel_fn *fn;
  const int64_t *grid;
  void *const *buf;
  const int64_t *dim; /* NULL: all extents are static */
  void *work, *scratch;
  int64_t scratch_bytes;
} neo_pool_call;

/* Runs the launches of one operator. Returns the first non-zero kernel result, else 0. */
int32_t neo_pool_launch(neo_pool *pool, const neo_pool_call *call);

/* ---- loader: an ELF64 relocatable object (kernels import nothing) into executable memory
 * ------------- */

typedef struct neo_loaded neo_loaded;
/* x86-64: R_X86_64_{64,PC32,PLT32,32S,32,PC64}; aarch64: the ADRP/ADD/LDST/CALL26 set. Hostile
 * objects give NEO_BAD_INPUT. An undefined symbol is an error that names it. */
neo_status neo_object_load(neo_ctx *ctx, const uint8_t *data, size_t size, neo_loaded **out);
neo_kernel_fn neo_object_symbol(const neo_loaded *loaded, const char *name); /* NULL if absent */
/* A constant of that name that is a whole neo_device_kernel; NULL if there is none. */
const neo_device_kernel *neo_object_device_kernel(const neo_loaded *loaded, const char *name);
/* Where its code and constants lie. */
const uint8_t *neo_object_memory(const neo_loaded *loaded, size_t *size);
void neo_object_unload(neo_loaded *loaded);

/* ---- harness: verification and timing of kernels, in the process that may crash
 * ------------------------ */

typedef struct neo_harness_kernel {
  int n_launches;
  const neo_kernel_fn *fn;
  const int64_t *grid;
  int n_buffers;
  const int64_t *bytes; /* per buffer */
  int64_t work_bytes, scratch_bytes;
  const uint8_t *role; /* per buffer, as in neo_verify_options; NULL: nothing is constant */
  int64_t borrow; /* constants of at least so many bytes are used where a case has them, which must
                     be read-only and aligned as memory is here: not copied, and a kernel that
                     writes there crashes; 0: none */
  /* A memory that outlives this one, or NULL: inputs and outputs of the same size are used there,
     as they are, and so are work and scratch where there is room. Two kernels timed against each
     other then differ by themselves, not by where their data happen to lie. */
  const struct neo_harness_memory *beside;
  /* A GPU's kernels: functions of this device instead of fn, which is not read. The memory here is
     then what a run copies to the device and back; timed runs copy nothing. borrow and beside are
     not for them. */
  neo_device *device;
  neo_device_function *const *function;
} neo_harness_kernel;

typedef enum neo_verdict {
  NEO_VERDICT_OK,
  NEO_VERDICT_WRONG,   /* output differs from the reference */
  NEO_VERDICT_REDZONE, /* wrote outside a buffer, work or scratch area, or into an input */
  NEO_VERDICT_STALE,  /* output depends on its previous content, or is not rewritten on every run */
  NEO_VERDICT_FAILED, /* kernel returned non-zero */
} neo_verdict;

typedef struct neo_verify_result {
  neo_verdict verdict;
  double max_error; /* max |got - want| / (atol + rtol |want|), over all outputs and seeds */
  int buffer;       /* of the first offence */
  int64_t element;
  double got, want;
} neo_verify_result;

/* One data seed: per buffer a pointer and its size in bytes. Inputs and constants as they are in
 * memory (size == the kernel's bytes); outputs the reference, one f64 or one f32 per element (told
 * apart by the size), NaN meaning "do not compare" (layout padding). */
typedef struct neo_verify_case {
  const void *const *data;
  const size_t *size;
} neo_verify_case;

typedef struct neo_verify_options {
  const uint8_t *role;  /* per buffer: 0 input, 1 output, 2 constant: an input that a model keeps */
  const uint8_t *dtype; /* per buffer: neo_dtype number */
  int n_cases;          /* >= 1; two or more also catch a kernel that knows its data */
  const neo_verify_case *cases;
  double rtol, atol;
  bool brief; /* only the first pass: every case once, compared with its reference */
} neo_verify_options;

/* The memory that one kernel works in: buffers, work and scratch, each between red zones, those
 * between unmapped pages. One mapping, so a destroyed one leaves nothing. */
typedef struct neo_harness_memory neo_harness_memory;
neo_status neo_harness_memory_create(neo_ctx *ctx, const neo_harness_kernel *kernel, int threads,
                                     neo_harness_memory **out);
void neo_harness_memory_destroy(neo_harness_memory *memory);
void *const *neo_harness_memory_buffers(const neo_harness_memory *memory);
/* The whole mapping, from the beginning of a page. */
const uint8_t *neo_harness_memory_extent(const neo_harness_memory *memory, size_t *size);
/* Copies the inputs and constants of a case into the buffers. */
neo_status neo_harness_memory_load(neo_ctx *ctx, neo_harness_memory *memory, const uint8_t *role,
                                   const neo_verify_case *from);
/* Runs the kernel once in the memory; returns what neo_pool_launch does. */
int32_t neo_harness_memory_run(neo_harness_memory *memory, neo_pool *pool);
/* The same `repeat` times, to be timed: a GPU works on what its memory has, and is waited for. */
int32_t neo_harness_memory_repeat(neo_harness_memory *memory, neo_pool *pool, int repeat);
/* Are all red zones as they were? If not, *out_buffer is the first one damaged (n_buffers: work,
 * n_buffers + 1: scratch). */
bool neo_harness_memory_intact(const neo_harness_memory *memory, int *out_buffer);

/* Runs the kernel on every case twice with poisoned outputs and poisoned work and scratch, inputs
 * changed between the runs (cases interleaved a b a b), then once more with work and scratch left
 * as they were, as in timing. Red zones and inputs are checked. NEO_OK with a verdict; a status
 * only when the harness itself could not work. */
neo_status neo_harness_verify(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *memory,
                              const neo_verify_options *options, neo_verify_result *out);

/* After timing: poisons the outputs, runs once on case 0 with work and scratch as timing left them,
 * compares. Catches kernels that stop working after some calls. */
neo_status neo_harness_recheck(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *memory,
                               const neo_verify_options *options, neo_verify_result *out);

#define NEO_MAX_REPEATS 64

typedef struct neo_timing_policy {
  double min_batch_ns; /* a batch repeats the kernel until it lasts this long; 0: 200 us */
  double max_total_ns; /* for the whole timing; 0: 100 ms */
  double race_factor;  /* stop after the first batch if slower than this times the incumbent; 0:
                          never */
  double confidence;   /* stop when the ratio's relative half-width is below; 0: 0.01 */
  int min_batches, max_batches; /* 0: 3 and 20 */
  double settled;  /* stop when the ratio is surely (95 %, one-sided) above this: 0.99 asks for a
                      gain  of 1 %; 0: never */
  double thorough; /* a candidate that is not faster than this times the incumbent is verified
                      briefly only (it must not become best by that); 0: all thoroughly */
  int cold; /* 1: constants are evicted from the caches before every timed run, as in a model whose
               other layers ran in between; where the processor cannot, they stay warm */
} neo_timing_policy;

typedef struct neo_timing {
  int n;                           /* batches */
  double ns[NEO_MAX_REPEATS];      /* per run, candidate */
  double base_ns[NEO_MAX_REPEATS]; /* interleaved incumbent; 0 if none */
  double typical, base_typical;    /* means of the faster halves */
  double ratio;                    /* typical / base_typical; 0 if there is no incumbent */
  int raced;                       /* stopped by the race */
} neo_timing;

/* incumbent may be NULL; both memories are loaded with data. Batches are interleaved ABBA. */
neo_status neo_harness_time(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *candidate,
                            neo_harness_memory *incumbent, const neo_timing_policy *policy,
                            neo_timing *out);

/* Measured once per process start, pinned: FMA peak is code-generated, so it comes from measure/;
 * this one is memory. */
double neo_harness_bandwidth(neo_ctx *ctx,
                             neo_pool *pool); /* bytes per ns, best of several reads of 64 MB */

#endif
