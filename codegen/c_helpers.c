/* codegen/c_helpers.c: the small functions that a printed C file defines for what C has no operator
 * for.
 *
 * Each is a template with @T (value type), @U (unsigned type of its width, 32 bits at least),
 * @N (type's name), @B (bits), and a few more; a file contains only those it uses. They agree with
 * neo_expr_apply (ir/expr_eval.c), need no library, and are branch-light so that compilers inline
 * and vectorise them. Floats: neither excess precision nor value-changing options are assumed. */
#include "codegen/c_printer.h"

#include <string.h>

typedef struct helper_row {
  const char *name;          /* template of the name */
  const char *text;          /* template of the definition */
  const char *unsigned_text; /* of an unsigned type; NULL: the same */
} helper_row;

static const helper_row rows[C_HELPER_COUNT] = {
    [C_HELPER_DIV] = {"div_@N",
                      "static inline @T div_@N(@T a, @T b) {\n"
                      "  return (@T)(b == 0 ? 0 : b == -1 ? (@T)(0 - (@U)a) : a / b);\n}\n",
                      "static inline @T div_@N(@T a, @T b) { return (@T)(b == 0 ? 0 : a / b); }\n"},
    [C_HELPER_MOD] = {"mod_@N",
                      "static inline @T mod_@N(@T a, @T b) {\n"
                      "  return (@T)(b == 0 || b == -1 ? 0 : a % b);\n}\n",
                      "static inline @T mod_@N(@T a, @T b) { return (@T)(b == 0 ? 0 : a % b); }\n"},
    [C_HELPER_FLOORDIV] = {"floordiv_@N",
                           "static inline @T floordiv_@N(@T a, @T b) {\n"
                           "  if (b == 0 || b == -1)\n    return b == 0 ? 0 : (@T)(0 - (@U)a);\n"
                           "  return (@T)(a / b - (a % b != 0 && (a < 0) != (b < 0)));\n}\n"},
    [C_HELPER_FLOORMOD] =
        {"floormod_@N", "static inline @T floormod_@N(@T a, @T b) {\n"
                        "  if (b == 0 || b == -1)\n    return 0;\n"
                        "  return (@T)(a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0));\n}\n"},
    [C_HELPER_SHL] =
        {"shl_@N",
         "static inline @T shl_@N(@T a, @T b) { return (@T)((@U)b < @B ? (@U)a << b : 0); }\n"},
    [C_HELPER_SHR] =
        {"shr_@N",
         "static inline @T shr_@N(@T a, @T b) {\n"
         "  return (@T)((@U)b < @B ? a >> b : a < 0 ? -1 : 0);\n}\n",
         "static inline @T shr_@N(@T a, @T b) { return (@T)(b < @B ? a >> b : 0); }\n"},
    [C_HELPER_IABS] =
        {"abs_@N", "static inline @T abs_@N(@T a) { return (@T)(a < 0 ? 0 - (@U)a : (@U)a); }\n"},
    [C_HELPER_MIN] = {"min_@N", "static inline @T min_@N(@T a, @T b) { return b < a ? b : a; }\n"},
    [C_HELPER_MAX] = {"max_@N", "static inline @T max_@N(@T a, @T b) { return a < b ? b : a; }\n"},
    [C_HELPER_TRUNC] = {"trunc_@N",
                        "static inline @T trunc_@N(@T x) {\n"
                        "  return x > -@L && x < @L ? copysign@F((@T)(@I)x, x) : x;\n}\n"},
    [C_HELPER_FLOOR] = {"floor_@N",
                        "static inline @T floor_@N(@T x) {\n"
                        "  if (!(x > -@L && x < @L))\n    return x;\n  const @T t = (@T)(@I)x;\n"
                        "  return copysign@F(t > x ? t - 1 : t, x);\n}\n"},
    [C_HELPER_CEIL] = {"ceil_@N",
                       "static inline @T ceil_@N(@T x) {\n"
                       "  if (!(x > -@L && x < @L))\n    return x;\n  const @T t = (@T)(@I)x;\n"
                       "  return copysign@F(t < x ? t + 1 : t, x);\n}\n"},
    [C_HELPER_ROUND] = {"round_@N", "/* Half to even: the sum has no room for a fraction. */\n"
                                    "static inline @T round_@N(@T x) {\n"
                                    "  if (!(x > -@L && x < @L))\n    return x;\n"
                                    "  return copysign@F((fabs@F(x) + @L) - @L, x);\n}\n"},
    [C_HELPER_FMA] = {"fma_@N",
                      "static inline @T fma_@N(@T a, @T b, @T c) {\n"
                      "#if defined(FP_FAST_FMA@G) || defined(__FMA__)\n  return fma@F(a, b, c);\n"
                      "#else\n  return (@T)((double)a * b + c);\n#endif\n}\n"},
    [C_HELPER_ISNAN] = {"isnan_@N", "static inline uint8_t isnan_@N(@T x) { return x != x; }\n"},
    [C_HELPER_FMOD] =
        {"mod_float",
         "/* Exact while the quotient has at most 29 bits (of f64: 53, with FMA). */\n"
         "static inline double mod_float(double a, double b) {\n"
         "  const double q = trunc_f64(a / b);\n"
         "  return copysign(fabs(b) == INFINITY && q == q ? a : fma_f64(-q, b, a), a);\n}\n"},
    [C_HELPER_FFLOORMOD] =
        {"floormod_float",
         "static inline double floormod_float(double a, double b) {\n"
         "  const double r = mod_float(a, b);\n  return r * b < 0 ? r + b : r;\n}\n"},
    [C_HELPER_FLOORDIV_SINGLE] =
        {"floordiv_single",
         "/* The quotient, then how much it is off. Exact where divisions are rounded correctly, "
         "or\n"
         "   quotients are below 2^21. */\n"
         "static inline float floordiv_single(float a, float b) {\n"
         "  const float q = floor_f32(a / b);\n"
         "  if (!(fabsf(q) < 0x1p31f) || fabsf(b) == INFINITY || a == 0)\n    return q;\n"
         "  if (fabsf(a) < fabsf(b))\n    return (a < 0) != (b < 0) ? -1.0f : 0.0f;\n"
         "  const float r = fma_f32(-q, b, a), d = floor_f32(r / b), s = fma_f32(-d, b, r);\n"
         "  const float e = s != 0 && (s < 0) != (b < 0) ? d - 1 : fabsf(s) >= fabsf(b) ? d + 1 : "
         "d;\n"
         "  return e == 0 ? q : q + e;\n}\n"},
    [C_HELPER_FLOORMOD_SINGLE] = {"floormod_single",
                                  "static inline float floormod_single(float a, float b) {\n"
                                  "  const float r = fmodf(a, b);\n"
                                  "  return r != 0 && (r < 0) != (b < 0) ? r + b : r;\n}\n"},
    [C_HELPER_TO_ODD] =
        {"f64_to_odd",
         "/* f64 truncated to f32, last bit set if inexact: rounding again is then exact. */\n"
         "static inline float f64_to_odd(double x) {\n"
         "  union { float f; uint32_t u; } v = {(float)x};\n"
         "  const double back = (double)v.f;\n"
         "  if (back < x || back > x)\n"
         "    v.u = (v.u - (fabs(back) > fabs(x) ? 1u : 0u)) | 1u;\n  return v.f;\n}\n"},
    [C_HELPER_INT_TO_ODD] =
        {"@N_to_odd",
         "/* Truncated to 24 bits, the last one set if inexact: rounding again is then exact. */\n"
         "static inline float @N_to_odd(@T x) {\n"
         "  const @U u = x < 0 ? 0 - (@U)x : (@U)x;\n  int s = 0;\n"
         "  while (u >> s > 0xffffffu)\n    s += 8;\n"
         "  const @U rest = u & (((@U)1 << s) - 1u);\n"
         "  const float y = (float)(u >> s | (rest != 0)) * (float)((@U)1 << s);\n"
         "  return x < 0 ? -y : y;\n}\n",
         "/* Truncated to 24 bits, the last one set if inexact: rounding again is then exact. */\n"
         "static inline float @N_to_odd(@T u) {\n"
         "  int s = 0;\n  while (u >> s > 0xffffffu)\n    s += 8;\n"
         "  const @T rest = u & (((@T)1 << s) - 1u);\n"
         "  return (float)(u >> s | (rest != 0)) * (float)((@T)1 << s);\n}\n"},
    [C_HELPER_FROM_F16] =
        {"f16_to_f32", "static inline float f16_to_f32(uint16_t h) {\n"
                       "  const uint32_t a = h & 0x7fffu;\n"
                       "  union { uint32_t u; float f; } v;\n"
                       "  if (a < 0x400u)\n    v.f = (float)a * 0x1p-24f;\n"
                       "  else\n    v.u = (a << 13) + (a >= 0x7c00u ? 0x70000000u : 0x38000000u);\n"
                       "  v.u |= (h & 0x8000u) << 16;\n  return v.f;\n}\n"},
    [C_HELPER_TO_F16] = {"f32_to_f16",
                         "static inline uint16_t f32_to_f16(float x) {\n"
                         "  union { float f; uint32_t u; } v = {x}, tiny = {fabsf(x) + 0.5f};\n"
                         "  const uint32_t sign = (v.u >> 16) & 0x8000u, a = v.u & 0x7fffffffu;\n"
                         "  uint32_t h = (a + 0xfffu + ((a >> 13) & 1u) - 0x38000000u) >> 13;\n"
                         "  if (a >= 0x47800000u)\n    h = a > 0x7f800000u ? 0x7e00u : 0x7c00u;\n"
                         "  if (a < 0x38800000u)\n    h = tiny.u - 0x3f000000u;\n"
                         "  return (uint16_t)(h | sign);\n}\n"},
    [C_HELPER_FROM_BF16] =
        {"bf16_to_f32",
         "static inline float bf16_to_f32(uint16_t h) {\n"
         "  union { uint32_t u; float f; } v = {(uint32_t)h << 16};\n  return v.f;\n}\n"},
    [C_HELPER_TO_BF16] = {"f32_to_bf16",
                          "static inline uint16_t f32_to_bf16(float x) {\n"
                          "  union { float f; uint32_t u; } v = {x};\n"
                          "  const uint32_t rounded = v.u + 0x7fffu + ((v.u >> 16) & 1u);\n"
                          "  return (uint16_t)((x != x ? v.u | 0x400000u : rounded) >> 16);\n}\n"},
    [C_HELPER_TO_INT] =
        {"@P_to_@N",
         "/* Saturates; NaN gives 0. */\n"
         "static inline @T @P_to_@N(@Q x) {\n"
         "  return (@T)(x != x ? 0 : x <= (@Q)@l ? @m : x >= (@Q)@h ? @x : (@T)x);\n}\n"},
    [C_HELPER_BITCAST] = {"bits_@N_@P",
                          "static inline @Q bits_@N_@P(@E x) {\n"
                          "  union { @E from; @Q to; } v = {x};\n  return v.to;\n}\n"},
};

