/* Subprocesses: run to the end with a time-out, or keep one behind a socketpair.
 *
 * Why: the only module that starts processes, so that no shell is ever involved, every child sits
 * in its own process group (a time-out takes its children too), and tests have one place to look.
 *
 * Design: posix_spawn (cheap however big the parent is) with file actions; descriptors above 2 are
 * closed in the child. A child that is done but whose descendants hold the pipe open does not block
 * us: the end of the child counts, not the end of the pipe.
 *
 * Time-outs use CLOCK_MONOTONIC itself and not the context's clock: a child runs in real time also
 * when a test has stopped the context's. */
#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { GRACE_MS = 200, TICK_MS = 5, OUTPUT_LIMIT = 64 * 1024 };

/* What becomes the child's descriptors 0, 1, 2; -1: /dev/null, -2: inherited. */
typedef struct child_io {
  int in, out, err;
} child_io;

static int64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int add_io(posix_spawn_file_actions_t *actions, int from, int to, int flags) {
  if (from == -2)
    return 0;
  if (from == -1)
    return posix_spawn_file_actions_addopen(actions, to, "/dev/null", flags, 0);
  return posix_spawn_file_actions_adddup2(actions, from, to);
}

static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  const int signals[] = {SIGINT, SIGTERM, SIGPIPE, SIGCHLD, SIGHUP, SIGALRM};
  for (int i = 0; i < NEO_COUNT(signals); i++)
    sigaddset(&defaults, signals[i]);
  int error = posix_spawnattr_setsigmask(attributes, &none);
  if (!error)
    error = posix_spawnattr_setsigdefault(attributes, &defaults);
  if (!error)
    error = posix_spawnattr_setpgroup(attributes, 0);
  if (!error)
    error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
  return error;
}

static neo_status start(neo_ctx *ctx, const char *const *argv, child_io io, pid_t *out_pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (posix_spawn_file_actions_init(&actions) != 0)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: cannot start: out of memory", argv[0]);
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: cannot start: out of memory", argv[0]);
  }
  pid_t pid = 0;
  int error = add_io(&actions, io.in, 0, O_RDONLY);
  if (!error)
    error = add_io(&actions, io.out, 1, O_WRONLY);
  if (!error)
    error = add_io(&actions, io.err, 2, O_WRONLY);
  if (!error)
    error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (!error)
    error = set_attributes(&attributes);
  if (!error)
    error =
        posix_spawnp(&pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error)
    return neo_fail(ctx, NEO_IO, "%s: cannot start: %s", argv[0], strerror(error));
  *out_pid = pid;
  return NEO_OK;
}

/* Has the child ended? It stays a zombie, so its pid and group stay ours until reap(). */
static bool has_ended(pid_t pid) {
  siginfo_t info = {0};
  int result = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
  return result != 0 || info.si_pid == pid;
}

static int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return status;
}

static void sleep_ms(int ms) {
  struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&time, NULL);
}

/* False: the pipe's other end is closed. */
static bool drain(int fd, neo_buf *output) {
  char block[4096];
  for (;;) {
    ssize_t n = read(fd, block, sizeof(block));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0;
    size_t room = OUTPUT_LIMIT - output->size;
    neo_buf_append(output, block, (size_t)n < room ? (size_t)n : room);
  }
}

/* One step of waiting: returns when there is output, or after a tick. */
static void wait_a_little(int *fd, neo_buf *output) {
  struct pollfd entry = {.fd = *fd, .events = POLLIN};
  if (*fd < 0)
    sleep_ms(1);
  else if (poll(&entry, 1, TICK_MS) > 0 && !drain(*fd, output))
    *fd = -1;
}

/* Waits until the child ends or the deadline (ms, 0: none) passes; true: ended. */
static bool wait_until(pid_t pid, int64_t deadline, int *fd, neo_buf *output) {
  while (!has_ended(pid)) {
    if (deadline && monotonic_ms() >= deadline)
      return false;
    wait_a_little(fd, output);
  }
  return true;
}

static void watch(pid_t pid, int fd, int timeout_ms, neo_process_result *result) {
  int open_fd = fd;
  int64_t deadline = timeout_ms > 0 ? monotonic_ms() + timeout_ms : 0;
  if (!wait_until(pid, deadline, &open_fd, &result->output)) {
    result->timed_out = true;
    kill(-pid, SIGTERM);
    (void)wait_until(pid, monotonic_ms() + GRACE_MS, &open_fd, &result->output);
    kill(-pid, SIGKILL);
  }
  int status = reap(pid);
  if (open_fd >= 0)
    drain(open_fd, &result->output);
  result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

neo_status neo_process_run(neo_ctx *ctx, const char *const *argv, int timeout_ms,
                           neo_process_result *out) {
  int pipe_fd[2];
  if (pipe2(pipe_fd, O_CLOEXEC) != 0)
    return neo_fail(ctx, NEO_IO, "%s: cannot make a pipe: %s", argv[0], strerror(errno));
  neo_process_result result = {0};
  pid_t pid = 0;
  neo_status status = start(ctx, argv, (child_io){-1, pipe_fd[1], pipe_fd[1]}, &pid);
  close(pipe_fd[1]);
  if (status == NEO_OK) {
    fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
    watch(pid, pipe_fd[0], timeout_ms, &result);
    *out = result;
  }
  close(pipe_fd[0]);
  return status;
}

neo_status neo_process_spawn(neo_ctx *ctx, const char *const *argv, bool quiet, neo_process *out) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return neo_fail(ctx, NEO_IO, "%s: cannot make a socketpair: %s", argv[0], strerror(errno));
  pid_t pid = 0;
  neo_status status = start(ctx, argv, (child_io){pair[1], pair[1], quiet ? -1 : -2}, &pid);
  close(pair[1]);
  if (status != NEO_OK) {
    close(pair[0]);
    return status;
  }
  *out = (neo_process){.pid = pid, .fd = pair[0]};
  return NEO_OK;
}

void neo_process_stop(neo_process *process) {
  if (process->pid <= 0)
    return;
  close(process->fd);
  int64_t deadline = monotonic_ms() + GRACE_MS;
  while (!has_ended(process->pid) && monotonic_ms() < deadline)
    sleep_ms(1);
  kill(-process->pid, SIGKILL);
  reap(process->pid);
  *process = (neo_process){.pid = 0, .fd = -1};
}

neo_status neo_self_dir(neo_ctx *ctx, char out[512]) {
  char path[512];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0 || (size_t)length >= sizeof(path) - 1)
    return neo_fail(ctx, NEO_IO, "cannot find the directory of the running program");
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  neo_assert(slash);
  slash[slash == path ? 1 : 0] = '\0';
  memcpy(out, path, strlen(path) + 1);
  return NEO_OK;
}
