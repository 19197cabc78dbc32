/* Boards over a network, for tests: key files, a hub whose log is kept, real boards as processes, a
 * board that the test plays itself, and a proxy that does to the stream what networks do. */
#ifndef NEO_TESTS_NET_FIXTURE_H
#define NEO_TESTS_NET_FIXTURE_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "rpc/channel.h"
#include "rpc/net.h"
#include "rpc/socket.h"
#include "tests/rpc/board_fixture.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum { BEAT_MS = 10000, AWAY_MS = 60000, HANDSHAKE_MS = 30000, TAKE_MS = 60000 };
enum { LOG_BYTES = 1 << 16 };

static inline void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}

/* ---- a log that can be asked ------------------------------------------------------------------------ */

typedef struct kept_log {
  pthread_mutex_t mutex;
  char text[LOG_BYTES]; /* the newest half when it is full */
  size_t used;
  bool echo;
} kept_log;

static inline void log_keep(void *self, neo_log_level level, const char *text) {
  kept_log *log = self;
  size_t size = strlen(text);
  (void)level;
  pthread_mutex_lock(&log->mutex);
  if (log->echo)
    fprintf(stderr, "  %s\n", text);
  if (log->used + size + 2 > LOG_BYTES) {
    memmove(log->text, log->text + log->used / 2, log->used - log->used / 2);
    log->used -= log->used / 2;
  }
  if (log->used + size + 2 <= LOG_BYTES)
    log->used += (size_t)snprintf(log->text + log->used, LOG_BYTES - log->used, "%s\n", text);
  pthread_mutex_unlock(&log->mutex);
}

static inline void log_clear(kept_log *log) {
  pthread_mutex_lock(&log->mutex);
  log->used = 0;
  log->text[0] = '\0';
  pthread_mutex_unlock(&log->mutex);
}

static inline bool log_has(kept_log *log, const char *text) {
  pthread_mutex_lock(&log->mutex);
  bool has = strstr(log->text, text) != NULL;
  pthread_mutex_unlock(&log->mutex);
  return has;
}

static inline bool log_wait(kept_log *log, const char *text, int ms) {
  for (int i = 0; i < ms / 5; i++) {
    if (log_has(log, text))
      return true;
    pause_ms(5);
  }
  return log_has(log, text);
}

/* ---- keys and the hub ----------------------------------------------------------------------------------- */

static inline void write_key(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (file) {
    fprintf(file, "%s\n", text);
    fclose(file);
  }
  chmod(path, 0600);
}

typedef struct net_place {
  char dir[64], key[100], wrong_key[100];
  kept_log log;
  neo_ctx ctx;
  neo_hub *hub;
  int port;
  int beat_ms, handshake_ms; /* 0: longer than anything takes; else for tests of their end */
} net_place;

/* keys NULL: KEY_A for any name. */
static inline neo_status net_open(net_place *p, const char *keys) {
  char path[100];
  pthread_mutex_init(&p->log.mutex, NULL);
  snprintf(p->dir, sizeof p->dir, "/tmp/neo-net-XXXXXX");
  if (!mkdtemp(p->dir))
    return NEO_IO;
  snprintf(p->key, sizeof p->key, "%s/key", p->dir);
  snprintf(p->wrong_key, sizeof p->wrong_key, "%s/wrong", p->dir);
  snprintf(path, sizeof path, "%s/hub", p->dir);
  write_key(p->key, KEY_A);
  write_key(p->wrong_key, KEY_B);
  write_key(path, keys ? keys : KEY_A);
  neo_ctx_init(&p->ctx, 1);
  p->ctx.log = log_keep;
  p->ctx.log_self = &p->log;
  const neo_hub_options options = {.address = "127.0.0.1:0",
                                   .key_file = path,
                                   .heartbeat_ms = p->beat_ms ? p->beat_ms : BEAT_MS,
                                   .away_ms = AWAY_MS,
                                   .handshake_ms =
                                       p->handshake_ms ? p->handshake_ms : HANDSHAKE_MS};
  NEO_TRY(neo_hub_open(&p->ctx, &options, &p->hub));
  p->port = neo_hub_port(p->hub);
  return NEO_OK;
}

static inline void net_close(net_place *p) {
  char path[100];
  neo_hub_close(p->hub);
  p->hub = NULL;
  snprintf(path, sizeof path, "%s/hub", p->dir);
  unlink(path);
  unlink(p->key);
  unlink(p->wrong_key);
  rmdir(p->dir);
}

/* ---- a real board ------------------------------------------------------------------------------------------ */

/* neo-board, or the agent that NEO_TEST_BOARD names. */
static inline const char *net_board_program(void) {
  const char *other = getenv("NEO_TEST_BOARD");
  return other ? other : NEO_BINARY_DIR "/bin/neo-board";
}

