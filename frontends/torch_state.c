/* frontends/torch_state.c: state dicts and pickled modules (.pth): recognised, to say what they
 * lack and what to export instead. There is no graph in them.
 *
 * Two containers: the zip of torch.save (data.pkl without code), and the legacy one, pickles back
 * to back: magic number 0x1950a86a20f9469cfc6c, protocol 1001, system information, the object. */
#include "frontends/torch.h"

#include <string.h>

static const uint8_t legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                       0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

static bool is_legacy(const neo_mapping *file) {
  return file->size > sizeof legacy_magic &&
         memcmp(file->data, legacy_magic, sizeof legacy_magic) == 0;
}

/* After the rows of the other archives of torch: what has a data.pkl and is none of them. */
bool torch_state_detect(const neo_source *source) {
  const neo_mapping *file = &source->file;
  return !source->folder &&
         (is_legacy(file) || (neo_archive_detect(file->data, file->size) &&
                              memmem(file->data, file->size, "/data.pkl", 9) != NULL));
}

/* The object's pickle behind the three that lead a legacy file. */
static neo_status legacy_object(torch *t, tv *out) {
  const neo_mapping *file = &t->source->file;
  size_t at = 0;
  for (int i = 0; i < 4; i++) {
    torch_pickle pickle = {.name = "pickle", .data = file->data + at, .size = file->size - at};
    pickle.size = pickle.size > INT32_MAX / 2 ? INT32_MAX / 2 : pickle.size;
    if (!torch_unpickle(t, &pickle, out))
      return t->failed;
    at += pickle.used;
  }
  return NEO_OK;
}

static neo_status zip_object(torch *t, tv *out) {
  NEO_TRY(neo_archive_open(t->ctx, t->source, &t->archive));
  for (int i = 0; i < neo_archive_count(t->archive); i++) {
    const neo_archive_member *member = neo_archive_at(t->archive, i);
    const char *slash = strchr(member->name, '/');
    torch_pickle pickle = {.name = member->name, .size = member->size};
    if (!slash || strcmp(slash, "/data.pkl") != 0)
      continue;
    NEO_TRY(neo_archive_read(t->ctx, t->archive, member, 0, &pickle.data));
    return torch_unpickle(t, &pickle, out) ? NEO_OK : t->failed;
  }
  return neo_fail(t->ctx, NEO_BAD_INPUT, "%s: no data.pkl in the archive", t->source->path);
}

static void count_tensors(const tv *v, int depth, int *n) {
  *n += v->kind == TV_TENSOR;
  for (int i = 0; (torch_is_seq(v) || v->kind == TV_DICT) && depth < 8 && i < v->seq->n; i++)
    count_tensors(&v->seq->item[i], depth + 1, n);
}

neo_status torch_state_read(neo_ctx *ctx, const neo_source *source, neo_graph **out) {
  static const char advice[] =
      "it holds no graph. Export the model itself in Python: "
      "torch.export.save(torch.export.export(model.eval(), (example_input,)), \"model.pt2\"), or "
      "torch.jit.trace(model.eval(), example_input).save(\"model.pt\")";
  torch t;
  tv object = torch_none();
  int n = 0;
  NEO_TRY(torch_init(&t, ctx, source, "state dict"));
  neo_status status =
      is_legacy(&source->file) ? legacy_object(&t, &object) : zip_object(&t, &object);
  if (status == NEO_BAD_INPUT && strstr(ctx->message, "forbidden global")) {
    char found[400];
    snprintf(found, sizeof found, "%.390s", ctx->message);
    neo_ctx_clear(ctx);
    status = neo_fail(ctx, NEO_UNSUPPORTED,
                      "%s: a pickled Python object, which is not executed; %s", found, advice);
  } else if (status == NEO_OK) {
    count_tensors(&object, 0, &n);
    status = neo_fail(ctx, NEO_UNSUPPORTED, "%s: a PyTorch state dict (%d tensors): %s",
                      source->path, n, advice);
  }
  return torch_finish(&t, status, out);
}
