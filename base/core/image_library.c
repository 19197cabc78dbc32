/* Loads libneo_rt_image.so (base/image.h).
 *
 * Why at run time: few models decode pictures, and libneo_rt goes where no image library is. An
 * artifact that needs it and does not find it is refused with a message when its session is made,
 * not when it runs. */
#include "base/image.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libneo_rt_image.so"

static const char where; /* an address inside of the object that contains Neo */

/* The object's folder with its slash; empty if it is not known. */
static void own_folder(char *out, size_t size) {
  Dl_info info;
  const char *slash = NULL;
  out[0] = 0;
  if (dladdr(&where, &info) && info.dli_fname)
    slash = strrchr(info.dli_fname, '/');
  if (slash && (size_t)(slash - info.dli_fname) + 2 <= size)
    snprintf(out, size, "%.*s", (int)(slash - info.dli_fname + 1), info.dli_fname);
}

static void *open_anywhere(void) {
  static const char *const place[] = {"", "../lib/"};
  char folder[2048], path[2176];
  void *handle = NULL;
  own_folder(folder, sizeof folder);
  for (int i = 0; i < NEO_COUNT(place) && folder[0] && !handle; i++) {
    snprintf(path, sizeof path, "%s%s" LIBRARY, folder, place[i]);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }
  return handle ? handle : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

neo_status neo_image_open(neo_ctx *ctx, neo_image_library *out) {
  void *handle = open_anywhere();
  if (!handle) {
    const char *why = dlerror();
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "decoding pictures needs " LIBRARY " beside libneo_rt or the program: %s",
                    why ? why : "not found");
  }
  const neo_image_decoder *decoder = dlsym(handle, NEO_IMAGE_SYMBOL);
  if (!decoder || decoder->version != NEO_IMAGE_VERSION) {
    dlclose(handle);
    return neo_fail(ctx, NEO_UNSUPPORTED, LIBRARY " is not of this version of Neo");
  }
  *out = (neo_image_library){handle, decoder};
  return NEO_OK;
}

void neo_image_close(neo_image_library *library) {
  if (library->handle)
    dlclose(library->handle);
  *library = (neo_image_library){0};
}
