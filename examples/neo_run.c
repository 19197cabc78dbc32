/* Runs an artifact of `neo compile` on .npy files, on boards where nothing else of Neo is.
 *
 *   neo-run DIR [NAME=FILE.npy ...] [-o PREFIX] [-n RUNS]
 *
 * Inputs without a file are zeros. Prints every output's name, type and shape; with -o, output i
 * goes to the file PREFIX<i>.npy; with -n, the runs are timed. Strings are not served.
 *
 * Format .npy: "\x93NUMPY", version (1: u16, 2 and 3: u32 length follows), a Python literal with
 * descr, fortran_order and shape, then the elements; here row-major and little-endian only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "neo/neo_rt.h"

enum { PREAMBLE = 8, MAX_HEADER = 1 << 16 };

static int fail(int code, const char *what, const char *why) {
  fprintf(stderr, "neo-run: %s: %s\n", what, why);
  return code;
}

/* ---- .npy ---------------------------------------------------------------------------------------- */

typedef struct type_row {
  const char *dtype, *descr;
} type_row;

static const type_row types[] = {
    {"f32", "<f4"}, {"f64", "<f8"}, {"f16", "<f2"}, {"i8", "|i1"},  {"i16", "<i2"}, {"i32", "<i4"},
    {"i64", "<i8"}, {"u8", "|u1"},  {"u16", "<u2"}, {"u32", "<u4"}, {"u64", "<u8"}, {"bool", "|b1"},
};

static const char *descr_of(const char *dtype) {
  for (size_t k = 0; k < sizeof types / sizeof *types; k++)
    if (strcmp(types[k].dtype, dtype) == 0)
      return types[k].descr;
  return NULL;
}

static const char *dtype_of(const char *descr) {
  for (size_t k = 0; k < sizeof types / sizeof *types; k++)
    if (strncmp(types[k].descr, descr, 3) == 0)
      return types[k].dtype;
  return NULL;
}

/* What stands behind 'KEY': in the header; "" if it is not there. */
static const char *field(const char *header, const char *key) {
  const char *at = strstr(header, key);
  return at ? at + strlen(key) + strspn(at + strlen(key), "': ") : "";
}

static int parse_shape(const char *at, neo_rt_tensor_info *info) {
  if (*at++ != '(')
    return 0;
  for (;;) {
    at += strspn(at, " ,");
    if (*at == ')')
      return 1;
    char *end;
    long long n = strtoll(at, &end, 10);
    if (end == at || n < 0 || info->rank == NEO_RT_MAX_RANK)
      return 0;
    info->dim[info->rank++] = n;
    at = end;
  }
}

static char *read_header(FILE *file) {
  unsigned char start[PREAMBLE], length[4] = {0};
  if (fread(start, 1, PREAMBLE, file) != PREAMBLE || memcmp(start, "\x93NUMPY", 6) != 0)
    return NULL;
  size_t bytes = start[6] == 1 ? 2 : 4;
  if (fread(length, 1, bytes, file) != bytes)
    return NULL;
  size_t size = (size_t)length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16;
  char *header = size < MAX_HEADER && !length[3] ? calloc(1, size + 1) : NULL;
  if (header && fread(header, 1, size, file) != size) {
    free(header);
    return NULL;
  }
  return header;
}

/* The elements, allocated; NULL if the file is not such a one. */
static void *read_npy(FILE *file, neo_rt_tensor_info *info) {
  char *header = read_header(file);
  if (!header)
    return NULL;
  const char *descr = field(header, "'descr'");
  info->dtype = dtype_of(descr);
  int good = info->dtype && strncmp(field(header, "'fortran_order'"), "False", 5) == 0 &&
             parse_shape(field(header, "'shape'"), info);
  info->bytes = good ? (size_t)(descr[2] - '0') : 0;
  free(header);
  for (int d = 0; d < info->rank && good; d++) {
    good = info->dim[d] == 0 || info->bytes <= SIZE_MAX / 2 / (size_t)info->dim[d];
    info->bytes *= (size_t)info->dim[d];
  }
  void *data = good ? malloc(info->bytes ? info->bytes : 1) : NULL;
  if (data && fread(data, 1, info->bytes, file) != info->bytes) {
    free(data);
    return NULL;
  }
  return data;
}

static int write_npy(const char *path, const neo_rt_tensor_info *info, const void *data) {
  char text[512];
  unsigned char start[10] = "\x93NUMPY\x01";
  const char *descr = descr_of(info->dtype);
  if (!descr)
    return fail(NEO_RT_UNSUPPORTED, info->name, "a type that .npy files do not have");
  int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int d = 0; d < info->rank; d++)
    n += snprintf(text + n, sizeof text - (size_t)n, "%lld,", (long long)info->dim[d]);
  n += snprintf(text + n, sizeof text - (size_t)n, "), }");
  while ((n + (int)sizeof start) % 64 != 63)
    text[n++] = ' ';
  text[n++] = '\n';
  start[8] = (unsigned char)n;
  start[9] = (unsigned char)(n >> 8);
  FILE *file = fopen(path, "wb");
  int good = file && fwrite(start, 1, sizeof start, file) == sizeof start &&
             fwrite(text, 1, (size_t)n, file) == (size_t)n &&
             fwrite(data, 1, info->bytes, file) == info->bytes;
  if (file && fclose(file) != 0)
    good = 0;
  return good ? 0 : fail(NEO_RT_IO, path, "cannot be written");
}