static inline pid_t net_board(const net_place *p, const char *name, const char *key, int port) {
  char address[40];
  snprintf(address, sizeof address, "127.0.0.1:%d", port);
  bool main_thread = gettid() == getpid();
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    if (main_thread) /* it is a thread's death that is meant */
      prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!getenv("NEO_TEST_VERBOSE"))
      freopen("/dev/null", "w", stderr);
    execl(net_board_program(), "neo-board", "--connect", address, "--name", name, "--key-file",
          key ? key : p->key, "--cache", "64", "--label", "lab=test", "--back-off", "50",
          (char *)NULL);
    _exit(127);
  }
  return pid;
}

static inline int net_board_end(pid_t pid, int number) {
  int status = 0;
  kill(pid, number);
  waitpid(pid, &status, 0);
  return status;
}

/* The worker of a board: its only child; 0: none. */
static inline pid_t net_worker_of(pid_t board) {
  char path[64];
  int child = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)board, (int)board);
  FILE *file = fopen(path, "r");
  if (file && fscanf(file, "%d", &child) != 1)
    child = 0;
  if (file)
    fclose(file);
  return child;
}

/* ---- a board that the test plays -------------------------------------------------------------------------------- */

typedef struct played {
  neo_ctx ctx;
  neo_net_keys keys;
  neo_tls_end *end;
  neo_channel net;
  neo_frame frame;
} played;

static inline neo_status played_connect(played *b, const char *name, const char *key, int port) {
  char address[40];
  int fd;
  bool loopback;
  memset(b, 0, sizeof *b);
  neo_ctx_init(&b->ctx, 1);
  b->net.fd = -1;
  snprintf(address, sizeof address, "127.0.0.1:%d", port);
  NEO_TRY(neo_net_keys_read(&b->ctx, key, &b->keys));
  NEO_TRY(neo_tls_end_create(&b->ctx, &b->keys, name, &b->end));
  NEO_TRY(neo_socket_connect(&b->ctx, address, 60000, &fd, &loopback));
  NEO_TRY(neo_channel_open(&b->ctx, fd, b->end, &b->net));
  for (int i = 0; i < 12000 && !b->net.open; i++) {
    NEO_TRY(neo_channel_pump(&b->ctx, &b->net));
    pause_ms(1);
  }
  return b->net.open ? NEO_OK : NEO_UNREACHABLE;
}

static inline void played_close(played *b) {
  neo_channel_close(&b->net);
  neo_tls_end_destroy(b->end);
  neo_buf_fini(&b->frame.payload);
}

static inline neo_status played_send(played *b, const neo_frame *frame) {
  NEO_TRY(neo_channel_put(&b->ctx, &b->net, frame));
  for (int i = 0; i < 12000 && neo_channel_unsent(&b->net) > 0; i++)
    NEO_TRY(neo_channel_pump(&b->ctx, &b->net));
  return NEO_OK;
}

/* The next frame of that type into b->frame; sends heartbeats meanwhile. */
static inline neo_status played_wait(played *b, uint16_t type, int ms) {
  const neo_frame ping = {.type = NEO_MESSAGE_PING};
  for (int i = 0; i < ms; i++) {
    bool got = true;
    neo_status pumped = neo_channel_pump(&b->ctx, &b->net);
    while (got) {
      NEO_TRY(neo_channel_take(&b->ctx, &b->net, &b->frame, &got));
      if (got && b->frame.type == type)
        return NEO_OK;
    }
    NEO_TRY(pumped);
    if (i % 20 == 0)
      NEO_TRY(neo_channel_put(&b->ctx, &b->net, &ping));
    pause_ms(1);
  }
  return NEO_UNREACHABLE;
}

/* gpu NULL: it has none. */
static inline neo_status played_join_gpu(played *b, const char *name, uint32_t protocol,
                                         uint64_t boot, const char *gpu) {
  neo_net_join *join = calloc(1, sizeof *join);
  neo_frame frame = {.type = NEO_MESSAGE_JOIN};
  join->protocol = protocol;
  join->boot = boot;
  join->hello = (neo_hello){.threads = 1};
  if (gpu) {
    join->hello.n_gpus = 1;
    snprintf(join->hello.gpu[0].api, sizeof join->hello.gpu[0].api, "opencl");
    snprintf(join->hello.gpu[0].device, sizeof join->hello.gpu[0].device, "%s", gpu);
  }
  snprintf(join->name, sizeof join->name, "%s", name);
  neo_cpu_model(join->hello.cpu_model, sizeof join->hello.cpu_model);
  neo_net_join_encode(&frame.payload, join);
  neo_status status = played_send(b, &frame);
  neo_buf_fini(&frame.payload);
  free(join);
  return status == NEO_OK ? played_wait(b, NEO_MESSAGE_WELCOME, 60000) : status;
}

static inline neo_status played_join(played *b, const char *name, uint32_t protocol,
                                     uint64_t boot) {
  return played_join_gpu(b, name, protocol, boot, NULL);
}

