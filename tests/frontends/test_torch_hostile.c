/* tests/frontends/test_torch_hostile.c: damaged and hostile PyTorch files: each is a status whose
 * message names the thing; and files without a graph. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"
#include "tests/frontends/torch_build.h"

static neo_ctx ctx;
static char folder[256];

static int start(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return neo_dir_temp(&ctx, NULL, folder) == NEO_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  return neo_dir_remove(&ctx, folder) == NEO_OK ? 0 : -1;
}

static neo_status import_bytes(const void *data, size_t size, neo_graph **out) {
  char path[300];
  neo_binding binding = {.name = "x", .shape = {2, {2, 3}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding, .max_model_bytes = 1 << 20};
  snprintf(path, sizeof path, "%s/model", folder);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path, data, size), NEO_OK);
  return neo_import(&ctx, path, &options, out);
}

static void refused(zip_build *z, neo_status want, const char *part) {
  neo_graph *graph = NULL;
  neo_status status = import_bytes(z->body.data, z->body.size, &graph);
  if (status != want || !strstr(ctx.message, part))
    fail_msg("status %s: %s", neo_status_name(status), ctx.message);
  zip_fini(z);
}

static const char plain[] = "    return torch.add(x, self.w)\n";

/* An archive of class M with this data.pkl. */
static void with_pickle(zip_build *z, const void *pickle, size_t size) {
  zip_add(z, "m/data.pkl", pickle, size);
  zip_text(z, "m/code/__torch__.py",
           "class M(Module):\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    "
           "return x\n");
  zip_end(z);
}

static void pickle_refused(const void *pickle, size_t size, const char *part) {
  zip_build z = {0};
  with_pickle(&z, pickle, size);
  refused(&z, NEO_BAD_INPUT, part);
}

#define PICKLE(text, part) pickle_refused(text, sizeof text - 1, part)

static void a_sound_archive_is_read(void **state) {
  (void)state;
  zip_build z = {0};
  neo_graph *graph = NULL;
  script_archive(&z, plain);
  assert_int_equal(import_bytes(z.body.data, z.body.size, &graph), NEO_OK);
  neo_graph_destroy(graph);
  zip_fini(&z);
}

/* A mask of a type that is not known made the reader run forever. */
static void masks_of_unknown_types_end(void **state) {
  (void)state;
  zip_build z = {0};
  script_archive(&z, "    y = torch.special_zeta(x, x)\n    return "
                     "torch.scaled_dot_product_attention(y, y, y, None, 0., True)\n");
  refused(&z, NEO_UNSUPPORTED, "special_zeta");
  z = (zip_build){0};
  script_archive(&z, "    y = torch.add(torch.reshape(x, [7]), torch.reshape(x, [5]))\n    return "
                     "torch.scaled_dot_product_attention(x, x, x, y, 0., True)\n");
  refused(&z, NEO_BAD_INPUT, "reshape");
}

static void script_refused(const char *body, neo_status status, const char *part) {
  zip_build z = {0};
  script_archive(&z, body);
  refused(&z, status, part);
}

/* An id of a complex value is its real part's: whoever does not know must not see it. */
static void complex_numbers_do_not_pass_as_real(void **state) {
  (void)state;
  script_refused("    y = torch.complex(x, x)\n    return torch.tanh(y)\n", NEO_UNSUPPORTED,
                 "(tanh): of complex numbers");
  script_refused("    y = torch.complex(x, x)\n    z = torch.reshape(y, [-1])\n    return "
                 "torch.mul(torch.matmul(y, y), z)\n",
                 NEO_UNSUPPORTED, "(matmul): of complex numbers");
  script_refused("    y = torch.fft_fft(x, None, -1, \"loud\")\n    return torch.abs(y)\n",
                 NEO_UNSUPPORTED, "norm 'loud'");
  script_refused("    y = torch.stft(torch.reshape(x, [-1]), 9000000000, 1, 0, None, False, True, "
                 "True)\n    return torch.abs(y)\n",
                 NEO_UNSUPPORTED, "frames of 9000000000 by 1");
}

static void pickles_cannot_call_anything(void **state) {
  (void)state;
  PICKLE("\x80\x02"
         "cos\nsystem\nX\x02\0\0\0ls\x85R.",
         "forbidden global os.system");
  PICKLE("\x80\x02"
         "cbuiltins\neval\n)R.",
         "forbidden global builtins.eval");
  PICKLE("\x80\x04\x8c\x05posix\x8c\x06system\x93)R.", "forbidden global posix.system");
  PICKLE("\x80\x02"
         "ctorch._utils\n_rebuild_tensor\n)R.",
         "forbidden global torch._utils._rebuild_tensor");
  PICKLE("\x80\x02"
         "ctorch\nFloatStorage\n)R.",
         "call of torch.FloatStorage");
  PICKLE("\x80\x02ios\nsystem\n.", "opcode that torch does not write");
  PICKLE("\x80\x02K\x01)R.", "no function");
  PICKLE("\x80\x02K\x01)\x81.", "class that is not the model's");
}

