/* A job in a process of its own, on Windows: there is no fork, so this program is started anew for
 * each and is told the job as a board is: its blobs, then the JOB, in frames over a pipe. It
 * answers with the ready byte and the RESULT.
 *
 * The phase is in memory that both share. A timer ends the process when its time is
 * over, which closes the pipe. A job object holds its memory, processor time and descendants, and
 * ends it if this process dies. */
#include "rpc/board.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <windows.h>

#include "rpc/stream.h"
#include "runtime/os.h"

const bool neo_board_starts_anew = true;

enum { SETUP_MS = 60000, END_MS = 10000, MAX_BLOBS = 2 * (1 + NEO_JOB_MAX_CASES * 64) };

/* ---- shared memory ------------------------------------------------------------------------------- */

/* It has no name that others could open it by: children inherit the handle and are told its number.
 */
neo_board_shared *neo_board_share(const neo_board_options *options, intptr_t *out_handle) {
  SECURITY_ATTRIBUTES inherit = {sizeof(inherit), NULL, TRUE};
  HANDLE mapping = options->shared
                       ? (HANDLE)options->shared
                       : CreateFileMappingA(INVALID_HANDLE_VALUE, &inherit, PAGE_READWRITE, 0,
                                            sizeof(neo_board_shared), NULL);
  *out_handle = (intptr_t)mapping;
  return mapping ? MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, sizeof(neo_board_shared)) : NULL;
}

void neo_board_unshare(neo_board_shared *shared, intptr_t handle) {
  if (shared)
    UnmapViewOfFile(shared);
  if (handle)
    CloseHandle((HANDLE)handle);
}

/* ---- the blobs of a job --------------------------------------------------------------------------- */

typedef struct blob_list {
  int n;
  neo_blob blob[MAX_BLOBS];
  size_t bytes;
} blob_list;

static void add_blob(blob_list *list, const char *key, const void *data, size_t size) {
  for (int i = 0; i < list->n; i++)
    if (strcmp(list->blob[i].key, key) == 0)
      return;
  neo_blob *blob = &list->blob[list->n++];
  memcpy(blob->key, key, sizeof(blob->key));
  blob->data = data;
  blob->size = size;
  list->bytes += size + 64;
}

static void list_blobs(blob_list *list, const neo_board_kernel *kernel, uint32_t n_cases) {
  const neo_job_kernel *k = kernel->job;
  add_blob(list, k->object, kernel->object, kernel->object_size);
  for (uint32_t c = 0; c < n_cases; c++)
    for (uint32_t i = 0; i < k->n_buffers; i++)
      if (k->data[c][i][0])
        add_blob(list, k->data[c][i], kernel->data[c][i], kernel->size[c][i]);
}

/* ---- the process ---------------------------------------------------------------------------------- */

typedef struct child {
  neo_ctx *ctx;
  const neo_board_job *job;
  HANDLE process, group, timer;
  int to, from; /* its standard input and output */
  volatile LONG late;
  uint32_t allowed_ms; /* until then */
  blob_list blobs;
} child;

static void CALLBACK on_time_over(void *self, BOOLEAN fired) {
  child *c = self;
  (void)fired;
  InterlockedExchange(&c->late, 1);
  TerminateProcess(c->process, 1);
}

static void watch_no_more(child *c) {
  if (c->timer)
    DeleteTimerQueueTimer(NULL, c->timer, INVALID_HANDLE_VALUE); /* waits for on_time_over */
  c->timer = NULL;
}

static bool watch_for(child *c, uint32_t ms) {
  watch_no_more(c);
  c->allowed_ms = ms;
  return CreateTimerQueueTimer(&c->timer, NULL, on_time_over, c, ms, 0, WT_EXECUTEONLYONCE);
}

static int64_t bytes_of(const neo_job_kernel *k, uint32_t threads) {
  int64_t sum = 8 * k->work_bytes + 4 * (k->scratch_bytes + 8192) * threads;
  for (uint32_t i = 0; i < k->n_buffers; i++)
    sum += 8 * k->bytes[i];
  return sum;
}

static neo_status refused(child *c, const char *what) {
  return neo_fail(c->ctx, NEO_INTERNAL, "%s: error %lu of Windows", what,
                  (unsigned long)GetLastError());
}

