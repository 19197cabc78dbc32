/* rpc/hub.h: between hub.c (the thread and its callers) and hub_seat.c (sessions and leases). */
#ifndef NEO_RPC_HUB_H
#define NEO_RPC_HUB_H

#include <pthread.h>

#include "rpc/channel.h"

enum { HUB_GUESTS = 8, HUB_SEATS = 64, HUB_WHO = 64 };

/* A connection that has not proven anything, or not yet said who it is. */
typedef struct hub_guest {
  neo_channel net; /* fd -1: free */
  char who[HUB_WHO];
  uint64_t since;
} hub_guest;

/* A job that a lease's board has been sent and has not answered. */
typedef struct hub_job {
  uint32_t id, lane_id; /* ours; the holder's. id 0: none */
  neo_frame frame;      /* as sent, for sending it again */
} hub_job;

/* A board: its connection, and its lease if it has one. docs/formats/net.md has the states; here
 * they are which of the two channels is open:
 *   net, no lane: idle        net, lane: leased
 *   lane, no net: away, until away_until; then the lease ends
 *   neither: the seat is free */
typedef struct hub_seat {
  bool used;
  neo_net_join join;
  char who[HUB_WHO];
  neo_channel net, lane; /* fd -1: closed */
  bool fit;              /* may be leased */
  hub_job job;
  uint32_t asked, asked_lane; /* BLOB_HAVE that waits for its answer: ours, the holder's; 0: none */
  uint32_t puts, first_put;   /* blobs of the lease that may still be refused; ours of the first */
  uint32_t put_lane;          /* the holder's of the last */
  uint32_t dropped;           /* answers on this connection that nobody waited for */
  uint32_t cancelled; /* a job that its holder gave up and the board may still run; 0: none */
  uint64_t away_until, last_beat;
} hub_seat;

enum { HUB_KIND = 280 };

typedef struct hub_request {
  struct hub_request *next;
  const char *name;
  bool done;
  neo_status status;
  neo_hub_lease *lease;
} hub_request;

struct neo_hub {
  const neo_allocator *allocator;
  neo_ctx ctx; /* the thread's */
  neo_hub_options options;
  char address[300];
  neo_tls_end *end;
  int listener, port, wake[2];
  uint64_t tuner;
  uint32_t next_id;
  bool crowded; /* who waits at the listener must go on waiting: no place, or no descriptor */
  char kind[HUB_KIND]; /* hub_kind of leased boards */
  bool has_kind;       /* one was leased */
  hub_guest guest[HUB_GUESTS];
  hub_seat seat[HUB_SEATS];
  neo_frame frame; /* scratch */
  pthread_t thread;
  bool thread_up;
  pthread_mutex_t mutex; /* for all below */
  pthread_cond_t changed;
  bool stop;
  hub_request *requests;
  neo_hub_counts counts;
  char last_refusal[300];
};

/* Notes and logs that a connection was turned away. */
void hub_refuse(neo_hub *hub, const char *who, const char *why);
void hub_count(neo_hub *hub, int64_t *counter);
/* Shall waits end? */
bool hub_interrupted(const neo_hub *hub);

/* What times of a board are of, for people and to compare: its processor, or its GPU. */
void hub_kind(const neo_hub *hub, const neo_net_join *join, char out[HUB_KIND]);
/* Is there a seat for it, and no other board of its name? */
neo_status hub_seat_check(neo_hub *hub, const neo_net_join *join);
/* A guest that has joined and was checked becomes a board: takes its channel over. */
void hub_seat_admit(neo_hub *hub, hub_guest *guest, const neo_net_join *join);
/* Moves frames between a board and its holder, keeps time. */
void hub_seat_step(neo_hub *hub, hub_seat *seat);
bool hub_seat_is_free(const hub_seat *seat); /* idle and fit */
/* Leases the seat: *out_fd is the holder's end. */
neo_status hub_seat_lease(neo_hub *hub, hub_seat *seat, int *out_fd);
void hub_seat_bye(neo_hub *hub, hub_seat *seat);
void hub_seat_clear(hub_seat *seat);

#endif
