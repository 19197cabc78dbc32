/* frontends/tarball.h: models in a .tar.gz (or .tar), as SageMaker Neo takes them. */
#ifndef NEO_FRONTENDS_TARBALL_H
#define NEO_FRONTENDS_TARBALL_H

#include "frontends/readers.h"

/* Do these bytes begin like a gzip stream or a tar archive? */
bool neo_tarball_detect(const neo_mapping *file);

/* Unpacks source->file into a fresh folder below $TMPDIR (default /tmp); the caller removes it
 * (neo_dir_remove). Files and folders only, every name relative and without "..", at most 10,000
 * entries, all together at most max_model_bytes: else NEO_BAD_INPUT, NEO_UNSUPPORTED for links, and
 * the folder is gone again. */
neo_status neo_tarball_unpack(neo_ctx *ctx, const neo_source *source, char folder[256]);

/* The one model below `folder`: what `is_model` accepts, folders before the files in them, hidden
 * names skipped, at most 6 levels down. None or several: NEO_BAD_INPUT that lists what is there. */
typedef bool (*neo_is_model_fn)(void *self, const char *path);
neo_status neo_tarball_find(neo_ctx *ctx, const char *archive, const char *folder,
                            neo_is_model_fn is_model, void *self, char path[1024]);

#endif
