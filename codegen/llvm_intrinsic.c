/* codegen/llvm_intrinsic.c: rows of schedule/intrinsics.def in LLVM IR.
 *
 * An operand is a vector of words, one 32-bit group a lane; a shared group is one word in all
 * lanes. With the row's instruction (or a relative of other signs: flipping the top bit of a byte
 * moves it by 128, which a sum of the other operand makes good) that is one call.
 *
 * Without it, x86 multiplies pairs of 16 bits (pmaddwd), exactly: the even and the odd bytes of
 * each word, sign or zero extended in place by shifts, so no lane ever moves. Parts of an operand
 * that many accumulators share are made once (LLVM_OP_PART). Hexagon has every row of bytes as it
 * is. Other targets multiply byte by byte in 32-bit lanes, and pairs of bf16 are two FMAs on the
 * words' halves. */
#include "codegen/llvm_emitter.h"
#include "schedule/intrinsic.h"

#include <string.h>

typedef enum part {
  PART_EVEN,   /* bytes 0 and 2 as 16-bit halves */
  PART_ODD,    /* bytes 1 and 3 */
  PART_FLIP,   /* every byte's top bit flipped */
  PART_SUM,    /* 128 times the sum of the word's bytes */
  PART_LOW,    /* the low half as a float's high half */
  PART_HIGH,   /* the high half, as a float */
  PART_BYTE_0, /* byte j, extended to the word: PART_BYTE_0 + j */
} part;

typedef struct dot {
  llvm_emitter *em;
  const neo_intrinsic *row;
  int lanes;
  LLVMTypeRef words; /* <lanes x i32>, or i32 */
} dot;

/* ---- operands ------------------------------------------------------------------------------------ */

static llvm_val load_bits(llvm_emitter *em, const neo_expr *e) {
  bool in_memory = e->op == NEO_EXPR_LOAD && !em->row[e->u.load.buffer] &&
                   em->nest->buffer[e->u.load.buffer].scope != NEO_SCOPE_REG;
  if (e->dtype != NEO_BF16)
    return llvm_emit(em, e);
  if (in_memory) {
    neo_expr bits = *e;
    bits.dtype = NEO_U16;
    return llvm_load(em, &bits);
  }
  llvm_val v = llvm_emit(em, e);
  v.v = llvm_to_memory(em, NEO_BF16, v.v);
  v.local = true;
  v.home = em->depth;
  return v;
}

static llvm_val operand_words(const dot *d, const neo_expr *e) {
  llvm_emitter *em = d->em;
  llvm_val bits = load_bits(em, e), found;
  bool shared = e->lanes == d->row->group;
  llvm_key key = {LLVM_OP_WORDS, (uint16_t)e->dtype, e->lanes, {bits.v}, 0};
  if (!llvm_find(em, &key, &found)) {
    llvm_val where = llvm_place(em, 1, &bits);
    LLVMTypeRef type = shared ? em->int32 : d->words;
    found = llvm_placed(em, &key, where, LLVMBuildBitCast(em->builder, bits.v, type, ""));
  }
  return shared ? llvm_splat(em, NEO_I32, found, d->lanes) : found;
}

static LLVMValueRef imm(const dot *d, uint32_t v) {
  return llvm_splat_int(d->words, (int64_t)(int32_t)v);
}

static bool is_x86(const dot *d) {
  return strcmp(d->em->target->arch, "x86_64") == 0;
}

/* ---- instructions -------------------------------------------------------------------------------- */

static LLVMValueRef call_typed(llvm_emitter *em, const char *name, int n, LLVMValueRef *args) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  neo_assert(id != 0);
  if (LLVMIntrinsicIsOverloaded(id)) {
    LLVMTypeRef types[2] = {LLVMTypeOf(args[0]), LLVMTypeOf(args[n - 1])};
    return llvm_call(em, name, 2, types, n, args);
  }
  return llvm_call(em, name, 0, NULL, n, args);
}

