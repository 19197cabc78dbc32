/* Run under wine, in a folder and beside a program where a library called planted.dll lies: drivers
 * are looked for in the system's folder alone, artifacts are loaded from where they are. Prints
 * what is wrong. */
#include <stdio.h>

#include "runtime/os.h"

int main(void) {
  neo_ctx ctx;
  void *library = NULL;
  int wrong = 0;
  neo_ctx_init(&ctx, 1);
  if (neo_os_library_find("planted.dll"))
    wrong += puts("a library in the working folder was found") >= 0;
  if (neo_os_library_find(".\\planted.dll") || neo_os_library_find("./planted.dll"))
    wrong += puts("a path was taken for a name") >= 0;
  library = neo_os_library_find("ws2_32.dll");
  if (!library)
    wrong += puts("a library of the system was not found") >= 0;
  neo_os_library_close(library);
  if (neo_os_library_open(&ctx, "planted.dll", &library) != NEO_OK)
    wrong += printf("a library was not loaded from where it is: %s\n", ctx.message) >= 0;
  return wrong;
}
