/* train: a cost model from all records of a target, and a search that starts from one.
 *
 * How: every record is found again as a candidate of its task's space, as the search would see it:
 * features and prediction are those of this version, not what was stored. What is not found
 * (another version's schedule, a peer's time) is counted and left out. One space is open at a time.
 *
 * How good it is, is measured on tasks it has not seen: the workloads of every HOLD_OUT-th task are
 * held out, a model of the others ranks their records; then the model that is shipped is trained on
 * all of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"

enum { HOLD_OUT = 5, LEAST_RANKED = 4, MAX_FILE = 16 << 20 };

/* A task as records name it. */
typedef struct source {
  const char *workload, *layout;
  int threads;
  int number;       /* of its workload */
  int64_t first, n; /* its rows */
} source;

typedef struct trainer {
  neo_ctx *ctx;
  neo_db *db;
  neo_arena arena;
  char target_text[NEO_TARGET_TEXT + 32];
  neo_target target;
  neo_map seen;    /* "workload threads layout" -> any */
  neo_map texts;   /* workload key -> te text */
  neo_map numbers; /* workload key -> its number + 1 */
  int n_sources, cap_sources, n_workloads;
  source *source;
  /* the rows */
  int n, cap;
  float *features;
  double *predicted, *ns;
  int *group;
  int64_t skipped;
  /* of the source under way */
  const source *now;
  neo_te *te;
  neo_space *space, *fast_space; /* NULL: none; the latter only when it is needed */
  bool fast_tried;
  neo_status status;
} trainer;

/* ---- which tasks there are ----------------------------------------------------------------------------- */

static int number_of(trainer *t, const char *workload) {
  char *known = neo_map_get(&t->numbers, workload);
  if (!known) {
    int *fresh = neo_arena_alloc(&t->arena, sizeof *fresh);
    *fresh = t->n_workloads++;
    neo_map_put(&t->numbers, workload, fresh);
    return *fresh;
  }
  return *(int *)(void *)known;
}

static bool usable(const neo_db_trial *trial) {
  return trial->ns > 0 && isfinite(trial->ns) && strcmp(trial->origin, "baseline") != 0;
}

static bool collect_source(void *self, const neo_db_trial *trial) {
  trainer *t = self;
  if (!usable(trial))
    return true;
  char *name =
      neo_arena_printf(&t->arena, "%s %d %s", trial->workload, trial->threads, trial->layout);
  if (neo_map_get(&t->seen, name))
    return true;
  t->source =
      neo_arena_grow(&t->arena, t->source, &t->cap_sources, t->n_sources + 1, sizeof *t->source);
  t->source[t->n_sources++] = (source){.workload = neo_arena_strdup(&t->arena, trial->workload),
                                       .layout = neo_arena_strdup(&t->arena, trial->layout),
                                       .threads = trial->threads,
                                       .number = number_of(t, trial->workload)};
  neo_map_put(&t->seen, name, t);
  return true;
}

static bool collect_text(void *self, const neo_db_workload *workload) {
  trainer *t = self;
  if (neo_map_get(&t->numbers, workload->key))
    neo_map_put(&t->texts, workload->key, neo_arena_strdup(&t->arena, workload->text));
  return true;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static neo_status grow_rows(trainer *t) {
  if (t->n < t->cap)
    return NEO_OK;
  if (t->cap > INT32_MAX / 2)
    return neo_fail(t->ctx, NEO_NO_MEMORY, "cost model: %d rows are too many", t->cap);
  size_t cap = t->cap ? 2 * (size_t)t->cap : 1024;
  float *features = neo_resize(t->ctx, t->features, cap * NEO_FEATURES * sizeof *features);
  t->features = features ? features : t->features;
  double *predicted = neo_resize(t->ctx, t->predicted, cap * sizeof *predicted);
  t->predicted = predicted ? predicted : t->predicted;
  double *ns = neo_resize(t->ctx, t->ns, cap * sizeof *ns);
  t->ns = ns ? ns : t->ns;
  int *group = neo_resize(t->ctx, t->group, cap * sizeof *group);
  t->group = group ? group : t->group;
  if (!features || !predicted || !ns || !group)
    return neo_fail(t->ctx, NEO_NO_MEMORY, "cost model: no memory for %zu rows", cap);
  t->cap = (int)cap;
  return NEO_OK;
}

/* "b0=0,1/8,2,3,1%8 b4=...": the layouts of IN and OUT buffers, row-major where it names none. */
static neo_status parse_signature(neo_ctx *ctx, const char *text, const neo_te *te,
                                  neo_layout *out) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  while (!neo_scan_end(&scan)) {
    int64_t b = 0;
    char layout[256];
    if (!neo_scan_token(&scan, "b") || !neo_scan_int(&scan, &b) || b < 0 || b >= te->n_buffers ||
        !neo_scan_token(&scan, "="))
      return neo_fail(ctx, NEO_BAD_INPUT, "layout signature '%.100s'", text);
    size_t length = strcspn(scan.at, " ");
    snprintf(layout, sizeof layout, "%.*s", (int)neo_min_i64((int64_t)length, 255), scan.at);
    NEO_TRY(neo_layout_parse(ctx, layout, te->buffer[b].shape.rank, &out[b]));
    scan.at += length;
  }
  return NEO_OK;
}