/* ---- running ------------------------------------------------------------------------------------- */

static const char *value_of(int argc, char **argv, const char *option) {
  for (int i = 2; i + 1 < argc; i++)
    if (strcmp(argv[i], option) == 0)
      return argv[i + 1];
  return NULL;
}

static int set_from_file(neo_rt_session *session, const char *name, const char *path) {
  neo_rt_tensor_info info = {.name = name};
  neo_rt_error error = {0};
  FILE *file = fopen(path, "rb");
  void *data = file ? read_npy(file, &info) : NULL;
  if (file)
    fclose(file);
  if (!data)
    return fail(NEO_RT_IO, path, "not a row-major, little-endian .npy file");
  int code = neo_rt_set_tensor(session, &info, data, &error);
  free(data);
  return code ? fail(code, name, error.text) : 0;
}

static int set_zeros(neo_rt_session *session, const neo_rt_tensor_info *info) {
  neo_rt_error error = {0};
  void *data = calloc(1, info->bytes ? info->bytes : 1);
  int code =
      data ? neo_rt_set_input(session, info->name, data, info->bytes, &error) : NEO_RT_NO_MEMORY;
  free(data);
  return code ? fail(code, info->name, error.text) : 0;
}

/* An argument that is neither an option nor NAME=FILE of an input would change nothing. */
static int check_arguments(neo_rt_model *model, int argc, char **argv) {
  for (int k = 2; k < argc; k++) {
    int known = strcmp(argv[k], "-o") == 0 || strcmp(argv[k], "-n") == 0;
    k += known;
    for (int i = 0; i < neo_rt_inputs(model) && !known; i++) {
      const char *name = neo_rt_input_info(model, i)->name;
      known = strncmp(argv[k], name, strlen(name)) == 0 && argv[k][strlen(name)] == '=';
    }
    if (known)
      continue;
    fail(NEO_RT_USAGE, argv[k], "neither an option nor NAME=FILE.npy of an input; inputs are:");
    for (int i = 0; i < neo_rt_inputs(model); i++)
      fprintf(stderr, "  %s\n", neo_rt_input_info(model, i)->name);
    return NEO_RT_USAGE;
  }
  return 0;
}

static int set_inputs(neo_rt_model *model, neo_rt_session *session, int argc, char **argv) {
  for (int i = 0; i < neo_rt_inputs(model); i++) {
    const neo_rt_tensor_info *info = neo_rt_input_info(model, i);
    size_t length = strlen(info->name);
    const char *path = NULL;
    for (int k = 2; k < argc; k++)
      if (strncmp(argv[k], info->name, length) == 0 && argv[k][length] == '=')
        path = argv[k] + length + 1;
    int code = path ? set_from_file(session, info->name, path) : set_zeros(session, info);
    if (code)
      return code;
  }
  return 0;
}

static int take_outputs(neo_rt_model *model, neo_rt_session *session, const char *prefix) {
  for (int i = 0; i < neo_rt_outputs(model); i++) {
    neo_rt_tensor_info info;
    const void *data;
    char path[1024];
    if (neo_rt_output_shape(session, i, &info) || neo_rt_output(session, i, &data, NULL))
      return NEO_RT_USAGE;
    printf("%s %s[", info.name, info.dtype);
    for (int d = 0; d < info.rank; d++)
      printf(d ? ",%lld" : "%lld", (long long)info.dim[d]);
    printf("]\n");
    int n = prefix ? snprintf(path, sizeof path, "%s%d.npy", prefix, i) : 0;
    int code = n >= (int)sizeof path ? fail(NEO_RT_USAGE, prefix, "too long")
               : prefix              ? write_npy(path, &info, data)
                                     : 0;
    if (code)
      return code;
  }
  return 0;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int run(neo_rt_model *model, neo_rt_session *session, int argc, char **argv) {
  neo_rt_error error = {0};
  const char *times = value_of(argc, argv, "-n");
  long runs = times ? strtol(times, NULL, 10) : 0;
  int code = check_arguments(model, argc, argv);
  if (!code)
    code = set_inputs(model, session, argc, argv);
  if (!code && neo_rt_run(session, &error))
    code = fail(error.code, argv[1], error.text);
  double start = now_ms();
  for (long k = 0; k < runs && !code; k++)
    code = neo_rt_run(session, &error);
  if (runs > 0 && !code)
    printf("%ld runs, %.3f ms each\n", runs, (now_ms() - start) / (double)runs);
  return code ? code : take_outputs(model, session, value_of(argc, argv, "-o"));
}

int main(int argc, char **argv) {
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  if (argc < 2 || argv[1][0] == '-') {
    fprintf(stderr, "usage: neo-run DIR [NAME=FILE.npy ...] [-o PREFIX] [-n RUNS]\n");
    return NEO_RT_USAGE;
  }
  int code = neo_rt_load(argv[1], &model, &error);
  if (!code)
    code = neo_rt_session_create(model, NULL, &session, &error);
  if (code)
    fail(code, argv[1], error.text);
  else
    code = run(model, session, argc, argv);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  return code;
}
