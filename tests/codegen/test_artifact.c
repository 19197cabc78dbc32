/* tests/codegen/test_artifact.c: the artifact directory is complete or absent, and compiled.so does
 * what its kernels do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <string.h>

#include "base/host.h"
#include "neo/abi.h"
#include "runtime/plan.h"
#include "tests/codegen/kernel_case.h"

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  char dir[256], path[300];
  neo_object object[2];
} fixture;

static const char *const nest_text = "nest 1\nb0 param f32 8\nb1 param out f32 8\nlaunch i0 8\n"
                                     "  b1[i0] = mul(b0[i0], f32:%d)\n";

static void build_scale(fixture *f, int which, const char *symbol, int factor) {
  neo_nest nest;
  char *text = neo_arena_printf(&f->arena, nest_text, factor);
  assert_int_equal(neo_nest_parse(&f->ctx, &f->arena, text, &nest), NEO_OK);
  assert_int_equal(
      neo_codegen_find("llvm")->build(&f->ctx, &nest, &f->target, symbol, &f->object[which]),
      NEO_OK);
}

static int setup(void **state) {
  fixture *f = test_calloc(1, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  f->target = kernel_target("host");
  assert_int_equal(neo_dir_temp(&f->ctx, NULL, f->dir), NEO_OK);
  snprintf(f->path, sizeof f->path, "%s/model", f->dir);
  build_scale(f, 0, "two", 2);
  build_scale(f, 1, "three", 3);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_object_fini(&f->object[0]);
  neo_object_fini(&f->object[1]);
  assert_int_equal(neo_dir_remove(&f->ctx, f->dir), NEO_OK);
  neo_arena_fini(&f->arena);
  test_free(f);
  return 0;
}

static const uint8_t plan[] = {1, 2, 3, 0, 5};

static neo_status write_artifact(fixture *f, int n_functions, const char *const *functions,
                                 const char *meta) {
  const neo_object *objects[] = {&f->object[0], &f->object[1]};
  neo_artifact a = {.object = objects,
                    .n_objects = 2,
                    .function = functions,
                    .n_functions = n_functions,
                    .plan = plan,
                    .plan_size = sizeof plan,
                    .params = "parameters",
                    .params_size = 10,
                    .model_json = "{}",
                    .meta = meta};
  neo_ctx_clear(&f->ctx);
  return neo_artifact_write(&f->ctx, f->path, &f->target, &a);
}

static const char *const functions[] = {"three_0", "two_0", "three_0"};

static char *in_artifact(fixture *f, const char *name) {
  return neo_arena_printf(&f->arena, "%s/%s", f->path, name);
}

static void check_text(fixture *f, const char *name, const char *expected) {
  neo_buf text = {0};
  assert_int_equal(neo_file_read(&f->ctx, in_artifact(f, name), 0, &text), NEO_OK);
  assert_string_equal(text.data, expected);
  neo_buf_fini(&text);
}

static void test_module(void **state) {
  fixture *f = *state;
  assert_int_equal(write_artifact(f, 3, functions, "meta"), NEO_OK);
  void *so = dlopen(in_artifact(f, "compiled.so"), RTLD_NOW | RTLD_LOCAL);
  assert_non_null(so);
  const neo_module *module = dlsym(so, NEO_MODULE_SYMBOL);
  assert_non_null(module);
  assert_null(dlsym(so, "two_0"));
  assert_int_equal(module->magic, NEO_MODULE_MAGIC);
  assert_int_equal(module->abi_version, NEO_ABI_VERSION);
  assert_int_equal(module->plan_size, sizeof plan);
  assert_memory_equal(module->plan, plan, sizeof plan);
  assert_int_equal(module->n_functions, 3);
  float in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8] = {0};
  void *const buf[] = {in, out};
  neo_kernel_env env = {0, 8, NULL, NULL, NULL};
  for (int k = 0; k < 3; k++) {
    assert_int_equal(module->functions[k](&env, buf, NULL), 0);
    for (int i = 0; i < 8; i++)
      assert_true(out[i] == in[i] * (float)(k == 1 ? 2 : 3));
  }
  dlclose(so);
}

static void test_files(void **state) {
  fixture *f = *state;
  neo_buf params = {0};
  assert_int_equal(write_artifact(f, 3, functions, "meta"), NEO_OK);
  check_text(f, "compiled_model.json", "{}");
  check_text(f, "compiled.meta", "meta");
  assert_int_equal(neo_file_read(&f->ctx, in_artifact(f, "compiled.params"), 0, &params), NEO_OK);
  assert_int_equal(params.size, NEO_PARAMS_HEADER + 10);
  neo_reader r = {(const uint8_t *)params.data, params.size, 8, false};
  assert_memory_equal(params.data, NEO_PARAMS_MAGIC, 8);
  assert_int_equal(neo_read_u32le(&r), 1);
  assert_int_equal(neo_read_u32le(&r), 0);
  assert_int_equal(neo_read_u64le(&r), 10);
  assert_int_equal(neo_read_u32le(&r), neo_crc32(0, "parameters", 10));
  assert_memory_equal(params.data + NEO_PARAMS_HEADER, "parameters", 10);
  neo_buf_fini(&params);
}

/* An artifact of the two kernels for another target, and the bytes of its library. */
static void build_for(fixture *f, const char *target, const char *library, neo_buf *out) {
  neo_object_fini(&f->object[0]);
  neo_object_fini(&f->object[1]);
  f->target = kernel_target(target);
  build_scale(f, 0, "two", 2);
  build_scale(f, 1, "three", 3);
  assert_int_equal(write_artifact(f, 3, functions, "meta"), NEO_OK);
  assert_int_equal(neo_file_read(&f->ctx, in_artifact(f, library), 0, out), NEO_OK);
}