/* Without its limits no candidate runs. The process has not begun. */
static neo_status limit_process(child *c) {
  const neo_job *job = c->job->job;
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
  limits.BasicLimitInformation.LimitFlags =
      JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_ACTIVE_PROCESS |
      JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION | JOB_OBJECT_LIMIT_PROCESS_MEMORY |
      JOB_OBJECT_LIMIT_PROCESS_TIME;
  limits.BasicLimitInformation.ActiveProcessLimit = 1;
  limits.BasicLimitInformation.PerProcessUserTimeLimit.QuadPart =
      (((int64_t)job->timeout_ms / 1000 + 20) * job->threads + 2) * 10000000;
  limits.ProcessMemoryLimit =
      (size_t)(bytes_of(&job->kernel, job->threads) + bytes_of(&job->incumbent, job->threads)) +
      c->blobs.bytes + ((size_t)job->threads << 24) + ((size_t)512 << 20);
  c->group = CreateJobObjectW(NULL, NULL);
  if (!c->group)
    return refused(c, "no job object for limits");
  if (!SetInformationJobObject(c->group, JobObjectExtendedLimitInformation, &limits,
                               sizeof(limits)))
    return refused(c, "limits of memory and time were refused");
  if (!AssignProcessToJobObject(c->group, c->process)) /* before Windows 8: it is in one already */
    return refused(c, "the job's process cannot be limited");
  return NEO_OK;
}

static void command_line(const child *c, const char *program, neo_buf *out) {
  const neo_board_options *o = c->job->options;
  neo_buf_printf(out, "\"%s\" --child --shared %lld --cache %zu --cpus ", program,
                 (long long)c->job->shared_handle, (c->blobs.bytes >> 20) + 2);
  for (int i = 0; i < o->n_cpus; i++)
    neo_buf_printf(out, "%s%d", i ? "," : "", o->cpus[i]);
  if (o->n_cpus == 0)
    neo_buf_text(out, "0");
}

/* The two pipes; ends that are not the child's are not inherited. */
static bool make_pipes(HANDLE *in, HANDLE *to, HANDLE *from, HANDLE *out) {
  SECURITY_ATTRIBUTES inherit = {sizeof(inherit), NULL, TRUE};
  return CreatePipe(in, to, &inherit, 1 << 16) && CreatePipe(from, out, &inherit, 1 << 16) &&
         SetHandleInformation(*to, HANDLE_FLAG_INHERIT, 0) &&
         SetHandleInformation(*from, HANDLE_FLAG_INHERIT, 0);
}

