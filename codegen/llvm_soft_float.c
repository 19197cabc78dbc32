/* codegen/llvm_soft_float.c: f64 arithmetic and square roots where a processor has no instruction
 * for them (Hexagon) and LLVM would call a library: functions of the module's own, since kernels
 * import nothing.
 *
 * How: a pass over what was emitted replaces such instructions by calls, lane by lane. All of f64
 * rests on a multiply-add that rounds once, which sums in 128 bits: x + y is x * 1 + y, x * y is
 * x * y + -0. Quotients and square roots are found bit by bit, two more than f64 has. What is left
 * over becomes one sticky last bit, which is all that rounding half to even needs to know.
 *
 * The square root of f32: half a unit of a reciprocal root from the bits, three steps of
 * Goldschmidt and a last one by the exact residue (Markstein, "IA-64 and Elementary Functions",
 * 2000, chapter 9). It equals the rounded root for every f32. */
#include "codegen/llvm_emitter.h"

#include <string.h>

enum { BIAS = 1023, FRACTION = 52, MOST_EXPONENT = 2047 };

/* A function that is being written. */
typedef struct writer {
  llvm_emitter *em;
  LLVMBuilderRef b;
  LLVMTypeRef i64, i128, f64, f32;
  LLVMValueRef fn;
} writer;

typedef LLVMValueRef value;

static value imm(value like, int64_t v) {
  return llvm_splat_int(LLVMTypeOf(like), v);
}

static value and_imm(writer *w, value x, int64_t v) {
  return LLVMBuildAnd(w->b, x, imm(x, v), "");
}

static value add_imm(writer *w, value x, int64_t v) {
  return LLVMBuildAdd(w->b, x, imm(x, v), "");
}

static value shl_imm(writer *w, value x, int64_t v) {
  return LLVMBuildShl(w->b, x, imm(x, v), "");
}

static value shr_imm(writer *w, value x, int64_t v) {
  return LLVMBuildLShr(w->b, x, imm(x, v), "");
}

static value choose(writer *w, value c, value x, value y) {
  return LLVMBuildSelect(w->b, c, x, y, "");
}

static value is_zero(writer *w, value x) {
  return LLVMBuildICmp(w->b, LLVMIntEQ, x, imm(x, 0), "");
}

static value less(writer *w, value x, value y) {
  return LLVMBuildICmp(w->b, LLVMIntSLT, x, y, "");
}

static value extend(writer *w, value bit, LLVMTypeRef type) {
  return LLVMBuildZExt(w->b, bit, type, "");
}

/* The emitter's helpers build where its builder stands: this one's. */
static value leading_zeros(writer *w, value x) {
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMBuilderRef outer = w->em->builder;
  value args[2] = {x, LLVMConstInt(LLVMInt1TypeInContext(w->em->lc), 0, false)};
  w->em->builder = w->b;
  value v = llvm_call(w->em, "llvm.ctlz", 1, &type, 2, args);
  w->em->builder = outer;
  return v;
}

/* x >> n, where any one shifted out leaves a last one; n from 0 to the bits less one. */
static value shift_sticky(writer *w, value x, value n) {
  value kept = LLVMBuildLShr(w->b, x, n, "");
  value back = LLVMBuildShl(w->b, kept, n, "");
  value lost = LLVMBuildICmp(w->b, LLVMIntNE, back, x, "");
  return LLVMBuildOr(w->b, kept, extend(w, lost, LLVMTypeOf(x)), "");
}

/* ---- the parts of an f64 ------------------------------------------------------------------------- */

/* A number other than zero is fraction * 2^(exponent - BIAS - FRACTION), bit FRACTION of the
 * fraction set. */
typedef struct parts {
  value bits, sign, exponent, fraction;
  value is_zero, is_infinite, is_nan;
} parts;

