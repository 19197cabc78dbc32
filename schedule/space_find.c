/* From a candidate to its schedule line and back: filling holes, finding, transferring.
 *
 * Why: records hold lines, search holds candidates; a record must seed a search even when it comes
 * from a workload of other extents. How: filling copies the slots that are present and writes
 * decision values into holes. Finding walks a sketch's slots along the line, binds holes, notes
 * which choices each present or absent slot allows, and then checks by filling. Transfer looks up
 * each slot by what it addresses, takes the nearest value for each hole, lets slots vote for
 * choices, and repairs. */
#include "schedule/sketch.h"

#include <math.h>
#include <string.h>

static bool slot_present(const neo_slot *slot, const neo_candidate *c) {
  return slot->choose < 0 || (slot->when >> c->decision[slot->choose] & 1);
}

static int32_t *hole_place(neo_instr *instr, const neo_hole *hole) {
  return hole->where >= NEO_HOLE_LAYOUT ? &instr->layout.dim[hole->where - NEO_HOLE_LAYOUT].factor
                                        : &instr->arg[hole->where];
}

static void fill_slot(const neo_sketch *sketch, const neo_slot *slot, const neo_candidate *c,
                      neo_instr *out) {
  *out = slot->instr;
  for (int h = 0; h < slot->n_holes; h++)
    *hole_place(out, &slot->hole[h]) =
        neo_sketch_value(sketch, c, slot->hole[h].decision) * slot->hole[h].scale +
        slot->hole[h].plus;
}

void neo_space_schedule(const neo_space *space, const neo_candidate *candidate, neo_schedule *out) {
  neo_assert(candidate->sketch >= 0 && candidate->sketch < space->n_sketches + 1);
  const neo_sketch *sketch = space->sketch[candidate->sketch];
  out->n = 0;
  for (int i = 0; i < sketch->n_slots; i++)
    if (slot_present(&sketch->slot[i], candidate))
      fill_slot(sketch, &sketch->slot[i], candidate, &out->instr[out->n++]);
  /* schedules are compared whole */
  memset(out->instr + out->n, 0, (size_t)(NEO_COUNT(out->instr) - out->n) * sizeof *out->instr);
}

/* ---- comparing instructions ---------------------------------------------------------------------------- */

static bool same_layout(const neo_layout *a, const neo_layout *b, bool factors) {
  if (a->n != b->n)
    return false;
  for (int i = 0; i < a->n; i++)
    if (a->dim[i].dim != b->dim[i].dim || a->dim[i].part != b->dim[i].part ||
        ((factors || a->dim[i].part == ' ') && a->dim[i].factor != b->dim[i].factor))
      return false;
  return true;
}

/* Is a layout the slot's, but for factors? Places of a whole dim are one only where they are a
 * hole. */
static bool fits_layout(const neo_slot *slot, const neo_layout *given) {
  neo_layout copy = *given;
  for (int h = 0; h < slot->n_holes; h++) {
    int dim = slot->hole[h].where - NEO_HOLE_LAYOUT;
    if (dim >= 0 && dim < copy.n && copy.dim[dim].part == ' ' && copy.dim[dim].factor > 0)
      copy.dim[dim].factor = slot->instr.layout.dim[dim].factor;
  }
  return same_layout(&slot->instr.layout, &copy, false);
}

/* Address: what the instruction is about, without its arguments. */
static bool same_address(const neo_instr *a, const neo_instr *b) {
  return a->kind == b->kind && a->block == b->block && a->buffer == b->buffer &&
         a->axis == b->axis && a->level == b->level;
}

static bool same_instr(const neo_instr *a, const neo_instr *b) {
  return same_address(a, b) && a->n_args == b->n_args && strcmp(a->name, b->name) == 0 &&
         memcmp(a->arg, b->arg, sizeof(a->arg[0]) * (size_t)a->n_args) == 0 &&
         same_layout(&a->layout, &b->layout, true);
}

static bool same_schedule(const neo_schedule *a, const neo_schedule *b) {
  if (a->n != b->n)
    return false;
  for (int i = 0; i < a->n; i++)
    if (!same_instr(&a->instr[i], &b->instr[i]))
      return false;
  return true;
}

