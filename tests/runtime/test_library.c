/* libneo_rt.so as an application sees it: it exports its API and nothing else, and the example
 * program works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "base/core.h"

/* Calls check(name) for every symbol that the library defines for others. */
static void visit_exports(const neo_buf *file, void (*check)(const char *name)) {
  Elf64_Ehdr header;
  memcpy(&header, file->data, sizeof(header));
  for (int i = 0; i < header.e_shnum; i++) {
    Elf64_Shdr table, names;
    memcpy(&table, file->data + header.e_shoff + (size_t)i * sizeof(table), sizeof(table));
    if (table.sh_type != SHT_DYNSYM)
      continue;
    memcpy(&names, file->data + header.e_shoff + table.sh_link * sizeof(names), sizeof(names));
    for (size_t at = sizeof(Elf64_Sym); at < table.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      memcpy(&symbol, file->data + table.sh_offset + at, sizeof(symbol));
      if (symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS)
        check(file->data + names.sh_offset + symbol.st_name);
    }
  }
}

static int api_symbols;

static void check_export(const char *name) {
  if (strncmp(name, "neo_rt_", 7) != 0)
    fail_msg("libneo_rt.so exports '%s'", name);
  api_symbols++;
}

static void exports_only_its_api(void **state) {
  (void)state;
  neo_buf file = {0};
  char block[65536];
  size_t n;
  FILE *in = fopen(NEO_BINARY_DIR "/lib/libneo_rt.so", "rb");
  assert_non_null(in);
  while ((n = fread(block, 1, sizeof(block), in)) > 0)
    neo_buf_append(&file, block, n);
  fclose(in);
  assert_true(file.size > sizeof(Elf64_Ehdr));
  visit_exports(&file, check_export);
  assert_int_equal(api_symbols, 24); /* all of include/neo/neo_rt.h */
  neo_buf_fini(&file);
}

static int run_example(const char *dir) {
  char program[] = NEO_BINARY_DIR "/bin/run_model";
  char argument[512];
  snprintf(argument, sizeof(argument), "%s", dir ? dir : "");
  char *argv[] = {program, dir ? argument : NULL, NULL};
  char *env[] = {NULL};
  pid_t pid;
  int status;
  assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, env), 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void the_example_runs(void **state) {
  (void)state;
  assert_int_equal(run_example(NEO_BINARY_DIR "/tests/tiny/good"), 0);
  assert_int_equal(run_example(NEO_BINARY_DIR "/tests/tiny/foreign"), 4);
  assert_int_equal(run_example(NULL), 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exports_only_its_api),
      cmocka_unit_test(the_example_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
