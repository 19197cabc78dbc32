/* tests/frontends/test_reader_memory.c: what readers and constant folding allocate for hostile
 * files: at most 4 times the file, 64 MB, and what --max-model-bytes allows.
 *
 * How: each model is read in a child process, whose largest address space is compared with that
 * before: what is asked for counts, touched or not. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/frontends/hostile_file.h"
#include "tests/frontends/onnx_build.h"
#include "tests/frontends/torch_build.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* their shadow is the address space */
#else
enum { SANITIZED = 0 };
#endif

#define MB ((int64_t)1 << 20)
#define ALLOWED (32 * MB) /* --max-model-bytes of all cases */

/* ---- measuring ------------------------------------------------------------------------------------ */

static int64_t status_kb(const char *name) {
  char line[256];
  int64_t kb = -1;
  FILE *file = fopen("/proc/self/status", "r");
  assert_non_null(file);
  while (kb < 0 && fgets(line, sizeof line, file))
    if (strncmp(line, name, strlen(name)) == 0)
      kb = strtoll(line + strlen(name), NULL, 10);
  fclose(file);
  return kb;
}

typedef struct outcome {
  neo_status status;
  int64_t bytes; /* by which the address space grew */
  char message[512];
} outcome;

static int n_bindings = 1; /* 0: the model has no input x, and would be refused for that */

static neo_status read_and_fold(neo_ctx *ctx, const char *path) {
  neo_binding binding = {.name = "x", .shape = {2, {2, 3}}};
  neo_import_options options = {n_bindings, &binding, ALLOWED};
  neo_graph *graph = NULL;
  NEO_TRY(neo_import(ctx, path, &options, &graph));
  neo_status status = neo_pass_bind(ctx, graph, 0, NULL);
  if (status == NEO_OK)
    status = neo_graph_optimise(ctx, graph);
  neo_graph_destroy(graph);
  return status;
}

static outcome measure(const char *path) {
  int ends[2];
  outcome out = {.status = NEO_INTERNAL};
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    int64_t before = status_kb("VmSize:");
    out.status = read_and_fold(&ctx, path);
    out.bytes = (status_kb("VmPeak:") - before) * 1024;
    snprintf(out.message, sizeof out.message, "%.500s", ctx.message);
    _exit(write(ends[1], &out, sizeof out) == (ssize_t)sizeof out ? 0 : 1);
  }
  close(ends[1]);
  int state = 0;
  bool whole = read(ends[0], &out, sizeof out) == (ssize_t)sizeof out;
  close(ends[0]);
  assert_int_equal(waitpid(pid, &state, 0), pid);
  assert_true(whole && WIFEXITED(state) && WEXITSTATUS(state) == 0);
  return out;
}

/* The file is mapped, too: one more time its size. part: of the message; "": read or refused; NULL:
 * it must be read. */
static void bounded(const char *path, int64_t size, const char *part) {
  outcome o = measure(path);
  if (part ? *part && (o.status == NEO_OK || !strstr(o.message, part)) : o.status != NEO_OK)
    fail_msg("%s: %s: %s", path, neo_status_name(o.status), o.message);
  if (!SANITIZED && o.bytes > 5 * size + 64 * MB + ALLOWED)
    fail_msg("%s of %lld bytes took %lld MB: %s", path, (long long)size, (long long)(o.bytes / MB),
             o.message);
}

static void bounded_bytes(const void *data, size_t size, const char *part) {
  char path[300];
  snprintf(path, sizeof path, "%s/model", hostile_folder);
  assert_int_equal(neo_file_write(&hostile_ctx, path, data, size), NEO_OK);
  bounded(path, (int64_t)size, part);
}

/* ---- archives --------------------------------------------------------------------------------------- */

