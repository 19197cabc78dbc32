/* Targets: every row prints, parses back and is plausible; bad text is refused with a reason;
 * captured processors are decoded, with and without an OS that saves the wide registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "target/host_cpu.h"
#include "target/target.h"

static neo_ctx ctx;

static neo_target find(const char *name) {
  neo_target target;
  assert_int_equal(neo_target_find(&ctx, name, &target), NEO_OK);
  return target;
}

static void expect_text(const neo_target *target, const char *expected) {
  neo_buf buf = {0};
  neo_target_print(&buf, target);
  assert_string_equal(buf.data, expected);
  neo_buf_fini(&buf);
}

static void test_canonical_text(void **state) {
  (void)state;
  neo_target target = find("znver3");
  expect_text(&target, "x86_64 sse4.2,avx2,fma,f16c vec=32 regs=16 fma=2x4 l1=32768 l2=524288 "
                       "l3=33554432 cpu=znver3");
  target = find("generic-c");
  expect_text(&target, "c - vec=4 regs=16 fma=1x4 l1=32768 l2=262144 l3=0 cpu=generic");
  target = find("rasp4b");
  expect_text(&target,
              "aarch64 neon vec=16 regs=32 fma=1x7 l1=32768 l2=1048576 l3=0 cpu=cortex-a72");
  target = find("cortex-a9");
  expect_text(&target, "armv7 neon vec=16 regs=16 fma=1x9 l1=32768 l2=524288 l3=0 cpu=cortex-a9");
  assert_false(neo_target_fuses(&target));
  target = find("riscv64-v256");
  expect_text(&target,
              "riscv64 rvv,rvv256 vec=32 regs=32 fma=1x5 l1=32768 l2=524288 l3=0 cpu=generic");
  assert_true(neo_target_fuses(&target));
  target = find("hexagon-hvx");
  expect_text(&target,
              "hexagon hvx vec=128 regs=32 fma=1x4 l1=32768 l2=524288 l3=0 cpu=hexagonv65");
  target = find("znver4");
  assert_true(neo_target_has(&target, NEO_ISA_AVX512) && target.vector_bytes == 64);
  assert_string_equal(target.triple, "x86_64-unknown-linux-gnu");
}

static void check_round_trip(const neo_target *target) {
  neo_buf buf = {0}, again = {0};
  neo_target parsed;
  neo_target_print(&buf, target);
  assert_true(buf.size < NEO_TARGET_TEXT);
  assert_int_equal(neo_target_parse(&ctx, buf.data, &parsed), NEO_OK);
  neo_target_print(&again, &parsed);
  assert_string_equal(buf.data, again.data);
  parsed.ghz = target->ghz;
  assert_string_equal(parsed.triple, target->triple);
  assert_true(parsed.isa == target->isa && parsed.l3 == target->l3);
  assert_int_equal(neo_target_find(&ctx, buf.data, &parsed), NEO_OK);
  neo_buf_fini(&buf);
  neo_buf_fini(&again);
}

static void check_row(void *self, const char *name, const char *about, const neo_target *target) {
  ++*(int *)self;
  neo_target found = find(name);
  assert_memory_equal(&found, target, sizeof(found));
  assert_true(about[0] != '\0');
  check_round_trip(target);
  bool wide = neo_target_has(target, NEO_ISA_AVX512);
  bool avx2 = neo_target_has(target, NEO_ISA_AVX2);
  bool half =
      avx2 || neo_target_has(target, NEO_ISA_RVV256) || neo_target_has(target, NEO_ISA_SVE256);
  bool vectors = neo_target_has(target, NEO_ISA_NEON) || neo_target_has(target, NEO_ISA_SSE42) ||
                 neo_target_has(target, NEO_ISA_RVV) || neo_target_is_gpu(target);
  int widest = wide ? 64 : half ? 32 : vectors ? 16 : 4;
  assert_int_equal(target->vector_bytes, neo_target_has(target, NEO_ISA_HVX) ? 128 : widest);
  bool narrow = strcmp(target->arch, "armv7") == 0 || strcmp(target->arch, "hexagon") == 0;
  assert_int_equal(neo_target_pointer_bytes(target), narrow ? 4 : 8);
  assert_true(target->fma_ports >= 1 && target->fma_latency >= 3);
  assert_true(target->l1d >= 16384 && target->l1d < target->l2);
  assert_true(target->ghz > 0.5 && target->ghz < 6);
  assert_false(wide && !avx2);
  assert_false(avx2 && !neo_target_has(target, NEO_ISA_FMA));
  assert_false(avx2 && !neo_target_fuses(target));
}

static void test_every_row(void **state) {
  (void)state;
  int rows = 0;
  neo_target_visit(check_row, &rows);
  assert_true(rows >= 20);
}

static void test_host(void **state) {
  (void)state;
  neo_target host = find(NULL), same = find("host");
  check_round_trip(&host);
  assert_true(host.isa == same.isa && host.l2 == same.l2);
  assert_true(host.l1d > 0 && host.l2 > 0 && host.ghz > 0);
  assert_true(neo_target_runs_here(&host));
  neo_target generic = find("generic-c");
  assert_true(neo_target_runs_here(&generic));
  host.isa |= UINT64_C(1) << NEO_ISA_FP16 | UINT64_C(1) << NEO_ISA_AVX512_BF16;
  assert_false(neo_target_runs_here(&host));
}

static void test_gpus(void **state) {
  (void)state;
  static const char good[] = "x86_64 - vec=16 regs=64 fma=1x4 l1=1 l2=2 l3=0 cpu=generic";
  static const char *const bad[] = {
      "gpu=metal units=1 simd=1 items=1 shared=0 model=-",
      "gpu=opencl units=0 simd=1 items=1 shared=0 model=-",
      "gpu=opencl units=1 simd=1 items=2000 shared=0 model=-",
      "gpu=opencl units=1 simd=1 items=1 shared=0 model=",
      "gpu=opencl units=1 simd=1 items=1 shared=0 model=- ",
      "gpu=opencl units=1 simd=1 items=1 shared=0",
  };
  neo_target gpu = find("opencl"), parsed;
  assert_true(neo_target_is_gpu(&gpu) && !neo_target_is_gpu(&(neo_target){{0}}));
  assert_string_equal(gpu.gpu.api, "opencl");
  assert_int_equal(gpu.isa, 0);
  for (int k = 0; k < NEO_COUNT(bad); k++) {
    neo_ctx quiet;
    char text[300];
    neo_ctx_init(&quiet, 1);
    quiet.log = NULL;
    snprintf(text, sizeof text, "%s %s", good, bad[k]);
    assert_int_equal(neo_target_parse(&quiet, text, &parsed), NEO_BAD_INPUT);
  }
}

static void test_operating_systems(void **state) {
  (void)state;
  neo_target linux_one = find("x86-64-v3"), windows = find("x86-64-v3-windows");
  assert_string_equal(linux_one.os, "");
  assert_string_equal(windows.os, "windows");
  assert_string_equal(windows.triple, "x86_64-w64-windows-gnu");
  assert_int_equal(windows.isa, linux_one.isa);
  check_round_trip(&windows);
  assert_false(neo_target_runs_here(&windows));
  neo_target android = find("rasp4b-android");
  assert_string_equal(android.triple, "aarch64-unknown-linux-android24");
  assert_string_equal(android.cpu, "cortex-a72");
  check_round_trip(&android);
  neo_target host = find("host-windows");
  assert_string_equal(host.os, "windows");
}

static void expect_refused(const char *text, neo_status wanted, const char *reason) {
  neo_target target = {.vector_bytes = 77};
  assert_int_equal(neo_target_find(&ctx, text, &target), wanted);
  if (!strstr(ctx.message, reason))
    fail_msg("'%s' does not say '%s'", ctx.message, reason);
  assert_int_equal(target.vector_bytes, 77);
  neo_ctx_clear(&ctx);
}

static void test_bad_text_is_refused(void **state) {
  (void)state;
  expect_refused("znver33", NEO_USAGE, "did you mean znver3;");
  expect_refused("znver5", NEO_USAGE, "znver2 or znver3 or znver4;");
  expect_refused("jetson", NEO_USAGE, "jetson-orin");
  expect_refused("", NEO_USAGE, "`neo targets`");
  expect_refused("vax - vec=4 regs=16", NEO_BAD_INPUT, "'vax' is unknown");
  expect_refused("x86_64 neon vec=16 regs=32", NEO_BAD_INPUT, "'neon' is no feature of x86_64");
  expect_refused("x86_64 avx2, vec=32", NEO_BAD_INPUT, "'' is no feature");
  expect_refused("x86_64 avx2 vec=24 regs=16", NEO_BAD_INPUT, "no power of two");
  expect_refused("x86_64 avx2 vec=512 regs=16", NEO_BAD_INPUT, "from 4 to 256");
  expect_refused("x86_64 avx2 vec=+32 regs=16", NEO_BAD_INPUT, "vec=+32");
  expect_refused("x86_64 avx2  vec=32 regs=16", NEO_BAD_INPUT, "' vec=' expected");
  const char *numbers = "c - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=99999999999999999999 cpu=x";
  expect_refused(numbers, NEO_BAD_INPUT, "l3=99999");
  const char *name = "c - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=";
  expect_refused(name, NEO_BAD_INPUT, "cpu name");
  expect_refused("c - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a b", NEO_BAD_INPUT, "cpu name");
  expect_refused("rasp4b-windows", NEO_USAGE, "`neo targets` lists all");
  expect_refused("x86-64-v3-", NEO_USAGE, "`neo targets` lists all");
  expect_refused("c - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a os=windows", NEO_BAD_INPUT,
                 "no operating system of c");
  expect_refused("x86_64 - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a os=", NEO_BAD_INPUT,
                 "no operating system");
  expect_refused("x86_64 - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a os=windows x", NEO_BAD_INPUT,
                 "' gpu=' expected");
  expect_refused("x86_64 - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a os=windows abc=opencl "
                 "units=1 simd=1 items=1 shared=1 model=-",
                 NEO_BAD_INPUT, "' gpu=' expected");
}

/* What drivers call their GPUs, and the rows that are for them. */
static void test_gpus_are_told_by_their_drivers_names(void **state) {
  (void)state;
  static const struct {
    const char *row, *device;
    bool fits;
  } rows[] = {
      {"rk3288-gpu", "Mali-T760/ARM/OpenCL_1.2_v1.r14p0/1.2", true},
      {"rk3399-gpu", "Mali-T860/ARM/OpenCL_1.2_v1.r18p0-01rel0/2.0", true},
      {"rk3399-gpu", "Mali-T760/ARM/OpenCL_1.2_v1.r14p0/1.2", false},
      {"snapdragon845-gpu", "QUALCOMM_Adreno(TM)/QUALCOMM/OpenCL_2.0_Adreno(TM)_630/OpenCL_2.0",
       true},
      {"snapdragon845-gpu", "QUALCOMM_Adreno(TM)/QUALCOMM/OpenCL_2.0_Adreno(TM)_640/OpenCL_2.0",
       false},
      {"imx8mq-gpu", "Vivante_OpenCL_Device_GC7000L.6214.0000/Vivante_Corporation", true},
      {"imx8mq-gpu", "Vivante_OpenCL_Device_GC7000UL.6204.0000/Vivante_Corporation", false},
      {"intel-iris-xe", "Intel(R)_Iris(R)_Xe_Graphics/Intel(R)_Corporation/OpenCL_3.0_NEO", true},
      {"intel-uhd", "Intel(R)_Iris(R)_Xe_Graphics/Intel(R)_Corporation/OpenCL_3.0_NEO", false},
      {"cuda", "Tesla_T4/sm_75/driver_12040", true},
      {"cuda-sm70", "Tesla_T4/sm_75/driver_12040", false},
      {"cuda", "X/sm_750/driver_12040", false},
      {"opencl", "anything", true},
  };
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    neo_target target = find(rows[k].row);
    if (neo_target_fits_device(&target, rows[k].device) != rows[k].fits)
      fail_msg("%s and %s", rows[k].row, rows[k].device);
    snprintf(target.gpu.device, sizeof target.gpu.device, "%s", rows[k].device);
    check_round_trip(&target);
    assert_int_equal(neo_target_fits_device(&target, rows[k].device), rows[k].fits);
    assert_false(neo_target_fits_device(&target, "another"));
  }
}

