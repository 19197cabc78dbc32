/* Boards at the tuner's end: sessions, leases, and the one job that each may have under way.
 *
 * docs/formats/net.md has the states and what moves between them; tests/rpc/sessions.pml is the
 * same as a model that spin checks.
 *
 * Invariants
 * 1. A holder gets at most one answer for each job it sent, whatever the board sends: only the id
 *    that is under way is passed on, and it is under way no more from then on.
 * 2. Ids grow and are never used again in a tuner's run: an answer that belongs to an earlier lease
 *    or job is known by its id, and dropped.
 * 3. A job is sent again only to the boot of the board that it was sent to; a board that has lost
 *    its state ends the lease instead, and the holder, who has the blobs, starts over.
 * 4. A lease whose board is away ends by itself after away_ms, or at once when waits end.
 * 5. What a board sends costs its holder no more than the holder asked for: an answer passes once
 * for each question, a refusal once for each blob, and nothing is read of the board while its
 * holder does not read. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/hub.h"

enum { BACKLOG = 1 << 20, SILENT_BEATS = 3, MS = 1000000, MAX_DROPPED = 256 };

static const char *name_of(const hub_seat *seat) {
  return seat->join.name;
}

static void forget_job(hub_seat *seat) {
  neo_buf_fini(&seat->job.frame.payload);
  seat->job = (hub_job){0};
}

void hub_seat_clear(hub_seat *seat) {
  forget_job(seat);
  neo_channel_close(&seat->net);
  neo_channel_close(&seat->lane);
  memset(seat, 0, sizeof *seat);
  seat->net.fd = seat->lane.fd = -1;
}

/* ---- leases ------------------------------------------------------------------------------------------- */

/* The holder sees the end of its stream. */
static void end_lease(hub_seat *seat) {
  forget_job(seat);
  neo_channel_close(&seat->lane);
  if (seat->net.fd < 0)
    hub_seat_clear(seat);
}

/* The connection is of no use any more. With a job under way the lease waits for the board. */
static void lose(neo_hub *hub, hub_seat *seat, const char *why) {
  bool waits = seat->lane.fd >= 0 && seat->job.id != 0;
  neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' (%s) lost: %s%s", name_of(seat), seat->who, why,
          waits ? "; its job waits for it" : "");
  neo_ctx_clear(&hub->ctx);
  neo_channel_close(&seat->net);
  seat->away_until = neo_deadline(&hub->ctx, hub->options.away_ms);
  if (!waits)
    end_lease(seat);
}

bool hub_seat_is_free(const hub_seat *seat) {
  return seat->used && seat->net.fd >= 0 && seat->lane.fd < 0 && seat->fit;
}

neo_status hub_seat_lease(neo_hub *hub, hub_seat *seat, int *out_fd) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return neo_fail(&hub->ctx, NEO_NO_MEMORY, "hub: no descriptor for a lease");
  neo_status status = neo_channel_open(&hub->ctx, pair[0], NULL, &seat->lane);
  if (status != NEO_OK) {
    close(pair[1]);
    return status;
  }
  seat->asked = seat->puts = 0;
  *out_fd = pair[1];
  return NEO_OK;
}

/* ---- the holder's frames -------------------------------------------------------------------------------- */

static neo_status send_to(neo_hub *hub, neo_channel *channel, uint16_t type, uint32_t id) {
  const neo_frame frame = {.type = type, .id = id};
  return neo_channel_put(&hub->ctx, channel, &frame);
}

/* The holder is gone, or has enough. */
static void release(neo_hub *hub, hub_seat *seat) {
  if (seat->job.id && seat->net.fd >= 0) {
    neo_log(&hub->ctx, NEO_LOG_WARN, "job %u on board '%s' is given up", (unsigned)seat->job.id,
            name_of(seat));
    if (send_to(hub, &seat->net, NEO_MESSAGE_CANCEL, seat->job.id) != NEO_OK)
      neo_ctx_clear(&hub->ctx);
    seat->cancelled = seat->job.id;
    seat->fit = false; /* until it joins again, with a new worker, or its result crosses this */
  }
  end_lease(seat);
}

static neo_status answer_hello(neo_hub *hub, hub_seat *seat, uint32_t id) {
  neo_frame frame = {.type = NEO_MESSAGE_HELLO, .id = id};
  neo_hello_encode(&frame.payload, &seat->join.hello);
  neo_status status = neo_channel_put(&hub->ctx, &seat->lane, &frame);
  neo_buf_fini(&frame.payload);
  return status;
}

