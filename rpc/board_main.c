/* neo-board: the program around neo_board_serve and neo_link_run, on every system. It has no
 * configuration but its arguments. */
#include <stdio.h>
#include <string.h>

#include "neo/neo_rt.h"
#include "rpc/board.h"
#include "rpc/machine.h"
#include "rpc/net.h"
#include "rpc/sandbox.h"

static const char help[] =
    "neo-board: measures kernels for neo-tune\n"
    "\n"
    "usage: neo-board --connect HOST:PORT --name N --key-file K [--label K=V] [--cpus LIST] "
    "[--cache MB]\n"
    "       neo-board --stdio [--cpus LIST] [--cache MB] [--counters FILE]\n"
    "\n"
    "  --connect HOST:PORT  serve the tuner that listens there (neo-tune --measure rpc://...), "
    "and\n"
    "               wait for the next when it is done or the link is lost\n"
    "  --name N     what this board is called there; its key is that of this name\n"
    "  --key-file K the shared key: 64 hex digits, readable by its owner only (neo board-install\n"
    "               makes one). Without it the connection is plain, which only this machine's end\n"
    "               of a tunnel may be\n"
    "  --label K=V  a fact for the tuner to choose boards by; may be repeated\n"
    "  --back-off MS  first pause before connecting again, doubled up to 30 s (default: 500)\n"
    "  --once       end when the tuner is done\n"
    "  --quiet      say nothing on standard error\n"
    "  --stdio      speak the protocol of docs/formats/frames.md over standard input and output\n"
    "  --cpus LIST  logical cpus to pin measuring threads to, in order of preference: 0,2,4 "
    "(default: all allowed)\n"
    "  --cache MB   size of the cache of inputs and objects (default: 2048, or half of the "
    "memory)\n"
    "  --counters FILE  under an emulator whose plugin counts into FILE: give counts for times\n"
    "  --version    of Neo: tuner and board need the same\n"
    "  --help       this text\n"
    "\n"
    "neo-tune starts the local one by itself (and neo-board.exe under wine); on a board:\n"
    "  neo-board --connect desk:9190 --name pi4-1 --key-file pi4-1.key\n"
    "neo board-install prints the steps that bring it there.\n";

typedef struct arguments {
  bool stdio, quiet, help, version;
  neo_link_options link; /* link.board: of both */
} arguments;

static bool parse_number(const char *text, int64_t most, int64_t *out) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  return neo_scan_int(&scan, out) && neo_scan_end(&scan) && *out >= 1 && *out <= most;
}

/* ---- one function an option; value: NULL if it has none; false: it is no such value ----------------- */

static bool take_stdio(arguments *a, const char *value) {
  (void)value;
  return a->stdio = true;
}

static bool take_once(arguments *a, const char *value) {
  (void)value;
  return a->link.once = true;
}

static bool take_quiet(arguments *a, const char *value) {
  (void)value;
  return a->quiet = true;
}

static bool take_version(arguments *a, const char *value) {
  (void)value;
  return a->version = true;
}

static bool take_help(arguments *a, const char *value) {
  (void)value;
  return a->help = true;
}

static bool take_child(arguments *a, const char *value) {
  (void)value;
  return a->link.board.child = neo_board_starts_anew;
}

static bool take_shared(arguments *a, const char *value) {
  int64_t handle;
  bool good = parse_number(value, INTPTR_MAX, &handle);
  a->link.board.shared = good ? (intptr_t)handle : 0;
  return good && neo_board_starts_anew;
}

static bool take_connect(arguments *a, const char *value) {
  a->link.address = value;
  return true;
}

static bool take_name(arguments *a, const char *value) {
  a->link.name = value;
  return true;
}

static bool take_key_file(arguments *a, const char *value) {
  a->link.key_file = value;
  return true;
}

static bool take_counters(arguments *a, const char *value) {
  a->link.board.counters = value;
  return true;
}

static bool take_back_off(arguments *a, const char *value) {
  int64_t ms;
  bool good = parse_number(value, 30000, &ms);
  if (good)
    a->link.back_off_ms = (int)ms;
  return good;
}

static bool take_cache(arguments *a, const char *value) {
  int64_t mb;
  bool good = parse_number(value, 1 << 20, &mb);
  if (good)
    a->link.board.cache_bytes = (size_t)mb << 20;
  return good;
}

