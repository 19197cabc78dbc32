/* The report's page: one HTML file with its style inside, no script, nothing fetched.
 *
 * Design: what matters first (latency before and after), then where the time goes (the table of
 * layers with bars), then how it was found (curves), whether the model can be trusted (scatter),
 * what is left (roofline), what went wrong (outcomes), and on what (environment). It reads on a
 * phone (charts shrink, tables scroll sideways), in print, in light and dark. Colours hold against
 * both backgrounds: blue is "after", grey is "before", red is failure; nothing is said by colour
 * alone.
 *
 * Invariant: every number in the text is inside an element with data-cell="table/row/column" and
 * equals that cell of the CSV; axis labels have class "tick". A test holds the page against it. */
#include <math.h>
#include <string.h>

#include "report/report_charts.h"

static const char style[] =
    ":root{--ink:#17202a;--soft:#5d6b7a;--line:#dde3ea;--paper:#fff;--card:#f6f8fa;--after:#1f6feb;"
    "--before:#a9b4c0;--bad:#c0392b;--good:#1a7f4b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa7b4;--line:#30363d;"
    "--paper:#0d1117;--card:#161b22;--after:#58a6ff;--before:#6b7784;--bad:#ff7b72;"
    "--good:#56d364}}\n"
    "@media "
    "print{:root{--ink:#000;--soft:#444;--line:#ccc;--paper:#fff;--card:#fff;--after:#1f6feb;"
    "--before:#a9b4c0;--bad:#b00;--good:#060}.card,tr,figure{break-inside:avoid}"
    "main{max-width:none;padding:0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\n"
    "main{max-width:1240px;margin:0 auto;padding:28px 18px 48px}\n"
    "h1{font-size:26px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}\n"
    "h2{font-size:18px;margin:40px 0 4px}\n"
    "p{margin:4px 0 14px;color:var(--soft);max-width:72ch}\n"
    ".tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;"
    "margin:20px 0 0}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px "
    "14px;min-width:0}\n"
    ".big{font-size:25px;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}\n"
    ".big small{font-size:14px;font-weight:400;color:var(--soft);margin-left:3px}\n"
    ".label{color:var(--soft);font-size:13px}\n"
    ".win{color:var(--good)}.after-ink{color:var(--after)}\n"
    ".wide{overflow-x:auto;border:1px solid var(--line);border-radius:10px}\n"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}\n"
    "th,td{padding:6px 9px;text-align:left;border-top:1px solid var(--line);white-space:nowrap}\n"
    "thead th{border-top:0;background:var(--card);color:var(--soft);font-weight:500}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".name{max-width:17em;overflow:hidden;text-overflow:ellipsis}\n"
    ".bar{width:20%;min-width:120px}.bar svg{display:block;width:100%;height:16px}\n"
    ".long{white-space:normal;overflow-wrap:anywhere;min-width:16em}\n"
    "code{font:12px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\n"
    ".bad{color:var(--bad)}\n"
    ".grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));"
    "gap:14px}\n"
    ".curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));"
    "gap:12px}\n"
    "figure{margin:0}figcaption{font-size:13px;overflow:hidden;text-overflow:ellipsis;"
    "white-space:nowrap}figcaption b{font-weight:600}\n"
    "figcaption span{color:var(--soft)}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible}\n"
    "svg text{fill:var(--soft);font:11.5px system-ui,sans-serif}\n"
    "svg .axis{fill:var(--soft)}svg .note{fill:var(--ink);font-size:11.5px}\n"
    ".grid{stroke:var(--line);stroke-width:1;fill:none}\n"
    ".line{stroke:var(--after);stroke-width:2.2;fill:none;stroke-linejoin:round}\n"
    ".dots{stroke:var(--before);stroke-width:3.6;stroke-linecap:round;fill:none;opacity:.85}\n"
    ".dots.strong{stroke:var(--after);stroke-width:4;opacity:.45}\n"
    ".ideal,.gain{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 3;fill:none}\n"
    ".gain{stroke-dasharray:none;opacity:.5}\n"
    ".roof{stroke:var(--ink);stroke-width:1.8;fill:none}\n"
    "circle.before{fill:var(--paper);stroke:var(--before);stroke-width:1.8}"
    "circle.after{fill:var(--after)}\n"
    "rect.before{fill:var(--before)}rect.after{fill:var(--after)}\n"
    "@media(max-width:700px){.tiles{grid-template-columns:1fr 1fr}.name{max-width:8.5em}"
    ".bar{min-width:84px}.big{font-size:22px}}\n"
    ".key{white-space:nowrap}.key "
    "i{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 5px 0 "
    "12px;vertical-align:-1px}\n"
    "footer{margin-top:44px;border-top:1px solid var(--line);padding-top:12px;color:var(--soft);"
    "font-size:13px}\n";

