/* The table of device drivers (devices.def), and what is checked for all of them. */
#include "runtime/device.h"

#include <string.h>

#define X(name) extern const neo_device_row neo_device_##name;
#include "runtime/devices.def"
#undef X

static const neo_device_row *const rows[] = {
#define X(name) &neo_device_##name,
#include "runtime/devices.def"
#undef X
};

neo_status neo_device_open(neo_ctx *ctx, const char *api, neo_device **out) {
  for (int k = 0; k < NEO_COUNT(rows); k++)
    if (strcmp(rows[k]->api, api) == 0)
      return rows[k]->open(ctx, out);
  return neo_fail(ctx, NEO_UNSUPPORTED, "device: no driver is called '%.16s'", api);
}

const char *neo_device_api(int k) {
  return k < NEO_COUNT(rows) ? rows[k]->api : NULL;
}

neo_status neo_device_identify(neo_ctx *ctx, const char *api, char out[NEO_DEVICE_IDENTITY]) {
  neo_device *device = NULL;
  NEO_TRY(neo_device_open(ctx, api, &device));
  memcpy(out, device->identity, NEO_DEVICE_IDENTITY);
  neo_device_close(device);
  return NEO_OK;
}

/* Letters, digits and a few signs; one '_' for whatever is between them. */
static void put_word(neo_buf *out, const char *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+()";
  size_t start = out->size;
  for (const char *at = text; *at; at++) {
    if (strchr(plain, *at))
      neo_buf_append(out, at, 1);
    else if (out->size > start && out->data[out->size - 1] != '_' && at[1])
      neo_buf_text(out, "_");
  }
}

/* What is too long ends in a hash of all of it. */
void neo_device_name(neo_device *device, int n, const char *const *part) {
  neo_buf all = {0};
  for (int k = 0; k < n; k++) {
    if (part[k][0] && all.size > 0)
      neo_buf_text(&all, "/");
    put_word(&all, part[k]);
  }
  const char *text = all.size > 0 ? all.data : "unknown";
  int length = snprintf(device->identity, sizeof(device->identity), "%s", text);
  if (length >= (int)sizeof(device->identity)) {
    char *end = device->identity + sizeof(device->identity) - 10;
    snprintf(end, 10, "~%08x", (unsigned)neo_hash64(text, (size_t)length));
  }
  neo_buf_fini(&all);
}

void neo_device_close(neo_device *device) {
  if (!device)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = device->allocator;
  for (neo_device_function *f = device->functions, *next; f; f = next) {
    next = f->next;
    device->row->drop_kernel(device, f->kernel);
    neo_free(&ctx, f);
  }
  for (neo_device_program *p = device->programs, *next; p; p = next) {
    next = p->next;
    device->row->drop_program(device, p->program);
    neo_free(&ctx, p);
  }
  device->row->close(device);
}

neo_status neo_device_alloc(neo_ctx *ctx, neo_device *device, size_t bytes,
                            neo_device_memory **out) {
  return device->row->alloc(ctx, device, bytes ? bytes : 1, out);
}

void neo_device_free(neo_device *device, neo_device_memory *memory) {
  if (memory)
    device->row->free(device, memory);
}

neo_status neo_device_write(neo_ctx *ctx, neo_device *device, const neo_device_place *to,
                            const void *from, size_t bytes) {
  return bytes ? device->row->write(ctx, device, to, from, bytes) : NEO_OK;
}

neo_status neo_device_read(neo_ctx *ctx, neo_device *device, const neo_device_place *from, void *to,
                           size_t bytes) {
  return bytes ? device->row->read(ctx, device, from, to, bytes) : NEO_OK;
}

neo_status neo_device_copy(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                           const neo_device_place *to, size_t bytes) {
  return bytes ? device->row->copy(ctx, device, from, to, bytes) : NEO_OK;
}

/* The kernel's own numbers: a name that ends before the program, and a program. */
static bool is_sound(const neo_device_kernel *k) {
  return k->magic == NEO_DEVICE_MAGIC && k->items >= 1 && k->items <= 1024 && k->n_args >= 1 &&
         k->n_args <= 256 && k->align >= 1 && k->align <= NEO_DEVICE_ALIGN &&
         (k->align & (k->align - 1)) == 0 && k->name >= sizeof(*k) && k->program > k->name &&
         k->program - k->name <= 4096 && k->program_size >= 1 &&
         memchr((const char *)k + k->name, 0, (size_t)(k->program - k->name)) != NULL;
}

static neo_status find_program(neo_ctx *ctx, neo_device *device, const char *bytes, uint64_t size,
                               void **out) {
  uint64_t hash = neo_hash64(bytes, (size_t)size);
  for (const neo_device_program *p = device->programs; p; p = p->next)
    if (p->hash == hash && p->size == size) {
      *out = p->program;
      return NEO_OK;
    }
  neo_device_program *made = neo_alloc(ctx, sizeof(*made));
  if (!made)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory", device->row->api);
  *made = (neo_device_program){.next = device->programs, .hash = hash, .size = size};
  neo_status status = device->row->make_program(ctx, device, bytes, size, &made->program);
  if (status != NEO_OK) {
    neo_free(ctx, made);
    return status;
  }
  device->programs = made;
  *out = made->program;
  return NEO_OK;
}

neo_status neo_device_load(neo_ctx *ctx, neo_device *device, const neo_device_kernel *kernel,
                           neo_device_function **out) {
  if (!is_sound(kernel))
    return neo_fail(ctx, NEO_BAD_INPUT, "device: not a kernel for a GPU");
  if (strncmp(kernel->api, device->row->api, sizeof(kernel->api)) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "device: a kernel for %.8s, but the device is one of %s",
                    kernel->api, device->row->api);
  if (device->most_items > 0 && kernel->items > device->most_items)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "%s: a kernel has groups of %u work-items, '%s' at most %zu", device->row->api,
                    (unsigned)kernel->items, device->name, device->most_items);
  const char *bytes = (const char *)kernel;
  void *program = NULL;
  NEO_TRY(find_program(ctx, device, bytes + kernel->program, kernel->program_size, &program));
  neo_device_function *made = neo_alloc(ctx, sizeof(*made));
  if (!made)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory", device->row->api);
  *made = (neo_device_function){.next = device->functions,
                                .n_args = kernel->n_args,
                                .items = kernel->items,
                                .align = kernel->align};
  neo_status status =
      device->row->make_kernel(ctx, device, program, bytes + kernel->name, &made->kernel);
  if (status != NEO_OK) {
    neo_free(ctx, made);
    return status;
  }
  device->functions = made;
  *out = made;
  return NEO_OK;
}

neo_status neo_device_launch(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                             int64_t groups, const neo_device_place *args) {
  if (groups < 0 || groups > INT32_MAX)
    return neo_fail(ctx, NEO_UNSUPPORTED, "device: a grid of %lld groups", (long long)groups);
  for (uint32_t k = 0; k < function->n_args; k++)
    if (args[k].offset % function->align != 0)
      return neo_fail(ctx, NEO_BAD_INPUT,
                      "device: argument %u begins at byte %llu, no multiple of %u", (unsigned)k,
                      (unsigned long long)args[k].offset, (unsigned)function->align);
  return groups ? device->row->launch(ctx, device, function, groups, args) : NEO_OK;
}

neo_status neo_device_finish(neo_ctx *ctx, neo_device *device) {
  return device->row->finish(ctx, device);
}