static neo_status on_holder(neo_hub *hub, hub_seat *seat, neo_frame *frame) {
  switch (frame->type) {
  case NEO_MESSAGE_HELLO:
    return answer_hello(hub, seat, frame->id);
  case NEO_MESSAGE_BLOB_HAVE:
    if (seat->asked)
      return neo_fail(&hub->ctx, NEO_USAGE, "a lease has one question at a time");
    seat->asked_lane = frame->id;
    seat->asked = frame->id = hub->next_id++;
    return neo_channel_put(&hub->ctx, &seat->net, frame);
  case NEO_MESSAGE_BLOB_PUT:
    seat->put_lane = frame->id;
    frame->id = hub->next_id++;
    seat->first_put = seat->puts++ ? seat->first_put : frame->id;
    return neo_channel_put(&hub->ctx, &seat->net, frame);
  case NEO_MESSAGE_JOB:
    if (seat->job.id)
      return neo_fail(&hub->ctx, NEO_USAGE, "a lease has one job at a time");
    seat->job.lane_id = frame->id;
    seat->job.id = frame->id = hub->next_id++;
    seat->job.frame = *frame;
    frame->payload = (neo_buf){0};
    return neo_channel_put(&hub->ctx, &seat->net, &seat->job.frame);
  default:
    return neo_fail(&hub->ctx, NEO_UNREACHABLE, "closed by its holder");
  }
}

static void pump_lane(neo_hub *hub, hub_seat *seat) {
  bool got = true;
  neo_status pumped = neo_channel_pump(&hub->ctx, &seat->lane), status = NEO_OK;
  while (got && status == NEO_OK && seat->net.fd >= 0) {
    status = neo_channel_take(&hub->ctx, &seat->lane, &hub->frame, &got);
    if (got)
      status = on_holder(hub, seat, &hub->frame);
  }
  neo_ctx_clear(&hub->ctx);
  if (pumped != NEO_OK || status != NEO_OK)
    release(hub, seat);
}

void hub_kind(const neo_hub *hub, const neo_net_join *join, char out[HUB_KIND]) {
  const char *gpu = hub->options.gpu;
  snprintf(out, HUB_KIND, "%s",
           gpu[0] ? neo_hello_device(&join->hello, gpu) : join->hello.cpu_model);
}

/* ---- which boards may be used -------------------------------------------------------------------------------- */

static bool fits(neo_hub *hub, hub_seat *seat) {
  const char *has = NULL;
  for (int r = 0; r < hub->options.n_require; r++) {
    const neo_net_fact *want = &hub->options.require[r];
    has = neo_net_fact_find(&seat->join, want->name);
    if (has && strcmp(has, want->value) == 0)
      continue;
    neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' is not used: its %s is %s, %s is wanted",
            name_of(seat), want->name, has ? has : "not told", want->value);
    return false;
  }
  const char *gpu = hub->options.gpu, *device = neo_hello_device(&seat->join.hello, gpu);
  if (gpu[0] && (!device[0] || !hub->options.fits_gpu(hub->options.gpu_self, device))) {
    neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' is not used: its %s GPU is %s, not the target's",
            name_of(seat), gpu, device[0] ? device : "not there");
    return false;
  }
  char kind[HUB_KIND];
  hub_kind(hub, &seat->join, kind);
  if (!hub->has_kind || strcmp(hub->kind, kind) == 0)
    return true;
  neo_log(&hub->ctx, NEO_LOG_WARN,
          "board '%s' is not used: its %s is %s, times are of %s and would not compare",
          name_of(seat), gpu[0] ? "GPU" : "processor", kind, hub->kind);
  return false;
}

/* ---- the board's frames --------------------------------------------------------------------------------- */

static neo_status drop_stale(neo_hub *hub, hub_seat *seat, const neo_frame *frame) {
  bool result = frame->type == NEO_MESSAGE_RESULT;
  if (++seat->dropped > MAX_DROPPED)
    return neo_fail(&hub->ctx, NEO_BAD_INPUT, "it sent %d answers that nobody waited for",
                    MAX_DROPPED + 1);
  if (seat->cancelled && frame->id == seat->cancelled) {
    seat->cancelled = 0;
    seat->fit = fits(hub, seat);
  }
  hub_count(hub, &hub->counts.stale);
  neo_log(&hub->ctx, NEO_LOG_WARN,
          "board '%s' sent %s %u, which nobody waits for (a duplicate, or of an earlier lease): "
          "dropped",
          name_of(seat), result ? "the result of job" : "an answer to message",
          (unsigned)frame->id);
  return result ? send_to(hub, &seat->net, NEO_MESSAGE_ACK, frame->id) : NEO_OK;
}

/* The result, or the refusal, of the job that is under way. */
static neo_status commit(neo_hub *hub, hub_seat *seat, neo_frame *frame) {
  uint32_t id = frame->id;
  frame->id = seat->job.lane_id;
  seat->puts = 0; /* answers come in order: those blobs were taken */
  forget_job(seat);
  NEO_TRY(send_to(hub, &seat->net, NEO_MESSAGE_ACK, id));
  return neo_channel_put(&hub->ctx, &seat->lane, frame);
}

