# What variables do, what they refuse, and what comes out.

mock_provider "google" {
  override_during = plan
}

variables {
  project_id = "my-transit-lake"
  image_tag  = "v1.0.0"
  deploy_dir = "tests/deploy"
}

run "outputs_can_be_pasted" {
  command = plan

  assert {
    condition     = output.lake_url == "gs://my-transit-lake-mta-lake"
    error_message = output.lake_url
  }
  assert {
    condition     = output.logs_bucket == "my-transit-lake-mta-lake-logs"
    error_message = output.logs_bucket
  }
  assert {
    condition     = output.image == "us-east1-docker.pkg.dev/my-transit-lake/mta/mta-pipeline:v1.0.0"
    error_message = output.image
  }
  assert {
    condition     = output.tunnel_command == "gcloud compute ssh mta --project=my-transit-lake --zone=us-east1-b --tunnel-through-iap -- -L 3000:localhost:3000 -N"
    error_message = output.tunnel_command
  }
  assert {
    condition     = output.readings_table == "my-transit-lake.mta.turnstile_readings"
    error_message = output.readings_table
  }
  assert {
    condition     = output.ridership_table == "my-transit-lake.mta.ridership"
    error_message = output.ridership_table
  }
}

run "the_machine_gets_the_settings" {
  command = plan

  variables {
    feed_url = "https://mirror.example.com/turnstile"
    settings = { MTA_LAST_WEEK = "2024-04-20", MTA_LAKE_URL = "gs://elsewhere" }
  }

  assert {
    condition = google_compute_instance.vm.metadata["mta-env"] == join("\n", [
      "MTA_COMPUTE_LOGS_BUCKET=my-transit-lake-mta-lake-logs",
      "MTA_FEED_URL=https://mirror.example.com/turnstile",
      "MTA_IMAGE=us-east1-docker.pkg.dev/my-transit-lake/mta/mta-pipeline:v1.0.0",
      "MTA_LAKE_URL=gs://my-transit-lake-mta-lake",
      "MTA_LAST_WEEK=2024-04-20",
    ])
    error_message = google_compute_instance.vm.metadata["mta-env"]
  }
  assert {
    condition     = alltrue([for name in ["compose", "dagster", "workspace"] : google_compute_instance.vm.metadata["mta-${name}-yaml"] == file("${path.module}/tests/deploy/${name}.yaml")])
    error_message = "A file of deploy/ does not get to the machine."
  }
  assert {
    condition     = startswith(google_compute_instance.vm.metadata["startup-script"], "#!/usr/bin/env bash\n")
    error_message = "The machine has no startup script."
  }
}

run "bigquery_reads_the_files_of_the_lake" {
  command = plan

  assert {
    condition     = one(google_bigquery_table.files.external_data_configuration).source_uris == tolist(["gs://my-transit-lake-mta-lake/turnstile/turnstile_*.csv.gz"]) && one(google_bigquery_table.files.external_data_configuration).compression == "GZIP" && one(one(google_bigquery_table.files.external_data_configuration).csv_options).skip_leading_rows == 1
    error_message = "The external table is not over the lake's weekly objects."
  }
  assert {
    condition     = join(",", [for column in jsondecode(one(google_bigquery_table.files.external_data_configuration).schema) : "${column.name} ${column.type}"]) == "ca STRING,unit STRING,scp STRING,station STRING,linename STRING,division STRING,date STRING,time STRING,desc STRING,entries STRING,exits STRING"
    error_message = "The columns are not those of the files, in their order."
  }
  assert {
    condition     = strcontains(one(google_bigquery_table.readings.view).query, "_FILE_NAME >= 'gs://my-transit-lake-mta-lake/turnstile/turnstile_141018'")
    error_message = "Files of the older layout are not left out."
  }
  assert {
    condition     = lower(google_bigquery_dataset.lake.location) == lower(google_storage_bucket.lake.location)
    error_message = "BigQuery can read a bucket only from a dataset in the same place."
  }
}