static void damaged_pickles(void **state) {
  (void)state;
  PICKLE("", "ends in the middle");
  PICKLE("\x80\x02", "ends in the middle");
  PICKLE("\x80\x02X\xff\xff\xff\x7f"
         "xyz.",
         "beyond the end");
  PICKLE("\x80\x02(((((.", "stack is empty");
  PICKLE("\x80\x02h\x05.", "memo index");
  PICKLE("\x80\x02j\xff\xff\xff\xff.", "memo index");
  PICKLE("\x80\x02Nr\xff\xff\xff\x7f.", "memo index");
  PICKLE("\x80\x02u.", "no mark");
  PICKLE("\x80\x02]}s.", "stack is empty");
  PICKLE("\x80\x02N(K\x01u.", "holds none");
  PICKLE("\x80\x02N.", "no module");
  PICKLE("\x80\x02X\x07\0\0\0storageQ.", "no storage");
}

/* A list that contains itself, as an attribute and as the whole. */
static void recursive_pickles(void **state) {
  (void)state;
  PICKLE("\x80\x02]q\x01h\x01"
         "a.",
         "no module");
  zip_build z = {0};
  static const char pickle[] = "\x80\x02"
                               "c__torch__\nM\n)\x81}X\x01\0\0\0w]q\x01h\x01"
                               "asb.";
  neo_graph *graph = NULL;
  with_pickle(&z, pickle, sizeof pickle - 1);
  assert_int_equal(import_bytes(z.body.data, z.body.size, &graph), NEO_OK);
  neo_graph_destroy(graph);
  zip_fini(&z);
}

static void tensors_stay_inside_their_storage(void **state) {
  (void)state;
  zip_build z = {0};
  neo_buf pickle = {0};
  pickle_module(&pickle, 1);
  zip_add(&z, "m/data/0", "abcdefghijklmnopqrstuvwx", 24);
  with_pickle(&z, pickle.data, pickle.size);
  refused(&z, NEO_BAD_INPUT, "beyond its storage of 6 elements");
  z = (zip_build){0};
  with_pickle(&z, pickle.data, pickle.size);
  refused(&z, NEO_BAD_INPUT, "no storage m/data/0");
  neo_buf_fini(&pickle);
}

static void names_that_leave_the_archive(void **state) {
  (void)state;
  static const char *const names[] = {"m/../../x", "/etc/x", "..", "m/..", "m\\x", "m/\nx"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    zip_build z = {0};
    zip_text(&z, "m/data.pkl", "x");
    zip_text(&z, "m/code/__torch__.py", "");
    zip_text(&z, names[i], "x");
    zip_end(&z);
    refused(&z, NEO_BAD_INPUT, "leaves the archive");
  }
}

static void archives_that_claim_too_much(void **state) {
  (void)state;
  zip_build z = {0};
  zip_text(&z, "m/code/__torch__.py", "");
  zip_add_as(&z, "m/data.pkl", "abc", 3, 0x70000000, 8);
  zip_end(&z);
  refused(&z, NEO_BAD_INPUT, "max-model-bytes");
  z = (zip_build){0};
  zip_text(&z, "m/code/__torch__.py", "");
  zip_add_as(&z, "m/data.pkl", "abc", 3, 500000, 8);
  zip_end(&z);
  refused(&z, NEO_BAD_INPUT, "beyond what deflate can");
  z = (zip_build){0};
  zip_text(&z, "m/code/__torch__.py", "");
  zip_add_as(&z, "m/data.pkl", "abc", 3, 100, 0);
  zip_end(&z);
  refused(&z, NEO_BAD_INPUT, "stored member of two sizes");
  z = (zip_build){0};
  zip_text(&z, "m/code/__torch__.py", "");
  zip_text(&z, "m/data.pkl", "x");
  zip_text(&z, "m/data.pkl", "y");
  zip_end(&z);
  refused(&z, NEO_BAD_INPUT, "two members of one name");
}

/* Every truncation, and a change of every byte, of a whole small archive: a status, never a crash.
 */
static void truncated_and_flipped(void **state) {
  (void)state;
  zip_build z = {0};
  script_archive(&z, plain);
  size_t n = z.body.size;
  for (size_t i = 0; i < n; i++) {
    neo_graph *graph = NULL;
    if (import_bytes(z.body.data, i, &graph) == NEO_OK)
      fail_msg("read after %zu of %zu bytes", i, n);
    assert_true(ctx.message[0] != 0);
    z.body.data[i] ^= (char)(1 << (i % 8));
    if (import_bytes(z.body.data, n, &graph) == NEO_OK)
      neo_graph_destroy(graph);
    z.body.data[i] ^= (char)(1 << (i % 8));
  }
  zip_fini(&z);
}