static void take_apart(writer *w, value x, parts *out) {
  value bits = LLVMBuildBitCast(w->b, x, w->i64, "");
  value raw = and_imm(w, shr_imm(w, bits, FRACTION), MOST_EXPONENT);
  value low = and_imm(w, bits, ((int64_t)1 << FRACTION) - 1), none = is_zero(w, low);
  value tiny = is_zero(w, raw);
  value top = LLVMBuildICmp(w->b, LLVMIntEQ, raw, imm(raw, MOST_EXPONENT), "");
  value zeros = choose(w, none, imm(low, 11), leading_zeros(w, low));
  value up = choose(w, tiny, add_imm(w, zeros, -11), imm(low, 0));
  value hidden = choose(w, tiny, imm(low, 0), imm(low, (int64_t)1 << FRACTION));
  out->bits = bits;
  out->sign = shl_imm(w, shr_imm(w, bits, 63), 63);
  out->fraction = LLVMBuildShl(w->b, LLVMBuildOr(w->b, low, hidden, ""), up, "");
  out->exponent = LLVMBuildSub(w->b, choose(w, tiny, imm(raw, 1), raw), up, "");
  out->is_zero = LLVMBuildAnd(w->b, tiny, none, "");
  out->is_infinite = LLVMBuildAnd(w->b, top, none, "");
  out->is_nan = LLVMBuildAnd(w->b, top, LLVMBuildNot(w->b, none, ""), "");
}

/* The bits of sign and m * 2^(exponent - BIAS - 63), rounded; bit 63 of m is set, or m is 0. */
static value put_together(writer *w, value sign, value exponent, value m) {
  value zero = imm(m, 0), down = LLVMBuildSub(w->b, imm(m, 1), exponent, "");
  value tiny = LLVMBuildICmp(w->b, LLVMIntSGT, down, zero, "");
  value most = choose(w, less(w, down, imm(m, 63)), down, imm(m, 63));
  value kept = shift_sticky(w, m, choose(w, tiny, most, zero));
  value base = choose(w, tiny, zero, shl_imm(w, add_imm(w, exponent, -1), FRACTION));
  value odd = and_imm(w, shr_imm(w, kept, 11), 1), rest = and_imm(w, kept, 0x7ff);
  value up = LLVMBuildICmp(w->b, LLVMIntUGT, LLVMBuildAdd(w->b, rest, odd, ""), imm(m, 0x400), "");
  value fraction = LLVMBuildAdd(w->b, shr_imm(w, kept, 11), extend(w, up, w->i64), "");
  value infinite = imm(m, (int64_t)MOST_EXPONENT << FRACTION);
  value huge = less(w, imm(m, MOST_EXPONENT - 1), exponent);
  value bits = choose(w, huge, infinite, LLVMBuildAdd(w->b, base, fraction, ""));
  bits = choose(w, is_zero(w, m), zero, bits);
  return LLVMBuildOr(w->b, bits, sign, "");
}

static value with_infinity(writer *w, value when, value sign, value bits) {
  value infinite = LLVMBuildOr(w->b, sign, imm(sign, (int64_t)MOST_EXPONENT << FRACTION), "");
  return choose(w, when, infinite, bits);
}

static void give_back(writer *w, value nan, value bits) {
  bits = choose(w, nan, imm(bits, (int64_t)0xfff << 51), bits);
  LLVMBuildRet(w->b, LLVMBuildBitCast(w->b, bits, w->f64, ""));
}

/* ---- multiply-add -------------------------------------------------------------------------------- */

/* A number's magnitude is sum * 2^exponent. */
typedef struct wide {
  value sum, exponent, sign;
} wide;

/* Both lie below 2^126. One that is shifted by more than the other's trailing zeros is so much the
 * smaller that at most a bit of the difference gets lost. */
static wide add_wide(writer *w, wide x, wide y) {
  value d = LLVMBuildSub(w->b, x.exponent, y.exponent, ""), zero = imm(d, 0), most = imm(d, 127);
  value second = less(w, d, zero);
  value size = choose(w, second, LLVMBuildNeg(w->b, d, ""), d);
  size = extend(w, choose(w, less(w, size, most), size, most), w->i128);
  value none = imm(size, 0);
  x.sum = shift_sticky(w, x.sum, choose(w, second, size, none));
  y.sum = shift_sticky(w, y.sum, choose(w, second, none, size));
  value alike = LLVMBuildICmp(w->b, LLVMIntEQ, x.sign, y.sign, "");
  value difference = LLVMBuildSub(w->b, x.sum, y.sum, "");
  value below = less(w, difference, none);
  value back = choose(w, below, LLVMBuildNeg(w->b, difference, ""), difference);
  value sign = choose(w, below, y.sign, x.sign);
  wide out = {choose(w, alike, LLVMBuildAdd(w->b, x.sum, y.sum, ""), back),
              choose(w, second, y.exponent, x.exponent), NULL};
  out.sign = choose(w, LLVMBuildOr(w->b, alike, LLVMBuildNot(w->b, is_zero(w, out.sum), ""), ""),
                    sign, zero);
  return out;
}