static bool is_empty(const report_table *table, int row, const char *column) {
  return !*report_cell(table, row, column);
}

/* ---- head and tiles ------------------------------------------------------------------------------------ */

static void tile(neo_buf *out, const report_doc *report, const char *column, const char *unit,
                 const char *label) {
  const report_table *summary = &report->table[REPORT_SUMMARY];
  if (is_empty(summary, 0, column))
    return;
  neo_buf_text(out, "<div class=\"card\"><div class=\"big\">");
  report_html_cell(out, strcmp(column, "speedup") == 0 ? "span class=\"win\"" : "span", summary, 0,
                   column);
  neo_buf_printf(out, "<small>%s</small></div><div class=\"label\">%s</div></div>\n", unit, label);
}

static void print_head(neo_buf *out, const report_doc *report) {
  const report_table *summary = &report->table[REPORT_SUMMARY];
  const report_table *environment = &report->table[REPORT_ENVIRONMENT];
  neo_buf_text(out, "<h1>");
  report_html_cell(out, "span", summary, 0, "model");
  neo_buf_text(out, "</h1>\n<p>Tuning run ");
  report_html_cell(out, "span", summary, 0, "run");
  neo_buf_text(out, ", ");
  report_html_cell(out, "span", summary, 0, "state");
  neo_buf_text(out, ", on ");
  report_html_cell(out, "span", environment, 0,
                   is_empty(environment, 0, "processor") ? "target" : "processor");
  neo_buf_text(out, " with ");
  report_html_cell(out, "span", environment, 0, "threads");
  neo_buf_text(out, " thread(s)</p>\n<div class=\"tiles\">\n");
  tile(out, report, "before_ms", "ms", "latency before tuning (sum of its layers)");
  tile(out, report, "after_ms", "ms", "latency after tuning");
  tile(out, report, "speedup", "&#215;", "faster");
  tile(out, report, "gflops_after", "GFLOP/s", "speed of the whole model now");
  tile(out, report, "peak_percent", "%", "of the machine's peak");
  tile(out, report, "trials", "trials", "candidates built, verified and timed");
  tile(out, report, "trials_per_second", "trials/s", "from start to end");
  tile(out, report, "seconds", "s", "tuning time");
  neo_buf_text(out, "</div>\n");
}

/* ---- layers --------------------------------------------------------------------------------------------- */

/* Two bars, before above after, of the task's share of the model's time. */
static void print_bars(neo_buf *out, const report_task *task, double longest) {
  double before = longest > 0 ? 100 * task->weight * task->before_ns / longest : 0;
  double after = longest > 0 ? 100 * task->weight * task->after_ns / longest : 0;
  neo_buf_printf(out,
                 "<td class=\"bar\"><svg viewBox=\"0 0 100 16\" preserveAspectRatio=\"none\" "
                 "aria-hidden=\"true\"><rect class=\"before\" y=\"1\" width=\"%.2f\" "
                 "height=\"6\"/><rect class=\"after\" y=\"8\" width=\"%.2f\" "
                 "height=\"7\"/></svg></td>",
                 before, after);
}

static const struct {
  const char *column, *title;
} layer_columns[] = {
    {"weight", "&#215;"},        {"before_us", "before, &#181;s"}, {"after_us", "after, &#181;s"},
    {"speedup", "faster"},       {"share_percent", "share, %"},    {"gflops_after", "GFLOP/s"},
    {"peak_percent", "peak, %"}, {"openblas_us", "OpenBLAS"},      {"trials", "trials"},
    {"failed", "failed"},
};

