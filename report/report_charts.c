/* Inline SVG charts of the report.
 *
 * Why by hand: a page that opens anywhere for years has no library and no script in it. A chart is
 * a viewBox with a plot area; values go through two scales (log or linear). Many points are one
 * path of zero-length strokes with round caps, which is ten bytes a point.
 *
 * Colours and fonts are CSS classes (report_html.c), so that light, dark and print are one page. */
#include "report/report_charts.h"

#include <math.h>
#include <string.h>

void report_escape(neo_buf *out, const char *text) {
  for (; *text; text++) {
    const char *as = *text == '<'   ? "&lt;"
                     : *text == '>' ? "&gt;"
                     : *text == '&' ? "&amp;"
                     : *text == '"' ? "&quot;"
                                    : NULL;
    if (as)
      neo_buf_text(out, as);
    else
      neo_buf_u8(out, (uint8_t)*text);
  }
}

void report_html_cell(neo_buf *out, const char *tag, const report_table *table, int row,
                      const char *column) {
  size_t name = strcspn(tag, " ");
  neo_buf_printf(out, "<%s data-cell=\"%s/%d/%s\">", tag, table->name, row + 1, column);
  report_escape(out, report_cell(table, row, column));
  neo_buf_printf(out, "</%.*s>", (int)name, tag);
}

/* ---- scales ---------------------------------------------------------------------------------------- */

/* [low, high] of values -> [from, to] of pixels. */
typedef struct scale {
  double low, high, from, to;
  bool log;
} scale;

static double at(const scale *s, double v) {
  double t = s->log ? log(v / s->low) / log(s->high / s->low) : (v - s->low) / (s->high - s->low);
  return s->from + fmin(fmax(t, -0.02), 1.02) * (s->to - s->from);
}

static void widen(scale *s, double v) {
  if (!(v > 0))
    return;
  s->low = s->high > 0 ? fmin(s->low, v) : v;
  s->high = fmax(s->high, v);
}

/* Room at both ends; never empty. */
static void settle(scale *s) {
  if (!(s->high > 0)) {
    s->low = 0.1;
    s->high = 1;
  }
  if (s->log) {
    double room = fmax(pow(s->high / s->low, 0.06), 1.05);
    s->low /= room;
    s->high *= room;
  } else {
    s->high = fmax(s->high, s->low + 1);
  }
}

static void tick_text(neo_buf *out, double v) {
  if (v >= 1000)
    neo_buf_printf(out, "%gk", v / 1000);
  else
    neo_buf_printf(out, "%g", v);
}

/* A grid line and its label. */
static void tick(neo_buf *out, const scale *x, const scale *y, double v, bool horizontal) {
  if (horizontal) {
    neo_buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", x->from, at(y, v), x->to);
    neo_buf_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                   x->from - 5, at(y, v) + 4);
  } else {
    neo_buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", at(x, v), y->from, y->to);
    neo_buf_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                   at(x, v), y->from + 15);
  }
  tick_text(out, v);
  neo_buf_text(out, "</text>");
}

/* Round steps, two to four of them. whole: only integers. */
static void linear_ticks(neo_buf *out, const scale *x, const scale *y, bool horizontal,
                         bool whole) {
  const scale *s = horizontal ? y : x;
  double raw = (s->high - s->low) / 2.5;
  double unit = pow(10, floor(log10(raw)));
  double step = raw / unit >= 5 ? 5 * unit : raw / unit >= 2 ? 2 * unit : unit;
  if (whole)
    step = fmax(step, 1);
  for (int k = (int)ceil(s->low / step); k * step <= s->high; k++)
    tick(out, x, y, k * step, horizontal);
}

/* 1 2 5 in each decade if they fit; decades are skipped when there are many; round steps when the
 * scale is so short that hardly one would be on it. */
static void log_ticks(neo_buf *out, const scale *x, const scale *y, bool horizontal) {
  const scale *s = horizontal ? y : x;
  double decades = log10(s->high / s->low);
  int steps = decades < 2.2 ? 3 : 1;
  int stride = decades > 5 ? (int)ceil(decades / 5) : 1;
  static const double factor[] = {1, 2, 5};
  if (decades < 0.5) {
    linear_ticks(out, x, y, horizontal, false);
    return;
  }
  for (int d = (int)floor(log10(s->low)); d <= (int)ceil(log10(s->high)); d++)
    for (int i = 0; i < steps && d % stride == 0; i++) {
      double v = pow(10, d) * factor[i];
      if (v >= s->low && v <= s->high)
        tick(out, x, y, v, horizontal);
    }
}

