/* codegen/llvm_expr.c: expressions of a nest as LLVM IR.
 *
 * What an operation means is neo_expr_apply's business (ir/expr_eval.c); here is the same, lane by
 * lane. min and max are written as the compare and select that one x86 instruction does; 64-bit Arm
 * has an instruction that differs from them in NaNs of the second operand and in the sign of a
 * zero, so it serves where that operand is a constant. There, too, a sum starts with a product
 * instead of a zero to add to. f32 FMA is the instruction where the target has it and otherwise a
 * multiplication and an addition (llvm.fma would become a call of fmaf).
 *
 * Every node goes through the table of llvm_scope.c, so equal nodes are emitted once per scope and
 * index arithmetic leaves the loops it does not depend on. Nodes may be shared (DAGs): `memo`
 * remembers what each node of the statement at hand became. */
#include "codegen/llvm_emitter.h"

#include <math.h>
#include <string.h>

/* ---- types --------------------------------------------------------------------------------------- */

LLVMTypeRef llvm_with_lanes(LLVMTypeRef scalar, int lanes) {
  return lanes == 1 ? scalar : LLVMVectorType(scalar, (unsigned)lanes);
}

int llvm_lanes(LLVMTypeRef type) {
  return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(type) : 1;
}

LLVMTypeRef llvm_type(llvm_emitter *em, neo_dtype dtype, int lanes) {
  LLVMTypeRef type;
  if (dtype == NEO_F16 && llvm_has_f16(em))
    type = LLVMHalfTypeInContext(em->lc);
  else if (neo_dtype_class(dtype) == 'f')
    type = dtype == NEO_F64 ? LLVMDoubleTypeInContext(em->lc) : LLVMFloatTypeInContext(em->lc);
  else
    type =
        LLVMIntTypeInContext(em->lc, dtype == NEO_BOOL ? 1 : (unsigned)(8 * neo_dtype_size(dtype)));
  return llvm_with_lanes(type, lanes);
}

LLVMTypeRef llvm_memory_type(llvm_emitter *em, neo_dtype dtype, int lanes) {
  if ((dtype == NEO_F16 && !llvm_has_f16(em)) || dtype == NEO_BF16)
    return llvm_with_lanes(LLVMInt16TypeInContext(em->lc), lanes);
  return dtype == NEO_BOOL ? llvm_with_lanes(em->int8, lanes) : llvm_type(em, dtype, lanes);
}

/* ---- constants ----------------------------------------------------------------------------------- */

static LLVMValueRef splat_constant(LLVMValueRef scalar, int lanes) {
  LLVMValueRef lane[NEO_NEST_MAX_LANES];
  if (lanes == 1)
    return scalar;
  for (int k = 0; k < lanes; k++)
    lane[k] = scalar;
  return LLVMConstVector(lane, (unsigned)lanes);
}

static LLVMTypeRef scalar_of(LLVMTypeRef type) {
  return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetElementType(type) : type;
}

LLVMValueRef llvm_splat_int(LLVMTypeRef type, int64_t v) {
  return splat_constant(LLVMConstInt(scalar_of(type), (unsigned long long)v, true),
                        llvm_lanes(type));
}

LLVMValueRef llvm_splat_float(LLVMTypeRef type, double v) {
  return splat_constant(LLVMConstReal(scalar_of(type), v), llvm_lanes(type));
}

/* ---- small helpers ------------------------------------------------------------------------------- */

LLVMValueRef llvm_call(llvm_emitter *em, const char *name, int n_types, LLVMTypeRef *types,
                       int n_args, LLVMValueRef *args) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  neo_assert(id != 0);
  LLVMValueRef fn = LLVMGetIntrinsicDeclaration(em->module, id, types, (size_t)n_types);
  LLVMTypeRef type = LLVMIntrinsicGetType(em->lc, id, types, (size_t)n_types);
  return LLVMBuildCall2(em->builder, type, fn, args, (unsigned)n_args, "");
}

LLVMValueRef llvm_call_same(llvm_emitter *em, const char *name, int n_args, LLVMValueRef *args) {
  LLVMTypeRef type = LLVMTypeOf(args[0]);
  return llvm_call(em, name, 1, &type, n_args, args);
}