static bool has_tag(const neo_buf *so, const Elf64_Phdr *dynamic, int64_t tag) {
  Elf64_Dyn entry;
  for (uint64_t at = 0; at < dynamic->p_filesz; at += sizeof entry) {
    memcpy(&entry, so->data + dynamic->p_offset + at, sizeof entry);
    if (entry.d_tag == tag)
      return true;
  }
  return false;
}

/* What bionic's linker asks for: pages of 16 KB on some devices, no relocations in code, nothing
 * writable and executable, a hash table that it reads; and nothing of glibc. */
static void test_android_library(void **state) {
  fixture *f = *state;
  neo_buf so = {0};
  Elf64_Ehdr header;
  build_for(f, "rasp4b-android", "compiled.so", &so);
  memcpy(&header, so.data, sizeof header);
  assert_int_equal(header.e_machine, EM_AARCH64);
  assert_int_equal(header.e_type, ET_DYN);
  int loads = 0, stacks = 0;
  for (int k = 0; k < header.e_phnum; k++) {
    Elf64_Phdr part;
    memcpy(&part, so.data + header.e_phoff + (size_t)k * sizeof part, sizeof part);
    assert_int_not_equal(part.p_type, PT_INTERP);
    if (part.p_type == PT_LOAD) {
      assert_int_equal(part.p_align % 16384, 0);
      assert_int_equal((part.p_vaddr - part.p_offset) % 16384, 0);
      assert_false((part.p_flags & PF_W) && (part.p_flags & PF_X));
      loads++;
    } else if (part.p_type == PT_GNU_STACK) {
      assert_false(part.p_flags & PF_X);
      stacks++;
    } else if (part.p_type == PT_DYNAMIC) {
      assert_true(has_tag(&so, &part, DT_SONAME) && has_tag(&so, &part, DT_GNU_HASH));
      assert_false(has_tag(&so, &part, DT_NEEDED) || has_tag(&so, &part, DT_VERNEED));
      assert_false(has_tag(&so, &part, DT_TEXTREL) || has_tag(&so, &part, DT_RELR));
    }
  }
  assert_true(loads >= 2 && stacks == 1);
  neo_buf_fini(&so);
}

static uint32_t word_at(const neo_buf *bytes, size_t at) {
  neo_reader r = {(const uint8_t *)bytes->data, bytes->size, at, false};
  uint32_t word = neo_read_u32le(&r);
  assert_false(r.failed);
  return word;
}

/* One exported name, no imports; the same inputs give the same bytes. Offsets: Microsoft's "PE
 * Format", sections 3.3 and 3.4. */
static void test_windows_library(void **state) {
  fixture *f = *state;
  neo_buf dll = {0}, again = {0};
  build_for(f, "x86-64-v3-windows", "compiled.dll", &dll);
  assert_false(neo_file_exists(in_artifact(f, "compiled.so")));
  uint32_t pe = word_at(&dll, 0x3c);
  assert_int_equal(word_at(&dll, pe), 0x4550);
  assert_int_equal(word_at(&dll, pe + 4) & 0xffff, 0x8664);
  assert_int_equal(word_at(&dll, pe + 24) & 0xffff, 0x20b);
  assert_true(word_at(&dll, pe + 22) & 0x2000); /* a library */
  assert_int_equal(word_at(&dll, pe + 40), 0);  /* without an entry point */
  size_t directories = pe + 24 + 112;
  assert_int_not_equal(word_at(&dll, directories), 0); /* exports */
  assert_int_equal(word_at(&dll, directories + 8), 0); /* imports */
  build_for(f, "x86-64-v3-windows", "compiled.dll", &again);
  assert_int_equal(again.size, dll.size);
  assert_memory_equal(again.data, dll.data, dll.size);
  neo_buf_fini(&dll);
  neo_buf_fini(&again);
}

static void test_replaces_an_artifact(void **state) {
  fixture *f = *state;
  assert_int_equal(write_artifact(f, 3, functions, "old"), NEO_OK);
  assert_int_equal(write_artifact(f, 1, functions, "new"), NEO_OK);
  check_text(f, "compiled.meta", "new");
  assert_int_equal(write_artifact(f, 0, NULL, "empty"), NEO_OK);
  check_text(f, "compiled.meta", "empty");
}

static void test_never_replaces_other_files(void **state) {
  fixture *f = *state;
  assert_int_equal(neo_dir_create(&f->ctx, f->path), NEO_OK);
  assert_int_equal(neo_file_write(&f->ctx, in_artifact(f, "thesis.txt"), "x", 1), NEO_OK);
  assert_int_equal(write_artifact(f, 3, functions, "meta"), NEO_USAGE);
  assert_non_null(strstr(f->ctx.message, "thesis.txt"));
  check_text(f, "thesis.txt", "x");
  assert_false(neo_file_exists(in_artifact(f, "compiled.so")));
}

/* A kernel that is nowhere: the error names it and the old artifact stays. */
static void test_failed_link_leaves_the_old(void **state) {
  fixture *f = *state;
  const char *const missing[] = {"two_0", "nowhere_7"};
  assert_int_equal(write_artifact(f, 1, functions, "old"), NEO_OK);
  assert_int_equal(write_artifact(f, 2, missing, "new"), NEO_INTERNAL);
  assert_non_null(strstr(f->ctx.message, "nowhere_7"));
  check_text(f, "compiled.meta", "old");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_module, setup, teardown),
      cmocka_unit_test_setup_teardown(test_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_android_library, setup, teardown),
      cmocka_unit_test_setup_teardown(test_windows_library, setup, teardown),
      cmocka_unit_test_setup_teardown(test_replaces_an_artifact, setup, teardown),
      cmocka_unit_test_setup_teardown(test_never_replaces_other_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_failed_link_leaves_the_old, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
