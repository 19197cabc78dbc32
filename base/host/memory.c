/* Memory that is not needed, given back to the system.
 *
 * Why: a tuner runs for hours beside other work, and what its allocator keeps in free pieces grows
 * with every round though what it uses does not. */
#include <malloc.h>

#include "base/host.h"

void neo_memory_trim(void) {
  malloc_trim(0);
}
