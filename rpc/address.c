/* HOST:PORT as text; [::1]:9190 is how IPv6 is written. */
#include <stdlib.h>
#include <string.h>

#include "rpc/socket.h"

/* getaddrinfo takes 99999 for 34463. */
static bool is_port(const char *text) {
  size_t n = strspn(text, "0123456789");
  long port = n > 0 && n <= 5 && !text[n] ? strtol(text, NULL, 10) : -1;
  return port >= 0 && port <= UINT16_MAX;
}

neo_status neo_address_split(neo_ctx *ctx, const char *address, char host[NEO_MAX_HOST],
                             const char **port) {
  const char *colon = strrchr(address, ':');
  size_t length = colon ? (size_t)(colon - address) : 0;
  bool bracketed = length > 1 && address[0] == '[' && address[length - 1] == ']';
  const char *name = bracketed ? address + 1 : address;
  length -= bracketed ? 2 : 0;
  if (!colon || !colon[1] || length == 0 || length >= NEO_MAX_HOST)
    return neo_fail(ctx, NEO_USAGE, "'%s' is no address: HOST:PORT is expected", address);
  if (!is_port(colon + 1))
    return neo_fail(ctx, NEO_USAGE, "address '%s': '%s' is no port: 0 to %d is expected", address,
                    colon + 1, UINT16_MAX);
  memcpy(host, name, length);
  host[length] = '\0';
  *port = colon + 1;
  return NEO_OK;
}