static bool column_is_empty(const report_table *table, const char *column) {
  for (int row = 0; row < report_rows(table); row++)
    if (!is_empty(table, row, column))
      return false;
  return true;
}

static void print_layer(neo_buf *out, const report_doc *report, int k, double longest) {
  const report_table *tasks = &report->table[REPORT_TASKS];
  neo_buf_text(out, "<tr>");
  report_html_cell(out, "td class=\"n\"", tasks, k, "nr");
  report_html_cell(out, "td class=\"name\"", tasks, k, "name");
  print_bars(out, &report->data.task[k], longest);
  for (int c = 0; c < NEO_COUNT(layer_columns); c++)
    if (!column_is_empty(tasks, layer_columns[c].column))
      report_html_cell(out, "td class=\"n\"", tasks, k, layer_columns[c].column);
  neo_buf_text(out, "</tr>\n");
}

static void print_layers(neo_buf *out, const report_doc *report) {
  const report_data *data = &report->data;
  const report_table *tasks = &report->table[REPORT_TASKS];
  double longest = 0;
  for (int k = 0; k < data->n_tasks; k++) {
    const report_task *task = &data->task[k];
    longest = fmax(longest, task->weight * fmax(task->before_ns, task->after_ns));
  }
  neo_buf_text(out,
               "<h2>Before and after, layer by layer</h2>\n<p>Each row is one fused operator, "
               "the costliest first. Before: the schedule used without tuning. The bars are its "
               "time in the whole model. <span class=\"key\"><i "
               "style=\"background:var(--before)\"></i>before<i "
               "style=\"background:var(--after)\"></i>after</span></p>\n"
               "<div class=\"wide\"><table><thead><tr><th "
               "class=\"n\">nr</th><th>layer</th><th>time in the model</th>");
  for (int c = 0; c < NEO_COUNT(layer_columns); c++)
    if (!column_is_empty(tasks, layer_columns[c].column))
      neo_buf_printf(out, "<th class=\"n\">%s</th>", layer_columns[c].title);
  neo_buf_text(out, "</tr></thead><tbody>\n");
  for (int k = 0; k < data->n_tasks; k++)
    print_layer(out, report, k, longest);
  neo_buf_text(out, "</tbody></table></div>\n");
}

/* ---- charts --------------------------------------------------------------------------------------------- */

/* ": before -> after us", where both are known. */
static void print_gain(neo_buf *out, const report_table *tasks, int k) {
  if (is_empty(tasks, k, "before_us") || is_empty(tasks, k, "after_us"))
    return;
  neo_buf_text(out, "<br>");
  report_html_cell(out, "span", tasks, k, "before_us");
  neo_buf_text(out, " &#8594; ");
  report_html_cell(out, "span class=\"after-ink\"", tasks, k, "after_us");
  neo_buf_text(out, " &#181;s");
}

static void print_curves(neo_buf *out, const report_doc *report) {
  const report_table *tasks = &report->table[REPORT_TASKS];
  neo_buf_text(out, "<h2>Best time so far</h2>\n<p>Over the trials of each layer; dots are single "
                    "trials, far slower ones are left out.</p>\n<div class=\"curves\">\n");
  for (int k = 0; k < report->data.n_tasks; k++) {
    if (report->data.task[k].trials == 0)
      continue;
    neo_buf_text(out, "<figure class=\"card\"><figcaption><b>");
    report_html_cell(out, "span", tasks, k, "nr");
    neo_buf_text(out, "</b> ");
    report_html_cell(out, "span", tasks, k, "name");
    print_gain(out, tasks, k);
    neo_buf_text(out, "</figcaption>");
    report_chart_curve(out, report, k);
    neo_buf_text(out, "</figure>\n");
  }
  neo_buf_text(out, "</div>\n");
}

static void print_model_charts(neo_buf *out, const report_doc *report) {
  neo_buf_text(out, "<div class=\"grid2\">\n<section><h2>Predicted and measured</h2>\n"
                    "<p>The analytic model's prediction of every trial. On the dashed line it is "
                    "right; what counts for the search is that the order is right.</p>\n"
                    "<figure class=\"card\">");
  report_chart_predicted(out, report);
  neo_buf_text(out,
               "</figure></section>\n<section><h2>Roofline</h2>\n<p>How fast each layer runs, "
               "for the work it does per byte. The solid line is what the machine can do; "
               "algorithms that save multiplications (Winograd) may pass it. Numbers are those "
               "of the table.</p>\n<figure class=\"card\">");
  report_chart_roofline(out, report);
  neo_buf_text(out, "<figcaption class=\"key\"><i style=\"border:2px solid "
                    "var(--before)\"></i>before<i "
                    "style=\"background:var(--after)\"></i>after</figcaption></figure></section>\n"
                    "</div>\n");
}

