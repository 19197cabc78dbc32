/* The remote measurer: boards that connect over a network (rpc/hub.c), each served as the local
 * measurer serves its own.
 *
 * url
 * "rpc://HOST:PORT?key-file=FILE[&boards=N][&wait=SECONDS][&away=SECONDS][&require=FACT=VALUE]":
 * where to listen; how many boards to use at most (8); how long to wait for one, at the start and
 * whenever none is left (120 s); how long a lease waits for a board that lost its link (15 s); a
 * fact or label that boards must have (may be repeated).
 *
 * How. A lane is a local measurer whose board is a lease; there are as many lanes as boards have
 * been connected at once. A task belongs to the lane that was least busy when it was announced, so
 * what is compared runs on one board as long as that lives. A lane that has nothing to do gives its
 * board back, one that has passes it on between two trials if another waits: a run goes on with
 * fewer boards than lanes, and with one that came later. All boards are of one
 * processor model, for a target that is a GPU of one GPU.
 *
 * Nothing runs here but builds, so all cores build. */
#include <stdlib.h>
#include <string.h>

#include "base/condition.h"
#include "measure/local.h"

enum { MAX_LANES = 8, WAIT_S = 120, MAX_SECONDS = 1000000 };

typedef struct remote_bell {
  pthread_mutex_t mutex;
  pthread_cond_t rung;
  uint64_t rings;
} remote_bell;

typedef struct remote {
  neo_measurer base;
  neo_ctx ctx;
  neo_hub *hub;
  neo_target target;
  neo_measure_options options;
  int most_lanes, wait_ms, away_ms;
  int n_lanes;
  neo_measurer *lane[MAX_LANES];
  int next; /* lane that is asked first */
  int n_tasks;
  uint8_t *lane_of; /* by task */
  remote_bell bell;
} remote;

/* ---- the url ------------------------------------------------------------------------------------- */

typedef struct remote_url {
  char address[280], key_file[512];
  neo_hub_options hub;
  int64_t boards, wait_s, away_s;
} remote_url;

static bool take_seconds(const char *value, int64_t most, int64_t *out) {
  neo_scan scan;
  neo_scan_init(&scan, value);
  return neo_scan_int(&scan, out) && neo_scan_end(&scan) && *out >= 1 && *out <= most;
}

static bool take_fact(const char *value, neo_hub_options *hub) {
  const char *equal = strchr(value, '=');
  if (!equal || hub->n_require == NEO_MAX_FACTS)
    return false;
  neo_net_fact *fact = &hub->require[hub->n_require++];
  size_t name = (size_t)(equal - value);
  if (name == 0 || name >= sizeof fact->name || strlen(equal + 1) >= sizeof fact->value)
    return false;
  memcpy(fact->name, value, name);
  snprintf(fact->value, sizeof fact->value, "%s", equal + 1);
  return true;
}

static bool take_option(const char *name, const char *value, remote_url *url) {
  if (strcmp(name, "key-file") == 0)
    return snprintf(url->key_file, sizeof url->key_file, "%s", value) < (int)sizeof url->key_file;
  if (strcmp(name, "boards") == 0)
    return take_seconds(value, MAX_LANES, &url->boards);
  if (strcmp(name, "wait") == 0)
    return take_seconds(value, MAX_SECONDS, &url->wait_s);
  if (strcmp(name, "away") == 0)
    return take_seconds(value, MAX_SECONDS, &url->away_s);
  return strcmp(name, "require") == 0 && take_fact(value, &url->hub);
}

static neo_status parse_url(neo_ctx *ctx, const char *rest, remote_url *url) {
  static const char form[] =
      "rpc://HOST:PORT?key-file=FILE[&boards=N][&wait=S][&away=S][&require=FACT=VALUE]";
  char text[1200], *option, *save = NULL;
  if (strncmp(rest, "//", 2) != 0 || strlen(rest) >= sizeof text)
    return neo_fail(ctx, NEO_USAGE, "measurer 'rpc:%.200s': %s is expected", rest, form);
  snprintf(text, sizeof text, "%s", rest + 2);
  size_t address = strcspn(text, "?");
  if (address >= sizeof url->address)
    return neo_fail(ctx, NEO_USAGE, "measurer rpc: the address is too long");
  memcpy(url->address, text, address);
  for (option = strtok_r(text[address] ? text + address + 1 : text + address, "&", &save); option;
       option = strtok_r(NULL, "&", &save)) {
    char *value = strchr(option, '=');
    if (value)
      *value++ = '\0';
    if (!value || !take_option(option, value, url))
      return neo_fail(ctx, NEO_USAGE, "measurer rpc: '%.100s%s%.200s' is no option; %s", option,
                      value ? "=" : "", value ? value : "", form);
  }
  return NEO_OK;
}

/* ---- lanes -------------------------------------------------------------------------------------------- */

static void ring(void *self) {
  remote_bell *bell = self;
  pthread_mutex_lock(&bell->mutex);
  bell->rings++;
  pthread_cond_broadcast(&bell->rung);
  pthread_mutex_unlock(&bell->mutex);
}