static value round_wide(writer *w, wide x) {
  value zeros = leading_zeros(w, x.sum);
  zeros = choose(w, is_zero(w, x.sum), imm(zeros, 0), zeros);
  value up = LLVMBuildShl(w->b, x.sum, zeros, "");
  value high = LLVMBuildTrunc(w->b, shr_imm(w, up, 64), w->i64, "");
  value low = is_zero(w, LLVMBuildTrunc(w->b, up, w->i64, ""));
  value m = LLVMBuildOr(w->b, high, extend(w, LLVMBuildNot(w->b, low, ""), w->i64), "");
  value e = LLVMBuildSub(w->b, x.exponent, LLVMBuildTrunc(w->b, zeros, w->i64, ""), "");
  return put_together(w, x.sign, add_imm(w, e, BIAS + 127), m);
}

/* f64 neo_f64_fma(x, y, z) = x * y + z */
static void write_fma(writer *w) {
  enum { PRODUCT_UP = 20, SUM_UP = 72, NONE = -100000 };
  parts x, y, z;
  take_apart(w, LLVMGetParam(w->fn, 0), &x);
  take_apart(w, LLVMGetParam(w->fn, 1), &y);
  take_apart(w, LLVMGetParam(w->fn, 2), &z);
  value fx = extend(w, x.fraction, w->i128), fy = extend(w, y.fraction, w->i128);
  value fz = extend(w, z.fraction, w->i128), none = imm(x.bits, NONE);
  value no_product = LLVMBuildOr(w->b, x.is_zero, y.is_zero, "");
  wide product = {shl_imm(w, LLVMBuildMul(w->b, fx, fy, ""), PRODUCT_UP),
                  add_imm(w, LLVMBuildAdd(w->b, x.exponent, y.exponent, ""),
                          -2 * (BIAS + FRACTION) - PRODUCT_UP),
                  LLVMBuildXor(w->b, x.sign, y.sign, "")};
  wide other = {shl_imm(w, fz, SUM_UP), add_imm(w, z.exponent, -BIAS - FRACTION - SUM_UP), z.sign};
  product.exponent = choose(w, no_product, none, product.exponent);
  other.exponent = choose(w, z.is_zero, none, other.exponent);
  value bits = round_wide(w, add_wide(w, product, other));
  value infinite = LLVMBuildOr(w->b, x.is_infinite, y.is_infinite, "");
  value clash = LLVMBuildICmp(w->b, LLVMIntNE, product.sign, z.sign, "");
  value nan = LLVMBuildOr(w->b, x.is_nan, LLVMBuildOr(w->b, y.is_nan, z.is_nan, ""), "");
  clash = LLVMBuildAnd(w->b, clash, LLVMBuildAnd(w->b, infinite, z.is_infinite, ""), "");
  nan = LLVMBuildOr(w->b, nan, LLVMBuildAnd(w->b, infinite, no_product, ""), "");
  bits = with_infinity(w, z.is_infinite, z.sign, bits);
  bits = with_infinity(w, infinite, product.sign, bits);
  give_back(w, LLVMBuildOr(w->b, nan, clash, ""), bits);
}

/* ---- quotients and roots, bit by bit ------------------------------------------------------------- */

/* State that goes around a loop of `count` steps. */
typedef struct bits_loop {
  LLVMBasicBlockRef head;
  value phi[4]; /* the last one counts down */
} bits_loop;

static void open_bits(writer *w, bits_loop *loop, const value start[3], int count) {
  LLVMBasicBlockRef before = LLVMGetInsertBlock(w->b);
  loop->head = LLVMAppendBasicBlockInContext(w->em->lc, w->fn, "");
  LLVMBuildBr(w->b, loop->head);
  LLVMPositionBuilderAtEnd(w->b, loop->head);
  for (int k = 0; k < 4; k++) {
    value first = k < 3 ? start[k] : imm(start[0], count);
    loop->phi[k] = LLVMBuildPhi(w->b, w->i64, "");
    LLVMAddIncoming(loop->phi[k], &first, &before, 1);
  }
}

