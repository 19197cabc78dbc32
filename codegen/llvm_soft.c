/* codegen/llvm_soft.c: what 32-bit Arm and Hexagon have no instruction for, and LLVM would call a
 * library for: rounding of floats to integers, divisions of 64 bits (without VFPv4 and on Hexagon
 * of 32, too), and Arm's conversions between floats and 64-bit integers. Kernels import nothing, so
 * all of it is written out here.
 *
 * Rounding: |x| + 2^23 - 2^23 (2^52 for f64) is |x| rounded half to even by the addition itself;
 * larger numbers are integers already. Floor, ceiling and truncation correct that by one.
 * Division of 32 bits: through f64, whose 53 bits keep every quotient apart from the next integer.
 * Of 64 bits, and of 32 where f64 is software: bit by bit, in a function of the module's own.
 * Integers to f32: through f64, where the low bits of what f64 cannot hold are made one sticky bit,
 * so that the second rounding is the only one.
 *
 * Vectors of RISC-V are rounded and made integers by such sums, too, which costs hardly more than
 * LLVM's way: the instructions that truncate end qemu 7.2, where such code is tested, with a failed
 * assertion. */
#include "codegen/llvm_emitter.h"

#include <string.h>

static bool is_narrow(const llvm_emitter *em) {
  return neo_target_pointer_bytes(em->target) < 8;
}

static bool is_hexagon(const llvm_emitter *em) {
  return strcmp(em->target->arch, "hexagon") == 0;
}

static bool is_rvv(const llvm_emitter *em, LLVMTypeRef type) {
  return llvm_lanes(type) > 1 && neo_target_has(em->target, NEO_ISA_RVV);
}

static LLVMTypeRef like(LLVMTypeRef type, LLVMTypeRef scalar) {
  return llvm_with_lanes(scalar, llvm_lanes(type));
}

static LLVMTypeRef element(LLVMTypeRef type) {
  return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetElementType(type) : type;
}

static LLVMTypeRef double_like(llvm_emitter *em, LLVMTypeRef type) {
  return like(type, LLVMDoubleTypeInContext(em->lc));
}

static LLVMValueRef magnitude(llvm_emitter *em, LLVMValueRef x) {
  return llvm_call_same(em, "llvm.fabs", 1, &x);
}

static LLVMValueRef with_sign_of(llvm_emitter *em, LLVMValueRef v, LLVMValueRef sign) {
  LLVMValueRef args[2] = {v, sign};
  return llvm_call_same(em, "llvm.copysign", 2, args);
}

/* ---- rounding ------------------------------------------------------------------------------------ */

static LLVMValueRef round_even(llvm_emitter *em, LLVMValueRef x, LLVMValueRef limit) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef r = LLVMBuildFSub(b, LLVMBuildFAdd(b, magnitude(em, x), limit, ""), limit, "");
  return with_sign_of(em, r, x);
}

LLVMValueRef llvm_rounded(llvm_emitter *em, const char *name, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x);
  if (!is_narrow(em) && !is_rvv(em, type))
    return llvm_call_same(em, name, 1, &x);
  bool wide = LLVMGetTypeKind(element(type)) == LLVMDoubleTypeKind;
  LLVMValueRef limit = llvm_splat_float(type, wide ? 0x1p52 : 0x1p23);
  LLVMValueRef one = llvm_splat_float(type, 1), from = x;
  if (strcmp(name, "llvm.trunc") == 0)
    from = magnitude(em, x);
  LLVMValueRef r = round_even(em, from, limit);
  if (strcmp(name, "llvm.floor") == 0 || strcmp(name, "llvm.trunc") == 0)
    r = llvm_select(em, LLVMBuildFCmp(b, LLVMRealOGT, r, from, ""), LLVMBuildFSub(b, r, one, ""),
                    r);
  else if (strcmp(name, "llvm.ceil") == 0)
    r = llvm_select(em, LLVMBuildFCmp(b, LLVMRealOLT, r, from, ""), LLVMBuildFAdd(b, r, one, ""),
                    r);
  LLVMValueRef small = LLVMBuildFCmp(b, LLVMRealOLT, magnitude(em, x), limit, "");
  return llvm_select(em, small, with_sign_of(em, r, x), x);
}

/* ---- division ------------------------------------------------------------------------------------ */

