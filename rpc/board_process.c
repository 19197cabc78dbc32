/* A job in a process of its own, by fork: starting it, watching it, and what it may not do. The
 * blobs are in shared memory, so a child finds them where they are. For systems without fork:
 * windows/. */
#include "rpc/board.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/sandbox.h"
#include "runtime/device.h"
#include "runtime/os.h"

enum { SETUP_MS = 20000, GRACE_MS = 200 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LIMIT_ADDRESS_SPACE = 0 }; /* the sanitizers map terabytes */
#else
enum { LIMIT_ADDRESS_SPACE = 1 };
#endif

const bool neo_board_starts_anew = false;

typedef struct watched {
  neo_ctx *ctx;
  const neo_board_job *job;
  neo_job_result *result;
} watched;

static void outcome(watched *w, neo_job_outcome kind, int signal_number, const char *text) {
  neo_board_outcome(w->job, kind, signal_number, text, w->result);
}

neo_board_shared *neo_board_share(const neo_board_options *options, intptr_t *out_handle) {
  (void)options;
  *out_handle = 0;
  return neo_os_pages_share(sizeof(neo_board_shared));
}

void neo_board_unshare(neo_board_shared *shared, intptr_t handle) {
  (void)handle;
  neo_os_pages_release(shared, sizeof(*shared));
}

/* 1: a byte; 0: the pipe was closed; -1: time is up. */
static int read_byte(int fd, int timeout_ms, char *out) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  int n;
  do
    n = poll(&p, 1, timeout_ms);
  while (n < 0 && errno == EINTR);
  if (n == 0)
    return -1;
  return read(fd, out, 1) == 1 ? 1 : 0;
}

/* Waits for the child's end at most `ms`; *out_status is untouched if it did not come. */
static bool reap(pid_t pid, int ms, int *out_status) {
  for (int i = 0; i <= ms; i++) {
    if (waitpid(pid, out_status, WNOHANG) == pid)
      return true;
    neo_os_sleep(1);
  }
  return false;
}

static int end_child(pid_t pid) {
  int status = 0;
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return status;
}

static void hung(watched *w, pid_t pid, int after_ms) {
  char text[128];
  int status = 0;
  kill(-pid, SIGTERM);
  if (!reap(pid, GRACE_MS, &status))
    end_child(pid);
  kill(-pid, SIGKILL); /* whatever else is in its group */
  snprintf(text, sizeof(text), "no answer within %d ms", after_ms);
  outcome(w, NEO_OUTCOME_HANG, 0, text);
}

static void died(watched *w, pid_t pid) {
  char text[128];
  int status = 0;
  if (!reap(pid, GRACE_MS, &status))
    status = end_child(pid);
  kill(-pid, SIGKILL);
  int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  int call = atomic_load(&w->job->shared->call) - 1;
  if (call >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == NEO_SANDBOX_EXIT) {
    const char *name = neo_sandbox_call_name(call);
    snprintf(text, sizeof(text), "made a system call that kernels may not make: %s (number %d)",
             name ? name : "another", call);
    outcome(w, NEO_OUTCOME_CRASH, SIGSYS, text);
    return;
  }
  if (number == SIGXCPU) {
    outcome(w, NEO_OUTCOME_HANG, number, "used more processor time than its time-out allows");
    return;
  }
  if (number)
    snprintf(text, sizeof(text), "killed by signal %d (%s)", number, strsignal(number));
  else
    snprintf(text, sizeof(text), "exited with %d and without a result", WEXITSTATUS(status));
  outcome(w, NEO_OUTCOME_CRASH, number, text);
}

