/* tests/driver/test_windows.c: concatenations, slices and transposes without copies (ir/windows.h):
 * which of them have a kernel, and that results are the interpreter's, also for graphs made at
 * random. */
#include "tests/driver/graph_case.h"

static neo_ctx ctx;

typedef struct window_case {
  const char *name, *text;
  int copies; /* kernels that concatenate, slice, split, gather or transpose */
} window_case;

static const window_case cases[] = {
    /* a part has another reader; the result has two */
    {"concat",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [1,8,6,6]\n"
     "%1 const \"w\" f32 [1,8,1,1] {1,2,3,4,5,6,7,8}\n"
     "%2 \"a\" f32 [1,8,6,6] = tanh(%0) \"a\"\n"
     "%3 \"b\" f32 [1,8,6,6] = softmax(%0) {axis=1} \"b\"\n"
     "%4 \"c\" f32 [1,16,6,6] = concat(%2, %3) {axis=1} \"c\"\n"
     "%5 \"d\" f32 [1,16,6,6] = softmax(%4) {axis=3} \"d\"\n"
     "%6 \"e\" f32 [1,16,1,1] = global_average_pool(%4) \"e\"\n"
     "%7 \"f\" f32 [1,8,6,6] = softmax(%2) {axis=2} \"f\"\n"
     "output %5 \"d\"\n"
     "output %6 \"e\"\n"
     "output %7 \"f\"\n",
     0},
    /* a batch of two: rows of the parts lie apart */
    {"batch",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [2,3,4,5]\n"
     "%1 \"a\" f32 [2,3,4,5] = softmax(%0) {axis=3} \"a\"\n"
     "%2 \"b\" f32 [2,3,4,5] = softmax(%0) {axis=1} \"b\"\n"
     "%3 \"c\" f32 [2,6,4,5] = concat(%1, %2) {axis=1} \"c\"\n"
     "%4 \"d\" f32 [2,6,4,5] = softmax(%3) {axis=1} \"d\"\n"
     "output %4 \"d\"\n",
     0},
    /* a part that is read in another shape, too, cannot lie in rows that are apart: a view stands
     * before the concatenation, and what it is has no strides in it */
    {"part with a view",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [2,24]\n"
     "%1 input \"y\" f32 [2,24]\n"
     "%2 const \"k\" f32 [] {0.5}\n"
     "%3 \"w\" f32 [2,24] = mul(%0, %2) \"w\"\n"
     "%4 \"c\" f32 [2,24] = exp(%1) \"c\"\n"
     "%5 const \"flat\" i64 [1] {48}\n"
     "%6 \"wf\" f32 [48] = reshape(%3, %5) \"wf\"\n"
     "%7 \"v\" f32 [48] = softmax(%6) {axis=0} \"v\"\n"
     "%8 \"both\" f32 [2,48] = concat(%4, %3) {axis=1} \"both\"\n"
     "%9 const \"s\" i64 [3] {2,48,1}\n"
     "%10 \"u\" f32 [2,48,1] = reshape(%8, %9) \"u\"\n"
     "%11 \"z\" f32 [2,48,1] = softmax(%10) {axis=1} \"z\"\n"
     "output %7 \"v\"\n"
     "output %11 \"z\"\n",
     1},
    /* what has memory of its own is copied: an input; the same part twice; in two results */
    {"owned",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [1,4,3]\n"
     "%1 \"a\" f32 [1,4,3] = softmax(%0) {axis=2} \"a\"\n"
     "%2 \"b\" f32 [1,4,3] = softmax(%0) {axis=1} \"b\"\n"
     "%3 \"p\" f32 [1,8,3] = concat(%0, %1) {axis=1} \"p\"\n"
     "%4 \"q\" f32 [1,8,3] = concat(%2, %2) {axis=1} \"q\"\n"
     "%5 \"r\" f32 [1,8,3] = softmax(%3) {axis=1} \"r\"\n"
     "%6 \"s\" f32 [1,8,3] = softmax(%4) {axis=1} \"s\"\n"
     "output %5 \"r\"\n"
     "output %6 \"s\"\n",
     2},
    {"two results",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [4,3]\n"
     "%1 \"a\" f32 [4,3] = softmax(%0) {axis=0} \"a\"\n"
     "%2 \"b\" f32 [4,3] = softmax(%0) {axis=1} \"b\"\n"
     "%3 \"p\" f32 [8,3] = concat(%1, %2) {axis=0} \"p\"\n"
     "%4 \"q\" f32 [8,3] = concat(%2, %1) {axis=0} \"q\"\n"
     "%5 \"r\" f32 [8,3] = softmax(%3) {axis=0} \"r\"\n"
     "%6 \"s\" f32 [8,3] = softmax(%4) {axis=0} \"s\"\n"
     "output %5 \"r\"\n"
     "output %6 \"s\"\n",
     1},
    /* outputs lie where the caller wants them: the result, a view of it, or a part */
    {"outputs",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [4,3]\n"
     "%1 const \"n\" i64 [1] {24}\n"
     "%2 \"a\" f32 [4,3] = softmax(%0) {axis=0} \"a\"\n"
     "%3 \"b\" f32 [4,3] = softmax(%0) {axis=1} \"b\"\n"
     "%4 \"p\" f32 [8,3] = concat(%2, %3) {axis=0} \"p\"\n"
     "%5 \"v\" f32 [24] = reshape(%4, %1) \"v\"\n"
     "%6 \"s\" f32 [8,3] = softmax(%4) {axis=0} \"s\"\n"
     "output %5 \"v\"\n"
     "output %6 \"s\"\n"
     "output %3 \"b\"\n",
     1},
    /* within each other, along two dimensions */
    {"nested",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [2,3,4]\n"
     "%1 \"a\" f32 [2,3,4] = softmax(%0) {axis=0} \"a\"\n"
     "%2 \"b\" f32 [2,3,4] = softmax(%0) {axis=1} \"b\"\n"
     "%3 \"c\" f32 [2,6,4] = concat(%1, %2) {axis=1} \"c\"\n"
     "%4 \"d\" f32 [2,6,4] = softmax(%3) {axis=2} \"d\"\n"
     "%5 \"e\" f32 [2,6,8] = concat(%4, %3) {axis=2} \"e\"\n"
     "%6 \"f\" f32 [2,6,8] = softmax(%5) {axis=2} \"f\"\n"
     "output %6 \"f\"\n",
     0},
    /* as in DenseNet: one memory that grows */
    {"growing",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [1,4,5,5]\n"
     "%1 \"a\" f32 [1,4,5,5] = softmax(%0) {axis=1} \"a\"\n"
     "%2 \"b\" f32 [1,4,5,5] = softmax(%1) {axis=2} \"b\"\n"
     "%3 \"ab\" f32 [1,8,5,5] = concat(%1, %2) {axis=1} \"ab\"\n"
     "%4 \"c\" f32 [1,8,5,5] = softmax(%3) {axis=1} \"c\"\n"
     "%5 \"abc\" f32 [1,16,5,5] = concat(%1, %2, %4) {axis=1} \"abc\"\n"
     "%6 \"d\" f32 [1,16,5,5] = softmax(%5) {axis=1} \"d\"\n"
     "%7 \"abcd\" f32 [1,32,5,5] = concat(%1, %2, %4, %6) {axis=1} \"abcd\"\n"
     "%8 \"e\" f32 [1,32,5,5] = softmax(%7) {axis=1} \"e\"\n"
     "output %8 \"e\"\n",
     0},
    /* slices are read where they lie; a view wants one in a piece: rows are, columns are not */
    {"slices",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [6,8]\n"
     "%1 const \"flat\" i64 [1] {24}\n"
     "%2 \"a\" f32 [6,8] = softmax(%0) {axis=0} \"a\"\n"
     "%3 \"top\" f32 [3,8], %4 \"low\" f32 [3,8] = split(%2) {axis=0} \"rows\"\n"
     "%5 \"left\" f32 [6,4], %6 \"right\" f32 [6,4] = split(%2) {axis=1} \"columns\"\n"
     "%7 \"v\" f32 [24] = reshape(%4, %1) \"v\"\n"
     "%8 \"w\" f32 [24] = reshape(%6, %1) \"w\"\n"
     "%9 \"s\" f32 [24] = add(%7, %8) \"s\"\n"
     "%10 \"p\" f32 [3,8] = softmax(%3) {axis=1} \"p\"\n"
     "%11 \"q\" f32 [6,4] = softmax(%5) {axis=1} \"q\"\n"
     "output %9 \"s\"\n"
     "output %10 \"p\"\n"
     "output %11 \"q\"\n",
     1},
    /* no result may take over memory of which others still have parts */
    {"taking over",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [4,16]\n"
     "%1 \"a\" f32 [4,16] = softmax(%0) {axis=1} \"a\"\n"
     "%2 \"b\" f32 [4,16] = softmax(%1) {axis=0} \"b\"\n"
     "%3 \"c\" f32 [8,16] = concat(%1, %2) {axis=0} \"c\"\n"
     "%4 \"m\" f32 [4,16] = softmax(%2) {axis=1} \"m\"\n"
     "%5 \"n\" f32 [4,16] = add(%4, %1) \"n\"\n"
     "%6 \"d\" f32 [8,16] = softmax(%3) {axis=1} \"d\"\n"
     "%7 \"e\" f32 [4,16], %8 \"f\" f32 [4,16] = split(%6) {axis=0} \"ef\"\n"
     "%9 \"g\" f32 [4,16] = softmax(%7) {axis=0} \"g\"\n"
     "%10 \"h\" f32 [4,16] = add(%9, %5) \"h\"\n"
     "%11 \"i\" f32 [4,16] = softmax(%8) {axis=0} \"i\"\n"
     "output %10 \"h\"\n"
     "output %11 \"i\"\n",
     0},
    /* attention: three heads' rows are cut out of one product by strides alone; an operand of a
     * product is packed by a transpose, the result is written in the order that the view wants */
    {"attention",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [10,1,12]\n"
     "%1 input \"w\" f32 [12,36]\n"
     "%2 const \"i0\" i64 [] {0}\n"
     "%3 const \"i1\" i64 [] {1}\n"
     "%4 const \"i2\" i64 [] {-1}\n"
     "%5 const \"half\" f32 [] {0.5}\n"
     "%6 \"m\" f32 [10,1,36] = matmul(%0, %1) \"m\"\n"
     "%7 \"qkv\" f32 [10,1,3,12] = reshape(%6) {shape=[10,1,3,12]} \"qkv\"\n"
     "%8 \"q\" f32 [10,1,12] = gather(%7, %2) {axis=2} \"q\"\n"
     "%9 \"k\" f32 [10,1,12] = gather(%7, %3) {axis=2} \"k\"\n"
     "%10 \"v\" f32 [10,1,12] = gather(%7, %4) {axis=2} \"v\"\n"
     "%11 \"qh\" f32 [1,10,3,4] = reshape(%8) {shape=[1,10,3,4]} \"qh\"\n"
     "%12 \"kh\" f32 [1,10,3,4] = reshape(%9) {shape=[1,10,3,4]} \"kh\"\n"
     "%13 \"vh\" f32 [1,10,3,4] = reshape(%10) {shape=[1,10,3,4]} \"vh\"\n"
     "%14 \"qs\" f32 [1,10,3,4] = mul(%11, %5) \"qs\"\n"
     "%15 \"ks\" f32 [1,10,3,4] = mul(%12, %5) \"ks\"\n"
     "%16 \"qt\" f32 [1,3,10,4] = transpose(%14) {perm=[0,2,1,3]} \"qt\"\n"
     "%17 \"kt\" f32 [1,3,4,10] = transpose(%15) {perm=[0,2,3,1]} \"kt\"\n"
     "%18 \"vt\" f32 [1,3,10,4] = transpose(%13) {perm=[0,2,1,3]} \"vt\"\n"
     "%19 \"s\" f32 [1,3,10,10] = matmul(%16, %17) \"s\"\n"
     "%20 \"p\" f32 [1,3,10,10] = softmax(%19) {axis=3} \"p\"\n"
     "%21 \"o\" f32 [1,3,10,4] = matmul(%20, %18) \"o\"\n"
     "%22 \"ot\" f32 [10,1,3,4] = transpose(%21) {perm=[2,0,1,3]} \"ot\"\n"
     "%23 \"y\" f32 [10,12] = reshape(%22) {shape=[10,12]} \"y\"\n"
     "%24 \"z\" f32 [10,36] = matmul(%23, %1) \"z\"\n"
     "output %24 \"z\"\n",
     3},
    /* in a loop: parts of the body's own values */
    {"loop",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [2,4]\n"
     "%1 input \"n\" i64 []\n"
     "%2 \"t\" f32 [2,4] = softmax(%0) {axis=1} \"t\"\n"
     "%3 \"p\" f32 [2,4] = loop(%1, _, %0, %2) {body=graph \"b\" {\n"
     "  %0 input \"i\" i64 []\n"
     "  %1 input \"c\" bool []\n"
     "  %2 input \"p\" f32 [2,4]\n"
     "  %3 input \"t\" f32 [2,4]\n"
     "  %4 const \"yes\" bool [] {1}\n"
     "  %5 \"a\" f32 [2,4] = softmax(%2) {axis=0} \"a\"\n"
     "  %6 \"b\" f32 [2,4] = softmax(%3) {axis=0} \"b\"\n"
     "  %7 \"c\" f32 [4,4] = concat(%5, %6) {axis=0} \"c\"\n"
     "  %8 \"d\" f32 [4,4] = softmax(%7) {axis=1} \"d\"\n"
     "  %9 \"e\" f32 [2,4], %10 \"f\" f32 [2,4] = split(%8) {axis=0} \"ef\"\n"
     "  %11 \"s\" f32 [2,4] = sub(%9, %10) \"s\"\n"
     "  output %4 \"c\"\n"
     "  output %11 \"s\"\n"
     "}, n_state=1} \"loop\"\n"
     "output %3 \"p\"\n",
     0},
    /* parts that begin at multiples of 4 bytes and no more, some of the same task as ones that
     * begin at 16: a GPU's kernels must not rely on more */
    {"odd",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [1,3,5,4]\n"
     "%1 input \"y\" f32 [1,1,5,3]\n"
     "%2 \"a\" f32 [1,3,5,4] = softmax(%0) {axis=1} \"a\"\n"
     "%3 \"b\" f32 [1,1,5,3] = softmax(%1) {axis=2} \"b\"\n"
     "%4 \"c\" f32 [1,1,5,3] = softmax(%1) {axis=3} \"c\"\n"
     "%5 \"d\" f32 [1,1,5,3] = tanh(%1) \"d\"\n"
     "%6 \"e\" f32 [1,3,5,3] = concat(%3, %4, %5) {axis=1} \"e\"\n"
     "%7 \"f\" f32 [1,3,5,7] = concat(%2, %6) {axis=3} \"f\"\n"
     "%8 \"g\" f32 [1,3,5,7] = softmax(%7) {axis=3} \"g\"\n"
     "%9 \"h\" f32 [1,1,5,7], %10 \"i\" f32 [1,1,5,7], %11 \"j\" f32 [1,1,5,7] = split(%8) "
     "{axis=1} \"hij\"\n"
     "%12 \"k\" f32 [1,1,5,7] = exp(%9) \"k\"\n"
     "%13 \"l\" f32 [1,1,5,7] = exp(%10) \"l\"\n"
     "%14 \"m\" f32 [1,1,5,7] = exp(%11) \"m\"\n"
     "output %12 \"k\"\n"
     "output %13 \"l\"\n"
     "output %14 \"m\"\n",
     0},
};