static void close_bits(writer *w, bits_loop *loop, const value next[3]) {
  LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(w->em->lc, w->fn, "");
  value left = add_imm(w, loop->phi[3], -1);
  LLVMBuildCondBr(w->b, is_zero(w, left), after, loop->head);
  for (int k = 0; k < 4; k++) {
    value last = k < 3 ? next[k] : left;
    LLVMAddIncoming(loop->phi[k], &last, &loop->head, 1);
  }
  LLVMPositionBuilderAtEnd(w->b, after);
}

/* One more bit for a result: is `trial` within `rest`? Both are replaced. */
static void take_bit(writer *w, value trial, value *rest, value *result) {
  value fits = LLVMBuildICmp(w->b, LLVMIntUGE, *rest, trial, "");
  *rest = choose(w, fits, LLVMBuildSub(w->b, *rest, trial, ""), *rest);
  *result = LLVMBuildOr(w->b, shl_imm(w, *result, 1), extend(w, fits, w->i64), "");
}

static value make_sticky(writer *w, value m, value rest) {
  value lost = LLVMBuildNot(w->b, is_zero(w, rest), "");
  return LLVMBuildOr(w->b, m, extend(w, lost, w->i64), "");
}

/* f64 neo_f64_divide(x, y) */
static void write_divide(writer *w) {
  enum { BITS = 56 };
  parts x, y;
  bits_loop loop;
  take_apart(w, LLVMGetParam(w->fn, 0), &x);
  take_apart(w, LLVMGetParam(w->fn, 1), &y);
  value zero = imm(x.bits, 0), sign = LLVMBuildXor(w->b, x.sign, y.sign, "");
  open_bits(w, &loop, (value[]){x.fraction, zero, zero}, BITS);
  value rest = loop.phi[0], quotient = loop.phi[1];
  take_bit(w, y.fraction, &rest, &quotient);
  close_bits(w, &loop, (value[]){shl_imm(w, rest, 1), quotient, loop.phi[2]});
  value short_by = and_imm(w, LLVMBuildNot(w->b, shr_imm(w, quotient, BITS - 1), ""), 1);
  value m = LLVMBuildShl(w->b, shl_imm(w, quotient, 64 - BITS), short_by, "");
  value e = LLVMBuildSub(w->b, x.exponent, LLVMBuildAdd(w->b, y.exponent, short_by, ""), "");
  value bits = put_together(w, sign, add_imm(w, e, BIAS), make_sticky(w, m, rest));
  value both_zero = LLVMBuildAnd(w->b, x.is_zero, y.is_zero, "");
  value both_infinite = LLVMBuildAnd(w->b, x.is_infinite, y.is_infinite, "");
  value nan = LLVMBuildOr(w->b, LLVMBuildOr(w->b, x.is_nan, y.is_nan, ""),
                          LLVMBuildOr(w->b, both_zero, both_infinite, ""), "");
  bits = choose(w, LLVMBuildOr(w->b, x.is_zero, y.is_infinite, ""), sign, bits);
  value infinite = LLVMBuildOr(w->b, x.is_infinite, y.is_zero, "");
  give_back(w, nan, with_infinity(w, infinite, sign, bits));
}

/* f64 neo_f64_sqrt(x) */
static void write_sqrt(writer *w) {
  enum { BITS = 55 };
  parts x;
  bits_loop loop;
  take_apart(w, LLVMGetParam(w->fn, 0), &x);
  value zero = imm(x.bits, 0), even = and_imm(w, x.exponent, 1); /* BIAS is odd */
  value twice = LLVMBuildXor(w->b, even, imm(even, 1), "");
  value half = LLVMBuildSub(w->b, add_imm(w, x.exponent, -BIAS), twice, "");
  half = LLVMBuildAShr(w->b, half, imm(half, 1), "");
  open_bits(w, &loop, (value[]){LLVMBuildShl(w->b, x.fraction, twice, ""), zero, zero}, BITS);
  value next = and_imm(w, shr_imm(w, loop.phi[0], FRACTION), 3), root = loop.phi[1];
  value rest = LLVMBuildOr(w->b, shl_imm(w, loop.phi[2], 2), next, "");
  take_bit(w, LLVMBuildOr(w->b, shl_imm(w, root, 2), imm(root, 1), ""), &rest, &root);
  close_bits(w, &loop, (value[]){shl_imm(w, loop.phi[0], 2), root, rest});
  value m = make_sticky(w, shl_imm(w, root, 64 - BITS), rest);
  value bits = put_together(w, x.sign, add_imm(w, half, BIAS), m);
  value negative = LLVMBuildNot(w->b, LLVMBuildOr(w->b, is_zero(w, x.sign), x.is_zero, ""), "");
  bits = choose(w, LLVMBuildOr(w->b, x.is_zero, x.is_infinite, ""), x.bits, bits);
  give_back(w, LLVMBuildOr(w->b, x.is_nan, negative, ""), bits);
}