/* LLVM makes Hexagon's sfmin and sfmax of compares and selects of f32, and those prefer any number
 * to a NaN: so their bits are selected. */
static LLVMValueRef select_bits(llvm_emitter *em, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b) {
  LLVMTypeRef type = LLVMTypeOf(a), bits = llvm_with_lanes(em->int32, llvm_lanes(type));
  LLVMValueRef v = LLVMBuildSelect(em->builder, c, LLVMBuildBitCast(em->builder, a, bits, ""),
                                   LLVMBuildBitCast(em->builder, b, bits, ""), "");
  return LLVMBuildBitCast(em->builder, v, type, "");
}

LLVMValueRef llvm_select(llvm_emitter *em, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b) {
  if (LLVMIsConstant(c)) {
    if (LLVMIsNull(c))
      return b;
    if (c == LLVMConstAllOnes(LLVMTypeOf(c)))
      return a;
  }
  bool is_float = LLVMGetTypeKind(scalar_of(LLVMTypeOf(a))) == LLVMFloatTypeKind;
  return is_float && strcmp(em->target->arch, "hexagon") == 0
             ? select_bits(em, c, a, b)
             : LLVMBuildSelect(em->builder, c, a, b, "");
}

llvm_val llvm_splat(llvm_emitter *em, neo_dtype dtype, llvm_val scalar, int lanes) {
  if (lanes == 1)
    return scalar;
  if (LLVMIsConstant(scalar.v))
    return llvm_constant(splat_constant(scalar.v, lanes));
  llvm_key key = {NEO_EXPR_BROADCAST, (uint16_t)dtype, (uint16_t)lanes, {scalar.v}, 0};
  llvm_val found;
  if (llvm_find(em, &key, &found))
    return found;
  llvm_val where = llvm_place(em, 1, &scalar);
  LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar.v), (unsigned)lanes);
  LLVMTypeRef mask = LLVMVectorType(em->int32, (unsigned)lanes);
  LLVMValueRef undef = LLVMGetPoison(type);
  LLVMValueRef first =
      LLVMBuildInsertElement(em->builder, undef, scalar.v, LLVMConstInt(em->int64, 0, 0), "");
  LLVMValueRef v = LLVMBuildShuffleVector(em->builder, first, undef, LLVMConstNull(mask), "");
  return llvm_placed(em, &key, where, v);
}

/* ---- floats -------------------------------------------------------------------------------------- */

static const char *rounding_name(neo_expr_op op) {
  switch (op) {
  case NEO_EXPR_ABS:
    return "llvm.fabs";
  case NEO_EXPR_SQRT:
    return "llvm.sqrt";
  case NEO_EXPR_FLOOR:
    return "llvm.floor";
  case NEO_EXPR_CEIL:
    return "llvm.ceil";
  case NEO_EXPR_ROUND:
    return "llvm.roundeven";
  case NEO_EXPR_TRUNC:
    return "llvm.trunc";
  default:
    return NULL;
  }
}

static bool rounds(neo_expr_op op) {
  return op != NEO_EXPR_ABS && op != NEO_EXPR_SQRT;
}

static LLVMValueRef float_unary(llvm_emitter *em, const neo_expr *e, LLVMValueRef a) {
  if (e->op == NEO_EXPR_NEG)
    return LLVMBuildFNeg(em->builder, a, "");
  const char *name = rounding_name(e->op);
  if (name)
    return llvm_round_to(
        em, e->dtype, rounds(e->op) ? llvm_rounded(em, name, a) : llvm_call_same(em, name, 1, &a));
  llvm_fail(em, NEO_UNSUPPORTED, "operation '%s' was not expanded", neo_expr_op_name(e->op));
  return LLVMGetPoison(LLVMTypeOf(a));
}

static bool is_arm64(const llvm_emitter *em) {
  return neo_target_has(em->target, NEO_ISA_NEON) && neo_target_pointer_bytes(em->target) == 8;
}

/* x[0] * x[1] + x[2], rounded once where the target can. */
LLVMValueRef llvm_multiply_add(llvm_emitter *em, LLVMValueRef *x) {
  if (is_arm64(em) && LLVMIsConstant(x[2]) && LLVMIsNull(x[2]))
    return LLVMBuildFMul(em->builder, x[0], x[1], "");
  if (neo_target_fuses(em->target))
    return llvm_call_same(em, "llvm.fma", 3, x);
  return LLVMBuildFAdd(em->builder, LLVMBuildFMul(em->builder, x[0], x[1], ""), x[2], "");
}

