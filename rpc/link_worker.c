/* The worker of a link: the agent of board.c in a process of its own. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rpc/link.h"

enum { END_MS = 200 };

/* Candidates run below this process: it forgets keys and connection, and takes itself off the
 * network where it may (as root, or with user namespaces). */
static void become_worker(neo_link *l, int fd) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  ctx.allocator = l->ctx->allocator;
  ctx.log = l->ctx->log;
  ctx.log_self = l->ctx->log_self;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 0; i < NEO_COUNT(signals); i++)
    signal(signals[i], SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  neo_channel_close(&l->net);
  neo_tls_end_destroy(l->end);
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    errno = 0; /* not allowed here; docs/HOWTO.md says what that means */
  neo_board_options options = l->options->board;
  options.in_fd = options.out_fd = fd;
  neo_status status = neo_board_serve(&ctx, &options);
  if (status != NEO_OK)
    neo_log(l->ctx, NEO_LOG_ERROR, "the worker fails: %s", ctx.message);
  _exit((int)status);
}

neo_status neo_link_start_worker(neo_link *l) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return neo_fail(l->ctx, NEO_NO_MEMORY, "worker: %s", strerror(errno));
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    close(pair[0]);
    become_worker(l, pair[1]);
  }
  close(pair[1]);
  if (pid < 0) {
    close(pair[0]);
    return neo_fail(l->ctx, NEO_NO_MEMORY, "worker: %s", strerror(errno));
  }
  l->process = pid;
  return neo_channel_open(l->ctx, pair[0], NULL, &l->worker);
}

static bool reap(pid_t pid, int ms, int *status) {
  for (int i = 0; i <= ms; i++) {
    if (waitpid(pid, status, WNOHANG) == pid)
      return true;
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
  }
  return false;
}

/* Its own child dies with it. */
void neo_link_stop_worker(neo_link *l) {
  int status;
  if (l->worker.fd < 0)
    return;
  neo_channel_close(&l->worker);
  if (l->process > 0) {
    kill((pid_t)l->process, SIGKILL);
    while (waitpid((pid_t)l->process, &status, 0) < 0 && errno == EINTR)
      continue;
  }
  l->process = 0;
}

void neo_link_worker_end(neo_link *l, char *why, size_t size) {
  int status = 0;
  if (l->process <= 0 || !reap((pid_t)l->process, END_MS, &status)) {
    snprintf(why, size, "the worker broke its stream");
    return;
  }
  l->process = 0;
  if (WIFSIGNALED(status))
    snprintf(why, size, "the worker was killed by signal %d%s", WTERMSIG(status),
             WTERMSIG(status) == SIGKILL ? " (out of memory?)" : "");
  else
    snprintf(why, size, "the worker ended with %d", WEXITSTATUS(status));
}
