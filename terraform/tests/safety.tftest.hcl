# What must never be otherwise: who can reach what, and what cannot be lost. Planned against mocks of Google.

mock_provider "google" {
  override_during = plan

  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/my-transit-lake/serviceAccounts/mta-pipeline@my-transit-lake.iam.gserviceaccount.com"
      email  = "mta-pipeline@my-transit-lake.iam.gserviceaccount.com"
      member = "serviceAccount:mta-pipeline@my-transit-lake.iam.gserviceaccount.com"
    }
  }
}

variables {
  project_id = "my-transit-lake"
  image_tag  = "v1.0.0"
  deploy_dir = "tests/deploy"
}

run "buckets_are_private_and_keep_what_is_replaced" {
  command = plan

  assert {
    condition     = alltrue([for bucket in [google_storage_bucket.lake, google_storage_bucket.logs] : bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced"])
    error_message = "A bucket could be made public."
  }
  assert {
    condition     = google_storage_bucket.lake.versioning[0].enabled && !google_storage_bucket.lake.force_destroy && google_storage_bucket.lake.soft_delete_policy[0].retention_duration_seconds == 604800
    error_message = "The lake could lose objects."
  }
  assert {
    condition = jsonencode([for rule in google_storage_bucket.lake.lifecycle_rule : [one(rule.action).type, one(rule.action).storage_class, one(rule.condition).days_since_noncurrent_time, one(rule.condition).age]]) == jsonencode([
      ["Delete", null, 30, null],
      ["AbortIncompleteMultipartUpload", null, null, 7],
      ["SetStorageClass", "NEARLINE", null, 365],
    ])
    error_message = "The lake's lifecycle is not: replaced objects go after 30 days, abandoned uploads after 7, old ones to Nearline. Nothing else may be deleted."
  }
  assert {
    condition     = length(google_storage_bucket.lake.retention_policy) == 0
    error_message = "A retention policy keeps weeks from being replaced, and does not go with versioning."
  }
}

run "the_machine_may_use_objects_of_its_buckets_and_little_else" {
  command = plan

  variables {
    users    = ["user:ana@example.com", "user:bo@example.com"]
    admins   = ["user:bo@example.com"]
    analysts = ["group:data@example.com"]
  }

  assert {
    condition     = google_storage_bucket_iam_member.lake_objects.role == "roles/storage.objectUser" && google_storage_bucket_iam_member.lake_objects.bucket == "my-transit-lake-mta-lake" && google_storage_bucket_iam_member.lake_objects.member == google_service_account.pipeline.member
    error_message = "The pipeline should have object rights on the lake's bucket, and no others on it."
  }
  assert {
    condition     = google_artifact_registry_repository_iam_member.pull.role == "roles/artifactregistry.reader"
    error_message = "The machine only pulls."
  }
  assert {
    condition     = toset(keys(google_project_iam_member.telemetry)) == toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])
    error_message = "The service account has other rights on the project."
  }
  # Grants that are added later have to pass here, whatever they are called.
  assert {
    condition     = sort(flatten([for file in fileset(path.module, "*.tf") : regexall("resource \"google_project_iam_\\w+\" \"\\w+\"", file("${path.module}/${file}"))])) == sort([for name in ["analysts", "login", "telemetry"] : "resource \"google_project_iam_member\" \"${name}\""])
    error_message = "A new grant on the project: is it needed, and is it none on storage?"
  }
  assert {
    condition     = alltrue([for member in concat(values(google_project_iam_member.telemetry), values(google_project_iam_member.login), values(google_project_iam_member.analysts)) : !strcontains(member.role, "storage") && !contains(["roles/owner", "roles/editor", "roles/viewer"], member.role)])
    error_message = "Rights on storage are given on a bucket, never on the project."
  }
  assert {
    condition     = alltrue([for file in fileset(path.module, "*.tf") : length(regexall("all(Authenticated)?Users", file("${path.module}/${file}"))) == 0])
    error_message = "Something is granted to everybody."
  }
  assert {
    condition     = !anytrue([for file in fileset(path.module, "*.tf") : length(regexall("google_service_account_key", file("${path.module}/${file}"))) > 0])
    error_message = "There are no keys."
  }
  assert {
    condition     = { for member, grant in google_project_iam_member.login : member => grant.role } == { "user:ana@example.com" = "roles/compute.osLogin", "user:bo@example.com" = "roles/compute.osAdminLogin" }
    error_message = "Users log in, admins with sudo."
  }
  assert {
    condition     = alltrue([for grant in google_project_iam_member.login : strcontains(one(grant.condition).expression, "/zones/us-east1-b/instances/mta')")])
    error_message = "Logging in is for this machine only."
  }
  assert {
    condition     = toset(keys(google_iap_tunnel_instance_iam_member.people)) == toset(["user:ana@example.com", "user:bo@example.com"]) && alltrue([for grant in google_iap_tunnel_instance_iam_member.people : grant.role == "roles/iap.tunnelResourceAccessor" && grant.instance == "mta"])
    error_message = "Both come through the tunnel to this machine."
  }
}