/* The answer of the holder's question, or the refusal of one of its blobs; once each. */
static neo_status pass_on(neo_hub *hub, hub_seat *seat, neo_frame *frame) {
  bool asked = seat->lane.fd >= 0 && seat->asked != 0 && frame->id == seat->asked;
  bool refusal = seat->lane.fd >= 0 && frame->type == NEO_MESSAGE_ERROR && seat->puts > 0 &&
                 frame->id >= seat->first_put && frame->id < hub->next_id;
  if (!asked && !refusal)
    return drop_stale(hub, seat, frame);
  frame->id = asked ? seat->asked_lane : seat->put_lane;
  seat->asked = asked ? 0 : seat->asked;
  seat->puts -= !asked;
  return neo_channel_put(&hub->ctx, &seat->lane, frame);
}

static neo_status on_board(neo_hub *hub, hub_seat *seat, neo_frame *frame) {
  bool answers_job = seat->job.id != 0 && frame->id == seat->job.id;
  switch (frame->type) {
  case NEO_MESSAGE_PING:
    return NEO_OK;
  case NEO_MESSAGE_RESULT:
    return answers_job ? commit(hub, seat, frame) : drop_stale(hub, seat, frame);
  case NEO_MESSAGE_ERROR:
    return answers_job ? commit(hub, seat, frame) : pass_on(hub, seat, frame);
  case NEO_MESSAGE_BLOB_HAVE:
    return pass_on(hub, seat, frame);
  default:
    return neo_fail(&hub->ctx, NEO_BAD_INPUT, "it sent message type %u", (unsigned)frame->type);
  }
}

static void pump_net(neo_hub *hub, hub_seat *seat) {
  bool got = true;
  char why[300] = "";
  neo_status pumped = neo_channel_pump(&hub->ctx, &seat->net), status = NEO_OK;
  if (pumped != NEO_OK)
    snprintf(why, sizeof why, "%.299s", hub->ctx.message);
  neo_ctx_clear(&hub->ctx);
  while (got && status == NEO_OK) {
    status = neo_channel_take(&hub->ctx, &seat->net, &hub->frame, &got);
    if (got)
      status = on_board(hub, seat, &hub->frame);
  }
  if (status != NEO_OK)
    snprintf(why, sizeof why, "%.299s", hub->ctx.message);
  if (pumped != NEO_OK || status != NEO_OK)
    lose(hub, seat, why);
}

/* ---- joining --------------------------------------------------------------------------------------------- */

/* The seat of that name, or a free one; NULL: none. */
static hub_seat *find_seat(neo_hub *hub, const char *name) {
  hub_seat *free_one = NULL;
  for (int s = 0; s < HUB_SEATS; s++) {
    hub_seat *seat = &hub->seat[s];
    if (seat->used && strcmp(name_of(seat), name) == 0)
      return seat;
    if (!seat->used)
      free_one = seat;
  }
  return free_one;
}

static neo_status welcome(neo_hub *hub, hub_seat *seat) {
  const neo_net_welcome hi = {.protocol = NEO_NET_VERSION,
                              .tuner = hub->tuner,
                              .job = seat->job.id,
                              .heartbeat_ms = (uint32_t)hub->options.heartbeat_ms};
  neo_frame frame = {.type = NEO_MESSAGE_WELCOME};
  neo_net_welcome_encode(&frame.payload, &hi);
  neo_status status = neo_channel_put(&hub->ctx, &seat->net, &frame);
  neo_buf_fini(&frame.payload);
  if (status != NEO_OK || !seat->job.id)
    return status;
  hub_count(hub, &hub->counts.resent);
  neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' is back: job %u is asked for again", name_of(seat),
          (unsigned)seat->job.id);
  return neo_channel_put(&hub->ctx, &seat->net, &seat->job.frame);
}

/* The board of this seat had a lease: does that go on? */
static void take_up(neo_hub *hub, hub_seat *seat, const neo_net_join *join) {
  if (seat->net.fd >= 0)
    neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' connects anew: its old connection was half open",
            name_of(seat));
  neo_channel_close(&seat->net);
  hub_count(hub, &hub->counts.rejoined);
  if (join->boot == seat->join.boot && (seat->lane.fd < 0 || seat->job.id))
    return;
  if (join->boot != seat->join.boot)
    neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' has lost its state (%s)", name_of(seat),
            join->reason[0] ? join->reason : "it was restarted");
  forget_job(seat);
  neo_channel_close(&seat->lane);
}

