/* neo-board.exe: the program around neo_board_serve on Windows. It speaks over standard input and
 * output only; a network is for whoever starts it. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <string.h>

#include "rpc/rpc.h"

static const char help[] =
    "neo-board: measures kernels for neo-tune\n"
    "\n"
    "usage: neo-board --stdio [--cpus LIST] [--cache MB]\n"
    "\n"
    "  --stdio      speak the protocol of docs/formats/frames.md over standard input and output\n"
    "  --cpus LIST  logical cpus to pin measuring threads to, in order of preference: 0,2,4 "
    "(default: all allowed)\n"
    "  --cache MB   size of the cache of inputs and objects (default: 2048, or half of the "
    "memory)\n"
    "  --help       this text\n"
    "\n"
    "neo-tune --measure wine starts it under wine. It starts itself for every job, with --child.\n";

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

static bool take_value(const char *option, const char *value, neo_board_options *options) {
  if (strcmp(option, "--shared") == 0) {
    options->shared = value;
    return true;
  }
  if (strcmp(option, "--cpus") == 0)
    return parse_cpus(value, options);
  return strcmp(option, "--cache") == 0 && parse_cache(value, options);
}

int main(int argc, char **argv) {
  neo_board_options options = {.in_fd = 0, .out_fd = 1};
  bool stdio = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(help, stdout);
      return 0;
    }
    if (strcmp(argv[i], "--stdio") == 0) {
      stdio = true;
    } else if (strcmp(argv[i], "--child") == 0) {
      options.child = true;
    } else if (i + 1 < argc && take_value(argv[i], argv[i + 1], &options)) {
      i++;
    } else {
      fprintf(stderr, "neo-board: bad argument '%s'; see neo-board --help\n", argv[i]);
      return NEO_USAGE;
    }
  }
  if (stdio == options.child) {
    fputs(help, stderr);
    return NEO_USAGE;
  }
  _setmode(0, _O_BINARY);
  _setmode(1, _O_BINARY);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_status status = neo_board_serve(&ctx, &options);
  if (status != NEO_OK)
    fprintf(stderr, "neo-board: %s\n", ctx.message);
  return (int)status;
}
