/* rpc/link.h: between link.c and link_worker.c. */
#ifndef NEO_RPC_LINK_H
#define NEO_RPC_LINK_H

#include "rpc/channel.h"

typedef struct neo_link {
  neo_ctx *ctx;
  const neo_link_options *options;
  neo_tls_end *end; /* NULL: plain */
  neo_channel net, worker;
  intptr_t process; /* of the worker, while worker.fd >= 0: its id or handle; 0: it is gone */
  uint64_t boot;
  neo_hello hello;
  char reason[160];
  uint64_t tuner; /* of the last welcome; 0: none yet */
  int heartbeat_ms;
  uint64_t last_beat;
  bool join_sent, joined, bye;
  uint32_t running, held_id; /* jobs; 0: none */
  neo_frame held;            /* the result of held_id */
} neo_link;

/* ---- link_worker.c; windows/link_worker_windows.c ---- */
/* Starts the process and opens l->worker. */
neo_status neo_link_start_worker(neo_link *l);
void neo_link_stop_worker(neo_link *l);
/* Its stream ended: how the process ended, as text. */
void neo_link_worker_end(neo_link *l, char *why, size_t size);

#endif