/* ---- find ------------------------------------------------------------------------------------------------ */

typedef struct binding {
  int16_t index[NEO_SKETCH_DECISIONS];    /* -1: free */
  uint64_t allowed[NEO_SKETCH_DECISIONS]; /* by slots present or absent */
} binding;

static int domain_index(const neo_decision *d, int64_t value) {
  for (int i = 0; i < d->n; i++)
    if (d->value[i] == value)
      return i;
  return -1;
}

static bool bind(const neo_sketch *sketch, const neo_slot *slot, const neo_instr *given,
                 binding *b) {
  neo_instr copy = *given;
  binding made = *b;
  if (!same_address(&slot->instr, given) || slot->instr.n_args != given->n_args ||
      !fits_layout(slot, &given->layout))
    return false;
  for (int h = 0; h < slot->n_holes; h++) {
    const neo_hole *hole = &slot->hole[h];
    int64_t value = *hole_place(&copy, hole) - hole->plus;
    int index = value % hole->scale
                    ? -1
                    : domain_index(&sketch->decision[hole->decision], value / hole->scale);
    if (index < 0 || (made.index[hole->decision] >= 0 && made.index[hole->decision] != index))
      return false;
    made.index[hole->decision] = (int16_t)index;
    *hole_place(&copy, hole) = *hole_place((neo_instr *)(uintptr_t)&slot->instr, hole);
  }
  if (!same_instr(&copy, &slot->instr))
    return false;
  *b = made;
  return true;
}

#define MAX_RETRIES 64

typedef struct finder {
  const neo_sketch *sketch;
  const neo_schedule *schedule;
  int number, retries;
} finder;

/* The candidate of what is bound, if that keeps the limits. */
static bool is_candidate(const finder *f, const binding *b, neo_candidate *out) {
  const neo_sketch *sketch = f->sketch;
  neo_candidate made = {.sketch = (int16_t)f->number, .n = (int16_t)sketch->n_decisions};
  for (int d = 0; d < sketch->n_decisions; d++) {
    int index = b->index[d];
    for (int k = 0; index < 0 && k < sketch->decision[d].n; k++)
      if (b->allowed[d] >> k & 1)
        index = k;
    if (index < 0)
      return false;
    made.decision[d] = (int16_t)index;
  }
  for (int k = 0; k < sketch->n_limits; k++)
    if (!neo_limit_holds(&sketch->limit[k], sketch, &made))
      return false;
  *out = made;
  return true;
}

/* Slots from i on, the line from `at` on. Two slots of different choices may fit one instruction (a
 * window's split, and the same factor as a decision): what follows tells which of them it is. */
static bool find_from(finder *f, int i, int at, binding b, neo_candidate *out) {
  for (; i < f->sketch->n_slots; i++) {
    const neo_slot *slot = &f->sketch->slot[i];
    binding with = b;
    bool possible = slot->choose < 0 || (b.allowed[slot->choose] & slot->when);
    bool present =
        possible && at < f->schedule->n && bind(f->sketch, slot, &f->schedule->instr[at], &with);
    if (slot->choose < 0) {
      if (!present)
        return false;
      b = with;
      at++;
      continue;
    }
    if (present) {
      with.allowed[slot->choose] &= slot->when;
      if (find_from(f, i + 1, at + 1, with, out))
        return true;
      if (f->retries++ == MAX_RETRIES)
        return false;
    }
    b.allowed[slot->choose] &= ~slot->when;
  }
  return at == f->schedule->n && is_candidate(f, &b, out);
}

static bool find_in(const neo_space *space, int number, const neo_schedule *schedule,
                    neo_candidate *out) {
  finder f = {.sketch = space->sketch[number], .schedule = schedule, .number = number};
  binding b;
  for (int d = 0; d < f.sketch->n_decisions; d++) {
    b.index[d] = -1;
    b.allowed[d] = (UINT64_C(1) << f.sketch->decision[d].n) - 1;
  }
  return find_from(&f, 0, 0, b, out);
}