run "bigquery_reads_the_tables_of_the_lake_week_by_week" {
  command = plan

  assert {
    condition     = join(",", keys(google_bigquery_table.lake)) == "readings,readings_rejected,ridership,ridership_intervals" && alltrue([for name, table in google_bigquery_table.lake : table.table_id == name && length(table.description) > 20])
    error_message = "A table of the lake is missing, or not described."
  }
  assert {
    condition     = alltrue([for name, table in google_bigquery_table.lake : one(table.external_data_configuration).source_format == "PARQUET" && one(table.external_data_configuration).source_uris == tolist(["gs://my-transit-lake-mta-lake/${name}/*.parquet"])])
    error_message = "A table is not over its objects."
  }
  assert {
    condition     = alltrue([for name, table in google_bigquery_table.lake : one(one(table.external_data_configuration).hive_partitioning_options).mode == "CUSTOM" && one(one(table.external_data_configuration).hive_partitioning_options).source_uri_prefix == "gs://my-transit-lake-mta-lake/${name}/{week:DATE}"])
    error_message = "The weeks are not known from the objects' names."
  }
  assert {
    condition     = join(",", [for column in jsondecode(one(google_bigquery_table.lake["ridership"].external_data_configuration).schema) : "${column.name} ${column.type}"]) == "station STRING,line_names STRING,division STRING,day DATE,slot INTEGER,entries INTEGER,exits INTEGER"
    error_message = "The columns of ridership are others."
  }
  assert {
    condition     = alltrue(flatten([for table in google_bigquery_table.lake : [for column in jsondecode(one(table.external_data_configuration).schema) : length(column.description) > 5 && column.mode == "NULLABLE"]]))
    error_message = "A column is not described."
  }
}

run "a_second_installation_has_other_names" {
  command = plan

  variables {
    name        = "mta-staging"
    region      = "us-central1"
    zone        = "us-central1-f"
    bucket_name = "my-transit-lake-staging"
  }

  assert {
    condition     = google_bigquery_dataset.lake.dataset_id == "mta_staging" && google_compute_disk.data.zone == "us-central1-f" && output.lake_url == "gs://my-transit-lake-staging"
    error_message = "A name or place is not taken up."
  }
  assert {
    condition     = alltrue([for name in [google_compute_instance.vm.name, google_compute_network.pipeline.name, google_compute_disk.data.name, google_artifact_registry_repository.images.repository_id, google_service_account.pipeline.account_id] : startswith(name, "mta-staging")])
    error_message = "A name would clash with the first installation."
  }
}

run "an_alert_is_made_for_an_address_only" {
  command = plan

  assert {
    condition     = length(google_monitoring_alert_policy.vm) == 0 && length(google_monitoring_notification_channel.email) == 0
    error_message = "An alert without anybody to tell."
  }
}

run "an_alert_tells_that_address" {
  command = plan

  variables {
    alert_email = "ana@example.com"
  }

  assert {
    condition     = google_monitoring_notification_channel.email[0].labels.email_address == "ana@example.com" && length(google_monitoring_alert_policy.vm[0].notification_channels) == 1
    error_message = "The alert does not reach the address."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    project_id          = "My Lake"
    image_tag           = "latest"
    feed_url            = "ftp://mirror.example.com/turnstile"
    settings            = { PATH = "/tmp" }
    users               = ["allUsers"]
    admins              = ["ana@example.com"]
    analysts            = ["allAuthenticatedUsers"]
    alert_email         = "ana"
    region              = "us-east1-b"
    name                = "MTA"
    bucket_name         = "gs://lake"
    subnet_range        = "0.0.0.0/0"
    machine_type        = "e2-micro"
    data_disk_gb        = 5
    snapshot_days       = 0
    noncurrent_days     = 0
    nearline_after_days = 7
    log_days            = 1.5
  }

  expect_failures = [
    var.project_id, var.image_tag, var.feed_url, var.settings, var.users, var.admins, var.analysts, var.alert_email,
    var.region, var.name, var.bucket_name, var.subnet_range, var.machine_type, var.data_disk_gb, var.snapshot_days,
    var.noncurrent_days, var.nearline_after_days, var.log_days,
  ]
}

run "a_zone_elsewhere_is_refused" {
  command = plan

  variables {
    zone = "europe-west1-b"
  }

  expect_failures = [var.zone]
}

run "secrets_are_refused_as_settings" {
  command = plan

  variables {
    settings = { MTA_ALERT_URLS = "slack://a/b/c" }
  }

  expect_failures = [var.settings]
}

run "a_setting_cannot_smuggle_in_another" {
  command = plan

  variables {
    settings = { MTA_LAST_WEEK = "2024-04-20\nPOSTGRES_PASSWORD=x" }
  }

  expect_failures = [var.settings]
}
