/* Boards: neo-tune doctor says which hop to one fails, neo board-install brings the agent there. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host.h"
#include "cli/commands.h"
#include "measure/measure.h"
#include "rpc/net.h"

/* ---- doctor --------------------------------------------------------------------------------------- */

/* A convolution with padding, a tail and a ReLU: a bit of everything, a fraction of a millisecond.
 */
static const char known_te[] =
    "te 1\n"
    "b0 in f32 [1,8,14,14]\n"
    "b1 const f32 [16,8,3,3]\n"
    "b2 tmp f32 [1,16,14,14]\n"
    "b3 out f32 [1,16,14,14]\n"
    "B0 b2[i0, i1, i2, i3] s[1,16,14,14] r[8,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<14, 0<=i3+i6-1<14 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b3[i0, i1, i2, i3] s[1,16,14,14]\n"
    "  max(b2[0, i1, i2, i3], f32:0)\n";

typedef struct doctor {
  neo_ctx *ctx;
  const cli_args *args;
  neo_arena arena;
  neo_target target;
  neo_te te;
  char key[33], detail[300];
  neo_space *space;
  neo_measurer *measurer;
} doctor;

static neo_status find_target(doctor *d) {
  const char *name = d->args->n_arguments ? d->args->argument[0] : NULL;
  NEO_TRY(neo_target_find(d->ctx, name, &d->target));
  snprintf(d->detail, sizeof d->detail, "%s, vectors of %d bytes%s", d->target.arch,
           (int)d->target.vector_bytes, neo_target_runs_here(&d->target) ? ", runs here too" : "");
  return NEO_OK;
}

static neo_status make_space(doctor *d) {
  static const neo_layout row_major = {0};
  NEO_TRY(neo_te_parse(d->ctx, &d->arena, known_te, &d->te));
  neo_te_key(&d->te, d->key);
  neo_space_options options = {.threads = 1, .max_params_growth = 4};
  options.fixed[0] = options.fixed[3] = &row_major;
  NEO_TRY(neo_space_build(d->ctx, &d->te, &d->target, &options, &d->space));
  snprintf(d->detail, sizeof d->detail, "a known kernel, %s", d->key);
  return NEO_OK;
}

static neo_status open_measurer(doctor *d) {
  const neo_measure_options options = {.threads = 1,
                                       .seed = 1,
                                       .board_program = cli_value(d->args, "--board", NULL),
                                       .timing = {.max_total_ns = 20e6}};
  NEO_TRY(neo_measurer_open(d->ctx, cli_value(d->args, "--measure", "local"), &d->target, &options,
                            &d->measurer));
  const neo_machine_facts *facts = neo_measurer_facts(d->measurer);
  snprintf(d->detail, sizeof d->detail, "%s, %.1f GFLOP/s, %.1f GB/s", facts->cpu_model,
           facts->peak_gflops, facts->bandwidth);
  return NEO_OK;
}

static neo_status run_reference(doctor *d) {
  NEO_TRY(neo_measurer_task(d->ctx, d->measurer, 0, &d->te, d->key));
  snprintf(d->detail, sizeof d->detail, "inputs uploaded, plain code run, outputs back");
  return NEO_OK;
}

static neo_status measure_candidate(doctor *d) {
  enum { WAIT_MS = 120000 };
  neo_candidate candidate;
  neo_schedule schedule;
  neo_trial_result result;
  bool got = false;
  if (neo_space_analytic(d->space, 1, &candidate) < 1)
    return neo_fail(d->ctx, NEO_INTERNAL, "the space has no candidate");
  neo_space_schedule(d->space, &candidate, &schedule);
  NEO_TRY(neo_measurer_submit(d->ctx, d->measurer, 1, 0, &schedule));
  NEO_TRY(neo_measurer_poll(d->ctx, d->measurer, WAIT_MS, &result, &got));
  if (!got)
    return neo_fail(d->ctx, NEO_UNREACHABLE, "no result within %d s", WAIT_MS / 1000);
  if (!neo_trial_usable(result.kind))
    return neo_fail(d->ctx, NEO_NOTHING_MEASURED, "%s in %s: %s", neo_trial_kind_name(result.kind),
                    result.phase, result.text);
  snprintf(d->detail, sizeof d->detail, "right, %.1f us, built in %.0f ms", result.ns / 1e3,
           result.build_ns / 1e6);
  return NEO_OK;
}

