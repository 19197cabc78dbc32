/* base/core.h: what every folder may use. Depends on libc only, so that runtime/ and rpc/ (which
 * live in other people's processes and on boards) can use it too.
 *
 * Errors. A fallible function returns neo_status; its results go through trailing out_ parameters,
 * which are untouched on failure. The reason is text in the context: the first message wins.
 * The numeric values are also the exit codes of the programs.
 *
 * Threads. A neo_ctx belongs to one thread at a time; make one per worker (neo_ctx_fork). */
#ifndef NEO_BASE_CORE_H
#define NEO_BASE_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__MINGW32__) /* C99's formats, as everywhere else: with __USE_MINGW_ANSI_STDIO */
#define NEO_PRINTF(f, a) __attribute__((format(gnu_printf, f, a)))
#elif defined(__GNUC__)
#define NEO_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define NEO_PRINTF(f, a)
#endif

typedef enum neo_status {
  NEO_OK = 0,
  NEO_INTERNAL = 1,         /* our own bug */
  NEO_USAGE = 2,            /* the caller's arguments */
  NEO_BAD_INPUT = 3,        /* a file, text or frame that is not what it should be */
  NEO_UNSUPPORTED = 4,      /* well-formed, but we have no implementation */
  NEO_NOTHING_MEASURED = 5, /* a tuning run in which no trial could be measured */
  NEO_UNREACHABLE = 6,      /* board or store cannot be reached */
  NEO_NO_MEMORY = 7,
  NEO_IO = 8,            /* disk full, permission, missing file */
  NEO_INTERRUPTED = 130, /* Ctrl-C; the work so far is kept */
} neo_status;

/* ---- allocation ------------------------------------------------------------------------------ */

/* realloc-shaped: size 0 frees and returns NULL; ptr NULL allocates. May fail with NULL. */
typedef struct neo_allocator {
  void *(*resize)(void *self, void *ptr, size_t size);
  void *self;
} neo_allocator;

/* ---- random numbers: xoshiro256** seeded by splitmix64 --------------------------------------- */

typedef struct neo_rng {
  uint64_t s[4];
} neo_rng;

void neo_rng_init(neo_rng *rng, uint64_t seed);
uint64_t neo_rng_next(neo_rng *rng);
/* Uniform in [0, n), n > 0, without modulo bias. */
uint64_t neo_rng_below(neo_rng *rng, uint64_t n);
double neo_rng_unit(neo_rng *rng);   /* [0, 1) */
double neo_rng_normal(neo_rng *rng); /* mean 0, deviation 1 */

/* ---- the context ----------------------------------------------------------------------------- */

typedef enum neo_log_level {
  NEO_LOG_ERROR,
  NEO_LOG_WARN,
  NEO_LOG_INFO,
  NEO_LOG_DEBUG
} neo_log_level;
typedef void (*neo_log_fn)(void *self, neo_log_level level, const char *text);

typedef struct neo_ctx {
  const neo_allocator *allocator; /* NULL: libc */
  neo_log_fn log;                 /* NULL: silent */
  void *log_self;
  uint64_t (*now_ns)(void *self); /* NULL: CLOCK_MONOTONIC */
  void *now_self;
  neo_rng rng;
  neo_status status;  /* of the first neo_fail since the last neo_ctx_clear */
  char message[1024]; /* its text */
} neo_ctx;

void neo_ctx_init(neo_ctx *ctx, uint64_t seed);
/* A context for another thread: same allocator, log and clock, own errors, rng from parent's. */
void neo_ctx_fork(neo_ctx *ctx, neo_ctx *parent);
void neo_ctx_clear(neo_ctx *ctx); /* forget the recorded failure */
/* Records the message if none is recorded yet; returns status, so: return neo_fail(ctx, ...). */
neo_status neo_fail(neo_ctx *ctx, neo_status status, const char *format, ...) NEO_PRINTF(3, 4);
void neo_log(neo_ctx *ctx, neo_log_level level, const char *format, ...) NEO_PRINTF(3, 4);
uint64_t neo_now_ns(neo_ctx *ctx); /* monotonic */
/* The time of that clock that is ms milliseconds from now. */
uint64_t neo_deadline(neo_ctx *ctx, int64_t ms);
/* Milliseconds until then, for a call that waits: rounded up, at most 2^30; 0: it is over. */
int neo_deadline_left(neo_ctx *ctx, uint64_t deadline);
const char *neo_status_name(neo_status status);

