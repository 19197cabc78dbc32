/* In place of link.c and what is below it on systems without a network: an agent that serves its
 * standard input and output only. */
#include "rpc/net.h"

neo_status neo_link_run(neo_ctx *ctx, const neo_link_options *options, const volatile int *stop) {
  (void)stop;
  return neo_fail(ctx, NEO_UNSUPPORTED, "%s: this agent has no network: use --stdio",
                  options->address);
}