static void test_no_gpu_under_windows(void **state) {
  (void)state;
  const char *gpu = " gpu=opencl units=4 simd=8 items=256 shared=32768 model=-";
  char text[300];
  expect_refused("opencl-windows", NEO_UNSUPPORTED, "compile for opencl");
  snprintf(text, sizeof text, "%s%s", "x86_64 - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a", gpu);
  neo_target target;
  assert_int_equal(neo_target_parse(&ctx, text, &target), NEO_OK);
  snprintf(text, sizeof text, "%s%s",
           "x86_64 - vec=4 regs=16 fma=1x4 l1=1 l2=2 l3=3 cpu=a os=windows", gpu);
  expect_refused(text, NEO_UNSUPPORTED, "under os=windows");
  target = find("snapdragon845-gpu-android");
  assert_string_equal(target.os, "android");
}

/* Whatever is accepted prints canonically; the sanitizers watch the rest. */
static void test_mutated_text(void **state) {
  (void)state;
  const char good[] = "x86_64 avx2,fma vec=32 regs=16 fma=2x4 l1=32768 l2=524288 l3=0 cpu=znver3";
  neo_rng rng;
  neo_rng_init(&rng, 3);
  int accepted = 0;
  for (int round = 0; round < 20000; round++) {
    char text[sizeof(good)];
    memcpy(text, good, sizeof(good));
    for (int k = (int)neo_rng_below(&rng, 3); k >= 0; k--)
      text[neo_rng_below(&rng, sizeof(good) - 1)] = good[neo_rng_below(&rng, sizeof(good))];
    neo_target target;
    if (neo_target_parse(&ctx, text, &target) == NEO_OK) {
      check_round_trip(&target);
      accepted++;
    }
    neo_ctx_clear(&ctx);
  }
  assert_in_range(accepted, 500, 15000);
}

