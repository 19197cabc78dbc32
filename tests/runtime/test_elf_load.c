/* The loader of relocatable kernels: objects of this machine run, aarch64 objects are relocated
 * right (their instructions are decoded), what kernels must not have is refused by name, damaged
 * objects never crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/elf_load.h"
#include "tests/fail_alloc.h"

static void read_object(const char *path, neo_buf *out) {
  FILE *file = fopen(path, "rb");
  if (!file)
    fail_msg("no %s", path);
  char block[4096];
  size_t n;
  while ((n = fread(block, 1, sizeof(block), file)) > 0)
    neo_buf_append(out, block, n);
  fclose(file);
}

static void kernel(const char *name, neo_buf *out) {
  char path[512];
  snprintf(path, sizeof(path), "%s/tests/kernels/%s.o", NEO_BINARY_DIR, name);
  read_object(path, out);
}

static neo_loaded *load(const char *name) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf b = {0};
  kernel(name, &b);
  neo_loaded *loaded = NULL;
  if (neo_object_load(&ctx, (const uint8_t *)b.data, b.size, &loaded) != NEO_OK)
    fail_msg("%s: %s", name, ctx.message);
  neo_buf_fini(&b);
  return loaded;
}

static void runs_a_kernel(void **state) {
  (void)state;
  neo_loaded *loaded = load("scale");
  neo_kernel_fn fn = neo_object_symbol(loaded, "scale_0");
  assert_non_null(fn);
  assert_null(neo_object_symbol(loaded, "scale_1"));
  assert_null(neo_object_symbol(loaded, ""));
  float in[3] = {1, 2, 3}, out[3];
  void *buf[2] = {in, out};
  neo_kernel_env env = {.begin = 0, .end = 3};
  assert_int_equal(fn(&env, buf, NULL), 0);
  assert_true(out[0] == 3 && out[1] == 5 && out[2] == 7);
  neo_object_unload(loaded);
  neo_object_unload(NULL);
}

static double expected(int i) {
  static const int table[5] = {10, 20, 30, 40, 50}, pointed[3] = {20, 40, 50};
  static const int picked[5] = {7, 19, -3, 1 << 20, 5};
  int pick = i % 6 == 5 ? table[i % 5] : picked[i % 6];
  return pick * (i & 1 ? 0.25 : 0.5) + i + pointed[i % 3];
}

static void relocates_tables_and_calls(void **state) {
  (void)state;
  neo_loaded *loaded = load("many_relocations");
  for (int k = 0; k < 2; k++) {
    neo_kernel_fn fn = neo_object_symbol(loaded, k ? "many_1" : "many_0");
    assert_non_null(fn);
    double out[30];
    void *buf[1] = {out};
    neo_kernel_env env = {.begin = 0, .end = 30};
    assert_int_equal(fn(&env, buf, NULL), 0);
    for (int i = 0; i < 30; i++)
      assert_true(out[i] == expected(i));
  }
  neo_object_unload(loaded);
}

static void relocates_absolute_addresses(void **state) {
  (void)state;
  neo_loaded *loaded = load("absolute");
  neo_kernel_fn fn = neo_object_symbol(loaded, "absolute_0");
  assert_non_null(fn);
  int32_t out[4];
  void *buf[1] = {out};
  neo_kernel_env env = {.begin = 0, .end = 4};
  fn(&env, buf, NULL);
  assert_true(out[0] == 3 && out[1] == 1 && out[2] == 4 && out[3] == 1);
  neo_object_unload(loaded);
}

static void refused(const char *name, const char *word) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf b = {0};
  kernel(name, &b);
  neo_loaded *loaded = NULL;
  assert_int_not_equal(neo_object_load(&ctx, (const uint8_t *)b.data, b.size, &loaded), NEO_OK);
  if (!strstr(ctx.message, word))
    fail_msg("'%s' does not say '%s'", ctx.message, word);
  neo_buf_fini(&b);
}

static void refuses_state_and_imports(void **state) {
  (void)state;
  refused("keeps_state", ".bss");
  refused("imports", "from_elsewhere");
}

/* No page of the process is writable and executable. */
static void never_writable_and_executable(void **state) {
  (void)state;
  neo_loaded *loaded = load("many_relocations");
  FILE *maps = fopen("/proc/self/maps", "r");
  assert_non_null(maps);
  size_t size;
  uintptr_t address = (uintptr_t)neo_object_memory(loaded, &size);
  char line[512];
  int found = 0;
  while (fgets(line, sizeof(line), maps)) {
    char *end;
    uintptr_t first = strtoul(line, &end, 16), last = strtoul(end + 1, &end, 16);
    if (first >= address + size || last <= address)
      continue;
    found++;
    assert_true(end[2] == '-');
  }
  fclose(maps);
  assert_true(found >= 1);
  neo_object_unload(loaded);
}

