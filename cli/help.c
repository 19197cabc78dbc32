/* --help, man page and bash completion, all from the command tables. */
#include <string.h>

#include "cli/cli.h"
#include "neo/neo_rt.h"

static void print_option(FILE *out, const cli_option *option) {
  char head[64];
  snprintf(head, sizeof head, "%s%s%s", option->name, option->value ? " " : "",
           option->value ? option->value : "");
  fprintf(out, "  %-26s %s%s\n", head, option->about, option->repeats ? " (may be repeated)" : "");
}

static void print_lines(FILE *out, const char *text, const char *indent) {
  while (text && *text) {
    size_t length = strcspn(text, "\n");
    fprintf(out, "%s%.*s\n", indent, (int)length, text);
    text += length + (text[length] == '\n');
  }
}

static void print_command(FILE *out, const cli_program *program, const cli_command *command) {
  fprintf(out, "usage: %s%s%s%s%s [options]\n\n", program->name, command->name ? " " : "",
          command->name ? command->name : "", command->arguments[0] ? " " : "", command->arguments);
  print_lines(out, command->about, "");
  if (command->options->name)
    fprintf(out, "\noptions:\n");
  for (const cli_option *option = command->options; option->name; option++)
    print_option(out, option);
  if (command->examples)
    fprintf(out, "\nexamples:\n");
  print_lines(out, command->examples, "  ");
}

void cli_print_help(FILE *out, const cli_program *program, const cli_command *command) {
  if (command) {
    print_command(out, program, command);
    return;
  }
  fprintf(out, "%s: %s\n\ncommands:\n", program->name, program->summary);
  for (const cli_command *row = program->commands; row->run; row++) {
    char head[80];
    snprintf(head, sizeof head, "%s%s%s", row->name ? row->name : "", row->name ? " " : "",
             row->arguments);
    fprintf(out, "  %s %-26s %s\n", program->name, head, row->summary);
  }
  fprintf(out,
          "\n%s COMMAND --help explains a command; --version, --man and --completion (bash) print "
          "those.\n"
          "Exit codes: 0 done, 2 usage, 3 bad input, 4 unsupported, 5 nothing measured, 6 board or "
          "store\n"
          "unreachable, 7 out of memory, 8 input/output, 130 interrupted with the work kept.\n",
          program->name);
}

/* roff: a leading dot or quote and backslashes would be commands. */
static void man_text(FILE *out, const char *text) {
  for (const char *at = text; at && *at; at++) {
    if ((*at == '.' || *at == '\'') && (at == text || at[-1] == '\n'))
      fputs("\\&", out);
    if (*at == '-')
      fputs("\\-", out);
    else if (*at == '\\')
      fputs("\\e", out);
    else
      fputc(*at, out);
  }
  fputc('\n', out);
}

static void man_command(FILE *out, const cli_program *program, const cli_command *command) {
  fprintf(out, ".SS \"%s%s%s %s\"\n", program->name, command->name ? " " : "",
          command->name ? command->name : "", command->arguments);
  man_text(out, command->about);
  for (const cli_option *option = command->options; option->name; option++) {
    fprintf(out, ".TP\n.B \\%s %s\n", option->name, option->value ? option->value : "");
    man_text(out, option->about);
  }
  if (command->examples) {
    fprintf(out, ".PP\nExamples:\n.nf\n");
    man_text(out, command->examples);
    fprintf(out, ".fi\n");
  }
}

void cli_print_man(FILE *out, const cli_program *program) {
  fprintf(out, ".TH %s 1 \"\" \"neo %s\"\n.SH NAME\n%s \\- %s\n.SH COMMANDS\n", program->name,
          NEO_RT_VERSION, program->name, program->summary);
  for (const cli_command *command = program->commands; command->run; command++)
    man_command(out, program, command);
  fprintf(out, ".SH EXIT STATUS\n0 done, 2 usage, 3 bad input, 4 unsupported, 5 nothing measured, "
               "6 board or store unreachable, "
               "7 out of memory, 8 input/output, 130 interrupted with the work kept.\n");
}

void cli_print_completion(FILE *out, const cli_program *program) {
  fprintf(out, "# bash completion of %s: source <(%s --completion)\n_%s() {\n", program->name,
          program->name, program->name[3] ? "neo_tune" : "neo");
  fprintf(out, "  local word=${COMP_WORDS[COMP_CWORD]} words=\n  case ${COMP_WORDS[1]} in\n");
  for (const cli_command *command = program->commands; command->run; command++) {
    fprintf(out, "  %s) words=\"", command->name ? command->name : "*");
    for (const cli_option *option = command->options; option->name; option++)
      fprintf(out, "%s ", option->name);
    fprintf(out, "--help\" ;;\n");
  }
  fprintf(out, "  esac\n  [ $COMP_CWORD -eq 1 ] && words=\"$words");
  for (const cli_command *command = program->commands; command->run; command++)
    if (command->name)
      fprintf(out, " %s", command->name);
  fprintf(out,
          " --help --version\"\n  case $word in -*) ;; *) [ $COMP_CWORD -gt 1 ] && words= ;; esac\n"
          "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
          "  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- \"$word\"))\n}\ncomplete -o "
          "filenames -F _%s %s\n",
          program->name[3] ? "neo_tune" : "neo", program->name);
}
