/* frontends/tensorflow_bundle.h: TensorFlow's tensor bundle: the variables of a SavedModel.
 *
 * PREFIX.index is a sorted string table: tensor name -> BundleEntry; PREFIX.data-0000N-of-0000M
 * hold the tensors' bytes, little endian. docs/formats/tensorflow.md has the layout. */
#ifndef NEO_FRONTENDS_TENSORFLOW_BUNDLE_H
#define NEO_FRONTENDS_TENSORFLOW_BUNDLE_H

#include "base/host.h"

typedef struct tf_bundle tf_bundle;

typedef struct tf_bundle_tensor {
  int dtype; /* TensorFlow's number */
  int rank;
  int64_t dim[16];
  int shard;
  int64_t offset, size;
  uint32_t crc; /* masked crc32c of the bytes */
  bool sliced;  /* a piece of a partitioned variable, or one made of pieces */
  bool checked; /* the crc was right */
} tf_bundle_tensor;

/* Reads the index whole, every block's crc32c checked, and maps the shards. */
neo_status tf_bundle_open(neo_ctx *ctx, const char *prefix, tf_bundle **out);
void tf_bundle_close(tf_bundle *bundle); /* NULL is fine; unmaps the shards */
tf_bundle_tensor *tf_bundle_find(const tf_bundle *bundle, const char *name);
/* The tensor's bytes, in the mapped shard; bounds and crc32c are checked. */
neo_status tf_bundle_data(neo_ctx *ctx, tf_bundle *bundle, const char *name, const uint8_t **out,
                          size_t *size);

#endif