static neo_status open_lane(neo_ctx *ctx, remote *self) {
  const neo_remote_board board = {.hub = self->hub,
                                  .wait_ms = self->wait_ms,
                                  .away_ms = self->away_ms,
                                  .ring = ring,
                                  .ring_self = &self->bell};
  NEO_TRY(
      neo_local_open(ctx, NULL, &board, &self->target, &self->options, &self->lane[self->n_lanes]));
  self->n_lanes++;
  return NEO_OK;
}

/* Boards that came since: a lane each. One that does not work now may do so later. */
static void open_lanes(remote *self) {
  neo_hub_counts counts;
  neo_ctx ctx;
  neo_hub_count(self->hub, &counts);
  neo_ctx_fork(&ctx, &self->ctx);
  while (self->n_lanes < counts.fit && self->n_lanes < self->most_lanes)
    if (open_lane(&ctx, self) != NEO_OK) {
      neo_log(&ctx, NEO_LOG_WARN, "a further board is not used: %s", ctx.message);
      return;
    }
}

static int least_busy(const remote *self) {
  int tasks[MAX_LANES] = {0}, best = 0;
  for (int t = 0; t < self->n_tasks; t++)
    if (self->lane_of[t] < MAX_LANES)
      tasks[self->lane_of[t]]++;
  for (int l = 1; l < self->n_lanes; l++) {
    int pending = neo_measurer_pending(self->lane[l]);
    int least = neo_measurer_pending(self->lane[best]);
    if (pending < least || (pending == least && tasks[l] < tasks[best]))
      best = l;
  }
  return best;
}

static neo_measurer *lane_of(remote *self, int task) {
  neo_assert(task < self->n_tasks && self->lane_of[task] < MAX_LANES);
  return self->lane[self->lane_of[task]];
}

/* ---- the measurer ---------------------------------------------------------------------------------------- */

static neo_status reserve(neo_ctx *ctx, remote *self, int task) {
  if (task < self->n_tasks)
    return NEO_OK;
  uint8_t *grown = neo_resize(&self->ctx, self->lane_of, (size_t)task + 16);
  if (!grown)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", task);
  memset(grown + self->n_tasks, MAX_LANES, (size_t)(task + 16 - self->n_tasks));
  self->lane_of = grown;
  self->n_tasks = task + 16;
  return NEO_OK;
}

static neo_status remote_task(neo_ctx *ctx, neo_measurer *base, int task, const neo_te *te,
                              const char *key) {
  remote *self = (remote *)base;
  NEO_TRY(reserve(ctx, self, task));
  open_lanes(self);
  int lane = self->lane_of[task] < MAX_LANES ? self->lane_of[task] : least_busy(self);
  NEO_TRY(neo_measurer_task(ctx, self->lane[lane], task, te, key));
  self->lane_of[task] = (uint8_t)lane;
  return NEO_OK;
}

static void remote_drop(neo_measurer *base, int task) {
  remote *self = (remote *)base;
  if (task >= self->n_tasks || self->lane_of[task] >= MAX_LANES)
    return;
  neo_measurer_drop(lane_of(self, task), task);
  self->lane_of[task] = MAX_LANES;
}

static neo_status remote_submit(neo_ctx *ctx, neo_measurer *base, uint64_t id, int task,
                                const neo_schedule *schedule) {
  return neo_measurer_submit(ctx, lane_of((remote *)base, task), id, task, schedule);
}

static neo_status remote_incumbent(neo_ctx *ctx, neo_measurer *base, int task,
                                   const neo_schedule *schedule, double ns) {
  return neo_measurer_incumbent(ctx, lane_of((remote *)base, task), task, schedule, ns);
}

/* Asks every lane once, the one after the last that answered first. */
static neo_status look(neo_ctx *ctx, remote *self, neo_trial_result *out, bool *got) {
  for (int l = 0; l < self->n_lanes && !*got; l++) {
    int lane = (self->next + l) % self->n_lanes;
    NEO_TRY(neo_measurer_poll(ctx, self->lane[lane], 0, out, got));
    if (*got)
      self->next = lane + 1;
  }
  return NEO_OK;
}

static neo_status remote_poll(neo_ctx *ctx, neo_measurer *base, int timeout_ms,
                              neo_trial_result *out, bool *got) {
  remote *self = (remote *)base;
  uint64_t until = neo_deadline(ctx, timeout_ms);
  *got = false;
  for (;;) {
    pthread_mutex_lock(&self->bell.mutex);
    uint64_t heard = self->bell.rings;
    pthread_mutex_unlock(&self->bell.mutex);
    NEO_TRY(look(ctx, self, out, got));
    int left_ms = neo_deadline_left(ctx, until);
    if (*got || left_ms == 0 || neo_measurer_pending(base) == 0)
      return NEO_OK;
    pthread_mutex_lock(&self->bell.mutex);
    if (self->bell.rings == heard)
      neo_condition_wait(&self->bell.rung, &self->bell.mutex, left_ms);
    pthread_mutex_unlock(&self->bell.mutex);
  }
}