/* The space that the search would have: only fast algorithms have one of their own, so that the
 * others keep their numbers. */
static neo_status open_space(trainer *t, const source *from, neo_accuracy accuracy,
                             neo_space **out) {
  static const neo_layout row_major = {0};
  neo_layout layout[NEO_TE_MAX_BUFFERS] = {0};
  neo_space_options options = {
      .threads = from->threads, .accuracy = accuracy, .max_params_growth = 1e9};
  if (from->threads < 1)
    return neo_fail(t->ctx, NEO_BAD_INPUT, "%d threads", from->threads);
  NEO_TRY(parse_signature(t->ctx, from->layout, t->te, layout));
  for (int b = 0; b < t->te->n_buffers; b++)
    if (t->te->buffer[b].role == NEO_TE_IN || t->te->buffer[b].role == NEO_TE_OUT)
      options.fixed[b] = layout[b].n ? &layout[b] : &row_major;
  return neo_space_build(t->ctx, t->te, &t->target, &options, out);
}

static const neo_space *find_candidate(trainer *t, const char *line, neo_candidate *out) {
  neo_schedule schedule;
  bool parsed = neo_schedule_parse(t->ctx, line, &schedule) == NEO_OK;
  neo_ctx_clear(t->ctx);
  if (!parsed)
    return NULL;
  if (neo_space_find(t->space, &schedule, out))
    return t->space;
  if (!t->fast_tried && open_space(t, t->now, NEO_ACCURACY_FAST, &t->fast_space) != NEO_OK)
    neo_ctx_clear(t->ctx);
  t->fast_tried = true;
  return t->fast_space && neo_space_find(t->fast_space, &schedule, out) ? t->fast_space : NULL;
}

static bool add_row(void *self, const neo_db_trial *trial) {
  trainer *t = self;
  neo_candidate candidate;
  if (!usable(trial))
    return true;
  const neo_space *space = t->space ? find_candidate(t, trial->schedule, &candidate) : NULL;
  double predicted = space ? neo_space_predict(space, &candidate) : 0;
  if (!(predicted > 0) || !isfinite(predicted)) {
    t->skipped++;
    return true;
  }
  t->status = grow_rows(t);
  if (t->status != NEO_OK)
    return false;
  float *features = t->features + (size_t)t->n * NEO_FEATURES;
  neo_space_features(space, &candidate, features);
  for (int i = 0; i < NEO_FEATURES; i++)
    features[i] = neo_finite_feature(features[i]);
  t->group[t->n] = (int)(t->now - t->source);
  t->predicted[t->n] = predicted;
  t->ns[t->n++] = trial->ns;
  return true;
}

/* A task whose text is missing or damaged has no space: its records are counted as left out. */
static neo_status add_source(trainer *t, source *from) {
  neo_arena arena;
  neo_arena_init(&arena);
  const char *text = neo_map_get(&t->texts, from->workload);
  t->te = neo_arena_alloc(&arena, sizeof *t->te);
  t->space = t->fast_space = NULL;
  t->fast_tried = false;
  t->now = from;
  t->status = NEO_OK;
  from->first = t->n;
  if (text && neo_te_parse(t->ctx, &arena, text, t->te) == NEO_OK &&
      open_space(t, from, NEO_ACCURACY_DEFAULT, &t->space) == NEO_NO_MEMORY)
    t->status = NEO_NO_MEMORY;
  if (t->status == NEO_OK) {
    neo_ctx_clear(t->ctx);
    neo_db_query query = {.workload = from->workload,
                          .target = t->target_text,
                          .threads = from->threads,
                          .layout = from->layout};
    neo_status status = neo_db_visit_trials(t->ctx, t->db, &query, 0, add_row, t);
    t->status = t->status == NEO_OK ? status : t->status;
  }
  from->n = t->n - from->first;
  neo_space_destroy(t->space);
  neo_space_destroy(t->fast_space);
  neo_arena_fini(&arena);
  return t->status;
}

