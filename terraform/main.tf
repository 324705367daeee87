# What everything else builds on: names, and the Google services that must be on.
# storage.tf the lake · iam.tf who may do what · network.tf · vm.tf the machine and its disk ·
# registry.tf the image's home · bigquery.tf SQL over the lake · monitoring.tf an optional alert.

locals {
  zone        = coalesce(var.zone, "${var.region}-b")
  bucket_name = coalesce(var.bucket_name, "${var.project_id}-mta-lake")
  lake_url    = "gs://${google_storage_bucket.lake.name}"

  registry_host = "${var.region}-docker.pkg.dev"
  image         = "${local.registry_host}/${var.project_id}/${google_artifact_registry_repository.images.repository_id}/mta-pipeline:${var.image_tag}"
}

resource "google_project_service" "apis" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "iap.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "oslogin.googleapis.com",
    "storage.googleapis.com",
  ])

  service = each.value
  # Others in the project may need it when this is gone.
  disable_on_destroy = false
}
