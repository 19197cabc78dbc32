/* Command lines by table: parsing, exit codes, interruption.
 *
 * Options may stand anywhere; "--name VALUE" and "--name=VALUE" are the same; "--" ends options. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "neo/neo_rt.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  if (interrupted)
    _exit(
        NEO_INTERRUPTED); /* the second Ctrl-C means now; everything acknowledged is in the store */
  interrupted = 1;
}

bool cli_interrupted(void *self) {
  (void)self;
  return interrupted != 0;
}

void cli_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

bool cli_has(const cli_args *args, const char *option) {
  return cli_value_at(args, option, 0) != NULL;
}

const char *cli_value_at(const cli_args *args, const char *option, int k) {
  for (int i = 0; i < args->n_values; i++)
    if (strcmp(args->values[i].option->name, option) == 0 && k-- == 0)
      return args->values[i].value ? args->values[i].value : "";
  return NULL;
}

const char *cli_value(const cli_args *args, const char *option, const char *otherwise) {
  const char *found = otherwise, *value;
  for (int k = 0; (value = cli_value_at(args, option, k)); k++)
    found = value;
  return found;
}

neo_status cli_names_once(neo_ctx *ctx, const cli_args *args, const char *option) {
  const char *value, *other;
  for (int k = 0; (value = cli_value_at(args, option, k)); k++) {
    size_t size = strcspn(value, "=");
    for (int j = 0; j < k; j++) {
      other = cli_value_at(args, option, j);
      if (strcspn(other, "=") == size && memcmp(other, value, size) == 0)
        return neo_fail(ctx, NEO_USAGE, "%s: '%.*s' is given twice", option, (int)size, value);
    }
  }
  return NEO_OK;
}

neo_status cli_int(neo_ctx *ctx, const cli_args *args, const char *option, int64_t lo, int64_t hi,
                   int64_t *inout) {
  const char *text = cli_value(args, option, NULL);
  neo_scan scan;
  int64_t v = 0;
  if (!text)
    return NEO_OK;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &v) || !neo_scan_end(&scan) || v < lo || v > hi)
    return neo_fail(ctx, NEO_USAGE, "%s %s: an integer from %lld to %lld is expected", option, text,
                    (long long)lo, (long long)hi);
  *inout = v;
  return NEO_OK;
}

neo_status cli_duration(neo_ctx *ctx, const char *text, double *out) {
  static const struct {
    const char *unit;
    double seconds;
  } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}};
  neo_scan scan;
  double v = 0;
  neo_scan_init(&scan, text);
  if (neo_scan_double(&scan, &v) && v > 0)
    for (int u = 0; u < NEO_COUNT(units); u++)
      if (strcmp(scan.at, units[u].unit) == 0 && v * units[u].seconds <= 1e9) {
        *out = v * units[u].seconds;
        return NEO_OK;
      }
  return neo_fail(ctx, NEO_USAGE, "duration '%s': write 90s, 10m or 2h", text);
}

static const cli_option *find_option(const cli_command *command, const char *text, size_t length) {
  for (const cli_option *option = command->options; option->name; option++)
    if (strlen(option->name) == length && memcmp(option->name, text, length) == 0)
      return option;
  return NULL;
}

static neo_status take_option(neo_ctx *ctx, cli_args *args, int *at) {
  const char *text = args->argv[*at];
  size_t length = strcspn(text, "=");
  const cli_option *option = find_option(args->command, text, length);
  if (!option)
    return neo_fail(ctx, NEO_USAGE, "option %.*s is not known; see %s%s%s --help", (int)length,
                    text, args->program->name, args->command->name ? " " : "",
                    args->command->name ? args->command->name : "");
  const char *value = NULL;
  if (option->value && text[length] == '=')
    value = text + length + 1;
  else if (option->value && *at + 1 < args->argc)
    value = args->argv[++*at];
  else if (option->value)
    return neo_fail(ctx, NEO_USAGE, "option %s needs a value: %s %s", option->name, option->name,
                    option->value);
  else if (text[length] == '=')
    return neo_fail(ctx, NEO_USAGE, "option %s takes no value", option->name);
  if (args->n_values == CLI_MAX_VALUES)
    return neo_fail(ctx, NEO_USAGE, "more than %d options", CLI_MAX_VALUES);
  args->values[args->n_values].option = option;
  args->values[args->n_values++].value = value;
  return NEO_OK;
}

