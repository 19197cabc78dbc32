/* codegen/llvm_cast.c: conversions between element types in LLVM IR.
 *
 * Why by hand: fpext and fptrunc of half and bfloat become library calls where the target has no
 * instruction (__extendhfsf2, __truncsfbf2, ...), and kernels import nothing. So F16 and BF16 are
 * floats in registers, always on the grid of their type, and their 16 bits exist only in memory.
 * With F16C or NEON the conversions of F16 are instructions; otherwise integer arithmetic on the
 * bits. With Arm's FP16 F16 is `half` everywhere: sums, differences, products, quotients and roots
 * of f16 rounded once are those computed in f32 and rounded again (f32 has 2p + 2 bits), so nothing
 * but the speed differs; fma is rounded once, as the interpreter has it.
 *
 * Rounding is half to even everywhere. f64 goes to 16 bits through f32 rounded to odd, which makes
 * the second rounding exact (Boldo and Melquiond, "When double rounding is odd", 2004). */
#include "codegen/llvm_emitter.h"

static LLVMTypeRef int_like(llvm_emitter *em, int bits, LLVMTypeRef type) {
  return llvm_with_lanes(LLVMIntTypeInContext(em->lc, (unsigned)bits), llvm_lanes(type));
}

static LLVMTypeRef float_like(llvm_emitter *em, LLVMTypeRef type) {
  return llvm_with_lanes(LLVMFloatTypeInContext(em->lc), llvm_lanes(type));
}

static LLVMValueRef imm(LLVMValueRef like, int64_t v) {
  return llvm_splat_int(LLVMTypeOf(like), v);
}

static bool has_half(const llvm_emitter *em) {
  bool arm =
      neo_target_has(em->target, NEO_ISA_VFP4) ||
      (neo_target_has(em->target, NEO_ISA_NEON) && neo_target_pointer_bytes(em->target) == 8);
  return arm || neo_target_has(em->target, NEO_ISA_F16C) ||
         neo_target_has(em->target, NEO_ISA_AVX512);
}

bool llvm_has_f16(const llvm_emitter *em) {
  return neo_target_has(em->target, NEO_ISA_FP16);
}

static bool is_native(const llvm_emitter *em, neo_dtype dtype) {
  return dtype == NEO_F16 && llvm_has_f16(em);
}

/* ---- 16 bits in the low half of an i32 -> float ------------------------------------------------ */

static LLVMValueRef half_to_float(llvm_emitter *em, LLVMValueRef h) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef f32 = float_like(em, LLVMTypeOf(h));
  LLVMValueRef sign = LLVMBuildShl(b, LLVMBuildAnd(b, h, imm(h, 0x8000), ""), imm(h, 16), "");
  LLVMValueRef em_bits = LLVMBuildAnd(b, h, imm(h, 0x7fff), "");
  LLVMValueRef shifted = LLVMBuildShl(b, em_bits, imm(h, 13), "");
  LLVMValueRef normal = LLVMBuildAdd(b, shifted, imm(h, 0x38000000), "");
  LLVMValueRef special = LLVMBuildOr(b, shifted, imm(h, 0x7f800000), "");
  LLVMValueRef tiny =
      LLVMBuildFMul(b, LLVMBuildUIToFP(b, em_bits, f32, ""), llvm_splat_float(f32, 0x1p-24), "");
  LLVMValueRef is_tiny = LLVMBuildICmp(b, LLVMIntULT, em_bits, imm(h, 0x400), "");
  LLVMValueRef is_special = LLVMBuildICmp(b, LLVMIntUGE, em_bits, imm(h, 0x7c00), "");
  LLVMValueRef bits = LLVMBuildSelect(b, is_special, special, normal, "");
  bits = LLVMBuildSelect(b, is_tiny, LLVMBuildBitCast(b, tiny, LLVMTypeOf(h), ""), bits, "");
  return LLVMBuildBitCast(b, LLVMBuildOr(b, bits, sign, ""), f32, "");
}

static LLVMValueRef bf16_to_float(llvm_emitter *em, LLVMValueRef h) {
  LLVMValueRef bits = LLVMBuildShl(em->builder, h, imm(h, 16), "");
  return LLVMBuildBitCast(em->builder, bits, float_like(em, LLVMTypeOf(h)), "");
}

/* ---- float's bits -> 16 bits in the low half of an i32 ------------------------------------------- */

/* x + (half an ulp of the result, minus 1, plus the result's last bit): ties go to even. */
static LLVMValueRef add_half_ulp(llvm_emitter *em, LLVMValueRef x, int drop) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef last = LLVMBuildAnd(b, LLVMBuildLShr(b, x, imm(x, drop), ""), imm(x, 1), "");
  LLVMValueRef half = LLVMBuildAdd(b, last, imm(x, (1 << (drop - 1)) - 1), "");
  return LLVMBuildAdd(b, x, half, "");
}

