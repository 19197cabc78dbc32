/* cli/cli.h: the programs neo and neo-tune as tables of commands. One table row describes a
 * command; --help, man pages, shell completion and the parser all read it. */
#ifndef NEO_CLI_CLI_H
#define NEO_CLI_CLI_H

#include "base/core.h"

enum { CLI_MAX_OPTIONS = 28, CLI_MAX_VALUES = 64 };

typedef struct cli_option {
  const char *name;  /* "--target" */
  const char *value; /* "T", or NULL: a switch */
  const char *about;
  bool repeats;
} cli_option;

typedef struct cli_args cli_args;

typedef struct cli_command {
  const char *name;      /* NULL: the program itself has one job */
  const char *arguments; /* "MODEL", "DIR", "[RUN]" */
  const char *summary;
  const char *about;    /* a paragraph */
  const char *examples; /* one per line */
  int min_arguments, max_arguments;
  const cli_option *options; /* ends with name == NULL */
  neo_status (*run)(neo_ctx *ctx, const cli_args *args);
} cli_command;

typedef struct cli_program {
  const char *name, *summary;
  const cli_command *commands; /* ends with run == NULL */
} cli_program;

struct cli_args {
  const cli_program *program;
  const cli_command *command;
  int argc;
  char **argv; /* as given, for resume */
  int n_arguments;
  const char *argument[CLI_MAX_VALUES];
  int n_values;
  struct {
    const cli_option *option;
    const char *value;
  } values[CLI_MAX_VALUES];
};

/* The whole program: parses, runs, prints the error, returns the exit code (a neo_status). */
int cli_main(const cli_program *program, int argc, char **argv);

/* Fills command, options and arguments of args from its program, argc and argv. */
neo_status cli_parse(neo_ctx *ctx, cli_args *args);
bool cli_has(const cli_args *args, const char *option);
const char *cli_value(const cli_args *args, const char *option,
                      const char *otherwise); /* the last one given */
/* k-th value of a repeated option; NULL past the end. */
const char *cli_value_at(const cli_args *args, const char *option, int k);
/* NEO_USAGE if two values of a repeated NAME=... option have the same name. */
neo_status cli_names_once(neo_ctx *ctx, const cli_args *args, const char *option);
/* An integer in [lo, hi]; NEO_USAGE names option, value and range. */
neo_status cli_int(neo_ctx *ctx, const cli_args *args, const char *option, int64_t lo, int64_t hi,
                   int64_t *inout);
/* "90", "90s", "10m", "2h" -> seconds. */
neo_status cli_duration(neo_ctx *ctx, const char *text, double *out);

void cli_print_help(FILE *out, const cli_program *program, const cli_command *command);
void cli_print_man(FILE *out, const cli_program *program);
void cli_print_completion(FILE *out, const cli_program *program);

extern const cli_program cli_neo;
extern const cli_program cli_neo_tune;

/* From now on what is worth knowing is printed, too: plain lines on standard error. */
void cli_show_information(neo_ctx *ctx);
/* True once Ctrl-C or SIGTERM arrived. */
bool cli_interrupted(void *self);
void cli_catch_signals(void);

#endif
