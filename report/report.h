/* report/report.h: what a tuning run found, for people and for scripts.
 *
 * One self-contained HTML page (inline SVG, no network, no script), the same tables as CSV files,
 * and all of them as one JSON document; docs/formats/report.md lists tables and columns. */
#ifndef NEO_REPORT_REPORT_H
#define NEO_REPORT_REPORT_H

#include "tuning-db/tuning_db.h"

/* Writes dir/report.html, dir/report.json and dir/TABLE.csv (dir is made, files of an earlier
 * report are replaced one by one, never half). run 0: the latest run, or all records of a store
 * without runs. A run that does not exist is NEO_USAGE. The host JSON of the run and its note
 * "model", which driver/ writes, are used where they are there; a run that was killed has a report,
 * too. */
neo_status neo_report_write(neo_ctx *ctx, neo_db *db, int64_t run, const char *dir);

#endif
