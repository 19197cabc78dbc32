/* Budget across tasks: whose next round gains most model latency per second of board time.
 *
 * Why: a network has twenty to sixty tasks of very different weight and headroom; equal shares
 * waste most of the time on tasks that are done (Ansor's task scheduler).
 *
 * The gain of one more round of a task is estimated as the mean of
 *   - what its last rounds gained on average (rounds that found nothing pull it to zero), and
 *   - what the gap to its roofline promises: gap x PROMISE x ROUND / (ROUND + trials): the chance
 * that the next samples beat all earlier ones falls as one over their number; at most the gap,
 * times the task's weight. Board time per round is what its trials took so far.
 *
 * A task within `stop` of its roofline, or exhausted, gets nothing more. First every task gets a
 * round, the heaviest (weight x roofline) first, so that an interrupted run has done the most
 * useful part. */
#include <math.h>

#include "search/search.h"

#define PROMISE 0.25
#define UNSEEN 0.02
enum { ROUND = 8, WINDOW = 3 };

/* Mean gain of the last WINDOW rounds, 0 without history. */
static double recent_gain(const neo_budget_task *task) {
  int n = task->n_history < NEO_COUNT(task->history) ? task->n_history : NEO_COUNT(task->history);
  int window = n - 1 < WINDOW ? n - 1 : WINDOW;
  if (window < 1)
    return 0;
  double before = task->history[n - 1 - window], now = task->history[n - 1];
  if (!isfinite(before) || !isfinite(now) || before <= now)
    return 0;
  return (before - now) / window;
}

/* Where costs are counted the cost model sees the next candidates nearly as they are; what it does
 * not see is worth little, and less with every trial. */
static double counted_gain(const neo_budget_task *task) {
  double unseen = UNSEEN * task->best_ns / (1 + task->trials);
  return task->weight * fmax(fmax(task->promise_ns, 0), unseen);
}

double neo_budget_gain(const neo_budget_task *task) {
  double share = PROMISE * ROUND / (double)(ROUND + task->trials);
  if (task->exhausted)
    return 0;
  if (task->counted && isfinite(task->best_ns))
    return counted_gain(task);
  if (!isfinite(task->best_ns)) /* nothing usable yet: all of its latency is at stake */
    return task->weight * fmax(task->bound_ns, 1) * share;
  double gap = task->best_ns - task->bound_ns;
  if (gap <= 0)
    return 0;
  double promise = gap * share;
  bool has_past = task->n_history >= 2;
  double gain = has_past ? 0.5 * (recent_gain(task) + promise) : promise;
  return task->weight * fmin(gain, gap);
}

static bool is_done(const neo_budget_task *task, double stop) {
  return task->exhausted ||
         (isfinite(task->best_ns) && task->best_ns <= task->bound_ns * (1 + stop));
}

/* The task without trials that weighs most; -1 if all have some. */
static int next_untried(const neo_budget_task *task, int n, double stop) {
  int best = -1;
  for (int i = 0; i < n; i++)
    if (task[i].trials == 0 && !is_done(&task[i], stop) &&
        (best < 0 || task[i].weight * task[i].bound_ns > task[best].weight * task[best].bound_ns))
      best = i;
  return best;
}

int neo_budget_next(const neo_budget_task *task, int n, double stop) {
  int best = next_untried(task, n, stop);
  if (best >= 0)
    return best;
  double best_rate = 0;
  for (int i = 0; i < n; i++) {
    if (is_done(&task[i], stop))
      continue;
    double cost = task[i].spent_ns > 0 ? task[i].spent_ns / fmax(task[i].trials, 1) : 1;
    double rate = neo_budget_gain(&task[i]) / cost;
    if (best < 0 || rate > best_rate) {
      best = i;
      best_rate = rate;
    }
  }
  return best;
}
