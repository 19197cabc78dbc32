/* One task's search: asks its strategy for candidates, remembers what came of them.
 *
 * Why ask/tell: the pump (driver/) decides when boards are free; the search only ever answers "what
 * next?" and hears "it took so long". It never waits, and a test drives it with made-up times.
 *
 * Order of proposals:
 *   1. the analytic model's first choice (in the order of the trained model, if the cost model
 * starts from one),
 *   2. schedules given by neo_search_seed (database, neighbours),
 *   3. the analytic model's next choices, ordered by what the cost model has learned on other
 * tasks, those first that are no twins of earlier ones; and with every fourth of them one at
 * random,
 *   4. what the strategy says, with one at random in about 20.
 * Where costs are counted, step 3 is without random ones, and after its first COUNTED_ALONE half of
 * each round is step 4: the strategy finds what the analytic model does not see.
 *
 * Memory is bounded by the number of proposals times 8 bytes: of the past only hashes, the fastest
 * NEO_SEARCH_ELITES and the (bounded) model are kept.
 *
 * Invariants
 * 1. A candidate is proposed at most once, and never if it was seeded as measured.
 * 2. Everything follows from (space, options, order and values of the calls): own generator, no
 * clock.
 * 3. elites[0..n) is sorted by time, ties by neo_candidate_compare, without repetition. */
#include "search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/strategy.h"

enum {
  ANALYTIC = 16,
  COUNTED_ALONE = 6, /* so many of them, and from then on half a round is the strategy's, where
                        costs are counted */
  DRAFTS = 128,      /* of which the first ANALYTIC that are no twins are proposed */
  SEEDS = 64,
  SCORE_CHUNK = 128,
  RANDOM_EVERY = 20,
  SAMPLE_TRIES = 64,
  HOPELESS = 4
};

#define TWINS 0.005 /* of log time */

/* Candidate hashes with a mark: open addressing, at most 1/2 full. */
typedef struct seen_set {
  uint64_t *hash;
  uint8_t *told;
  size_t used, capacity;
} seen_set;

struct neo_search {
  neo_ctx ctx; /* allocator and log; own errors */
  const neo_space *space;
  const neo_strategy *strategy;
  neo_model *model;
  int group;
  neo_rng rng;
  seen_set seen;
  neo_candidate first[ANALYTIC];
  int n_first, at_first;
  bool counts;
  double analytic_ns; /* predicted for the analytic model's first choice; 0: none */
  neo_candidate seed[SEEDS];
  int n_seed, at_seed;
  neo_elite elite[NEO_SEARCH_ELITES];
  int n_elite;
  int open, told, failed;
  int64_t proposals;
  bool exhausted;
  neo_pool *pool; /* while a strategy proposes; else NULL: there are many tasks */
  float features[SCORE_CHUNK][NEO_FEATURES];
  double predicted[SCORE_CHUNK];
};

static const neo_strategy *const strategies[] = {
#define X(strategy) &strategy,
#include "search/strategies.def"
#undef X
};

/* ---- candidates seen --------------------------------------------------------------------------------- */

/* The slot of the hash, or the free one where it goes. capacity > used. */
static size_t seen_slot(const seen_set *set, uint64_t hash) {
  size_t slot = hash & (set->capacity - 1);
  while (set->hash[slot] && set->hash[slot] != hash)
    slot = (slot + 1) & (set->capacity - 1);
  return slot;
}

static bool seen_grow(neo_ctx *ctx, seen_set *set) {
  seen_set next = {.capacity = set->capacity ? 2 * set->capacity : 4096, .used = set->used};
  next.hash = neo_alloc(ctx, next.capacity * sizeof(*next.hash));
  next.told = neo_alloc(ctx, next.capacity);
  if (!next.hash || !next.told) {
    neo_free(ctx, next.hash);
    neo_free(ctx, next.told);
    return false;
  }
  for (size_t i = 0; i < set->capacity; i++)
    if (set->hash[i]) {
      size_t slot = seen_slot(&next, set->hash[i]);
      next.hash[slot] = set->hash[i];
      next.told[slot] = set->told[i];
    }
  neo_free(ctx, set->hash);
  neo_free(ctx, set->told);
  *set = next;
  return true;
}

