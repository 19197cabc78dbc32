/* tests/frontends/test_torch_code.c: what TorchScript code means: small modules written here, read
 * and run by the graph interpreter against values worked out by hand. w is [[1,2,3],[4,5,6]], x is
 * [[1,-2,3],[-4,5,-6]]. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"
#include "tests/frontends/torch_build.h"

static neo_ctx ctx;
static char folder[256];

static int start(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return neo_dir_temp(&ctx, NULL, folder) == NEO_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  return neo_dir_remove(&ctx, folder) == NEO_OK ? 0 : -1;
}

static neo_status import(const char *forward, neo_graph **out) {
  char path[300];
  zip_build z = {0};
  neo_binding binding = {.name = "x", .shape = {2, {2, 3}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding};
  script_archive(&z, forward);
  snprintf(path, sizeof path, "%s/m.pt", folder);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path, z.body.data, z.body.size), NEO_OK);
  zip_fini(&z);
  return neo_import(&ctx, path, &options, out);
}

static void gives(const char *forward, int n, const double *want) {
  neo_graph *graph = NULL;
  neo_tensor input, output[4] = {0};
  static const double x[6] = {1, -2, 3, -4, 5, -6};
  neo_status status = import(forward, &graph);
  if (status == NEO_OK)
    status = neo_graph_optimise(&ctx, graph);
  if (status != NEO_OK)
    fail_msg("%s\n%s", ctx.message, forward);
  assert_int_equal(neo_tensor_create(&ctx, NEO_F32, &(neo_shape){2, {2, 3}}, &input), NEO_OK);
  for (int i = 0; i < 6; i++)
    neo_tensor_set_f64(&input, i, x[i]);
  status = neo_graph_interpret(&ctx, graph, &input, output);
  if (status != NEO_OK)
    fail_msg("%s\n%s", ctx.message, forward);
  int64_t elements;
  assert_true(neo_shape_elements(&output[0].shape, &elements));
  if (elements != n)
    fail_msg("%lld elements, %d expected\n%s", (long long)elements, n, forward);
  for (int i = 0; i < n; i++)
    if (fabs(neo_tensor_get_f64(&output[0], i) - want[i]) > 1e-5 * (1 + fabs(want[i])))
      fail_msg("element %d: %g, expected %g\n%s", i, neo_tensor_get_f64(&output[0], i), want[i],
               forward);
  for (int i = 0; i < graph->n_outputs; i++)
    neo_tensor_free(&ctx, &output[i]);
  neo_tensor_free(&ctx, &input);
  neo_graph_destroy(graph);
}

#define GIVES(forward, ...)                                                                        \
  gives(forward, NEO_COUNT(((double[]){__VA_ARGS__})), (double[]){__VA_ARGS__})

static void fails(const char *forward, neo_status want, const char *part) {
  neo_graph *graph = NULL;
  neo_status status = import(forward, &graph);
  if (status != want || !strstr(ctx.message, part))
    fail_msg("status %s: %s", neo_status_name(status), ctx.message);
}

static void arithmetic_and_weights(void **state) {
  (void)state;
  GIVES("    w = self.w\n    return torch.add(x, w, alpha=2)\n", 3, 2, 9, 4, 15, 6);
  GIVES("    return torch.rsub(x, 1)\n", 0, 3, -2, 5, -4, 7);
  GIVES("    return torch.div(x, 2, rounding_mode=\"floor\")\n", 0, -1, 1, -2, 2, -3);
  GIVES("    return torch.div(x, 2, rounding_mode=\"trunc\")\n", 0, -1, 1, -2, 2, -3);
  GIVES("    return torch.remainder(x, 3)\n", 1, 1, 0, 2, 2, 0);
  GIVES("    return torch.clamp(x, None, 2)\n", 1, -2, 2, -4, 2, -6);
  GIVES("    return torch.masked_fill(x, torch.lt(x, 0), 7)\n", 1, 7, 3, 7, 5, 7);
  GIVES("    return torch.linear(x, self.w)\n", 6, 12, -12, -27);
  GIVES("    return torch.linear(x, self.w, torch.ones([2]))\n", 7, 13, -11, -26);
}

static void reductions(void **state) {
  (void)state;
  GIVES("    return torch.sum(x, [1])\n", 2, -5);
  GIVES("    return torch.mean(x)\n", -0.5);
  GIVES("    v, i = torch.max(x, 1)\n    return torch.add(v, i)\n", 5, 6);
  GIVES("    return torch.argmax(x)\n", 4);
  GIVES("    return torch.std(x, 1)\n", 2.5166115, 5.8594652);
  GIVES("    return torch.var(x, [1], False)\n", 4.2222222, 22.888889);
  GIVES("    return torch.any(torch.gt(x, 4), 1)\n", 0, 1);
  GIVES("    return torch.cumsum(x, 1)\n", 1, -1, 2, -4, 1, -5);
  GIVES("    return torch.norm(x, 2, [1])\n", 3.7416574, 8.7749644);
}

static void shapes_are_numbers(void **state) {
  (void)state;
  GIVES("    n = ops.prim.NumToTensor(torch.size(x, 0))\n    m = int(torch.mul(n, torch.size(x, "
        "1)))\n"
        "    return torch.view(x, [m])\n",
        1, -2, 3, -4, 5, -6);
  GIVES("    return torch.mul(x, torch.div(torch.size(x, 1), 2))\n", 1.5, -3, 4.5, -6, 7.5, -9);
  GIVES("    return torch.mul(x, torch.floordiv(torch.neg(torch.numel(x)), 4))\n", -2, 4, -6, 8,
        -10, 12);
  GIVES("    return torch.reshape(torch.transpose(x, 0, 1), [-1])\n", 1, -4, -2, 5, 3, -6);
  GIVES("    return torch.flatten(torch.permute(torch.unsqueeze(x, 0), [2, 1, 0]))\n", 1, -4, -2, 5,
        3, -6);
}

static void moving(void **state) {
  (void)state;
  GIVES("    return torch.roll(x, [1], [1])\n", 3, 1, -2, -6, -4, 5);
  GIVES("    return torch.flip(x, [0, 1])\n", -6, 5, -4, 3, -2, 1);
  GIVES("    a, b, = torch.chunk(x, 2, 1)\n    return torch.cat([b, a], 1)\n", 3, 1, -2, -6, -4, 5);
  GIVES("    return torch.stack(torch.unbind(x, 0), 1)\n", 1, -4, -2, 5, 3, -6);
  GIVES("    return torch.pad(x, [1, 0], \"constant\", 9.)\n", 9, 1, -2, 3, 9, -4, 5, -6);
  GIVES("    return torch.select(x, 1, -1)\n", 3, -6);
  GIVES("    return torch.slice(x, 1, 0, 9223372036854775807, 2)\n", 1, 3, -4, -6);
  GIVES("    return torch.repeat_interleave(torch.select(x, 0, 0), 2)\n", 1, 1, -2, -2, 3, 3);
  GIVES("    return torch.unfold(torch.select(x, 0, 0), 0, 2, 1)\n", 1, -2, -2, 3);
  GIVES("    return torch.index_select(x, 1, torch.arange(2, -1, -1))\n", 3, -2, 1, -6, 5, -4);
  GIVES("    return torch.tril(x)\n", 1, 0, 0, -4, 5, 0);
  GIVES("    return torch.movedim(x, 0, 1)\n", 1, -4, -2, 5, 3, -6);
}

static void in_place_changes_reach_views_and_bases(void **state) {
  (void)state;
  GIVES("    y = torch.relu_(x)\n    return x\n", 1, 0, 3, 0, 5, 0);
  GIVES("    y = torch.clone(x)\n    _0 = torch.zero_(torch.select(y, 1, 0))\n    return y\n", 0,
        -2, 3, 0, 5, -6);
  GIVES("    y = torch.zeros([2, 3])\n    _0 = torch.copy_(torch.slice(y, 1, 1, 3), torch.slice(x, "
        "1, 0, 2))\n    return y\n",
        0, 1, -2, 0, -4, 5);
  GIVES("    y = torch.clone(x)\n    z = torch.view(y, [6])\n    _0 = torch.add_(y, 1)\n    return "
        "z\n",
        2, -1, 4, -3, 6, -5);
  GIVES("    y = torch.clone(x)\n    z = torch.view(y, [6])\n    _0 = torch.mul_(torch.slice(z, 0, "
        "4, 6), 2)\n    return y\n",
        1, -2, 3, -4, 10, -12);
}

static void parts_replaced_in_a_copy(void **state) {
  (void)state;
  GIVES("    return torch.slice_scatter(x, torch.zeros([2, 2]), 1, 1, 3)\n", 1, 0, 0, -4, 0, 0);
  GIVES("    y = torch.select_scatter(x, torch.ones([3]), 0, 1)\n    return torch.add(y, x)\n", 2,
        -4, 6, -3, 6, -5);
  GIVES(
      "    y = torch.clone(x)\n    _0 = torch.unsqueeze_(y, 0)\n    return torch.select(y, 1, 1)\n",
      -4, 5, -6);
  GIVES("    return torch.log_sigmoid(torch.mul(x, 100))\n", 0, -200, 0, -400, 0, -600);
}

static void lists_loops_and_conditions(void **state) {
  (void)state;
  GIVES("    xs = annotate(List[Tensor], [])\n    for i in range(3):\n      _0 = torch.append(xs, "
        "torch.mul(x, i))\n"
        "    return torch.select(torch.stack(xs), 0, 2)\n",
        2, -4, 6, -8, 10, -12);
  GIVES("    y = x\n    i = 0\n    while torch.lt(i, 3):\n      y = torch.add(y, x)\n      i = "
        "torch.add(i, 1)\n    return y\n",
        4, -8, 12, -16, 20, -24);
  GIVES("    if torch.gt(torch.dim(x), 2):\n      y = torch.neg(x)\n    else:\n      y = x\n    "
        "return y\n",
        1, -2, 3, -4, 5, -6);
  GIVES("    if torch.ne(torch.size(x), [2, 3]):\n      ops.prim.RaiseException(\"no\", "
        "\"builtins.ValueError\")\n    else:\n"
        "      pass\n    return torch.mul(x, 1)\n",
        1, -2, 3, -4, 5, -6);
  GIVES("    d = {\"a\": 2, \"b\": 3}\n    return torch.mul(x, d[\"b\"])\n", 3, -6, 9, -12, 15,
        -18);
}

static void a_condition_on_data_is_an_if(void **state) {
  (void)state;
  GIVES("    if bool(torch.gt(torch.sum(x), 0)):\n      y = torch.mul(x, 2)\n    else:\n      y = "
        "torch.neg(torch.add(x, self.w))\n"
        "    return y\n",
        -2, 0, -6, 0, -10, 0);
  GIVES("    if bool(torch.lt(torch.sum(x), 0)):\n      y, k = torch.mul(x, 2), 1\n    else:\n     "
        " y, k = x, 2\n"
        "    return torch.mul(y, k)\n",
        2, -4, 6, -8, 10, -12);
  GIVES("    if bool(torch.gt(torch.sum(x), 0)):\n      ops.prim.RaiseException(\"no\")\n      y = "
        "x\n    else:\n"
        "      y = torch.neg(x)\n    return y\n",
        -1, 2, -3, 4, -5, 6);
}

static void a_loop_on_data_is_a_loop(void **state) {
  (void)state;
  GIVES("    y = x\n    k = 0\n    while bool(torch.gt(torch.sum(torch.abs(y)), 10)):\n      y = "
        "torch.mul(y, 0.5)\n"
        "      k = torch.add(k, 1)\n    return torch.mul(y, k)\n",
        0.5, -1, 1.5, -2, 2.5, -3);
  GIVES("    n = int(torch.argmax(x))\n    y = x\n    for i in range(n):\n      y = "
        "torch.add(torch.add(y, self.w), i)\n"
        "    return y\n",
        11, 12, 21, 18, 31, 24);
  fails("    n = int(torch.argmax(x))\n    y = x\n    for i in range(n):\n      y = torch.cat([y, "
        "x])\n    return y\n",
        NEO_UNSUPPORTED, "changes its shape");
}

static void indices(void **state) {
  (void)state;
  GIVES("    i = torch.tensor([2, 0])\n    return torch.index(x, annotate(List[Optional[Tensor]], "
        "[None, i]))\n",
        3, 1, -6, -4);
  GIVES("    i = torch.tensor([1, 0])\n    j = torch.tensor([2, -3])\n    return torch.index(x, "
        "[i, j])\n",
        -6, 1);
  GIVES("    i = torch.tensor([1, 1])\n    return torch.embedding(x, i)\n", -4, 5, -6, -4, 5, -6);
  GIVES("    i = torch.argmax(x, 1, True)\n    return torch.gather(x, 1, i)\n", 3, 5);
  GIVES("    return torch.where(torch.gt(x, 0), x, torch.zeros_like(x))\n", 1, 0, 3, 0, 5, 0);
}

static void pools_of_uneven_size(void **state) {
  (void)state;
  GIVES("    y = torch.unsqueeze(torch.unsqueeze(torch.select(x, 0, 0), 0), 0)\n    return "
        "torch.adaptive_avg_pool1d(y, [2])\n",
        -0.5, 0.5);
  GIVES("    y = torch.unsqueeze(torch.unsqueeze(torch.select(x, 0, 0), 0), 0)\n    v, i = "
        "torch.adaptive_max_pool1d(y, [2])\n"
        "    return v\n",
        1, 3);
}

/* Identity projections: softmax(x x^T / sqrt(2)) x. */
static void fused_attention(void **state) {
  (void)state;
  GIVES("    y = torch.div(torch.reshape(x, [1, 3, 2]), 10)\n    e = torch.eye(2)\n    z = "
        "torch.zeros([6])\n"
        "    a, b = torch._native_multi_head_attention(y, y, y, 2, 1, torch.cat([e, e, e]), z, e, "
        "torch.zeros([2]))\n"
        "    return a\n",
        0.30565516, -0.40565516, 0.31317781, -0.41317781, 0.32065858, -0.42065858);
  GIVES("    y = torch.div(torch.reshape(x, [1, 3, 2]), 10)\n    m = torch.tensor([False, True, "
        "True])\n    e = torch.eye(2)\n"
        "    a, b = torch._native_multi_head_attention(y, y, y, 2, 1, torch.cat([e, e, e]), "
        "torch.zeros([6]), e, torch.zeros([2]), "
        "torch.unsqueeze(m, 0), False, False, 1)\n    return a\n",
        0.1, -0.2, 0.1, -0.2, 0.1, -0.2);
}

