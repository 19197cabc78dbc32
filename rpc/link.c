/* The board's end of a network session: neo-board --connect.
 *
 * Design: two processes. This one, the link, owns the connection and answers for the board while a
 * job runs; its child, the worker, is the agent of board.c over a socketpair, and starts a child of
 * its own for each job. So a heartbeat never waits for a kernel, the worker's blobs survive a cut
 * link, and a worker that dies (out of memory, say) is a message and not a silence. The worker has
 * neither the connection nor the keys, and no network where the system lets us take it away.
 *
 * Invariants
 * 1. A job's result is held until the tuner acknowledges it, asks for another job, or turns out to
 *    be another tuner's run.
 * 2. A job that is running or held is not started again, however often it is sent.
 * 3. `boot` changes whenever the worker was started anew: what the tuner sent before is gone. It is
 *    told by joining anew, never within a session. */
#include "rpc/link.h"

#include <string.h>

#include "rpc/machine.h"
#include "rpc/sandbox.h"
#include "runtime/os.h"

enum { CONNECT_MS = 10000, JOIN_MS = 10000, HELLO_MS = NEO_GPU_MS + 60000 };
enum { BACKLOG = 1 << 20, LOOK_MS = 100, SILENT_BEATS = 3 };

static void forget_jobs(neo_link *l) {
  l->running = l->held_id = 0;
  neo_buf_fini(&l->held.payload);
}

/* The worker and all that it knew are gone; the tuner learns why when we join again. */
static neo_status renew(neo_link *l, const char *why) {
  forget_jobs(l);
  neo_link_stop_worker(l);
  snprintf(l->reason, sizeof l->reason, "%s", why);
  return neo_fail(l->ctx, NEO_UNREACHABLE, "%s: joining again", why);
}

/* ---- the tuner's frames ------------------------------------------------------------------------------ */

static neo_status on_welcome(neo_link *l, const neo_frame *frame) {
  neo_net_welcome welcome;
  NEO_TRY(neo_net_welcome_decode(l->ctx, (const uint8_t *)frame->payload.data, frame->payload.size,
                                 &welcome));
  bool other = l->tuner != welcome.tuner;
  l->joined = true;
  l->heartbeat_ms = (int)welcome.heartbeat_ms;
  l->tuner = welcome.tuner;
  l->reason[0] = '\0';
  neo_log(l->ctx, NEO_LOG_INFO, "joined as '%s'", l->options->name);
  if (l->running && (other || l->running != welcome.job))
    return renew(l, "a job that nobody waits for any more was running");
  if (l->held_id && (other || l->held_id != welcome.job))
    forget_jobs(l);
  return NEO_OK;
}

static neo_status on_job(neo_link *l, const neo_frame *frame) {
  if (frame->id == l->running)
    return NEO_OK;
  if (frame->id == l->held_id) {
    neo_log(l->ctx, NEO_LOG_INFO, "job %u is done already: its result is sent again",
            (unsigned)frame->id);
    return neo_channel_put(l->ctx, &l->net, &l->held);
  }
  if (l->running)
    return renew(l, "another job came while one was running");
  forget_jobs(l);
  l->running = frame->id;
  return neo_channel_put(l->ctx, &l->worker, frame);
}

/* An ERROR before the welcome is a refusal. */
static neo_status refused(neo_link *l, const neo_frame *frame) {
  neo_reader in = {.data = (const uint8_t *)frame->payload.data, .size = frame->payload.size};
  neo_read_u32le(&in);
  uint32_t length = neo_read_u32le(&in);
  const uint8_t *bytes = neo_read_bytes(&in, length);
  char text[401] = "";
  if (bytes)
    snprintf(text, sizeof(text), "%.*s", (int)neo_min_i64(length, 400), (const char *)bytes);
  neo_rpc_make_printable(text);
  return neo_fail(l->ctx, NEO_UNSUPPORTED, "the tuner refuses this board: %s", text);
}