static bool is_number(LLVMValueRef v) {
  LLVMBool lossy;
  if (!LLVMIsConstant(v) || LLVMIsNull(v))
    return LLVMIsConstant(v);
  if (LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind)
    v = LLVMGetAggregateElement(v, 0); /* constants are splats */
  return v && LLVMIsAConstantFP(v) && !isnan(LLVMConstRealGetDouble(v, &lossy));
}

static LLVMValueRef float_extreme(llvm_emitter *em, bool most, LLVMValueRef x, LLVMValueRef y) {
  LLVMValueRef both[2] = {x, y};
  if (is_arm64(em) && is_number(y) && !LLVMIsConstant(x))
    return llvm_call_same(em, most ? "llvm.maximum" : "llvm.minimum", 2, both);
  LLVMValueRef less = most ? LLVMBuildFCmp(em->builder, LLVMRealOLT, x, y, "")
                           : LLVMBuildFCmp(em->builder, LLVMRealOLT, y, x, "");
  return llvm_select(em, less, y, x);
}

/* floor(a / b) of the exact quotient's double, as the interpreter has it. */
static LLVMValueRef float_floordiv(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a,
                                   LLVMValueRef b) {
  LLVMValueRef q = LLVMBuildFDiv(em->builder, llvm_cast(em, NEO_F64, dtype, a),
                                 llvm_cast(em, NEO_F64, dtype, b), "");
  return llvm_cast(em, dtype, NEO_F64, llvm_rounded(em, "llvm.floor", q));
}

/* The remainder with the sign of a, in double: exact while the quotient has at most 29 bits (f64:
 * 53). */
static LLVMValueRef float_mod(llvm_emitter *em, const neo_expr *e, LLVMValueRef x, LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef n = llvm_cast(em, NEO_F64, e->dtype, x), d = llvm_cast(em, NEO_F64, e->dtype, y);
  LLVMTypeRef type = LLVMTypeOf(n);
  LLVMValueRef q = LLVMBuildFDiv(b, n, d, "");
  q = llvm_rounded(em, "llvm.trunc", q);
  LLVMValueRef terms[3] = {LLVMBuildFNeg(b, q, ""), d, n};
  LLVMValueRef r = llvm_multiply_add(em, terms);
  LLVMValueRef magnitude = llvm_call_same(em, "llvm.fabs", 1, &d);
  LLVMValueRef huge =
      LLVMBuildFCmp(b, LLVMRealOEQ, magnitude, llvm_splat_float(type, (double)INFINITY), "");
  LLVMValueRef finite = LLVMBuildFCmp(b, LLVMRealORD, q, q, "");
  r = llvm_select(em, LLVMBuildAnd(b, huge, finite, ""), n, r);
  LLVMValueRef signs[2] = {r, n};
  r = llvm_call_same(em, "llvm.copysign", 2, signs);
  if (e->op == NEO_EXPR_FLOORMOD) {
    LLVMValueRef zero = LLVMConstNull(type);
    LLVMValueRef below = LLVMBuildFCmp(b, LLVMRealOLT, LLVMBuildFMul(b, r, d, ""), zero, "");
    r = llvm_select(em, below, LLVMBuildFAdd(b, r, d, ""), r);
  }
  return llvm_cast(em, e->dtype, NEO_F64, r);
}

static LLVMValueRef float_binary(llvm_emitter *em, const neo_expr *e, LLVMValueRef x,
                                 LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  switch (e->op) {
  case NEO_EXPR_ADD:
    return llvm_round_to(em, e->dtype, LLVMBuildFAdd(b, x, y, ""));
  case NEO_EXPR_SUB:
    return llvm_round_to(em, e->dtype, LLVMBuildFSub(b, x, y, ""));
  case NEO_EXPR_MUL:
    return llvm_round_to(em, e->dtype, LLVMBuildFMul(b, x, y, ""));
  case NEO_EXPR_DIV:
    return llvm_round_to(em, e->dtype, LLVMBuildFDiv(b, x, y, ""));
  case NEO_EXPR_FLOORDIV:
    return float_floordiv(em, e->dtype, x, y);
  case NEO_EXPR_MOD:
  case NEO_EXPR_FLOORMOD:
    return float_mod(em, e, x, y);
  case NEO_EXPR_MIN:
    return float_extreme(em, false, x, y);
  case NEO_EXPR_MAX:
    return float_extreme(em, true, x, y);
  default:
    llvm_fail(em, NEO_UNSUPPORTED, "operation '%s' was not expanded", neo_expr_op_name(e->op));
    return LLVMGetPoison(LLVMTypeOf(x));
  }
}

