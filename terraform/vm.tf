# One machine that can be thrown away at any time, and one disk that can't.

locals {
  # compose.yaml's .env, less the Postgres password, which startup.sh makes on the disk: secrets in metadata
  # are also in Terraform's state.
  env = merge(var.settings, {
    MTA_IMAGE               = local.image
    MTA_LAKE_URL            = local.lake_url
    MTA_FEED_URL            = var.feed_url
    MTA_COMPUTE_LOGS_BUCKET = google_storage_bucket.logs.name
  })
}

# Postgres (Dagster's record of everything), its password, and the staged files.
resource "google_compute_disk" "data" {
  #checkov:skip=CKV_GCP_37: public data and a record of runs; Google's own encryption is enough
  name = "${var.name}-data"
  zone = local.zone
  type = "pd-balanced"
  size = var.data_disk_gb

  # Neither `terraform destroy` nor another zone may take it away unasked.
  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.apis]
}

resource "google_compute_resource_policy" "daily_snapshot" {
  name   = "${var.name}-daily"
  region = var.region

  snapshot_schedule_policy {
    schedule {
      daily_schedule {
        days_in_cycle = 1
        start_time    = "08:00" # UTC: night in New York
      }
    }
    retention_policy {
      max_retention_days    = var.snapshot_days
      on_source_disk_delete = "KEEP_AUTO_SNAPSHOTS"
    }
    snapshot_properties {
      storage_locations = [var.region]
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_compute_disk_resource_policy_attachment" "daily_snapshot" {
  name = google_compute_resource_policy.daily_snapshot.name
  disk = google_compute_disk.data.name
  zone = local.zone
}

resource "google_compute_instance" "vm" {
  #checkov:skip=CKV_GCP_38: see the disk
  name         = var.name
  zone         = local.zone
  machine_type = var.machine_type

  # Another machine type needs a stop; runs that it interrupts are started again.
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      # Debian 13, the first whose own packages have Compose v2.
      image = "debian-cloud/debian-13"
      type  = "pd-balanced"
      size  = 20
    }
  }

  attached_disk {
    source      = google_compute_disk.data.id
    device_name = "data" # startup.sh: /dev/disk/by-id/google-data
  }

  # No access_config: no public address.
  network_interface {
    subnetwork = google_compute_subnetwork.pipeline.id
  }

  service_account {
    email = google_service_account.pipeline.email
    # Scopes are the old way; what it may do is in iam.tf.
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  # Changed in place. The machine takes it up at its next start, or when startup.sh is run again (docs/deploy.md).
  metadata = {
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
    serial-port-enable     = "FALSE"

    startup-script     = file("${path.module}/startup.sh")
    mta-env            = join("\n", [for name, value in local.env : "${name}=${value}"])
    mta-compose-yaml   = file("${path.module}/${var.deploy_dir}/compose.yaml")
    mta-dagster-yaml   = file("${path.module}/${var.deploy_dir}/dagster.yaml")
    mta-workspace-yaml = file("${path.module}/${var.deploy_dir}/workspace.yaml")
  }

  # The first start already needs the way out, and its rights.
  depends_on = [
    google_artifact_registry_repository_iam_member.pull,
    google_compute_router_nat.pipeline,
    google_storage_bucket_iam_member.lake_objects,
    google_storage_bucket_iam_member.logs,
  ]
}