static LLVMTypeRef bytes_type(const dot *d) {
  return LLVMVectorType(d->em->int8, (unsigned)(4 * d->lanes));
}

/* acc + dot products of bytes: u8 * s8 on x86, s8 * s8 (`is_signed`) or u8 * u8 on Arm. */
static LLVMValueRef byte_dot(const dot *d, bool is_signed, LLVMValueRef acc, LLVMValueRef a,
                             LLVMValueRef b) {
  llvm_emitter *em = d->em;
  if (is_x86(d)) {
    LLVMValueRef args[3] = {acc, a, b};
    return call_typed(em,
                      d->lanes == 16  ? "llvm.x86.avx512.vpdpbusd.512"
                      : d->lanes == 8 ? "llvm.x86.avx512.vpdpbusd.256"
                                      : "llvm.x86.avx512.vpdpbusd.128",
                      3, args);
  }
  LLVMValueRef args[3] = {acc, LLVMBuildBitCast(em->builder, a, bytes_type(d), ""),
                          LLVMBuildBitCast(em->builder, b, bytes_type(d), "")};
  return call_typed(em, is_signed ? "llvm.aarch64.neon.sdot" : "llvm.aarch64.neon.udot", 3, args);
}

static bool has_byte_dot(const dot *d) {
  const neo_target *target = d->em->target;
  if (neo_target_has(target, NEO_ISA_AVX512_VNNI))
    return d->lanes == 4 || d->lanes == 8 || d->lanes == 16;
  if (neo_target_has(target, NEO_ISA_AVX_VNNI))
    return d->lanes == 4 || d->lanes == 8;
  return neo_target_has(target, NEO_ISA_DOTPROD) && d->lanes == 4;
}

static bool has_hvx_dot(const dot *d) {
  return neo_target_has(d->em->target, NEO_ISA_HVX) && d->lanes == 32;
}

/* The first operand of the mixed one is unsigned. */
static LLVMValueRef hvx_bytes(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  bool signed_a = d->row->a == NEO_I8, signed_b = d->row->b == NEO_I8;
  LLVMValueRef args[3] = {acc, signed_a && !signed_b ? b.v : a.v,
                          signed_a && !signed_b ? a.v : b.v};
  return call_typed(d->em,
                    signed_a != signed_b ? "llvm.hexagon.V6.vrmpybusv.acc.128B"
                    : signed_a           ? "llvm.hexagon.V6.vrmpybv.acc.128B"
                                         : "llvm.hexagon.V6.vrmpyubv.acc.128B",
                    3, args);
}

static bool has_word_multiply(const dot *d) {
  const neo_target *target = d->em->target;
  return is_x86(d) && (d->lanes == 4 || (d->lanes == 8 && neo_target_has(target, NEO_ISA_AVX2)) ||
                       (d->lanes == 16 && neo_target_has(target, NEO_ISA_AVX512)));
}

static LLVMValueRef multiply_pairs(const dot *d, LLVMValueRef a, LLVMValueRef b) {
  LLVMTypeRef halves = LLVMVectorType(LLVMInt16TypeInContext(d->em->lc), (unsigned)(2 * d->lanes));
  LLVMValueRef args[2] = {LLVMBuildBitCast(d->em->builder, a, halves, ""),
                          LLVMBuildBitCast(d->em->builder, b, halves, "")};
  return call_typed(d->em,
                    d->lanes == 16  ? "llvm.x86.avx512.pmaddw.d.512"
                    : d->lanes == 8 ? "llvm.x86.avx2.pmadd.wd"
                                    : "llvm.x86.sse2.pmadd.wd",
                    2, args);
}

/* ---- parts of an operand ------------------------------------------------------------------------- */