static value fma_32(writer *w, value x, value y, value z) {
  LLVMBuilderRef outer = w->em->builder;
  value args[3] = {x, y, z};
  w->em->builder = w->b;
  value v = llvm_call_same(w->em, "llvm.fma", 3, args);
  w->em->builder = outer;
  return v;
}

static value scale_if(writer *w, value when, value x, double factor) {
  value scaled = LLVMBuildFMul(w->b, x, llvm_splat_float(w->f32, factor), "");
  return choose(w, when, scaled, x);
}

/* f32 neo_f32_sqrt(x) */
static void write_sqrt_32(writer *w) {
  value x = LLVMGetParam(w->fn, 0), zero = LLVMConstNull(w->f32);
  value half = llvm_splat_float(w->f32, 0.5);
  value small = LLVMBuildFCmp(w->b, LLVMRealOLT, x, llvm_splat_float(w->f32, 0x1p-100), "");
  value a = scale_if(w, small, x, 0x1p64);
  value guess = shr_imm(w, LLVMBuildBitCast(w->b, a, w->em->int32, ""), 1);
  guess = LLVMBuildSub(w->b, imm(guess, 0x5f375a86), guess, "");
  guess = LLVMBuildBitCast(w->b, guess, w->f32, "");
  value g = LLVMBuildFMul(w->b, a, guess, ""), h = LLVMBuildFMul(w->b, half, guess, "");
  for (int k = 0; k < 3; k++) {
    value r = fma_32(w, LLVMBuildFNeg(w->b, g, ""), h, half);
    g = fma_32(w, g, r, g);
    h = fma_32(w, h, r, h);
  }
  g = fma_32(w, fma_32(w, LLVMBuildFNeg(w->b, g, ""), g, a), h, g);
  g = scale_if(w, small, g, 0x1p-32);
  value infinity = LLVMConstRealOfString(w->f32, "inf"), nan = LLVMConstRealOfString(w->f32, "nan");
  value finite = LLVMBuildFCmp(w->b, LLVMRealOLT, x, infinity, "");
  value above = LLVMBuildFCmp(w->b, LLVMRealOGT, x, zero, "");
  value below = LLVMBuildFCmp(w->b, LLVMRealOLT, x, zero, "");
  value other = choose(w, below, nan, x);
  LLVMBuildRet(w->b, choose(w, LLVMBuildAnd(w->b, finite, above, ""), g, other));
}

/* ---- the pass ------------------------------------------------------------------------------------ */

typedef struct routine {
  const char *name;
  int n_args;
  bool wide; /* f64 */
  void (*write)(writer *w);
} routine;

static const routine fma_64 = {"neo_f64_fma", 3, true, write_fma};
static const routine divide_64 = {"neo_f64_divide", 2, true, write_divide};
static const routine sqrt_64 = {"neo_f64_sqrt", 1, true, write_sqrt};
static const routine sqrt_32 = {"neo_f32_sqrt", 1, false, write_sqrt_32};

static LLVMTypeRef routine_type(llvm_emitter *em, const routine *r) {
  LLVMTypeRef type = r->wide ? LLVMDoubleTypeInContext(em->lc) : LLVMFloatTypeInContext(em->lc);
  return LLVMFunctionType(type, (LLVMTypeRef[]){type, type, type}, (unsigned)r->n_args, false);
}