/* An archive with one member of so many zeros; returns its size. */
static int64_t bomb(const char *path, bool zip, const char *name, int64_t zeros) {
  static const char block[1 << 16];
  struct archive *out = archive_write_new();
  if (zip) {
    archive_write_set_format_zip(out);
  } else {
    archive_write_add_filter_gzip(out);
    archive_write_set_format_ustar(out);
  }
  assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, name);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, zeros);
  assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
  for (int64_t at = 0; at < zeros; at += (int64_t)sizeof block)
    archive_write_data(out, block, sizeof block);
  archive_entry_free(entry);
  int64_t size = 0;
  archive_write_close(out);
  size = archive_filter_bytes(out, -1);
  archive_write_free(out);
  return size;
}

static void archives_that_expand(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/bomb", hostile_folder);
  setenv("TMPDIR", hostile_folder, 1);
  bounded(path, bomb(path, false, "model.onnx", 300 * MB), "--max-model-bytes");
  bounded(path, bomb(path, true, "m/data.pkl", 300 * MB), "");
  bounded(path, bomb(path, true, "m/models/model.json", 300 * MB), "");
  bounded(path, bomb(path, true, "config.json", 300 * MB), "");
}

/* The directory says 3 GB, the member has three bytes. */
static void archives_that_lie(void **state) {
  (void)state;
  static const char *const names[] = {"m/data.pkl", "m/models/model.json", "config.json"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    zip_build z = {0};
    zip_add_as(&z, names[i], "\x03\x00\x00", 3, 3u << 30, 8);
    zip_text(&z, "m/code/__torch__.py", "class M(Module):\n");
    zip_end(&z);
    bounded_bytes(z.body.data, z.body.size, "");
    zip_fini(&z);
  }
}

/* ---- constants -------------------------------------------------------------------------------------- */

static void add_ints(onnx_build *m, const char *name, int n, const int64_t *v) {
  const int64_t dim[1] = {n};
  add_tensor(m, build_tensor(name, 7, 1, dim, v, sizeof *v * (size_t)n));
}

/* 40 times `op` on constants, each result of 240 MB, and their sum. */
static void folding_bomb(const char *op, const char *inputs) {
  static const int64_t shape[2] = {60, 1 << 20}, ends[3] = {0, 30 << 20, 1}, one = 1;
  static const int64_t dims[2] = {2, 3};
  static const float value = 3;
  onnx_build m = {0};
  add_opset(&m, "", 13);
  add_input(&m, "x", 2, dims);
  add_ints(&m, "shape", 2, shape);
  add_tensor(&m, build_tensor("one", 1, 0, NULL, &value, sizeof value));
  add_tensor(&m, build_tensor("ones", 1, 2, (int64_t[]){1, 1}, &value, sizeof value));
  for (int i = 0; i < 3; i++)
    add_tensor(&m, build_tensor((const char *[]){"start", "limit", "delta"}[i], 7, 0, NULL,
                                &ends[i], sizeof ends[i]));
  add_tensor(&m, build_tensor("axis", 7, 1, &one, &one, sizeof one));
  for (int i = 0; i < 40; i++) {
    char name[32], out[32], sum[64];
    snprintf(name, sizeof name, "n%d", i);
    snprintf(out, sizeof out, "c%d", i);
    add_node(&m, op, name, inputs, out, NULL);
    snprintf(sum, sizeof sum, "%s s%d", out, i);
    snprintf(name, sizeof name, "r%d", i);
    snprintf(out, sizeof out, "s%d", i);
    char reduce[32];
    snprintf(reduce, sizeof reduce, "c%d", i);
    neo_buf keep = build_attr_int("keepdims", 0);
    add_node(&m, "ReduceMax", name, reduce, out, &keep);
    add_output(&m, out);
  }
  finish_model(&m);
  bounded_bytes(m.model.data, m.model.size, NULL);
  build_fini(&m);
}

static void constants_that_grow(void **state) {
  (void)state;
  folding_bomb("ConstantOfShape", "shape");
  folding_bomb("Expand", "one shape");
  folding_bomb("Tile", "ones shape");
  folding_bomb("Range", "start limit delta");
}

