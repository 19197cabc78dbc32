/* The machine's cores on synthetic topologies and on this machine: order, SMT, packages, limits,
 * pinning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/topology.h"

static neo_ctx ctx;

static neo_cores detect(const char *synthetic) {
  neo_cores cores;
  assert_int_equal(neo_cores_detect(&ctx, synthetic, &cores), NEO_OK);
  for (int i = 0; i < cores.n_cpus; i++)
    for (int j = 0; j < i; j++)
      assert_int_not_equal(cores.cpu[i], cores.cpu[j]);
  assert_true(cores.n >= 1 && cores.n <= cores.n_cpus && cores.n_cpus <= 256);
  return cores;
}

static void expect_cpus(const neo_cores *cores, int n, int n_cpus, const int *cpu) {
  assert_int_equal(cores->n, n);
  assert_int_equal(cores->n_cpus, n_cpus);
  assert_memory_equal(cores->cpu, cpu, (size_t)n_cpus * sizeof(int));
}

static void test_one_core(void **state) {
  (void)state;
  neo_cores cores = detect("pack:1 core:1 pu:1");
  expect_cpus(&cores, 1, 1, (const int[]){0});
  assert_int_equal(cores.packages, 1);
  assert_int_equal(cores.numa_nodes, 1);
}

static void test_two_cores_with_caches(void **state) {
  (void)state;
  neo_cores cores =
      detect("pack:1 l3:1(size=33554432) core:2 l2:1(size=524288) l1d:1(size=32768) pu:1");
  expect_cpus(&cores, 2, 2, (const int[]){0, 1});
  cores = detect("pack:1 l3:1(size=33554432) l2:2(size=524288) l1d:1(size=32768) core:1 pu:1");
  expect_cpus(&cores, 2, 2, (const int[]){0, 1});
  assert_int_equal(cores.l1d, 32768);
  assert_int_equal(cores.l2, 524288);
  assert_int_equal(cores.l3, 33554432);
}

static void test_no_caches_are_zero(void **state) {
  (void)state;
  neo_cores cores = detect("pack:1 core:4 pu:1");
  assert_int_equal(cores.l1d + cores.l2 + cores.l3, 0);
}

static void test_siblings_come_last(void **state) {
  (void)state;
  neo_cores cores = detect("pack:1 core:4 pu:2");
  expect_cpus(&cores, 4, 8, (const int[]){0, 2, 4, 6, 1, 3, 5, 7});
  cores = detect("pack:1 core:2 pu:4");
  expect_cpus(&cores, 2, 8, (const int[]){0, 4, 1, 5, 2, 6, 3, 7});
}

/* The usual numbering of Linux: siblings get the numbers after all cores. */
static void test_os_numbers_are_used(void **state) {
  (void)state;
  neo_cores cores = detect("pack:1 core:4 pu:2(indexes=core:pu)");
  assert_int_equal(cores.n, 4);
  cores = detect("pack:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)");
  expect_cpus(&cores, 4, 8, (const int[]){0, 1, 2, 3, 4, 5, 6, 7});
}

static void test_packages_stay_together(void **state) {
  (void)state;
  neo_cores cores = detect("pack:2 core:2 pu:2");
  expect_cpus(&cores, 4, 8, (const int[]){0, 2, 4, 6, 1, 3, 5, 7});
  assert_int_equal(cores.packages, 2);
  cores = detect("pack:2 core:2 pu:1(indexes=0,2,1,3)");
  expect_cpus(&cores, 4, 4, (const int[]){0, 2, 1, 3});
}

static void test_numa(void **state) {
  (void)state;
  neo_cores cores = detect("pack:2 numa:2 core:8 pu:2");
  assert_int_equal(cores.n, 32);
  assert_int_equal(cores.n_cpus, 64);
  assert_int_equal(cores.packages, 2);
  assert_int_equal(cores.numa_nodes, 4);
}

static void test_no_core_objects(void **state) {
  (void)state;
  neo_cores cores = detect("pu:3");
  expect_cpus(&cores, 3, 3, (const int[]){0, 1, 2});
}

static void test_big_machines_are_cut(void **state) {
  (void)state;
  neo_cores cores = detect("pack:8 core:64 pu:2");
  assert_int_equal(cores.n, 256);
  assert_int_equal(cores.n_cpus, 256);
  cores = detect("pack:2 core:96 pu:2");
  assert_int_equal(cores.n, 192);
  assert_int_equal(cores.n_cpus, 256);
}

/* Two efficient cores first in logical order, then two fast ones. */
static void test_fast_cores_come_first(void **state) {
  (void)state;
  hwloc_topology_t topology;
  assert_int_equal(hwloc_topology_init(&topology), 0);
  assert_int_equal(hwloc_topology_set_synthetic(topology, "pack:1 core:4 pu:1"), 0);
  assert_int_equal(hwloc_topology_load(topology), 0);
  for (int kind = 0; kind < 2; kind++) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    hwloc_bitmap_set_range(set, 2 * (unsigned)kind, 2 * kind + 1);
    assert_int_equal(hwloc_cpukinds_register(topology, set, kind, 0, NULL, 0), 0);
    hwloc_bitmap_free(set);
  }
  neo_cores cores;
  assert_true(neo_cores_from_topology(topology, &cores));
  expect_cpus(&cores, 4, 4, (const int[]){2, 3, 0, 1});
  hwloc_topology_destroy(topology);
}