static void everything_unsupported_is_listed_at_once(void **state) {
  (void)state;
  fails("    y = torch.frobnicate(x)\n    z = torch.relu(y)\n    return torch.other_thing(z)\n",
        NEO_UNSUPPORTED, "frobnicate");
  assert_non_null(strstr(ctx.message, "other_thing"));
  assert_non_null(strstr(ctx.message, "2 unsupported"));
}

static void what_only_training_has_is_refused(void **state) {
  (void)state;
  fails("    y, i = torch.max_pool1d_with_indices(x, [1])\n    return i\n", NEO_UNSUPPORTED,
        "only training has");
  fails("    y, i = torch.max_pool1d_with_indices(x, [1])\n    return torch.mul(i, 2)\n",
        NEO_UNSUPPORTED, "only training has");
  fails("    return torch.dropout(x, 0.5, True)\n", NEO_UNSUPPORTED, "eval() mode");
}

static void what_raises_says_so(void **state) {
  (void)state;
  fails("    if torch.ne(torch.dim(x), 4):\n      ops.prim.RaiseException(\"expected 4D input\")\n "
        "   else:\n      pass\n    return x\n",
        NEO_USAGE, "expected 4D input");
}

static void code_without_end_is_stopped(void **state) {
  (void)state;
  fails("    i = 0\n    while True:\n      i = torch.add(i, 1)\n    return x\n", NEO_UNSUPPORTED,
        "does not end");
  fails("    return (self).forward(x, )\n", NEO_UNSUPPORTED, "nested more than");
  fails("    for i in range(100000000000):\n      pass\n    return x\n", NEO_UNSUPPORTED,
        "iterations");
}

