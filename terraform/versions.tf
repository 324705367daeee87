terraform {
  # 1.11: `terraform test` can mock computed values while planning.
  required_version = ">= 1.11, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }
}

# Credentials are never settings here: `gcloud auth application-default login` provides them.
provider "google" {
  project        = var.project_id
  region         = var.region
  zone           = local.zone
  default_labels = { app = "mta-pipeline" }
}
