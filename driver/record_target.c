/* Which target's records a compilation looks for, where the target is a GPU.
 *
 * Why: a row like "opencl" fits any GPU, and a schedule that is best on one is none's that differs;
 * records therefore name the GPU that they were measured on (" device=..." in their target), as its
 * driver calls it. How: it is the one that the target names, else this machine's, if the target is
 * for it, else the only one that there are records of. Where that does not decide, nothing is
 * guessed: a warning lists what can be named. */
#include <string.h>

#include "driver/stages.h"
#include "runtime/device.h"

typedef struct found {
  const char *base; /* the target's text without a device */
  int n;
  char only[NEO_TARGET_TEXT];
  neo_buf all;
} found;

static bool collect(void *self, const char *text) {
  found *f = self;
  size_t length = strlen(f->base);
  if (strncmp(text, f->base, length) != 0 || strncmp(text + length, " device=", 8) != 0)
    return true;
  if (f->n++ == 0)
    snprintf(f->only, sizeof f->only, "%s", text);
  neo_buf_printf(&f->all, "\n  --target '%s'", text);
  return true;
}

static bool is_here(neo_ctx *ctx, const neo_target *target, char out[NEO_DEVICE_IDENTITY]) {
  neo_ctx own;
  neo_ctx_fork(&own, ctx);
  return neo_target_runs_here(target) &&
         neo_device_identify(&own, target->gpu.api, out) == NEO_OK &&
         neo_target_fits_device(target, out);
}

void neo_target_text(const neo_target *target, char out[NEO_TARGET_TEXT]) {
  neo_buf text = {0};
  neo_target_print(&text, target);
  snprintf(out, NEO_TARGET_TEXT, "%s", text.data ? text.data : "");
  neo_buf_fini(&text);
}

neo_status neo_record_target(neo_ctx *ctx, const neo_target *target, neo_db *db,
                             char out[NEO_TARGET_TEXT]) {
  char base[NEO_TARGET_TEXT];
  neo_target_text(target, base);
  memcpy(out, base, sizeof base);
  if (!db || !neo_target_is_gpu(target) || target->gpu.device[0])
    return NEO_OK;
  found f = {.base = base};
  neo_target here = *target;
  char device[NEO_DEVICE_IDENTITY] = "";
  neo_status status = neo_db_visit_targets(ctx, db, collect, &f);
  if (status == NEO_OK && f.n > 0) {
    if (is_here(ctx, target, device)) {
      snprintf(here.gpu.device, sizeof here.gpu.device, "%s", device);
      neo_target_text(&here, out);
    } else if (f.n == 1) {
      memcpy(out, f.only, sizeof f.only);
    } else {
      neo_log(ctx, NEO_LOG_WARN,
              "no record is used: there are some of %d GPUs, and none is this machine's; choose "
              "one:%s",
              f.n, f.all.data ? f.all.data : "");
    }
  }
  neo_buf_fini(&f.all);
  return status;
}
