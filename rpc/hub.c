/* The tuner's end of board sessions: one thread that listens and moves frames.
 *
 * Why one thread and no locks around sessions: their states change in one place, in one order, as
 * in the model that is checked (tests/rpc/sessions.pml). Callers only queue a wish for a lease and
 * wait.
 *
 * Who connects is a guest until the TLS handshake has proven its key and a JOIN has said which
 * board it is; guests are few, have a few seconds, and cost a descriptor and TLS's buffers while
 * they last. What speaks to them at all is mbedTLS; the first byte that this code sees is
 * authenticated.
 */
#include "rpc/hub.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/condition.h"
#include "rpc/machine.h"

enum { JOIN_LIMIT = 64 << 10, LOOK_MS = 50, MS = 1000000, BYE_MS = 200, BYE_LOOKS = 10 };

/* ---- counts and refusals ----------------------------------------------------------------------------- */

void hub_count(neo_hub *hub, int64_t *counter) {
  pthread_mutex_lock(&hub->mutex);
  ++*counter;
  pthread_mutex_unlock(&hub->mutex);
}

bool hub_interrupted(const neo_hub *hub) {
  return hub->options.interrupted && hub->options.interrupted(hub->options.self);
}

void hub_refuse(neo_hub *hub, const char *who, const char *why) {
  neo_log(&hub->ctx, NEO_LOG_WARN, "connection from %s refused: %s", who, why);
  pthread_mutex_lock(&hub->mutex);
  hub->counts.refused++;
  snprintf(hub->last_refusal, sizeof hub->last_refusal, "%.60s: %.230s", who, why);
  pthread_mutex_unlock(&hub->mutex);
}

/* ---- guests -------------------------------------------------------------------------------------------- */

/* A free place: of whoever has had its time, if need be. */
static hub_guest *make_room(neo_hub *hub) {
  enum { SHORTEST_MS = 500 };
  hub_guest *oldest = &hub->guest[0];
  for (int g = 0; g < HUB_GUESTS; g++) {
    hub_guest *guest = &hub->guest[g];
    if (guest->net.fd < 0)
      return guest;
    oldest = guest->since < oldest->since ? guest : oldest;
  }
  if (neo_now_ns(&hub->ctx) - oldest->since < (uint64_t)SHORTEST_MS * MS)
    return NULL;
  hub_refuse(hub, oldest->who, "too many connections that do not join");
  neo_channel_close(&oldest->net);
  return oldest;
}

static bool somebody_waits(const neo_hub *hub) {
  const neo_socket_wish look = {.fd = hub->listener, .in = true};
  return neo_socket_wait(&look, 1, 0) > 0;
}

/* Nobody is turned out unless somebody waits for the place. */
static void accept_guests(neo_hub *hub) {
  hub->crowded = false;
  while (somebody_waits(hub)) {
    hub_guest *guest = make_room(hub);
    int fd = guest ? neo_socket_accept(hub->listener, guest->who, sizeof guest->who) : -1;
    if (fd < 0) {
      hub->crowded = true;
      return;
    }
    guest->since = neo_now_ns(&hub->ctx);
    if (neo_channel_open(&hub->ctx, fd, hub->end, &guest->net) != NEO_OK) {
      hub_refuse(hub, guest->who, hub->ctx.message);
      neo_ctx_clear(&hub->ctx);
      return;
    }
    guest->net.limit = JOIN_LIMIT;
  }
}

/* Tells an authenticated guest why, as well as it can without waiting. */
static void turn_away(neo_hub *hub, hub_guest *guest, neo_status status, bool tell) {
  char why[300];
  snprintf(why, sizeof why, "%.299s", hub->ctx.message);
  neo_ctx_clear(&hub->ctx);
  hub_refuse(hub, guest->who, why);
  if (tell) {
    neo_frame frame = {.type = NEO_MESSAGE_ERROR};
    neo_buf_u32le(&frame.payload, (uint32_t)status);
    neo_buf_u32le(&frame.payload, (uint32_t)strlen(why));
    neo_buf_text(&frame.payload, why);
    if (neo_channel_put(&hub->ctx, &guest->net, &frame) != NEO_OK ||
        neo_channel_pump(&hub->ctx, &guest->net) != NEO_OK)
      neo_ctx_clear(&hub->ctx);
    neo_buf_fini(&frame.payload);
  }
  neo_channel_end(&guest->net);
  neo_channel_close(&guest->net);
}

