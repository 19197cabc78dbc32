/* Runs an artifact of `neo compile` from C: the whole of what an application needs.
 *
 *   run_model DIR [NAME=FILE ...] [-o PREFIX]
 *
 * FILE holds the raw bytes of the input (row-major, little-endian); inputs without a file are
 * filled with zeros. Prints every output's name, type, shape and first values, and how long a run
 * takes; with -o, output i's raw bytes go to the file PREFIX<i>.
 *
 *   cc run_model.c -I neo/include -L neo/build/lib -lneo_rt */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "neo/neo_rt.h"

static int complain(const char *what, const neo_rt_error *error) {
  fprintf(stderr, "run_model: %s: %s\n", what, error->text);
  return error->code ? error->code : 1;
}

/* The raw bytes of NAME=FILE among the arguments into data; 0 if there is no such argument, -1 if
 * it cannot be read. */
static int read_argument(int argc, char **argv, const char *name, void *data, size_t bytes) {
  size_t length = strlen(name);
  for (int i = 2; i < argc; i++) {
    if (strncmp(argv[i], name, length) != 0 || argv[i][length] != '=')
      continue;
    FILE *file = fopen(argv[i] + length + 1, "rb");
    size_t got = file ? fread(data, 1, bytes, file) : 0;
    int more = file ? fgetc(file) : EOF;
    if (file)
      fclose(file);
    if (file && got == bytes && more == EOF)
      return 1;
    fprintf(stderr, "run_model: %s: input '%s' needs a file of exactly %zu bytes\n",
            argv[i] + length + 1, name, bytes);
    return -1;
  }
  return 0;
}

/* An argument that names no input would change nothing. */
static int check_arguments(neo_rt_model *model, int argc, char **argv) {
  for (int k = 2; k < argc; k++) {
    int known = strcmp(argv[k], "-o") == 0;
    k += known;
    for (int i = 0; i < neo_rt_inputs(model) && !known; i++) {
      const char *name = neo_rt_input_info(model, i)->name;
      known = strncmp(argv[k], name, strlen(name)) == 0 && argv[k][strlen(name)] == '=';
    }
    if (known)
      continue;
    fprintf(stderr, "run_model: %s: no NAME=FILE of an input; inputs are:\n", argv[k]);
    for (int i = 0; i < neo_rt_inputs(model); i++)
      fprintf(stderr, "  %s\n", neo_rt_input_info(model, i)->name);
    return NEO_RT_USAGE;
  }
  return 0;
}

static int set_inputs(neo_rt_model *model, neo_rt_session *session, int argc, char **argv) {
  neo_rt_error error;
  for (int i = 0; i < neo_rt_inputs(model); i++) {
    const neo_rt_tensor_info *info = neo_rt_input_info(model, i);
    void *data = calloc(1, info->bytes ? info->bytes : 1);
    if (!data)
      return NEO_RT_NO_MEMORY;
    int read = read_argument(argc, argv, info->name, data, info->bytes);
    int code =
        read < 0 ? NEO_RT_IO : neo_rt_set_input(session, info->name, data, info->bytes, &error);
    free(data);
    if (code)
      return read < 0 ? code : complain(info->name, &error);
  }
  return 0;
}

static void print_output(neo_rt_session *session, int i, const neo_rt_tensor_info *info) {
  const void *data;
  if (neo_rt_output(session, i, &data, NULL))
    return;
  printf("%s %s[", info->name, info->dtype);
  for (int d = 0; d < info->rank; d++)
    printf(d ? ",%lld" : "%lld", (long long)info->dim[d]);
  printf("]");
  size_t shown = info->bytes / 4 < 8 ? info->bytes / 4 : 8;
  if (strcmp(info->dtype, "f32") == 0)
    for (size_t k = 0; k < shown; k++)
      printf(" %g", (double)((const float *)data)[k]);
  printf("\n");
}

static int write_output(neo_rt_session *session, int i, const char *prefix) {
  neo_rt_tensor_info info;
  const void *data;
  char path[1024];
  int n = snprintf(path, sizeof path, "%s%d", prefix, i);
  if (neo_rt_output_shape(session, i, &info) || neo_rt_output(session, i, &data, NULL))
    return NEO_RT_USAGE;
  FILE *file = n < (int)sizeof path ? fopen(path, "wb") : NULL;
  size_t put = file ? fwrite(data, 1, info.bytes, file) : 0;
  if (file && fclose(file) == 0 && put == info.bytes)
    return 0;
  fprintf(stderr, "run_model: cannot write %s\n", path);
  return NEO_RT_IO;
}

static int run(neo_rt_model *model, neo_rt_session *session, int argc, char **argv) {
  neo_rt_error error;
  int code = check_arguments(model, argc, argv);
  if (!code)
    code = set_inputs(model, session, argc, argv);
  if (code)
    return code;
  struct timespec start, end;
  if (neo_rt_run(session, &error)) /* the first run touches all memory */
    return complain("run", &error);
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (neo_rt_run(session, &error))
    return complain("run", &error);
  clock_gettime(CLOCK_MONOTONIC, &end);
  for (int i = 0; i < neo_rt_outputs(model); i++)
    print_output(session, i, neo_rt_output_info(model, i));
  for (int k = 2; k + 1 < argc; k++)
    for (int i = 0; strcmp(argv[k], "-o") == 0 && i < neo_rt_outputs(model) && !code; i++)
      code = write_output(session, i, argv[k + 1]);
  printf("%.3f ms\n",
         (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) * 1e-6);
  return code;
}

int main(int argc, char **argv) {
  if (argc < 2 || argv[1][0] == '-') {
    fprintf(stderr, "usage: run_model DIR [NAME=FILE ...] [-o PREFIX]\n");
    return NEO_RT_USAGE;
  }
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error;
  int code = 0;
  if (neo_rt_load(argv[1], &model, &error) || neo_rt_session_create(model, NULL, &session, &error))
    code = complain(argv[1], &error);
  else
    code = run(model, session, argc, argv);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  return code;
}
