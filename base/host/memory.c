/* Memory that is not needed: kept for a while, then given back to the system.
 *
 * Why: a tuner allocates tens of megabytes for every candidate's weights; the system would clear
 * their pages anew each time, which took as long as packing them. But it runs for hours beside
 * other work, and what its allocator keeps in free pieces grows with every round though what it
 * uses does not. */
#include <malloc.h>

#include "base/host.h"

void neo_memory_keep(void) {
  enum { LARGEST = 1 << 30 };
  mallopt(M_MMAP_THRESHOLD, LARGEST);
  mallopt(M_TRIM_THRESHOLD, LARGEST);
}

void neo_memory_trim(void) {
  malloc_trim(0);
}
