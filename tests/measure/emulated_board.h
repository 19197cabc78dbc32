/* tests/measure/emulated_board.h: neo-board for aarch64 under qemu, as a child behind a socketpair;
 * tests that need it are skipped where qemu or the cross compiler is missing. */
#ifndef NEO_TESTS_EMULATED_BOARD_H
#define NEO_TESTS_EMULATED_BOARD_H

#include "base/host.h"
#include "rpc/rpc.h"

#define EMULATED_BOARD NEO_BINARY_DIR "/bin/neo-board-aarch64"

/* Says what is missing. */
static inline bool emulation_is_possible(neo_ctx *ctx) {
  const char *const version[] = {"qemu-aarch64", "--version", NULL};
  neo_process_result result = {0};
  bool has_qemu = neo_process_run(ctx, version, 10000, &result) == NEO_OK && result.exit_code == 0;
  neo_buf_fini(&result.output);
  neo_ctx_clear(ctx);
  if (!has_qemu)
    print_message("SKIPPED: qemu-aarch64 is not installed\n");
  else if (!neo_file_exists(EMULATED_BOARD))
    print_message("SKIPPED: neo-board-aarch64 was not built, the cross compiler is missing\n");
  return has_qemu && neo_file_exists(EMULATED_BOARD);
}

/* cpu: one that has what the target has and nothing more, so that any other instruction is fatal.
 */
static inline neo_process emulated_board_start(neo_ctx *ctx, const char *cpu) {
  const char *const argv[] = {"qemu-aarch64", "-cpu", cpu, EMULATED_BOARD, "--stdio", NULL};
  neo_process board = {0};
  neo_hello hello;
  if (neo_process_spawn(ctx, argv, false, &board) != NEO_OK ||
      neo_board_hello(ctx, board.fd, &hello, 60000) != NEO_OK)
    fail_msg("%s: %s", cpu, ctx->message);
  assert_string_equal(hello.cpu_model, "aarch64");
  return board;
}

#endif
