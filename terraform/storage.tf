# The lake, and apart from it the logs of Dagster's runs: they are needed for weeks, not for years, and
# whoever reads the lake need not read them.

resource "google_storage_bucket" "lake" {
  #checkov:skip=CKV_GCP_62: usage logs would cost more than the lake; Cloud Audit Logs can be turned on for the project
  name     = local.bucket_name
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # A bucket with objects in it is never deleted by Terraform.
  force_destroy = false

  # A week that is replaced can be had back for so long ...
  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.noncurrent_days
    }
    action {
      type = "Delete"
    }
  }

  # ... and what was deleted for good, or with the whole bucket, for a week more.
  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 60 * 60
  }

  # Resumable uploads, which the pipeline uses, end by themselves after a week; multipart ones of other tools don't.
  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  # Weeks don't change once they are a year old. Reading them then costs a cent a GB, storing them half.
  lifecycle_rule {
    condition {
      age                   = var.nearline_after_days
      matches_storage_class = ["STANDARD"]
    }
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket" "logs" {
  #checkov:skip=CKV_GCP_62: holds logs itself
  #checkov:skip=CKV_GCP_78: logs are written once and expire
  name     = "${local.bucket_name}-logs"
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age = var.log_days
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.apis]
}