static LLVMValueRef float_to_half(llvm_emitter *em, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef f32 = float_like(em, LLVMTypeOf(x));
  LLVMValueRef sign = LLVMBuildAnd(b, LLVMBuildLShr(b, x, imm(x, 16), ""), imm(x, 0x8000), "");
  LLVMValueRef a = LLVMBuildAnd(b, x, imm(x, 0x7fffffff), "");
  LLVMValueRef rounded = LLVMBuildSub(b, add_half_ulp(em, a, 13), imm(x, 0x38000000), "");
  LLVMValueRef normal = LLVMBuildLShr(b, rounded, imm(x, 13), "");
  LLVMValueRef magic =
      LLVMBuildFAdd(b, LLVMBuildBitCast(b, a, f32, ""), llvm_splat_float(f32, 0.5), "");
  LLVMValueRef tiny =
      LLVMBuildSub(b, LLVMBuildBitCast(b, magic, LLVMTypeOf(x), ""), imm(x, 0x3f000000), "");
  LLVMValueRef is_nan = LLVMBuildICmp(b, LLVMIntUGT, a, imm(x, 0x7f800000), "");
  LLVMValueRef big = LLVMBuildSelect(b, is_nan, imm(x, 0x7e00), imm(x, 0x7c00), "");
  LLVMValueRef is_big = LLVMBuildICmp(b, LLVMIntUGE, a, imm(x, 0x47800000), "");
  LLVMValueRef is_tiny = LLVMBuildICmp(b, LLVMIntULT, a, imm(x, 0x38800000), "");
  LLVMValueRef h = LLVMBuildSelect(b, is_big, big, normal, "");
  h = LLVMBuildSelect(b, is_tiny, tiny, h, "");
  return LLVMBuildOr(b, h, sign, "");
}

static LLVMValueRef float_to_bf16(llvm_emitter *em, LLVMValueRef x) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef a = LLVMBuildAnd(b, x, imm(x, 0x7fffffff), "");
  LLVMValueRef is_nan = LLVMBuildICmp(b, LLVMIntUGT, a, imm(x, 0x7f800000), "");
  LLVMValueRef rounded = LLVMBuildLShr(b, add_half_ulp(em, x, 16), imm(x, 16), "");
  LLVMValueRef quiet = LLVMBuildOr(b, LLVMBuildLShr(b, x, imm(x, 16), ""), imm(x, 0x40), "");
  return LLVMBuildSelect(b, is_nan, quiet, rounded, "");
}

/* ---- between memory and registers ---------------------------------------------------------------- */

static LLVMValueRef sixteen_from_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(a);
  if (is_native(em, dtype))
    return a;
  if (dtype == NEO_F16 && has_half(em)) {
    LLVMTypeRef half = llvm_with_lanes(LLVMHalfTypeInContext(em->lc), llvm_lanes(type));
    return LLVMBuildFPExt(b, LLVMBuildBitCast(b, a, half, ""), float_like(em, type), "");
  }
  LLVMValueRef wide = LLVMBuildZExt(b, a, int_like(em, 32, type), "");
  return dtype == NEO_F16 ? half_to_float(em, wide) : bf16_to_float(em, wide);
}

/* a: float, rounded to the 16-bit type. */
static LLVMValueRef sixteen_to_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(a), i16 = int_like(em, 16, type);
  if (is_native(em, dtype))
    return a;
  if (dtype == NEO_F16 && has_half(em)) {
    LLVMTypeRef half = llvm_with_lanes(LLVMHalfTypeInContext(em->lc), llvm_lanes(type));
    return LLVMBuildBitCast(b, LLVMBuildFPTrunc(b, a, half, ""), i16, "");
  }
  LLVMValueRef bits = LLVMBuildBitCast(b, a, int_like(em, 32, type), "");
  bits = dtype == NEO_F16 ? float_to_half(em, bits) : float_to_bf16(em, bits);
  return LLVMBuildTrunc(b, bits, i16, "");
}

LLVMValueRef llvm_from_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a) {
  if (dtype == NEO_F16 || dtype == NEO_BF16)
    return sixteen_from_memory(em, dtype, a);
  if (dtype == NEO_BOOL)
    return LLVMBuildICmp(em->builder, LLVMIntNE, a, imm(a, 0), "");
  return a;
}

LLVMValueRef llvm_to_memory(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a) {
  if (dtype == NEO_F16 || dtype == NEO_BF16)
    return sixteen_to_memory(em, dtype, a);
  if (dtype == NEO_BOOL)
    return LLVMBuildZExt(em->builder, a, int_like(em, 8, LLVMTypeOf(a)), "");
  return a;
}

LLVMValueRef llvm_round_to(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a) {
  if (dtype != NEO_F16 && dtype != NEO_BF16)
    return a;
  return sixteen_from_memory(em, dtype, sixteen_to_memory(em, dtype, a));
}

/* ---- casts --------------------------------------------------------------------------------------- */

