/* neo-board: the program around neo_board_serve. It has no configuration but its arguments. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpc/rpc.h"

static const char help[] =
    "neo-board: measures kernels for neo-tune\n"
    "\n"
    "usage: neo-board --stdio [--cpus LIST] [--cache MB] [--counters FILE]\n"
    "\n"
    "  --stdio      speak the protocol of docs/formats/frames.md over standard input and output\n"
    "  --cpus LIST  logical cpus to pin measuring threads to, in order of preference: 0,2,4 "
    "(default: all allowed)\n"
    "  --cache MB   size of the cache of inputs and objects (default: 2048, or half of the "
    "memory)\n"
    "  --counters FILE  under an emulator whose plugin counts into FILE: give counts for times\n"
    "  --help       this text\n"
    "\n"
    "neo-tune starts it by itself; example of talking to one by hand:\n"
    "  ssh board neo-board --stdio --cpus 0,1\n";

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

static bool parse_cache(const char *text, neo_board_options *options) {
  neo_scan scan;
  int64_t mb;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &mb) || !neo_scan_end(&scan) || mb < 1 || mb > 1 << 20)
    return false;
  options->cache_bytes = (size_t)mb << 20;
  return true;
}

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, neo_board_options *options, bool *stdio) {
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--help") == 0) {
      fputs(help, stdout);
      return 0;
    }
    if (strcmp(argv[i], "--stdio") == 0) {
      *stdio = true;
    } else if (strcmp(argv[i], "--counters") == 0 && value) {
      options->counters = value;
      i++;
    } else if (strcmp(argv[i], "--cpus") == 0 || strcmp(argv[i], "--cache") == 0) {
      bool cpus = strcmp(argv[i], "--cpus") == 0;
      if (!value)
        return usage("a value is missing after", argv[i]);
      if (cpus ? !parse_cpus(value, options) : !parse_cache(value, options))
        return usage(cpus ? "not a list of cpus:" : "not a number of megabytes:", value);
      i++;
    } else {
      return usage("unknown argument", argv[i]);
    }
  }
  return -1;
}

int main(int argc, char **argv) {
  neo_board_options options = {.in_fd = STDIN_FILENO, .out_fd = STDOUT_FILENO};
  bool stdio = false;
  int code = parse_arguments(argc, argv, &options, &stdio);
  if (code >= 0)
    return code;
  if (!stdio) {
    fputs(help, stderr);
    return NEO_USAGE;
  }
  signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of write */
  signal(SIGINT,
         SIG_IGN); /* Ctrl-C on the terminal is the tuner's; we end when it closes the stream */
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = neo_board_serve(&ctx, &options);
  if (status != NEO_OK)
    fprintf(stderr, "neo-board: %s\n", ctx.message);
  return (int)status;
}
