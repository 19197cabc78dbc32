/* rpc/rpc.h: frames and the messages between a tuner and neo-board. Transport is any byte stream: a
 * socketpair for the local board, TLS for others (rpc/net.h). docs/formats/frames.md has it byte by
 * byte.
 *
 * Frame: u32 magic "NEOF", u16 version, u16 type, u32 id, u32 length (<= NEO_FRAME_MAX), u32 crc32
 * of header (without crc) and payload; then the payload: fixed little-endian fields and
 * length-prefixed bytes.
 *
 * The board is dumb: it keeps blobs by content key (an LRU cache), loads objects, verifies and
 * times them in a fresh child per job, and reports. What a te or a schedule is, it does not know.
 * Survives failed allocations and any input. */
#ifndef NEO_RPC_RPC_H
#define NEO_RPC_RPC_H

#include "base/core.h"
#include "runtime/runtime.h"

#define NEO_FRAME_MAGIC 0x464f454eu
#define NEO_FRAME_VERSION 1
#define NEO_HELLO_VERSION 2 /* of what the frames hold */
#define NEO_FRAME_HEADER 20
#define NEO_FRAME_MAX (1u << 30)

/* X(enumerator, number) */
#define NEO_MESSAGES(X)                                                                            \
  X(HELLO, 1)     /* both ways: version, pid, cpu model, threads possible */                       \
  X(BLOB_HAVE, 2) /* -> keys; <- one byte per key: 1 cached */                                     \
  X(BLOB_PUT, 3)  /* -> key, bytes; answered only by ERROR, if the key is not that of the bytes */ \
  X(JOB, 4)       /* -> neo_job */                                                                 \
  X(RESULT, 5)    /* <- neo_job_result */                                                          \
  X(ERROR, 6)     /* <- status and text; the session goes on */                                    \
  X(PING, 7)      /* both ways */                                                                  \
  X(BYE, 8)                                                                                        \
  /* over a network only, between its two ends (rpc/net.h) */                                      \
  X(JOIN, 9)     /* <- who the board is */                                                         \
  X(WELCOME, 10) /* -> what the tuner wants of it */                                               \
  X(ACK, 11)     /* -> the result with this id has arrived */                                      \
  X(CANCEL, 12)  /* -> nobody waits for the job with this id any more */

typedef enum neo_message {
#define X(name, number) NEO_MESSAGE_##name = number,
  NEO_MESSAGES(X)
#undef X
} neo_message;

typedef struct neo_frame {
  uint16_t type;
  uint32_t id;
  neo_buf payload;
} neo_frame;

/* Blocking with a deadline (ms; 0: none). A closed stream, a bad magic, version, length or crc is
 * NEO_BAD_INPUT / NEO_UNREACHABLE. */
neo_status neo_frame_send(neo_ctx *ctx, int fd, const neo_frame *frame, int timeout_ms);
/* The same, with more bytes behind the frame's own payload: large ones need not be copied. */
neo_status neo_frame_send_more(neo_ctx *ctx, int fd, const neo_frame *frame, const void *more,
                               size_t more_size, int timeout_ms);
neo_status neo_frame_receive(neo_ctx *ctx, int fd, neo_frame *frame, int timeout_ms);
/* The same until a time of neo_now_ns; 0: without end. */
neo_status neo_frame_receive_until(neo_ctx *ctx, int fd, neo_frame *frame, uint64_t deadline);
/* Appends the frame's bytes. */
void neo_frame_write(neo_buf *out, const neo_frame *frame);
/* Incremental parser for fuzzing and non-blocking use: consumes from data, sets *used; *done when
 * frame is complete. */
neo_status neo_frame_parse(neo_ctx *ctx, const uint8_t *data, size_t size, size_t *used,
                           neo_frame *frame, bool *done);

#define NEO_JOB_MAX_BUFFERS 64
#define NEO_JOB_MAX_LAUNCHES 64
#define NEO_JOB_MAX_CASES 4

/* A kernel on the board: an object blob and how to call it. */
typedef struct neo_job_kernel {
  char object[33]; /* blob key */
  char symbol[64]; /* launches are <symbol>_<k> */
  uint32_t n_launches;
  int64_t grid[NEO_JOB_MAX_LAUNCHES];
  uint32_t n_buffers;
  uint8_t role[NEO_JOB_MAX_BUFFERS]; /* 0 input, 1 output, 2 constant */
  uint8_t dtype[NEO_JOB_MAX_BUFFERS];
  int64_t bytes[NEO_JOB_MAX_BUFFERS];
  int64_t work_bytes, scratch_bytes;
  char data[NEO_JOB_MAX_CASES][NEO_JOB_MAX_BUFFERS]
           [33]; /* blob per case and buffer: inputs' bytes, outputs' reference ("": none) */
} neo_job_kernel;

typedef enum neo_job_kind {
  NEO_JOB_RUN = 1, /* run case 0 once and return the output buffers */
  NEO_JOB_MEASURE =
      2 /* verify on all cases, then time (interleaved with the incumbent if has_incumbent) */
} neo_job_kind;

typedef struct neo_job {
  uint32_t kind;
  uint32_t threads;
  uint32_t pin;        /* 1: pin workers to the board's measuring cpus */
  uint32_t timeout_ms; /* of the child: then SIGTERM, SIGKILL */
  uint32_t n_cases;
  double rtol, atol;
  neo_timing_policy timing;
  neo_job_kernel kernel;
  uint32_t has_incumbent;
  neo_job_kernel incumbent; /* its own data blobs (layouts may differ) */
} neo_job;

