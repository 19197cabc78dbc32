/* report/report_charts.h: inside report/ only: inline SVG charts. Axis labels are scale marks;
 * every other number in a chart is a cell of a table (html_cell_text). */
#ifndef NEO_REPORT_REPORT_CHARTS_H
#define NEO_REPORT_REPORT_CHARTS_H

#include "report/report_table.h"

/* HTML-escaped text. */
void report_escape(neo_buf *out, const char *text);
/* <TAG ATTRIBUTES data-cell="table/row/column">cell</TAG>; row from 0, printed from 1. */
void report_html_cell(neo_buf *out, const char *tag, const report_table *table, int row,
                      const char *column);

/* Best-so-far curve of task k, its trials as dots. */
void report_chart_curve(neo_buf *out, const report_doc *report, int k);
/* Predicted against measured time of all usable trials. */
void report_chart_predicted(neo_buf *out, const report_doc *report);
/* GFLOP/s over arithmetic intensity, before and after, under the roof. */
void report_chart_roofline(neo_buf *out, const report_doc *report);

#endif
