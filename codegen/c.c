/* codegen/c.c: the portable C generator: a nest as one readable C11 file, and that file compiled by
 * the host's C compiler.
 *
 * Why: a second, independent reading of every nest (tests compare all generators with the
 * interpreter), code for devices that LLVM is not set up for, and something that a person can read,
 * debug and take along. The text needs nothing but <math.h> and <stdint.h>; build() compiles it
 * with gcc or cc so that no library call remains.
 *
 * Statements map one to one: loops stay loops (unrolled ones are left to the compiler), vector
 * registers and stack buffers are local arrays, a vector store is a loop over lanes (c_expr.c). */
#include <string.h>

#include "base/host.h"
#include "codegen/c_printer.h"
#include "codegen/object.h"

static void print_list(c_printer *p, neo_buf *out, const neo_stmt *s);

/* ---- statements ---------------------------------------------------------------------------------- */

static void put_line(c_printer *p, neo_buf *out, const char *text) {
  c_indent(p, out);
  neo_buf_printf(out, "%s\n", text);
}

typedef struct overlap {
  const neo_stmt *store;
  bool found;
  int steps; /* left; expressions are DAGs and this walk is a tree walk */
} overlap;

/* Does the value read the stored buffer elsewhere than where it stores? */
static void find_overlap(overlap *o, const neo_expr *e) {
  if (o->found || o->steps-- <= 0) {
    o->found = true;
    return;
  }
  if (e->op == NEO_EXPR_LOAD && e->u.load.buffer == o->store->u.store.buffer &&
      !neo_expr_equal(e->arg[0], o->store->u.store.offset))
    o->found = true;
  for (int k = 0; k < e->n_args; k++)
    find_overlap(o, e->arg[k]);
}

void c_print_stored(c_printer *p, neo_buf *out, neo_dtype dtype, const char *value) {
  if (dtype == NEO_F16 || dtype == NEO_BF16) {
    c_helper_name(p, out, dtype == NEO_F16 ? C_HELPER_TO_F16 : C_HELPER_TO_BF16, NEO_F32, NEO_F32);
    neo_buf_printf(out, "(%s)", value);
  } else {
    neo_buf_text(out, value);
  }
}

static void print_assignment(c_printer *p, neo_buf *out, const neo_stmt *s, const char *value,
                             bool lanes) {
  c_indent(p, out);
  neo_buf_printf(out, "b%d[", s->u.store.buffer);
  c_print_index(p, out, s->u.store.offset);
  neo_buf_text(out, lanes ? " + l] = " : "] = ");
  c_print_stored(p, out, p->nest->buffer[s->u.store.buffer].dtype, value);
  neo_buf_text(out, ";\n");
}

/* All lanes are computed before the first is stored. */
static void print_overlapping(c_printer *p, neo_buf *out, const neo_stmt *s) {
  const neo_expr *e = s->u.store.value;
  neo_buf lines = {0}, value = {0};
  put_line(p, out, "{");
  p->depth++;
  c_indent(p, out);
  neo_buf_printf(out, "%s lane[%d];\n", c_type(e->dtype), e->lanes);
  c_indent(p, out);
  neo_buf_printf(out, "for (int l = 0; l < %d; l++) {\n", s->u.store.active);
  p->depth++;
  c_print_value(p, e, &lines, &value);
  neo_buf_append(out, lines.data, lines.size);
  c_indent(p, out);
  neo_buf_printf(out, "lane[l] = %s;\n", value.data);
  p->depth--;
  put_line(p, out, "}");
  c_indent(p, out);
  neo_buf_printf(out, "for (int l = 0; l < %d; l++)\n", s->u.store.active);
  p->depth++;
  print_assignment(p, out, s, "lane[l]", true);
  p->depth -= 2;
  put_line(p, out, "}");
  neo_buf_fini(&lines);
  neo_buf_fini(&value);
}

/* A condition of indices alone. */
static bool is_guard(const neo_expr *e, int *steps) {
  if ((*steps)-- <= 0 || e->op == NEO_EXPR_LOAD || neo_dtype_class(e->dtype) == 'f')
    return false;
  for (int k = 0; k < e->n_args; k++)
    if (!is_guard(e->arg[k], steps))
      return false;
  return true;
}

