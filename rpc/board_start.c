/* The agent's start: what signals mean to it. For Windows: windows/machine_windows.c. */
#include <signal.h>

#include "rpc/machine.h"

static volatile int *stop_flag; /* what signals set */

static void on_signal(int number) {
  (void)number;
  *stop_flag = 1;
}

void neo_machine_start(bool stdio, volatile int *stop) {
  signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of write */
  if (stdio) {
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the tuner's; we end when it closes the stream */
    return;
  }
  const struct sigaction action = {.sa_handler = on_signal};
  stop_flag = stop;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}
