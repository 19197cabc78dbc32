/* Faults of boards and networks, each many times: the run completes, no result is lost, none
 * counted twice, and the log names what happened.
 *
 *   net_faults [REPEATS] [FAULT]     default 5, all; NEO_TEST_VERBOSE=1 prints the log
 *
 * A run is JOBS jobs through one hub by a holder that does what the measurer does: on a lost lease
 * it takes another, sends what is missing, and the job again. One fault happens in its middle. */
#include "tests/rpc/net_fixture.h"

enum { JOBS = 3, TRIES = 8, BIG = 400000 };
/* Two faults wait until they are over; the others' boards keep them even on a busy machine. */
enum { BEAT = 1000, HANDSHAKE = 3000 };

typedef struct run {
  net_place *place;
  net_proxy proxy;
  pid_t board;
  int fd; /* the lease's; -1: none */
  int committed[JOBS], losses;
  neo_job job;
  neo_job_result result; /* of the last job */
  test_data data;
  char *big; /* a blob that the board has not got yet */
  char why[400];
  unsigned round;
} run;

static bool fail(run *r, const char *what) {
  if (!r->why[0])
    snprintf(r->why, sizeof r->why, "%s", what);
  return false;
}

/* ---- the holder ------------------------------------------------------------------------------------ */

static void lose_lease(run *r) {
  if (r->fd >= 0)
    close(r->fd);
  r->fd = -1;
}

static neo_status try_job(run *r, int j) {
  neo_ctx *ctx = &r->place->ctx;
  neo_hub_lease lease;
  uint32_t id = 0;
  neo_blob blobs[7];
  memcpy(blobs, r->data.blob, sizeof r->data.blob);
  blobs[6] = blob_of(r->big, BIG);
  if (r->fd < 0) {
    NEO_TRY(neo_hub_take(ctx, r->place->hub, "", TAKE_MS, &lease));
    r->fd = lease.fd;
  }
  NEO_TRY(neo_board_put(ctx, r->fd, j == 1 ? 7 : 6, blobs, 60000));
  NEO_TRY(neo_board_submit(ctx, r->fd, 1000 + (uint32_t)j, &r->job, 60000));
  NEO_TRY(neo_board_result(ctx, r->fd, &id, &r->result, 60000));
  return id == 1000 + (uint32_t)j ? NEO_OK : NEO_INTERNAL;
}

/* Until it has a result. */
static bool do_job(run *r, int j) {
  for (int i = 0; i < TRIES; i++) {
    neo_status status = try_job(r, j);
    char text[200];
    snprintf(text, sizeof text, "job %d: %.150s", j, r->place->ctx.message);
    neo_ctx_clear(&r->place->ctx);
    if (status == NEO_OK && strncmp(r->result.text, "missing blob", 12) != 0) {
      r->committed[j]++;
      return true;
    }
    if (status == NEO_OK) { /* cut off in the upload: what is missing is sent again */
      neo_job_result_fini(&r->result);
      continue;
    }
    if (status != NEO_UNREACHABLE && status != NEO_BAD_INPUT)
      return fail(r, text);
    r->losses++;
    lose_lease(r);
  }
  return fail(r, "no result after many tries");
}

static bool honest(run *r, int j) {
  job_init(&r->job, &r->data, "honest");
  if (j == 1) { /* long enough for something to happen meanwhile */
    r->job.timing.min_batch_ns = 2e6;
    r->job.timing.max_total_ns = 60e6;
    r->job.timing.min_batches = r->job.timing.max_batches = 30;
  }
  bool done = do_job(r, j);
  if (done && r->result.outcome != NEO_OUTCOME_OK)
    fail(r, r->result.text[0] ? r->result.text : "an honest kernel was refused");
  if (done)
    neo_job_result_fini(&r->result);
  return done && !r->why[0];
}

static void start_board(run *r) {
  r->board = net_board(r->place, "board-1", NULL, r->proxy.port);
}

/* ---- things that happen while a job runs ---------------------------------------------------------------- */

typedef struct later {
  run *r;
  int ms;
  void (*act)(run *);
} later;

static void *act_later(void *arg) {
  later *l = arg;
  pause_ms(l->ms);
  l->act(l->r);
  return NULL;
}

