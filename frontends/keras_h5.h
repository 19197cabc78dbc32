/* frontends/keras_h5.h: the two readers of HDF5, between keras_h5.c (ours: the old file format,
 * which Keras writes) and keras_hdf5.c (libhdf5: everything newer); nobody else. */
#ifndef NEO_FRONTENDS_KERAS_H5_H
#define NEO_FRONTENDS_KERAS_H5_H

#include "frontends/keras.h"

/* Functions as in keras.h. */
typedef struct keras_h5_row {
  void (*close)(keras_h5 *file);
  bool (*exists)(keras_h5 *file, const char *path);
  int (*texts)(keras_h5 *file, neo_arena *arena, const char *group, const char *name, size_t limit,
               const char ***out);
  int (*members)(keras_h5 *file, neo_arena *arena, const char *group, const char ***out);
  neo_status (*read)(neo_ctx *ctx, keras_h5 *file, const char *path, int64_t limit,
                     neo_tensor *out);
} keras_h5_row;

struct keras_h5 {
  const keras_h5_row *row;
  neo_ctx *ctx;
  const uint8_t *data; /* ours */
  size_t size;
  uint64_t root;
  int64_t steps;  /* entries looked at, bounded */
  int64_t handle; /* libhdf5 */
  bool mapped;    /* data outlives the file's reader: weights may be borrowed from it */
  bool borrowed;  /* one was */
};

neo_status keras_hdf5_open(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                           keras_h5 **out);

#endif