/* Marks as seen, and as told; returns its slot or SIZE_MAX without memory. *was_new says if it was
 * not there. */
static size_t seen_put(neo_search *search, const neo_candidate *candidate, bool *was_new) {
  seen_set *set = &search->seen;
  if (2 * (set->used + 1) > set->capacity && !seen_grow(&search->ctx, set))
    return SIZE_MAX;
  uint64_t hash = neo_candidate_hash(candidate);
  size_t slot = seen_slot(set, hash);
  *was_new = set->hash[slot] == 0;
  if (*was_new) {
    set->hash[slot] = hash;
    set->used++;
  }
  return slot;
}

bool neo_search_seen(const neo_search *search, const neo_candidate *candidate) {
  const seen_set *set = &search->seen;
  return set->capacity > 0 && set->hash[seen_slot(set, neo_candidate_hash(candidate))] != 0;
}

static bool choose_first(neo_search *search);

/* ---- making and destroying ---------------------------------------------------------------------------- */

static const neo_strategy *find_strategy(neo_ctx *ctx, const char *name) {
  if (!name)
    return strategies[0];
  char names[128] = "";
  size_t at = 0;
  for (int i = 0; i < NEO_COUNT(strategies); i++) {
    if (strcmp(strategies[i]->name, name) == 0)
      return strategies[i];
    at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
                           strategies[i]->name);
  }
  neo_fail(ctx, NEO_USAGE, "search: no strategy '%s'; there are %s", name, names);
  return NULL;
}

neo_status neo_search_check_strategy(neo_ctx *ctx, const char *name) {
  return find_strategy(ctx, name) ? NEO_OK : NEO_USAGE;
}

neo_status neo_search_create(neo_ctx *ctx, const neo_space *space,
                             const neo_search_options *options, neo_search **out) {
  const neo_strategy *strategy = find_strategy(ctx, options->strategy);
  if (!strategy)
    return NEO_USAGE;
  neo_search *search = neo_alloc(ctx, sizeof(*search));
  if (!search || !seen_grow(ctx, &search->seen)) {
    neo_free(ctx, search);
    return neo_fail(ctx, NEO_NO_MEMORY, "search: out of memory");
  }
  neo_ctx_init(&search->ctx, 0);
  search->ctx.allocator = ctx->allocator;
  search->ctx.log = ctx->log;
  search->ctx.log_self = ctx->log_self;
  neo_rng_init(&search->rng, options->seed);
  search->space = space;
  search->strategy = strategy;
  search->model = options->model;
  search->group = options->group;
  search->counts = options->counts;
  if (!choose_first(search)) {
    neo_search_destroy(search);
    return neo_fail(ctx, NEO_NO_MEMORY, "search: out of memory");
  }
  *out = search;
  return NEO_OK;
}

void neo_search_destroy(neo_search *search) {
  if (!search)
    return;
  neo_ctx ctx = search->ctx;
  neo_free(&ctx, search->seen.hash);
  neo_free(&ctx, search->seen.told);
  neo_free(&ctx, search);
}

/* ---- what strategies see ------------------------------------------------------------------------------ */

const neo_space *neo_search_space(const neo_search *search) {
  return search->space;
}

neo_rng *neo_search_rng(neo_search *search) {
  return &search->rng;
}

const neo_elite *neo_search_elites(const neo_search *search, int *out_n) {
  *out_n = search->n_elite;
  return search->elite;
}

int neo_search_told(const neo_search *search) {
  return search->told;
}

neo_pool *neo_search_pool(neo_search *search) {
  return search->pool;
}

