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

void neo_device_close(neo_device *device) {
  if (device)
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
         k->n_args <= 256 && k->name >= sizeof(*k) && k->program > k->name &&
         k->program - k->name <= 4096 && k->program_size >= 1 &&
         memchr((const char *)k + k->name, 0, (size_t)(k->program - k->name)) != NULL;
}

neo_status neo_device_load(neo_ctx *ctx, neo_device *device, const neo_device_kernel *kernel,
                           neo_device_function **out) {
  if (!is_sound(kernel))
    return neo_fail(ctx, NEO_BAD_INPUT, "device: not a kernel for a GPU");
  if (strncmp(kernel->api, device->row->api, sizeof(kernel->api)) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "device: a kernel for %.8s, but the device is one of %s",
                    kernel->api, device->row->api);
  return device->row->load(ctx, device, kernel, out);
}

neo_status neo_device_launch(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                             int64_t groups, const neo_device_place *args) {
  if (groups < 0 || groups > INT32_MAX)
    return neo_fail(ctx, NEO_UNSUPPORTED, "device: a grid of %lld groups", (long long)groups);
  return groups ? device->row->launch(ctx, device, function, groups, args) : NEO_OK;
}

neo_status neo_device_finish(neo_ctx *ctx, neo_device *device) {
  return device->row->finish(ctx, device);
}