typedef struct bit_loop {
  LLVMValueRef left, quotient, rest, count; /* phis */
} bit_loop;

/* One bit of the quotient. The rest is below y, so its shifted out bit means that it exceeds y. */
static void divide_bit(LLVMBuilderRef b, const bit_loop *at, LLVMValueRef y, bit_loop *next) {
  LLVMTypeRef type = LLVMTypeOf(y);
  LLVMValueRef one = llvm_splat_int(type, 1);
  LLVMValueRef last = llvm_splat_int(type, LLVMGetIntTypeWidth(type) - 1);
  LLVMValueRef bit = LLVMBuildLShr(b, at->left, last, "");
  LLVMValueRef carry = LLVMBuildICmp(b, LLVMIntSLT, at->rest, llvm_splat_int(type, 0), "");
  LLVMValueRef rest = LLVMBuildOr(b, LLVMBuildShl(b, at->rest, one, ""), bit, "");
  LLVMValueRef fits = LLVMBuildOr(b, carry, LLVMBuildICmp(b, LLVMIntUGE, rest, y, ""), "");
  LLVMValueRef step = LLVMBuildZExt(b, fits, type, "");
  next->left = LLVMBuildShl(b, at->left, one, "");
  next->quotient = LLVMBuildOr(b, LLVMBuildShl(b, at->quotient, one, ""), step, "");
  next->rest = LLVMBuildSelect(b, fits, LLVMBuildSub(b, rest, y, ""), rest, "");
  next->count = LLVMBuildSub(b, at->count, one, "");
}

static void add_incoming(LLVMValueRef phi, LLVMValueRef v, LLVMBasicBlockRef block) {
  LLVMAddIncoming(phi, &v, &block, 1);
}

/* u32 neo_divide_32(u32 x, u32 y) and the same of 64 bits; y is not 0. */
static LLVMValueRef divide_function(llvm_emitter *em, LLVMTypeRef type) {
  unsigned bits = LLVMGetIntTypeWidth(type);
  const char *name = bits == 64 ? "neo_divide_64" : "neo_divide_32";
  LLVMValueRef known = LLVMGetNamedFunction(em->module, name);
  if (known)
    return known;
  LLVMTypeRef params[2] = {type, type};
  LLVMValueRef fn = LLVMAddFunction(em->module, name, LLVMFunctionType(type, params, 2, false));
  LLVMSetLinkage(fn, LLVMInternalLinkage);
  unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
  LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(em->lc, nounwind, 0));
  LLVMBuilderRef b = LLVMCreateBuilderInContext(em->lc);
  LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(em->lc, fn, "");
  LLVMBasicBlockRef loop = LLVMAppendBasicBlockInContext(em->lc, fn, "");
  LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(em->lc, fn, "");
  LLVMValueRef zero = LLVMConstInt(type, 0, false);
  bit_loop at, next;
  LLVMPositionBuilderAtEnd(b, entry);
  LLVMBuildBr(b, loop);
  LLVMPositionBuilderAtEnd(b, loop);
  at.left = LLVMBuildPhi(b, type, "");
  at.quotient = LLVMBuildPhi(b, type, "");
  at.rest = LLVMBuildPhi(b, type, "");
  at.count = LLVMBuildPhi(b, type, "");
  divide_bit(b, &at, LLVMGetParam(fn, 1), &next);
  LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntEQ, next.count, zero, ""), done, loop);
  add_incoming(at.left, LLVMGetParam(fn, 0), entry);
  add_incoming(at.quotient, zero, entry);
  add_incoming(at.rest, zero, entry);
  add_incoming(at.count, LLVMConstInt(type, bits, false), entry);
  add_incoming(at.left, next.left, loop);
  add_incoming(at.quotient, next.quotient, loop);
  add_incoming(at.rest, next.rest, loop);
  add_incoming(at.count, next.count, loop);
  LLVMPositionBuilderAtEnd(b, done);
  LLVMBuildRet(b, next.quotient);
  LLVMDisposeBuilder(b);
  return fn;
}

static LLVMValueRef call_divide(llvm_emitter *em, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef type = LLVMTypeOf(x), params[2] = {type, type};
  LLVMValueRef fn = divide_function(em, type), args[2] = {x, y};
  return LLVMBuildCall2(em->builder, LLVMFunctionType(type, params, 2, false), fn, args, 2, "");
}

