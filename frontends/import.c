/* frontends/import.c: the entry to all model readers: maps the file, asks each row of frontends.def
 * whether it knows the content, and lets the first that does read it. A .tar.gz is unpacked first;
 * in a folder that is no model itself the one model below it is looked for. */
#include "frontends/readers.h"
#include "frontends/tarball.h"

typedef struct reader_row {
  const char *format;
  neo_detect_fn detect;
  neo_read_fn read;
} reader_row;

static const reader_row rows[] = {
#define X(format, detect, read) {format, detect, read},
#include "frontends/frontends.def"
#undef X
};

static const reader_row *find_row(const neo_source *source) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (rows[i].detect(source))
      return &rows[i];
  return NULL;
}

static neo_status unknown_format(neo_ctx *ctx, const char *path) {
  neo_buf names = {0};
  for (int i = 0; i < NEO_COUNT(rows); i++)
    neo_buf_printf(&names, "%s%s", i ? ", " : "", rows[i].format);
  neo_status status =
      neo_fail(ctx, NEO_BAD_INPUT, "%s: not a model in a format that Neo reads (%s)", path,
               names.data ? names.data : "");
  neo_buf_fini(&names);
  return status;
}

static neo_status open_source(neo_ctx *ctx, const char *path, const neo_import_options *options,
                              neo_source *out) {
  static const uint8_t nothing[1];
  *out = (neo_source){.path = path, .file = {.data = nothing}};
  if (options)
    out->options = *options;
  if (out->options.max_model_bytes <= 0)
    out->options.max_model_bytes = (int64_t)8 << 30;
  out->folder = neo_dir_exists(path);
  return out->folder ? NEO_OK : neo_file_map(ctx, path, &out->file);
}

static neo_status import_plain(neo_ctx *ctx, const char *path, const neo_import_options *options,
                               neo_graph **out) {
  neo_source source;
  NEO_TRY(open_source(ctx, path, options, &source));
  const reader_row *row = find_row(&source);
  neo_status status = row ? row->read(ctx, &source, out) : unknown_format(ctx, path);
  if (status != NEO_OK)
    neo_file_unmap(&source.file);
  return status;
}

static bool is_model(void *self, const char *path) {
  neo_source source;
  (void)self;
  neo_ctx quiet;
  neo_ctx_init(&quiet, 0);
  if (open_source(&quiet, path, NULL, &source) != NEO_OK)
    return false;
  bool known = find_row(&source) != NULL;
  neo_file_unmap(&source.file);
  return known;
}

/* Readers map files, and mappings outlive names: the unpacked files go at once. */
static neo_status import_tarball(neo_ctx *ctx, const neo_source *source,
                                 const neo_import_options *options, neo_graph **out) {
  char folder[256], path[1024];
  neo_ctx quiet;
  NEO_TRY(neo_tarball_unpack(ctx, source, folder));
  neo_status status = neo_tarball_find(ctx, source->path, folder, is_model, NULL, path);
  if (status == NEO_OK)
    status = import_plain(ctx, path, options, out);
  neo_ctx_init(&quiet, 0);
  neo_dir_remove(&quiet, folder);
  return status;
}

/* The one model somewhere below a folder that is none itself. */
static neo_status import_folder(neo_ctx *ctx, const char *folder, const neo_import_options *options,
                                neo_graph **out) {
  char path[1024];
  NEO_TRY(neo_tarball_find(ctx, folder, folder, is_model, NULL, path));
  return import_plain(ctx, path, options, out);
}

neo_status neo_import(neo_ctx *ctx, const char *path, const neo_import_options *options,
                      neo_graph **out) {
  neo_source source;
  NEO_TRY(open_source(ctx, path, options, &source));
  bool packed = !source.folder && neo_tarball_detect(&source.file);
  bool around = source.folder && !find_row(&source);
  neo_status status = packed ? import_tarball(ctx, &source, options, out) : NEO_OK;
  neo_file_unmap(&source.file);
  if (around)
    return import_folder(ctx, path, options, out);
  return packed ? status : import_plain(ctx, path, options, out);
}

const char *neo_import_format(neo_ctx *ctx, const char *path) {
  neo_source source;
  char inner[1024];
  if (open_source(ctx, path, NULL, &source) != NEO_OK)
    return NULL;
  const reader_row *row = find_row(&source);
  bool packed = !row && !source.folder && neo_tarball_detect(&source.file);
  neo_file_unmap(&source.file);
  if (row || !source.folder)
    return row ? row->format : packed ? "tar" : NULL;
  if (neo_tarball_find(ctx, path, path, is_model, NULL, inner) != NEO_OK)
    return NULL;
  return neo_import_format(ctx, inner);
}