/* A past of two positions and two thousand million in all: masks are made of all positions. */
static void attention_of_many_positions(void **state) {
  (void)state;
  static const float values[64];
  static const int32_t total = INT32_MAX, end = 1;
  static const int64_t dims[2] = {2, 3}, now[3] = {1, 1, 8}, past[4] = {1, 1, 2, 8};
  onnx_build m = {0};
  add_opset(&m, "", 13);
  add_opset(&m, "com.microsoft", 1);
  add_input(&m, "x", 2, dims);
  for (int i = 0; i < 3; i++)
    add_tensor(&m, build_tensor((const char *[]){"q", "k", "v"}[i], 1, 3, now, values, 32));
  for (int i = 0; i < 2; i++)
    add_tensor(&m, build_tensor((const char *[]){"pk", "pv"}[i], 1, 4, past, values, 64));
  add_tensor(&m, build_tensor("end", 6, 1, (int64_t[]){1}, &end, sizeof end));
  add_tensor(&m, build_tensor("total", 6, 0, NULL, &total, sizeof total));
  neo_buf heads = build_attr_int("num_heads", 1), shared = build_attr_int("kv_num_heads", 1);
  neo_buf node = build_node("GroupQueryAttention", "gqa", "q k v pk pv end total", "y", &heads);
  put_message(&node, 5, &shared);
  put_text(&node, 7, "com.microsoft");
  put_message(&m.graph, 1, &node);
  add_output(&m, "y");
  finish_model(&m);
  bounded_bytes(m.model.data, m.model.size, "2147483647 positions");
  build_fini(&m);
}

/* Many of 200 KB, small enough to be evaluated while shapes are inferred. */
static void many_small_constants(void **state) {
  (void)state;
  static const int64_t shape[1] = {50000}, dims[2] = {2, 3};
  onnx_build m = {0};
  add_opset(&m, "", 13);
  add_input(&m, "x", 2, dims);
  add_ints(&m, "shape", 1, shape);
  for (int i = 0; i < 2000; i++) {
    char name[32];
    snprintf(name, sizeof name, "c%d", i);
    add_node(&m, "ConstantOfShape", name, "shape", name, NULL);
    add_output(&m, name);
  }
  finish_model(&m);
  bounded_bytes(m.model.data, m.model.size, NULL);
  build_fini(&m);
}

/* A TensorFlow constant whose one value stands for 2^30. */
static void a_repeated_value(void **state) {
  (void)state;
  neo_buf shape = {0}, dim = {0}, tensor = {0}, value = {0}, attr = {0}, node = {0}, graph = {0};
  static const float one = 1;
  put_int(&dim, 1, (int64_t)1 << 30);
  put_message(&shape, 2, &dim);
  put_int(&tensor, 1, 1);
  put_message(&tensor, 2, &shape);
  put_bytes(&tensor, 5, &one, sizeof one);
  put_message(&value, 8, &tensor);
  put_text(&attr, 1, "value");
  put_message(&attr, 2, &value);
  put_text(&node, 1, "c");
  put_text(&node, 2, "Const");
  put_message(&node, 5, &attr);
  put_message(&graph, 1, &node);
  put_text(&node, 1, "out");
  put_text(&node, 2, "Identity");
  put_text(&node, 3, "c");
  put_message(&graph, 1, &node);
  bounded_bytes(graph.data, graph.size, "max_model_bytes");
  neo_buf_fini(&graph);
}

static void torch_code(const char *body, const char *part) {
  zip_build z = {0};
  script_archive(&z, body);
  bounded_bytes(z.body.data, z.body.size, part);
  zip_fini(&z);
}