/* ---- integers ------------------------------------------------------------------------------------ */

static bool is_signed(neo_dtype dtype) {
  return neo_dtype_class(dtype) == 'i';
}

static LLVMValueRef less(llvm_emitter *em, neo_dtype dtype, LLVMValueRef a, LLVMValueRef b) {
  if (neo_dtype_class(dtype) == 'f')
    return LLVMBuildFCmp(em->builder, LLVMRealOLT, a, b, "");
  return LLVMBuildICmp(em->builder, is_signed(dtype) ? LLVMIntSLT : LLVMIntULT, a, b, "");
}

static LLVMValueRef int_unary(llvm_emitter *em, const neo_expr *e, LLVMValueRef a) {
  LLVMBuilderRef b = em->builder;
  LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(a));
  switch (e->op) {
  case NEO_EXPR_NEG:
    return LLVMBuildNeg(b, a, "");
  case NEO_EXPR_ABS:
    return is_signed(e->dtype)
               ? llvm_select(em, less(em, e->dtype, a, zero), LLVMBuildNeg(b, a, ""), a)
               : a;
  case NEO_EXPR_NOT:
  case NEO_EXPR_BITNOT:
    return LLVMBuildNot(b, a, "");
  default:
    llvm_fail(em, NEO_UNSUPPORTED, "operation '%s' on integers", neo_expr_op_name(e->op));
    return zero;
  }
}

typedef struct quotient {
  LLVMValueRef q, r; /* truncated; both 0 when dividing by 0 */
} quotient;

static quotient divide(llvm_emitter *em, neo_dtype dtype, LLVMValueRef x, LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef zero = LLVMConstNull(type), one = llvm_splat_int(type, 1);
  LLVMValueRef none = LLVMBuildICmp(b, LLVMIntEQ, y, zero, "");
  quotient out;
  if (!is_signed(dtype)) {
    LLVMValueRef safe = llvm_select(em, none, one, y);
    out.q = llvm_select(em, none, zero, llvm_quotient(em, false, x, safe));
    out.r = llvm_select(em, none, zero, llvm_remainder(em, false, x, safe));
    return out;
  }
  LLVMValueRef minus = LLVMBuildICmp(b, LLVMIntEQ, y, llvm_splat_int(type, -1), "");
  LLVMValueRef safe = llvm_select(em, LLVMBuildOr(b, none, minus, ""), one, y);
  LLVMValueRef q = llvm_select(em, minus, LLVMBuildNeg(b, x, ""), llvm_quotient(em, true, x, safe));
  out.q = llvm_select(em, none, zero, q);
  out.r = llvm_select(em, none, zero, llvm_remainder(em, true, x, safe));
  return out;
}

static LLVMValueRef floor_divide(llvm_emitter *em, neo_dtype dtype, bool mod, LLVMValueRef x,
                                 LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef zero = LLVMConstNull(type);
  quotient d = divide(em, dtype, x, y);
  if (!is_signed(dtype))
    return mod ? d.r : d.q;
  LLVMValueRef differ = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, d.r, y, ""), zero, "");
  LLVMValueRef below = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntNE, d.r, zero, ""), differ, "");
  if (mod)
    return LLVMBuildAdd(b, d.r, llvm_select(em, below, y, zero), "");
  return LLVMBuildAdd(b, d.q, LLVMBuildSExt(b, below, type, ""), "");
}