static neo_status on_tuner(neo_link *l, const neo_frame *frame) {
  if (!l->joined) {
    if (frame->type == NEO_MESSAGE_WELCOME)
      return on_welcome(l, frame);
    return frame->type == NEO_MESSAGE_ERROR
               ? refused(l, frame)
               : neo_fail(l->ctx, NEO_BAD_INPUT, "message type %u came in place of a welcome",
                          (unsigned)frame->type);
  }
  switch (frame->type) {
  case NEO_MESSAGE_PING:
    return NEO_OK;
  case NEO_MESSAGE_JOB:
    return on_job(l, frame);
  case NEO_MESSAGE_BLOB_HAVE:
  case NEO_MESSAGE_BLOB_PUT:
    return neo_channel_put(l->ctx, &l->worker, frame);
  case NEO_MESSAGE_ACK:
    if (frame->id == l->held_id)
      forget_jobs(l);
    return NEO_OK;
  case NEO_MESSAGE_CANCEL:
    return frame->id == l->running ? renew(l, "the tuner gave a job up") : NEO_OK;
  case NEO_MESSAGE_BYE:
    l->bye = true;
    return neo_fail(l->ctx, NEO_UNREACHABLE, "the tuner is done");
  default:
    return neo_fail(l->ctx, NEO_BAD_INPUT, "message type %u is not known here",
                    (unsigned)frame->type);
  }
}

/* ---- the worker's frames ------------------------------------------------------------------------------- */

static neo_status on_worker(neo_link *l, neo_frame *frame) {
  bool answers_job = frame->id == l->running && l->running != 0 &&
                     (frame->type == NEO_MESSAGE_RESULT || frame->type == NEO_MESSAGE_ERROR);
  if (!answers_job)
    return l->joined ? neo_channel_put(l->ctx, &l->net, frame) : NEO_OK;
  l->running = 0;
  l->held_id = frame->id;
  neo_buf_fini(&l->held.payload);
  l->held = *frame;
  frame->payload = (neo_buf){0};
  return l->joined ? neo_channel_put(l->ctx, &l->net, &l->held) : NEO_OK;
}

/* Frames that a pump brought, even if the stream has ended behind them. */
static neo_status take_from(neo_link *l, neo_channel *channel, neo_frame *frame, bool from_tuner) {
  bool got = true;
  while (got) {
    NEO_TRY(neo_channel_take(l->ctx, channel, frame, &got));
    if (got)
      NEO_TRY(from_tuner ? on_tuner(l, frame) : on_worker(l, frame));
  }
  return NEO_OK;
}

static neo_status pump_worker(neo_link *l, neo_frame *frame) {
  char why[160];
  neo_status pumped = neo_channel_pump(l->ctx, &l->worker);
  if (pumped != NEO_OK)
    neo_ctx_clear(l->ctx);
  neo_status status = take_from(l, &l->worker, frame, false);
  if (status != NEO_OK || pumped == NEO_OK)
    return status;
  neo_link_worker_end(l, why, sizeof why);
  return renew(l, why);
}

static neo_status pump_tuner(neo_link *l, neo_frame *frame) {
  neo_status pumped = neo_channel_pump(l->ctx, &l->net);
  if (pumped == NEO_BAD_INPUT)
    return pumped;
  char text[200];
  snprintf(text, sizeof text, "%.199s", l->ctx->message);
  if (pumped != NEO_OK)
    neo_ctx_clear(l->ctx);
  neo_status status = take_from(l, &l->net, frame, true);
  return status != NEO_OK || pumped == NEO_OK ? status : neo_fail(l->ctx, pumped, "%s", text);
}

/* ---- the worker's start ----------------------------------------------------------------------------------- */

/* Its answer to our hello. */
static neo_status hear_worker(neo_link *l, const volatile int *stop, neo_frame *frame) {
  uint64_t until = neo_deadline(l->ctx, HELLO_MS);
  bool got = false;
  while (!got) {
    const neo_socket_wish wish = neo_channel_wish(&l->worker);
    if (*stop || neo_deadline_left(l->ctx, until) == 0)
      return neo_fail(l->ctx, NEO_UNREACHABLE, "the worker says nothing");
    neo_socket_wait(&wish, 1, LOOK_MS);
    neo_status pumped = neo_channel_pump(l->ctx, &l->worker);
    neo_status status = neo_channel_take(l->ctx, &l->worker, frame, &got);
    if (status != NEO_OK || (!got && pumped != NEO_OK))
      return status != NEO_OK ? status : pumped;
  }
  neo_ctx_clear(l->ctx);
  return frame->type == NEO_MESSAGE_HELLO
             ? neo_hello_decode(l->ctx, (const uint8_t *)frame->payload.data, frame->payload.size,
                                &l->hello)
             : neo_fail(l->ctx, NEO_INTERNAL, "the worker answers a hello with message type %u",
                        (unsigned)frame->type);
}

