/* rpc/net.h: boards over a network. The board dials out (rpc/link.c), the tuner listens
 * (rpc/hub.c); between them TLS with a key of each board, frames as over a pipe, and sessions on
 * top that survive cut links and reboots. docs/formats/net.md has states and bytes. */
#ifndef NEO_RPC_NET_H
#define NEO_RPC_NET_H

#include "rpc/rpc.h"

#define NEO_NET_VERSION 2

enum { NEO_NET_NAME = 64, NEO_KEY_BYTES = 32, NEO_MAX_KEYS = 64, NEO_MAX_FACTS = 32 };

/* ---- keys (keys.c) ------------------------------------------------------------------------------ */

/* A shared secret of 256 bits; name "": for boards of any name. */
typedef struct neo_net_key {
  char name[NEO_NET_NAME];
  uint8_t bytes[NEO_KEY_BYTES];
} neo_net_key;

typedef struct neo_net_keys {
  int n;
  neo_net_key key[NEO_MAX_KEYS];
} neo_net_keys;

/* Lines of 64 hex digits, or a name, a blank and 64 hex digits; # starts a comment. A file that
 * others may read is refused: NEO_USAGE. */
neo_status neo_net_keys_read(neo_ctx *ctx, const char *path, neo_net_keys *out);
void neo_net_keys_wipe(neo_net_keys *keys); /* nothing of them is left in memory */
/* The key of that name, else the nameless one; NULL: none. */
const neo_net_key *neo_net_keys_find(const neo_net_keys *keys, const char *name);
/* Letters, digits, '.', '-', '_'; 1 to 63 of them. */
bool neo_net_name_ok(const char *name);

/* ---- what a board says of itself (net_message.c, board_facts.c) --------------------------------- */

typedef struct neo_net_fact {
  char name[24], value[160];
} neo_net_fact;

typedef struct neo_net_join {
  uint32_t protocol;
  char name[NEO_NET_NAME];
  uint64_t boot; /* changes when the board has lost what it was sent */
  neo_hello hello;
  char reason[160]; /* why the board's state was lost, or the last connection ended; "": first */
  int n_facts;
  neo_net_fact fact[NEO_MAX_FACTS]; /* arch, cpus, l1d, l2, l3, features, ...; labels */
} neo_net_join;
void neo_net_join_encode(neo_buf *out, const neo_net_join *join);
/* Of another protocol version only `protocol` is read: NEO_UNSUPPORTED names both. */
neo_status neo_net_join_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_net_join *out);
const char *neo_net_fact_find(const neo_net_join *join, const char *name); /* NULL: absent */
/* Adds or replaces; false: no room. */
bool neo_net_fact_set(neo_net_join *join, const char *name, const char *value);
/* Adds what this machine is. */
void neo_net_facts_detect(neo_net_join *join);

typedef struct neo_net_welcome {
  uint32_t protocol;
  uint64_t tuner;        /* of this tuner's run: results of other runs are worth nothing */
  uint32_t job;          /* the one that is still waited for; 0: none */
  uint32_t heartbeat_ms; /* each end sends something at least that often */
} neo_net_welcome;
void neo_net_welcome_encode(neo_buf *out, const neo_net_welcome *welcome);
neo_status neo_net_welcome_decode(neo_ctx *ctx, const uint8_t *data, size_t size,
                                  neo_net_welcome *out);

/* ---- the board's end (link.c) -------------------------------------------------------------------- */

typedef struct neo_link_options {
  const char *address; /* HOST:PORT */
  const char *name;
  const char *key_file; /* NULL: plain, to 127.0.0.0/8 or ::1 only (a tunnel's end) */
  int n_labels;
  neo_net_fact label[NEO_MAX_FACTS];
  neo_board_options board; /* of the worker; descriptors are ours */
  bool once;               /* end when the tuner says BYE, instead of waiting for the next */
  int back_off_ms, most_back_off_ms; /* 0: 500, 30000 */
} neo_link_options;
/* Serves tuners at that address, one after another, until *stop is not 0. Fails only for what
 * waiting does not cure: arguments, the key file. */
neo_status neo_link_run(neo_ctx *ctx, const neo_link_options *options, const volatile int *stop);

/* ---- the tuner's end (hub.c) ------------------------------------------------------------------------ */

/* One thread that listens, keeps sessions, and leases boards. A lease is one end of a stream that
 * speaks as neo-board --stdio does. */
typedef struct neo_hub neo_hub;

typedef struct neo_hub_options {
  const char *address;                 /* HOST:PORT; port 0: any */
  const char *key_file;                /* NULL: plain, on 127.0.0.0/8 or ::1 only */
  neo_net_fact require[NEO_MAX_FACTS]; /* facts that a board must have to be leased */
  int n_require;
  int heartbeat_ms; /* 0: 2000; three without a sign of life end a connection */
  int away_ms;      /* how long a lease waits for its board to come back; 0: 15000 */
  int handshake_ms; /* from connecting to JOIN; 0: 5000 */
  /* Asked ten times a second by who waits, and by the hub's thread; true: whoever waits for a board
   * gives up, with NEO_INTERRUPTED, and leases of boards that are away end. NULL: never. */
  bool (*interrupted)(void *self);
  void *self;
  char gpu[16]; /* the driver of the GPU that times are of; "": the processor's */
  /* Is it the right one? Called by the hub's thread. */
  bool (*fits_gpu)(void *self, const char *device);
  void *gpu_self;
} neo_hub_options;
/* ctx's log receives what happens, from the hub's thread. */
neo_status neo_hub_open(neo_ctx *ctx, const neo_hub_options *options, neo_hub **out);
/* Says BYE to all boards. Leases' descriptors stay their holders' to close. */
void neo_hub_close(neo_hub *hub);
int neo_hub_port(const neo_hub *hub);

typedef struct neo_hub_lease {
  int fd; /* the holder's; closing it gives the board back */
  neo_net_join board;
} neo_hub_lease;
/* Waits for an idle board, by preference the one of that name ("": any), of the same processor
 * (and GPU) as the first that was leased. NEO_UNREACHABLE after timeout_ms, saying what was heard
 * meanwhile; NEO_INTERRUPTED: the options say so. */
neo_status neo_hub_take(neo_ctx *ctx, neo_hub *hub, const char *name, int timeout_ms,
                        neo_hub_lease *out);
/* Does anybody wait in neo_hub_take? */
bool neo_hub_wanted(neo_hub *hub);

typedef struct neo_hub_counts {
  int boards, fit, idle;       /* connected; of those fit to be leased; of those free */
  int64_t refused, handshakes; /* connections that were turned away; that got in */
  int64_t stale;               /* results and answers that nobody waited for: dropped */
  int64_t resent, rejoined;    /* jobs; sessions taken up again */
} neo_hub_counts;
void neo_hub_count(neo_hub *hub, neo_hub_counts *out);

#endif