/* Index arithmetic: a divisor known at build time and a dividend known not to be negative. */
static LLVMValueRef index_divide(llvm_emitter *em, const neo_expr *e, LLVMValueRef x,
                                 LLVMValueRef y) {
  int64_t d;
  neo_range range;
  bool mod = e->op == NEO_EXPR_FLOORMOD || e->op == NEO_EXPR_MOD;
  if (e->dtype != NEO_I64 || e->lanes != 1 || !neo_expr_is_const(e->arg[1], &d) || d <= 0)
    return NULL;
  if (!neo_expr_range(e->arg[0], em->range, em->nest->n_vars, &range) || range.lo < 0)
    return NULL;
  return llvm_index_divide(em, mod, range.hi, x, y);
}

static LLVMValueRef int_divide(llvm_emitter *em, const neo_expr *e, LLVMValueRef x,
                               LLVMValueRef y) {
  LLVMValueRef simple = index_divide(em, e, x, y);
  if (simple)
    return simple;
  if (e->op == NEO_EXPR_FLOORDIV || e->op == NEO_EXPR_FLOORMOD)
    return floor_divide(em, e->dtype, e->op == NEO_EXPR_FLOORMOD, x, y);
  quotient d = divide(em, e->dtype, x, y);
  return e->op == NEO_EXPR_DIV ? d.q : d.r;
}

static LLVMValueRef shift(llvm_emitter *em, const neo_expr *e, LLVMValueRef x, LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  int64_t width = 8 * (int64_t)neo_dtype_size(e->dtype);
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef zero = LLVMConstNull(type);
  LLVMValueRef over = LLVMBuildICmp(b, LLVMIntUGE, y, llvm_splat_int(type, width), "");
  LLVMValueRef last = llvm_splat_int(type, width - 1);
  LLVMValueRef count = llvm_select(em, over, last, y);
  if (e->op == NEO_EXPR_SHR && is_signed(e->dtype))
    return LLVMBuildAShr(b, x, count, "");
  LLVMValueRef v =
      e->op == NEO_EXPR_SHL ? LLVMBuildShl(b, x, count, "") : LLVMBuildLShr(b, x, count, "");
  return llvm_select(em, over, zero, v);
}

static LLVMValueRef int_binary(llvm_emitter *em, const neo_expr *e, LLVMValueRef x,
                               LLVMValueRef y) {
  LLVMBuilderRef b = em->builder;
  switch (e->op) {
  case NEO_EXPR_ADD:
    return LLVMBuildAdd(b, x, y, "");
  case NEO_EXPR_SUB:
    return LLVMBuildSub(b, x, y, "");
  case NEO_EXPR_MUL:
    return LLVMBuildMul(b, x, y, "");
  case NEO_EXPR_DIV:
  case NEO_EXPR_MOD:
  case NEO_EXPR_FLOORDIV:
  case NEO_EXPR_FLOORMOD:
    return int_divide(em, e, x, y);
  case NEO_EXPR_MIN:
    return llvm_select(em, less(em, e->dtype, y, x), y, x);
  case NEO_EXPR_MAX:
    return llvm_select(em, less(em, e->dtype, x, y), y, x);
  case NEO_EXPR_AND:
  case NEO_EXPR_BITAND:
    return LLVMBuildAnd(b, x, y, "");
  case NEO_EXPR_OR:
  case NEO_EXPR_BITOR:
    return LLVMBuildOr(b, x, y, "");
  case NEO_EXPR_BITXOR:
    return LLVMBuildXor(b, x, y, "");
  case NEO_EXPR_SHL:
  case NEO_EXPR_SHR:
    return shift(em, e, x, y);
  default:
    llvm_fail(em, NEO_UNSUPPORTED, "operation '%s' on integers", neo_expr_op_name(e->op));
    return LLVMGetPoison(LLVMTypeOf(x));
  }
}

/* ---- any ----------------------------------------------------------------------------------------- */

static LLVMValueRef compare(llvm_emitter *em, const neo_expr *e, LLVMValueRef x, LLVMValueRef y) {
  neo_dtype dtype = e->arg[0]->dtype;
  bool f = neo_dtype_class(dtype) == 'f';
  LLVMBuilderRef b = em->builder;
  switch (e->op) {
  case NEO_EXPR_LT:
    return less(em, dtype, x, y);
  case NEO_EXPR_LE:
    return f ? LLVMBuildFCmp(b, LLVMRealOLE, x, y, "")
             : LLVMBuildICmp(b, is_signed(dtype) ? LLVMIntSLE : LLVMIntULE, x, y, "");
  case NEO_EXPR_EQ:
    return f ? LLVMBuildFCmp(b, LLVMRealOEQ, x, y, "") : LLVMBuildICmp(b, LLVMIntEQ, x, y, "");
  default:
    return f ? LLVMBuildFCmp(b, LLVMRealUNE, x, y, "") : LLVMBuildICmp(b, LLVMIntNE, x, y, "");
  }
}

