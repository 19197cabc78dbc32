/* codegen/llvm_memory.c: addresses, loads and stores of the LLVM generator.
 *
 * Addresses. A flat element offset is taken apart into a sum of terms (loop variable or opaque
 * index value times a constant) and one constant. The terms are added to the buffer's base pointer
 * in the order of the loops they depend on, outermost first, each partial pointer placed at the
 * start of its loop; the constant stays with the access, where it becomes the displacement of the
 * instruction. So the accesses of an unrolled tile share one pointer, and an inner loop computes
 * nothing that an outer one could.
 *
 * Tails. A vector of which only `active` lanes are in memory is done with the mask registers of
 * AVX-512; elsewhere in pieces that are powers of two (AVX2's masked store is microcode on AMD, and
 * other targets expand masks to branches).
 *
 * Loads are shared inside a scope as long as nothing is stored to their buffer. */
#include "codegen/llvm_emitter.h"

#include <stdlib.h>

enum { MAX_TERMS = 24, ENV_POINTERS = 16 /* neo_kernel_env: work, scratch */ };
enum { NEAR = 256, FAR = 4096 }; /* far_part */

typedef struct term {
  llvm_val val;
  int64_t coef;
} term;

typedef struct linear {
  int64_t base;
  int n;
  term term[MAX_TERMS];
} linear;

/* ---- linear forms -------------------------------------------------------------------------------- */