/* Logs a failing model and goes on without: a search must not end because its model does. */
static void drop_model(neo_search *search) {
  neo_log(&search->ctx, NEO_LOG_WARN, "search: going on with the analytic model only: %s",
          search->ctx.message);
  neo_ctx_clear(&search->ctx);
  search->model = NULL;
}

static void score_chunk(neo_search *search, int n, const neo_candidate *candidate, double *out) {
  for (int i = 0; i < n; i++) {
    search->predicted[i] = neo_space_predict(search->space, &candidate[i]);
    out[i] = log(search->predicted[i]);
  }
  if (!search->model)
    return;
  for (int i = 0; i < n; i++)
    neo_space_features(search->space, &candidate[i], search->features[i]);
  if (neo_model_predict(&search->ctx, search->model, n, &search->features[0][0], search->predicted,
                        out) != NEO_OK)
    drop_model(search);
}

void neo_search_score(neo_search *search, int n, const neo_candidate *candidate, double *out) {
  for (int i = 0; i < n; i += SCORE_CHUNK)
    score_chunk(search, n - i < SCORE_CHUNK ? n - i : SCORE_CHUNK, candidate + i, out + i);
}

typedef struct drafts {
  int n;
  neo_candidate candidate[DRAFTS];
  double score[DRAFTS];
  bool taken[DRAFTS];
} drafts;

/* As the cost model orders them; the first ones from `from` on. */
static void rank_drafts(neo_search *search, drafts *d, int from) {
  neo_search_score(search, d->n, d->candidate, d->score);
  for (int i = from + 1; i < d->n; i++) {
    neo_candidate candidate = d->candidate[i];
    double own = d->score[i];
    int at = i;
    for (; at > from && d->score[at - 1] > own; at--) {
      d->score[at] = d->score[at - 1];
      d->candidate[at] = d->candidate[at - 1];
    }
    d->score[at] = own;
    d->candidate[at] = candidate;
  }
}

/* One decision apart, and the model sees next to no difference: measuring one tells of the other.
 */
static bool are_twins(const drafts *d, int a, int b) {
  const neo_candidate *x = &d->candidate[a], *y = &d->candidate[b];
  int apart = 0;
  if (x->sketch != y->sketch || fabs(d->score[a] - d->score[b]) > TWINS)
    return false;
  for (int i = 0; i < x->n; i++)
    apart += x->decision[i] != y->decision[i];
  return apart <= 1;
}

static void take_drafts(neo_search *search, drafts *d, bool twins) {
  for (int i = 0; i < d->n && search->n_first < ANALYTIC; i++) {
    bool alone = !d->taken[i];
    for (int k = 0; !twins && alone && k < d->n; k++)
      alone = !d->taken[k] || !are_twins(d, k, i);
    if (!alone)
      continue;
    d->taken[i] = true;
    search->first[search->n_first++] = d->candidate[i];
  }
}

/* The analytic pick stays first, unless a trained model knows better. False without memory. */
static bool choose_first(neo_search *search) {
  drafts *d = neo_alloc(&search->ctx, sizeof *d);
  if (!d)
    return false;
  memset(d, 0, sizeof *d);
  d->n = neo_space_analytic(search->space, DRAFTS, d->candidate);
  search->analytic_ns = d->n > 0 ? neo_space_predict(search->space, &d->candidate[0]) : 0;
  rank_drafts(search, d, search->model && neo_model_is_started(search->model) ? 0 : 1);
  take_drafts(search, d, false);
  take_drafts(search, d, true);
  neo_free(&search->ctx, d);
  return true;
}

/* ---- ask ------------------------------------------------------------------------------------------------ */