static void open_chart(neo_buf *out, int width, int height, const char *label) {
  neo_buf_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", width, height);
  report_escape(out, label);
  neo_buf_text(out, "\">");
}

static void axis_title(neo_buf *out, double x, double y, const char *anchor, const char *text) {
  neo_buf_printf(out, "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", x,
                 y, anchor, text);
}

static void dot(neo_buf *out, const scale *x, const scale *y, double vx, double vy) {
  neo_buf_printf(out, "M%.1f %.1fh0", at(x, vx), at(y, vy));
}

/* ---- best-so-far ------------------------------------------------------------------------------------- */

enum { CURVE_WIDTH = 300, CURVE_HEIGHT = 150 };

static void curve_scales(const report_doc *report, int k, scale *x, scale *y) {
  const report_data *data = &report->data;
  const report_task *task = &data->task[k];
  *x = (scale){.low = 0, .high = task->trials, .from = 38, .to = CURVE_WIDTH - 10};
  *y = (scale){.from = CURVE_HEIGHT - 24, .to = 10, .log = true};
  for (int i = 0; i < data->n_trials; i++)
    if (data->trial[i].task == k && data->trial[i].usable)
      widen(y, data->trial[i].ns / 1e3);
  if (y->high > 20 * y->low) /* a few hopeless candidates must not flatten the rest */
    y->high = 20 * y->low;
  settle(x);
  settle(y);
}

static void curve_dots(neo_buf *out, const report_data *data, int k, const scale *x,
                       const scale *y) {
  int seen = 0;
  neo_buf_text(out, "<path class=\"dots\" d=\"");
  for (int i = 0; i < data->n_trials; i++) {
    if (data->trial[i].task != k)
      continue;
    seen++;
    if (data->trial[i].usable && data->trial[i].ns / 1e3 <= y->high)
      dot(out, x, y, seen, data->trial[i].ns / 1e3);
  }
  neo_buf_text(out, "\"/>");
}

static void curve_line(neo_buf *out, const report_data *data, int k, const scale *x,
                       const scale *y) {
  double best = 0;
  int seen = 0;
  neo_buf_text(out, "<path class=\"line\" d=\"");
  for (int i = 0; i < data->n_trials; i++) {
    const report_trial *trial = &data->trial[i];
    if (trial->task != k)
      continue;
    seen++;
    if (!trial->usable || (best > 0 && trial->ns >= best))
      continue;
    if (best > 0)
      neo_buf_printf(out, "H%.1fV%.1f", at(x, seen), at(y, trial->ns / 1e3));
    else
      neo_buf_printf(out, "M%.1f %.1f", at(x, seen), at(y, trial->ns / 1e3));
    best = trial->ns;
  }
  if (best > 0)
    neo_buf_printf(out, "H%.1f", at(x, seen));
  neo_buf_text(out, "\"/>");
}

void report_chart_curve(neo_buf *out, const report_doc *report, int k) {
  scale x, y;
  curve_scales(report, k, &x, &y);
  open_chart(out, CURVE_WIDTH, CURVE_HEIGHT, "best time so far over trials");
  log_ticks(out, &x, &y, true);
  linear_ticks(out, &x, &y, false, true);
  curve_dots(out, &report->data, k, &x, &y);
  curve_line(out, &report->data, k, &x, &y);
  neo_buf_text(out, "</svg>");
}

/* ---- predicted against measured ------------------------------------------------------------------------ */

enum { WIDE = 480, HIGH = 360 };

void report_chart_predicted(neo_buf *out, const report_doc *report) {
  const report_data *data = &report->data;
  scale both = {.log = true};
  for (int i = 0; i < data->n_trials; i++)
    if (data->trial[i].usable && data->trial[i].predicted_ns > 0) {
      widen(&both, data->trial[i].ns / 1e3);
      widen(&both, data->trial[i].predicted_ns / 1e3);
    }
  settle(&both);
  scale x = both, y = both;
  x.from = 48;
  x.to = WIDE - 12;
  y.from = HIGH - 44;
  y.to = 14;
  open_chart(out, WIDE, HIGH, "predicted against measured time of each trial");
  log_ticks(out, &x, &y, true);
  log_ticks(out, &x, &y, false);
  neo_buf_printf(out, "<path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>", x.from, y.from, x.to,
                 y.to);
  neo_buf_text(out, "<path class=\"dots strong\" d=\"");
  for (int i = 0; i < data->n_trials; i++)
    if (data->trial[i].usable && data->trial[i].predicted_ns > 0)
      dot(out, &x, &y, data->trial[i].predicted_ns / 1e3, data->trial[i].ns / 1e3);
  neo_buf_text(out, "\"/>");
  axis_title(out, (x.from + x.to) / 2, HIGH - 8, "middle", "predicted, &#181;s");
  axis_title(out, x.from + 6, y.to + 10, "start", "measured, &#181;s");
  neo_buf_text(out, "</svg>");
}