/* Reads the frame that follows the ready byte. */
static void read_result(watched *w, pid_t pid, int fd) {
  neo_frame frame = {0};
  neo_job_result result;
  uint64_t before = neo_now_ns(w->ctx);
  neo_status status = neo_frame_receive(w->ctx, fd, &frame, (int)w->job->job->timeout_ms);
  double waited_ms = (double)(neo_now_ns(w->ctx) - before) * 1e-6;
  if (status == NEO_OK)
    status = neo_job_result_decode(w->ctx, (const uint8_t *)frame.payload.data, frame.payload.size,
                                   &result);
  neo_buf_fini(&frame.payload);
  if (status == NEO_OK) {
    end_child(pid);
    *w->result = result;
  } else if (status == NEO_NO_MEMORY) {
    end_child(pid);
    outcome(w, NEO_OUTCOME_BOARD, 0, w->ctx->message);
  } else if (status == NEO_UNREACHABLE && waited_ms < w->job->job->timeout_ms) {
    died(w, pid);
  } else if (status == NEO_UNREACHABLE) {
    hung(w, pid, (int)w->job->job->timeout_ms);
  } else {
    end_child(pid);
    outcome(w, NEO_OUTCOME_CRASH, 0, "damaged its own result");
  }
  neo_ctx_clear(w->ctx);
}

static void watch(watched *w, pid_t pid, int fd) {
  char byte = 0;
  int got = read_byte(fd, SETUP_MS, &byte);
  if (got > 0 && byte == NEO_CHILD_READY)
    read_result(w, pid, fd);
  else if (got < 0)
    hung(w, pid, SETUP_MS);
  else
    died(w, pid);
}

void neo_board_process(neo_ctx *ctx, const neo_board_job *job, neo_job_result *out) {
  watched here = {ctx, job, out}, *w = &here;
  int fd[2];
  if (pipe2(fd, O_CLOEXEC) != 0) {
    outcome(w, NEO_OUTCOME_BOARD, 0, strerror(errno));
    return;
  }
  atomic_store(&w->job->shared->phase, NEO_PHASE_SETUP);
  atomic_store(&w->job->shared->call, 0);
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    close(fd[0]);
    neo_board_child(ctx, job, fd[1]);
    _exit(1);
  }
  close(fd[1]);
  if (pid < 0) {
    outcome(w, NEO_OUTCOME_BOARD, 0, strerror(errno));
  } else {
    setpgid(pid, pid); /* as the child does: whoever is first */
    watch(w, pid, fd[0]);
  }
  close(fd[0]);
}

/* ---- in the child ----------------------------------------------------------------------------------- */

static int64_t bytes_of(const neo_job_kernel *k) {
  int64_t sum = k->work_bytes;
  for (uint32_t i = 0; i < k->n_buffers; i++)
    sum += k->bytes[i];
  return sum;
}

/* Of /proc/self/statm, "PAGES ...". */
static int64_t mapped_now(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  char line[128] = "";
  int64_t pages = 0;
  neo_scan scan;
  if (!file)
    return 0;
  neo_scan_init(&scan, fgets(line, sizeof line, file) ? line : "");
  fclose(file);
  return neo_scan_int(&scan, &pages) ? pages * (int64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void limit(int resource, int64_t value) {
  struct rlimit now;
  if (getrlimit(resource, &now) != 0)
    return;
  rlim_t wanted = (rlim_t)value;
  now.rlim_cur = now.rlim_max == RLIM_INFINITY || wanted < now.rlim_max ? wanted : now.rlim_max;
  setrlimit(resource, &now);
}

/* Own buffers, saved outputs and cold copies of a job, threads' stacks, and half a gigabyte for all
 * else. */
static void limit_memory(const neo_job *job) {
  int64_t mapped = mapped_now(), own = bytes_of(&job->kernel) + bytes_of(&job->incumbent);
  int64_t scratch =
      (job->kernel.scratch_bytes + job->incumbent.scratch_bytes + 8192) * job->threads;
  if (LIMIT_ADDRESS_SPACE && mapped > 0)
    limit(RLIMIT_AS,
          mapped + 8 * own + 4 * scratch + (int64_t)job->threads * (16 << 20) + (512 << 20));
}

void neo_board_limit(const neo_job *job) {
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CPU, ((int64_t)job->timeout_ms / 1000 + 20) * job->threads + 2);
  limit_memory(job);
}

void neo_board_disposable(const neo_board_job *job, int pipe_fd) {
  static const int signals[] = {SIGINT, SIGTERM, SIGPIPE, SIGSEGV, SIGBUS,
                                SIGILL, SIGFPE,  SIGABRT, SIGTRAP, SIGXCPU};
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 0; i < NEO_COUNT(signals); i++)
    signal(signals[i], SIG_DFL);
  limit(RLIMIT_CORE, 0);
  if (job->options->in_fd != pipe_fd)
    close(job->options->in_fd);
  if (job->options->out_fd != pipe_fd && job->options->out_fd != job->options->in_fd)
    close(job->options->out_fd);
  neo_blobs_protect(job->blobs);
}

