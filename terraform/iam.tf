# Who may do what. The machine: objects of its own two buckets, its own image, and telling how it is.
# People: the tunnel to this one machine; SQL over the lake.

resource "google_service_account" "pipeline" {
  account_id   = "${var.name}-pipeline"
  display_name = "MTA turnstile pipeline"
  description  = "Attached to the VM; there are no keys of it"

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket_iam_member" "lake_objects" {
  bucket = google_storage_bucket.lake.name
  role   = "roles/storage.objectUser"
  member = google_service_account.pipeline.member
}

resource "google_storage_bucket_iam_member" "logs" {
  for_each = toset([
    "roles/storage.objectUser",
    # Dagster's GCSComputeLogManager asks whether its bucket exists, which takes storage.buckets.get.
    "roles/storage.legacyBucketReader",
  ])

  bucket = google_storage_bucket.logs.name
  role   = each.value
  member = google_service_account.pipeline.member
}

resource "google_artifact_registry_repository_iam_member" "pull" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.pipeline.member
}

# These two exist for projects only. They let write, not read.
resource "google_project_iam_member" "telemetry" {
  for_each = toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])

  project = var.project_id
  role    = each.value
  member  = google_service_account.pipeline.member
}

# ---- people

locals {
  login_roles = merge(
    { for member in var.users : member => "roles/compute.osLogin" },
    { for member in var.admins : member => "roles/compute.osAdminLogin" },
  )
}

resource "google_iap_tunnel_instance_iam_member" "people" {
  for_each = local.login_roles

  zone     = local.zone
  instance = google_compute_instance.vm.name
  role     = "roles/iap.tunnelResourceAccessor"
  member   = each.key
}

# On the project, because `gcloud compute ssh` looks at the project as well; of its machines, for this one only.
resource "google_project_iam_member" "login" {
  for_each = local.login_roles

  project = var.project_id
  role    = each.value
  member  = each.key

  condition {
    title      = "only-${var.name}"
    expression = "resource.type != 'compute.googleapis.com/Instance' || resource.name.endsWith('/zones/${local.zone}/instances/${var.name}')"
  }
}

# OS Login asks for this right where a machine has a service account: who is on it can act as it.
resource "google_service_account_iam_member" "people" {
  for_each = local.login_roles

  service_account_id = google_service_account.pipeline.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.key
}

# A query over an external table reads the objects with the rights of the one who asks.
resource "google_storage_bucket_iam_member" "analysts" {
  for_each = var.analysts

  bucket = google_storage_bucket.lake.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_bigquery_dataset_iam_member" "analysts" {
  for_each = var.analysts

  dataset_id = google_bigquery_dataset.lake.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.value
}

resource "google_project_iam_member" "analysts" {
  for_each = var.analysts

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = each.value
}
