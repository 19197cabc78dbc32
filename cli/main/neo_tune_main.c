/* The program neo-tune: see the tables in cli/. */
#include "cli/cli.h"

int main(int argc, char **argv) {
  return cli_main(&cli_neo_tune, argc, argv);
}