static void damaged_code_names_its_line(void **state) {
  (void)state;
  fails("    return torch.add(x,, 1)\n", NEO_BAD_INPUT, "line 6");
  fails("    return \"no end\n", NEO_BAD_INPUT, "line 6");
  fails("    y = x\n      z = x\n", NEO_BAD_INPUT, "expected");
  fails("    return self.nothing\n", NEO_BAD_INPUT, "nothing");
  fails("    return CONSTANTS.c9\n", NEO_BAD_INPUT, "c9");
  fails("    return __torch__.gone.f(x, )\n", NEO_BAD_INPUT, "gone");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_and_weights),
      cmocka_unit_test(reductions),
      cmocka_unit_test(shapes_are_numbers),
      cmocka_unit_test(moving),
      cmocka_unit_test(in_place_changes_reach_views_and_bases),
      cmocka_unit_test(parts_replaced_in_a_copy),
      cmocka_unit_test(lists_loops_and_conditions),
      cmocka_unit_test(a_condition_on_data_is_an_if),
      cmocka_unit_test(a_loop_on_data_is_a_loop),
      cmocka_unit_test(indices),
      cmocka_unit_test(pools_of_uneven_size),
      cmocka_unit_test(fused_attention),
      cmocka_unit_test(everything_unsupported_is_listed_at_once),
      cmocka_unit_test(what_only_training_has_is_refused),
      cmocka_unit_test(what_raises_says_so),
      cmocka_unit_test(code_without_end_is_stopped),
      cmocka_unit_test(damaged_code_names_its_line),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