/* Runs job 1 while `act` happens after some milliseconds, other ones each time. */
static bool meanwhile(run *r, void (*act)(run *)) {
  pthread_t thread;
  later l = {r, 5 + (int)(r->round * 7 % 50), act};
  pthread_create(&thread, NULL, act_later, &l);
  bool done = honest(r, 1);
  pthread_join(thread, NULL);
  return done;
}

static void kill_agent(run *r) {
  net_board_end(r->board, SIGKILL);
  start_board(r);
}

static void kill_worker(run *r) {
  pid_t worker = net_worker_of(r->board);
  if (worker > 0)
    kill(worker, SIGKILL);
}

static void freeze_link(run *r) {
  r->proxy.freeze = true;
  log_wait(&r->place->log, "silent for", 60000);
  r->proxy.cut_now = true;
  r->proxy.freeze = false;
}

/* ---- the faults: each runs job 1 ------------------------------------------------------------------------- */

static bool agent_killed(run *r) {
  return meanwhile(r, kill_agent);
}

static bool rebooted(run *r) {
  return meanwhile(r, kill_worker);
}

static bool cut_in_upload(run *r) {
  r->proxy.cut_down = 1000 + (int)(r->round * 7919 % (BIG - 2000));
  int before = r->proxy.connections;
  bool done = honest(r, 1);
  return done && (r->proxy.connections > before || fail(r, "the upload was not cut"));
}

/* The worker has the result and goes on having it: the job is not run again. */
static bool cut_in_result(run *r) {
  neo_hub_counts before, after;
  neo_hub_count(r->place->hub, &before);
  job_init(&r->job, &r->data, "honest");
  r->job.kind = NEO_JOB_RUN;
  r->job.n_cases = 1;
  r->proxy.up = 0;
  r->proxy.cut_up = 1500 + (int)(r->round * 31 % 2000); /* of 4 KB and a few heartbeats */
  if (!do_job(r, 1))
    return false;
  r->proxy.cut_up = 0;
  neo_hub_count(r->place->hub, &after);
  bool right = r->result.outcome == NEO_OUTCOME_OK && r->result.n_outputs == 1 &&
               r->result.output[0].size == 4 * ELEMENTS;
  for (int i = 0; right && i < ELEMENTS; i++)
    right = (double)((const float *)r->result.output[0].data)[i] == r->data.want[0][i];
  neo_job_result_fini(&r->result);
  if (!right)
    return fail(r, "another result came");
  if (after.rejoined == before.rejoined)
    return fail(r, "the link was not cut");
  return true;
}

static bool half_open(run *r) {
  return meanwhile(r, freeze_link);
}

static bool ends_as(run *r, neo_job_outcome outcome, const char *text) {
  bool done = do_job(r, 1);
  if (!done)
    return false;
  bool right = r->result.outcome == (uint32_t)outcome && strstr(r->result.text, text);
  if (!right)
    fail(r, r->result.text);
  neo_job_result_fini(&r->result);
  return right;
}

static bool hangs(run *r) {
  job_init(&r->job, &r->data, "hang");
  r->job.timeout_ms = 600;
  return ends_as(r, NEO_OUTCOME_HANG, "no answer within 600 ms");
}

static bool crashes(run *r) {
  job_init(&r->job, &r->data, "segv");
  return ends_as(r, NEO_OUTCOME_CRASH, "signal 11");
}

static bool wrong_answer(run *r) {
  job_init(&r->job, &r->data, "wrong_tail");
  return ends_as(r, NEO_OUTCOME_VERDICT, "got ");
}

static bool out_of_memory(run *r) {
  job_init(&r->job, &r->data, "honest");
  r->job.kernel.work_bytes = INT64_C(1) << 39;
  return ends_as(r, NEO_OUTCOME_BOARD, "this board has");
}

static bool slow_drip(run *r) {
  r->proxy.drip_ms = 25; /* from the next handshake on */
  r->proxy.cut_now = true;
  if (!log_wait(&r->place->log, "did not join within", 60000))
    return fail(r, "a connection that drips was not refused");
  r->proxy.drip_ms = 0;
  r->proxy.cut_now = true;
  return honest(r, 1);
}

