# SQL over the lake's objects where they are; nothing is copied.

locals {
  # Written by `make lake-tables` from the one place where columns are described, mta_pipeline/domain/.
  lake_tables = jsondecode(file("${path.module}/lake_tables.json"))
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

    # All are strings: the last one is padded with blanks, and the lines of older files are under this table too.
    schema = jsonencode(local.lake_tables.files.schema)
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

# The Parquet that is made of the files: one table each, whose column `week` is in the objects' names, so that a
# query that names weeks reads no others.
resource "google_bigquery_table" "lake" {
  #checkov:skip=CKV_GCP_80: holds no data of its own
  #checkov:skip=CKV_GCP_121: holds no data of its own
  for_each = local.lake_tables.tables

  dataset_id  = google_bigquery_dataset.lake.dataset_id
  table_id    = each.key
  description = each.value.description

  deletion_protection = false

  external_data_configuration {
    autodetect    = false
    source_format = "PARQUET"
    source_uris   = ["${local.lake_url}/${each.key}/*.parquet"]

    # The type of `week` is told, not looked for: there may be no object yet.
    hive_partitioning_options {
      mode              = "CUSTOM"
      source_uri_prefix = "${local.lake_url}/${each.key}/{week:DATE}"
    }

    # In this block, not beside it: there it would leave the partitions out.
    schema = jsonencode(each.value.schema)
  }
}