static void torch_programs(void **state) {
  (void)state;
  torch_code("    return torch.add(x, torch.max(torch.zeros([40000, 40000])))\n", "");
  torch_code("    for i in range(90000):\n      x = torch.add(x, self.w)\n    return x\n",
             "unrolled");
  torch_code("    for i in range(2000):\n      x = torch.add(x, self.w)\n    return x\n", NULL);
  torch_code("    n = 0\n    for i in range(90000):\n      for j in range(40):\n        n = j\n"
             "    return x\n",
             "");
  torch_code("    ys = [1]\n    for i in range(60):\n      ys = torch.add(ys, ys)\n    return x\n",
             "");
}

/* ---- messages and values ---------------------------------------------------------------------------- */

/* 8 MB of empty nodes, two bytes each. */
static void empty_messages(void **state) {
  (void)state;
  neo_buf graph = {0}, model = {0};
  for (int i = 0; i < 4 << 20; i++)
    neo_buf_append(&graph, "\x0a\x00", 2);
  put_int(&model, 1, 8);
  put_message(&model, 7, &graph);
  bounded_bytes(model.data, model.size, "more messages than");
  neo_buf_fini(&model);
}

static void json_of_small_values(void **state) {
  (void)state;
  neo_buf text = {0};
  neo_buf_text(&text, "{\"nodes\": [{\"op\": \"null\", \"name\": \"x\", \"inputs\": []}], "
                      "\"arg_nodes\": [0], \"heads\": [[0, 0, 0]], \"attrs\": [");
  for (int i = 0; i < 8 << 20; i++)
    neo_buf_text(&text, "0,");
  neo_buf_text(&text, "0]}");
  bounded_bytes(text.data, text.size, "");
  neo_buf_fini(&text);
}

/* ---- declared sizes --------------------------------------------------------------------------------- */

/* A Sequential model with one Dense layer whose kernel is declared as 50000 x 50000: never written,
 * or zeros in compressed chunks. */
static void write_keras(const char *path, bool newer, bool chunks) {
  static const char config[] =
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
      "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, 50000], "
      "\"dtype\": \"float32\", \"name\": \"in\"}}, {\"class_name\": \"Dense\", \"config\": "
      "{\"name\": \"d\", \"units\": 50000, \"activation\": \"linear\", \"use_bias\": false, "
      "\"dtype\": \"float32\"}}]}}";
  const hsize_t dims[2] = {50000, 50000}, chunk[2] = {500, 500};
  const char *const weights[1] = {"kernel:0"};
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), make = H5Pcreate(H5P_DATASET_CREATE);
  if (newer)
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  if (chunks) {
    H5Pset_chunk(make, 2, chunk);
    H5Pset_deflate(make, 9);
  }
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  hid_t scalar = H5Screate(H5S_SCALAR), text = H5Tcopy(H5T_C_S1), name = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, sizeof config);
  H5Tset_size(name, 16);
  hid_t attribute = H5Acreate2(file, "model_config", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, text, config);
  H5Aclose(attribute);
  hid_t all = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  hid_t layer = H5Gcreate2(all, "d", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  hid_t list = H5Screate_simple(1, (hsize_t[]){1}, NULL), plane = H5Screate_simple(2, dims, NULL);
  char names[16] = {0};
  snprintf(names, sizeof names, "%s", weights[0]);
  attribute = H5Acreate2(layer, "weight_names", name, list, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, name, names);
  H5Aclose(attribute);
  H5Dclose(H5Dcreate2(layer, "kernel:0", H5T_IEEE_F32LE, plane, H5P_DEFAULT, make, H5P_DEFAULT));
  H5Sclose(plane);
  H5Sclose(list);
  H5Sclose(scalar);
  H5Tclose(text);
  H5Tclose(name);
  H5Gclose(layer);
  H5Gclose(all);
  H5Pclose(make);
  H5Pclose(access);
  assert_true(H5Fclose(file) >= 0);
}

static void keras_weights_not_there(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/model.h5", hostile_folder);
  for (int form = 0; form < 3; form++) {
    write_keras(path, form > 0, form > 1);
    bounded(path, 10000, "--max-model-bytes");
  }
}

/* ---- TFLite, SavedModel --------------------------------------------------------------------- */