/* A copy of 16-bit floats, or a constant where a guard fails: their bits need no conversion. */
static bool is_copy(const neo_expr *e) {
  int steps = 64;
  const neo_expr *from = e->op == NEO_EXPR_SELECT ? e->arg[1] : e;
  return e->lanes == 1 && (e->dtype == NEO_F16 || e->dtype == NEO_BF16) &&
         from->op == NEO_EXPR_LOAD &&
         (from == e || (e->arg[2]->op == NEO_EXPR_CONST && is_guard(e->arg[0], &steps)));
}

static void print_place(c_printer *p, neo_buf *out, int buffer, const neo_expr *offset) {
  p->buffer_used[buffer] = true;
  neo_buf_printf(out, "b%d[", buffer);
  c_print_index(p, out, offset);
  neo_buf_text(out, "]");
}

static void print_copy(c_printer *p, neo_buf *out, const neo_stmt *s) {
  const neo_expr *e = s->u.store.value, *from = e->op == NEO_EXPR_SELECT ? e->arg[1] : e;
  c_indent(p, out);
  print_place(p, out, s->u.store.buffer, s->u.store.offset);
  neo_buf_text(out, " = ");
  if (from != e) {
    c_print_index(p, out, e->arg[0]);
    neo_buf_text(out, " ? ");
  }
  print_place(p, out, from->u.load.buffer, from->arg[0]);
  if (from != e) {
    float other = (float)e->arg[2]->u.f;
    neo_buf_printf(
        out, " : %u",
        (unsigned)(e->dtype == NEO_F16 ? neo_f32_to_f16(other) : neo_f32_to_bf16(other)));
  }
  neo_buf_text(out, ";\n");
}

static void print_store(c_printer *p, neo_buf *out, const neo_stmt *s) {
  const neo_expr *e = s->u.store.value;
  overlap o = {.store = s, .steps = 4096};
  p->buffer_used[s->u.store.buffer] = true;
  if (e->lanes > 1)
    find_overlap(&o, e);
  if (c_print_wide(p, out, s, o.found))
    return;
  if (is_copy(e)) {
    print_copy(p, out, s);
    return;
  }
  if (o.found) {
    print_overlapping(p, out, s);
    return;
  }
  neo_buf lines = {0}, value = {0};
  p->depth++;
  c_print_value(p, e, &lines, &value);
  p->depth--;
  bool braces = lines.size > 0;
  if (e->lanes > 1) {
    if (p->dialect->unroll)
      put_line(p, out, "#pragma unroll");
    c_indent(p, out);
    neo_buf_printf(out, "for (int l = 0; l < %d; l++)%s\n", s->u.store.active, braces ? " {" : "");
  } else if (braces) {
    put_line(p, out, "{");
  }
  p->depth += braces || e->lanes > 1;
  neo_buf_append(out, lines.data, lines.size);
  print_assignment(p, out, s, value.data, e->lanes > 1);
  p->depth -= braces || e->lanes > 1;
  if (braces)
    put_line(p, out, "}");
  neo_buf_fini(&lines);
  neo_buf_fini(&value);
}

static void note_range(c_printer *p, int var, const neo_expr *e, int64_t below) {
  neo_range r = {0, INT32_MAX};
  neo_expr_range(e, p->range, p->nest->n_vars, &r);
  p->range[var] = (neo_range){below ? 0 : r.lo, r.hi - below};
  p->twos[var] = below ? 0 : (uint8_t)neo_expr_twos(e, p->twos, p->nest->n_vars);
}

static void print_for(c_printer *p, neo_buf *out, const neo_stmt *s) {
  int var = s->u.loop.var;
  note_range(p, var, s->u.loop.extent, 1);
  c_indent(p, out);
  if (s->u.loop.unrolled && p->dialect->unroll) {
    neo_buf_text(out, "#pragma unroll\n");
    c_indent(p, out);
  }
  neo_buf_printf(out, "for (%s i%d = 0; i%d < ", c_type(p->index), var, var);
  c_print_index(p, out, s->u.loop.extent);
  neo_buf_printf(out, "; i%d++) {\n", var);
  p->depth++;
  print_list(p, out, s->u.loop.body);
  p->depth--;
  put_line(p, out, "}");
}

