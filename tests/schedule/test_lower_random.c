/* Random schedules: whatever the plan accepts must pass the checker and compute the te.
 *
 * A line may be refused ("schedule: ..."), but a nest that the checker refuses ("nest: ...") or
 * that computes something else is a bug of the lowering. NEO_LOWER_RANDOM sets the number of lines
 * per te. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/schedule/lower_cases.h"
#include "tests/schedule/schedule_testing.h"

#define LINES 150

typedef struct writer {
  neo_buf line;
  neo_rng rng;
  const neo_te *te;
  int levels[NEO_TE_MAX_AXES]; /* of the current block */
  int order[24], n_loops;      /* axis * 4 + level */
} writer;

static int below(writer *w, int n) {
  return (int)neo_rng_below(&w->rng, (uint64_t)n);
}

static void write_layouts(writer *w) {
  for (int b = 0; b < w->te->n_buffers; b++) {
    int rank = w->te->buffer[b].shape.rank;
    if (rank < 2 || below(w, 2))
      continue;
    int order[NEO_MAX_RANK], blocked = below(w, 3) == 0 ? below(w, rank) : -1,
                             factor = 1 + below(w, 8);
    for (int k = 0; k < rank; k++)
      order[k] = k;
    for (int k = rank - 1; k > 0; k--) {
      int j = below(w, k + 1), t = order[k];
      order[k] = order[j];
      order[j] = t;
    }
    neo_buf_printf(&w->line, "; %s b%d ", w->te->buffer[b].role == NEO_TE_CONST ? "pack" : "lay",
                   b);
    for (int k = 0; k < rank; k++) {
      neo_buf_printf(&w->line, order[k] == blocked ? "%s%d/%d" : "%s%d", k ? "," : "", order[k],
                     factor);
      if (order[k] != blocked && w->te->buffer[b].role != NEO_TE_CONST && below(w, 6) == 0)
        neo_buf_printf(&w->line, "~%d", (int)w->te->buffer[b].shape.dim[order[k]] + below(w, 9));
    }
    if (blocked >= 0)
      neo_buf_printf(&w->line, ",%d%%%d", blocked, factor);
  }
}

static void write_splits(writer *w, int b) {
  const neo_te_block *block = &w->te->block[b];
  for (int a = 0; a < block->n_spatial + block->n_reduce; a++) {
    w->levels[a] = 1;
    int n = below(w, 2) ? 0 : 1 + below(w, 2);
    if (n == 0)
      continue;
    neo_buf_printf(&w->line, "; split B%d.%d", b, a);
    for (int j = 0; j < n; j++)
      neo_buf_printf(&w->line, " %d", 1 + below(w, 8));
    w->levels[a] = n + 1;
  }
}

static void write_order(writer *w, int b) {
  const neo_te_block *block = &w->te->block[b];
  int n_axes = block->n_spatial + block->n_reduce, next[NEO_TE_MAX_AXES] = {0}, total = 0;
  w->n_loops = 0;
  for (int a = 0; a < n_axes; a++)
    total += w->levels[a];
  bool tidy = below(w, 2); /* reduce axes mostly inside */
  if (total > 0)
    neo_buf_printf(&w->line, "; order B%d", b);
  while (w->n_loops < total) {
    int a = below(w, n_axes);
    if (next[a] == w->levels[a] || (tidy && a >= block->n_spatial && below(w, 4)))
      continue;
    neo_buf_printf(&w->line, w->levels[a] > 1 ? " %d.%d" : " %d", a, next[a]);
    w->order[w->n_loops++] = a * 4 + next[a]++;
  }
}

static void write_marks(writer *w, int b) {
  const neo_te_block *block = &w->te->block[b];
  for (int k = 0; k < w->n_loops; k++) {
    int a = w->order[k] / 4, level = w->order[k] % 4;
    bool last = k == w->n_loops - 1 && level == w->levels[a] - 1 && a < block->n_spatial;
    if (last && below(w, 4))
      neo_buf_printf(&w->line, "; vector B%d.%d.%d", b, a, level);
    else if (below(w, 5) == 0)
      neo_buf_printf(&w->line, "; unroll B%d.%d.%d", b, a, level);
    else if (a < block->n_spatial && below(w, 5) == 0)
      neo_buf_printf(&w->line, "; peel B%d.%d.%d", b, a, level);
  }
}