/* A new one with nothing in its cache, and a new boot. */
static neo_status start_worker(neo_link *l, const volatile int *stop) {
  const neo_hello before = l->hello;
  neo_hello mine = {0};
  neo_frame frame = {.type = NEO_MESSAGE_HELLO, .id = NEO_ID_QUESTION};
  NEO_TRY(neo_link_start_worker(l));
  if (!neo_machine_random(&l->boot, sizeof l->boot))
    l->boot = neo_now_ns(l->ctx) ^ (uint64_t)l->process << 40;
  if (before.n_gpus == 0) /* looking takes time: once is enough */
    neo_hello_ask(&mine, "");
  neo_hello_encode(&frame.payload, &mine);
  neo_status status = neo_channel_put(l->ctx, &l->worker, &frame);
  if (status == NEO_OK)
    status = hear_worker(l, stop, &frame);
  if (status == NEO_OK && before.n_gpus > 0) {
    l->hello.n_gpus = before.n_gpus;
    memcpy(l->hello.gpu, before.gpu, sizeof before.gpu);
  }
  neo_buf_fini(&frame.payload);
  if (status != NEO_OK)
    neo_link_stop_worker(l);
  return status;
}

/* ---- a session -------------------------------------------------------------------------------------------- */

static neo_status send_join(neo_link *l) {
  neo_net_join *join = neo_alloc(l->ctx, sizeof *join);
  if (!join)
    return neo_fail(l->ctx, NEO_NO_MEMORY, "link: out of memory");
  join->protocol = NEO_NET_VERSION;
  snprintf(join->name, sizeof join->name, "%s", l->options->name);
  snprintf(join->reason, sizeof join->reason, "%s", l->reason);
  join->boot = l->boot;
  join->hello = l->hello;
  neo_net_facts_detect(join);
  neo_net_fact_set(join, "sandbox", neo_sandbox_kind());
  for (int i = 0; i < l->options->n_labels; i++)
    neo_net_fact_set(join, l->options->label[i].name, l->options->label[i].value);
  neo_frame frame = {.type = NEO_MESSAGE_JOIN};
  neo_net_join_encode(&frame.payload, join);
  neo_status status = neo_channel_put(l->ctx, &l->net, &frame);
  neo_buf_fini(&frame.payload);
  neo_free(l->ctx, join);
  l->join_sent = true;
  return status;
}

static neo_status keep_time(neo_link *l, uint64_t began) {
  uint64_t now = neo_now_ns(l->ctx), beat = (uint64_t)l->heartbeat_ms * 1000000u;
  if (!l->joined)
    return now - began < JOIN_MS * UINT64_C(1000000)
               ? NEO_OK
               : neo_fail(l->ctx, NEO_UNREACHABLE, "the tuner gave no welcome within %d ms",
                          JOIN_MS);
  if (now - l->net.heard > SILENT_BEATS * beat)
    return neo_fail(l->ctx, NEO_UNREACHABLE, "the tuner was silent for %d ms",
                    SILENT_BEATS * l->heartbeat_ms);
  if (now - l->last_beat < beat)
    return NEO_OK;
  l->last_beat = now;
  const neo_frame ping = {.type = NEO_MESSAGE_PING};
  return neo_channel_put(l->ctx, &l->net, &ping);
}