static void print_if(c_printer *p, neo_buf *out, const neo_stmt *s) {
  c_indent(p, out);
  neo_buf_text(out, "if (");
  c_print_index(p, out, s->u.branch.cond);
  neo_buf_text(out, ") {\n");
  p->depth++;
  print_list(p, out, s->u.branch.then);
  p->depth--;
  if (s->u.branch.otherwise) {
    put_line(p, out, "} else {");
    p->depth++;
    print_list(p, out, s->u.branch.otherwise);
    p->depth--;
  }
  put_line(p, out, "}");
}

/* The body first: a variable that nobody reads is not printed. */
static void print_let(c_printer *p, neo_buf *out, const neo_stmt *s) {
  neo_buf body = {0};
  int var = s->u.let.var;
  note_range(p, var, s->u.let.value, 0);
  print_list(p, &body, s->u.let.body);
  if (p->var_used[var]) {
    c_indent(p, out);
    neo_buf_printf(out, "const %s i%d = ", c_type(p->index), var);
    c_print_index(p, out, s->u.let.value);
    neo_buf_text(out, ";\n");
  }
  neo_buf_append(out, body.data, body.size);
  neo_buf_fini(&body);
}

static void print_list(c_printer *p, neo_buf *out, const neo_stmt *s) {
  for (; s && p->status == NEO_OK; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      print_for(p, out, s);
      break;
    case NEO_STMT_IF:
      print_if(p, out, s);
      break;
    case NEO_STMT_STORE:
      print_store(p, out, s);
      break;
    case NEO_STMT_PREFETCH: /* a hint: C has none */
      break;
    case NEO_STMT_LET:
      print_let(p, out, s);
      break;
    case NEO_STMT_BARRIER:
      if (p->dialect->barrier)
        put_line(p, out, p->dialect->barrier);
      break;
    case NEO_STMT_MATRIX:
      (p->dialect->matrix ? p->dialect->matrix : c_print_matrix_loops)(p, out, s->u.matrix);
      break;
    }
}

/* ---- functions ----------------------------------------------------------------------------------- */

static void print_buffer(c_printer *p, neo_buf *out, int k) {
  const neo_nest_buffer *b = &p->nest->buffer[k];
  const char *type = c_memory_type(b->dtype), *constant = b->writable ? "" : "const ";
  switch (b->scope) {
  case NEO_SCOPE_PARAM:
    neo_buf_printf(out, "  %s%s *%sb%d = (%s%s *)buf[%d];\n", constant, type,
                   p->shares[k] ? "" : "restrict ", k, constant, type, k);
    break;
  case NEO_SCOPE_WORK:
  case NEO_SCOPE_SCRATCH:
    neo_buf_printf(out, "  %s *b%d = (%s *)(void *)((char *)env->%s + %lld);\n", type, k, type,
                   b->scope == NEO_SCOPE_WORK ? "work" : "scratch", (long long)b->offset);
    break;
  case NEO_SCOPE_SHARED:
    break;
  case NEO_SCOPE_STACK:
  case NEO_SCOPE_REG:
    neo_buf_printf(out, "  %s b%d[%lld];\n", type, k, (long long)b->elements);
    break;
  }
}

/* A result may have the memory of an input (DECISIONS 19): neither is `restrict` then. */
static void find_shared(c_printer *p) {
  for (int in = 0; in < p->nest->n_params; in++)
    for (int out = 0; out < p->nest->n_params; out++)
      if (in != out && neo_nest_may_overwrite(p->nest, in, out))
        p->shares[in] = p->shares[out] = true;
}

static void print_function(c_printer *p, neo_buf *out, int k, const char *symbol,
                           const neo_buf *body) {
  const neo_launch *launch = &p->nest->launch[k];
  neo_buf_printf(
      out, "int32_t %s_%d(const neo_kernel_env *env, void *const *buf, const int64_t *dim);\n",
      symbol, k);
  neo_buf_printf(
      out, "int32_t %s_%d(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {\n",
      symbol, k);
  neo_buf_text(out, "  (void)buf;\n  (void)dim;\n");
  for (int b = 0; b < p->nest->n_buffers; b++)
    if (p->buffer_used[b])
      print_buffer(p, out, b);
  neo_buf_printf(out, "  for (int64_t i%d = env->begin; i%d < env->end; i%d++) {\n", launch->var,
                 launch->var, launch->var);
  neo_buf_append(out, body->data, body->size);
  neo_buf_text(out, "  }\n  return 0;\n}\n\n");
}