/* ---- template parameters ------------------------------------------------------------------------- */

static const char *const unsigned_types[] = {"uint32_t", "uint64_t"};
static void put_limits(neo_buf *out, char what, neo_dtype a) {
  int bits = 8 * (int)neo_dtype_size(a);
  bool is_signed = neo_dtype_class(a) == 'i';
  if (what == 'l' && is_signed)
    neo_buf_printf(out, "-0x1p%d", bits - 1);
  else if (what == 'h')
    neo_buf_printf(out, "0x1p%d", is_signed ? bits - 1 : bits);
  else if (what == 'x')
    neo_buf_printf(out, "%sINT%d_MAX", is_signed ? "" : "U", bits);
  else if (what == 'm' && is_signed)
    neo_buf_printf(out, "INT%d_MIN", bits);
  else
    neo_buf_text(out, "0");
}

static void put_parameter(neo_buf *out, char what, neo_dtype a, neo_dtype b) {
  bool wide = a == NEO_F64;
  switch (what) {
  case 'T':
    neo_buf_text(out, c_type(a));
    break;
  case 'E':
    neo_buf_text(out, c_memory_type(a));
    break;
  case 'Q':
    neo_buf_text(out, c_memory_type(b));
    break;
  case 'N':
    neo_buf_text(out, neo_dtype_name(a));
    break;
  case 'P':
    neo_buf_text(out, neo_dtype_name(b));
    break;
  case 'U':
    neo_buf_text(out, unsigned_types[neo_dtype_size(a) == 8]);
    break;
  case 'B':
    neo_buf_printf(out, "%d", 8 * (int)neo_dtype_size(a));
    break;
  case 'L':
    neo_buf_text(out, wide ? "0x1p52" : "0x1p23f");
    break;
  case 'I':
    neo_buf_text(out, wide ? "int64_t" : "int32_t");
    break;
  case 'F':
    neo_buf_text(out, wide ? "" : "f");
    break;
  case 'G':
    neo_buf_text(out, wide ? "" : "F");
    break;
  default:
    put_limits(out, what, a);
    break;
  }
}