/* ---- held-out tasks -------------------------------------------------------------------------------------- */

static bool is_held_out(const trainer *t, const source *s) {
  int every = t->n_workloads < HOLD_OUT ? t->n_workloads : HOLD_OUT;
  return t->n_workloads > 1 && s->number % every == every - 1;
}

/* Correlations of one task's times with the estimates: out[0] trained, out[1] analytic. */
static neo_status rank_source(trainer *t, const source *s, const neo_trained *trained,
                              double out[2]) {
  size_t n = (size_t)s->n;
  double *estimate = neo_alloc(t->ctx, n * sizeof *estimate);
  const double *ns = t->ns + s->first, *predicted = t->predicted + s->first;
  if (!estimate)
    return neo_fail(t->ctx, NEO_NO_MEMORY, "cost model: out of memory");
  for (size_t i = 0; i < n; i++)
    estimate[i] =
        log(predicted[i]) +
        neo_trained_residual(trained, t->features + ((size_t)s->first + i) * NEO_FEATURES);
  neo_status status = neo_rank_correlation(t->ctx, (int)n, estimate, ns, &out[0]);
  if (status == NEO_OK)
    status = neo_rank_correlation(t->ctx, (int)n, predicted, ns, &out[1]);
  neo_free(t->ctx, estimate);
  return status;
}

static neo_status rank_held_out(trainer *t, const neo_trained *trained, neo_train_result *out) {
  double sum[2] = {0, 0};
  for (int i = 0; i < t->n_sources; i++) {
    double one[2];
    if (!is_held_out(t, &t->source[i]) || t->source[i].n < LEAST_RANKED)
      continue;
    NEO_TRY(rank_source(t, &t->source[i], trained, one));
    sum[0] += one[0];
    sum[1] += one[1];
    out->held_out++;
  }
  if (out->held_out > 0) {
    out->correlation = sum[0] / out->held_out;
    out->analytic_correlation = sum[1] / out->held_out;
  }
  return NEO_OK;
}

static neo_samples samples_of(const trainer *t, int n) {
  return (neo_samples){n, t->n_sources, t->features, t->predicted, t->ns, t->group};
}

/* ---- training -------------------------------------------------------------------------------------------- */

static neo_status find_target(neo_ctx *ctx, trainer *t, const char *name) {
  static const char simulated[] = "simulated";
  size_t length = strlen(simulated);
  bool made_up = name && strncmp(name, simulated, length) == 0 &&
                 (name[length] == ' ' || name[length] == '\0');
  char text[NEO_TARGET_TEXT];
  const char *whole = name;
  if (made_up)
    name = name[length] ? name + length + 1 : NULL;
  if (made_up && name && strncmp(name, "miss=", 5) == 0) {
    name += strcspn(name, " ");
    name = *name ? name + 1 : NULL;
  }
  int prefix = !made_up ? 0 : name ? (int)(name - whole) : (int)strlen(whole);
  NEO_TRY(neo_target_find(ctx, name, &t->target));
  NEO_TRY(neo_record_target(ctx, &t->target, made_up ? NULL : t->db, text));
  snprintf(t->target_text, sizeof t->target_text, "%.*s%s%s", prefix, prefix ? whole : "",
           prefix && !name ? " " : "", text);
  return NEO_OK;
}

/* The rows of held-out tasks come last: the others' are the first *kept. */
static neo_status collect_rows(trainer *t, int *kept) {
  neo_db_query query = {.target = t->target_text};
  NEO_TRY(neo_db_visit_trials(t->ctx, t->db, &query, 0, collect_source, t));
  NEO_TRY(neo_db_visit_workloads(t->ctx, t->db, collect_text, t));
  for (int held = 0; held < 2; held++) {
    for (int i = 0; i < t->n_sources; i++)
      if (is_held_out(t, &t->source[i]) == (held == 1))
        NEO_TRY(add_source(t, &t->source[i]));
    *kept = held == 0 ? t->n : *kept;
  }
  return NEO_OK;
}