static int remote_pending(const neo_measurer *base) {
  const remote *self = (const remote *)base;
  int sum = 0;
  for (int l = 0; l < self->n_lanes; l++)
    sum += neo_measurer_pending(self->lane[l]);
  return sum;
}

static int remote_capacity(const neo_measurer *base) {
  const remote *self = (const remote *)base;
  int sum = 0;
  for (int l = 0; l < self->n_lanes; l++)
    sum += neo_measurer_capacity(self->lane[l]);
  return sum;
}

static int remote_given_up(const neo_measurer *base) {
  const remote *self = (const remote *)base;
  int sum = 0;
  for (int l = 0; l < self->n_lanes; l++)
    sum += neo_measurer_given_up(self->lane[l]);
  return sum;
}

static void remote_cancel(neo_measurer *base) {
  remote *self = (remote *)base;
  for (int l = 0; l < self->n_lanes; l++)
    neo_measurer_cancel(self->lane[l]);
}

static void remote_close(neo_measurer *base) {
  remote *self = (remote *)base;
  for (int l = 0; l < self->n_lanes; l++)
    neo_measurer_close(self->lane[l]);
  neo_hub_close(self->hub);
  pthread_cond_destroy(&self->bell.rung);
  pthread_mutex_destroy(&self->bell.mutex);
  neo_ctx *ctx = &(neo_ctx){.allocator = self->ctx.allocator};
  neo_free(ctx, self->lane_of);
  neo_free(ctx, self);
}

static void require(neo_hub_options *hub, const char *name, const char *value) {
  if (hub->n_require == NEO_MAX_FACTS)
    return;
  neo_net_fact *fact = &hub->require[hub->n_require++];
  snprintf(fact->name, sizeof fact->name, "%s", name);
  snprintf(fact->value, sizeof fact->value, "%s", value);
}

/* Where the code runs. uname's words for architectures are those of targets; Android's kernel is
 * Linux. */
static void require_target(neo_hub_options *hub, const neo_target *target) {
  require(hub, "arch", target->arch);
  require(hub, "os", strcmp(target->os, "windows") == 0 ? "Windows" : "Linux");
}

static bool fits_gpu(void *self, const char *device) {
  return neo_target_fits_device(&((const remote *)self)->target, device);
}

static neo_status listen_and_wait(neo_ctx *ctx, remote *self, const char *rest) {
  remote_url url = {.boards = MAX_LANES, .wait_s = WAIT_S};
  NEO_TRY(parse_url(ctx, rest, &url));
  url.hub.address = url.address;
  url.hub.key_file = url.key_file[0] ? url.key_file : NULL;
  url.hub.interrupted = self->options.interrupted;
  url.hub.self = self->options.self;
  self->away_ms = url.hub.away_ms = (int)neo_min_i64(url.away_s * 1000, INT32_MAX);
  require_target(&url.hub, &self->target);
  snprintf(url.hub.gpu, sizeof url.hub.gpu, "%s", self->target.gpu.api);
  url.hub.fits_gpu = fits_gpu;
  url.hub.gpu_self = self;
  self->most_lanes = (int)url.boards;
  self->wait_ms = (int)neo_min_i64(url.wait_s * 1000, INT32_MAX);
  NEO_TRY(neo_hub_open(&self->ctx, &url.hub, &self->hub) == NEO_OK
              ? NEO_OK
              : neo_fail(ctx, self->ctx.status, "%s", self->ctx.message));
  neo_log(ctx, NEO_LOG_INFO, "listening on port %d for boards (neo-board --connect HOST:%d)",
          neo_hub_port(self->hub), neo_hub_port(self->hub));
  return open_lane(ctx, self);
}

static neo_status remote_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                              const neo_measure_options *options, neo_measurer **out) {
  remote *self = neo_alloc(ctx, sizeof *self);
  if (!self)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_ctx_fork(&self->ctx, ctx);
  self->base.ops = &neo_measurer_rpc;
  self->base.is_remote = true;
  self->target = *target;
  self->options = *options;
  pthread_mutex_init(&self->bell.mutex, NULL);
  neo_condition_init(&self->bell.rung);
  neo_status status = listen_and_wait(ctx, self, rest);
  if (status == NEO_OK) {
    self->base.facts = *neo_measurer_facts(self->lane[0]);
    *out = &self->base;
  } else {
    remote_close(&self->base);
  }
  return status;
}

const neo_measurer_ops neo_measurer_rpc = {
    .name = "rpc",
    .open = remote_open,
    .close = remote_close,
    .task = remote_task,
    .drop = remote_drop,
    .submit = remote_submit,
    .poll = remote_poll,
    .pending = remote_pending,
    .capacity = remote_capacity,
    .cancel = remote_cancel,
    .incumbent = remote_incumbent,
    .given_up = remote_given_up,
};
