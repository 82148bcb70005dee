#!/usr/bin/env bash
# Installs what the tests compare with and lean on (test/README.md): packages of this Debian or Ubuntu, and beside the
# distribution's restic and Compose the newest ones that a Debian suite carries, unpacked into .cache/peers. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  restic          # the oracle of the repository format
  rsync           # the oracle of restored trees
  attr acl        # extended attributes, POSIX ACLs
  libcap2-bin     # file capabilities
  e2fsprogs       # small file systems that fill up
  age             # encryption of exported archives
  xz-utils bzip2 libarchive-tools # archives that others write
  git zstd strace # corpora, frames, system calls counted
  redis-server    # a real dump for the demo
  rclone openssl  # servers of storages, and certificates for them
  radosgw ceph-mon ceph-osd # a real S3: signatures, policies, object lock
  openssh-server openssh-client # a real SFTP
  docker.io docker-compose busybox-static # a real Engine, Compose, and an image
  podman uidmap   # Podman's service in Docker's place, with and without root
  postgresql      # a real database in a container
  mariadb-server-core mariadb-client # another; without its service
)

if [ "$(id -u)" -ne 0 ]; then
  echo "install-peers: needs root to install: ${packages[*]}" >&2
  exit 1
fi

echo "== packages: ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# A policy of 101 keeps services (redis-server) from being started by their installation.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  made=1
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null

echo "== newest restic and Compose"
scripts/newest-peers.sh .cache/peers

echo "== promtool"
# That program alone: its package brings a server, a user and the scripts of web pages.
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"; [ -z "$made" ] || rm -f "$policy"' EXIT
(cd "$unpacked" && apt-get download -q -o APT::Sandbox::User=root prometheus >/dev/null)
dpkg --fsys-tarfile "$unpacked"/prometheus_*.deb | tar -x -C .cache/peers ./usr/bin/promtool
.cache/peers/usr/bin/promtool --version | head -n 1