/* A board that sends everything three times, and old results between. */
static void *play_twice(void *arg) {
  run *r = arg;
  played b;
  uint32_t before = 0;
  if (played_connect(&b, "echo", r->place->key, r->place->port) == NEO_OK &&
      played_join(&b, "echo", NEO_NET_VERSION, 7) == NEO_OK)
    for (int j = 0; j < 2 && played_have_all(&b) == NEO_OK &&
                    played_wait(&b, NEO_MESSAGE_JOB, 60000) == NEO_OK;
         j++) {
      uint32_t id = b.frame.id;
      if (before)
        played_result(&b, before, 666); /* replayed: of the job before */
      played_result(&b, id + 1000, 666);
      for (int i = 0; i < 3; i++)
        played_result(&b, id, 100 + j);
      before = id;
    }
  played_wait(&b, NEO_MESSAGE_BYE, 150);
  played_close(&b);
  return NULL;
}

static bool replayed(run *r) {
  enum { DUPLICATES = 7 };
  pthread_t thread;
  neo_hub_counts before, after;
  neo_hub_lease lease;
  uint32_t id;
  neo_hub *hub = r->place->hub;
  lose_lease(r);
  net_board_end(r->board, SIGKILL);
  for (int i = 0; i < 12000 && (i == 0 || before.boards > 0); i++) {
    neo_hub_count(hub, &before);
    pause_ms(5);
  }
  pthread_create(&thread, NULL, play_twice, r);
  neo_ctx *ctx = &r->place->ctx;
  neo_status status = neo_hub_take(ctx, hub, "", TAKE_MS, &lease);
  double seen[2] = {0};
  for (int j = 0; j < 2 && status == NEO_OK; j++) {
    job_init(&r->job, &r->data, "honest");
    status = neo_board_put(ctx, lease.fd, 6, r->data.blob, 60000);
    if (status == NEO_OK)
      status = neo_board_submit(ctx, lease.fd, 5, &r->job, 60000);
    if (status == NEO_OK)
      status = neo_board_result(ctx, lease.fd, &id, &r->result, 60000);
    seen[j] = status == NEO_OK ? r->result.timing.ns[0] : 0;
  }
  for (int i = 0; i < 12000 && (i == 0 || after.stale - before.stale < DUPLICATES); i++) {
    neo_hub_count(hub, &after);
    pause_ms(5);
  }
  struct pollfd more = {.fd = lease.fd, .events = POLLIN};
  char byte; /* its end may come, the board is done */
  bool extra = status == NEO_OK && poll(&more, 1, 100) > 0 && recv(lease.fd, &byte, 1, 0) > 0;
  neo_ctx_clear(ctx);
  pthread_join(thread, NULL);
  close(lease.fd);
  neo_hub_count(hub, &after);
  start_board(r);
  if (status != NEO_OK || seen[0] != 100 || seen[1] != 101 || extra)
    return fail(r, extra ? "a result was passed on twice" : "not the jobs' own results");
  if (after.stale - before.stale != DUPLICATES)
    return fail(r, "not all duplicates were counted as such");
  return honest(r, 1);
}

static bool wrong_key(run *r) {
  pid_t intruder = net_board(r->place, "board-1", r->place->wrong_key, r->place->port);
  bool done = honest(r, 1) && (log_wait(&r->place->log, "wrong key", 60000) ||
                               fail(r, "the wrong key was not named"));
  net_board_end(intruder, SIGKILL);
  return done;
}

static bool old_version(run *r) {
  played b;
  if (played_connect(&b, "old", r->place->key, r->place->port) != NEO_OK)
    return fail(r, "no connection");
  bool joined = played_join(&b, "old", 0, 1) == NEO_OK;
  played_close(&b);
  return joined ? fail(r, "an old version joined") : honest(r, 1);
}

static const struct {
  const char *name;
  bool (*run)(run *);
  const char *log; /* what the log must name; NULL: the result does */
} faults[] = {
    {"agent-killed", agent_killed, "lost: "},
    {"rebooted", rebooted, "the worker was killed by signal 9"},
    {"cut-in-upload", cut_in_upload, "lost: "},
    {"cut-in-result", cut_in_result, "is asked for again"},
    {"half-open", half_open, "silent for"},
    {"hang", hangs, NULL},
    {"crash", crashes, NULL},
    {"wrong-answer", wrong_answer, NULL},
    {"out-of-memory", out_of_memory, NULL},
    {"slow-drip", slow_drip, "did not join within"},
    {"replayed", replayed, "which nobody waits for"},
    {"wrong-key", wrong_key, "wrong key"},
    {"old-version", old_version, "protocol version 0, this end speaks 2"},
};