/* Place of a field of a flatbuffer's table; 0: it has none. */
static size_t fb_field(const neo_buf *file, size_t at, int number) {
  int32_t back;
  uint16_t size, offset = 0;
  memcpy(&back, file->data + at, sizeof back);
  size_t vtable = (size_t)((int64_t)at - back);
  memcpy(&size, file->data + vtable, sizeof size);
  if (4 + 2 * number + 2 <= size)
    memcpy(&offset, file->data + vtable + 4 + 2 * (size_t)number, sizeof offset);
  return offset ? at + offset : 0;
}

static size_t fb_follow(const neo_buf *file, size_t at) {
  uint32_t offset;
  memcpy(&offset, file->data + at, sizeof offset);
  return at + offset;
}

/* Every tensor in turn says that its first dimension is of 2^31 - 1 rows. */
static void tflite_shapes(void **state) {
  (void)state;
  static const char *const models[] = {"attention/model.tflite", "signal/model.tflite",
                                       "extents/model.tflite"};
  int damaged = 0;
  n_bindings = 0;
  for (int m = 0; m < NEO_COUNT(models); m++) {
    neo_buf file = {0};
    hostile_load("tests/data/tflite/", models[m], &file);
    size_t graphs = fb_follow(&file, fb_field(&file, fb_follow(&file, 0), 2));
    size_t tensors = fb_follow(&file, fb_field(&file, fb_follow(&file, graphs + 4), 0));
    uint32_t n, rank, whole;
    memcpy(&n, file.data + tensors, sizeof n);
    for (uint32_t i = 0; i < n && i < 40; i++) {
      size_t at = fb_field(&file, fb_follow(&file, tensors + 4 + 4 * (size_t)i), 0);
      size_t shape = at ? fb_follow(&file, at) : 0;
      memcpy(&rank, file.data + shape, sizeof rank);
      if (!shape || rank == 0)
        continue;
      memcpy(&whole, file.data + shape + 4, sizeof whole);
      memcpy(file.data + shape + 4, "\xff\xff\xff\x7f", 4);
      bounded_bytes(file.data, file.size, "");
      memcpy(file.data + shape + 4, &whole, sizeof whole);
      damaged++;
    }
    neo_buf_fini(&file);
  }
  assert_true(damaged > 30);
  n_bindings = 1;
}

/* Images of 8 bits are to have 2^30 rows, or columns: their places and weights are tables. */
static void tflite_resizing(void **state) {
  (void)state;
  static const int32_t sizes[2] = {11, 5}, large[2][2] = {{1 << 30, 5}, {11, 1 << 30}};
  neo_buf file = {0};
  int damaged = 0;
  n_bindings = 0;
  hostile_load("tests/data/tflite/", "exact_bytes/model.tflite", &file);
  for (size_t at = 0; at + sizeof sizes <= file.size; at += 4) {
    if (memcmp(file.data + at, sizes, sizeof sizes) != 0)
      continue;
    for (int k = 0; k < 2; k++) {
      memcpy(file.data + at, large[k], sizeof sizes);
      bounded_bytes(file.data, file.size, "");
      damaged++;
    }
    memcpy(file.data + at, sizes, sizeof sizes);
  }
  assert_true(damaged > 0);
  neo_buf_fini(&file);
  n_bindings = 1;
}

/* A field of a TensorFlow file: { value 5: 1.0, shape 2: { 2^20, 2^15 } }, one number for all. */
static neo_buf repeated_tensor(void) {
  neo_buf tensor = {0}, shape = {0};
  for (int d = 0; d < 2; d++) {
    neo_buf dim = {0};
    put_int(&dim, 1, d ? 1 << 15 : 1 << 20);
    put_message(&shape, 2, &dim);
  }
  put_int(&tensor, 1, 1);
  put_message(&tensor, 2, &shape);
  put_bytes(&tensor, 5, "\0\0\x80\x3f", 4);
  return tensor;
}

