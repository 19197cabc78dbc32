/* report/report_table.h: inside report/ only: the tables of a report. Every number that is shown
 * anywhere is a cell of one of them, as text: page, CSV and JSON cannot disagree. */
#ifndef NEO_REPORT_REPORT_TABLE_H
#define NEO_REPORT_REPORT_TABLE_H

#include "report/report_data.h"

enum { REPORT_MAX_COLUMNS = 24 };

typedef struct report_table {
  const char *name;
  int n_columns, n_cells, cap_cells;
  const char *column[REPORT_MAX_COLUMNS];
  bool is_text[REPORT_MAX_COLUMNS];
  const char **cell; /* row by row */
} report_table;

/* X(enumerator, name): one CSV file each. */
#define REPORT_TABLES(X)                                                                           \
  X(SUMMARY, "summary")                                                                            \
  X(TASKS, "tasks")                                                                                \
  X(CURVES, "curves")                                                                              \
  X(TRIALS, "trials")                                                                              \
  X(OUTCOMES, "outcomes")                                                                          \
  X(ENVIRONMENT, "environment")

typedef enum report_table_id {
#define X(enumerator, name) REPORT_##enumerator,
  REPORT_TABLES(X)
#undef X
      REPORT_TABLE_COUNT
} report_table_id;

typedef struct report_doc {
  report_data data;
  report_table table[REPORT_TABLE_COUNT];
} report_doc;

/* Fills the tables from the data. */
void report_fill_tables(report_doc *report);
static inline int report_rows(const report_table *table) {
  return table->n_cells / table->n_columns;
}
/* Column by name; asserts that it exists. */
int report_column(const report_table *table, const char *name);
const char *report_cell(const report_table *table, int row, const char *column);
void report_print_csv(neo_buf *out, const report_table *table);
void report_print_json(neo_buf *out, const report_doc *report);
void report_print_html(neo_buf *out, const report_doc *report);

#endif