static LLVMValueRef fused(llvm_emitter *em, const neo_expr *e, LLVMValueRef *x) {
  LLVMBuilderRef b = em->builder;
  if (neo_dtype_class(e->dtype) != 'f')
    return LLVMBuildAdd(b, LLVMBuildMul(b, x[0], x[1], ""), x[2], "");
  return llvm_round_to(em, e->dtype, llvm_multiply_add(em, x));
}

static LLVMValueRef apply(llvm_emitter *em, const neo_expr *e, LLVMValueRef *x) {
  bool f = neo_dtype_class(e->dtype) == 'f';
  switch (e->op) {
  case NEO_EXPR_BROADCAST:
    return x[0];
  case NEO_EXPR_CAST:
    return llvm_cast(em, e->dtype, e->arg[0]->dtype, x[0]);
  case NEO_EXPR_BITCAST:
    return llvm_bitcast(em, e->dtype, e->arg[0]->dtype, x[0]);
  case NEO_EXPR_ISNAN:
    return LLVMBuildFCmp(em->builder, LLVMRealUNO, x[0], x[0], "");
  case NEO_EXPR_SELECT:
    return llvm_select(em, x[0], x[1], x[2]);
  case NEO_EXPR_FMA:
    return fused(em, e, x);
  case NEO_EXPR_LT:
  case NEO_EXPR_LE:
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    return compare(em, e, x[0], x[1]);
  default:
    break;
  }
  if (e->n_args == 1)
    return f ? float_unary(em, e, x[0]) : int_unary(em, e, x[0]);
  return f ? float_binary(em, e, x[0], x[1]) : int_binary(em, e, x[0], x[1]);
}

static llvm_val emit_constant(llvm_emitter *em, const neo_expr *e) {
  LLVMTypeRef type = llvm_type(em, e->dtype, e->lanes);
  return llvm_constant(neo_dtype_class(e->dtype) == 'f' ? llvm_splat_float(type, e->u.f)
                                                        : llvm_splat_int(type, e->u.i));
}

static llvm_val emit_operation(llvm_emitter *em, const neo_expr *e) {
  llvm_val arg[3];
  LLVMValueRef x[3] = {NULL};
  if (e->op == NEO_EXPR_INTRINSIC)
    return llvm_intrinsic(em, e);
  for (int k = 0; k < e->n_args; k++) {
    arg[k] = llvm_emit(em, e->arg[k]);
    if (e->arg[k]->lanes != e->lanes)
      arg[k] = llvm_splat(em, e->arg[k]->dtype, arg[k], e->lanes);
    x[k] = arg[k].v;
  }
  if (e->op == NEO_EXPR_BROADCAST)
    return arg[0];
  llvm_key key = {
      (int)e->op, (uint16_t)e->dtype, e->lanes, {x[0], x[1], x[2]}, (int64_t)e->arg[0]->dtype};
  llvm_val found;
  if (llvm_find(em, &key, &found))
    return found;
  llvm_val where = llvm_place(em, e->n_args, arg);
  return llvm_placed(em, &key, where, apply(em, e, x));
}

llvm_val llvm_emit(llvm_emitter *em, const neo_expr *e) {
  if (e->op == NEO_EXPR_CONST)
    return emit_constant(em, e);
  if (e->op == NEO_EXPR_VAR)
    return em->var[e->u.var];
  llvm_memo *memo = &em->memo[((uintptr_t)e >> 4) % LLVM_MEMOS];
  if (memo->expr == e && memo->generation == em->generation)
    return memo->val;
  llvm_val v = e->op == NEO_EXPR_LOAD ? llvm_load(em, e) : emit_operation(em, e);
  *memo = (llvm_memo){e, em->generation, v};
  return v;
}
