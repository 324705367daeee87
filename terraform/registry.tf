resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84: the image holds no secrets; Google's own encryption is enough
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "The pipeline's image"

  # A tag names one image for ever, so that going back to it is going back.
  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.apis]
}