static void put_attr(neo_buf *node, const char *name, neo_buf *value) {
  neo_buf entry = {0};
  put_text(&entry, 1, name);
  put_message(&entry, 2, value);
  put_message(node, 5, &entry);
}

static void write_saved(const neo_buf *saved) {
  char path[300];
  snprintf(path, sizeof path, "%s/saved/saved_model.pb", hostile_folder);
  assert_int_equal(neo_file_write(&hostile_ctx, path, saved->data, saved->size), NEO_OK);
  snprintf(path, sizeof path, "%s/saved", hostile_folder);
  bounded(path, (int64_t)saved->size, "max_model_bytes");
}

/* A SavedModel whose graph has such a constant, and gives it out. */
static void saved_model_constant(void **state) {
  (void)state;
  neo_buf saved = {0}, meta = {0}, info = {0}, graph = {0}, node = {0}, value = {0};
  neo_buf entry = {0}, signature = {0}, output = {0}, place = {0}, tensor = repeated_tensor();
  char path[300];
  put_text(&node, 1, "c");
  put_text(&node, 2, "Const");
  put_message(&value, 8, &tensor);
  put_attr(&node, "value", &value);
  put_message(&graph, 1, &node);
  put_text(&info, 4, "serve");
  put_text(&place, 1, "c:0");
  put_int(&place, 2, 1);
  put_text(&output, 1, "y");
  put_message(&output, 2, &place);
  put_message(&signature, 2, &output);
  put_text(&signature, 3, "tensorflow/serving/predict");
  put_text(&entry, 1, "serving_default");
  put_message(&entry, 2, &signature);
  put_message(&meta, 1, &info);
  put_message(&meta, 2, &graph);
  put_message(&meta, 5, &entry);
  put_int(&saved, 1, 1);
  put_message(&saved, 2, &meta);
  snprintf(path, sizeof path, "%s/saved", hostile_folder);
  assert_int_equal(neo_dir_create(&hostile_ctx, path), NEO_OK);
  write_saved(&saved);
  neo_buf_fini(&saved);
}

/* Four bytes of the index of variables are 0xff, here and there: sizes, shapes, offsets. */
static void saved_model_index(void **state) {
  (void)state;
  neo_buf file = {0}, index = {0};
  char to[400], folder[300];
  snprintf(folder, sizeof folder, "%s/bundle", hostile_folder);
  snprintf(to, sizeof to, "%s/variables", folder);
  assert_int_equal(neo_dir_create(&hostile_ctx, to), NEO_OK);
  static const char *const names[] = {"saved_model.pb", "variables/variables.data-00000-of-00001",
                                      "variables/variables.index"};
  int64_t size = 0;
  for (int i = 0; i < NEO_COUNT(names); i++) {
    neo_buf_clear(&file);
    hostile_load("tests/data/tensorflow/savedmodel_mnist_cnn_tf1/saved_model/", names[i], &file);
    snprintf(to, sizeof to, "%s/%s", folder, names[i]);
    assert_int_equal(neo_file_write(&hostile_ctx, to, file.data, file.size), NEO_OK);
    size += (int64_t)file.size;
  }
  neo_buf_append(&index, file.data, file.size);
  for (size_t at = 0; at < index.size; at += 1 + index.size / 80) {
    memcpy(file.data, index.data, index.size);
    memset(file.data + at, 0xff, index.size - at < 4 ? index.size - at : 4);
    assert_int_equal(neo_file_write(&hostile_ctx, to, file.data, file.size), NEO_OK);
    bounded(folder, size, "");
  }
  neo_buf_fini(&index);
  neo_buf_fini(&file);
}