/* ---- roofline ------------------------------------------------------------------------------------------ */

static double intensity(const report_task *task) {
  return task->bytes > 0 ? task->flops / task->bytes : 0;
}

static bool on_roofline(const report_task *task) {
  return intensity(task) > 0 && task->after_ns > 0 && task->before_ns > 0;
}

static void roofline_scales(const report_data *data, scale *x, scale *y) {
  *x = (scale){.from = 48, .to = WIDE - 12, .log = true};
  *y = (scale){.from = HIGH - 44, .to = 14, .log = true};
  for (int i = 0; i < data->n_tasks; i++) {
    const report_task *task = &data->task[i];
    if (!on_roofline(task))
      continue;
    widen(x, intensity(task));
    widen(y, report_gflops(task->flops, task->before_ns));
    widen(y, report_gflops(task->flops, task->after_ns));
  }
  if (data->peak_gflops > 0 && data->bandwidth > 0)
    widen(x, data->peak_gflops / data->bandwidth);
  widen(y, data->peak_gflops);
  settle(x);
  settle(y);
}

/* bandwidth * intensity up to the peak. */
static void roof(neo_buf *out, const report_doc *report, const scale *x, const scale *y) {
  const report_data *data = &report->data;
  const report_table *environment = &report->table[REPORT_ENVIRONMENT];
  if (!(data->peak_gflops > 0))
    return;
  double knee = data->bandwidth > 0 ? data->peak_gflops / data->bandwidth : x->low;
  neo_buf_printf(out, "<path class=\"roof\" d=\"");
  if (data->bandwidth > 0) {
    double from = fmax(x->low, y->low / data->bandwidth);
    neo_buf_printf(out, "M%.1f %.1fL%.1f %.1f", at(x, from), at(y, from * data->bandwidth),
                   at(x, knee), at(y, data->peak_gflops));
  } else {
    neo_buf_printf(out, "M%.1f %.1f", x->from, at(y, data->peak_gflops));
  }
  neo_buf_printf(out, "H%.1f\"/><text class=\"note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                 x->to, x->to - 4, at(y, data->peak_gflops) + 15);
  report_html_cell(out, "tspan", environment, 0, "peak_gflops");
  neo_buf_text(out, " GFLOP/s peak");
  if (data->bandwidth > 0) {
    neo_buf_text(out, ", ");
    report_html_cell(out, "tspan", environment, 0, "bandwidth_gb_s");
    neo_buf_text(out, " GB/s");
  }
  neo_buf_text(out, "</text>");
}

static void roofline_task(neo_buf *out, const report_doc *report, int k, const scale *x,
                          const scale *y) {
  const report_task *task = &report->data.task[k];
  double before = report_gflops(task->flops, task->before_ns);
  double after = report_gflops(task->flops, task->after_ns);
  double cx = at(x, intensity(task));
  neo_buf_printf(out,
                 "<path class=\"gain\" d=\"M%.1f %.1fV%.1f\"/><circle class=\"before\" cx=\"%.1f\" "
                 "cy=\"%.1f\" r=\"3\"/><circle class=\"after\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>",
                 cx, at(y, before), at(y, after), cx, at(y, before), cx, at(y, after));
  if (k >= 12) /* the costliest are named; more would hide the points */
    return;
  neo_buf_printf(out, "<text class=\"note\" x=\"%.1f\" y=\"%.1f\">", cx + 6, at(y, after) + 4);
  report_html_cell(out, "tspan", &report->table[REPORT_TASKS], k, "nr");
  neo_buf_text(out, "</text>");
}

void report_chart_roofline(neo_buf *out, const report_doc *report) {
  scale x, y;
  roofline_scales(&report->data, &x, &y);
  open_chart(out, WIDE, HIGH, "speed over arithmetic intensity, before and after tuning");
  log_ticks(out, &x, &y, true);
  log_ticks(out, &x, &y, false);
  roof(out, report, &x, &y);
  for (int k = report->data.n_tasks - 1; k >= 0; k--)
    if (on_roofline(&report->data.task[k]))
      roofline_task(out, report, k, &x, &y);
  axis_title(out, (x.from + x.to) / 2, HIGH - 8, "middle", "FLOP per byte of inputs and outputs");
  axis_title(out, x.from + 6, y.to + 10, "start", "GFLOP/s");
  neo_buf_text(out, "</svg>");
}