static void exports_cut_at_every_64th(void **state) {
  (void)state;
  neo_buf file = {0};
  assert_int_equal(
      neo_file_read(&ctx, NEO_SOURCE_DIR "/tests/data/torch_export/ssd_head/model.pt2", 0, &file),
      NEO_OK);
  for (int i = 0; i < 64; i++) {
    neo_graph *graph = NULL;
    assert_int_not_equal(import_bytes(file.data, file.size * (size_t)i / 64, &graph), NEO_OK);
  }
  neo_buf_fini(&file);
}

static void export_refused(const char *json, neo_status want, const char *part) {
  zip_build z = {0};
  zip_text(&z, "m/archive_format", "pt2");
  zip_text(&z, "m/models/model.json", json);
  zip_end(&z);
  refused(&z, want, part);
}

static void damaged_exports(void **state) {
  (void)state;
  export_refused("{", NEO_BAD_INPUT, "model.json");
  export_refused("[]", NEO_BAD_INPUT, "no graph or signature");
  export_refused(
      "{\"graph_module\":{\"graph\":{\"nodes\":[{\"target\":\"torch.ops.aten.relu.default\","
      "\"inputs\":[{\"name\":"
      "\"self\",\"arg\":{\"as_tensor\":{\"name\":\"gone\"}}}],\"outputs\":[]}],\"outputs\":[]},"
      "\"signature\":{\"input_specs\":[]}}}",
      NEO_BAD_INPUT, "no value named 'gone'");
  export_refused("{\"graph_module\":{\"graph\":{\"nodes\":[],\"outputs\":[]},\"signature\":{"
                 "\"input_specs\":[{\"parameter\":"
                 "{\"arg\":{\"name\":\"w\"},\"parameter_name\":\"w\"}}]}}}",
                 NEO_UNSUPPORTED, "tensor 'w'");
  export_refused("{\"graph_module\":{\"graph\":{\"nodes\":[{\"target\":\"torch.ops.mine.magic."
                 "default\",\"inputs\":[],\"outputs\":"
                 "[]}],\"outputs\":[]},\"signature\":{\"input_specs\":[]}}}",
                 NEO_UNSUPPORTED, "magic");
}

static void state_dicts_get_advice(void **state) {
  (void)state;
  zip_build z = {0};
  neo_graph *graph = NULL;
  static const char dict[] = "\x80\x02"
                             "ccollections\nOrderedDict\n)RX\x01\0\0\0wctorch._utils\n_rebuild_"
                             "tensor_v2\n((X\x07\0\0\0storage"
                             "ctorch\nFloatStorage\nX\x01\0\0\0"
                             "0X\x03\0\0\0cpuK\x06tQK\0K\x06\x85K\x01\x85\x89}tRs.";
  static const char legacy[] =
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
  zip_add(&z, "m/data.pkl", dict, sizeof dict - 1);
  zip_add(&z, "m/data/0", "abcdefghijklmnopqrstuvwx", 24);
  zip_end(&z);
  refused(&z, NEO_UNSUPPORTED, "state dict (1 tensors): it holds no graph. Export the model");
  neo_buf file = {0};
  neo_buf_append(&file, legacy, sizeof legacy - 1);
  neo_buf_append(&file, dict, sizeof dict - 1);
  assert_int_equal(import_bytes(file.data, file.size, &graph), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "state dict (1 tensors)"));
  neo_buf_fini(&file);
  z = (zip_build){0};
  zip_text(&z, "m/data.pkl",
           "\x80\x02"
           "cmymodel\nNet\n)\x81.");
  zip_end(&z);
  refused(&z, NEO_UNSUPPORTED, "mymodel.Net: a pickled Python object");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sound_archive_is_read),
      cmocka_unit_test(masks_of_unknown_types_end),
      cmocka_unit_test(complex_numbers_do_not_pass_as_real),
      cmocka_unit_test(pickles_cannot_call_anything),
      cmocka_unit_test(damaged_pickles),
      cmocka_unit_test(recursive_pickles),
      cmocka_unit_test(tensors_stay_inside_their_storage),
      cmocka_unit_test(names_that_leave_the_archive),
      cmocka_unit_test(archives_that_claim_too_much),
      cmocka_unit_test(truncated_and_flipped),
      cmocka_unit_test(exports_cut_at_every_64th),
      cmocka_unit_test(damaged_exports),
      cmocka_unit_test(state_dicts_get_advice),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