static LLVMValueRef unsigned_quotient(llvm_emitter *em, LLVMValueRef x, LLVMValueRef y) {
  int lanes = llvm_lanes(LLVMTypeOf(x));
  if (lanes == 1)
    return call_divide(em, x, y);
  LLVMValueRef out = LLVMGetPoison(LLVMTypeOf(x));
  for (int k = 0; k < lanes; k++) {
    LLVMValueRef at = LLVMConstInt(em->int64, (unsigned)k, false);
    LLVMValueRef q = call_divide(em, LLVMBuildExtractElement(em->builder, x, at, ""),
                                 LLVMBuildExtractElement(em->builder, y, at, ""));
    out = LLVMBuildInsertElement(em->builder, out, q, at, "");
  }
  return out;
}

/* Of 32 or 64 bits. */
static LLVMValueRef quotient_by_bits(llvm_emitter *em, bool is_signed, LLVMValueRef x,
                                     LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x));
  if (!is_signed)
    return unsigned_quotient(em, x, y);
  LLVMValueRef x_below = LLVMBuildICmp(b, LLVMIntSLT, x, zero, "");
  LLVMValueRef y_below = LLVMBuildICmp(b, LLVMIntSLT, y, zero, "");
  LLVMValueRef q = unsigned_quotient(em, llvm_select(em, x_below, LLVMBuildNeg(b, x, ""), x),
                                     llvm_select(em, y_below, LLVMBuildNeg(b, y, ""), y));
  return llvm_select(em, LLVMBuildXor(b, x_below, y_below, ""), LLVMBuildNeg(b, q, ""), q);
}

/* Of at most 32 bits. */
static LLVMValueRef quotient_by_float(llvm_emitter *em, bool is_signed, LLVMValueRef x,
                                      LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x), wide = like(type, em->int32), f64 = double_like(em, type);
  LLVMValueRef arg[2] = {x, y};
  for (int k = 0; k < 2; k++)
    arg[k] = is_signed ? LLVMBuildSIToFP(b, arg[k], f64, "") : LLVMBuildUIToFP(b, arg[k], f64, "");
  LLVMValueRef q = LLVMBuildFDiv(b, arg[0], arg[1], "");
  q = is_signed ? LLVMBuildFPToSI(b, q, wide, "") : LLVMBuildFPToUI(b, q, wide, "");
  return wide == type ? q : LLVMBuildTrunc(b, q, type, "");
}

static bool divides_in_software(const llvm_emitter *em, LLVMValueRef x) {
  unsigned bits = LLVMGetIntTypeWidth(element(LLVMTypeOf(x)));
  return is_narrow(em) && (bits == 64 || !neo_target_has(em->target, NEO_ISA_VFP4));
}

/* Of at most 32 bits. */
static LLVMValueRef quotient_by_32(llvm_emitter *em, bool is_signed, LLVMValueRef x,
                                   LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x), wide = like(type, em->int32);
  LLVMValueRef arg[2] = {x, y};
  for (int k = 0; k < 2 && wide != type; k++)
    arg[k] = is_signed ? LLVMBuildSExt(b, arg[k], wide, "") : LLVMBuildZExt(b, arg[k], wide, "");
  LLVMValueRef q = quotient_by_bits(em, is_signed, arg[0], arg[1]);
  return wide == type ? q : LLVMBuildTrunc(b, q, type, "");
}

LLVMValueRef llvm_quotient(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  if (!divides_in_software(em, x))
    return is_signed ? LLVMBuildSDiv(b, x, y, "") : LLVMBuildUDiv(b, x, y, "");
  if (LLVMGetIntTypeWidth(element(LLVMTypeOf(x))) == 64)
    return quotient_by_bits(em, is_signed, x, y);
  return is_hexagon(em) ? quotient_by_32(em, is_signed, x, y)
                        : quotient_by_float(em, is_signed, x, y);
}

LLVMValueRef llvm_remainder(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  if (!divides_in_software(em, x))
    return is_signed ? LLVMBuildSRem(b, x, y, "") : LLVMBuildURem(b, x, y, "");
  LLVMValueRef q = llvm_quotient(em, is_signed, x, y);
  return LLVMBuildSub(b, x, LLVMBuildMul(b, q, y, ""), "");
}