static neo_status read_join(neo_hub *hub, hub_guest *guest, neo_net_join *join) {
  neo_ctx *ctx = &hub->ctx;
  if (hub->frame.type != NEO_MESSAGE_JOIN)
    return neo_fail(ctx, NEO_BAD_INPUT, "it does not join, but sends message type %u",
                    (unsigned)hub->frame.type);
  NEO_TRY(neo_net_join_decode(ctx, (const uint8_t *)hub->frame.payload.data,
                              hub->frame.payload.size, join));
  if (guest->net.tls && strcmp(neo_tls_peer(guest->net.tls), join->name) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "it has the key of '%s' and joins as '%s'",
                    neo_tls_peer(guest->net.tls), join->name);
  return hub_seat_check(hub, join);
}

static void guest_step(neo_hub *hub, hub_guest *guest) {
  neo_ctx *ctx = &hub->ctx;
  bool got = false, was_open = guest->net.open;
  neo_net_join join;
  neo_status status = neo_channel_pump(ctx, &guest->net);
  if (guest->net.open && !was_open)
    hub_count(hub, &hub->counts.handshakes);
  if (status == NEO_OK)
    status = neo_channel_take(ctx, &guest->net, &hub->frame, &got);
  if (status == NEO_OK && got)
    status = read_join(hub, guest, &join);
  if (status != NEO_OK) {
    turn_away(hub, guest, status, guest->net.open && status != NEO_UNREACHABLE);
  } else if (got) {
    hub_seat_admit(hub, guest, &join);
  } else if (neo_now_ns(ctx) - guest->since > (uint64_t)hub->options.handshake_ms * MS) {
    neo_fail(ctx, NEO_UNREACHABLE, "it did not join within %d ms", hub->options.handshake_ms);
    turn_away(hub, guest, NEO_UNREACHABLE, false);
  }
}

/* ---- leases ----------------------------------------------------------------------------------------------- */

static hub_seat *choose_seat(neo_hub *hub, const char *name) {
  hub_seat *any = NULL;
  for (int s = 0; s < HUB_SEATS; s++) {
    hub_seat *seat = &hub->seat[s];
    if (!hub_seat_is_free(seat))
      continue;
    if (strcmp(seat->join.name, name) == 0)
      return seat;
    any = any ? any : seat;
  }
  return any;
}

/* The first lease decides which processor or GPU times are of. */
static void set_kind(neo_hub *hub, const hub_seat *chosen) {
  hub_kind(hub, &chosen->join, hub->kind);
  hub->has_kind = true;
  for (int s = 0; s < HUB_SEATS; s++) {
    char kind[HUB_KIND];
    hub_kind(hub, &hub->seat[s].join, kind);
    if (hub->seat[s].used && strcmp(kind, hub->kind) != 0)
      hub->seat[s].fit = false;
  }
}

/* Serves those who wait, in order. Under the mutex. */
static void grant(neo_hub *hub) {
  hub_seat *seat;
  while (hub->requests && (seat = choose_seat(hub, hub->requests->name))) {
    hub_request *request = hub->requests;
    request->status = hub_seat_lease(hub, seat, &request->lease->fd);
    request->done = true;
    hub->requests = request->next;
    neo_ctx_clear(&hub->ctx);
    if (request->status == NEO_OK)
      request->lease->board = seat->join;
    if (request->status == NEO_OK && !hub->has_kind)
      set_kind(hub, seat);
    pthread_cond_broadcast(&hub->changed);
  }
  hub->counts.boards = hub->counts.fit = hub->counts.idle = 0;
  for (int s = 0; s < HUB_SEATS; s++) {
    hub->counts.boards += hub->seat[s].used && hub->seat[s].net.fd >= 0;
    hub->counts.fit += hub->seat[s].used && hub->seat[s].net.fd >= 0 && hub->seat[s].fit;
    hub->counts.idle += hub_seat_is_free(&hub->seat[s]);
  }
}

static void nudge(neo_hub *hub) {
  const char byte = 0;
  if (write(hub->wake[1], &byte, 1) < 0)
    return; /* full: it wakes anyway */
}

static neo_status nobody(neo_ctx *ctx, neo_hub *hub, int timeout_ms) {
  const neo_hub_counts *c = &hub->counts;
  const char *refused = hub->last_refusal[0] ? hub->last_refusal : "none";
  if (c->boards > 0)
    return neo_fail(ctx, NEO_UNREACHABLE,
                    "no board became free within %.1f s: %d connected to port %d, all leased or "
                    "unfit (last refusal: %s)",
                    timeout_ms / 1e3, c->boards, hub->port, refused);
  return neo_fail(
      ctx, NEO_UNREACHABLE,
      "no board connected to port %d within %.1f s (connections refused: %lld; last: %s)",
      hub->port, timeout_ms / 1e3, (long long)c->refused, refused);
}

