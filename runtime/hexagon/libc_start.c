/* How a process begins and ends.
 *
 * The system leaves in memory, from the stack pointer on: the number of arguments, their addresses,
 * 0, the environment's, 0, then pairs of words, the auxiliary vector ("System V ABI", chapter 3).
 */
#include "runtime/hexagon/libc.h"

int main(int argc, char **argv);
__attribute__((noreturn, used)) void neo_libc_start(long *stack);

__asm__(".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "  { r0 = r29; r30 = #0 }\n"
        "  { r29 = and(r29, #-16) }\n"
        "  { call neo_libc_start }\n");

static const unsigned long *auxiliary;

unsigned long neo_libc_auxiliary(unsigned long type) {
  for (const unsigned long *pair = auxiliary; pair[0]; pair += 2)
    if (pair[0] == type)
      return pair[1];
  return 0;
}

void neo_libc_start(long *stack) {
  int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  char **environment = argv + argc + 1;
  while (*environment)
    environment++;
  auxiliary = (const unsigned long *)(environment + 1);
  neo_libc_thread_first();
  exit(main(argc, argv));
}

void exit(int code) {
  fflush(NULL);
  _exit(code);
}

void abort(void) {
  kill(getpid(), SIGABRT);
  _exit(127);
}
