/* Key files: who may connect.
 *
 * Text, so that a person can make one (head -c 32 /dev/urandom | xxd -p -c 64) and carry it;
 * private, as ssh demands of its keys, because who has the key may run code on the board. */
#include <string.h>

#include "rpc/machine.h"
#include "rpc/net.h"

enum { MAX_LINE = 256 };

bool neo_net_name_ok(const char *name) {
  size_t n = strlen(name);
  return n > 0 && n < NEO_NET_NAME &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

static int digit_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_bytes(const char *text, uint8_t out[NEO_KEY_BYTES]) {
  for (int i = 0; i < NEO_KEY_BYTES; i++) {
    int high = digit_of(text[2 * i]), low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
    if (low < 0)
      return false;
    out[i] = (uint8_t)(high * 16 + low);
  }
  return text[2 * NEO_KEY_BYTES] == '\0';
}

/* False: neither a key nor empty. */
static bool parse_line(char *line, neo_net_keys *keys) {
  line[strcspn(line, "#\r\n")] = '\0';
  size_t end = strlen(line);
  while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t'))
    line[--end] = '\0';
  line += strspn(line, " \t");
  if (!*line)
    return true;
  if (keys->n == NEO_MAX_KEYS)
    return false;
  neo_net_key *key = &keys->key[keys->n];
  memset(key, 0, sizeof *key);
  size_t name = strcspn(line, " \t");
  const char *digits = line;
  if (line[name]) {
    line[name] = '\0';
    if (!neo_net_name_ok(line))
      return false;
    memcpy(key->name, line, name + 1);
    digits = line + name + 1;
    digits += strspn(digits, " \t");
  }
  keys->n += parse_bytes(digits, key->bytes);
  return keys->n > 0 && key == &keys->key[keys->n - 1];
}

/* Not to be left out, as a memset before the end of a life is. */
static void wipe(void *data, size_t size) {
  for (volatile uint8_t *at = data; size > 0; size--)
    *at++ = 0;
}

void neo_net_keys_wipe(neo_net_keys *keys) {
  wipe(keys, sizeof *keys);
}

/* Of a longer line fgets would make two. */
static bool is_whole(const char *line, FILE *file) {
  return strlen(line) + 1 < MAX_LINE || strchr(line, '\n') || feof(file);
}

static neo_status read_lines(neo_ctx *ctx, const char *path, FILE *file, neo_net_keys *out) {
  char line[MAX_LINE];
  neo_status status = NEO_OK;
  for (int number = 1; status == NEO_OK && fgets(line, sizeof line, file); number++)
    if (!is_whole(line, file))
      status = neo_fail(ctx, NEO_USAGE, "%s:%d: a line of %d characters or more, comment and all",
                        path, number, MAX_LINE - 1);
    else if (!parse_line(line, out))
      status =
          neo_fail(ctx, NEO_USAGE, "%s:%d: not a key: [NAME] and 64 hex digits, at most %d of them",
                   path, number, NEO_MAX_KEYS);
  wipe(line, sizeof line);
  if (status == NEO_OK && out->n == 0)
    status = neo_fail(ctx, NEO_USAGE, "%s holds no key", path);
  return status;
}

neo_status neo_net_keys_read(neo_ctx *ctx, const char *path, neo_net_keys *out) {
  neo_net_keys keys = {0};
  FILE *file = NULL;
  NEO_TRY(neo_machine_open_private(ctx, path, &file));
  setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep them */
  neo_status status = read_lines(ctx, path, file, &keys);
  fclose(file);
  if (status == NEO_OK)
    *out = keys;
  neo_net_keys_wipe(&keys);
  return status;
}

const neo_net_key *neo_net_keys_find(const neo_net_keys *keys, const char *name) {
  const neo_net_key *any = NULL;
  for (int k = 0; k < keys->n; k++) {
    if (strcmp(keys->key[k].name, name) == 0)
      return &keys->key[k];
    if (!keys->key[k].name[0])
      any = &keys->key[k];
  }
  return any;
}