/* CPUID words with the feature bits of these processors; XCR0 varied by hand. */
typedef struct captured {
  neo_cpuid id;
  const char *text; /* with caches of 0 */
} captured;

static const captured machines[] = {
    /* EPYC 7B13 (Zen 3) under KVM */
    {{"AuthenticAMD", 0x00a00f11, 0xfef83203, 0x219c07a9, 0x0040069c, 0, 0x7},
     "x86_64 sse4.2,avx2,fma,f16c vec=32 regs=16 fma=2x4 l1=0 l2=0 l3=0 cpu=znver3"},
    /* EPYC 9R14 (Zen 4) */
    {{"AuthenticAMD", 0x00a10f11, 0xfef83203, 0xf1bf97a9, 0x00405fce, 0x20, 0x2e7},
     "x86_64 sse4.2,avx2,fma,f16c,avx512,avx512vnni,avx512bf16 vec=64 regs=32 fma=1x4 l1=0 l2=0 "
     "l3=0 cpu=znver4"},
    /* Xeon Platinum 8175M (Skylake server) */
    {{"GenuineIntel", 0x00050654, 0xfffa3203, 0xd11f4fbb, 0x00000008, 0, 0x2ff},
     "x86_64 sse4.2,avx2,fma,f16c,avx512 vec=64 regs=32 fma=2x4 l1=0 l2=0 l3=0 "
     "cpu=skylake-avx512"},
    /* the same under an OS that saves no ZMM: AVX2 only */
    {{"GenuineIntel", 0x00050654, 0xfffa3203, 0xd11f4fbb, 0x00000008, 0, 0x7},
     "x86_64 sse4.2,avx2,fma,f16c vec=32 regs=16 fma=2x4 l1=0 l2=0 l3=0 cpu=skylake-avx512"},
    /* and under one that saves no YMM, or does not use XSAVE */
    {{"GenuineIntel", 0x00050654, 0xfffa3203, 0xd11f4fbb, 0x00000008, 0, 0x3},
     "x86_64 sse4.2 vec=16 regs=16 fma=1x4 l1=0 l2=0 l3=0 cpu=skylake-avx512"},
    {{"GenuineIntel", 0x00050654, 0xf7fa3203, 0xd11f4fbb, 0x00000008, 0, 0},
     "x86_64 sse4.2 vec=16 regs=16 fma=1x4 l1=0 l2=0 l3=0 cpu=skylake-avx512"},
    /* Core i7-4770 (Haswell) */
    {{"GenuineIntel", 0x000306c3, 0x7ffafbff, 0x000027ab, 0, 0, 0x7},
     "x86_64 sse4.2,avx2,fma,f16c vec=32 regs=16 fma=2x5 l1=0 l2=0 l3=0 cpu=haswell"},
    /* a vendor that we do not know, with AVX2 */
    {{"  Shanghai  ", 0x000307b1, 0x7ffafbff, 0x000027ab, 0, 0, 0x7},
     "x86_64 sse4.2,avx2,fma,f16c vec=32 regs=16 fma=2x4 l1=0 l2=0 l3=0 cpu=x86-64-v3"},
    /* Core 2: SSE4.1 at most */
    {{"GenuineIntel", 0x00010676, 0x0408e3fd, 0, 0, 0, 0},
     "x86_64 - vec=16 regs=16 fma=1x4 l1=0 l2=0 l3=0 cpu=x86-64"},
};

