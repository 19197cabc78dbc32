/* neo/neo_rt.h: libneo_rt, the runtime that loads and runs what `neo compile` writes. Needs only
 * libc and threads. C and C++.
 *
 *   neo_rt_model *model; neo_rt_session *session; neo_rt_error error;
 *   if (neo_rt_load("out/", &model, &error) || neo_rt_session_create(model, NULL, &session,
 * &error)) ... neo_rt_set_input(session, "x", pixels, sizeof pixels, &error); neo_rt_run(session,
 * &error); neo_rt_output(session, 0, &data, &error);
 *
 * Threads: a model is immutable after load and may be shared; a session belongs to one thread at a
 * time; sessions run independently. After a session's first run, neo_rt_run does not allocate. */
#ifndef NEO_RT_H
#define NEO_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEO_RT_VERSION "0.1.0" /* of Neo; the one place of it */
#define NEO_RT_MAX_RANK 8

typedef struct neo_rt_model neo_rt_model;
typedef struct neo_rt_session neo_rt_session;

/* 0 is success; else one of these, with text in the caller's neo_rt_error. */
enum {
  NEO_RT_OK = 0,
  NEO_RT_USAGE = 2,
  NEO_RT_BAD_ARTIFACT = 3,
  NEO_RT_UNSUPPORTED = 4,
  NEO_RT_NO_MEMORY = 7,
  NEO_RT_IO = 8,
  NEO_RT_KERNEL = 9
};

typedef struct neo_rt_error {
  int code;
  char text[512];
} neo_rt_error;

typedef struct neo_rt_tensor_info {
  const char *name;  /* owned by the model */
  const char *dtype; /* "f32", "i64", "bool", ... */
  int rank;
  int64_t dim[NEO_RT_MAX_RANK];
  size_t bytes; /* dense row-major size */
} neo_rt_tensor_info;

typedef struct neo_rt_options {
  int threads; /* 0: the number the artifact was compiled for */
  int pin;     /* 1: pin worker k to the k-th allowed cpu; worker 0, the thread that calls
                  neo_rt_run, only while it runs */
  int pool;    /* 0: default of the build; 1: pthread pool; 2: OpenMP */
} neo_rt_options;

/* Loads DIR/compiled.so and DIR/compiled.params. Only ever load artifacts you trust: they are code.
 */
int neo_rt_load(const char *dir, neo_rt_model **out, neo_rt_error *error);
void neo_rt_unload(neo_rt_model *model); /* after all its sessions are destroyed; NULL is fine */

int neo_rt_inputs(const neo_rt_model *model);
int neo_rt_outputs(const neo_rt_model *model);
int neo_rt_threads(const neo_rt_model *model); /* compiled for */
/* Valid for 0 <= i < count; the returned pointer lives as long as the model. NULL when out of
 * range. */
const neo_rt_tensor_info *neo_rt_input_info(const neo_rt_model *model, int i);
const neo_rt_tensor_info *neo_rt_output_info(const neo_rt_model *model, int i);

int neo_rt_session_create(neo_rt_model *model, const neo_rt_options *options, neo_rt_session **out,
                          neo_rt_error *error);
void neo_rt_session_destroy(neo_rt_session *session);

/* Copies bytes into the input; a wrong name or size is NEO_RT_USAGE and lists what is expected. */
int neo_rt_set_input(neo_rt_session *session, const char *name, const void *data, size_t bytes,
                     neo_rt_error *error);
/* As above with the tensor's dtype and shape checked as well; `tensor->bytes` is not looked at. */
int neo_rt_set_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                      neo_rt_error *error);
/* Uses the caller's memory in place until the next bind; 64-byte alignment is best, element
 * alignment needed. */
int neo_rt_bind_input(neo_rt_session *session, int i, const void *data, neo_rt_error *error);
int neo_rt_run(neo_rt_session *session, neo_rt_error *error);
/* Borrowed until the next run. */
int neo_rt_output(neo_rt_session *session, int i, const void **data, neo_rt_error *error);
/* The output's shape and bytes as of the last run. They differ from neo_rt_output_info, which is
 * the largest possible, only where the extent depends on the data (detections). */
int neo_rt_output_shape(neo_rt_session *session, int i, neo_rt_tensor_info *out);
/* Nanoseconds each step took in the last profiled run; returns the number of steps. Timing is off
 * by default. */
int neo_rt_profile(neo_rt_session *session, int enable, const double **ns, int *n_steps);
/* Name of step i ("conv1+relu"), or NULL. */
const char *neo_rt_step_name(const neo_rt_model *model, int i);
/* Bytes planned for activations (arena and workspaces), without the parameters. */
size_t neo_rt_activation_bytes(const neo_rt_model *model);
const char *neo_rt_version(void);

#ifdef __cplusplus
}
#endif
#endif
