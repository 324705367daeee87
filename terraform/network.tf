# A network of its own, with one way in (IAP) and one way out (NAT).

locals {
  # Where Google's Identity-Aware Proxy forwards from, and nobody else.
  iap_range = "35.235.240.0/20"
}

resource "google_compute_network" "pipeline" {
  name                    = var.name
  auto_create_subnetworks = false
  # What Docker's networks take for granted; Google's default is 1460.
  mtu = 1500

  depends_on = [google_project_service.apis]
}

resource "google_compute_subnetwork" "pipeline" {
  #checkov:skip=CKV_GCP_26: flow logs of one machine that only dials out; Cloud NAT logs its errors
  #checkov:skip=CKV_GCP_76: the network has no IPv6
  name          = var.name
  network       = google_compute_network.pipeline.id
  region        = var.region
  ip_cidr_range = var.subnet_range

  # Buckets, registry and logs are reached without leaving Google's network.
  private_ip_google_access = true
}

resource "google_compute_firewall" "iap_ssh" {
  name        = "${var.name}-iap-ssh"
  network     = google_compute_network.pipeline.id
  description = "SSH through Identity-Aware Proxy; the UI comes through it as a forwarded port"
  direction   = "INGRESS"

  source_ranges           = [local.iap_range]
  target_service_accounts = [google_service_account.pipeline.email]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

# The feed, Debian's packages and Docker Hub are outside Google.
resource "google_compute_router" "pipeline" {
  name    = var.name
  network = google_compute_network.pipeline.id
  region  = var.region
}

resource "google_compute_router_nat" "pipeline" {
  name                               = var.name
  router                             = google_compute_router.pipeline.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.pipeline.id
    source_ip_ranges_to_nat = ["PRIMARY_IP_RANGE"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