static neo_status try_load(const neo_elf_machine *machine, const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_loaded *loaded = NULL;
  uint8_t *exact = malloc(size ? size : 1);
  memcpy(exact, data, size);
  neo_status status = neo_object_load_for(&ctx, machine, exact, size, &loaded);
  free(exact);
  assert_true((status == NEO_OK) == (loaded != NULL));
  neo_object_unload(loaded);
  return status;
}

static const neo_elf_machine *machine_of(const neo_buf *b) {
  return b->size > 18 && (uint8_t)b->data[18] == EM_AARCH64 ? &neo_elf_aarch64 : &neo_elf_x86_64;
}

static void damaged_objects(void **state) {
  (void)state;
  neo_buf b = {0};
  kernel("many_relocations", &b);
  const neo_elf_machine *machine = machine_of(&b);
  uint8_t *data = (uint8_t *)b.data;
  for (size_t size = 0; size < b.size; size += 7)
    try_load(machine, data, size);
  static const uint8_t values[] = {0x00, 0xff, 0x7f, 0x80, 0x01};
  int refused_count = 0;
  for (size_t i = 0; i < b.size; i++)
    for (int v = 0; v < NEO_COUNT(values); v++) {
      uint8_t old = data[i];
      data[i] = values[v];
      refused_count += try_load(machine, data, b.size) != NEO_OK;
      data[i] = old;
    }
  assert_true(refused_count > 100);
  assert_int_equal(try_load(machine, data, b.size), NEO_OK);
  neo_buf_fini(&b);
}

/* Random words over the headers and tables, several at once. */
static void hostile_objects(void **state) {
  (void)state;
  static const char *const names[] = {"scale", "many_relocations", "absolute", "keeps_state"};
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int k = 0; k < NEO_COUNT(names); k++) {
    neo_buf b = {0};
    kernel(names[k], &b);
    uint8_t *copy = malloc(b.size);
    for (int round = 0; round < 1500; round++) {
      memcpy(copy, b.data, b.size);
      int changes = 1 + (int)neo_rng_below(&rng, 4);
      for (int c = 0; c < changes; c++) {
        uint64_t word = neo_rng_next(&rng) >> neo_rng_below(&rng, 64);
        size_t width = (size_t)1 << neo_rng_below(&rng, 4);
        memcpy(copy + neo_rng_below(&rng, b.size - 8), &word, width);
      }
      try_load(machine_of(&b), copy, b.size);
    }
    free(copy);
    neo_buf_fini(&b);
  }
}

static void survives_failed_allocations(void **state) {
  (void)state;
  neo_buf b = {0};
  kernel("scale", &b);
  for (int n = 1;; n++) {
    neo_ctx ctx;
    neo_fail_alloc alloc;
    neo_ctx_init(&ctx, 1);
    neo_fail_alloc_init(&alloc, n);
    ctx.allocator = &alloc.allocator;
    neo_loaded *loaded = NULL;
    neo_status status = neo_object_load(&ctx, (const uint8_t *)b.data, b.size, &loaded);
    neo_object_unload(loaded);
    assert_int_equal(alloc.live, 0);
    if (status == NEO_OK)
      break;
    assert_int_equal(status, NEO_NO_MEMORY);
    assert_true(n < 20);
  }
  neo_buf_fini(&b);
}

/* ---- aarch64: relocations one by one, on instructions written by hand
 * -------------------------------- */

static const neo_elf_machine *patching = &neo_elf_aarch64;

static uint32_t patched(uint32_t type, uint32_t word, uint64_t value, uint64_t address,
                        neo_status want) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  uint8_t place[4] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16),
                      (uint8_t)(word >> 24)};
  neo_reloc reloc = {type, place, sizeof(place), value, address};
  assert_int_equal(patching->relocate(&ctx, &reloc), want);
  return (uint32_t)place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16 |
         (uint32_t)place[3] << 24;
}