/* Appends the candidate to out if it is fresh. False only if it was not appended. */
static bool propose_one(neo_search *search, const neo_candidate *candidate, neo_candidate *out,
                        int *n) {
  bool fresh = false;
  if (seen_put(search, candidate, &fresh) == SIZE_MAX || !fresh)
    return false;
  out[(*n)++] = *candidate;
  search->open++;
  search->proposals++;
  return true;
}

/* A candidate of the scalar sketch costs the board as much time as ten good ones and teaches
 * nothing: those predicted far slower than the analytic pick are drawn again. */
static bool hopeless(const neo_search *search, const neo_candidate *candidate) {
  double best = search->analytic_ns;
  return best > 0 && neo_space_predict(search->space, candidate) > HOPELESS * best;
}

static bool propose_random(neo_search *search, neo_candidate *out, int *n) {
  for (int i = 0; i < SAMPLE_TRIES; i++) {
    neo_candidate candidate;
    neo_space_sample(search->space, &search->rng, &candidate);
    if (i < SAMPLE_TRIES / 2 && hopeless(search, &candidate))
      continue;
    if (propose_one(search, &candidate, out, n))
      return true;
  }
  return false;
}

/* Counts are exact, so the analytic model's choices behind the first are taken as the cost model
 * orders them by now; there is no need for random ones. */
static void reorder_first(neo_search *search) {
  int n = search->n_first - search->at_first;
  neo_candidate *rest = search->first + search->at_first;
  double score[ANALYTIC];
  neo_search_score(search, n, rest, score);
  for (int i = 1; i < n; i++)
    for (int k = i; k > 0 && score[k - 1] > score[k]; k--) {
      neo_candidate candidate = rest[k];
      double own = score[k];
      rest[k] = rest[k - 1];
      score[k] = score[k - 1];
      rest[k - 1] = candidate;
      score[k - 1] = own;
    }
}

/* Steps 1 to 3 of the order above. */
static void propose_first(neo_search *search, int n, neo_candidate *out, int *got) {
  if (search->counts && search->at_first > 0)
    reorder_first(search);
  while (*got < n && (search->at_first < search->n_first || search->at_seed < search->n_seed)) {
    bool seed = search->at_seed < search->n_seed && search->at_first > 0;
    if (search->at_first >= search->n_first)
      seed = true;
    const neo_candidate *next =
        seed ? &search->seed[search->at_seed++] : &search->first[search->at_first++];
    propose_one(search, next, out, got);
    if (!search->counts && !seed && search->at_first % 4 == 0 && *got < n)
      propose_random(search, out, got);
  }
}

/* Step 4. Random ones come last: the first of out is measured first. */
static void propose_searched(neo_search *search, int n, neo_candidate *out, int *got) {
  int want = n - *got;
  int random = 0;
  for (int i = 0; i < want; i++)
    random += neo_rng_below(&search->rng, RANDOM_EVERY) == 0;
  if (search->model && neo_model_fit(&search->ctx, search->model) != NEO_OK)
    drop_model(search);
  neo_candidate *bets = out + *got;
  search->pool = neo_alloc(&search->ctx, sizeof(*search->pool));
  int found = want - random > 0 && search->pool
                  ? search->strategy->propose(search, want - random, bets)
                  : 0;
  neo_free(&search->ctx, search->pool);
  search->pool = NULL;
  for (int i = 0; i < found; i++) {
    neo_candidate bet = bets[i];
    propose_one(search, &bet, out, got);
  }
  while (*got < n && propose_random(search, out, got))
    ;
}

int neo_search_propose(neo_search *search, int n, neo_candidate *out) {
  int got = 0;
  bool learned = search->counts && search->at_first >= COUNTED_ALONE;
  propose_first(search, learned ? n - n / 2 : n, out, &got);
  if (got < n)
    propose_searched(search, n, out, &got);
  search->exhausted = n > 0 && got == 0;
  return got;
}

/* ---- tell ----------------------------------------------------------------------------------------------- */