/* Return the failure of a call at once; only where nothing must be released. */
#define NEO_TRY(call)                                                                              \
  do {                                                                                             \
    neo_status try_status_ = (call);                                                               \
    if (try_status_ != NEO_OK)                                                                     \
      return try_status_;                                                                          \
  } while (0)

/* May return NULL; the caller then says neo_fail(ctx, NEO_NO_MEMORY, ...). */
void *neo_alloc(neo_ctx *ctx, size_t size); /* zeroed */
void *neo_resize(neo_ctx *ctx, void *ptr, size_t size);
void neo_free(neo_ctx *ctx, void *ptr); /* NULL is fine */
/* 64-byte aligned, zeroed, for tensor data; large blocks prefer huge pages. Free with
 * neo_aligned_free. */
void *neo_aligned_alloc(neo_ctx *ctx, size_t size);
/* Asks the system to back what lies in whole huge pages of this memory by such pages, before it is
 * touched: fewer address translations, and neighbours in memory are neighbours in the caches. A
 * hint: systems without it do nothing. */
void neo_pages_prefer_huge(void *data, size_t bytes);
void neo_aligned_free(neo_ctx *ctx, void *ptr);
/* a * b without overflow; false on overflow. Sizes are non-negative. */
bool neo_mul_size(size_t a, size_t b, size_t *out);

/* For our own bugs, never for input: prints file, line and the condition, then aborts. */
#define neo_assert(cond) ((cond) ? (void)0 : neo_assert_failed(#cond, __FILE__, __LINE__))
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void neo_assert_failed(const char *cond, const char *file, int line);

/* ---- arena: memory of one lifetime (a model, a task, a generation) --------------------------- */

/* Compile-side only: when memory runs out an arena prints one line and exits with NEO_NO_MEMORY
 * (nothing in tune or compile is lost by that: the store is transactional and artifacts are
 * renamed into place). Big or attacker-sized blocks go through neo_alloc and a status instead.
 * runtime/, rpc/ and tuning-db/ do not use arenas. */
typedef struct neo_arena_chunk neo_arena_chunk;
typedef struct neo_arena {
  neo_arena_chunk *head;
  size_t used, total; /* bytes in the head chunk; bytes in all chunks */
} neo_arena;

void neo_arena_init(neo_arena *arena);
void neo_arena_fini(neo_arena *arena);
void neo_arena_reset(neo_arena *arena);               /* keeps one chunk for reuse */
void *neo_arena_alloc(neo_arena *arena, size_t size); /* zeroed, 16-byte aligned, never NULL */
void *neo_arena_copy(neo_arena *arena, const void *data, size_t size);
char *neo_arena_strdup(neo_arena *arena, const char *text);
char *neo_arena_strndup(neo_arena *arena, const char *text, size_t length);
char *neo_arena_printf(neo_arena *arena, const char *format, ...) NEO_PRINTF(2, 3);
/* Grows an array kept in an arena: returns ptr or a copy with room for `need` elements and updates
 * *cap (doubling). */
void *neo_arena_grow(neo_arena *arena, void *ptr, int *cap, int need, size_t element_size);

/* ---- growable bytes -------------------------------------------------------------------------- */

/* Zero-initialised is empty. `failed` is sticky: append calls after a failed allocation do nothing;
 * check once at the end. data is NUL-terminated (the NUL is not counted in size). */