/* Inputs that the board has not got. */
static void new_data(run *r) {
  for (int i = 0; i < ELEMENTS; i++)
    for (int c = 0; c < 2; c++) {
      r->data.a[c][i] = (float)((i * 7 + (int)r->round) % 11 + c * (i % 13));
      r->data.want[c][i] = 2.0 * (double)r->data.a[c][i] + (double)r->data.b[i];
    }
  for (int c = 0; c < 2; c++) {
    r->data.blob[2 + 2 * c] = blob_of(r->data.a[c], sizeof r->data.a[c]);
    r->data.blob[3 + 2 * c] = blob_of(r->data.want[c], sizeof r->data.want[c]);
  }
}

/* ---- runs ----------------------------------------------------------------------------------------------------- */

/* One run with one fault in it. */
static bool run_once(run *r, int f) {
  memset(r->committed, 0, sizeof r->committed);
  r->losses = 0;
  r->why[0] = '\0';
  log_clear(&r->place->log);
  for (int i = 0; i < BIG; i++) /* another blob each time */
    r->big[i] = (char)(i * 31 + (int)r->round * 7 + i / 251);
  memcpy(r->big, &r->round, sizeof r->round);
  new_data(r);
  bool done = honest(r, 0) && faults[f].run(r);
  r->proxy.cut_up = r->proxy.cut_down = r->proxy.drip_ms = 0;
  r->proxy.freeze = false;
  done = done && honest(r, 2);
  for (int j = 0; done && j < JOBS; j++)
    if (r->committed[j] != 1)
      done = fail(r, "a job was not counted once");
  if (done && faults[f].log && !log_has(&r->place->log, faults[f].log))
    done = fail(r, "the log does not name it");
  return done;
}

static bool repeat(run *r, int f, int repeats) {
  for (int i = 0; i < repeats; i++) {
    r->round++;
    if (run_once(r, f))
      continue;
    printf("%s: round %d of %d: %s (%d losses; counted %d %d %d)\nthe log:\n%s\n", faults[f].name,
           i + 1, repeats, r->why, r->losses, r->committed[0], r->committed[1], r->committed[2],
           r->place->log.text);
    return false;
  }
  return true;
}

static bool run_all(run *r, int repeats, const char *only) {
  bool good = true;
  for (int f = 0; f < NEO_COUNT(faults); f++) {
    uint64_t before = neo_now_ns(&r->place->ctx);
    if (only && strcmp(only, faults[f].name) != 0)
      continue;
    bool held = repeat(r, f, repeats);
    printf("%-14s %s, %d times in %.1f s\n", faults[f].name, held ? "survived" : "FAILED", repeats,
           (double)(neo_now_ns(&r->place->ctx) - before) * 1e-9);
    fflush(stdout);
    good = good && held;
  }
  return good;
}

int main(int argc, char **argv) {
  static net_place place;
  static run r;
  neo_scan scan;
  int64_t repeats = 5;
  neo_scan_init(&scan, argc > 1 ? argv[1] : "5");
  if (!neo_scan_int(&scan, &repeats) || repeats < 1)
    return NEO_USAGE;
  place.log.echo = getenv("NEO_TEST_VERBOSE") != NULL;
  signal(SIGPIPE, SIG_IGN);
  data_init(&r.data, "candidates");
  place.beat_ms = BEAT;
  place.handshake_ms = HANDSHAKE;
  r.place = &place;
  r.fd = -1;
  r.big = malloc(BIG);
  if (!r.big || net_open(&place, NULL) != NEO_OK || proxy_open(&r.proxy, place.port) != NEO_OK) {
    fprintf(stderr, "net_faults: %s\n", place.ctx.message);
    return 1;
  }
  start_board(&r);
  bool good = run_all(&r, (int)repeats, argc > 2 ? argv[2] : NULL);
  lose_lease(&r);
  net_board_end(r.board, SIGKILL);
  net_close(&place);
  proxy_close(&r.proxy);
  neo_buf_fini(&r.data.object);
  free(r.big);
  return good ? 0 : 1;
}
