/* The sandbox of a job's process: a seccomp filter, and limits where there is none.
 *
 * Why: an object is native code that somebody sent. He had a key; that his kernel opens files and
 * connections on the board is still not what the key was given for. A kernel computes: all that its
 * process asks of the system from then on are memory, time and threads that wait, and to write the
 * result to its pipe.
 *
 * Design: a list of calls that are allowed (sandbox_calls.def); any other one, and any of another
 * architecture's table, ends the process. It is trapped, not killed at once, so that a handler can
 * leave the call's number for the parent: a crash has a name. What a kernel does to that handler it
 * does to itself, since the call is not made in any case. No memory becomes code: neither mmap nor
 * mprotect may give PROT_EXEC, so what was loaded and checked is all that runs. Filters are for all
 * threads (TSYNC), whose pool exists by then. Without SPEC_ALLOW systems before Linux 5.16 would
 * make processors of a filtered process wait for stores, and times would not be those of a model.
 *
 * The structures and numbers are the kernel's (linux/filter.h, linux/seccomp.h); they are written
 * down here, since musl's folders do not have those headers.
 *
 * Not for jobs of GPUs: drivers open devices as they like. Not in emulators of another processor:
 * they refuse filters. Not with sanitizers, which read files to report. */
#include "rpc/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ARCHITECTURE 0u
#elif defined(__x86_64__)
#define ARCHITECTURE 0xc000003eu /* AUDIT_ARCH_X86_64 */
#elif defined(__aarch64__)
#define ARCHITECTURE 0xc00000b7u
#elif defined(__arm__)
#define ARCHITECTURE 0x40000028u
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE 0xc00000f3u
#else
#define ARCHITECTURE 0u /* no sandbox is known */
#endif

/* ---- the kernel's interface ----------------------------------------------------------------------- */

typedef struct instruction { /* sock_filter */
  uint16_t code;
  uint8_t if_true, if_false; /* instructions to skip */
  uint32_t value;
} instruction;

typedef struct program { /* sock_fprog */
  unsigned short length;
  const instruction *code;
} program;

enum { LOAD = 0x20, JUMP_EQUAL = 0x15, JUMP_SET = 0x45, RETURN = 0x06 };
enum { AT_NUMBER = 0, AT_ARCHITECTURE = 4, AT_ARGUMENTS = 16 }; /* in seccomp_data, little-endian */
enum { SET_MODE_FILTER = 1, TSYNC = 1, SPEC_ALLOW = 4 };
#define RET_ALLOW 0x7fff0000u
#define RET_TRAP 0x00030000u
#define RET_ERRNO 0x00050000u
#define RET_KILL_PROCESS 0x80000000u

static long seccomp(unsigned flags, const program *filter) {
  return syscall(SYS_seccomp, SET_MODE_FILTER, flags, filter);
}

/* ---- the filter ----------------------------------------------------------------------------------- */

/* Of a call's argument: is it the pipe, this process, without PROT_EXEC? NO_SOCKET: it would have
 * to be a socket, and says so, since rpc/stream.c tries. */
typedef enum rule { ANY, PIPE, SELF, NO_CODE, NO_SOCKET } rule;

typedef struct call {
  int number;
  rule rule;
} call;

static const call calls[] = {
#define ALLOW(name) {SYS_##name, ANY},
#define CHECK(name, rule) {SYS_##name, rule},
#define DENY(name)
#include "rpc/sandbox_calls.def"
#undef ALLOW
#undef CHECK
#undef DENY
};

typedef struct call_name {
  int number;
  const char *name;
} call_name;

static const call_name names[] = {
#define ALLOW(name)
#define CHECK(name, rule) {SYS_##name, #name},
#define DENY(name) {SYS_##name, #name},
#include "rpc/sandbox_calls.def"
#undef ALLOW
#undef CHECK
#undef DENY
};