typedef enum neo_job_outcome {
  NEO_OUTCOME_OK = 0,
  NEO_OUTCOME_LOAD = 1,
  NEO_OUTCOME_CRASH = 2,
  NEO_OUTCOME_HANG = 3,
  NEO_OUTCOME_VERDICT = 4, /* see verify.verdict */
  NEO_OUTCOME_BOARD = 5, /* out of memory, missing blob: the board's trouble, not the candidate's */
} neo_job_outcome;

typedef struct neo_job_result {
  uint32_t outcome;
  int32_t signal;
  char phase[16];
  char text[256];
  neo_verify_result verify;
  neo_timing timing;
  double board_ns;    /* wall time on the board */
  uint32_t n_outputs; /* RUN only */
  neo_buf output[NEO_JOB_MAX_BUFFERS];
} neo_job_result;

void neo_job_encode(neo_buf *out, const neo_job *job);
neo_status neo_job_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_job *out);
void neo_job_result_encode(neo_buf *out, const neo_job_result *result);
neo_status neo_job_result_decode(neo_ctx *ctx, const uint8_t *data, size_t size,
                                 neo_job_result *out);
void neo_job_result_fini(neo_job_result *result);

/* ---- the tuner's side of a session; fd is one end of a stream socket -------------------------
 * A time-out is of the whole call, whatever comes meanwhile; of neo_board_put, of each blob. */

/* Ids that are no jobs': of what is answered at once, and of blobs, which are answered only when
 * they are refused. Such an answer comes when something else is waited for; its id tells. */
#define NEO_ID_QUESTION 0xffffffffu
#define NEO_ID_BLOB 0xfffffffeu

#define NEO_MAX_GPUS 4
#define NEO_GPU_MS 30000
typedef struct neo_hello {
  uint32_t pid;
  uint32_t threads; /* cpus that measuring may use */
  double bandwidth; /* bytes per ns, all of them reading; 0: not measured */
  char cpu_model[64];
  uint32_t n_gpus; /* the board's, by driver; the tuner's: those it asks about, without devices */
  struct neo_hello_gpu {
    char api[16];     /* opencl, cuda */
    char device[192]; /* as its driver calls it (runtime/device.h); "": it has none */
  } gpu[NEO_MAX_GPUS];
} neo_hello;
/* Which GPU the board has for a driver: "" if none, or nobody asked. */
const char *neo_hello_device(const neo_hello *hello, const char *api);
/* A text in a payload: u8 length and bytes; of a text in an array of `size` bytes, at most size - 1
 * (and 255) of them. What does not fit `out` or holds a zero byte fails the reader. */
void neo_rpc_put_text(neo_buf *out, const char *text, size_t size);
void neo_rpc_get_text(neo_reader *in, char *out, size_t size);
/* What the other end said will be printed: it must not move a terminal's cursor. */
void neo_rpc_make_printable(char *text);
void neo_hello_encode(neo_buf *out, const neo_hello *hello);
neo_status neo_hello_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_hello *out);

/* Makes it ask about a driver's GPU, since looking takes time; NULL: none; "": all. */
void neo_hello_ask(neo_hello *hello, const char *gpu);
/* Says hello, asking about that GPU, and waits for the answer. */
neo_status neo_board_hello(neo_ctx *ctx, int fd, const char *gpu, neo_hello *out, int timeout_ms);

typedef struct neo_blob {
  char key[33]; /* neo_key_text of the bytes */
  const void *data;
  size_t size;
} neo_blob;
/* Asks which are missing and sends those. No job may be in flight. One that the board refuses is
 * told by the log later, and is missing for the jobs that need it: an outcome BOARD. */
neo_status neo_board_put(neo_ctx *ctx, int fd, int n, const neo_blob *blob, int timeout_ms);
/* Queues a job under the caller's id (below NEO_ID_BLOB); several may be in flight, results come in
 * order. */
neo_status neo_board_submit(neo_ctx *ctx, int fd, uint32_t id, const neo_job *job, int timeout_ms);
/* The next result; an ERROR frame for a job comes back as an outcome BOARD. NEO_UNREACHABLE on
 * time-out or a dead board. neo_job_result_fini(out) in any case of NEO_OK. */
neo_status neo_board_result(neo_ctx *ctx, int fd, uint32_t *out_id, neo_job_result *out,
                            int timeout_ms);

/* The agent's main loop over one stream; returns when the peer says BYE or closes. Single-threaded
 * parent; forks one child per job. */
typedef struct neo_board_options {
  int in_fd, out_fd;
  int cpus[64], n_cpus; /* to pin measuring to; 0: all allowed */
  size_t cache_bytes;   /* blobs; 0: 2 GiB */
  int gpu_ms;           /* until drivers of GPUs must have answered; 0: NEO_GPU_MS */
  bool child;           /* this process is of one job and runs it itself (systems without fork) */
  intptr_t shared;      /* of such a process: the handle of its parent's memory */
  const char *counters; /* a file of the emulator that runs the board: candidates are counted, not
                           timed, against no incumbent; NULL: timed */
} neo_board_options;
neo_status neo_board_serve(neo_ctx *ctx, const neo_board_options *options);

#endif
