#!/usr/bin/env bash
# Makes a fresh Debian 13 into the pipeline's machine, and brings the stack up. Runs as root at every start,
# and by hand after a change of its settings: sudo google_metadata_script_runner startup
# Every step looks first whether it is done. Its output: journalctl -u google-startup-scripts
set -euo pipefail
export HOME=/root DEBIAN_FRONTEND=noninteractive

DISK=/dev/disk/by-id/google-data # the persistent one
DATA=/srv/mta                    # where it is mounted; DATA_DIR of compose.yaml
STACK=/opt/mta                   # compose.yaml and its .env
SECRETS=$DATA/secrets

metadata() { curl -fsS --retry 5 -H 'Metadata-Flavor: Google' "http://metadata.google.internal/computeMetadata/v1/instance/$1"; }

mount_data() {
  local blank=0
  cmp --quiet --bytes=1048576 "$DISK" /dev/zero || blank=$?
  case $blank in
    0) mkfs.ext4 -q -m 0 "$DISK" ;; # a new disk is all zeros; anything else is never formatted
    1) ;;
    *) echo "cannot read $DISK"; return 1 ;;
  esac
  grep -q " $DATA " /etc/fstab || echo "$DISK $DATA ext4 defaults,discard,nofail 0 2" >>/etc/fstab
  # Without the disk Docker stays down: Postgres would begin an empty database in the folder under it.
  mkdir -p "$DATA" /etc/systemd/system/docker.service.d
  printf '[Unit]\nRequiresMountsFor=%s\n' "$DATA" >/etc/systemd/system/docker.service.d/data.conf
  systemctl daemon-reload
  mountpoint -q "$DATA" || mount "$DATA"
  resize2fs "$DISK" || echo "the file system of $DISK did not grow" # with data_disk_gb
}

install_docker() {
  docker compose version >/dev/null 2>&1 && return
  # Everything goes to the journal, which keeps its own size; containers outlive an upgrade of Docker.
  mkdir -p /etc/docker
  echo '{"log-driver": "journald", "live-restore": true}' >/etc/docker/daemon.json
  apt-get -o DPkg::Lock::Timeout=600 update -q
  apt-get -o DPkg::Lock::Timeout=600 install -qy --no-install-recommends \
    docker.io docker-cli docker-compose apparmor ca-certificates unattended-upgrades
}

make_password() {
  install -d -m 0700 "$SECRETS"
  [ -s "$SECRETS/postgres_password" ] ||
    (umask 077 && head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$SECRETS/postgres_password")
}

# compose.yaml, the files it mounts, and its .env, as they stand in the metadata now.
recreate=()
write_stack() {
  local name settings
  mkdir -p "$STACK"
  for name in compose.yaml dagster.yaml workspace.yaml; do
    metadata "attributes/mta-${name/./-}" >"$STACK/$name.new" || return
    # Compose does not notice that a file which it mounts has changed.
    cmp --quiet "$STACK/$name.new" "$STACK/$name" || recreate=(--force-recreate)
    mv "$STACK/$name.new" "$STACK/$name"
  done
  settings=$(metadata attributes/mta-env) || return
  (
    umask 077
    printf '%s\n' "$settings" "DATA_DIR=$DATA" "DOCKER_SOCK=/var/run/docker.sock" \
      "DOCKER_GID=$(stat --format=%g /var/run/docker.sock)" "POSTGRES_PASSWORD=$(cat "$SECRETS/postgres_password")" >"$STACK/.env"
    if [ -f "$SECRETS/env" ]; then cat "$SECRETS/env" >>"$STACK/.env"; fi # further secrets
  )
}

image() { sed -n 's/^MTA_IMAGE=//p' "$STACK/.env"; }

# With a token of the service account, which lasts an hour: long enough to pull.
pull() {
  local image
  image=$(image)
  metadata service-accounts/default/token | sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p' |
    docker login --username oauth2accesstoken --password-stdin "${image%%/*}" >/dev/null || return
  docker compose --project-directory "$STACK" pull --quiet
}

# The journal, containers included, goes to Cloud Logging; memory and disks go to Cloud Monitoring.
install_agent() {
  dpkg -s google-cloud-ops-agent >/dev/null 2>&1 || {
    curl -fsSo /tmp/add-ops-agent.sh https://dl.google.com/cloudagents/add-google-cloud-ops-agent-repo.sh &&
      bash /tmp/add-ops-agent.sh --also-install || return
  }
  cat >/etc/google-cloud-ops-agent/config.yaml <<'YAML'
logging:
  receivers:
    journal:
      type: systemd_journald
  service:
    pipelines:
      journal:
        receivers: [journal]
YAML
  systemctl restart google-cloud-ops-agent
}

mount_data
install_docker
make_password

# The first time the image may not have been pushed yet. What the metadata say is read anew at each try.
until write_stack && pull; do
  echo "waiting for $(image): pushed? allowed to pull? trying again in 30 s"
  sleep 30
done

# The image's user owns what it writes.
user=$(docker run --rm --network none --entrypoint id "$(image)" -u)
install -d -o "$user" "$DATA/mta-pipeline-staging"
mkdir -p "$DATA/postgres"

docker compose --project-directory "$STACK" up --detach --no-build --remove-orphans \
  --wait --wait-timeout 300 "${recreate[@]}"
echo "up: $(image)"

# Images to go back to are kept for a month.
docker image prune --all --force --filter until=720h >/dev/null
install_agent || echo "no Ops Agent: the machine works, but tells Cloud Logging and Cloud Monitoring less"
