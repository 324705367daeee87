# SQL over the lake's objects where they are; nothing is copied.

locals {
  # Columns of the files since 2014-10-18 (mta_pipeline/domain/layouts.py). All are strings: the last one is
  # padded with blanks, and the lines of older files are under this table too.
  turnstile_columns = [
    { name = "ca", description = "Control area: the booth or bank of turnstiles, e.g. A002." },
    { name = "unit", description = "Remote unit: the station's number in the fare system, e.g. R051." },
    { name = "scp", description = "Subunit, channel, position: the turnstile within its area, e.g. 02-00-00." },
    { name = "station", description = "Name of the station the turnstile is in." },
    { name = "linename", description = "Lines that can be boarded there, a character each, e.g. NQR456W." },
    { name = "division", description = "Line the station belonged to: BMT, IRT, IND, or PTH, SRT, RIT." },
    { name = "date", description = "Day of the reading in New York, MM/DD/YYYY." },
    { name = "time", description = "Time of the reading in New York, HH:MM:SS, normally every four hours." },
    { name = "desc", description = "REGULAR, or RECOVR AUD for a missed audit that was recovered." },
    { name = "entries", description = "Cumulative entry register, 10 digits; not a count of the interval." },
    { name = "exits", description = "Cumulative exit register, 10 digits; not a count of the interval." },
  ]
}

resource "google_bigquery_dataset" "lake" {
  #checkov:skip=CKV_GCP_81: holds no data of its own
  dataset_id  = replace(var.name, "-", "_")
  location    = var.region # must be the bucket's
  description = "New York's subway turnstile files, as they are in ${local.lake_url}"

  depends_on = [google_project_service.apis]
}

resource "google_bigquery_table" "files" {
  #checkov:skip=CKV_GCP_80: holds no data of its own
  #checkov:skip=CKV_GCP_121: holds no data of its own
  dataset_id  = google_bigquery_dataset.lake.dataset_id
  table_id    = "turnstile_files"
  description = "The lines of all files as published. Rather query turnstile_readings."

  deletion_protection = false

  external_data_configuration {
    autodetect    = false
    source_format = "CSV"
    compression   = "GZIP"
    source_uris   = ["${local.lake_url}/turnstile/turnstile_*.csv.gz"]

    # Files before 2014-10-18 fit the wildcard but not the columns (three keys, then up to eight readings a
    # line): their lines are let through here, and left out by the view.
    ignore_unknown_values = true

    csv_options {
      quote             = ""
      skip_leading_rows = 1
      allow_jagged_rows = true
      encoding          = "UTF-8"
    }

    schema = jsonencode([
      for column in local.turnstile_columns : merge(column, { type = "STRING", mode = "NULLABLE" })
    ])
  }
}

resource "google_bigquery_table" "readings" {
  #checkov:skip=CKV_GCP_80: holds no data of its own
  #checkov:skip=CKV_GCP_121: holds no data of its own
  dataset_id  = google_bigquery_dataset.lake.dataset_id
  table_id    = "turnstile_readings"
  description = "One row a reading since 2014-10-11, typed. Entries and exits are registers: riders are differences."

  deletion_protection = false

  # SAFE: lines of older files must not end a query, in whatever order it is carried out. In audited files
  # of this layout nothing becomes NULL by it.
  view {
    use_legacy_sql = false
    query          = <<-SQL
      SELECT
        ca, unit, scp, station, linename, division,
        SAFE.PARSE_DATE('%m/%d/%Y', date) AS date,
        SAFE.PARSE_TIME('%H:%M:%S', time) AS time,
        `desc` AS description,
        SAFE_CAST(entries AS INT64) AS entries,
        SAFE_CAST(RTRIM(exits) AS INT64) AS exits,
        _FILE_NAME AS file
      FROM `${var.project_id}.${google_bigquery_table.files.dataset_id}.${google_bigquery_table.files.table_id}`
      WHERE _FILE_NAME >= '${local.lake_url}/turnstile/turnstile_141018'
    SQL
  }
}