static void log_to_stdout(void *self, neo_log_level level, const char *text) {
  (void)self;
  if (level <= NEO_LOG_INFO) {
    printf("             %s\n", text);
    fflush(stdout);
  }
}

/* Questions about a board are for those who asked for one and got no answer. */
static const char *advice(const cli_args *args, const neo_ctx *ctx, const char *of_hop) {
  const char *measure = cli_value(args, "--measure", "local");
  neo_status status = ctx->status;
  if (strstr(ctx->message, "wrong key") || strstr(ctx->message, "no key for its name"))
    return "a board is there with another key file than this: both need the same line";
  if (status == NEO_USAGE && strncmp(ctx->message, "key file ", 9) == 0)
    return "`neo board-install` makes a key and brings it to the board";
  if (status == NEO_UNSUPPORTED && strcmp(measure, "local") == 0)
    return "--measure rpc://HOST:PORT?key-file=FILE for boards, emulated:ARCH or wine here";
  if (status == NEO_USAGE && strncmp(measure, "rpc:", 4) == 0)
    return "--measure rpc://HOST:PORT?key-file=FILE is its form";
  return of_hop;
}

neo_status cli_doctor(neo_ctx *ctx, const cli_args *args) {
  static const struct {
    const char *name, *advice;
    neo_status (*run)(doctor *);
  } hops[] = {
      {"target", "`neo targets` lists the names", find_target},
      {"schedule", "this is a bug of Neo", make_space},
      {"board", "is neo-board running there, with this key, this address, and no firewall between?",
       open_measurer},
      {"reference", "code that is built here does not run there: is it the right target?",
       run_reference},
      {"measure", "the board runs plain code but not this target's: is it the right one?",
       measure_candidate},
  };
  doctor d = {.ctx = ctx, .args = args};
  neo_status status = NEO_OK;
  neo_arena_init(&d.arena);
  ctx->log = log_to_stdout;
  for (int h = 0; h < NEO_COUNT(hops) && status == NEO_OK; h++) {
    uint64_t before = neo_now_ns(ctx);
    status = hops[h].run(&d);
    double ms = (double)(neo_now_ns(ctx) - before) * 1e-6;
    if (status == NEO_OK)
      printf("ok     %-10s%s (%.0f ms)\n", hops[h].name, d.detail, ms);
    else
      printf("FAILED %-10s%s\n       %s\n", hops[h].name, ctx->message,
             advice(args, ctx, hops[h].advice));
    fflush(stdout);
  }
  neo_measurer_close(d.measurer);
  neo_space_destroy(d.space);
  neo_arena_fini(&d.arena);
  return status;
}

/* ---- board-install ------------------------------------------------------------------------------------ */

enum { MAX_STEPS = 8, MAX_WORDS = 8, STEP_MS = 120000 };

/* A step is a command line in words, as it is run; printed quoted. */
typedef struct install_steps {
  neo_arena arena;
  int n;
  const char *about[MAX_STEPS];
  const char *word[MAX_STEPS][MAX_WORDS];
} install_steps;

static void add_step(install_steps *steps, const char *about, const char *const *words) {
  neo_assert(steps->n < MAX_STEPS);
  for (int w = 0; words[w]; w++)
    steps->word[steps->n][w] = words[w];
  steps->about[steps->n++] = about;
}

