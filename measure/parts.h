/* measure/parts.h: what the files of this folder share. */
#ifndef NEO_MEASURE_PARTS_H
#define NEO_MEASURE_PARTS_H

#include "measure/measure.h"
#include "rpc/net.h"

/* ---- the vtable of a measurer; rows in measurers.def ---------------------------------------------- */

typedef struct neo_measurer_ops {
  const char *name;
  neo_status (*open)(neo_ctx *ctx, const char *rest, const neo_target *target,
                     const neo_measure_options *options, neo_measurer **out);
  void (*close)(neo_measurer *self);
  neo_status (*task)(neo_ctx *ctx, neo_measurer *self, int task, const neo_te *te, const char *key);
  void (*drop)(neo_measurer *self, int task);
  neo_status (*submit)(neo_ctx *ctx, neo_measurer *self, uint64_t id, int task,
                       const neo_schedule *schedule);
  neo_status (*poll)(neo_ctx *ctx, neo_measurer *self, int timeout_ms, neo_trial_result *out,
                     bool *got);
  int (*pending)(const neo_measurer *self);
  int (*capacity)(const neo_measurer *self);
  void (*cancel)(neo_measurer *self);
  neo_status (*incumbent)(neo_ctx *ctx, neo_measurer *self, int task, const neo_schedule *schedule,
                          double ns);
  void (*quiet)(neo_measurer *self, bool quiet); /* NULL: nothing to do */
  int (*given_up)(const neo_measurer *self);     /* NULL: none */
  bool simulated;
} neo_measurer_ops;

/* Every measurer struct starts with this. */
struct neo_measurer {
  const neo_measurer_ops *ops;
  neo_machine_facts facts;
  char record_prefix[32]; /* where the usual one will not do, else "" */
  neo_counting counting;  /* on: what it gives for times are none */
  bool is_remote;         /* this machine is not what it measures */
};

extern const neo_measurer_ops neo_measurer_local;
extern const neo_measurer_ops neo_measurer_emulated;
extern const neo_measurer_ops neo_measurer_wine;
extern const neo_measurer_ops neo_measurer_rpc;
extern const neo_measurer_ops neo_measurer_simulated;

/* ---- build pool (builder.c): schedules -> machine code on worker threads ----------------------------- */

typedef struct neo_build {
  const neo_allocator *allocator;
  uint64_t id;
  int task;
  bool for_processor; /* also where the target is a GPU: references */
  neo_te te;          /* a copy: a build that is given up may outlive its task */
  neo_schedule schedule;
  neo_arena arena; /* owns te, nest, rewritten te and packing */
  neo_te rewritten;
  neo_packing packing;
  neo_nest nest;
  neo_object object;
  char identity[33]; /* key of code, grids, layouts and packing: equal identities run equally */
  neo_status status; /* of the build; then text says why */
  char phase[16], text[400];
  double build_ns;
  struct neo_build *next;
} neo_build;

/* A build that takes longer than its time limit is given up: it comes back as failed, its thread is
 * left to itself and replaced by another. */
typedef struct neo_builder neo_builder;
typedef struct neo_builder_options {
  int threads;
  const int *cpus; /* one per thread to pin to; NULL: not pinned */
  const neo_codegen *codegen;
  const neo_target *target;
  int timeout_ms; /* of one build; 0: 60000 */
} neo_builder_options;
neo_status neo_builder_create(neo_ctx *ctx, const neo_builder_options *options, neo_builder **out);
/* Does not wait for threads that were given up: they hold memory of their own. */
void neo_builder_destroy(neo_builder *builder);
void neo_builder_submit(neo_builder *builder, neo_build *build); /* takes it over */
neo_build *neo_builder_take(neo_builder *builder,
                            int timeout_ms);      /* a finished one, caller owns; or NULL */
int neo_builder_busy(const neo_builder *builder); /* queued or being built */
/* Holds back starting new builds while the cores are needed for measuring. */
void neo_builder_pause(neo_builder *builder, bool pause);
/* Waits until nothing is being built. Paused: then nothing will be. */
void neo_builder_settle(neo_builder *builder);
/* Builds at once, paused or not, and waits. Takes the build over and returns it, or a failed one in
 * its place; NULL without memory. */
neo_build *neo_builder_run(neo_builder *builder, neo_build *build);
int neo_builder_given_up(const neo_builder *builder); /* threads that still build */
neo_build *neo_build_create(neo_ctx *ctx, uint64_t id, int task, const neo_te *te,
                            const neo_schedule *schedule);
void neo_build_destroy(neo_build *build);
/* The work itself, on the calling thread. */
void neo_build_run(neo_ctx *ctx, neo_build *build, const neo_codegen *codegen,
                   const neo_target *target);

/* ---- data (data.c): inputs by seed, references, and their stored forms -------------------------------- */

/* Row-major tensors of one te for one seed: inputs and constants filled deterministically from
 * (key, buffer, seed); OUT entries hold the reference once it is there. */
typedef struct neo_data {
  neo_tensor tensor[NEO_TE_MAX_BUFFERS];
} neo_data;

/* Makes the tensors that are not there; data starts as zeros, and is destroyed by the caller on
 * failure too. */
neo_status neo_data_create(neo_ctx *ctx, const neo_te *te, const char *key, uint64_t seed,
                           neo_data *data);
/* Frees inputs and constants, which neo_data_create can make again; references stay. */
void neo_data_drop_inputs(neo_ctx *ctx, const neo_te *te, neo_data *data);
size_t neo_data_input_bytes(const neo_te *te, const neo_data *data); /* of those that are there */
void neo_data_destroy(neo_ctx *ctx, const neo_te *te, neo_data *data);
/* The bytes a kernel sees: an input or constant packed, or an output's reference as f32 (f32
 * outputs) or f64 with NaN in padding. Heap block, free with neo_aligned_free. */
neo_status neo_data_input(neo_ctx *ctx, const neo_tensor *tensor, const neo_layout *layout,
                          void **out, size_t *size);
neo_status neo_data_reference(neo_ctx *ctx, const neo_tensor *tensor, const neo_layout *layout,
                              void **out, size_t *size);
/* A constant through its pack's te, row-major; the caller frees it. */
neo_status neo_data_transform(neo_ctx *ctx, const neo_pack *pack, const neo_tensor *source,
                              neo_tensor *out);
double neo_data_magnitude(const neo_tensor *tensor); /* largest finite absolute value */

/* ---- the schedules of references (reference_schedule.c) ------------------------------------------------- */

/* The naive schedule of a widened te, but that all its launches have a grid of *out_grid indices,
 * of which the first n compute the first n of *out_grid parts of every output, if nothing that they
 * need is computed by later ones. NEO_UNSUPPORTED if the te has no such grid. */
neo_status neo_reference_naive(neo_ctx *ctx, const neo_te *te, neo_schedule *out,
                               int64_t *out_grid);
/* A quick one for vectors of `lanes` f64; NEO_UNSUPPORTED if there is none. Whether it can be
 * lowered is for the caller to find out. */
neo_status neo_reference_quick(neo_ctx *ctx, const neo_te *te, int lanes, neo_arena *arena,
                               neo_schedule *out);

/* ---- facts (facts.c): the FMA peak as a nest ------------------------------------------------------------ */

/* Text of a nest that does nothing but FMAs on f32 vectors of the target, one grid index per
 * thread. */
void neo_peak_nest(neo_buf *out, const neo_target *target, int threads, int64_t iterations);
/* Scalar FMAs of one run of it. */
double neo_peak_fmas(const neo_target *target, int threads, int64_t iterations);

#endif