static void print_launch(c_printer *p, int k, const char *symbol) {
  neo_buf body = {0};
  const neo_launch *launch = &p->nest->launch[k];
  memset(p->buffer_used, 0, sizeof p->buffer_used);
  p->depth = 2;
  p->range[launch->var] = (neo_range){0, launch->grid - 1};
  if (launch->lanes > 1)
    p->range[launch->lane_var] = (neo_range){0, launch->lanes - 1};
  print_list(p, &body, launch->body);
  p->dialect->function(p, &p->out, k, symbol, &body);
  neo_buf_fini(&body);
}

static const char prologue[] = "#include <math.h>\n"
                               "#include <stdint.h>\n\n"
                               "#if defined(__clang__)\n" /* whose default is to contract */
                               "#pragma STDC FP_CONTRACT OFF\n"
                               "#endif\n\n"
                               "/* As in neo/abi.h. */\n"
                               "typedef struct neo_kernel_env {\n"
                               "  int64_t begin, end; /* grid indices to run */\n"
                               "  void *work, *scratch;\n"
                               "  const void *callbacks;\n"
                               "} neo_kernel_env;\n\n";

static const c_dialect plain_c = {.name = "c", .prologue = prologue, .function = print_function};

static void print_launches(c_printer *p, const char *symbol) {
  for (int k = 0; k < p->nest->n_launches && p->status == NEO_OK; k++)
    print_launch(p, k, symbol);
}

/* Of every variable and offset, with room for the last of a masked vector's lanes. What is on the
 * way to an offset, as the flat index of a view, may still be larger: print_index finds that. */
static neo_dtype index_type(const neo_nest *nest, const c_dialect *dialect) {
  const int64_t most = INT32_MAX / 2;
  bool narrow = dialect->narrow;
  for (int k = 0; k < nest->n_buffers; k++)
    narrow = narrow && nest->buffer[k].elements <= most;
  for (int k = 0; k < nest->n_launches; k++)
    narrow = narrow && nest->launch[k].grid <= most / nest->launch[k].lanes;
  return narrow ? NEO_I32 : NEO_I64;
}

neo_status c_print_nest(neo_ctx *ctx, const neo_nest *nest, const c_dialect *dialect,
                        const char *symbol, neo_buf *out) {
  c_printer *p = neo_alloc(ctx, sizeof *p);
  if (!p)
    return neo_fail(ctx, NEO_NO_MEMORY, "c: no memory for a printer");
  p->ctx = ctx;
  p->nest = nest;
  p->dialect = dialect;
  p->lane_number = -1;
  p->index = index_type(nest, dialect);
  p->var_used = neo_alloc(ctx, (size_t)nest->n_vars + 1);
  p->range = neo_alloc(ctx, ((size_t)nest->n_vars + 1) * sizeof *p->range);
  p->twos = neo_alloc(ctx, (size_t)nest->n_vars + 1);
  neo_arena_init(&p->arena);
  if (!p->var_used || !p->range || !p->twos)
    p->status = neo_fail(ctx, NEO_NO_MEMORY, "c: no memory for %d variables", nest->n_vars);
  find_shared(p);
  print_launches(p, symbol);
  if (p->too_wide) {
    p->index = NEO_I64;
    neo_buf_fini(&p->out);
    memset(p->used, 0, sizeof p->used);
    p->matrices = 0;
    print_launches(p, symbol);
  }
  neo_status status = p->status;
  if (status == NEO_OK) {
    neo_buf_text(out, dialect->prologue);
    c_print_helpers(p, out);
    if (p->matrices)
      dialect->matrix_helpers(p, out);
    neo_buf_append(out, p->out.data, p->out.size);
    if (out->failed || p->out.failed)
      status = neo_fail(ctx, NEO_NO_MEMORY, "c: no memory for the text");
  }
  neo_buf_fini(&p->out);
  neo_arena_fini(&p->arena);
  neo_free(ctx, p->var_used);
  neo_free(ctx, p->range);
  neo_free(ctx, p->twos);
  neo_free(ctx, p);
  return status;
}

static neo_status text(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                       const char *symbol, neo_buf *out) {
  (void)target;
  if (neo_nest_is_grouped(nest))
    return neo_fail(ctx, NEO_UNSUPPORTED, "c: the schedule is one for GPUs");
  return c_print_nest(ctx, nest, &plain_c, symbol, out);
}

