/* In place of sandbox.c on systems that have none that we know of. */
#include "rpc/sandbox.h"

#include <stddef.h>

const char *neo_sandbox_kind(void) {
  return "none";
}

void neo_sandbox_enter(int pipe_fd, atomic_int *out_call) {
  (void)pipe_fd;
  (void)out_call;
}

const char *neo_sandbox_call_name(int number) {
  (void)number;
  return NULL;
}
