/* frontends/tarball.c: models in a .tar.gz, by libarchive.
 *
 * Why unpacked to files: readers map what they read, and formats of several files (SavedModel,
 * MXNet, ONNX with external data) find the others beside the first. The folder can go as soon as
 * the model is read: mappings outlive names.
 *
 * Bounds on hostile archives: names are checked before anything is made, sizes are counted while
 * data is expanded (headers lie), links and devices are refused. */
#include "frontends/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 10000, MAX_DEPTH = 6, MAX_PARTS = 32, BLOCK = 64 << 10 };

bool neo_tarball_detect(const neo_mapping *file) {
  return (file->size > 18 && file->data[0] == 0x1f && file->data[1] == 0x8b) ||
         (file->size >= 512 && memcmp(file->data + 257, "ustar", 5) == 0);
}

/* ---- unpacking -------------------------------------------------------------------------------------------- */

typedef struct unpacker {
  neo_ctx *ctx;
  const neo_source *source;
  const char *folder;
  struct archive *archive;
  int64_t expanded;
  int entries;
  char block[BLOCK];
} unpacker;

static bool name_is_sane(const char *name) {
  int parts = 0;
  if (!name || !*name || *name == '/' || strlen(name) > 700)
    return false;
  for (const char *part = name; part;) {
    if (++parts > MAX_PARTS)
      return false;
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
      return false;
    part = strchr(part, '/');
    part = part ? part + 1 : NULL;
  }
  return true;
}

static neo_status bad(const unpacker *u, const char *what, const char *name) {
  return neo_fail(u->ctx, NEO_BAD_INPUT, "%s: %s '%.200s'", u->source->path, what,
                  name ? name : "");
}

static neo_status write_file(unpacker *u, const char *name, const char *path) {
  FILE *out = fopen(path, "wb");
  if (!out)
    return neo_fail(u->ctx, NEO_IO, "%s: cannot be written", path);
  neo_status status = NEO_OK;
  la_ssize_t n = 0;
  while (status == NEO_OK && (n = archive_read_data(u->archive, u->block, sizeof u->block)) > 0) {
    u->expanded += n;
    if (u->expanded > u->source->options.max_model_bytes)
      status = neo_fail(u->ctx, NEO_BAD_INPUT,
                        "%s: expands to more than %lld bytes; --max-model-bytes sets the limit",
                        u->source->path, (long long)u->source->options.max_model_bytes);
    else if (fwrite(u->block, 1, (size_t)n, out) != (size_t)n)
      status = neo_fail(u->ctx, NEO_IO, "%s: cannot be written (disk full?)", path);
  }
  if (fclose(out) != 0 && status == NEO_OK)
    status = neo_fail(u->ctx, NEO_IO, "%s: cannot be written (disk full?)", path);
  return status == NEO_OK && n < 0 ? bad(u, "damaged member", name) : status;
}

static neo_status unpack_entry(unpacker *u, struct archive_entry *entry) {
  const char *name = archive_entry_pathname(entry);
  char path[1024];
  if (++u->entries > MAX_ENTRIES)
    return bad(u, "more than 10,000 members, at", name);
  if (!name_is_sane(name))
    return bad(u, "a member's name leaves the archive:", name);
  snprintf(path, sizeof path, "%s/%s", u->folder, name);
  int type = archive_entry_filetype(entry);
  if (type == AE_IFDIR)
    return neo_dir_create(u->ctx, path);
  if (type != AE_IFREG || archive_entry_hardlink(entry))
    return neo_fail(u->ctx, NEO_UNSUPPORTED, "%s: '%.200s' is neither a file nor a folder",
                    u->source->path, name);
  char *slash = strrchr(path, '/');
  *slash = '\0';
  NEO_TRY(neo_dir_create(u->ctx, path));
  *slash = '/';
  return write_file(u, name, path);
}

static neo_status unpack_all(unpacker *u) {
  const neo_mapping *file = &u->source->file;
  archive_read_support_filter_gzip(u->archive);
  archive_read_support_format_tar(u->archive);
  if (archive_read_open_memory(u->archive, file->data, file->size) != ARCHIVE_OK)
    return bad(u, "not a tar archive:", archive_error_string(u->archive));
  struct archive_entry *entry;
  int code;
  while ((code = archive_read_next_header(u->archive, &entry)) == ARCHIVE_OK ||
         code == ARCHIVE_WARN)
    NEO_TRY(unpack_entry(u, entry));
  return code == ARCHIVE_EOF ? NEO_OK
                             : bad(u, "damaged archive:", archive_error_string(u->archive));
}

neo_status neo_tarball_unpack(neo_ctx *ctx, const neo_source *source, char folder[256]) {
  const char *base = getenv("TMPDIR");
  NEO_TRY(neo_dir_temp(ctx, base && *base ? base : "/tmp", folder));
  unpacker *u = calloc(1, sizeof *u);
  neo_status status = neo_fail(ctx, NEO_NO_MEMORY, "%s: out of memory", source->path);
  if (u) {
    *u = (unpacker){.ctx = ctx, .source = source, .folder = folder, .archive = archive_read_new()};
    if (u->archive) {
      neo_ctx_clear(ctx);
      status = unpack_all(u);
      archive_read_free(u->archive);
    }
  }
  free(u);
  if (status != NEO_OK) {
    neo_ctx ignored;
    neo_ctx_init(&ignored, 0);
    neo_dir_remove(&ignored, folder);
  }
  return status;
}

/* ---- finding the model ------------------------------------------------------------------------------------ */

typedef struct finder {
  neo_is_model_fn is_model;
  void *self;
  char *path;
  int found;
  size_t root; /* length of the folder's name */
  neo_buf list;
} finder;

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static void find_below(finder *f, const char *path, int depth) {
  struct dirent **entry;
  if (f->is_model(f->self, path)) {
    if (f->found++ == 0)
      snprintf(f->path, 1024, "%s", path);
    neo_buf_printf(&f->list, "%s%s", f->list.size ? ", " : "",
                   path + f->root + (path[f->root] == '/'));
    return;
  }
  int n = depth < MAX_DEPTH && neo_dir_exists(path) ? scandir(path, &entry, visible, alphasort) : 0;
  for (int i = 0; i < n; i++) {
    char next[1024];
    if (snprintf(next, sizeof next, "%s/%s", path, entry[i]->d_name) < (int)sizeof next)
      find_below(f, next, depth + 1);
    free(entry[i]);
  }
  if (n > 0)
    free(entry);
}

neo_status neo_tarball_find(neo_ctx *ctx, const char *archive, const char *folder,
                            neo_is_model_fn is_model, void *self, char path[1024]) {
  finder f = {.is_model = is_model, .self = self, .path = path, .root = strlen(folder)};
  find_below(&f, folder, 0);
  neo_status status = NEO_OK;
  if (f.found != 1)
    status = neo_fail(
        ctx, NEO_BAD_INPUT, "%s: %s%.600s", archive,
        f.found ? "holds more than one model; name one of them (of an archive: unpack it): "
                : "holds no model in a format that Neo reads",
        f.list.data ? f.list.data : "");
  neo_buf_fini(&f.list);
  return status;
}