static void write_places(writer *w, const int *loops) {
  static const char *const scopes[] = {"reg", "stack", "work"};
  for (int b = 0; b < w->te->n_blocks; b++) {
    const neo_te_block *block = &w->te->block[b];
    bool tmp = w->te->buffer[block->buffer].role == NEO_TE_TMP;
    if (tmp && b + 1 < w->te->n_blocks && below(w, 2)) {
      int consumer = b + 1 + (below(w, 4) == 0 ? below(w, w->te->n_blocks - b - 1) : 0);
      neo_buf_printf(&w->line, "; at B%d B%d %d %s", b, consumer, below(w, loops[consumer] + 1),
                     scopes[below(w, 3)]);
    } else if (tmp && block->n_reduce == 0 && below(w, 8) == 0) {
      neo_buf_printf(&w->line, "; inline B%d", b);
    } else if (below(w, 2) && loops[b] > 0) {
      neo_buf_printf(&w->line, "; parallel B%d %d", b, below(w, loops[b]));
    }
  }
}

static void write_line(writer *w) {
  int loops[NEO_TE_MAX_BLOCKS];
  write_layouts(w);
  for (int b = 0; b < w->te->n_blocks; b++) {
    write_splits(w, b);
    write_order(w, b);
    write_marks(w, b);
    loops[b] = w->n_loops;
  }
  write_places(w, loops);
}

/* Lowers only; false if the line was refused, which the plan may do and nobody else. */
static bool accepted(schedule_testing *t, const char *line) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_ctx_clear(&t->ctx);
  neo_schedule *schedule = neo_arena_alloc(&arena, sizeof(*schedule));
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  if (neo_schedule_parse(&t->ctx, line, schedule) != NEO_OK)
    fail_msg("%s\n%s", line, t->ctx.message);
  neo_status status = neo_schedule_lower(&t->ctx, t->te, schedule, NULL, &arena, nest);
  if (status != NEO_OK &&
      (status != NEO_BAD_INPUT || strncmp(t->ctx.message, "schedule:", 9) != 0) &&
      !strstr(t->ctx.message, "stack buffers are too big"))
    fail_msg("%s\n%s", line, t->ctx.message);
  neo_arena_fini(&arena);
  return status == NEO_OK;
}

static int run_case(const lower_case *c, const char *alg, int lines, uint64_t seed) {
  schedule_testing t;
  schedule_testing_begin(&t, c->te, 11);
  writer w = {.te = neo_arena_alloc(&t.arena, sizeof(neo_te))};
  neo_rng_init(&w.rng, seed);
  neo_schedule *schedule = neo_arena_alloc(&t.arena, sizeof(*schedule));
  char head[64];
  snprintf(head, sizeof(head), "s1; alg %s", alg);
  int n = 0;
  assert_int_equal(neo_schedule_parse(&t.ctx, head, schedule), NEO_OK);
  neo_te *rewritten = neo_arena_alloc(&t.arena, sizeof(*rewritten));
  if (neo_schedule_rewrite(&t.ctx, t.te, schedule, &t.arena, rewritten) == NEO_OK) {
    w.te = rewritten;
    for (int i = 0; i < lines; i++) {
      neo_buf_clear(&w.line);
      neo_buf_text(&w.line, head);
      write_line(&w);
      if (!accepted(&t, w.line.data))
        continue;
      schedule_testing_check(&t, w.line.data, 3e-5);
      n++;
    }
  }
  neo_buf_fini(&w.line);
  schedule_testing_end(&t);
  return n;
}

static void random_schedules_compute_the_te(void **state) {
  (void)state;
  const char *wanted = getenv("NEO_LOWER_RANDOM"), *seed = getenv("NEO_LOWER_SEED");
  int lines = wanted ? (int)strtol(wanted, NULL, 10) : LINES;
  uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
  for (int i = 0; i < NEO_COUNT(lower_cases); i++) {
    int direct = run_case(&lower_cases[i], "direct", lines, first);
    int pad = run_case(&lower_cases[i], "pad", lines, first + 1);
    print_message("%-18s %d direct, %d pad of %d\n", lower_cases[i].name, direct, pad, lines);
    assert_true(direct > lines / 20);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_schedules_compute_the_te)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