static bool take_cpus(arguments *a, const char *value) {
  neo_board_options *board = &a->link.board;
  neo_scan scan;
  int64_t cpu;
  neo_scan_init(&scan, value);
  do {
    if (!neo_scan_int(&scan, &cpu) || cpu < 0 || cpu > 65535 ||
        board->n_cpus >= NEO_COUNT(board->cpus))
      return false;
    board->cpus[board->n_cpus++] = (int)cpu;
  } while (neo_scan_token(&scan, ","));
  return neo_scan_end(&scan);
}

static bool take_label(arguments *a, const char *value) {
  const char *equal = strchr(value, '=');
  if (!equal || equal == value || a->link.n_labels == NEO_MAX_FACTS)
    return false;
  neo_net_fact *label = &a->link.label[a->link.n_labels++];
  int name = (int)(equal - value);
  return name < (int)sizeof label->name && strlen(equal + 1) < sizeof label->value &&
         snprintf(label->name, sizeof label->name, "%.*s", name, value) == name &&
         snprintf(label->value, sizeof label->value, "%s", equal + 1) >= 0;
}

/* The last two are what the program says to itself, where it starts itself anew for every job. */
static const struct {
  const char *name;
  bool has_value;
  bool (*take)(arguments *a, const char *value);
} options[] = {
    {"--connect", true, take_connect},   {"--name", true, take_name},
    {"--key-file", true, take_key_file}, {"--label", true, take_label},
    {"--back-off", true, take_back_off}, {"--once", false, take_once},
    {"--quiet", false, take_quiet},      {"--stdio", false, take_stdio},
    {"--cpus", true, take_cpus},         {"--cache", true, take_cache},
    {"--counters", true, take_counters}, {"--help", false, take_help},
    {"--version", false, take_version},  {"--child", false, take_child},
    {"--shared", true, take_shared},
};

static int usage(const char *what, const char *argument) {
  fprintf(stderr, "neo-board: %s '%s'; see neo-board --help\n", what, argument);
  return NEO_USAGE;
}

/* NEO_OK: go on. */
static int parse_arguments(int argc, char **argv, arguments *a) {
  for (int i = 1; i < argc && !a->help && !a->version; i++) {
    int k = 0;
    while (k < NEO_COUNT(options) && strcmp(argv[i], options[k].name) != 0)
      k++;
    if (k == NEO_COUNT(options))
      return usage("unknown argument", argv[i]);
    if (options[k].has_value && i + 1 == argc)
      return usage("a value is missing after", argv[i]);
    i += options[k].has_value;
    if (!options[k].take(a, options[k].has_value ? argv[i] : NULL))
      return usage("not a value:", argv[i]);
  }
  return NEO_OK;
}

static void log_to_stderr(void *self, neo_log_level level, const char *text) {
  (void)self;
  if (level <= NEO_LOG_INFO)
    fprintf(stderr, "neo-board: %s\n", text);
}

static volatile int stop;

static neo_status run_link(neo_ctx *ctx, const arguments *a) {
  ctx->log = a->quiet ? NULL : log_to_stderr;
  if (!a->link.name)
    return neo_fail(ctx, NEO_USAGE, "--connect needs --name; see neo-board --help");
  return neo_link_run(ctx, &a->link, &stop);
}

int main(int argc, char **argv) {
  arguments a = {.link.board = {.in_fd = 0, .out_fd = 1}};
  int code = parse_arguments(argc, argv, &a);
  if (code != NEO_OK)
    return code;
  if (a.version) {
    printf("neo-board %s, network protocol %d, kernels confined by: %s\n", NEO_RT_VERSION,
           NEO_NET_VERSION, neo_sandbox_kind());
    return NEO_OK;
  }
  if (a.help) {
    fputs(help, stdout);
    return NEO_OK;
  }
  if (a.stdio + a.link.board.child + (a.link.address != NULL) != 1) {
    fputs(help, stderr);
    return NEO_USAGE;
  }
  if (a.link.address && a.link.board.counters) /* the tuner would take counts for times */
    return usage("only with --stdio:", "--counters");
  neo_machine_start(!a.link.address, &stop);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = a.link.address ? run_link(&ctx, &a) : neo_board_serve(&ctx, &a.link.board);
  if (status != NEO_OK)
    fprintf(stderr, "neo-board: %s\n", ctx.message);
  return (int)status;
}