LLVMValueRef llvm_index_divide(llvm_emitter *em, bool mod, int64_t most, LLVMValueRef x,
                               LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  if (!is_narrow(em))
    return mod ? LLVMBuildURem(b, x, y, "") : LLVMBuildUDiv(b, x, y, "");
  if (most > UINT32_MAX || LLVMConstIntGetSExtValue(y) > UINT32_MAX)
    return NULL;
  LLVMValueRef n = LLVMBuildTrunc(b, x, em->int32, ""), d = LLVMBuildTrunc(b, y, em->int32, "");
  n = mod ? LLVMBuildURem(b, n, d, "") : LLVMBuildUDiv(b, n, d, "");
  return LLVMBuildZExt(b, n, em->int64, "");
}

/* ---- conversions --------------------------------------------------------------------------------- */

/* Between floats and integers of 64 bits. */
static bool converts_in_software(const llvm_emitter *em) {
  return is_narrow(em) && !is_hexagon(em);
}

static bool is_int64(LLVMTypeRef type) {
  LLVMTypeRef e = element(type);
  return LLVMGetTypeKind(e) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(e) == 64;
}

/* The two halves; their sum is rounded once. */
static LLVMValueRef int64_to_double(llvm_emitter *em, bool is_signed, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x), i32 = like(type, em->int32), f64 = double_like(em, type);
  LLVMValueRef low = LLVMBuildTrunc(b, x, i32, "");
  LLVMValueRef high = LLVMBuildTrunc(b, LLVMBuildLShr(b, x, llvm_splat_int(type, 32), ""), i32, "");
  high = is_signed ? LLVMBuildSIToFP(b, high, f64, "") : LLVMBuildUIToFP(b, high, f64, "");
  return LLVMBuildFAdd(b, LLVMBuildFMul(b, high, llvm_splat_float(f64, 0x1p32), ""),
                       LLVMBuildUIToFP(b, low, f64, ""), "");
}

/* x, or where f64 does not hold x a neighbour that it holds and that f32 rounds alike. */
static LLVMValueRef make_sticky(llvm_emitter *em, bool is_signed, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x);
  const int64_t limit = (int64_t)1 << 53;
  LLVMValueRef zero = LLVMConstNull(type);
  LLVMValueRef lost =
      LLVMBuildICmp(b, LLVMIntNE, LLVMBuildAnd(b, x, llvm_splat_int(type, 0xfff), ""), zero, "");
  LLVMValueRef kept = LLVMBuildAnd(b, x, llvm_splat_int(type, ~(int64_t)0xfff), "");
  LLVMValueRef bit = llvm_select(em, lost, llvm_splat_int(type, 0x800), zero);
  LLVMValueRef from = is_signed ? LLVMBuildAdd(b, x, llvm_splat_int(type, limit), "") : x;
  LLVMValueRef most = llvm_splat_int(type, is_signed ? 2 * limit : limit);
  LLVMValueRef big = LLVMBuildICmp(b, LLVMIntUGT, from, most, "");
  return llvm_select(em, big, LLVMBuildOr(b, kept, bit, ""), x);
}

LLVMValueRef llvm_int_to_float(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMTypeRef type) {
  LLVMBuilderRef b = em->builder;
  if (!converts_in_software(em) || !is_int64(LLVMTypeOf(x)))
    return is_signed ? LLVMBuildSIToFP(b, x, type, "") : LLVMBuildUIToFP(b, x, type, "");
  if (LLVMGetTypeKind(element(type)) == LLVMDoubleTypeKind)
    return int64_to_double(em, is_signed, x);
  LLVMValueRef d = int64_to_double(em, is_signed, make_sticky(em, is_signed, x));
  return LLVMBuildFPTrunc(b, d, type, "");
}

/* The bits of an integer of up to 51 bits, in an f64: those of the sum with 2^52 + 2^51. */
static LLVMValueRef bits_of_double(llvm_emitter *em, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef i64 = like(LLVMTypeOf(x), em->int64);
  LLVMValueRef magic = llvm_splat_float(LLVMTypeOf(x), 0x1.8p52);
  LLVMValueRef sum = LLVMBuildBitCast(b, LLVMBuildFAdd(b, x, magic, ""), i64, "");
  return LLVMBuildSub(b, sum, LLVMBuildBitCast(b, magic, i64, ""), "");
}