static neo_status train(trainer *t, neo_train_result *out) {
  int kept = 0;
  neo_trained *partial = NULL;
  NEO_TRY(collect_rows(t, &kept));
  neo_samples all = samples_of(t, t->n), some = samples_of(t, kept);
  out->rows = t->n;
  out->skipped = t->skipped;
  for (int i = 0; i < t->n_sources; i++)
    out->tasks += t->source[i].n > 0;
  if (kept >= NEO_TRAINED_LEAST && kept < t->n) {
    NEO_TRY(neo_trained_fit(t->ctx, t->target_text, &some, &partial));
    neo_status status = rank_held_out(t, partial, out);
    neo_trained_destroy(partial);
    NEO_TRY(status);
  }
  return neo_trained_fit(t->ctx, t->target_text, &all, &out->trained);
}

neo_status neo_train(neo_ctx *ctx, neo_db *db, const char *target, neo_train_result *out) {
  memset(out, 0, sizeof *out);
  trainer *t = calloc(1, sizeof *t);
  if (!t)
    return neo_fail(ctx, NEO_NO_MEMORY, "train");
  t->ctx = ctx;
  t->db = db;
  neo_arena_init(&t->arena);
  neo_status status = find_target(ctx, t, target);
  if (status == NEO_OK)
    status = train(t, out);
  neo_free(ctx, t->features);
  neo_free(ctx, t->predicted);
  neo_free(ctx, t->ns);
  neo_free(ctx, t->group);
  neo_map_fini(&t->seen);
  neo_map_fini(&t->texts);
  neo_map_fini(&t->numbers);
  neo_arena_fini(&t->arena);
  free(t);
  return status;
}

/* ---- starting from a trained model ----------------------------------------------------------------------- */

neo_status neo_tuner_start(neo_ctx *ctx, neo_tuner *tuner, const char *data, size_t size) {
  NEO_TRY(neo_trained_load(ctx, data, size, &tuner->trained));
  const char *target = neo_trained_target(tuner->trained);
  if (strcmp(target, tuner->target_text) != 0)
    return neo_fail(ctx, NEO_USAGE,
                    "cost model: it was trained for target '%.300s', this run is for '%.300s'",
                    target, tuner->target_text);
  neo_model_start(tuner->model, tuner->trained);
  return NEO_OK;
}

neo_status neo_tuner_start_file(neo_ctx *ctx, neo_tuner *tuner, const char *path) {
  neo_buf file = {0};
  neo_status status = neo_file_read(ctx, path, MAX_FILE, &file);
  if (status == NEO_OK)
    status = neo_tuner_start(ctx, tuner, file.data, file.size);
  neo_buf_fini(&file);
  return status;
}

/* The whole file goes into the store: a run replays wherever its records are. */
neo_status neo_tuner_note_start(neo_ctx *ctx, neo_tuner *tuner) {
  size_t size = 0;
  if (!tuner->trained)
    return NEO_OK;
  const char *file = neo_trained_file(tuner->trained, &size);
  json_t *note = json_pack("{s:s%}", "file", file, size);
  neo_buf text = {0};
  neo_json_print(&text, note, false);
  json_decref(note);
  neo_status status = text.failed || !text.data
                          ? neo_fail(ctx, NEO_NO_MEMORY, "cost model: out of memory")
                          : neo_db_put_note(ctx, tuner->db, tuner->run, "cost model", text.data);
  neo_buf_fini(&text);
  return status;
}

neo_status neo_tuner_start_noted(neo_ctx *ctx, neo_tuner *tuner) {
  neo_buf text = {0};
  bool found = false;
  json_t *note = NULL;
  neo_status status = neo_db_get_note(ctx, tuner->db, tuner->run, "cost model", &text, &found);
  if (status == NEO_OK && found)
    status = neo_json_parse(ctx, "note", text.data, text.size, &note);
  const json_t *file = json_object_get(note, "file");
  if (status == NEO_OK && found)
    status = json_is_string(file)
                 ? neo_tuner_start(ctx, tuner, json_string_value(file), json_string_length(file))
                 : neo_fail(ctx, NEO_BAD_INPUT, "run %lld: its note of the cost model is damaged",
                            (long long)tuner->run);
  json_decref(note);
  neo_buf_fini(&text);
  return status;
}