static neo_status session(neo_link *l, const volatile int *stop, neo_frame *frame) {
  uint64_t began = neo_now_ns(l->ctx);
  while (!*stop) {
    const neo_socket_wish wait[2] = {neo_channel_wish(&l->net), neo_channel_wish(&l->worker)};
    int ms = l->net.more || l->worker.more ? 0 : LOOK_MS;
    if (l->heartbeat_ms && l->heartbeat_ms / 2 < ms)
      ms = l->heartbeat_ms / 2;
    neo_socket_wait(wait, 2, ms);
    l->net.hold = neo_channel_unsent(&l->worker) > BACKLOG;
    l->worker.hold = neo_channel_unsent(&l->net) > BACKLOG;
    NEO_TRY(pump_tuner(l, frame));
    if (l->net.open && !l->join_sent)
      NEO_TRY(send_join(l));
    NEO_TRY(pump_worker(l, frame));
    NEO_TRY(keep_time(l, began));
  }
  return NEO_OK;
}

/* One connection, from dialling to its end. */
static neo_status connect_once(neo_link *l, const volatile int *stop) {
  int fd = -1;
  bool loopback = false;
  neo_frame frame = {0};
  if (l->worker.fd < 0)
    NEO_TRY(start_worker(l, stop));
  NEO_TRY(neo_socket_connect(l->ctx, l->options->address, CONNECT_MS, &fd, &loopback));
  if (!l->end && !loopback) {
    neo_socket_close(fd);
    return neo_fail(l->ctx, NEO_USAGE, "without --key-file only this machine may be connected to");
  }
  l->joined = l->join_sent = false;
  l->heartbeat_ms = 0;
  neo_status status = neo_channel_open(l->ctx, fd, l->end, &l->net);
  if (status == NEO_OK)
    status = session(l, stop, &frame);
  neo_buf_fini(&frame.payload);
  neo_channel_close(&l->net);
  return status;
}

static bool is_hopeless(neo_status status) {
  return status == NEO_USAGE || status == NEO_INTERNAL;
}

/* Waits longer each time, up to the limit, and not all boards alike after a power cut. */
static void back_off(neo_link *l, int *ms, int most, const volatile int *stop) {
  int wait = *ms / 2 + (int)neo_rng_below(&l->ctx->rng, (uint64_t)*ms / 2 + 1);
  for (int i = 0; i < wait && !*stop; i += LOOK_MS)
    neo_os_sleep(wait - i < LOOK_MS ? wait - i : LOOK_MS);
  *ms = *ms > most / 2 ? most : 2 * *ms;
}

static neo_status serve(neo_link *l, const volatile int *stop) {
  const neo_link_options *o = l->options;
  int first = o->back_off_ms ? o->back_off_ms : 500, ms = first;
  int most = o->most_back_off_ms ? o->most_back_off_ms : 30000;
  while (!*stop) {
    neo_status status = connect_once(l, stop);
    if (status != NEO_OK)
      neo_log(l->ctx, NEO_LOG_WARN, "%s: %s", o->address, l->ctx->message);
    if (is_hopeless(status) || (l->bye && o->once))
      return l->bye ? NEO_OK : status;
    neo_ctx_clear(l->ctx);
    if (l->joined)
      ms = first;
    l->joined = l->bye = false;
    back_off(l, &ms, most, stop);
  }
  return NEO_OK;
}

neo_status neo_link_run(neo_ctx *ctx, const neo_link_options *options, const volatile int *stop) {
  neo_net_keys keys = {0};
  if (!neo_net_name_ok(options->name))
    return neo_fail(ctx, NEO_USAGE, "board name '%s': letters, digits, '.', '-', '_', at most %d",
                    options->name, NEO_NET_NAME - 1);
  neo_link *l = neo_alloc(ctx, sizeof *l);
  if (!l)
    return neo_fail(ctx, NEO_NO_MEMORY, "link: out of memory");
  l->ctx = ctx;
  l->options = options;
  l->net.fd = l->worker.fd = -1;
  uint64_t seed = 0;
  if (neo_machine_random(&seed, sizeof seed))
    neo_rng_init(&ctx->rng, seed);
  neo_status status = NEO_OK;
  if (options->key_file) {
    status = neo_net_keys_read(ctx, options->key_file, &keys);
    if (status == NEO_OK)
      status = neo_tls_end_create(ctx, &keys, options->name, &l->end);
    neo_net_keys_wipe(&keys);
  }
  if (status == NEO_OK)
    status = serve(l, stop);
  forget_jobs(l);
  neo_link_stop_worker(l);
  neo_tls_end_destroy(l->end);
  neo_free(ctx, l);
  return status;
}