bool neo_space_find(const neo_space *space, const neo_schedule *schedule, neo_candidate *out) {
  neo_schedule made;
  neo_candidate c;
  for (int i = 0; i < space->n_sketches; i++) {
    if (!find_in(space, i, schedule, &c))
      continue;
    neo_space_schedule(space, &c, &made);
    if (same_schedule(&made, schedule)) {
      *out = c;
      return true;
    }
  }
  return false;
}

/* ---- transfer --------------------------------------------------------------------------------------------- */

typedef struct vote {
  double score;
  double choice[NEO_SKETCH_DOMAIN];
  int64_t wanted; /* value of a number; -1: unknown */
} vote;

static const neo_instr *look_up(const neo_schedule *schedule, const neo_instr *like, bool exact) {
  for (int i = 0; i < schedule->n; i++)
    if (exact ? same_instr(&schedule->instr[i], like) : same_address(&schedule->instr[i], like))
      return &schedule->instr[i];
  return NULL;
}

static void vote_slot(const neo_slot *slot, const neo_schedule *schedule, vote *votes,
                      double *score) {
  const neo_instr *found = look_up(schedule, &slot->instr, slot->n_holes == 0);
  if (!found && slot->choose < 0)
    found = look_up(schedule, &slot->instr, false);
  bool fits = found && found->n_args == slot->instr.n_args && fits_layout(slot, &found->layout);
  *score += fits ? 1 : slot->choose < 0 ? -1 : 0;
  if (slot->choose >= 0)
    for (int k = 0; k < NEO_SKETCH_DOMAIN; k++)
      votes[slot->choose].choice[k] += fits == (bool)(slot->when >> k & 1);
  for (int h = 0; fits && h < slot->n_holes; h++) {
    neo_instr copy = *found;
    votes[slot->hole[h].decision].wanted =
        (*hole_place(&copy, &slot->hole[h]) - slot->hole[h].plus) / slot->hole[h].scale;
  }
}

static int16_t nearest(const neo_decision *d, int64_t wanted) {
  int best = 0;
  for (int i = 1; i < d->n; i++)
    if (fabs(log((double)d->value[i] + 1) - log((double)wanted + 1)) <
        fabs(log((double)d->value[best] + 1) - log((double)wanted + 1)))
      best = i;
  return (int16_t)best;
}

static int16_t most_voted(const neo_decision *d, const vote *v) {
  int best = 0;
  for (int i = 1; i < d->n; i++)
    if (v->choice[i] > v->choice[best])
      best = i;
  return (int16_t)best;
}

/* Share of the sketch's slots that the line has, in -1..1. */
static double transfer_to(const neo_space *space, int number, const neo_schedule *schedule,
                          neo_candidate *out) {
  const neo_sketch *sketch = space->sketch[number];
  vote votes[NEO_SKETCH_DECISIONS];
  memset(votes, 0, sizeof(votes));
  for (int d = 0; d < sketch->n_decisions; d++)
    votes[d].wanted = -1;
  double score = 0;
  if (schedule->n == 0 || strcmp(schedule->instr[0].name, sketch->slot[0].instr.name) != 0)
    return -1;
  for (int i = 0; i < sketch->n_slots; i++)
    vote_slot(&sketch->slot[i], schedule, votes, &score);
  *out = (neo_candidate){.sketch = (int16_t)number, .n = (int16_t)sketch->n_decisions};
  for (int d = 0; d < sketch->n_decisions; d++) {
    const neo_decision *decision = &sketch->decision[d];
    if (decision->choice)
      out->decision[d] = most_voted(decision, &votes[d]);
    else if (votes[d].wanted >= 0)
      out->decision[d] = nearest(decision, votes[d].wanted);
  }
  neo_sketch_repair(sketch, &space->target, out);
  return score / (sketch->n_slots > schedule->n ? sketch->n_slots : schedule->n);
}

bool neo_space_transfer(const neo_space *space, const neo_schedule *schedule, neo_candidate *out) {
  double best = 0.4;
  bool found = false;
  for (int i = 0; i < space->n_sketches; i++) {
    neo_candidate c;
    double score = transfer_to(space, i, schedule, &c);
    if (score > best) {
      best = score;
      *out = c;
      found = true;
    }
  }
  return found;
}