/* ---- compiling ----------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static const char host_arch[] = "x86_64";
#elif defined(__aarch64__)
static const char host_arch[] = "aarch64";
#else
static const char host_arch[] = "c";
#endif

static const struct {
  neo_isa isa;
  const char *flag;
} flag_rows[] = {
    {NEO_ISA_SSE42, "-msse4.2"},    {NEO_ISA_AVX2, "-mavx2"},
    {NEO_ISA_FMA, "-mfma"},         {NEO_ISA_F16C, "-mf16c"},
    {NEO_ISA_AVX512, "-mavx512f"},  {NEO_ISA_AVX512, "-mavx512bw"},
    {NEO_ISA_AVX512, "-mavx512dq"}, {NEO_ISA_AVX512, "-mavx512vl"},
    {NEO_ISA_AVX512, "-mavx512cd"}, {NEO_ISA_AVX512_VNNI, "-mavx512vnni"},
};

static neo_status run_compiler(neo_ctx *ctx, const char *compiler, const neo_target *target,
                               const char *source, const char *object) {
  const char *argv[40] = {compiler,
                          "-std=c11",
                          "-O2",
                          "-fPIC",
                          "-fno-math-errno",
                          "-ffp-contract=off",
                          "-fno-tree-loop-distribute-patterns",
                          "-fno-stack-protector",
                          "-fno-asynchronous-unwind-tables",
                          "-fcf-protection=none",
                          "-fno-ident"};
  int n = 11;
  for (int k = 0; k < NEO_COUNT(flag_rows); k++)
    if (neo_target_has(target, flag_rows[k].isa))
      argv[n++] = flag_rows[k].flag;
  const char *const tail[] = {"-c", "-o", object, source};
  for (int k = 0; k < NEO_COUNT(tail); k++)
    argv[n++] = tail[k];
  neo_process_result result = {0};
  NEO_TRY(neo_process_run(ctx, argv, 120000, &result));
  neo_status status = NEO_OK;
  if (result.exit_code != 0)
    status = neo_fail(ctx, result.timed_out ? NEO_IO : NEO_INTERNAL, "c: %s failed: %.600s",
                      compiler, result.output.size ? result.output.data : "no output");
  neo_buf_fini(&result.output);
  return status;
}

/* gcc by preference: its flags are known to leave no calls; cc where there is no gcc. */
static neo_status compile(neo_ctx *ctx, const neo_target *target, const char *dir,
                          const neo_buf *source, neo_buf *out) {
  char c_path[300], o_path[300];
  snprintf(c_path, sizeof c_path, "%s/nest.c", dir);
  snprintf(o_path, sizeof o_path, "%s/nest.o", dir);
  NEO_TRY(neo_file_write(ctx, c_path, source->data, source->size));
  neo_ctx attempt;
  neo_ctx_fork(&attempt, ctx);
  if (run_compiler(&attempt, "gcc", target, c_path, o_path) == NEO_IO)
    NEO_TRY(run_compiler(ctx, "cc", target, c_path, o_path));
  else if (attempt.status != NEO_OK)
    return neo_fail(ctx, attempt.status, "%s", attempt.message);
  return neo_file_read(ctx, o_path, 0, out);
}

static neo_status build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                        const char *symbol, neo_object *out) {
  char dir[256] = "";
  neo_buf source = {0}, bytes = {0};
  if (neo_target_is_gpu(target))
    return neo_fail(ctx, NEO_UNSUPPORTED, "c: the target is a GPU");
  if (strcmp(target->arch, host_arch) != 0 && strcmp(target->arch, "c") != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "c: this machine's compiler makes no code for '%s'",
                    target->arch);
  neo_status status = text(ctx, nest, target, symbol, &source);
  if (status == NEO_OK)
    status = neo_dir_temp(ctx, NULL, dir);
  if (status == NEO_OK)
    status = compile(ctx, target, dir, &source, &bytes);
  if (status == NEO_OK)
    status = neo_object_adopt(ctx, &bytes, nest->n_launches, out);
  if (dir[0]) {
    neo_ctx ignored;
    neo_ctx_fork(&ignored, ctx);
    neo_dir_remove(&ignored, dir);
  }
  neo_buf_fini(&source);
  neo_buf_fini(&bytes);
  return status;
}

const neo_codegen neo_codegen_c = {.name = "c", .build = build, .text = text};
