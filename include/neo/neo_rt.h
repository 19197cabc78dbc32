/* neo/neo_rt.h: libneo_rt, the runtime that loads and runs what `neo compile` writes. Needs only
 * libc, libm and libgomp. C and C++.
 *
 *   neo_rt_model *model; neo_rt_session *session; neo_rt_error error;
 *   if (neo_rt_load("out/", &model, &error) || neo_rt_session_create(model, NULL, &session,
 * &error)) ... neo_rt_set_input(session, "x", pixels, sizeof pixels, &error); neo_rt_run(session,
 * &error); neo_rt_output(session, 0, &data, &error);
 *
 * Strings (dtype "str"): an element is a `const char *`, NUL-terminated UTF-8, NULL for "". Texts
 * of inputs are not copied: they must live until the input is set again. Those of outputs live
 * until the next run. Operators on strings allocate, as decoders of pictures do.
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
                  neo_rt_run, only while it runs. One thread is not pinned: that would
                  cost two system calls a run (4 us) and keep it apart from nobody */
  int pool;    /* 0: default of the build; 1: pthread pool; 2: OpenMP */
} neo_rt_options;

/* Loads DIR/compiled.so (Windows: compiled.dll) and DIR/compiled.params. Only ever load artifacts
 * you trust: they are code.
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

/* Artifacts of several shapes (`neo compile --input x=1..8,3,224,224`). neo_rt_input_info and
 * neo_rt_output_info describe shape 0, which has the largest inputs. A run takes the shape that the
 * inputs set so far have; the others' calls need no care for it. Counts from 1 up. */
int neo_rt_shapes(const neo_rt_model *model);
/* As neo_rt_input_info and neo_rt_output_info, of that shape. */
const neo_rt_tensor_info *neo_rt_shape_input(const neo_rt_model *model, int shape, int i);
const neo_rt_tensor_info *neo_rt_shape_output(const neo_rt_model *model, int shape, int i);
/* 1 + the dimension of input i of which this shape takes any extent from *least up to its own, the
 * same for all inputs that have one; 0: exactly its own (*least is not set). Outputs are cut. */
int neo_rt_shape_rows(const neo_rt_model *model, int shape, int i, int64_t *least);

int neo_rt_session_create(neo_rt_model *model, const neo_rt_options *options, neo_rt_session **out,
                          neo_rt_error *error);
void neo_rt_session_destroy(neo_rt_session *session);

/* Copies bytes into the input; a wrong name or size is NEO_RT_USAGE and lists what is expected.
 * With several shapes the size says which; if two have as many bytes, neo_rt_set_tensor must be
 * used. */
int neo_rt_set_input(neo_rt_session *session, const char *name, const void *data, size_t bytes,
                     neo_rt_error *error);
/* As above with the tensor's dtype and shape checked as well; `tensor->bytes` is not looked at. */
int neo_rt_set_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                      neo_rt_error *error);
/* Uses the caller's memory in place until the next bind; 64-byte alignment is best, element
 * alignment needed. The shape is what the input had before, at first that of neo_rt_input_info. */
int neo_rt_bind_input(neo_rt_session *session, int i, const void *data, neo_rt_error *error);
/* As above with the tensor's name, dtype and shape as neo_rt_set_tensor takes them. */
int neo_rt_bind_tensor(neo_rt_session *session, const neo_rt_tensor_info *tensor, const void *data,
                       neo_rt_error *error);
/* NEO_RT_USAGE if no shape of the artifact has all its inputs as they are. */
int neo_rt_run(neo_rt_session *session, neo_rt_error *error);
/* Borrowed until the next run. */
int neo_rt_output(neo_rt_session *session, int i, const void **data, neo_rt_error *error);
/* The output's shape and bytes as of the last run. They differ from neo_rt_output_info, which is
 * the largest possible, where the extent depends on the data (detections) or on the inputs' shapes.
 */
int neo_rt_output_shape(neo_rt_session *session, int i, neo_rt_tensor_info *out);
/* Nanoseconds each step took in the last profiled run (0: it did not run); returns the number of
 * steps, of all shapes one after another. Timing is off by default. */
int neo_rt_profile(neo_rt_session *session, int enable, const double **ns, int *n_steps);
/* Name of step i ("conv1+relu"), or NULL. */
const char *neo_rt_step_name(const neo_rt_model *model, int i);
/* Bytes planned for activations (arena and workspaces), without the parameters: all shapes share
 * them. */
size_t neo_rt_activation_bytes(const neo_rt_model *model);
const char *neo_rt_version(void);

#ifdef __cplusplus
}
#endif
#endif
