/* tests/measure/conv_task.h: a convolution as a task for measurers: its te, key and space for this
 * machine. Include cmocka first. */
#ifndef NEO_TESTS_CONV_TASK_H
#define NEO_TESTS_CONV_TASK_H

#include "base/host.h"
#include "measure/measure.h"

typedef struct conv_task {
  neo_arena arena;
  neo_target target;
  neo_te te;
  char key[33];
  neo_space *space;
} conv_task;

static inline void must(const neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static inline void conv_task_init(neo_ctx *ctx, conv_task *t) {
  static const neo_layout row_major = {0};
  neo_buf text = {0};
  neo_arena_init(&t->arena);
  must(ctx, neo_file_read(ctx, NEO_SOURCE_DIR "/tests/data/te/conv_relu.te", 0, &text));
  must(ctx, neo_te_parse(ctx, &t->arena, text.data, &t->te));
  neo_buf_fini(&text);
  neo_te_key(&t->te, t->key);
  must(ctx, neo_target_find(ctx, NULL, &t->target));
  neo_space_options options = {.threads = 1, .max_params_growth = 4};
  for (int b = 0; b < t->te.n_buffers; b++)
    if (t->te.buffer[b].role == NEO_TE_IN || t->te.buffer[b].role == NEO_TE_OUT)
      options.fixed[b] = &row_major;
  must(ctx, neo_space_build(ctx, &t->te, &t->target, &options, &t->space));
}

static inline void conv_task_fini(conv_task *t) {
  neo_space_destroy(t->space);
  neo_arena_fini(&t->arena);
}

#endif