static void test_captured_processors(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(machines); i++) {
    neo_target target = {0};
    neo_cpuid_describe(&machines[i].id, &target);
    expect_text(&target, machines[i].text);
  }
}

static void test_arm_processors(void **state) {
  (void)state;
  neo_target target = {0};
  neo_midr_describe(0x410fd083, false, false, &target);
  expect_text(&target, "aarch64 neon vec=16 regs=32 fma=1x7 l1=0 l2=0 l3=0 cpu=cortex-a72");
  neo_midr_describe(0x413fd0c1, true, true, &target);
  expect_text(&target,
              "aarch64 neon,dotprod,fp16 vec=16 regs=32 fma=2x4 l1=0 l2=0 l3=0 cpu=neoverse-n1");
  neo_midr_describe(0, false, false, &target);
  expect_text(&target, "aarch64 neon vec=16 regs=32 fma=1x4 l1=0 l2=0 l3=0 cpu=generic");
}

static void test_ports_of_narrow_vectors(void **state) {
  (void)state;
  neo_target paired = find("znver4"), single = find("skylake-avx512"), narrow = find("cortex-a53");
  assert_int_equal(neo_target_fma_ports(&paired, 64), 1);
  assert_int_equal(neo_target_fma_ports(&paired, 32), 2);
  assert_int_equal(neo_target_fma_ports(&single, 64), 2);
  assert_int_equal(neo_target_fma_ports(&single, 32), 2);
  assert_int_equal(neo_target_fma_ports(&narrow, 8), 1);
}

int main(void) {
  neo_ctx_init(&ctx, 1);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_canonical_text),
      cmocka_unit_test(test_every_row),
      cmocka_unit_test(test_host),
      cmocka_unit_test(test_operating_systems),
      cmocka_unit_test(test_gpus),
      cmocka_unit_test(test_gpus_are_told_by_their_drivers_names),
      cmocka_unit_test(test_no_gpu_under_windows),
      cmocka_unit_test(test_bad_text_is_refused),
      cmocka_unit_test(test_mutated_text),
      cmocka_unit_test(test_captured_processors),
      cmocka_unit_test(test_arm_processors),
      cmocka_unit_test(test_ports_of_narrow_vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