static value routine_function(llvm_emitter *em, const routine *r) {
  value known = LLVMGetNamedFunction(em->module, r->name);
  if (known)
    return known;
  writer w = {.em = em,
              .b = LLVMCreateBuilderInContext(em->lc),
              .i64 = em->int64,
              .i128 = LLVMIntTypeInContext(em->lc, 128),
              .f64 = LLVMDoubleTypeInContext(em->lc),
              .f32 = LLVMFloatTypeInContext(em->lc)};
  w.fn = LLVMAddFunction(em->module, r->name, routine_type(em, r));
  LLVMSetLinkage(w.fn, LLVMInternalLinkage);
  unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
  LLVMAddAttributeAtIndex(w.fn, LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(em->lc, nounwind, 0));
  LLVMPositionBuilderAtEnd(w.b, LLVMAppendBasicBlockInContext(em->lc, w.fn, ""));
  r->write(&w);
  LLVMDisposeBuilder(w.b);
  return w.fn;
}

static bool is_wide(value v) {
  LLVMTypeRef type = LLVMTypeOf(v);
  if (LLVMGetTypeKind(type) == LLVMVectorTypeKind)
    type = LLVMGetElementType(type);
  return LLVMGetTypeKind(type) == LLVMDoubleTypeKind;
}

static bool calls(value v, const char *name) {
  value callee = LLVMIsACallInst(v) ? LLVMGetCalledValue(v) : NULL;
  return callee && LLVMIsAFunction(callee) &&
         LLVMGetIntrinsicID(callee) == LLVMLookupIntrinsicID(name, strlen(name));
}

/* What instruction v becomes, and its arguments; NULL: it stays. The builder stands before v. */
static const routine *find_routine(llvm_emitter *em, value v, value arg[3]) {
  bool is_f64 = is_wide(v);
  LLVMOpcode op = LLVMGetInstructionOpcode(v);
  int n = op == LLVMCall ? (int)LLVMGetNumArgOperands(v) : LLVMGetNumOperands(v);
  for (int k = 0; k < 3 && k < n; k++)
    arg[k] = LLVMGetOperand(v, (unsigned)k);
  if (calls(v, "llvm.sqrt"))
    return is_f64 ? &sqrt_64 : &sqrt_32;
  if (!is_f64)
    return NULL;
  if (calls(v, "llvm.fma"))
    return &fma_64;
  switch (op) {
  case LLVMFDiv:
    return &divide_64;
  case LLVMFMul:
    arg[2] = llvm_splat_float(LLVMTypeOf(v), -0.0);
    return &fma_64;
  case LLVMFAdd:
  case LLVMFSub:
    arg[2] = op == LLVMFAdd ? arg[1] : LLVMBuildFNeg(em->builder, arg[1], "");
    arg[1] = llvm_splat_float(LLVMTypeOf(v), 1);
    return &fma_64;
  default:
    return NULL;
  }
}

static value call_lanes(llvm_emitter *em, const routine *r, value *arg) {
  value fn = routine_function(em, r), lane[3], out = LLVMGetPoison(LLVMTypeOf(arg[0]));
  int lanes = llvm_lanes(LLVMTypeOf(arg[0]));
  if (lanes == 1)
    return LLVMBuildCall2(em->builder, routine_type(em, r), fn, arg, (unsigned)r->n_args, "");
  for (int l = 0; l < lanes; l++) {
    value at = LLVMConstInt(em->int64, (unsigned)l, false);
    for (int k = 0; k < r->n_args; k++)
      lane[k] = LLVMBuildExtractElement(em->builder, arg[k], at, "");
    value v = LLVMBuildCall2(em->builder, routine_type(em, r), fn, lane, (unsigned)r->n_args, "");
    out = LLVMBuildInsertElement(em->builder, out, v, at, "");
  }
  return out;
}

static void soften_block(llvm_emitter *em, LLVMBasicBlockRef block) {
  for (value next, v = LLVMGetFirstInstruction(block); v; v = next) {
    value arg[3] = {NULL};
    next = LLVMGetNextInstruction(v);
    LLVMPositionBuilderBefore(em->builder, v);
    const routine *r = find_routine(em, v, arg);
    if (!r)
      continue;
    LLVMReplaceAllUsesWith(v, call_lanes(em, r, arg));
    LLVMInstructionEraseFromParent(v);
  }
}

void llvm_soften(llvm_emitter *em) {
  if (strcmp(em->target->arch, "hexagon") != 0 || em->status != NEO_OK)
    return;
  for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(em->function); b; b = LLVMGetNextBasicBlock(b))
    soften_block(em, b);
}