run "nobody_gets_in_unasked" {
  command = plan

  assert {
    condition     = length(google_iap_tunnel_instance_iam_member.people) + length(google_project_iam_member.login) + length(google_storage_bucket_iam_member.analysts) == 0
    error_message = "Somebody is let in by default."
  }
}

run "the_machine_is_out_of_reach_but_through_iap" {
  command = plan

  assert {
    condition     = alltrue([for interface in google_compute_instance.vm.network_interface : length(interface.access_config) == 0 && length(interface.ipv6_access_config) == 0])
    error_message = "The machine has a public address."
  }
  assert {
    condition     = jsonencode([google_compute_firewall.iap_ssh.source_ranges, [for rule in google_compute_firewall.iap_ssh.allow : [rule.protocol, rule.ports]]]) == jsonencode([["35.235.240.0/20"], [["tcp", ["22"]]]])
    error_message = "Only IAP's range may come in, and on SSH's port only."
  }
  assert {
    condition     = google_compute_firewall.iap_ssh.target_service_accounts == toset([google_service_account.pipeline.email])
    error_message = "The rule is for the pipeline's machine only."
  }
  assert {
    condition     = length(flatten([for file in fileset(path.module, "*.tf") : regexall("resource \"google_compute_firewall", file("${path.module}/${file}"))])) == 1
    error_message = "Another firewall rule: what does it let in?"
  }
  assert {
    condition     = !google_compute_network.pipeline.auto_create_subnetworks && google_compute_subnetwork.pipeline.private_ip_google_access
    error_message = "A network of its own, with Google's services reachable from inside."
  }
  assert {
    condition     = one(google_compute_instance.vm.shielded_instance_config).enable_secure_boot && one(google_compute_instance.vm.shielded_instance_config).enable_vtpm && one(google_compute_instance.vm.shielded_instance_config).enable_integrity_monitoring
    error_message = "The machine is not shielded."
  }
  assert {
    condition     = google_compute_instance.vm.metadata["enable-oslogin"] == "TRUE" && google_compute_instance.vm.metadata["block-project-ssh-keys"] == "TRUE" && google_compute_instance.vm.metadata["serial-port-enable"] == "FALSE"
    error_message = "There are ways in beside OS Login."
  }
  assert {
    condition     = one(google_compute_instance.vm.service_account).email == google_service_account.pipeline.email
    error_message = "The machine must not run as the project's default account."
  }
}

run "no_secret_is_in_the_metadata_or_the_state" {
  command = plan

  assert {
    condition     = !strcontains(lower(google_compute_instance.vm.metadata["mta-env"]), "password")
    error_message = "The Postgres password is made on the machine."
  }
}

run "the_data_disk_is_apart_and_has_snapshots" {
  command = plan

  assert {
    condition     = one(google_compute_instance.vm.attached_disk).device_name == "data"
    error_message = "startup.sh looks for /dev/disk/by-id/google-data."
  }
  assert {
    condition     = one(one(google_compute_resource_policy.daily_snapshot.snapshot_schedule_policy).retention_policy).max_retention_days == 14 && one(one(google_compute_resource_policy.daily_snapshot.snapshot_schedule_policy).retention_policy).on_source_disk_delete == "KEEP_AUTO_SNAPSHOTS"
    error_message = "Snapshots must outlive the disk."
  }
  assert {
    condition     = google_compute_disk_resource_policy_attachment.daily_snapshot.disk == google_compute_disk.data.name && google_compute_disk_resource_policy_attachment.daily_snapshot.name == google_compute_resource_policy.daily_snapshot.name
    error_message = "The schedule is not the data disk's."
  }
}
