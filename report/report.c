/* Writes a run's report: the page, the tables, the document (report.h).
 *
 * Why files and not a server: a report is read in the morning, mailed, printed, kept beside the
 * model. Every file is written whole and then renamed into place. */
#include "report/report.h"

#include "report/report_table.h"

static neo_status write_file(neo_ctx *ctx, const char *dir, const char *name, const neo_buf *text) {
  neo_buf path = {0};
  neo_buf_printf(&path, "%s/%s", dir, name);
  neo_status status = path.failed || text->failed
                          ? neo_fail(ctx, NEO_NO_MEMORY, "report %s: out of memory", name)
                          : neo_file_write(ctx, path.data, text->data, text->size);
  neo_buf_fini(&path);
  return status;
}

static neo_status write_tables(neo_ctx *ctx, const report_doc *report, const char *dir) {
  for (int i = 0; i < REPORT_TABLE_COUNT; i++) {
    char name[64];
    neo_buf text = {0};
    snprintf(name, sizeof(name), "%s.csv", report->table[i].name);
    report_print_csv(&text, &report->table[i]);
    neo_status status = write_file(ctx, dir, name, &text);
    neo_buf_fini(&text);
    NEO_TRY(status);
  }
  return NEO_OK;
}

static neo_status write_document(neo_ctx *ctx, const report_doc *report, const char *dir,
                                 const char *name, void (*print)(neo_buf *, const report_doc *)) {
  neo_buf text = {0};
  print(&text, report);
  neo_status status = write_file(ctx, dir, name, &text);
  neo_buf_fini(&text);
  return status;
}

neo_status neo_report_write(neo_ctx *ctx, neo_db *db, int64_t run, const char *dir) {
  report_doc report = {0};
  neo_status status = report_data_read(ctx, db, run, &report.data);
  if (status == NEO_OK) {
    report_fill_tables(&report);
    status = neo_dir_create(ctx, dir);
  }
  if (status == NEO_OK)
    status = write_tables(ctx, &report, dir);
  if (status == NEO_OK)
    status = write_document(ctx, &report, dir, "report.json", report_print_json);
  if (status == NEO_OK)
    status = write_document(ctx, &report, dir, "report.html", report_print_html);
  neo_arena_fini(&report.data.arena);
  return status;
}