static int64_t wrap_mul(int64_t a, int64_t b) {
  return (int64_t)((uint64_t)a * (uint64_t)b);
}
static int64_t wrap_add(int64_t a, int64_t b) {
  return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void add_term(llvm_emitter *em, linear *sum, llvm_val v, int64_t coef) {
  if (LLVMIsAConstantInt(v.v)) {
    sum->base = wrap_add(sum->base, wrap_mul(LLVMConstIntGetSExtValue(v.v), coef));
    return;
  }
  for (int k = 0; k < sum->n; k++)
    if (sum->term[k].val.v == v.v) {
      sum->term[k].coef = wrap_add(sum->term[k].coef, coef);
      return;
    }
  if (sum->n == MAX_TERMS) {
    llvm_fail(em, NEO_UNSUPPORTED, "an offset has more than %d terms", MAX_TERMS);
    return;
  }
  sum->term[sum->n++] = (term){v, coef};
}

static void add_linear(llvm_emitter *em, linear *sum, const neo_expr *e, int64_t coef) {
  int64_t c;
  switch (e->op) {
  case NEO_EXPR_CONST:
    sum->base = wrap_add(sum->base, wrap_mul(e->u.i, coef));
    return;
  case NEO_EXPR_ADD:
    add_linear(em, sum, e->arg[0], coef);
    add_linear(em, sum, e->arg[1], coef);
    return;
  case NEO_EXPR_SUB:
    add_linear(em, sum, e->arg[0], coef);
    add_linear(em, sum, e->arg[1], wrap_mul(coef, -1));
    return;
  case NEO_EXPR_NEG:
    add_linear(em, sum, e->arg[0], wrap_mul(coef, -1));
    return;
  case NEO_EXPR_MUL:
    if (neo_expr_is_const(e->arg[1], &c)) {
      add_linear(em, sum, e->arg[0], wrap_mul(coef, c));
      return;
    }
    break;
  default:
    break;
  }
  add_term(em, sum, llvm_emit(em, e), coef);
}

static int compare_terms(const void *a, const void *b) {
  const llvm_val *x = &((const term *)a)->val, *y = &((const term *)b)->val;
  int px = x->local ? LLVM_MAX_SCOPES : x->home, py = y->local ? LLVM_MAX_SCOPES : y->home;
  if (px != py)
    return px - py;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* ---- pointers ------------------------------------------------------------------------------------ */

static LLVMValueRef byte_offset(llvm_emitter *em, LLVMValueRef pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  LLVMValueRef index = LLVMConstInt(em->int64, (unsigned long long)bytes, true);
  return LLVMBuildGEP2(em->builder, em->int8, pointer, &index, 1, "");
}

/* Pointer `index` of those that lie `offset` bytes behind array, read once at the function's entry.
 */
static LLVMValueRef load_pointer(llvm_emitter *em, LLVMValueRef array, int64_t offset, int index) {
  LLVMValueRef at = byte_offset(em, array, offset + neo_target_pointer_bytes(em->target) * index);
  return LLVMBuildLoad2(em->builder, em->pointer, at, "");
}

/* A local array, aligned for the target's vectors, at the function's entry. */
static LLVMValueRef stack_array(llvm_emitter *em, int buffer) {
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  if (!em->stack[buffer]) {
    LLVMTypeRef type = LLVMArrayType2(llvm_memory_type(em, b->dtype, 1), (uint64_t)b->elements);
    LLVMPositionBuilderBefore(em->builder, em->marker[0]);
    em->stack[buffer] = LLVMBuildAlloca(em->builder, type, "");
    int align = em->target->vector_bytes > 16 ? em->target->vector_bytes : 16;
    LLVMSetAlignment(em->stack[buffer], (unsigned)align);
    LLVMPositionBuilderAtEnd(em->builder, em->block);
  }
  return em->stack[buffer];
}

static llvm_val base_pointer(llvm_emitter *em, int buffer) {
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  llvm_key key = {LLVM_OP_BASE, 0, 0, {NULL}, buffer};
  llvm_val found;
  if (llvm_find(em, &key, &found))
    return found;
  if (b->scope == NEO_SCOPE_STACK)
    return (llvm_val){.v = stack_array(em, buffer)};
  llvm_val where = llvm_place(em, 0, NULL);
  LLVMValueRef v;
  if (b->scope == NEO_SCOPE_PARAM)
    v = load_pointer(em, em->buffers, 0, buffer);
  else
    v = byte_offset(em, load_pointer(em, em->env, ENV_POINTERS, b->scope != NEO_SCOPE_WORK),
                    b->offset);
  return llvm_placed(em, &key, where, v);
}

/* base + index * coef, where it belongs. */
static llvm_val add_scaled(llvm_emitter *em, llvm_val base, llvm_val index, int64_t coef) {
  llvm_key key = {LLVM_OP_GEP, 0, 0, {base.v, index.v}, coef};
  llvm_val args[2] = {base, index}, found;
  if (llvm_find(em, &key, &found))
    return found;
  llvm_val where = llvm_place(em, 2, args);
  LLVMValueRef scale = LLVMConstInt(em->int64, (unsigned long long)coef, true);
  LLVMValueRef bytes = coef == 1 ? index.v : LLVMBuildMul(em->builder, index.v, scale, "");
  return llvm_placed(em, &key, where, LLVMBuildGEP2(em->builder, em->int8, base.v, &bytes, 1, ""));
}

/* What of a constant displacement the instructions of 64-bit Arm cannot hold: they have 12 bits,
 * counted in elements of the access, or 9 with a sign. */
static int64_t far_part(const llvm_emitter *em, int64_t bytes, int64_t access) {
  if (!llvm_is_neon64(em) || bytes >= -NEAR)
    return 0;
  int64_t window = FAR * neo_min_i64(access, 16);
  return -window * neo_ceil_div(-bytes, window);
}

/* The pointer of an offset without its constant part, which goes to *out_bytes. What the constant
 * has beyond an instruction's reach goes to the buffer's pointer, where all accesses share it. */
static llvm_val address(llvm_emitter *em, int buffer, const neo_expr *offset, int lanes,
                        int64_t *out_bytes) {
  linear sum = {0};
  int64_t size = (int64_t)neo_dtype_size(em->nest->buffer[buffer].dtype);
  add_linear(em, &sum, offset, 1);
  qsort(sum.term, (size_t)sum.n, sizeof *sum.term, compare_terms);
  llvm_val pointer = base_pointer(em, buffer);
  int64_t bytes = wrap_mul(sum.base, size), far = far_part(em, bytes, size * lanes);
  if (far)
    pointer = add_scaled(em, pointer, llvm_constant(LLVMConstInt(em->int64, 1, false)), far);
  for (int k = 0; k < sum.n; k++)
    if (sum.term[k].coef != 0)
      pointer = add_scaled(em, pointer, sum.term[k].val, wrap_mul(sum.term[k].coef, size));
  *out_bytes = bytes - far;
  return pointer;
}

/* ---- memory access ------------------------------------------------------------------------------- */

static LLVMValueRef load_whole(llvm_emitter *em, LLVMTypeRef type, LLVMValueRef at, int64_t size) {
  LLVMValueRef v = LLVMBuildLoad2(em->builder, type, at, "");
  LLVMSetAlignment(v, (unsigned)size);
  return v;
}

static LLVMValueRef prefix_mask(llvm_emitter *em, int lanes, int active) {
  LLVMTypeRef bit = LLVMInt1TypeInContext(em->lc);
  LLVMValueRef lane[NEO_NEST_MAX_LANES];
  for (int k = 0; k < lanes; k++)
    lane[k] = LLVMConstInt(bit, k < active, false);
  return LLVMConstVector(lane, (unsigned)lanes);
}

static LLVMValueRef load_masked(llvm_emitter *em, LLVMTypeRef type, LLVMValueRef at, int64_t size,
                                int active) {
  LLVMTypeRef types[2] = {type, em->pointer};
  LLVMValueRef args[4] = {at, LLVMConstInt(em->int32, (unsigned long long)size, false),
                          prefix_mask(em, llvm_lanes(type), active), LLVMConstNull(type)};
  return llvm_call(em, "llvm.masked.load", 2, types, 4, args);
}

static void store_masked(llvm_emitter *em, LLVMValueRef v, LLVMValueRef at, int64_t size,
                         int active) {
  LLVMTypeRef types[2] = {LLVMTypeOf(v), em->pointer};
  LLVMValueRef args[4] = {v, at, LLVMConstInt(em->int32, (unsigned long long)size, false),
                          prefix_mask(em, llvm_lanes(types[0]), active)};
  llvm_call(em, "llvm.masked.store", 2, types, 4, args);
}

/* Lanes first .. first+n-1 of v, poison for lanes that v has not; offset < 0 moves v up. */
static LLVMValueRef move_lanes(llvm_emitter *em, LLVMValueRef v, int first, int n) {
  LLVMValueRef lane[NEO_NEST_MAX_LANES];
  int have = llvm_lanes(LLVMTypeOf(v));
  for (int k = 0; k < n; k++) {
    bool inside = first + k >= 0 && first + k < have;
    lane[k] =
        inside ? LLVMConstInt(em->int32, (unsigned)(first + k), false) : LLVMGetPoison(em->int32);
  }
  return LLVMBuildShuffleVector(em->builder, v, LLVMGetPoison(LLVMTypeOf(v)),
                                LLVMConstVector(lane, (unsigned)n), "");
}

static int largest_power(int n) {
  int p = 1;
  while (2 * p <= n)
    p *= 2;
  return p;
}

/* Lanes [at, at+n) of `into` replaced by the lanes of `piece`. */
static LLVMValueRef insert_lanes(llvm_emitter *em, LLVMValueRef into, LLVMValueRef piece, int at,
                                 int n) {
  int lanes = llvm_lanes(LLVMTypeOf(into));
  if (n == 1)
    return LLVMBuildInsertElement(em->builder, into, piece,
                                  LLVMConstInt(em->int64, (unsigned)at, false), "");
  LLVMValueRef wide = move_lanes(em, piece, -at, lanes), lane[NEO_NEST_MAX_LANES];
  for (int k = 0; k < lanes; k++)
    lane[k] = LLVMConstInt(em->int32, (unsigned)(k >= at && k < at + n ? lanes + k : k), false);
  return LLVMBuildShuffleVector(em->builder, into, wide, LLVMConstVector(lane, (unsigned)lanes),
                                "");
}

static LLVMValueRef load_pieces(llvm_emitter *em, LLVMTypeRef type, LLVMValueRef at, int64_t size,
                                int active) {
  LLVMValueRef v = LLVMConstNull(type);
  LLVMTypeRef scalar = LLVMGetElementType(type);
  for (int done = 0; done < active;) {
    int n = largest_power(active - done);
    LLVMValueRef piece =
        load_whole(em, llvm_with_lanes(scalar, n), byte_offset(em, at, done * size), size);
    v = insert_lanes(em, v, piece, done, n);
    done += n;
  }
  return v;
}

static void store_whole(llvm_emitter *em, LLVMValueRef v, LLVMValueRef at, int64_t size) {
  LLVMSetAlignment(LLVMBuildStore(em->builder, v, at), (unsigned)size);
}

static void store_pieces(llvm_emitter *em, LLVMValueRef v, LLVMValueRef at, int64_t size,
                         int active) {
  for (int done = 0; done < active;) {
    int n = largest_power(active - done);
    LLVMValueRef index = LLVMConstInt(em->int64, (unsigned)done, false);
    LLVMValueRef piece =
        n == 1 ? LLVMBuildExtractElement(em->builder, v, index, "") : move_lanes(em, v, done, n);
    store_whole(em, piece, byte_offset(em, at, done * size), size);
    done += n;
  }
}

/* ---- registers ----------------------------------------------------------------------------------- */

/* The number of the first register that an offset means; -1 after a failure. */
static int64_t reg_index(llvm_emitter *em, int buffer, const neo_expr *offset, int lanes,
                         int active) {
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  linear sum = {0};
  add_linear(em, &sum, offset, 1);
  bool whole = em->row[buffer] || (lanes == b->lanes && sum.base % b->lanes == 0);
  if (sum.n || !whole || sum.base < 0 || sum.base + active > b->elements) {
    llvm_fail(
        em, NEO_BAD_INPUT,
        "b%d: a register access of %d lanes at %lld%s, %d lanes at a constant multiple expected",
        buffer, lanes, (long long)sum.base, sum.n ? " plus variables" : "", b->lanes);
    return -1;
  }
  return sum.base / b->lanes;
}

static llvm_val reg_value(llvm_emitter *em, LLVMValueRef v, LLVMTypeRef type) {
  if (!v)
    return llvm_constant(LLVMGetUndef(type));
  if (LLVMIsConstant(v))
    return llvm_constant(v);
  return (llvm_val){.v = v, .home = em->depth, .local = true, .seq = ++em->seq};
}

/* A vector of the scalars of a row. */
static llvm_val load_row(llvm_emitter *em, const neo_expr *e, const LLVMValueRef *scalar) {
  LLVMTypeRef type = llvm_type(em, e->dtype, e->lanes), element = LLVMGetElementType(type);
  llvm_val v = llvm_constant(e->active < e->lanes ? LLVMConstNull(type) : LLVMGetPoison(type));
  for (int k = 0; k < e->active && k < e->lanes; k++) {
    llvm_val args[2] = {v, reg_value(em, scalar[k], element)}, found;
    llvm_key key = {LLVM_OP_LANE, (uint16_t)e->dtype, e->lanes, {args[0].v, args[1].v}, k};
    if (llvm_find(em, &key, &found)) {
      v = found;
      continue;
    }
    llvm_val where = llvm_place(em, 2, args);
    LLVMValueRef index = LLVMConstInt(em->int64, (unsigned)k, false);
    v = llvm_placed(em, &key, where,
                    LLVMBuildInsertElement(em->builder, v.v, args[1].v, index, ""));
  }
  return v;
}

static llvm_val load_reg(llvm_emitter *em, const neo_expr *e) {
  int buffer = e->u.load.buffer;
  LLVMTypeRef type = llvm_type(em, e->dtype, e->lanes);
  int64_t k = reg_index(em, buffer, e->arg[0], e->lanes, e->lanes == 1 ? 1 : e->active);
  if (k < 0)
    return llvm_constant(LLVMGetUndef(type));
  if (em->row[buffer] && e->lanes > 1)
    return load_row(em, e, em->reg[buffer] + k);
  llvm_val v = reg_value(em, em->reg[buffer][k], type);
  if (e->lanes > 1 && e->active < e->lanes)
    v.v = LLVMBuildSelect(em->builder, prefix_mask(em, e->lanes, e->active), v.v,
                          LLVMConstNull(type), "");
  return reg_value(em, v.v, type);
}

/* ---- loads and stores of a nest ------------------------------------------------------------------ */

static LLVMValueRef load_memory(llvm_emitter *em, const neo_expr *e, LLVMValueRef at) {
  int64_t size = (int64_t)neo_dtype_size(e->dtype);
  LLVMTypeRef type = llvm_memory_type(em, e->dtype, e->lanes);
  LLVMValueRef v;
  if (e->lanes == 1 || e->active >= e->lanes)
    v = load_whole(em, type, at, size);
  else if (neo_target_has(em->target, NEO_ISA_AVX512))
    v = load_masked(em, type, at, size, e->active);
  else
    v = load_pieces(em, type, at, size, e->active);
  return llvm_from_memory(em, e->dtype, v);
}

llvm_val llvm_load(llvm_emitter *em, const neo_expr *e) {
  int buffer = e->u.load.buffer;
  if (em->nest->buffer[buffer].scope == NEO_SCOPE_REG || em->row[buffer])
    return load_reg(em, e);
  em->weave.reads = em->weave.reads || buffer == em->weave.buffer_now;
  int64_t bytes;
  llvm_val pointer = address(em, buffer, e->arg[0], e->lanes, &bytes), found;
  LLVMValueRef type = LLVMConstNull(llvm_type(em, e->dtype, e->lanes));
  int64_t when = ((int64_t)em->epoch[buffer] << 16) | e->active;
  LLVMValueRef constant = LLVMConstInt(em->int64, (unsigned long long)bytes, true);
  llvm_key key = {LLVM_OP_LOAD, (uint16_t)e->dtype, e->lanes, {pointer.v, constant, type}, when};
  if (llvm_find(em, &key, &found))
    return found;
  llvm_val where = {.home = em->depth, .local = true, .seq = ++em->seq};
  return llvm_placed(em, &key, where, load_memory(em, e, byte_offset(em, pointer.v, bytes)));
}

/* Lanes that are not active keep what they had. */
static void store_reg(llvm_emitter *em, const neo_stmt *s, LLVMValueRef v, int lanes) {
  int active = lanes == 1 ? 1 : s->u.store.active;
  int64_t k = reg_index(em, s->u.store.buffer, s->u.store.offset, lanes, active);
  if (k < 0)
    return;
  LLVMValueRef *reg = &em->reg[s->u.store.buffer][k];
  if (active < lanes && *reg)
    v = LLVMBuildSelect(em->builder, prefix_mask(em, lanes, active), v, *reg, "");
  *reg = v;
}

void llvm_store(llvm_emitter *em, const neo_stmt *s) {
  int buffer = s->u.store.buffer, lanes = s->u.store.value->lanes, active = s->u.store.active;
  const neo_nest_buffer *b = &em->nest->buffer[buffer];
  em->generation++;
  bool in_register = b->scope == NEO_SCOPE_REG || em->row[buffer];
  if (!in_register)
    llvm_weave_open(em, buffer);
  LLVMValueRef v = llvm_emit(em, s->u.store.value).v;
  if (in_register) {
    store_reg(em, s, v, lanes);
    return;
  }
  int64_t bytes, size = (int64_t)neo_dtype_size(b->dtype);
  llvm_val pointer = address(em, buffer, s->u.store.offset, lanes, &bytes);
  LLVMValueRef at = byte_offset(em, pointer.v, bytes);
  v = llvm_to_memory(em, b->dtype, v);
  if (lanes == 1 || active >= lanes)
    store_whole(em, v, at, size);
  else if (neo_target_has(em->target, NEO_ISA_AVX512))
    store_masked(em, v, at, size, active);
  else
    store_pieces(em, v, at, size, active);
  em->epoch[buffer] = ++em->clock;
  llvm_weave_close(em);
}

/* A prefetch never faults, so the address needs no clamping. */
void llvm_prefetch(llvm_emitter *em, const neo_stmt *s) {
  int64_t bytes;
  em->generation++;
  llvm_val pointer = address(em, s->u.prefetch.buffer, s->u.prefetch.offset, 1, &bytes);
  LLVMValueRef args[4] = {byte_offset(em, pointer.v, bytes), LLVMConstInt(em->int32, 0, 0),
                          LLVMConstInt(em->int32, 3, 0), LLVMConstInt(em->int32, 1, 0)};
  llvm_call(em, "llvm.prefetch", 1, &em->pointer, 4, args);
}