/* f64 -> f32 truncated, with the last bit set if anything was lost. */
static LLVMValueRef double_to_odd(llvm_emitter *em, LLVMValueRef d) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef f32 = float_like(em, LLVMTypeOf(d));
  LLVMValueRef f = LLVMBuildFPTrunc(b, d, f32, "");
  LLVMValueRef back = LLVMBuildFPExt(b, f, LLVMTypeOf(d), "");
  LLVMValueRef bits = LLVMBuildBitCast(b, f, int_like(em, 32, f32), "");
  LLVMValueRef magnitude = llvm_call_same(em, "llvm.fabs", 1, &d);
  LLVMValueRef back_magnitude = llvm_call_same(em, "llvm.fabs", 1, &back);
  LLVMValueRef above = LLVMBuildFCmp(b, LLVMRealOGT, back_magnitude, magnitude, "");
  LLVMValueRef lost = LLVMBuildFCmp(b, LLVMRealONE, back, d, "");
  LLVMValueRef down = LLVMBuildSub(b, bits, LLVMBuildZExt(b, above, LLVMTypeOf(bits), ""), "");
  LLVMValueRef odd = LLVMBuildOr(b, down, imm(bits, 1), "");
  return LLVMBuildBitCast(b, LLVMBuildSelect(b, lost, odd, bits, ""), f32, "");
}

/* A native half as a float; any other value as it is. */
static LLVMValueRef widened(llvm_emitter *em, neo_dtype from, LLVMValueRef a) {
  return is_native(em, from) ? LLVMBuildFPExt(em->builder, a, float_like(em, LLVMTypeOf(a)), "")
                             : a;
}

static LLVMValueRef float_to_float(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a) {
  a = widened(em, from, a);
  if (to == NEO_F64)
    return from == NEO_F64
               ? a
               : LLVMBuildFPExt(em->builder, a, llvm_type(em, to, llvm_lanes(LLVMTypeOf(a))), "");
  if (from == NEO_F64 && to == NEO_F32)
    return LLVMBuildFPTrunc(em->builder, a, float_like(em, LLVMTypeOf(a)), "");
  if (from == NEO_F64)
    a = double_to_odd(em, a);
  if (is_native(em, to))
    return LLVMBuildFPTrunc(em->builder, a, llvm_type(em, to, llvm_lanes(LLVMTypeOf(a))), "");
  return llvm_round_to(em, to, a);
}

static LLVMValueRef float_to_int(llvm_emitter *em, neo_dtype to, LLVMValueRef a) {
  LLVMTypeRef type = llvm_type(em, to, llvm_lanes(LLVMTypeOf(a)));
  return llvm_float_to_int(em, neo_dtype_class(to) != 'u', a, type);
}

/* Through f64 where f32 would round a second time; an i64 does not fit f64 exactly but then the
 * 16-bit result is infinite or decided by far higher bits, except for ties that the lost bits would
 * break. */
static LLVMValueRef int_to_float(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a) {
  bool small = to == NEO_F16 || to == NEO_BF16;
  bool is_unsigned = neo_dtype_class(from) != 'i';
  neo_dtype via = small ? NEO_F64 : to;
  LLVMTypeRef type = llvm_type(em, via, llvm_lanes(LLVMTypeOf(a)));
  LLVMValueRef v = llvm_int_to_float(em, !is_unsigned, a, type);
  return small ? float_to_float(em, to, NEO_F64, v) : v;
}

static LLVMValueRef int_to_int(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a) {
  size_t have = from == NEO_BOOL ? 0 : neo_dtype_size(from), want = neo_dtype_size(to);
  LLVMTypeRef type = llvm_type(em, to, llvm_lanes(LLVMTypeOf(a)));
  if (have == want)
    return a;
  if (have > want)
    return LLVMBuildTrunc(em->builder, a, type, "");
  return neo_dtype_class(from) == 'i' ? LLVMBuildSExt(em->builder, a, type, "")
                                      : LLVMBuildZExt(em->builder, a, type, "");
}

LLVMValueRef llvm_cast(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a) {
  bool from_float = neo_dtype_class(from) == 'f', to_float = neo_dtype_class(to) == 'f';
  if (to == from)
    return a;
  if (to == NEO_BOOL)
    return from_float ? LLVMBuildFCmp(em->builder, LLVMRealUNE, a, LLVMConstNull(LLVMTypeOf(a)), "")
                      : LLVMBuildICmp(em->builder, LLVMIntNE, a, imm(a, 0), "");
  if (from_float && to_float)
    return float_to_float(em, to, from, a);
  if (from_float)
    return float_to_int(em, to, widened(em, from, a));
  return to_float ? int_to_float(em, to, from, a) : int_to_int(em, to, from, a);
}

LLVMValueRef llvm_bitcast(llvm_emitter *em, neo_dtype to, neo_dtype from, LLVMValueRef a) {
  LLVMValueRef bits = llvm_to_memory(em, from, a);
  LLVMTypeRef type = llvm_memory_type(em, to, llvm_lanes(LLVMTypeOf(bits)));
  return llvm_from_memory(em, to, LLVMBuildBitCast(em->builder, bits, type, ""));
}