/* ---- outcomes and environment ---------------------------------------------------------------------------- */

static void print_outcomes(neo_buf *out, const report_doc *report) {
  const report_table *outcomes = &report->table[REPORT_OUTCOMES];
  int failures = 0;
  for (int row = 0; row < report_rows(outcomes); row++)
    failures += strcmp(report_cell(outcomes, row, "usable"), "no") == 0;
  neo_buf_printf(out, "<h2>Outcomes of the trials</h2>\n<p>%s</p>\n",
                 failures
                     ? "Failures are kept with the first text of each kind; no failed candidate "
                       "can become the best."
                     : "No trial failed.");
  neo_buf_text(out, "<div class=\"wide\"><table><thead><tr><th>outcome</th><th "
                    "class=\"n\">trials</th><th class=\"n\">%</th><th class=\"n\">first in "
                    "nr</th><th>in</th><th>first text</th></tr></thead><tbody>\n");
  for (int row = 0; row < report_rows(outcomes); row++) {
    bool bad = strcmp(report_cell(outcomes, row, "usable"), "no") == 0;
    neo_buf_text(out, "<tr>");
    report_html_cell(out, bad ? "td class=\"bad\"" : "td", outcomes, row, "kind");
    report_html_cell(out, "td class=\"n\"", outcomes, row, "trials");
    report_html_cell(out, "td class=\"n\"", outcomes, row, "percent");
    report_html_cell(out, "td class=\"n\"", outcomes, row, "first_nr");
    report_html_cell(out, "td", outcomes, row, "phase");
    report_html_cell(out, "td class=\"long\"", outcomes, row, "text");
    neo_buf_text(out, "</tr>\n");
  }
  neo_buf_text(out, "</tbody></table></div>\n");
}

static void print_environment(neo_buf *out, const report_doc *report) {
  static const struct {
    const char *column, *title;
  } rows[] = {
      {"processor", "processor"},
      {"peak_gflops", "measured peak, GFLOP/s"},
      {"bandwidth_gb_s", "measured bandwidth, GB/s"},
      {"threads", "threads"},
      {"target", "target"},
      {"neo", "Neo"},
      {"command", "command"},
      {"seed", "seed"},
      {"first_trial", "first trial"},
      {"last_trial", "last trial"},
  };
  const report_table *environment = &report->table[REPORT_ENVIRONMENT];
  neo_buf_text(out, "<h2>Environment</h2>\n<div class=\"wide\"><table><tbody>\n");
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    if (is_empty(environment, 0, rows[i].column))
      continue;
    neo_buf_printf(out, "<tr><th>%s</th>", rows[i].title);
    report_html_cell(out, "td class=\"long\"", environment, 0, rows[i].column);
    neo_buf_text(out, "</tr>\n");
  }
  neo_buf_text(out, "</tbody></table></div>\n");
}

void report_print_html(neo_buf *out, const report_doc *report) {
  neo_buf_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
  report_escape(out, report->data.run.model);
  neo_buf_text(out, " - tuning report</title>\n<style>\n");
  neo_buf_text(out, style);
  neo_buf_text(out, "</style></head>\n<body><main>\n");
  print_head(out, report);
  print_layers(out, report);
  print_curves(out, report);
  print_model_charts(out, report);
  print_outcomes(out, report);
  print_environment(out, report);
  neo_buf_text(out, "<footer>The same numbers: ");
  for (int i = 0; i < REPORT_TABLE_COUNT; i++)
    neo_buf_printf(out, "<a href=\"%s.csv\">%s.csv</a>, ", report->table[i].name,
                   report->table[i].name);
  neo_buf_text(out, "<a href=\"report.json\">report.json</a>.</footer>\n</main></body></html>\n");
}
