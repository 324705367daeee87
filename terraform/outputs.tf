locals {
  ssh = "gcloud compute ssh ${google_compute_instance.vm.name} --project=${var.project_id} --zone=${local.zone} --tunnel-through-iap"
}

output "lake_url" {
  description = "MTA_LAKE_URL"
  value       = local.lake_url
}

output "logs_bucket" {
  description = "MTA_COMPUTE_LOGS_BUCKET: what runs print"
  value       = google_storage_bucket.logs.name
}

output "image" {
  description = "What to push, and what the machine runs"
  value       = local.image
}

output "tunnel_command" {
  description = "Opens the UI on http://localhost:3000, as long as it runs"
  value       = "${local.ssh} -- -L 3000:localhost:3000 -N"
}

output "ssh_command" {
  description = "A shell on the machine; add --command='…' for one command"
  value       = local.ssh
}

output "service_account" {
  description = "Whom the pipeline acts as"
  value       = google_service_account.pipeline.email
}

output "readings_table" {
  description = "What to query in BigQuery"
  value       = "${var.project_id}.${google_bigquery_table.readings.dataset_id}.${google_bigquery_table.readings.table_id}"
}

output "ridership_table" {
  description = "Entries and exits by station, day and slot, in BigQuery"
  value       = "${var.project_id}.${google_bigquery_table.lake["ridership"].dataset_id}.${google_bigquery_table.lake["ridership"].table_id}"
}
