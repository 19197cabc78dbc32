/* neo-board: the program around neo_board_serve. It has no configuration but its arguments. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpc/net.h"

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
    "  --key-file K the shared key: 64 hex digits, readable by its owner only. Without it the\n"
    "               connection is plain, which only this machine's end of a tunnel may be\n"
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
    "  --help       this text\n"
    "\n"
    "neo-tune starts the local one by itself; on a board:\n"
    "  neo-board --connect desk:9190 --name pi4-1 --key-file pi4-1.key\n"
    "neo board-install prints the steps that bring it there.\n";

static int usage(const char *what, const char *argument) {
  fprintf(stderr, "neo-board: %s '%s'; see neo-board --help\n", what, argument);
  return NEO_USAGE;
}

/* Comma-separated numbers; false if the text is anything else. */
static bool parse_cpus(const char *text, neo_board_options *options) {
  neo_scan scan;
  int64_t cpu;
  neo_scan_init(&scan, text);
  do {
    if (!neo_scan_int(&scan, &cpu) || cpu < 0 || cpu > 65535 ||
        options->n_cpus >= NEO_COUNT(options->cpus))
      return false;
    options->cpus[options->n_cpus++] = (int)cpu;
  } while (neo_scan_token(&scan, ","));
  return neo_scan_end(&scan);
}

static bool parse_back_off(const char *text, neo_link_options *link) {
  neo_scan scan;
  int64_t ms;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &ms) || !neo_scan_end(&scan) || ms < 1 || ms > 30000)
    return false;
  link->back_off_ms = (int)ms;
  return true;
}

static bool parse_cache(const char *text, neo_board_options *options) {
  neo_scan scan;
  int64_t mb;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &mb) || !neo_scan_end(&scan) || mb < 1 || mb > 1 << 20)
    return false;
  options->cache_bytes = (size_t)mb << 20;
  return true;
}

static bool parse_label(const char *text, neo_link_options *link) {
  const char *equal = strchr(text, '=');
  if (!equal || equal == text || link->n_labels == NEO_MAX_FACTS)
    return false;
  neo_net_fact *label = &link->label[link->n_labels++];
  int name = (int)(equal - text);
  return name < (int)sizeof label->name && strlen(equal + 1) < sizeof label->value &&
         snprintf(label->name, sizeof label->name, "%.*s", name, text) == name &&
         snprintf(label->value, sizeof label->value, "%s", equal + 1) >= 0;
}

typedef struct arguments {
  bool stdio, quiet;
  neo_link_options link; /* link.board: of both */
} arguments;

/* An option with a value; NULL: it is not one. false in *good: a bad value. */
static const char *take_value(arguments *a, const char *option, const char *value, bool *good) {
  neo_board_options *board = &a->link.board;
  *good = true;
  if (strcmp(option, "--connect") == 0)
    return a->link.address = value;
  if (strcmp(option, "--name") == 0)
    return a->link.name = value;
  if (strcmp(option, "--key-file") == 0)
    return a->link.key_file = value;
  if (strcmp(option, "--counters") == 0)
    return board->counters = value;
  if (strcmp(option, "--back-off") == 0) {
    *good = parse_back_off(value, &a->link);
    return value;
  }
  bool cpus = strcmp(option, "--cpus") == 0, cache = strcmp(option, "--cache") == 0;
  if (!cpus && !cache && strcmp(option, "--label") != 0)
    return NULL;
  *good = cpus    ? parse_cpus(value, board)
          : cache ? parse_cache(value, board)
                  : parse_label(value, &a->link);
  return value;
}

static bool takes_value(const char *option) {
  static const char *const names[] = {"--connect",  "--name", "--key-file", "--label",
                                      "--counters", "--cpus", "--cache",    "--back-off"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(option, names[i]) == 0)
      return true;
  return false;
}

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, arguments *a) {
  for (int i = 1; i < argc; i++) {
    bool good = true;
    if (strcmp(argv[i], "--help") == 0) {
      fputs(help, stdout);
      return 0;
    }
    if (strcmp(argv[i], "--stdio") == 0)
      a->stdio = true;
    else if (strcmp(argv[i], "--once") == 0)
      a->link.once = true;
    else if (strcmp(argv[i], "--quiet") == 0)
      a->quiet = true;
    else if (!takes_value(argv[i]))
      return usage("unknown argument", argv[i]);
    else if (i + 1 == argc)
      return usage("a value is missing after", argv[i]);
    else if (take_value(a, argv[i], argv[i + 1], &good) && !good)
      return usage("not a value:", argv[i + 1]);
    else
      i++;
  }
  return -1;
}

static volatile int stop;

static void on_signal(int number) {
  (void)number;
  stop = 1;
}

static void log_to_stderr(void *self, neo_log_level level, const char *text) {
  (void)self;
  if (level <= NEO_LOG_INFO)
    fprintf(stderr, "neo-board: %s\n", text);
}

static neo_status run_link(neo_ctx *ctx, const arguments *a) {
  const struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  ctx->log = a->quiet ? NULL : log_to_stderr;
  if (!a->link.name)
    return neo_fail(ctx, NEO_USAGE, "--connect needs --name; see neo-board --help");
  return neo_link_run(ctx, &a->link, &stop);
}

int main(int argc, char **argv) {
  arguments a = {.link.board = {.in_fd = STDIN_FILENO, .out_fd = STDOUT_FILENO}};
  int code = parse_arguments(argc, argv, &a);
  if (code >= 0)
    return code;
  if (a.stdio == (a.link.address != NULL)) {
    fputs(help, stderr);
    return NEO_USAGE;
  }
  if (a.link.address && a.link.board.counters) /* the tuner would take counts for times */
    return usage("only with --stdio:", "--counters");
  signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of write */
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = NEO_OK;
  if (a.stdio) {
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the tuner's; we end when it closes the stream */
    status = neo_board_serve(&ctx, &a.link.board);
  } else {
    status = run_link(&ctx, &a);
  }
  if (status != NEO_OK)
    fprintf(stderr, "neo-board: %s\n", ctx.message);
  return (int)status;
}