enum { OF_A_CALL = 6, MOST = 8 + OF_A_CALL * (int)NEO_COUNT(calls) };

typedef struct filter {
  int n;
  instruction code[MOST];
} filter;

static void put(filter *f, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false) {
  neo_assert(f->n < MOST);
  f->code[f->n++] = (instruction){code, if_true, if_false, value};
}

/* Allowed if the argument is that value; else what otherwise says. */
static void put_if_equal(filter *f, int argument, uint32_t value, uint32_t otherwise) {
  put(f, LOAD, AT_ARGUMENTS + 8 * (uint32_t)argument, 0, 0);
  put(f, JUMP_EQUAL, value, 0, 1);
  put(f, RETURN, RET_ALLOW, 0, 0);
  put(f, RETURN, otherwise, 0, 0);
}

static void put_rule(filter *f, rule what, int pipe_fd) {
  switch (what) {
  case ANY:
    put(f, RETURN, RET_ALLOW, 0, 0);
    break;
  case PIPE: /* a message of the C library's before it aborts should not hide the abort */
    put_if_equal(f, 0, (uint32_t)pipe_fd, RET_ERRNO | EBADF);
    break;
  case SELF:
    put_if_equal(f, 0, (uint32_t)getpid(), RET_TRAP);
    break;
  case NO_CODE:
    put(f, LOAD, AT_ARGUMENTS + 8 * 2, 0, 0);
    put(f, JUMP_SET, PROT_EXEC, 1, 0);
    put(f, RETURN, RET_ALLOW, 0, 0);
    put(f, RETURN, RET_TRAP, 0, 0);
    break;
  case NO_SOCKET:
    put(f, RETURN, RET_ERRNO | ENOTSOCK, 0, 0);
    break;
  }
}

static void make_filter(filter *f, int pipe_fd) {
  put(f, LOAD, AT_ARCHITECTURE, 0, 0);
  put(f, JUMP_EQUAL, ARCHITECTURE, 1, 0);
  put(f, RETURN, RET_KILL_PROCESS, 0, 0);
  put(f, LOAD, AT_NUMBER, 0, 0);
  for (int i = 0; i < NEO_COUNT(calls); i++) {
    int jump = f->n;
    put(f, JUMP_EQUAL, (uint32_t)calls[i].number, 0, 0);
    put_rule(f, calls[i].rule, pipe_fd);
    f->code[jump].if_false = (uint8_t)(f->n - jump - 1);
  }
  put(f, RETURN, RET_TRAP, 0, 0);
}

/* ---- what ends a process ---------------------------------------------------------------------------- */

static atomic_int *call_made; /* for the handler of a signal */

static void on_call(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  atomic_store(call_made, info->si_syscall + 1);
  _exit(NEO_SANDBOX_EXIT);
}

static void limit_to_none(int resource) {
  const struct rlimit none = {0, 0};
  setrlimit(resource, &none);
}

const char *neo_sandbox_kind(void) {
  /* A filter at no address is read last: whoever misses it has all the rest. */
  return ARCHITECTURE && seccomp(TSYNC, NULL) < 0 && errno == EFAULT ? "seccomp" : "none";
}

void neo_sandbox_enter(int pipe_fd, atomic_int *out_call) {
  filter f = {0};
  const struct sigaction trap = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
  if (!ARCHITECTURE)
    return;
  call_made = out_call;
  limit_to_none(RLIMIT_NOFILE); /* no more descriptors, no more processes: without filters, too */
  limit_to_none(RLIMIT_NPROC);
  sigaction(SIGSYS, &trap, NULL);
  make_filter(&f, pipe_fd);
  const program all = {(unsigned short)f.n, f.code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && seccomp(TSYNC | SPEC_ALLOW, &all) != 0)
    seccomp(TSYNC, &all); /* before Linux 4.17 */
}

const char *neo_sandbox_call_name(int number) {
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (names[i].number == number)
      return names[i].name;
  return NULL;
}
