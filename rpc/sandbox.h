/* rpc/sandbox.h: what a process that runs a kernel may ask of the system: memory, time, its
 * threads, and one pipe. Inside of rpc/. docs/formats/frames.md says what that means for a job. */
#ifndef NEO_RPC_SANDBOX_H
#define NEO_RPC_SANDBOX_H

#include <stdatomic.h>

/* "seccomp": the system enforces it; "none": it does not here. */
const char *neo_sandbox_kind(void);
/* For this process with all of its threads, for good. A call that is not allowed ends it with the
 * code NEO_SANDBOX_EXIT, and the call's number plus one in *out_call. */
void neo_sandbox_enter(int pipe_fd, atomic_int *out_call);
enum { NEO_SANDBOX_EXIT = 159 };
/* Of a number that may be anything; NULL: it is none of those that kernels are likely to make. */
const char *neo_sandbox_call_name(int number);

#endif
