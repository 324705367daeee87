# A mail when the machine is gone or a disk fills up. What becomes of the weeks, Dagster itself tells.

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  display_name = "MTA pipeline"
  type         = "email"
  labels       = { email_address = var.alert_email }

  depends_on = [google_project_service.apis]
}

resource "google_monitoring_alert_policy" "vm" {
  count = var.alert_email == null ? 0 : 1

  display_name          = "MTA pipeline: the machine"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email[0].id]

  conditions {
    display_name = "Down for 10 minutes"
    condition_absent {
      filter   = "resource.type = \"gce_instance\" AND resource.labels.instance_id = \"${google_compute_instance.vm.instance_id}\" AND metric.type = \"compute.googleapis.com/instance/uptime_total\""
      duration = "600s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MEAN"
      }
    }
  }

  conditions {
    display_name = "A disk is 80 % full"
    condition_threshold {
      filter          = "resource.type = \"gce_instance\" AND resource.labels.instance_id = \"${google_compute_instance.vm.instance_id}\" AND metric.type = \"agent.googleapis.com/disk/percent_used\" AND metric.labels.state = \"used\""
      comparison      = "COMPARISON_GT"
      threshold_value = 80
      duration        = "300s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MEAN"
      }
    }
  }

  documentation {
    content = "docs/deploy.md of the project tells where its logs are and how to restore it."
  }
}
