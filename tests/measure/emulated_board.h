/* tests/measure/emulated_board.h: neo-board for another architecture under qemu, as a child behind
 * a socketpair, and the one table of the targets that tests emulate; what qemu or a cross compiler
 * is missing for is skipped. */
#ifndef NEO_TESTS_EMULATED_BOARD_H
#define NEO_TESTS_EMULATED_BOARD_H

#include "base/host.h"
#include "rpc/rpc.h"

/* cpu: one that has what the target has and nothing more, so that any other instruction is fatal
 * (but of Hexagon's, of which qemu 7.2 knows one). */
typedef struct emulated_target {
  const char *target, *arch, *emulator, *cpu;
} emulated_target;

static const emulated_target emulated_targets[] = {
    {"aarch64", "aarch64", "qemu-aarch64", "cortex-a72"},
    {"neoverse-n1", "aarch64", "qemu-aarch64", "neoverse-n1"},
    {"graviton3", "aarch64", "qemu-aarch64", "max,sve256=on"},
    {"cortex-a9", "armv7", "qemu-arm", "cortex-a9"},
    {"cortex-a15", "armv7", "qemu-arm", "cortex-a15"},
    {"riscv64", "riscv64", "qemu-riscv64", "rv64"},
    {"riscv64-v", "riscv64", "qemu-riscv64", "rv64,v=true,vext_spec=v1.0,vlen=128"},
    {"riscv64-v256", "riscv64", "qemu-riscv64", "rv64,v=true,vext_spec=v1.0,vlen=256"},
    {"hexagon", "hexagon", "qemu-hexagon", "v67"},
    {"hexagon-hvx", "hexagon", "qemu-hexagon", "v67"},
};

static inline const char *emulated_board(const char *arch) {
  static char path[4200];
  snprintf(path, sizeof path, "%s/bin/neo-board-%s", NEO_BINARY_DIR, arch);
  return path;
}

/* Says what is missing. */
static inline bool emulation_is_possible(neo_ctx *ctx, const emulated_target *t) {
  const char *const version[] = {t->emulator, "--version", NULL};
  neo_process_result result = {0};
  bool has_qemu = neo_process_run(ctx, version, 10000, &result) == NEO_OK && result.exit_code == 0;
  bool has_board = neo_file_exists(emulated_board(t->arch));
  neo_buf_fini(&result.output);
  neo_ctx_clear(ctx);
  if (!has_qemu)
    print_message("SKIPPED: %s is not installed\n", t->emulator);
  else if (!has_board)
    print_message("SKIPPED: neo-board-%s was not built, the cross compiler is missing\n", t->arch);
  return has_qemu && has_board;
}

static inline neo_process emulated_board_start(neo_ctx *ctx, const emulated_target *t) {
  const char *const argv[] = {t->emulator, "-cpu", t->cpu, emulated_board(t->arch),
                              "--stdio",   NULL};
  neo_process board = {0};
  neo_hello hello;
  if (neo_process_spawn(ctx, argv, false, &board) != NEO_OK ||
      neo_board_hello(ctx, board.fd, NULL, &hello, 60000) != NEO_OK)
    fail_msg("%s: %s", t->cpu, ctx->message);
  assert_string_equal(hello.cpu_model, t->arch);
  return board;
}

#endif