static LLVMValueRef clamp(llvm_emitter *em, LLVMValueRef x, double least, double most) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef low = llvm_splat_float(LLVMTypeOf(x), least);
  LLVMValueRef high = llvm_splat_float(LLVMTypeOf(x), most);
  x = llvm_select(em, LLVMBuildFCmp(b, LLVMRealOLT, x, low, ""), low, x);
  return llvm_select(em, LLVMBuildFCmp(b, LLVMRealOGT, x, high, ""), high, x);
}

/* x >= 0, truncated, at most 2^32 - 1; as i64 */
static LLVMValueRef saturate_32(llvm_emitter *em, LLVMValueRef x) {
  LLVMTypeRef types[2] = {like(LLVMTypeOf(x), em->int32), LLVMTypeOf(x)};
  if (is_rvv(em, types[1]))
    return bits_of_double(em, llvm_rounded(em, "llvm.trunc", clamp(em, x, 0, 0x1p32 - 1)));
  LLVMValueRef v = llvm_call(em, "llvm.fptoui.sat", 2, types, 1, &x);
  return LLVMBuildZExt(em->builder, v, like(types[1], em->int64), "");
}

/* x of 0 <= x < 2^64 */
static LLVMValueRef double_to_uint64(llvm_emitter *em, LLVMValueRef x, LLVMTypeRef type) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef f64 = LLVMTypeOf(x);
  LLVMValueRef high = saturate_32(em, LLVMBuildFMul(b, x, llvm_splat_float(f64, 0x1p-32), ""));
  LLVMValueRef top =
      is_rvv(em, f64) ? LLVMBuildUIToFP(b, high, f64, "") : int64_to_double(em, false, high);
  top = LLVMBuildFMul(b, top, llvm_splat_float(f64, 0x1p32), "");
  LLVMValueRef low = saturate_32(em, LLVMBuildFSub(b, x, top, ""));
  return LLVMBuildOr(b, LLVMBuildShl(b, high, llvm_splat_int(type, 32), ""), low, "");
}

/* x: f64, no NaN */
static LLVMValueRef double_to_int64(llvm_emitter *em, bool is_signed, LLVMValueRef x,
                                    LLVMTypeRef type) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef f64 = LLVMTypeOf(x);
  LLVMValueRef zero = LLVMConstNull(f64), size = magnitude(em, x);
  LLVMValueRef v = double_to_uint64(em, size, type);
  LLVMValueRef below = LLVMBuildFCmp(b, LLVMRealOLT, x, zero, "");
  LLVMValueRef most = llvm_splat_int(type, is_signed ? INT64_MAX : -1);
  LLVMValueRef least = llvm_splat_int(type, is_signed ? INT64_MIN : 0);
  LLVMValueRef limit = llvm_splat_float(f64, is_signed ? 0x1p63 : 0x1p64);
  LLVMValueRef huge = LLVMBuildFCmp(b, LLVMRealOGE, size, limit, "");
  LLVMValueRef negative = is_signed ? LLVMBuildNeg(b, v, "") : least;
  return llvm_select(em, huge, llvm_select(em, below, least, most),
                     llvm_select(em, below, negative, v));
}

LLVMValueRef llvm_float_to_int(llvm_emitter *em, bool is_signed, LLVMValueRef x, LLVMTypeRef type) {
  LLVMBuilderRef b = em->builder;
  if (!is_rvv(em, type) && (!converts_in_software(em) || !is_int64(type))) {
    LLVMTypeRef types[2] = {type, LLVMTypeOf(x)};
    return llvm_call(em, is_signed ? "llvm.fptosi.sat" : "llvm.fptoui.sat", 2, types, 1, &x);
  }
  LLVMTypeRef f64 = double_like(em, type);
  if (LLVMTypeOf(x) != f64)
    x = LLVMBuildFPExt(b, x, f64, "");
  LLVMValueRef number = LLVMBuildFCmp(b, LLVMRealORD, x, x, "");
  x = llvm_select(em, number, x, LLVMConstNull(f64));
  if (is_int64(type))
    return double_to_int64(em, is_signed, x, type);
  double range = (double)(UINT64_C(1) << (LLVMGetIntTypeWidth(element(type)) - is_signed));
  x = clamp(em, x, is_signed ? -range : 0, range - 1);
  return LLVMBuildTrunc(b, bits_of_double(em, llvm_rounded(em, "llvm.trunc", x)), type, "");
}