/* ---- GPUs ------------------------------------------------------------------------------------------ */

static void tell_gpu(neo_ctx *ctx, const char *api, int fd) {
  char device[NEO_DEVICE_IDENTITY] = "";
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (neo_device_identify(ctx, api, device) == NEO_OK &&
      write(fd, device, strlen(device)) != (ssize_t)strlen(device))
    _exit(1);
  _exit(0);
}

/* A driver that is being asked; fd -1: no more is to come. */
typedef struct probe {
  pid_t pid;
  int fd;
  size_t got;
} probe;

static void start_probe(neo_ctx *ctx, const char *api, probe *p) {
  int fds[2];
  *p = (probe){-1, -1, 0};
  if (pipe2(fds, O_CLOEXEC) != 0)
    return;
  fflush(NULL);
  p->pid = fork();
  if (p->pid == 0) {
    close(fds[0]);
    tell_gpu(ctx, api, fds[1]);
  }
  close(fds[1]);
  p->fd = fds[0];
}

static void read_probe(probe *p, struct neo_hello_gpu *out) {
  size_t room = sizeof(out->device) - 1 - p->got;
  ssize_t n = room > 0 ? read(p->fd, out->device + p->got, room) : 0;
  if (n < 0 && errno == EINTR)
    return;
  if (n > 0) {
    p->got += (size_t)n;
    return;
  }
  close(p->fd);
  p->fd = -1;
}

/* Waits until one of them has something, or its end; false: all have ended, or time is up. */
static bool hear_probes(neo_ctx *ctx, probe *p, neo_hello *hello, uint64_t deadline) {
  struct pollfd wait[NEO_MAX_GPUS];
  bool open = false;
  for (uint32_t g = 0; g < hello->n_gpus; g++) {
    wait[g] = (struct pollfd){.fd = p[g].fd, .events = POLLIN};
    open = open || p[g].fd >= 0;
  }
  int left = neo_deadline_left(ctx, deadline);
  if (!open || left == 0)
    return false;
  if (poll(wait, hello->n_gpus, left) <= 0)
    return true;
  for (uint32_t g = 0; g < hello->n_gpus; g++)
    if (p[g].fd >= 0 && wait[g].revents)
      read_probe(&p[g], &hello->gpu[g]);
  return true;
}

void neo_board_find_gpus(neo_ctx *ctx, neo_hello *hello, int ms) {
  probe p[NEO_MAX_GPUS];
  const uint64_t deadline = neo_deadline(ctx, ms);
  for (uint32_t g = 0; g < hello->n_gpus; g++)
    start_probe(ctx, hello->gpu[g].api, &p[g]);
  while (hear_probes(ctx, p, hello, deadline))
    continue;
  for (uint32_t g = 0; g < hello->n_gpus; g++) {
    if (p[g].fd >= 0) {
      neo_log(ctx, NEO_LOG_WARN, "the %s driver did not answer within %d ms: no GPU of it is used",
              hello->gpu[g].api, ms);
      p[g].got = 0;
      close(p[g].fd);
    }
    hello->gpu[g].device[p[g].got] = '\0';
    if (p[g].pid > 0)
      end_child(p[g].pid);
  }
}