static neo_status start(child *c) {
  char program[MAX_PATH * 4];
  HANDLE in = NULL, to = NULL, from = NULL, out = NULL;
  PROCESS_INFORMATION started = {0};
  neo_buf line = {0};
  DWORD n = GetModuleFileNameA(NULL, program, sizeof(program));
  bool good = n > 0 && n < sizeof(program) && make_pipes(&in, &to, &from, &out);
  command_line(c, program, &line);
  STARTUPINFOA info = {.cb = sizeof(info),
                       .dwFlags = STARTF_USESTDHANDLES,
                       .hStdInput = in,
                       .hStdOutput = out,
                       .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
  good = good && !line.failed &&
         CreateProcessA(program, line.data, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &info,
                        &started);
  neo_buf_fini(&line);
  if (in)
    CloseHandle(in);
  if (out)
    CloseHandle(out);
  if (!good) {
    if (to)
      CloseHandle(to);
    if (from)
      CloseHandle(from);
    return refused(c, "a process for the job cannot be started");
  }
  c->process = started.hProcess;
  c->to = _open_osfhandle((intptr_t)to, _O_BINARY);
  c->from = _open_osfhandle((intptr_t)from, _O_BINARY | _O_RDONLY);
  neo_status status = limit_process(c);
  if (status == NEO_OK)
    ResumeThread(started.hThread);
  CloseHandle(started.hThread);
  return status;
}

static neo_status tell_job(child *c) {
  for (int i = 0; i < c->blobs.n; i++) {
    const neo_blob *blob = &c->blobs.blob[i];
    neo_frame put = {.type = NEO_MESSAGE_BLOB_PUT};
    neo_buf_append(&put.payload, blob->key, 32);
    neo_status status = neo_frame_send_more(c->ctx, c->to, &put, blob->data, blob->size, 0);
    neo_buf_fini(&put.payload);
    if (status != NEO_OK)
      return status;
  }
  neo_frame frame = {.type = NEO_MESSAGE_JOB};
  neo_job_encode(&frame.payload, c->job->job);
  neo_status status = neo_frame_send(c->ctx, c->to, &frame, 0);
  neo_buf_fini(&frame.payload);
  return status;
}

static neo_status await_result(child *c, neo_job_result *out) {
  neo_frame frame = {0};
  uint8_t byte = 0;
  size_t got;
  NEO_TRY(neo_stream_read(c->ctx, c->from, &byte, 1, 0, &got));
  if (byte != NEO_CHILD_READY)
    return neo_fail(c->ctx, NEO_BAD_INPUT, "board: the job's process does not speak its language");
  if (!watch_for(c, c->job->job->timeout_ms))
    return neo_fail(c->ctx, NEO_NO_MEMORY, "board: no timer");
  neo_status status = neo_frame_receive(c->ctx, c->from, &frame, 0);
  if (status == NEO_OK)
    status =
        neo_job_result_decode(c->ctx, (const uint8_t *)frame.payload.data, frame.payload.size, out);
  neo_buf_fini(&frame.payload);
  return status;
}

/* ---- outcomes -------------------------------------------------------------------------------------- */

static const char *exception_name(DWORD code) {
  switch (code) {
  case EXCEPTION_ACCESS_VIOLATION:
    return "access violation";
  case EXCEPTION_ILLEGAL_INSTRUCTION:
    return "illegal instruction";
  case EXCEPTION_STACK_OVERFLOW:
    return "stack overflow";
  case EXCEPTION_INT_DIVIDE_BY_ZERO:
    return "division by zero";
  default:
    return "exception";
  }
}

/* The process is gone or to go, and has given no result that can be read. */
static void explain(child *c, neo_status status, neo_job_result *out) {
  char text[128];
  DWORD code = 0;
  bool ended = WaitForSingleObject(c->process, status == NEO_UNREACHABLE ? END_MS : 0) == 0;
  watch_no_more(c);
  GetExitCodeProcess(c->process, &code);
  if (c->late) {
    snprintf(text, sizeof(text), "no answer within %u ms", (unsigned)c->allowed_ms);
    neo_board_outcome(c->job, NEO_OUTCOME_HANG, 0, text, out);
  } else if (status == NEO_NO_MEMORY) {
    neo_board_outcome(c->job, NEO_OUTCOME_BOARD, 0, c->ctx->message, out);
  } else if (!ended || status != NEO_UNREACHABLE) {
    neo_board_outcome(c->job, NEO_OUTCOME_CRASH, 0, "damaged its own result", out);
  } else {
    snprintf(text, sizeof(text),
             code >= 0xc0000000u ? "ended by %s 0x%08lx" : "%s: exited with %lu, without a result",
             code >= 0xc0000000u ? exception_name(code) : "process", (unsigned long)code);
    neo_board_outcome(c->job, NEO_OUTCOME_CRASH, 0, text, out);
  }
}

static void finish(child *c) {
  watch_no_more(c);
  TerminateProcess(c->process, 0); /* it may be done */
  WaitForSingleObject(c->process, END_MS);
  _close(c->to);
  _close(c->from);
  CloseHandle(c->process);
  if (c->group)
    CloseHandle(c->group);
}

void neo_board_process(neo_ctx *ctx, const neo_board_job *job, neo_job_result *out) {
  if (job->options->child)
    neo_board_child(ctx, job, job->options->out_fd);
  child *c = neo_alloc(ctx, sizeof(*c));
  neo_job_result result;
  if (!c) {
    neo_board_outcome(job, NEO_OUTCOME_BOARD, 0, "out of memory", out);
    return;
  }
  c->ctx = ctx;
  c->job = job;
  list_blobs(&c->blobs, &job->kernel, job->job->n_cases);
  if (job->job->has_incumbent)
    list_blobs(&c->blobs, &job->incumbent, 1);
  atomic_store(&job->shared->phase, NEO_PHASE_SETUP);
  neo_status status = start(c);
  if (status != NEO_OK) {
    neo_board_outcome(job, NEO_OUTCOME_BOARD, 0, ctx->message, out);
  } else {
    status = watch_for(c, SETUP_MS) ? tell_job(c) : NEO_NO_MEMORY;
    if (status == NEO_OK)
      status = await_result(c, &result);
    if (status == NEO_OK)
      *out = result;
    else
      explain(c, status, out);
  }
  if (c->process)
    finish(c);
  neo_ctx_clear(ctx);
  neo_free(ctx, c);
}

/* ---- in the child ---------------------------------------------------------------------------------- */

/* Errors end the process at once, with their code, and no window asks anybody. */
static LONG CALLBACK on_exception(EXCEPTION_POINTERS *info) {
  DWORD code = info->ExceptionRecord->ExceptionCode;
  if (code >= 0xc0000000u)
    TerminateProcess(GetCurrentProcess(), code);
  return EXCEPTION_CONTINUE_SEARCH;
}

void neo_board_limit(const neo_job *job) {
  (void)job; /* the job object of the process has them */
}

void neo_board_disposable(const neo_board_job *job, int pipe_fd) {
  (void)pipe_fd;
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
  AddVectoredExceptionHandler(1, on_exception);
  neo_blobs_protect(job->blobs);
}

void neo_board_find_gpus(neo_ctx *ctx, neo_hello *hello, int ms) {
  (void)ctx; /* none is driven under Windows */
  (void)ms;
  for (uint32_t g = 0; g < hello->n_gpus; g++)
    hello->gpu[g].device[0] = '\0';
}