/* Kernels that only move. */
static int count_copies(const char *dir) {
  char path[400];
  neo_buf text = {0};
  json_t *model = NULL;
  int n = 0;
  size_t i;
  snprintf(path, sizeof path, "%s/compiled_model.json", dir);
  must(&ctx, neo_file_read(&ctx, path, 0, &text));
  must(&ctx, neo_json_parse(&ctx, path, text.data, text.size, &model));
  json_t *steps = json_object_get(model, "steps"), *step;
  json_array_foreach(steps, i, step) {
    const char *name = json_string_value(json_object_get(step, "name"));
    static const char *const movers[] = {"(concat)", "(slice)", "(split)", "(gather)",
                                         "(transpose)"};
    for (int k = 0; k < NEO_COUNT(movers); k++)
      n += strstr(name, movers[k]) != NULL;
  }
  json_decref(model);
  neo_buf_fini(&text);
  return n;
}

/* copies < 0: any. */
static void text_runs(const char *text, const char *scratch, int threads, int copies) {
  char path[300], dir[300];
  neo_graph *graph = NULL;
  neo_project project;
  neo_compile_result result;
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  snprintf(path, sizeof path, "%s/case.graph", scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  must(&ctx, neo_graph_parse(&ctx, text, &graph));
  must(&ctx, neo_file_write(&ctx, path, text, strlen(text)));
  neo_project_options options = {.model = path, .threads = threads, .target = case_target()};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  must(&ctx, neo_compile(&ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
  neo_project_close(&project);
  if (copies >= 0)
    assert_int_equal(count_copies(dir), copies);
  rt_must(neo_rt_load(dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  for (uint64_t seed = 0; seed < 3; seed++)
    graph_runs(&ctx, graph, session, model, seed * 10);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  neo_graph_destroy(graph);
}

static void case_runs(void **state) {
  const window_case *c = *state;
  char scratch[256];
  scratch_create(&ctx, scratch);
  for (int threads = 1; threads <= (case_target() ? 1 : 2); threads++)
    text_runs(c->text, scratch, threads, c->copies);
  scratch_remove(&ctx, scratch);
}

/* ---- graphs made at random ------------------------------------------------------------------- */

enum { MAX_VALUES = 24, NODES = 16, RANK = 4, GRAPHS = 32, GRAPHS_OF_GPU = 4 };

typedef struct random_graph {
  neo_rng rng;
  neo_buf text;
  int n;
  int64_t dim[MAX_VALUES][RANK];
  bool used[MAX_VALUES];
} random_graph;

static void print_dims(neo_buf *out, const int64_t *dim) {
  for (int d = 0; d < RANK; d++)
    neo_buf_printf(out, "%s%d", d ? "," : "[", (int)dim[d]);
  neo_buf_text(out, "]");
}

/* Declares value n; false if it would be too large. */
static bool declare(random_graph *g, const int64_t *dim) {
  if (dim[0] * dim[1] * dim[2] * dim[3] > 4096)
    return false;
  memcpy(g->dim[g->n], dim, sizeof g->dim[0]);
  neo_buf_printf(&g->text, "%%%d \"v%d\" f32 ", g->n, g->n);
  print_dims(&g->text, dim);
  return true;
}

static int pick(random_graph *g) {
  return (int)neo_rng_below(&g->rng, (uint64_t)g->n);
}

static bool add_concat(random_graph *g) {
  int axis = (int)neo_rng_below(&g->rng, RANK), part[3], n = 0;
  part[n++] = pick(g);
  for (int tries = 0; tries < 30 && n < 3; tries++) {
    int v = pick(g);
    bool fits = true;
    for (int d = 0; d < RANK; d++)
      fits = fits && (d == axis || g->dim[v][d] == g->dim[part[0]][d]);
    if (fits)
      part[n++] = v;
  }
  int64_t dim[RANK];
  memcpy(dim, g->dim[part[0]], sizeof dim);
  for (int k = 1; k < n; k++)
    dim[axis] += g->dim[part[k]][axis];
  if (n < 2 || !declare(g, dim))
    return false;
  neo_buf_text(&g->text, " = concat(");
  for (int k = 0; k < n; k++) {
    neo_buf_printf(&g->text, "%s%%%d", k ? ", " : "", part[k]);
    g->used[part[k]] = true;
  }
  neo_buf_printf(&g->text, ") {axis=%d} \"n%d\"\n", axis, g->n);
  return true;
}

/* Without its first third. */
static bool add_slice(random_graph *g) {
  int axis = (int)neo_rng_below(&g->rng, RANK), v = pick(g);
  int64_t dim[RANK], from = g->dim[v][axis] / 3;
  memcpy(dim, g->dim[v], sizeof dim);
  if (dim[axis] < 2)
    return false;
  dim[axis] -= from;
  if (!declare(g, dim))
    return false;
  g->used[v] = true;
  neo_buf_printf(&g->text, " = slice(%%%d) {axes=[%d], ends=[%d], starts=[%d]} \"n%d\"\n", v, axis,
                 (int)g->dim[v][axis], (int)from, g->n);
  return true;
}

static bool add_transpose(random_graph *g) {
  int v = pick(g), perm[RANK] = {0, 1, 2, 3};
  int64_t dim[RANK];
  for (int d = RANK - 1; d > 0; d--) {
    int k = (int)neo_rng_below(&g->rng, (uint64_t)d + 1), was = perm[d];
    perm[d] = perm[k];
    perm[k] = was;
  }
  for (int d = 0; d < RANK; d++)
    dim[d] = g->dim[v][perm[d]];
  declare(g, dim);
  g->used[v] = true;
  neo_buf_printf(&g->text, " = transpose(%%%d) {perm=[%d,%d,%d,%d]} \"n%d\"\n", v, perm[0], perm[1],
                 perm[2], perm[3], g->n);
  return true;
}

/* Two neighbouring dims become one, or one becomes two. */
static bool add_view(random_graph *g) {
  int v = pick(g), d = (int)neo_rng_below(&g->rng, RANK - 1);
  int64_t dim[RANK];
  memcpy(dim, g->dim[v], sizeof dim);
  if (dim[d] == 1 && dim[d + 1] % 2 == 0) {
    dim[d] = 2;
    dim[d + 1] /= 2;
  } else {
    dim[d + 1] *= dim[d];
    dim[d] = 1;
  }
  declare(g, dim);
  g->used[v] = true;
  neo_buf_printf(&g->text, " = reshape(%%%d) {shape=", v);
  print_dims(&g->text, dim);
  neo_buf_printf(&g->text, "} \"n%d\"\n", g->n);
  return true;
}

static bool add_softmax(random_graph *g) {
  int v = pick(g);
  declare(g, g->dim[v]);
  g->used[v] = true;
  neo_buf_printf(&g->text, " = softmax(%%%d) {axis=%d} \"n%d\"\n", v,
                 (int)neo_rng_below(&g->rng, RANK), g->n);
  return true;
}

static bool add_sum(random_graph *g) {
  int v = pick(g), w = pick(g);
  for (int tries = 0; tries < 30 && memcmp(g->dim[v], g->dim[w], sizeof g->dim[0]) != 0; tries++)
    w = pick(g);
  if (memcmp(g->dim[v], g->dim[w], sizeof g->dim[0]) != 0)
    return false;
  declare(g, g->dim[v]);
  g->used[v] = g->used[w] = true;
  neo_buf_printf(&g->text, " = add(%%%d, %%%d) \"n%d\"\n", v, w, g->n);
  return true;
}

static void make_random(random_graph *g, uint64_t seed) {
  static bool (*const add[])(random_graph *) = {add_concat,  add_slice, add_softmax,  add_sum,
                                                add_softmax, add_view,  add_transpose};
  memset(g, 0, sizeof *g);
  neo_rng_init(&g->rng, seed);
  neo_buf_text(&g->text, "graph 1 \"g\"\n");
  for (int d = 0; d < RANK; d++)
    g->dim[0][d] = d == 0 ? 1 + (int64_t)(seed % 2) : 2 + (int64_t)neo_rng_below(&g->rng, 4);
  neo_buf_text(&g->text, "%0 input \"v0\" f32 ");
  print_dims(&g->text, g->dim[0]);
  neo_buf_text(&g->text, "\n");
  g->n = 1;
  add_softmax(g);
  for (g->n = 2; g->n < NODES + 2;)
    g->n += add[neo_rng_below(&g->rng, NEO_COUNT(add))](g);
  int outputs = 0;
  for (int v = g->n - 1; v > 0 && outputs < MAX_IO; v--)
    if (!g->used[v] || outputs == 0) {
      neo_buf_printf(&g->text, "output %%%d \"v%d\"\n", v, v);
      outputs++;
    }
}

static void random_graphs(void **state) {
  (void)state;
  char scratch[256];
  scratch_create(&ctx, scratch);
  for (uint64_t seed = 0; seed < (case_target() ? GRAPHS_OF_GPU : GRAPHS); seed++) {
    random_graph g;
    make_random(&g, seed);
    text_runs(g.text.data, scratch, 1, -1);
    neo_buf_fini(&g.text);
  }
  scratch_remove(&ctx, scratch);
}

int main(void) {
  if (case_missing())
    return 77;
  /* a driver's compiler is slow: the last case, and few graphs */
  int first = case_target() ? NEO_COUNT(cases) - 1 : 0, n = 0;
  struct CMUnitTest tests[NEO_COUNT(cases) + 1];
  neo_ctx_init(&ctx, 1);
  for (int i = first; i < NEO_COUNT(cases); i++)
    tests[n++] = (struct CMUnitTest){
        .name = cases[i].name, .test_func = case_runs, .initial_state = (void *)&cases[i]};
  tests[n++] = (struct CMUnitTest)cmocka_unit_test(random_graphs);
  return _cmocka_run_group_tests("windows", tests, (size_t)n, NULL, NULL);
}
