/* What the store's tests share: a workload whose key is right, and a trial to start from. */
#ifndef NEO_TESTS_DB_FIXTURE_H
#define NEO_TESTS_DB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/host.h"
#include "tuning-db/store.h"

typedef struct fixture {
  neo_ctx ctx;
  char dir[256], path[300];
  neo_buf log;
} fixture;

static void fixture_log(void *self, neo_log_level level, const char *text) {
  (void)level;
  neo_buf_printf(self, "%s\n", text);
}

static inline int fixture_setup(void **state) {
  fixture *f = calloc(1, sizeof(*f));
  neo_ctx_init(&f->ctx, 1);
  f->ctx.log = fixture_log;
  f->ctx.log_self = &f->log;
  if (neo_dir_temp(&f->ctx, NULL, f->dir) != NEO_OK)
    return -1;
  snprintf(f->path, sizeof(f->path), "%s/tuning.db", f->dir);
  *state = f;
  return 0;
}

static inline int fixture_teardown(void **state) {
  fixture *f = *state;
  neo_dir_remove(&f->ctx, f->dir);
  neo_buf_fini(&f->log);
  free(f);
  return 0;
}

/* Workload "te 1\nb0 in f32 [N]\n..." with its key. */
typedef struct sample_workload {
  char key[33], text[200];
  neo_db_workload w;
} sample_workload;

static inline void sample_workload_init(sample_workload *s, int a, int b) {
  snprintf(s->text, sizeof(s->text),
           "te 1\nb0 in f32 [%d,%d]\nb1 out f32 [%d]\nB0 b1[i0] s[%d] r[%d] add f32:0\n  "
           "b0[i0, i1]\n",
           a, b, a, a, b);
  neo_key_text(s->text, strlen(s->text), s->key);
  s->w =
      (neo_db_workload){s->key, s->text,
                        "te 1\nb0 in f32 [#,#]\nb1 out f32 [#]\nB0 b1[i0] s[#] r[#] add f32:0\n  "
                        "b0[i0, i1]\n",
                        "sum", 1.0 * a * b};
}

static inline neo_db_trial sample_trial(const char *workload, int64_t run, int64_t attempt,
                                        double ns) {
  return (neo_db_trial){.run = run,
                        .attempt = attempt,
                        .workload = workload,
                        .target = "x86_64 avx2 vec=32",
                        .layout = "",
                        .schedule = "s1; alg direct",
                        .threads = 1,
                        .kind = "ok",
                        .ns = ns,
                        .predicted_ns = 0.1 + ns,
                        .ratio = 0.97,
                        .max_error = 0.25,
                        .fmas = 1e9,
                        .bytes = 4096,
                        .build_ns = 8e6,
                        .measure_ns = 2e7,
                        .repeats = "123.4 125.1",
                        .code_hash = "00112233445566778899aabbccddeeff",
                        .phase = "time",
                        .text = "",
                        .algorithm = "direct",
                        .error_class = "default",
                        .origin = "search",
                        .board = "here",
                        .tool = "neo 0.1",
                        .created_ms = 1700000000000};
}

#define OK(f, call)                                                                                \
  do {                                                                                             \
    neo_status ok_ = (call);                                                                       \
    if (ok_ != NEO_OK)                                                                             \
      fail_msg("%s: %s: %s", #call, neo_status_name(ok_), (f)->ctx.message);                       \
  } while (0)

#endif