/* What the board is, in a line: " arch=aarch64 cpus=4 ...". */
static void log_joined(neo_hub *hub, const hub_seat *seat) {
  const neo_net_join *join = &seat->join;
  neo_buf facts = {0};
  for (int f = 0; f < join->n_facts; f++)
    neo_buf_printf(&facts, " %s=%s%s", join->fact[f].name, join->fact[f].value,
                   f + 1 < join->n_facts ? "," : "");
  for (uint32_t g = 0; g < join->hello.n_gpus; g++)
    if (join->hello.gpu[g].device[0])
      neo_buf_printf(&facts, "%s %s=%s", facts.size ? "," : "", join->hello.gpu[g].api,
                     join->hello.gpu[g].device);
  neo_log(&hub->ctx, NEO_LOG_INFO, "board '%s' (%s) joined: %s%s%s;%s", name_of(seat), seat->who,
          join->hello.cpu_model, join->reason[0] ? "; " : "", join->reason,
          facts.data ? facts.data : "");
  neo_buf_fini(&facts);
}

/* Two boards of one name would take each other's place for ever. One that was started anew has
 * closed its old connection, or is let in when that has been silent for long enough. */
neo_status hub_seat_check(neo_hub *hub, const neo_net_join *join) {
  hub_seat *seat = find_seat(hub, join->name);
  if (!seat)
    return neo_fail(&hub->ctx, NEO_BAD_INPUT, "there is no room for more than %d boards",
                    HUB_SEATS);
  if (seat->used && seat->net.fd >= 0 && seat->join.boot != join->boot)
    pump_net(hub, seat); /* the end of its connection may not have been read yet */
  if (!seat->used || seat->net.fd < 0 || seat->join.boot == join->boot)
    return NEO_OK;
  return neo_fail(&hub->ctx, NEO_BAD_INPUT,
                  "a board named '%s' is connected already, from %s: each needs a name of its own",
                  join->name, seat->who);
}

void hub_seat_admit(neo_hub *hub, hub_guest *guest, const neo_net_join *join) {
  hub_seat *seat = find_seat(hub, join->name);
  neo_assert(seat);
  if (seat->used)
    take_up(hub, seat, join);
  seat->used = true;
  seat->cancelled = seat->dropped = 0;
  seat->join = *join;
  seat->net = guest->net;
  seat->net.limit = 0;
  memcpy(seat->who, guest->who, sizeof seat->who);
  guest->net = (neo_channel){.fd = -1};
  seat->fit = fits(hub, seat);
  log_joined(hub, seat);
  if (welcome(hub, seat) != NEO_OK)
    lose(hub, seat, hub->ctx.message);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static void keep_time(neo_hub *hub, hub_seat *seat) {
  uint64_t now = neo_now_ns(&hub->ctx), beat = (uint64_t)hub->options.heartbeat_ms * MS;
  char why[100];
  if (seat->net.fd < 0) {
    bool ends = hub_interrupted(hub);
    if (now < seat->away_until && !ends)
      return;
    if (!ends)
      neo_log(&hub->ctx, NEO_LOG_WARN, "board '%s' did not come back within %d ms: its lease ends",
              name_of(seat), hub->options.away_ms);
    end_lease(seat);
  } else if (now - seat->net.heard > SILENT_BEATS * beat) {
    snprintf(why, sizeof why, "silent for %d ms", SILENT_BEATS * hub->options.heartbeat_ms);
    lose(hub, seat, why);
  } else if (neo_channel_drips(&hub->ctx, &seat->net)) {
    lose(hub, seat, "a frame drips in and does not end");
  } else if (now - seat->last_beat >= beat) {
    seat->last_beat = now;
    if (send_to(hub, &seat->net, NEO_MESSAGE_PING, 0) != NEO_OK)
      neo_ctx_clear(&hub->ctx);
  }
}

void hub_seat_step(neo_hub *hub, hub_seat *seat) {
  seat->net.hold = seat->lane.fd >= 0 && neo_channel_unsent(&seat->lane) > BACKLOG;
  if (seat->net.fd >= 0)
    pump_net(hub, seat);
  if (seat->used && seat->lane.fd >= 0) {
    seat->lane.hold = seat->net.fd >= 0 && neo_channel_unsent(&seat->net) > BACKLOG;
    pump_lane(hub, seat);
  }
  if (seat->used)
    keep_time(hub, seat);
}

void hub_seat_bye(neo_hub *hub, hub_seat *seat) {
  neo_channel_close(&seat->lane);
  if (seat->net.fd >= 0 && send_to(hub, &seat->net, NEO_MESSAGE_BYE, 0) == NEO_OK &&
      neo_channel_pump(&hub->ctx, &seat->net) != NEO_OK)
    neo_ctx_clear(&hub->ctx);
}