/* Words go through a shell on the board: only what no shell reads as anything else. */
static neo_status check_word(neo_ctx *ctx, const char *option, const char *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "._-@:/[]=+,";
  if (!text)
    return neo_fail(ctx, NEO_USAGE, "%s is missing", option);
  if (!*text || *text == '-' || strspn(text, plain) != strlen(text))
    return neo_fail(ctx, NEO_USAGE, "%s '%s': only letters, digits and %s", option, text,
                    plain + 62);
  return NEO_OK;
}

/* A new key, if there is none at that path. */
static neo_status need_key(neo_ctx *ctx, const char *path) {
  uint8_t bytes[NEO_KEY_BYTES];
  neo_net_keys keys;
  if (access(path, F_OK) == 0)
    return neo_net_keys_read(ctx, path, &keys);
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    return neo_fail(ctx, NEO_IO, "no random numbers for a key");
  mode_t mask = umask(077);
  FILE *file = fopen(path, "wx");
  umask(mask);
  if (!file)
    return neo_fail(ctx, NEO_IO, "%s cannot be written", path);
  for (int i = 0; i < NEO_KEY_BYTES; i++)
    fprintf(file, "%02x", bytes[i]);
  fprintf(file, "\n");
  printf("# %s: a new key\n", path);
  return fclose(file) == 0 ? NEO_OK : neo_fail(ctx, NEO_IO, "%s cannot be written", path);
}

static void ssh_steps(install_steps *s, const char *host, const char *board, const char *key,
                      const char *start) {
  neo_arena *a = &s->arena;
  const char *program = neo_arena_printf(a, "%s:.neo/neo-board", host);
  const char *secret = neo_arena_printf(a, "%s:.neo/board.key", host);
  add_step(s, "a private folder",
           (const char *[]){"ssh", host, "mkdir -p -m 700 .neo && rm -f .neo/neo-board", NULL});
  add_step(s, "the agent", (const char *[]){"scp", "-p", board, program, NULL});
  add_step(s, "its key", (const char *[]){"scp", "-p", key, secret, NULL});
  add_step(
      s, "readable by its owner only",
      (const char *[]){"ssh", host, "chmod 600 .neo/board.key && chmod 700 .neo/neo-board", NULL});
  add_step(s, "start it, detached", (const char *[]){"ssh", host, start, NULL});
}

static void adb_steps(install_steps *s, const char *serial, const char *board, const char *key,
                      const char *start) {
  add_step(s, "a folder that programs may be run from",
           (const char *[]){"adb", "-s", serial, "shell", "mkdir -p /data/local/tmp/.neo", NULL});
  add_step(
      s, "the agent",
      (const char *[]){"adb", "-s", serial, "push", board, "/data/local/tmp/.neo/neo-board", NULL});
  add_step(
      s, "its key",
      (const char *[]){"adb", "-s", serial, "push", key, "/data/local/tmp/.neo/board.key", NULL});
  add_step(s, "permissions",
           (const char *[]){"adb", "-s", serial, "shell",
                            "cd /data/local/tmp/.neo && chmod 600 board.key && chmod 700 neo-board",
                            NULL});
  add_step(s, "start it, detached", (const char *[]){"adb", "-s", serial, "shell", start, NULL});
}

static void print_steps(const install_steps *s) {
  for (int i = 0; i < s->n; i++) {
    printf("# %s\n", s->about[i]);
    for (int w = 0; s->word[i][w]; w++) {
      bool quoted = strpbrk(s->word[i][w], " &|<>'") != NULL;
      printf("%s%s%s%s", w ? " " : "", quoted ? "'" : "", s->word[i][w], quoted ? "'" : "");
    }
    printf("\n");
  }
}

/* Boards dial; nothing happens there until somebody listens here. */
static void print_next(const char *address, const char *name, const char *key) {
  printf("# then, on %.*s: does '%s' answer? (it dials until somebody listens; its log: "
         ".neo/neo-board.log)\n"
         "neo-tune doctor TARGET --measure 'rpc://0.0.0.0%s?key-file=%s'\n",
         (int)(strrchr(address, ':') - address), address, name, strrchr(address, ':'), key);
}