neo_status neo_hub_take(neo_ctx *ctx, neo_hub *hub, const char *name, int timeout_ms,
                        neo_hub_lease *out) {
  enum { LISTEN_MS = 100 };
  hub_request request = {.name = name, .lease = out}, **link;
  const uint64_t until = neo_deadline(ctx, timeout_ms);
  neo_status status = NEO_OK;
  pthread_mutex_lock(&hub->mutex);
  for (link = &hub->requests; *link; link = &(*link)->next)
    continue;
  *link = &request;
  nudge(hub);
  bool ends = false;
  for (int left; !request.done && !ends && (left = neo_deadline_left(ctx, until)) > 0;) {
    neo_condition_wait(&hub->changed, &hub->mutex, left < LISTEN_MS ? left : LISTEN_MS);
    ends = hub_interrupted(hub);
  }
  if (!request.done) {
    for (link = &hub->requests; *link != &request; link = &(*link)->next)
      continue;
    *link = request.next;
    status = ends ? neo_fail(ctx, NEO_INTERRUPTED, "interrupted while waiting for a board")
                  : nobody(ctx, hub, timeout_ms);
  } else if (request.status != NEO_OK) {
    status = neo_fail(ctx, request.status, "hub: the lease could not be made");
  }
  pthread_mutex_unlock(&hub->mutex);
  return status;
}

bool neo_hub_wanted(neo_hub *hub) {
  pthread_mutex_lock(&hub->mutex);
  bool wanted = hub->requests != NULL;
  pthread_mutex_unlock(&hub->mutex);
  return wanted;
}

void neo_hub_count(neo_hub *hub, neo_hub_counts *out) {
  pthread_mutex_lock(&hub->mutex);
  *out = hub->counts;
  pthread_mutex_unlock(&hub->mutex);
}