static neo_status parse(neo_ctx *ctx, cli_args *args, int first) {
  bool options = true;
  for (int i = first; i < args->argc; i++) {
    const char *text = args->argv[i];
    if (options && strcmp(text, "--") == 0) {
      options = false;
    } else if (options && text[0] == '-' && text[1]) {
      NEO_TRY(take_option(ctx, args, &i));
    } else {
      if (args->n_arguments == CLI_MAX_VALUES)
        return neo_fail(ctx, NEO_USAGE, "more than %d arguments", CLI_MAX_VALUES);
      args->argument[args->n_arguments++] = text;
    }
  }
  if (args->n_arguments < args->command->min_arguments ||
      args->n_arguments > args->command->max_arguments)
    return neo_fail(ctx, NEO_USAGE, "usage: %s%s%s%s%s [options]; see --help", args->program->name,
                    args->command->name ? " " : "", args->command->name ? args->command->name : "",
                    args->command->arguments[0] ? " " : "", args->command->arguments);
  return NEO_OK;
}

/* The command named by argv[1]; else the nameless one; else NULL. *first: where its arguments
 * start. */
static const cli_command *find_command(const cli_program *program, int argc, char **argv,
                                       int *first) {
  const cli_command *nameless = NULL;
  for (const cli_command *command = program->commands; command->run; command++) {
    if (!command->name)
      nameless = command;
    else if (argc > 1 && strcmp(command->name, argv[1]) == 0) {
      *first = 2;
      return command;
    }
  }
  *first = 1;
  return nameless;
}

neo_status cli_parse(neo_ctx *ctx, cli_args *args) {
  int first = 1;
  args->command = find_command(args->program, args->argc, args->argv, &first);
  if (!args->command)
    return neo_fail(ctx, NEO_USAGE, "'%s' is no command; see %s --help",
                    args->argc > 1 ? args->argv[1] : "", args->program->name);
  return parse(ctx, args, first);
}

static void log_to_stderr(void *self, neo_log_level level, const char *text) {
  (void)self;
  if (level <= NEO_LOG_WARN)
    fprintf(stderr, "%s: %s\n", level == NEO_LOG_ERROR ? "error" : "warning", text);
}

static void log_information(void *self, neo_log_level level, const char *text) {
  if (level == NEO_LOG_INFO)
    fprintf(stderr, "%s\n", text);
  else
    log_to_stderr(self, level, text);
}

void cli_show_information(neo_ctx *ctx) {
  ctx->log = log_information;
}

static bool special(const cli_program *program, int argc, char **argv) {
  const char *word = argc > 1 ? argv[1] : "--help";
  if (strcmp(word, "--version") == 0)
    printf("%s %s\n", program->name, NEO_RT_VERSION);
  else if (strcmp(word, "--man") == 0)
    cli_print_man(stdout, program);
  else if (strcmp(word, "--completion") == 0)
    cli_print_completion(stdout, program);
  else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
    cli_print_help(stdout, program, NULL);
  else
    return false;
  return true;
}

static bool asks_for_help(int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
      return true;
  return false;
}

/* What was said must have arrived. ferror: of what did not fit into the buffer. */
static neo_status finish_output(const cli_program *program, neo_status status) {
  if ((fflush(stdout) == 0 && !ferror(stdout)) || status != NEO_OK)
    return status;
  fprintf(stderr, "%s: standard output cannot be written\n", program->name);
  return NEO_IO;
}

int cli_main(const cli_program *program, int argc, char **argv) {
  if (special(program, argc, argv))
    return finish_output(program, NEO_OK);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  ctx.log = log_to_stderr;
  cli_args args = {.program = program, .argc = argc, .argv = argv};
  neo_status status = NEO_OK;
  if (asks_for_help(argc, argv)) {
    int first = 1;
    cli_print_help(stdout, program, find_command(program, argc, argv, &first));
    return finish_output(program, NEO_OK);
  }
  status = cli_parse(&ctx, &args);
  if (status == NEO_OK)
    status = args.command->run(&ctx, &args);
  if (status != NEO_OK)
    fprintf(stderr, "%s: %s\n", program->name,
            ctx.message[0] ? ctx.message : neo_status_name(status));
  return finish_output(program, status);
}