/* Expected words from the Arm Architecture Reference Manual's encodings. */
static void aarch64_relocations(void **state) {
  (void)state;
  patching = &neo_elf_aarch64;
  const uint64_t pc = 0x400008;
  assert_int_equal(patched(R_AARCH64_CALL26, 0x94000000, pc + 0x1000, pc, NEO_OK), 0x94000400);
  assert_int_equal(patched(R_AARCH64_JUMP26, 0x14000000, pc - 4, pc, NEO_OK), 0x17ffffff);
  patched(R_AARCH64_CALL26, 0x94000000, pc + ((uint64_t)1 << 28), pc, NEO_BAD_INPUT);
  assert_int_equal(patched(R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, 0x401234, pc, NEO_OK),
                   0xb0000000);
  assert_int_equal(patched(R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, 0x3ff000, pc, NEO_OK),
                   0xf0ffffe0);
  assert_int_equal(patched(R_AARCH64_ADD_ABS_LO12_NC, 0x91000000, 0x401234, pc, NEO_OK),
                   0x9108d000);
  assert_int_equal(patched(R_AARCH64_LDST32_ABS_LO12_NC, 0xb9400000, 0x401234, pc, NEO_OK),
                   0xb9423400);
  assert_int_equal(patched(R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00000, 0x401230, pc, NEO_OK),
                   0x3dc08c00);
  patched(R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00000, 0x401234, pc, NEO_BAD_INPUT);
  assert_int_equal(patched(R_AARCH64_CONDBR19, 0x54000000, pc + 8, pc, NEO_OK), 0x54000040);
  assert_int_equal(patched(R_AARCH64_PREL32, 0, pc - 16, pc, NEO_OK), 0xfffffff0);
  patched(R_AARCH64_ABS64, 0, 1, pc, NEO_BAD_INPUT); /* 8 bytes do not fit into the 4 there are */
  patched(9999, 0, 1, pc, NEO_UNSUPPORTED);
}

/* Addends are in the words: -2 words for the pc of branches. Expected words from the Arm
 * Architecture Reference Manual, Armv7-A. */
static void arm_relocations(void **state) {
  (void)state;
  const uint64_t pc = 0x10008;
  patching = &neo_elf_arm;
  assert_int_equal(patched(R_ARM_CALL, 0xebfffffe, pc + 0x1000, pc, NEO_OK), 0xeb0003fe);
  assert_int_equal(patched(R_ARM_JUMP24, 0xeafffffe, pc - 8, pc, NEO_OK), 0xeafffffc);
  patched(R_ARM_CALL, 0xebfffffe, pc + (1 << 26), pc, NEO_BAD_INPUT);
  patched(R_ARM_CALL, 0xebfffffe, pc + 2, pc, NEO_BAD_INPUT);
  assert_int_equal(patched(R_ARM_ABS32, 4, 0x20000, pc, NEO_OK), 0x20004);
  assert_int_equal(patched(R_ARM_REL32, 0, pc - 16, pc, NEO_OK), 0xfffffff0);
  assert_int_equal(patched(R_ARM_PREL31, 0x80000000, pc - 16, pc, NEO_OK), 0xfffffff0);
  assert_int_equal(patched(R_ARM_MOVW_ABS_NC, 0xe3000000, 0x12345678, pc, NEO_OK), 0xe3050678);
  assert_int_equal(patched(R_ARM_MOVT_ABS, 0xe3400000, 0x12345678, pc, NEO_OK), 0xe3410234);
  assert_int_equal(patched(R_ARM_MOVW_PREL_NC, 0xe30f0ff8, pc + 8, pc, NEO_OK), 0xe3000000);
  patched(9999, 0, 1, pc, NEO_UNSUPPORTED);
}

/* Expected words from the RISC-V Instruction Set Manual. */
static void riscv_relocations(void **state) {
  (void)state;
  const uint64_t pc = 0x10000;
  patching = &neo_elf_riscv;
  assert_int_equal(patched(R_RISCV_PCREL_HI20, 0x00000517, pc + 0x12fff, pc, NEO_OK), 0x00013517);
  assert_int_equal(patched(R_RISCV_PCREL_LO12_I, 0x00050513, pc + 0x12fff, pc, NEO_OK), 0xfff50513);
  assert_int_equal(patched(R_RISCV_PCREL_LO12_S, 0x00b52023, pc + 0x12345, pc, NEO_OK), 0x34b522a3);
  assert_int_equal(patched(R_RISCV_JAL, 0x0000006f, pc - 4, pc, NEO_OK), 0xffdff06f);
  assert_int_equal(patched(R_RISCV_BRANCH, 0x00b50063, pc + 16, pc, NEO_OK), 0x00b50863);
  assert_int_equal(patched(R_RISCV_RVC_JUMP, 0xa001, pc + 4, pc, NEO_OK), 0xa011);
  assert_int_equal(patched(R_RISCV_RVC_BRANCH, 0xc101, pc + 4, pc, NEO_OK), 0xc111);
  patched(R_RISCV_BRANCH, 0x00b50063, pc + 4096, pc, NEO_BAD_INPUT);
  patched(R_RISCV_RVC_JUMP, 0xa001, pc + 2048, pc, NEO_BAD_INPUT);
  patched(R_RISCV_PCREL_HI20, 0x517, pc + ((uint64_t)1 << 32), pc, NEO_BAD_INPUT);
  patched(R_RISCV_CALL_PLT, 0x97, pc, pc, NEO_BAD_INPUT); /* two instructions, room for one */
  assert_int_equal(patched(R_RISCV_ADD32, 5, 7, pc, NEO_OK), 12);
  assert_int_equal(patched(R_RISCV_SUB32, 5, 7, pc, NEO_OK), 0xfffffffe);
  patched(9999, 0, 1, pc, NEO_UNSUPPORTED);
}

