/* codegen/artifact_parts.h: between artifact.c and sources.c. */
#ifndef NEO_CODEGEN_ARTIFACT_PARTS_H
#define NEO_CODEGEN_ARTIFACT_PARTS_H

#include "codegen/codegen.h"
#include "neo/abi.h"

#define ARTIFACT_SOURCES "sources"

/* Makes DIR/sources, if the artifact has any. */
neo_status artifact_write_sources(neo_ctx *ctx, const char *dir, const neo_artifact *artifact);
/* Does DIR/sources hold nothing but what that writes? */
bool artifact_sources_are_ours(const char *dir);

#endif