/* Answers BLOB_HAVE with "all there". */
static inline neo_status played_have_all(played *b) {
  NEO_TRY(played_wait(b, NEO_MESSAGE_BLOB_HAVE, 60000));
  size_t n = b->frame.payload.size / 32;
  neo_frame answer = {.type = NEO_MESSAGE_BLOB_HAVE, .id = b->frame.id};
  for (size_t i = 0; i < n; i++)
    neo_buf_u8(&answer.payload, 1);
  neo_status status = played_send(b, &answer);
  neo_buf_fini(&answer.payload);
  return status;
}

static inline neo_status played_result(played *b, uint32_t id, double median) {
  neo_job_result *result = calloc(1, sizeof *result);
  neo_frame frame = {.type = NEO_MESSAGE_RESULT, .id = id};
  result->timing.n = 1;
  result->timing.ns[0] = median;
  neo_job_result_encode(&frame.payload, result);
  neo_status status = played_send(b, &frame);
  neo_buf_fini(&frame.payload);
  free(result);
  return status;
}

/* ---- a proxy ---------------------------------------------------------------------------------------------------- */

/* Passes one connection after another on to `to`. What happens to the bytes is said while it runs.
 */
typedef struct net_proxy {
  pthread_t thread;
  int listener, port, to;
  atomic_bool stop;
  atomic_int cut_up, cut_down; /* > 0: cut after so many bytes from the board, to the board */
  atomic_bool cut_now;
  atomic_bool freeze;  /* half open: nothing passes, nothing is closed */
  atomic_int drip_ms;  /* > 0: a byte each so many ms */
  atomic_int up, down; /* bytes passed on this connection */
  atomic_int connections;
} net_proxy;

/* False: cut. */
static inline bool proxy_pass(net_proxy *x, int from, int to, atomic_int *limit,
                              atomic_int *passed) {
  char bytes[4096];
  size_t want = x->drip_ms > 0 ? 1 : sizeof bytes;
  int left = atomic_load(limit);
  if (left > 0 && (size_t)left < want)
    want = (size_t)left;
  ssize_t n = recv(from, bytes, want, 0);
  if (n <= 0)
    return false;
  for (ssize_t at = 0, sent; at < n; at += sent)
    if ((sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
      return false;
  atomic_fetch_add(passed, (int)n);
  if (left > 0 && atomic_fetch_sub(limit, (int)n) <= n) {
    atomic_store(limit, 0);
    return false;
  }
  if (x->drip_ms > 0)
    pause_ms(x->drip_ms);
  return true;
}

static inline void proxy_connection(net_proxy *x, int board, int hub) {
  x->up = x->down = 0;
  while (!x->stop && !atomic_exchange(&x->cut_now, false)) {
    struct pollfd wait[2] = {{.fd = board, .events = POLLIN}, {.fd = hub, .events = POLLIN}};
    if (x->freeze) {
      pause_ms(2);
      continue;
    }
    if (poll(wait, 2, 5) <= 0)
      continue;
    if (wait[0].revents && !proxy_pass(x, board, hub, &x->cut_up, &x->up))
      break;
    if (wait[1].revents && !proxy_pass(x, hub, board, &x->cut_down, &x->down))
      break;
  }
}

static inline void *proxy_main(void *arg) {
  net_proxy *x = arg;
  while (!x->stop) {
    struct pollfd wait = {.fd = x->listener, .events = POLLIN};
    char who[64], address[40];
    bool loopback;
    int hub;
    neo_ctx ctx;
    if (poll(&wait, 1, 20) <= 0)
      continue;
    int board = neo_socket_accept(x->listener, who, sizeof who);
    if (board < 0)
      continue;
    neo_ctx_init(&ctx, 1);
    snprintf(address, sizeof address, "127.0.0.1:%d", x->to);
    if (neo_socket_connect(&ctx, address, 60000, &hub, &loopback) == NEO_OK) {
      fcntl(board, F_SETFL, 0);
      fcntl(hub, F_SETFL, 0);
      x->connections++;
      x->cut_now = false;
      proxy_connection(x, board, hub);
      close(hub);
    }
    close(board);
  }
  return NULL;
}

static inline neo_status proxy_open(net_proxy *x, int to) {
  neo_ctx ctx;
  bool loopback;
  neo_ctx_init(&ctx, 1);
  memset(x, 0, sizeof *x);
  x->to = to;
  NEO_TRY(neo_socket_listen(&ctx, "127.0.0.1:0", &x->listener, &x->port, &loopback));
  return pthread_create(&x->thread, NULL, proxy_main, x) == 0 ? NEO_OK : NEO_NO_MEMORY;
}

static inline void proxy_close(net_proxy *x) {
  x->stop = true;
  pthread_join(x->thread, NULL);
  close(x->listener);
}

#endif