static LLVMValueRef half_words(const dot *d, LLVMValueRef w, bool odd, bool is_signed) {
  LLVMBuilderRef b = d->em->builder;
  LLVMTypeRef halves = LLVMVectorType(LLVMInt16TypeInContext(d->em->lc), (unsigned)(2 * d->lanes));
  if (!odd && !is_signed)
    return LLVMBuildAnd(b, w, imm(d, 0x00ff00ffu), "");
  LLVMValueRef h = LLVMBuildBitCast(b, w, halves, ""), eight = llvm_splat_int(halves, 8);
  if (!odd)
    h = LLVMBuildShl(b, h, eight, "");
  h = is_signed ? LLVMBuildAShr(b, h, eight, "") : LLVMBuildLShr(b, h, eight, "");
  return LLVMBuildBitCast(b, h, d->words, "");
}

static LLVMValueRef byte_of(const dot *d, LLVMValueRef w, int j, bool is_signed) {
  LLVMBuilderRef b = d->em->builder;
  if (is_signed)
    return LLVMBuildAShr(b, LLVMBuildShl(b, w, imm(d, (uint32_t)(24 - 8 * j)), ""), imm(d, 24), "");
  return LLVMBuildAnd(b, LLVMBuildLShr(b, w, imm(d, (uint32_t)(8 * j)), ""), imm(d, 255), "");
}

/* On x86 the instruction's first operand is unsigned, its second one signed. */
static LLVMValueRef sum_of_bytes(const dot *d, LLVMValueRef w, bool is_signed) {
  LLVMBuilderRef b = d->em->builder;
  LLVMValueRef zero = imm(d, 0), ones = imm(d, 0x01010101u);
  bool second = is_x86(d) && is_signed;
  LLVMValueRef sum =
      second ? byte_dot(d, true, zero, ones, w) : byte_dot(d, is_signed, zero, w, ones);
  return LLVMBuildShl(b, sum, imm(d, 7), "");
}

static LLVMValueRef build_part(const dot *d, LLVMValueRef w, part p, bool is_signed) {
  llvm_emitter *em = d->em;
  LLVMTypeRef floats = llvm_with_lanes(LLVMFloatTypeInContext(em->lc), d->lanes);
  switch (p) {
  case PART_EVEN:
  case PART_ODD:
    return half_words(d, w, p == PART_ODD, is_signed);
  case PART_FLIP:
    return LLVMBuildXor(em->builder, w, imm(d, 0x80808080u), "");
  case PART_SUM:
    return sum_of_bytes(d, w, is_signed);
  case PART_LOW:
    w = LLVMBuildShl(em->builder, w, imm(d, 16), "");
    return LLVMBuildBitCast(em->builder, w, floats, "");
  case PART_HIGH:
    w = LLVMBuildAnd(em->builder, w, imm(d, 0xffff0000u), "");
    return LLVMBuildBitCast(em->builder, w, floats, "");
  default:
    return byte_of(d, w, (int)p - PART_BYTE_0, is_signed);
  }
}

static llvm_val part_of(const dot *d, llvm_val words, part p, neo_dtype dtype) {
  llvm_val found;
  llvm_key key = {LLVM_OP_PART, (uint16_t)dtype, (uint16_t)d->lanes, {words.v}, (int64_t)p};
  if (llvm_find(d->em, &key, &found))
    return found;
  llvm_val where = llvm_place(d->em, 1, &words);
  return llvm_placed(d->em, &key, where, build_part(d, words.v, p, dtype == NEO_I8));
}

/* ---- rows ---------------------------------------------------------------------------------------- */

/* Where the row's signs are not the instruction's, one operand is flipped: (x + 128) * y is 128 * y
 * more than x * y. */