/* Expected words from LLVM's assembler; the second word of a packet has the addend 4. */
static void hexagon_relocations(void **state) {
  enum { B22 = 1, B15, B7, LO16, HI16, WORD, B9 = 15, B32_X, B22_X = 18, WORD_PCREL = 31 };
  enum { ADD_PC_X = 65 };
  (void)state;
  const uint64_t pc = 0x10000;
  patching = &neo_elf_hexagon;
  assert_int_equal(patched(B22, 0x5a00c000, pc + 0x1000, pc, NEO_OK), 0x5a00c800);
  assert_int_equal(patched(B22, 0x5800c000, pc - 0x24, pc, NEO_OK), 0x59ffffee);
  assert_int_equal(patched(B15, 0x5c00c000, pc + 0xff8, pc, NEO_OK), 0x5c03e0fc);
  assert_int_equal(patched(B9, 0x2402e000, pc + 0x2c, pc, NEO_OK), 0x2402e016);
  assert_int_equal(patched(B7, 0x6900c003, pc + 4, pc, NEO_OK), 0x6900c00b);
  patched(B22, 0x5a00c000, pc + (1 << 23), pc, NEO_BAD_INPUT);
  patched(B22, 0x5a00c000, pc + 2, pc, NEO_BAD_INPUT);
  patched(B7, 0x6900c003, pc + 256, pc, NEO_BAD_INPUT);
  assert_int_equal(patched(B32_X, 0x00004000, pc + 0x12345678, pc, NEO_OK), 0x01235159);
  assert_int_equal(patched(ADD_PC_X, 0x6a49c000, pc + 0x1234567c, pc + 4, NEO_OK), 0x6a49dc00);
  assert_int_equal(patched(B22_X, 0x5a00c000, pc + 0x1234567c, pc + 4, NEO_OK), 0x5a00c070);
  assert_int_equal(patched(LO16, 0x7121c000, 0x12345678, pc, NEO_OK), 0x7161d678);
  assert_int_equal(patched(HI16, 0x7221c000, 0x12345678, pc, NEO_OK), 0x7221d234);
  assert_int_equal(patched(WORD, 0, 0x12345678, pc, NEO_OK), 0x12345678);
  assert_int_equal(patched(WORD_PCREL, 0, pc - 16, pc, NEO_OK), 0xfffffff0);
  patched(9999, 0, 1, pc, NEO_UNSUPPORTED);
}

/* Objects of clang for other machines: they cannot run here, but they load, each with the functions
 * it exports. */
static void foreign_objects_load(void **state) {
  (void)state;
  static const struct {
    const char *name, *symbol;
    const neo_elf_machine *machine;
  } rows[] = {{"aarch64_pic", "many_1", &neo_elf_aarch64},
              {"aarch64_scale", "scale_0", &neo_elf_aarch64},
              {"hexagon_pic", "many_1", &neo_elf_hexagon}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_buf b = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/tests/data/fuzz/elf/%s.elf", NEO_SOURCE_DIR, rows[i].name);
    read_object(path, &b);
    neo_loaded *loaded = NULL;
    if (neo_object_load_for(&ctx, rows[i].machine, (const uint8_t *)b.data, b.size, &loaded) !=
        NEO_OK)
      fail_msg("%s: %s", rows[i].name, ctx.message);
    assert_non_null(neo_object_symbol(loaded, rows[i].symbol));
    neo_object_unload(loaded);
    neo_buf_fini(&b);
  }
}

static void other_machine_is_refused(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf b = {0};
  kernel("scale", &b);
  b.data[18] = (char)(machine_of(&b) == &neo_elf_x86_64 ? EM_AARCH64 : EM_X86_64);
  neo_loaded *loaded;
  assert_int_equal(neo_object_load(&ctx, (const uint8_t *)b.data, b.size, &loaded),
                   NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "machine"));
  neo_buf_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_a_kernel),
      cmocka_unit_test(relocates_tables_and_calls),
      cmocka_unit_test(relocates_absolute_addresses),
      cmocka_unit_test(refuses_state_and_imports),
      cmocka_unit_test(never_writable_and_executable),
      cmocka_unit_test(damaged_objects),
      cmocka_unit_test(hostile_objects),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(aarch64_relocations),
      cmocka_unit_test(arm_relocations),
      cmocka_unit_test(riscv_relocations),
      cmocka_unit_test(hexagon_relocations),
      cmocka_unit_test(foreign_objects_load),
      cmocka_unit_test(other_machine_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