int neo_hub_port(const neo_hub *hub) {
  return hub->port;
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

static void add_wait(neo_socket_wish *wait, int *n, const neo_channel *channel, bool *busy) {
  if (channel->fd < 0)
    return;
  wait[(*n)++] = neo_channel_wish(channel);
  *busy = *busy || channel->more;
}

static void wait_for_something(neo_hub *hub) {
  const int listener = hub->crowded ? -1 : hub->listener; /* tried again after LOOK_MS */
  neo_socket_wish wait[NEO_SOCKET_MOST] = {{.fd = listener, .in = true},
                                           {.fd = hub->wake[0], .in = true}};
  static_assert(2 + HUB_GUESTS + 2 * HUB_SEATS <= NEO_SOCKET_MOST, "all are waited for");
  int n = 2, ms = LOOK_MS;
  bool busy = false;
  char bytes[64];
  for (int g = 0; g < HUB_GUESTS; g++)
    add_wait(wait, &n, &hub->guest[g].net, &busy);
  for (int s = 0; s < HUB_SEATS; s++) {
    add_wait(wait, &n, &hub->seat[s].net, &busy);
    add_wait(wait, &n, &hub->seat[s].lane, &busy);
  }
  if (hub->options.heartbeat_ms / 2 < ms)
    ms = hub->options.heartbeat_ms / 2;
  neo_socket_wait(wait, n, busy ? 0 : ms);
  while (read(hub->wake[0], bytes, sizeof bytes) > 0)
    continue;
}

static bool must_stop(neo_hub *hub) {
  pthread_mutex_lock(&hub->mutex);
  grant(hub);
  bool stop = hub->stop;
  pthread_mutex_unlock(&hub->mutex);
  return stop;
}

static void say_bye(neo_hub *hub) {
  const struct timespec pause = {0, BYE_MS / BYE_LOOKS * MS};
  bool unsent = false;
  for (int s = 0; s < HUB_SEATS; s++) {
    hub_seat_bye(hub, &hub->seat[s]);
    unsent = unsent || neo_channel_unsent(&hub->seat[s].net) > 0;
  }
  for (int i = 0; i < BYE_LOOKS && unsent; i++) {
    nanosleep(&pause, NULL);
    unsent = false;
    for (int s = 0; s < HUB_SEATS; s++)
      if (hub->seat[s].net.fd >= 0 && neo_channel_pump(&hub->ctx, &hub->seat[s].net) == NEO_OK)
        unsent = unsent || neo_channel_unsent(&hub->seat[s].net) > 0;
  }
  neo_ctx_clear(&hub->ctx);
}

static void *hub_main(void *arg) {
  neo_hub *hub = arg;
  while (!must_stop(hub)) {
    wait_for_something(hub);
    accept_guests(hub);
    for (int g = 0; g < HUB_GUESTS; g++)
      if (hub->guest[g].net.fd >= 0)
        guest_step(hub, &hub->guest[g]);
    for (int s = 0; s < HUB_SEATS; s++)
      if (hub->seat[s].used)
        hub_seat_step(hub, &hub->seat[s]);
  }
  say_bye(hub);
  return NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------------------ */

static void set_options(neo_hub *hub, const neo_hub_options *options) {
  neo_hub_options *o = &hub->options;
  *o = *options;
  snprintf(hub->address, sizeof hub->address, "%s", options->address);
  o->address = hub->address;
  o->heartbeat_ms = o->heartbeat_ms ? o->heartbeat_ms : 2000;
  o->away_ms = o->away_ms ? o->away_ms : 15000;
  o->handshake_ms = o->handshake_ms ? o->handshake_ms : 5000;
}

static neo_status listen_safely(neo_ctx *ctx, neo_hub *hub) {
  neo_net_keys keys = {0};
  bool loopback = false;
  neo_status status = NEO_OK;
  if (hub->options.key_file) {
    NEO_TRY(neo_net_keys_read(ctx, hub->options.key_file, &keys));
    status = neo_tls_end_create(ctx, &keys, NULL, &hub->end);
    neo_net_keys_wipe(&keys);
  }
  if (status == NEO_OK)
    status = neo_socket_listen(ctx, hub->address, &hub->listener, &hub->port, &loopback);
  if (status == NEO_OK && !hub->end && !loopback)
    status = neo_fail(ctx, NEO_USAGE,
                      "listening on %s without keys: others could run code; give key-file=FILE",
                      hub->address);
  return status;
}

static neo_status start(neo_ctx *ctx, neo_hub *hub) {
  if (!neo_machine_random(&hub->tuner, sizeof hub->tuner))
    hub->tuner = neo_now_ns(ctx);
  if (pipe2(hub->wake, O_CLOEXEC | O_NONBLOCK) != 0)
    return neo_fail(ctx, NEO_NO_MEMORY, "hub: %s", strerror(errno));
  hub->thread_up = pthread_create(&hub->thread, NULL, hub_main, hub) == 0;
  return hub->thread_up ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "hub: no thread");
}

neo_status neo_hub_open(neo_ctx *ctx, const neo_hub_options *options, neo_hub **out) {
  neo_hub *hub = neo_alloc(ctx, sizeof *hub);
  if (!hub)
    return neo_fail(ctx, NEO_NO_MEMORY, "hub: out of memory");
  hub->allocator = ctx->allocator;
  neo_ctx_fork(&hub->ctx, ctx);
  hub->listener = hub->wake[0] = hub->wake[1] = -1;
  hub->next_id = 1;
  for (int g = 0; g < HUB_GUESTS; g++)
    hub->guest[g].net.fd = -1;
  for (int s = 0; s < HUB_SEATS; s++) /* cleared, they would close descriptor 0 */
    hub->seat[s].net.fd = hub->seat[s].lane.fd = -1;
  pthread_mutex_init(&hub->mutex, NULL);
  neo_condition_init(&hub->changed);
  set_options(hub, options);
  neo_status status = listen_safely(ctx, hub);
  if (status == NEO_OK)
    status = start(ctx, hub);
  if (status == NEO_OK)
    *out = hub;
  else
    neo_hub_close(hub);
  return status;
}

void neo_hub_close(neo_hub *hub) {
  if (!hub)
    return;
  neo_ctx ctx = {.allocator = hub->allocator};
  if (hub->thread_up) {
    pthread_mutex_lock(&hub->mutex);
    hub->stop = true;
    pthread_mutex_unlock(&hub->mutex);
    nudge(hub);
    pthread_join(hub->thread, NULL);
  }
  for (int g = 0; g < HUB_GUESTS; g++)
    neo_channel_close(&hub->guest[g].net);
  for (int s = 0; s < HUB_SEATS; s++)
    hub_seat_clear(&hub->seat[s]);
  neo_buf_fini(&hub->frame.payload);
  neo_tls_end_destroy(hub->end);
  const int fds[] = {hub->listener, hub->wake[0], hub->wake[1]};
  for (int i = 0; i < NEO_COUNT(fds); i++)
    if (fds[i] >= 0)
      close(fds[i]);
  pthread_cond_destroy(&hub->changed);
  pthread_mutex_destroy(&hub->mutex);
  neo_free(&ctx, hub);
}