static void test_bad_description(void **state) {
  (void)state;
  neo_cores cores = {.n = 77};
  assert_int_equal(neo_cores_detect(&ctx, "pack:x core", &cores), NEO_USAGE);
  assert_non_null(strstr(ctx.message, "'pack:x core'"));
  assert_int_equal(cores.n, 77);
  neo_ctx_clear(&ctx);
}

static void test_this_machine(void **state) {
  (void)state;
  cpu_set_t allowed;
  assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  neo_cores cores = detect(NULL);
  for (int i = 0; i < cores.n_cpus; i++)
    assert_true(CPU_ISSET(cores.cpu[i], &allowed));
  assert_int_equal(cores.n_cpus, neo_min_i64(CPU_COUNT(&allowed), 256));
}

static int warnings;

static void count_warning(void *self, neo_log_level level, const char *text) {
  (void)self, (void)text;
  warnings += level == NEO_LOG_WARN;
}

static void *pin_and_look(void *self) {
  int cpu = *(int *)self;
  cpu_set_t set;
  neo_ctx own;
  neo_ctx_init(&own, 1);
  own.log = count_warning;
  bool ok = neo_cores_pin(&own, cpu) == NEO_OK;
  ok = ok && sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 &&
       CPU_ISSET(cpu, &set);
  ok = ok && neo_cores_pin(&own, 1000000) == NEO_UNSUPPORTED && own.status == NEO_OK;
  ok = ok && neo_cores_pin(&own, -1) == NEO_UNSUPPORTED && warnings == 2;
  return ok ? self : NULL;
}

static void test_pin_moves_only_the_calling_thread(void **state) {
  (void)state;
  neo_cores cores = detect(NULL);
  int cpu = cores.cpu[cores.n - 1];
  cpu_set_t before, after;
  assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
  pthread_t thread;
  void *result = NULL;
  assert_int_equal(pthread_create(&thread, NULL, pin_and_look, &cpu), 0);
  pthread_join(thread, &result);
  assert_ptr_equal(result, &cpu);
  assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
  assert_true(CPU_EQUAL(&before, &after));
}

/* A user's taskset is respected: a process that may use one cpu finds one core. It must be a fresh
 * process, as hwloc asks for the affinity of all threads and a sanitizer may run one of its own. */
static int exit_code_with_one_cpu(int cpu) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) == 0)
      execl("/proc/self/exe", "test_cores", "--only-cpu", (char *)NULL);
    _exit(255);
  }
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int code_of_only_cpu(void) {
  neo_cores cores;
  neo_status status = neo_cores_detect(&ctx, NULL, &cores);
  return status == NEO_OK && cores.n == 1 && cores.n_cpus == 1 ? cores.cpu[0] % 100 : 200;
}

static void test_affinity_limits_what_is_found(void **state) {
  (void)state;
  neo_cores all = detect(NULL);
  for (int i = 0; i < all.n && i < 4; i++)
    assert_int_equal(exit_code_with_one_cpu(all.cpu[i]), all.cpu[i] % 100);
}

static void expect_split(const char *synthetic, int threads, int measure, int build) {
  neo_cores cores = detect(synthetic);
  int n_measure = -1, n_build = -1;
  neo_cores_split(&cores, threads, &n_measure, &n_build);
  assert_int_equal(n_measure, measure);
  assert_int_equal(n_build, build);
}

static void test_split(void **state) {
  (void)state;
  expect_split("pack:1 core:1 pu:1", 1, 1, 1);
  expect_split("pack:1 core:2 pu:1", 1, 1, 1);
  expect_split("pack:1 core:2 pu:1", 2, 2, 2);
  expect_split("pack:1 core:2 pu:1", 5, 2, 2);
  expect_split("pack:1 core:8 pu:2", 3, 3, 5);
  expect_split("pack:1 core:8 pu:2", 0, 1, 7);
  expect_split("pack:2 core:64 pu:2", 64, 64, 64);
}

int main(int argc, char **argv) {
  neo_ctx_init(&ctx, 1);
  if (argc == 2 && strcmp(argv[1], "--only-cpu") == 0)
    return code_of_only_cpu();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_core),
      cmocka_unit_test(test_two_cores_with_caches),
      cmocka_unit_test(test_no_caches_are_zero),
      cmocka_unit_test(test_siblings_come_last),
      cmocka_unit_test(test_os_numbers_are_used),
      cmocka_unit_test(test_packages_stay_together),
      cmocka_unit_test(test_numa),
      cmocka_unit_test(test_no_core_objects),
      cmocka_unit_test(test_big_machines_are_cut),
      cmocka_unit_test(test_fast_cores_come_first),
      cmocka_unit_test(test_bad_description),
      cmocka_unit_test(test_this_machine),
      cmocka_unit_test(test_pin_moves_only_the_calling_thread),
      cmocka_unit_test(test_affinity_limits_what_is_found),
      cmocka_unit_test(test_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
