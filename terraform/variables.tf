# ---- must be given

variable "project_id" {
  type        = string
  description = "The Google Cloud project everything goes into, e.g. my-transit-lake."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project ID has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter. It is not the project's name or number."
  }
}

variable "image_tag" {
  type        = string
  description = "Tag of the image to run, as it was or will be pushed: a version or a commit. Going back is an older tag."

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "Give a tag that names one image for ever, such as v1.2.0 or a commit; \"latest\" does not."
  }
}

# ---- the pipeline

variable "feed_url" {
  type        = string
  default     = "http://web.mta.info/developers/data/nyct/turnstile"
  description = "The folder that holds turnstile_YYMMDD.txt (MTA_FEED_URL). The MTA has retired its own: name a mirror."

  validation {
    condition     = can(regex("^https?://[^\\s'\"$#\\\\]+$", var.feed_url))
    error_message = "An address that starts with http:// or https://, without blanks, quotes, $ or #."
  }
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "Further settings of the README's table, e.g. { MTA_LAST_WEEK = \"2024-04-20\" }. No secrets: they are readable in the machine's metadata and in Terraform's state."

  validation {
    condition     = alltrue([for name, value in var.settings : can(regex("^MTA_[A-Z_]+$", name)) && can(regex("^[^\\s'\"$#\\\\]*$", value))])
    error_message = "Names are MTA_…; values have no blanks, quotes, $, # or backslashes."
  }
  validation {
    condition     = !contains(keys(var.settings), "MTA_ALERT_URLS")
    error_message = "MTA_ALERT_URLS holds passwords: set it on the machine (docs/deploy.md)."
  }
}

# ---- people

variable "users" {
  type        = set(string)
  default     = []
  description = "Who may open the tunnel to the UI, e.g. [\"user:ana@example.com\", \"group:data@example.com\"]. Being on the machine, they can act with its rights."

  validation {
    condition     = alltrue([for member in var.users : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):.+$", member))])
    error_message = "Members are user:…, group:…, domain:…, serviceAccount:…, principal:… or principalSet:…; nobody anonymous."
  }
}

variable "admins" {
  type        = set(string)
  default     = []
  description = "Who may besides use sudo there: upgrades, logs, backup."

  validation {
    condition     = alltrue([for member in var.admins : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):.+$", member))])
    error_message = "Members are user:…, group:…, domain:…, serviceAccount:…, principal:… or principalSet:…; nobody anonymous."
  }
}

variable "analysts" {
  type        = set(string)
  default     = []
  description = "Who may read the lake and query it in BigQuery."

  validation {
    condition     = alltrue([for member in var.analysts : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):.+$", member))])
    error_message = "Members are user:…, group:…, domain:…, serviceAccount:…, principal:… or principalSet:…; nobody anonymous."
  }
}

variable "alert_email" {
  type        = string
  default     = null
  description = "Where to write when the machine is down or a disk is 80 % full. Unset, there is no alert."

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "A mail address."
  }
}

# ---- places and names

variable "region" {
  type        = string
  default     = "us-east1"
  description = "Where everything is: one of the cheapest regions, and near New York."

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "A region such as us-east1; neither a zone (us-east1-b) nor a multi-region (US)."
  }
}

variable "zone" {
  type        = string
  default     = null
  description = "Zone of the machine and its disk. Unset, the region's -b, which nearly all regions have."

  validation {
    condition     = var.zone == null || can(regex("^${var.region}-[a-z]$", var.zone))
    error_message = "A zone of the region: ${var.region}-b, for one."
  }
}

variable "name" {
  type        = string
  default     = "mta"
  description = "Name of the machine and network, and prefix of the rest. Another name makes a second installation in the same project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "2 to 20 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "bucket_name" {
  type        = string
  default     = null
  description = "Name of the lake's bucket, unique in the world; that of the logs has -logs after it. Unset, PROJECT-mta-lake."

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9_-]{1,56}[a-z0-9]$", var.bucket_name))
    error_message = "3 to 58 lower-case letters, digits, hyphens and underscores; no dots, no gs://."
  }
}

variable "subnet_range" {
  type        = string
  default     = "10.75.0.0/28"
  description = "Private range of the machine's subnetwork."

  validation {
    condition     = can(cidrnetmask(var.subnet_range)) && can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\.", var.subnet_range))
    error_message = "A private IPv4 range such as 10.75.0.0/28."
  }
}

# ---- sizes and times

variable "machine_type" {
  type        = string
  default     = "e2-medium"
  description = "Webserver, daemon, code server and Postgres need about 1.3 GB, each of two runs at a time up to 0.7 GB (those that make readings; 0.3 GB those that only fetch), the system and its agent about 0.5 GB: e2-medium has 4 GB. e2-small (2 GB, half the price) does for one run at a time that only fetches."

  validation {
    condition     = can(regex("^(e2|n2|n2d|t2d)-", var.machine_type)) && var.machine_type != "e2-micro"
    error_message = "An e2, n2, n2d or t2d machine (x86, and pd-balanced disks) with 2 GB or more: e2-small, e2-medium, e2-standard-2 …"
  }
}

variable "data_disk_gb" {
  type        = number
  default     = 20
  description = "Size of the disk for Postgres (under 1 GB for the whole history) and staging (2 GiB at most). It can grow, never shrink."

  validation {
    condition     = var.data_disk_gb >= 10 && var.data_disk_gb <= 2000 && floor(var.data_disk_gb) == var.data_disk_gb
    error_message = "10 to 2000, whole."
  }
}

variable "snapshot_days" {
  type        = number
  default     = 14
  description = "How long the data disk's daily snapshots are kept."

  validation {
    condition     = var.snapshot_days >= 1 && var.snapshot_days <= 365 && floor(var.snapshot_days) == var.snapshot_days
    error_message = "1 to 365, whole."
  }
}

variable "noncurrent_days" {
  type        = number
  default     = 30
  description = "How long replaced or deleted objects of the lake can be had back."

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "1 or more, whole."
  }
}

variable "nearline_after_days" {
  type        = number
  default     = 365
  description = "Age at which the lake's objects move to Nearline."

  validation {
    condition     = var.nearline_after_days >= 30 && floor(var.nearline_after_days) == var.nearline_after_days
    error_message = "30 or more, whole: younger objects may still be replaced, and Nearline bills 30 days at least."
  }
}

variable "log_days" {
  type        = number
  default     = 90
  description = "How long the output of runs is kept in the logs bucket."

  validation {
    condition     = var.log_days >= 1 && floor(var.log_days) == var.log_days
    error_message = "1 or more, whole."
  }
}

variable "deploy_dir" {
  type        = string
  default     = "../deploy"
  description = "Folder with compose.yaml, dagster.yaml and workspace.yaml, seen from here. For tests."
}