static void expand(neo_buf *out, const char *template, neo_dtype a, neo_dtype b) {
  for (const char *at = template; *at; at++)
    if (*at == '@')
      put_parameter(out, *++at, a, b);
    else
      neo_buf_append(out, at, 1);
}

/* ---- names and printing -------------------------------------------------------------------------- */

void c_helper_name(c_printer *p, neo_buf *out, c_helper helper, neo_dtype a, neo_dtype b) {
  p->used[helper][a][b] = true;
  if (helper == C_HELPER_FMOD || helper == C_HELPER_FFLOORMOD) {
    p->used[C_HELPER_FMOD][NEO_F64][NEO_F64] = true;
    p->used[C_HELPER_TRUNC][NEO_F64][NEO_F64] = true;
    p->used[C_HELPER_FMA][NEO_F64][NEO_F64] = true;
  }
  if (helper == C_HELPER_FLOORDIV_SINGLE) {
    p->used[C_HELPER_FLOOR][NEO_F32][NEO_F32] = true;
    p->used[C_HELPER_FMA][NEO_F32][NEO_F32] = true;
  }
  expand(out, rows[helper].name, a, b);
}

void c_print_helpers(c_printer *p, neo_buf *out) {
  for (int h = 0; h < C_HELPER_COUNT; h++)
    for (int a = 0; a < NEO_DTYPE_COUNT; a++)
      for (int b = 0; b < NEO_DTYPE_COUNT; b++)
        if (p->used[h][a][b]) {
          bool other = rows[h].unsigned_text && neo_dtype_class((neo_dtype)a) != 'i';
          expand(out, other ? rows[h].unsigned_text : rows[h].text, (neo_dtype)a, (neo_dtype)b);
          neo_buf_text(out, "\n");
        }
}