static void mxnet_arrays(void **state) {
  (void)state;
  static const char symbol[] =
      "{\"nodes\": [{\"op\": \"null\", \"name\": \"x\", \"inputs\": []}, {\"op\": \"null\", "
      "\"name\": \"w\", \"inputs\": []}, {\"op\": \"dot\", \"name\": \"d\", \"inputs\": [[0, 0, "
      "0], [1, 0, 0]]}], \"arg_nodes\": [0, 1], \"heads\": [[2, 0, 0]], \"attrs\": "
      "{\"mxnet_version\": [\"int\", 10901]}}";
  static const int64_t counts[] = {1, (int64_t)1 << 40};
  char path[300];
  for (int i = 0; i < NEO_COUNT(counts); i++) {
    neo_buf file = {0};
    neo_buf_u64le(&file, 0x112);
    neo_buf_u64le(&file, 0);
    neo_buf_u64le(&file, (uint64_t)counts[i]);
    neo_buf_u32le(&file, 0xF993FAC9);
    neo_buf_u32le(&file, 0);
    neo_buf_u32le(&file, 2);
    neo_buf_u64le(&file, 1 << 20);
    neo_buf_u64le(&file, 1 << 20);
    for (int k = 0; k < 3; k++)
      neo_buf_u32le(&file, 0);
    snprintf(path, sizeof path, "%s/net-0000.params", hostile_folder);
    assert_int_equal(neo_file_write(&hostile_ctx, path, file.data, file.size), NEO_OK);
    neo_buf_fini(&file);
    snprintf(path, sizeof path, "%s/net-symbol.json", hostile_folder);
    assert_int_equal(neo_file_write(&hostile_ctx, path, symbol, sizeof symbol - 1), NEO_OK);
    bounded(path, (int64_t)sizeof symbol, "");
  }
}

/* A typed array of UBJSON and a binary model that say they have 2^40 elements and 2^31 trees. */
static void xgboost_counts(void **state) {
  (void)state;
  neo_buf file = {0};
  hostile_load("tests/data/fuzz/xgboost/", "logistic.ubj", &file);
  for (size_t at = 0; at + 12 < file.size; at++)
    if (memcmp(file.data + at, "[$", 2) == 0 && file.data[at + 3] == '#') {
      neo_buf copy = {0};
      neo_buf_append(&copy, file.data, at + 4);
      neo_buf_append(&copy, "L\x00\x00\x01\x00\x00\x00\x00\x00", 9);
      bounded_bytes(copy.data, copy.size, "");
      neo_buf_fini(&copy);
      break;
    }
  neo_buf_clear(&file);
  hostile_load("tests/data/fuzz/xgboost/", "gbtree.bin", &file);
  for (size_t at = 0; at + 4 < file.size && at < 600; at += 4) {
    char saved[4];
    memcpy(saved, file.data + at, 4);
    memcpy(file.data + at, "\xff\xff\xff\x7f", 4);
    outcome o;
    char path[300];
    snprintf(path, sizeof path, "%s/model", hostile_folder);
    assert_int_equal(neo_file_write(&hostile_ctx, path, file.data, file.size), NEO_OK);
    o = measure(path);
    assert_true(SANITIZED || o.bytes <= 5 * (int64_t)file.size + 64 * MB + ALLOWED);
    memcpy(file.data + at, saved, 4);
  }
  neo_buf_fini(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(archives_that_expand),
      cmocka_unit_test(archives_that_lie),
      cmocka_unit_test(constants_that_grow),
      cmocka_unit_test(many_small_constants),
      cmocka_unit_test(a_repeated_value),
      cmocka_unit_test(torch_programs),
      cmocka_unit_test(empty_messages),
      cmocka_unit_test(json_of_small_values),
      cmocka_unit_test(keras_weights_not_there),
      cmocka_unit_test(mxnet_arrays),
      cmocka_unit_test(attention_of_many_positions),
      cmocka_unit_test(tflite_shapes),
      cmocka_unit_test(tflite_resizing),
      cmocka_unit_test(saved_model_constant),
      cmocka_unit_test(saved_model_index),
      cmocka_unit_test(xgboost_counts),
  };
  return cmocka_run_group_tests_name("reader memory", tests, hostile_start, hostile_stop);
}