static void remove_elite(neo_search *search, const neo_candidate *candidate) {
  for (int i = 0; i < search->n_elite; i++)
    if (neo_candidate_compare(&search->elite[i].candidate, candidate) == 0) {
      memmove(&search->elite[i], &search->elite[i + 1],
              (size_t)(search->n_elite - i - 1) * sizeof(search->elite[0]));
      search->n_elite--;
      return;
    }
}

static bool precedes(double ns, const neo_candidate *candidate, const neo_elite *elite) {
  return ns < elite->ns ||
         (ns == elite->ns && neo_candidate_compare(candidate, &elite->candidate) < 0);
}

static void add_elite(neo_search *search, const neo_candidate *candidate, double ns) {
  int at = search->n_elite;
  while (at > 0 && precedes(ns, candidate, &search->elite[at - 1]))
    at--;
  if (at == NEO_SEARCH_ELITES)
    return;
  if (search->n_elite == NEO_SEARCH_ELITES)
    search->n_elite--;
  memmove(&search->elite[at + 1], &search->elite[at],
          (size_t)(search->n_elite - at) * sizeof(search->elite[0]));
  search->elite[at] = (neo_elite){*candidate, ns};
  search->n_elite++;
}

static void learn(neo_search *search, const neo_candidate *candidate, double ns, bool failed) {
  remove_elite(search, candidate); /* of an earlier measurement */
  if (!failed)
    add_elite(search, candidate, ns);
  if (!search->model)
    return;
  neo_space_features(search->space, candidate, search->features[0]);
  neo_model_add(search->model, search->group, search->features[0],
                neo_space_predict(search->space, candidate), ns, failed);
}

void neo_search_seed(neo_search *search, const neo_candidate *candidate, double ns) {
  if (ns > 0) {
    bool fresh = false;
    size_t slot = seen_put(search, candidate, &fresh);
    if (slot == SIZE_MAX || !fresh)
      return;
    search->seen.told[slot] = 1;
    learn(search, candidate, ns, false);
  } else if (search->n_seed < SEEDS) {
    search->seed[search->n_seed++] = *candidate;
  }
}

void neo_search_tell(neo_search *search, const neo_candidate *candidate, double ns, bool failed) {
  bool fresh = false;
  size_t slot = seen_put(search, candidate, &fresh);
  bool again = slot != SIZE_MAX && search->seen.told[slot];
  failed = failed || !(ns > 0) || !isfinite(ns);
  if (!again) {
    search->told++;
    search->failed += failed;
    if (!fresh)
      search->open--;
  }
  if (slot != SIZE_MAX)
    search->seen.told[slot] = 1;
  learn(search, candidate, ns, failed);
}

bool neo_search_best(const neo_search *search, neo_candidate *out, double *ns) {
  if (search->n_elite == 0)
    return false;
  *out = search->elite[0].candidate;
  *ns = search->elite[0].ns;
  return true;
}

void neo_search_counts(const neo_search *search, int *open, int *told, int *failed) {
  *open = search->open;
  *told = search->told;
  *failed = search->failed;
}

/* As far below the best as the cost model sees it, once its error on the fastest of the task is
 * taken out. */
double neo_search_promise(neo_search *search) {
  enum { FASTEST = 8 };
  neo_candidate candidate[FASTEST + 1];
  double score[FASTEST + 1], error = 0;
  int n = 0;
  if (!search->counts || search->n_elite == 0 || search->at_first >= search->n_first)
    return -1;
  reorder_first(search);
  for (; n < FASTEST && n < search->n_elite; n++)
    candidate[n] = search->elite[n].candidate;
  candidate[n] = search->first[search->at_first];
  neo_search_score(search, n + 1, candidate, score);
  for (int i = 0; i < n; i++)
    error += (log(search->elite[i].ns) - score[i]) / n;
  return search->elite[0].ns - exp(score[n] + error);
}

bool neo_search_exhausted(const neo_search *search) {
  return search->exhausted;
}