static neo_status perform_steps(neo_ctx *ctx, const install_steps *s) {
  for (int i = 0; i < s->n; i++) {
    neo_process_result result = {0};
    printf("%s ...\n", s->about[i]);
    fflush(stdout);
    neo_status status = neo_process_run(ctx, s->word[i], STEP_MS, &result);
    if (status == NEO_OK && (result.exit_code != 0 || result.timed_out))
      status = neo_fail(ctx, NEO_UNREACHABLE, "%s: %s: %s", s->about[i],
                        result.timed_out ? "no end within two minutes" : "failed",
                        result.output.data ? result.output.data : "");
    neo_buf_fini(&result.output);
    NEO_TRY(status);
  }
  return NEO_OK;
}

static neo_status find_agent(neo_ctx *ctx, const cli_args *args, neo_arena *arena,
                             const char **out) {
  char dir[512];
  *out = cli_value(args, "--board", NULL);
  if (!*out) {
    NEO_TRY(neo_self_dir(ctx, dir));
    *out = neo_arena_printf(arena, "%s/neo-board-%s", dir, cli_value(args, "--arch", "aarch64"));
  }
  return neo_file_exists(*out)
             ? NEO_OK
             : neo_fail(ctx, NEO_USAGE, "%s is missing: build it or name another with --board",
                        *out);
}

/* An agent without it would be started, and end, where nobody sees its message. */
static neo_status check_port(neo_ctx *ctx, const char *address) {
  const char *colon = strrchr(address, ':');
  neo_scan scan;
  int64_t port = 0;
  neo_scan_init(&scan, colon ? colon + 1 : "");
  if (!colon || colon == address || !neo_scan_int(&scan, &port) || !neo_scan_end(&scan) ||
      port < 1 || port > 65535)
    return neo_fail(ctx, NEO_USAGE, "--connect %s: write HOST:PORT, e.g. desk:9190", address);
  return NEO_OK;
}

neo_status cli_board_install(neo_ctx *ctx, const cli_args *args) {
  install_steps steps = {0};
  const char *host = args->argument[0], *board = NULL;
  const char *name = cli_value(args, "--name", NULL), *key = cli_value(args, "--key-file", NULL);
  const char *address = cli_value(args, "--connect", NULL), *via = cli_value(args, "--via", "ssh");
  bool adb = strcmp(via, "adb") == 0;
  if (!adb && strcmp(via, "ssh") != 0)
    return neo_fail(ctx, NEO_USAGE, "--via %s: ssh or adb", via);
  NEO_TRY(check_word(ctx, "the board's host", host));
  NEO_TRY(check_word(ctx, "--connect", address));
  NEO_TRY(check_port(ctx, address));
  NEO_TRY(check_word(ctx, "--name", name));
  NEO_TRY(check_word(ctx, "--key-file", key));
  if (!neo_net_name_ok(name))
    return neo_fail(ctx, NEO_USAGE, "--name '%s': letters, digits, '.', '-', '_'", name);
  neo_arena_init(&steps.arena);
  neo_status status = find_agent(ctx, args, &steps.arena, &board);
  if (status == NEO_OK)
    status = need_key(ctx, key);
  if (status == NEO_OK) {
    const char *start = neo_arena_printf(
        &steps.arena,
        /* the braces: else a shell that goes on holding ssh's streams waits for it */
        "cd %s.neo && { nohup ./neo-board --connect %s --name %s --key-file board.key "
        "> neo-board.log 2>&1 < /dev/null & }",
        adb ? "/data/local/tmp/" : "", address, name);
    (adb ? adb_steps : ssh_steps)(&steps, host, board, key, start);
    if (cli_has(args, "--run"))
      status = perform_steps(ctx, &steps);
    else
      print_steps(&steps);
    if (status == NEO_OK)
      print_next(address, name, key);
  }
  neo_arena_fini(&steps.arena);
  return status;
}