typedef struct neo_buf {
  char *data;
  size_t size, capacity;
  bool failed;
} neo_buf;

void neo_buf_fini(neo_buf *buf);
void neo_buf_clear(neo_buf *buf); /* keeps the memory */
void neo_buf_append(neo_buf *buf, const void *data, size_t size);
void neo_buf_text(neo_buf *buf, const char *text);
void neo_buf_printf(neo_buf *buf, const char *format, ...) NEO_PRINTF(2, 3);
void neo_buf_vprintf(neo_buf *buf, const char *format, va_list args);
void neo_buf_u8(neo_buf *buf, uint8_t v);
void neo_buf_u32le(neo_buf *buf, uint32_t v);
void neo_buf_u64le(neo_buf *buf, uint64_t v);
/* Shortest decimal text that reads back as the same double; "inf", "-inf", "nan" spelled so. */
void neo_buf_double(neo_buf *buf, double v);

/* ---- little-endian reading with bounds (formats, frames) ------------------------------------- */

typedef struct neo_reader {
  const uint8_t *data;
  size_t size, at;
  bool failed; /* sticky: a read past the end; all further reads give 0 */
} neo_reader;

uint8_t neo_read_u8(neo_reader *reader);
uint32_t neo_read_u32le(neo_reader *reader);
uint64_t neo_read_u64le(neo_reader *reader);
const uint8_t *neo_read_bytes(neo_reader *reader, size_t size); /* NULL when not available */

/* ---- text reading (schedule lines, te, graph, nest texts) ------------------------------------ */

typedef struct neo_scan {
  const char *text, *at;
  int line; /* 1-based, for messages */
} neo_scan;

void neo_scan_init(neo_scan *scan, const char *text);
void neo_scan_space(neo_scan *scan);                    /* skips blanks and tabs, not newlines */
bool neo_scan_newline(neo_scan *scan);                  /* blanks, then one '\n' */
bool neo_scan_end(neo_scan *scan);                      /* blanks and newlines, then NUL */
bool neo_scan_token(neo_scan *scan, const char *token); /* blanks, then exactly these characters */
bool neo_scan_int(neo_scan *scan, int64_t *out);        /* blanks, [+-] digits; no overflow */
bool neo_scan_double(neo_scan *scan, double *out);      /* also inf, -inf, nan; locale-free */
/* Blanks, then [A-Za-z_][A-Za-z0-9_]*, copied; false if none or longer than size - 1. */
bool neo_scan_name(neo_scan *scan, char *out, size_t size);

/* ---- hashing --------------------------------------------------------------------------------- */

/* FIPS 180-4. */
void neo_sha256(const void *data, size_t size, uint8_t out[32]);
/* The first 128 bits of the SHA-256 as 32 lower-case hex digits and a NUL: every key of Neo. */
void neo_key_text(const void *data, size_t size, char out[33]);
uint64_t neo_hash64(const void *data, size_t size); /* in-memory tables only; never stored */
uint32_t neo_crc32(uint32_t crc, const void *data, size_t size); /* IEEE 802.3; start with 0 */

/* Open addressing, string keys (copied) to pointers. Zero-initialised is empty. */
typedef struct neo_map {
  struct neo_map_slot *slots;
  size_t used, capacity;
} neo_map;

void neo_map_fini(neo_map *map);
void *neo_map_get(const neo_map *map, const char *key);       /* NULL if absent */
bool neo_map_put(neo_map *map, const char *key, void *value); /* false: out of memory */

/* ---- small things ---------------------------------------------------------------------------- */

#define NEO_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
static inline int64_t neo_min_i64(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static inline int64_t neo_max_i64(int64_t a, int64_t b) {
  return a > b ? a : b;
}
/* a >= 0, b > 0 */
static inline int64_t neo_ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t neo_floor_div(int64_t a, int64_t b); /* b > 0, rounds towards -infinity */
int64_t neo_floor_mod(int64_t a, int64_t b); /* b > 0, result in [0, b) */

#endif
