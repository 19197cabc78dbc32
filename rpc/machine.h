/* rpc/machine.h: what the ends of a network ask of the operating system beside sockets and
 * processes. Inside of rpc/. */
#ifndef NEO_RPC_MACHINE_H
#define NEO_RPC_MACHINE_H

#include "base/core.h"

bool neo_machine_random(void *out,
                        size_t size); /* unpredictable bytes; false: none are to be had */
/* A file that nobody but its owner may read, opened for reading; NEO_USAGE: others may, or it is
 * not there. */
neo_status neo_machine_open_private(neo_ctx *ctx, const char *path, FILE **out);
/* At the agent's start (board_start.c). stdio: standard input and output carry frames, and Ctrl-C
 * is not for us; else it sets *stop. */
void neo_machine_start(bool stdio, volatile int *stop);

#endif