static LLVMValueRef native_bytes(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  const neo_intrinsic *r = d->row;
  LLVMBuilderRef builder = d->em->builder;
  bool x86 = is_x86(d), signed_a = r->a == NEO_I8, signed_b = r->b == NEO_I8;
  if (x86 ? !signed_a && signed_b : signed_a == signed_b)
    return byte_dot(d, signed_a, acc, a.v, b.v);
  if (!x86 || (signed_a && signed_b)) {
    llvm_val flipped = part_of(d, a, PART_FLIP, r->a), sum = part_of(d, b, PART_SUM, r->b);
    acc = byte_dot(d, true, acc, flipped.v, b.v);
    return signed_a ? LLVMBuildSub(builder, acc, sum.v, "") : LLVMBuildAdd(builder, acc, sum.v, "");
  }
  llvm_val flipped = part_of(d, b, PART_FLIP, r->b), sum = part_of(d, a, PART_SUM, r->a);
  return LLVMBuildAdd(builder, byte_dot(d, true, acc, a.v, flipped.v), sum.v, "");
}

static LLVMValueRef expanded_bytes(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  LLVMBuilderRef builder = d->em->builder;
  if (has_word_multiply(d)) {
    LLVMValueRef sum[2];
    for (part p = PART_EVEN; p <= PART_ODD; p++) {
      llvm_val x = part_of(d, a, p, d->row->a), y = part_of(d, b, p, d->row->b);
      sum[p] = multiply_pairs(d, x.v, y.v);
    }
    return LLVMBuildAdd(builder, acc, LLVMBuildAdd(builder, sum[0], sum[1], ""), "");
  }
  for (int j = 0; j < 4; j++) {
    llvm_val x = part_of(d, a, (part)(PART_BYTE_0 + j), d->row->a);
    llvm_val y = part_of(d, b, (part)(PART_BYTE_0 + j), d->row->b);
    acc = LLVMBuildAdd(builder, acc, LLVMBuildMul(builder, x.v, y.v, ""), "");
  }
  return acc;
}

static LLVMValueRef native_bf16(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  llvm_emitter *em = d->em;
  LLVMTypeRef type = LLVMVectorType(LLVMBFloatTypeInContext(em->lc), (unsigned)(2 * d->lanes));
  LLVMValueRef args[3] = {acc, LLVMBuildBitCast(em->builder, a.v, type, ""),
                          LLVMBuildBitCast(em->builder, b.v, type, "")};
  return call_typed(em,
                    d->lanes == 16  ? "llvm.x86.avx512bf16.dpbf16ps.512"
                    : d->lanes == 8 ? "llvm.x86.avx512bf16.dpbf16ps.256"
                                    : "llvm.x86.avx512bf16.dpbf16ps.128",
                    3, args);
}

static LLVMValueRef expanded_bf16(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  for (part p = PART_HIGH; p >= PART_LOW; p--) {
    LLVMValueRef x[3] = {part_of(d, a, p, d->row->a).v, part_of(d, b, p, d->row->b).v, acc};
    acc = llvm_multiply_add(d->em, x);
  }
  return acc;
}

static LLVMValueRef build_row(const dot *d, LLVMValueRef acc, llvm_val a, llvm_val b) {
  if (neo_dtype_class(d->row->acc) != 'f')
    return has_hvx_dot(d)    ? hvx_bytes(d, acc, a, b)
           : has_byte_dot(d) ? native_bytes(d, acc, a, b)
                             : expanded_bytes(d, acc, a, b);
  bool whole = d->lanes == 4 || d->lanes == 8 || d->lanes == 16;
  return whole && neo_target_has(d->em->target, NEO_ISA_AVX512_BF16) ? native_bf16(d, acc, a, b)
                                                                     : expanded_bf16(d, acc, a, b);
}

llvm_val llvm_intrinsic(llvm_emitter *em, const neo_expr *e) {
  dot d = {em, neo_intrinsic_get(e->u.row), e->lanes, NULL};
  d.words = llvm_with_lanes(em->int32, d.lanes);
  llvm_val acc = llvm_emit(em, e->arg[0]);
  llvm_val a = operand_words(&d, e->arg[1]), b = operand_words(&d, e->arg[2]);
  llvm_val where = {.home = em->depth, .local = true, .seq = ++em->seq};
  where.v = build_row(&d, acc.v, a, b);
  return where;
}
