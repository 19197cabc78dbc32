/* What is seen while tuning: on a terminal a task table repainted in place, otherwise one JSON line
 * per event.
 *
 * Repainting at most ten times a second; the first failure of each kind is printed above the table
 * and stays. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/host.h"
#include "cli/commands.h"

struct cli_progress {
  neo_ctx *ctx;
  FILE *out;
  bool terminal;
  int painted; /* lines on the screen to go back over */
  double budget_s;
  int64_t trials, limit;
  uint64_t start, last_paint;
};

cli_progress *cli_progress_create(neo_ctx *ctx, FILE *out, double budget_s, int64_t trials) {
  cli_progress *progress = calloc(1, sizeof *progress);
  if (!progress)
    return NULL;
  const char *term = getenv("TERM");
  *progress = (cli_progress){
      .ctx = ctx, .out = out, .budget_s = budget_s, .limit = trials, .start = neo_now_ns(ctx)};
  progress->terminal = isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
  return progress;
}

void cli_progress_destroy(cli_progress *progress) {
  free(progress);
}

static void json_line(cli_progress *progress, const neo_project *project,
                      const neo_tune_event *event) {
  static const char *const kinds[] = {"task", "trial", "failure", "done"};
  json_t *line = json_pack("{s:s, s:f}", "event", kinds[event->kind], "seconds",
                           (double)(neo_now_ns(progress->ctx) - progress->start) / 1e9);
  if (event->task >= 0) {
    json_object_set_new(line, "task", neo_json_name(project->task[event->task].group->name));
    json_object_set_new(line, "workload", json_string(project->task[event->task].group->key));
  }
  if (event->trial) {
    json_object_set_new(line, "trial", json_integer((json_int_t)event->trial->id));
    json_object_set_new(line, "kind", json_string(neo_trial_kind_name(event->trial->kind)));
    json_object_set_new(line, "ns", json_real(event->trial->ns));
    json_object_set_new(line, "improved", json_boolean(event->improved));
    if (event->kind == NEO_EVENT_FAILURE) {
      json_object_set_new(line, "text", json_string(event->trial->text));
      json_object_set_new(line, "schedule", json_string(event->schedule));
    }
  }
  neo_buf text = {0};
  neo_json_print(&text, line, false);
  fprintf(progress->out, "%s\n", text.data);
  fflush(progress->out);
  neo_buf_fini(&text);
  json_decref(line);
}

static void clear_table(cli_progress *progress) {
  if (progress->painted)
    fprintf(progress->out, "\033[%dA\033[J", progress->painted);
  progress->painted = 0;
}

static void paint(cli_progress *progress, const neo_project *project, const neo_task_state *state) {
  struct winsize size = {.ws_row = 24, .ws_col = 80};
  ioctl(fileno(progress->out), TIOCGWINSZ, &size);
  int rows = size.ws_row > 6 ? size.ws_row - 4 : 4, shown = 0,
      width = size.ws_col > 60 ? size.ws_col - 56 : 12;
  clear_table(progress);
  fprintf(progress->out, "%-*s %9s %9s %6s %7s %9s\n", width, "task", "MFLOP", "GFLOP/s", "gain",
          "trials", "us");
  for (int t = 0; t < project->n_tasks && shown < rows; t++) {
    if (state[t].trials == 0)
      continue;
    double gain = state[t].best_ns > 0 ? state[t].first_ns / state[t].best_ns : 0;
    fprintf(progress->out, "%-*.*s %9.2f %9.1f %5.2fx %7d %9.1f\n", width, width,
            project->task[t].group->name, project->task[t].flops / 1e6,
            state[t].best_ns > 0 ? project->task[t].flops / state[t].best_ns : 0, gain,
            state[t].trials, state[t].best_ns / 1e3);
    shown++;
  }
  double seconds = (double)(neo_now_ns(progress->ctx) - progress->start) / 1e9;
  double share = progress->limit > 0      ? (double)progress->trials / (double)progress->limit
                 : progress->budget_s > 0 ? seconds / progress->budget_s
                                          : 0;
  double left = share > 0.001 ? seconds / share - seconds : 0;
  fprintf(progress->out,
          "%lld trials, %.0f s, %.1f trials/s, about %.0f s left; Ctrl-C keeps everything\n",
          (long long)progress->trials, seconds,
          (double)progress->trials / (seconds > 0 ? seconds : 1), left > 0 ? left : 0);
  progress->painted = shown + 2;
  fflush(progress->out);
}

void cli_progress_event(void *self, const neo_project *project, const neo_task_state *state,
                        const neo_tune_event *event) {
  cli_progress *progress = self;
  progress->trials += event->trial != NULL;
  if (!progress->terminal) {
    json_line(progress, project, event);
    return;
  }
  if (event->kind == NEO_EVENT_FAILURE) {
    clear_table(progress);
    fprintf(progress->out, "first %s (%s, %s): %s\n  %s\n", neo_trial_kind_name(event->trial->kind),
            project->task[event->task].group->name, event->trial->phase, event->trial->text,
            event->schedule);
  }
  uint64_t now = neo_now_ns(progress->ctx);
  if (now - progress->last_paint > 100000000u || event->kind != NEO_EVENT_TRIAL) {
    progress->last_paint = now;
    paint(progress, project, state);
  }
}
