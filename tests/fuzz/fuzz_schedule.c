/* libFuzzer target: schedule lines. What parses must print canonically and parse back to the same.
 */
#include "schedule/schedule.h"
#include "tests/fuzz/fuzz_target.h"

static const char *const tes[] = {
    "te 1\n"
    "b0 in f32 [1,5,13,7]\n"
    "b1 const f32 [19,5,3,3]\n"
    "b2 const f32 [19]\n"
    "b3 tmp f32 [1,19,13,7]\n"
    "b4 out f32 [1,19,13,7]\n"
    "B0 b3[i0, i1, i2, i3] s[1,19,13,7] r[5,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<13, 0<=i3+i6-1<7 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b4[0, i1, i2, i3] s[1,19,13,7]\n"
    "  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n",
    "te 1\n"
    "b0 in f32 [5,14]\n"
    "b1 tmp f32 [5]\n"
    "b2 tmp f32 [5,14]\n"
    "b3 out f32 [5,14]\n"
    "B0 b1[i0] s[5] r[14] max f32:-inf\n"
    "  b0[i0, i1]\n"
    "B1 b2[i0, i1] s[5,14]\n"
    "  exp(sub(b0[i0, i1], b1[i0]))\n"
    "B2 b3[i0, i1] s[5,14]\n"
    "  mul(b2[i0, i1], b1[i0])\n",
    "te 1\n"
    "b0 in f16 [32,32]\n"
    "b1 const f16 [32,16]\n"
    "b2 tmp f32 [32,16]\n"
    "b3 out f32 [32,16]\n"
    "B0 b2[i0, i1] s[32,16] r[32] add f32:0\n"
    "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\n"
    "B1 b3[i0, i1] s[32,16]\n"
    "  max(b2[i0, i1], f32:0)\n"};

static void lower(const neo_schedule *schedule) {
  for (int i = 0; i < NEO_COUNT(tes); i++) {
    neo_ctx ctx;
    neo_arena arena;
    neo_ctx_init(&ctx, 1);
    neo_arena_init(&arena);
    neo_te *te = neo_arena_alloc(&arena, sizeof(*te));
    neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
    neo_assert(neo_te_parse(&ctx, &arena, tes[i], te) == NEO_OK);
    neo_status status = neo_schedule_lower(&ctx, te, schedule, NULL, &arena, nest);
    neo_assert(status == NEO_OK || status == NEO_BAD_INPUT || status == NEO_UNSUPPORTED);
    neo_arena_fini(&arena);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static neo_schedule first, second;
  char text[4096];
  if (size >= sizeof(text))
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  if (neo_schedule_parse(&ctx, text, &first) != NEO_OK)
    return 0;
  neo_buf buf = {0};
  neo_schedule_print(&buf, &first);
  neo_assert(neo_schedule_parse(&ctx, buf.data, &second) == NEO_OK);
  neo_assert(memcmp(&first, &second, sizeof(first)) == 0);
  neo_buf_fini(&buf);
  lower(&first);
  return 0;
}
