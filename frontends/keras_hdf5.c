/* frontends/keras_hdf5.c: newer HDF5 files (superblock 2 on) through libhdf5, as little of it as
 * Keras needs.
 *
 * libhdf5 trusts its files more than we do: its error stack is off, everything is asked for by name
 * and only after its kind and size were looked at, links that leave the file are not followed (only
 * hard links exist to us), and no data is allocated before its size was compared with the limit.
 * Files in memory go through the core driver with a copy of the image. */
#include "frontends/keras_h5.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

static void lib_close(keras_h5 *h5) {
  H5Fclose((hid_t)h5->handle);
  neo_free(h5->ctx, h5);
}

/* Every component is a hard link. */
static bool is_local(keras_h5 *h5, const char *path) {
  char part[1024];
  size_t length = strlen(path);
  if (length >= sizeof part)
    return false;
  for (size_t i = 1; i <= length; i++) {
    H5L_info_t info;
    if ((path[i] != '/' && path[i] != '\0') || path[i - 1] == '/')
      continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (H5Lexists((hid_t)h5->handle, part, H5P_DEFAULT) <= 0 ||
        H5Lget_info((hid_t)h5->handle, part, &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD)
      return false;
  }
  return true;
}

static bool lib_exists(keras_h5 *h5, const char *path) {
  return is_local(h5, path) && H5Oexists_by_name((hid_t)h5->handle, path, H5P_DEFAULT) > 0;
}

static hid_t open_attribute(keras_h5 *h5, const char *group, const char *name) {
  if ((*group && !is_local(h5, group)) ||
      H5Aexists_by_name((hid_t)h5->handle, *group ? group : "/", name, H5P_DEFAULT) <= 0)
    return H5I_INVALID_HID;
  return H5Aopen_by_name((hid_t)h5->handle, *group ? group : "/", name, H5P_DEFAULT, H5P_DEFAULT);
}

typedef struct strings {
  hid_t type, space;
  bool variable;
  size_t size; /* of an element */
  int64_t n;
} strings;

/* Is it an array of strings whose elements take at most limit bytes? */
static bool open_strings(hid_t attribute, size_t limit, strings *s) {
  size_t total;
  s->type = H5Aget_type(attribute);
  s->space = H5Aget_space(attribute);
  s->n = s->space >= 0 ? H5Sget_simple_extent_npoints(s->space) : -1;
  s->size = s->type >= 0 ? H5Tget_size(s->type) : 0;
  s->variable = s->type >= 0 && H5Tis_variable_str(s->type) > 0;
  return s->type >= 0 && H5Tget_class(s->type) == H5T_STRING && s->n >= 0 && s->n <= 1000000 &&
         s->size > 0 && neo_mul_size(s->size, (size_t)s->n, &total) && total <= limit;
}

/* Copies them; how many, or -1 if they are longer than limit together. */
static int copy_strings(const strings *s, const char *raw, neo_arena *arena, size_t limit,
                        const char ***out) {
  const char **list = neo_arena_alloc(arena, sizeof *list * ((size_t)s->n + 1));
  size_t used = 0;
  for (int64_t i = 0; i < s->n; i++) {
    const char *text = raw + (size_t)i * s->size;
    if (s->variable)
      memcpy(&text, raw + (size_t)i * sizeof text, sizeof text);
    text = text ? text : "";
    size_t length = s->variable ? strlen(text) : strnlen(text, s->size);
    if ((used += length) > limit)
      return -1;
    list[i] = neo_arena_strndup(arena, text, length);
  }
  *out = list;
  return (int)s->n;
}

/* The strings of an attribute; limit of all their bytes. */
static int read_strings(hid_t attribute, neo_arena *arena, size_t limit, const char ***out) {
  strings s;
  int found = -1;
  bool sound = open_strings(attribute, limit, &s);
  char *raw = sound ? calloc((size_t)s.n + 1, s.size + 1) : NULL;
  if (raw && H5Aread(attribute, s.type, raw) >= 0) {
    found = copy_strings(&s, raw, arena, limit, out);
    if (s.variable)
      H5Dvlen_reclaim(s.type, s.space, H5P_DEFAULT, raw);
  }
  if (s.type >= 0)
    H5Tclose(s.type);
  if (s.space >= 0)
    H5Sclose(s.space);
  free(raw);
  return found;
}

static int lib_texts(keras_h5 *h5, neo_arena *arena, const char *group, const char *name,
                     size_t limit, const char ***out) {
  hid_t attribute = open_attribute(h5, group, name), space;
  if (attribute < 0)
    return -1;
  space = H5Aget_space(attribute);
  bool none = space >= 0 && H5Sget_simple_extent_npoints(space) == 0; /* of any type */
  if (space >= 0)
    H5Sclose(space);
  int n = none ? 0 : read_strings(attribute, arena, limit, out);
  H5Aclose(attribute);
  return n;
}

static int lib_members(keras_h5 *h5, neo_arena *arena, const char *group, const char ***out) {
  H5G_info_t info;
  if (!lib_exists(h5, group) ||
      H5Gget_info_by_name((hid_t)h5->handle, group, &info, H5P_DEFAULT) < 0 ||
      info.nlinks > 1000000)
    return -1;
  const char **list = neo_arena_alloc(arena, sizeof *list * ((size_t)info.nlinks + 1));
  for (hsize_t i = 0; i < info.nlinks; i++) {
    char name[512];
    ssize_t length = H5Lget_name_by_idx((hid_t)h5->handle, group, H5_INDEX_NAME, H5_ITER_INC, i,
                                        name, sizeof name, H5P_DEFAULT);
    if (length < 0 || length >= (ssize_t)sizeof name)
      return -1;
    list[i] = neo_arena_strdup(arena, name);
  }
  *out = list;
  return (int)info.nlinks;
}

static neo_status dataset_shape(neo_ctx *ctx, hid_t dataset, const char *path, int64_t limit,
                                neo_shape *shape) {
  hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
  hsize_t dims[NEO_MAX_RANK];
  int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
  bool floats = type >= 0 && H5Tget_class(type) == H5T_FLOAT;
  bool sound =
      rank >= 0 && rank <= NEO_MAX_RANK && H5Sget_simple_extent_dims(space, dims, NULL) == rank;
  int64_t n = 0;
  shape->rank = rank;
  for (int d = 0; sound && d < rank; d++) {
    sound = dims[d] <= INT64_MAX / 2;
    shape->dim[d] = (int64_t)dims[d];
  }
  if (space >= 0)
    H5Sclose(space);
  if (type >= 0)
    H5Tclose(type);
  if (!sound || !floats)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' is not a float array", path);
  if (!neo_shape_elements(shape, &n) || n > limit / 4)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' exceeds --max-model-bytes", path);
  return NEO_OK;
}

static neo_status lib_read(neo_ctx *ctx, keras_h5 *h5, const char *path, int64_t limit,
                           neo_tensor *out) {
  neo_shape shape = {0};
  hid_t dataset =
      lib_exists(h5, path) ? H5Dopen2((hid_t)h5->handle, path, H5P_DEFAULT) : H5I_INVALID_HID;
  if (dataset < 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: no weight '%s' in the file", path);
  neo_status status = dataset_shape(ctx, dataset, path, limit, &shape);
  if (status == NEO_OK)
    status = neo_tensor_create(ctx, NEO_F32, &shape, out);
  if (status == NEO_OK && out->size > 0 &&
      H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->data) < 0) {
    neo_tensor_free(ctx, out);
    status = neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' cannot be read", path);
  }
  H5Dclose(dataset);
  return status;
}

static const keras_h5_row library = {lib_close, lib_exists, lib_texts, lib_members, lib_read};

neo_status keras_hdf5_open(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                           keras_h5 **out) {
  keras_h5 *h5 = neo_alloc(ctx, sizeof *h5);
  if (!h5)
    return neo_fail(ctx, NEO_NO_MEMORY, "keras: out of memory");
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
  if (access >= 0 && H5Pset_fapl_core(access, 65536, false) >= 0 &&
      H5Pset_file_image(access, (void *)(uintptr_t)data, size) >= 0)
    file = H5Fopen("model.h5", H5F_ACC_RDONLY, access);
  if (access >= 0)
    H5Pclose(access);
  if (file < 0) {
    neo_free(ctx, h5);
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: %s: not a sound HDF5 file", path);
  }
  *h5 = (keras_h5){.row = &library, .ctx = ctx, .handle = (int64_t)file};
  *out = h5;
  return NEO_OK;
}
