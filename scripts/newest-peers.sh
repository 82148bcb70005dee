#!/usr/bin/env bash
# Unpacks the newest restic and docker-compose that Debian's suites carry into a folder (DIR/usr/bin), without touching the system's
# packages. The mirror is the one that this machine's apt uses; apt itself, in a private tree, checks signatures and sums.
# Usage: scripts/newest-peers.sh DIR
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
suites=(trixie forky sid)

. /etc/os-release
[ "${ID:-}" = debian ] || { echo "newest-peers: apt's mirror of this system (${ID:-unknown}) is not Debian's; put a newer restic and docker-compose into $target/usr/bin yourself" >&2; exit 1; }
# indextargets knows both forms of source lists. The release's own line names the archive; security and backports have others.
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | awk -v release="$VERSION_CODENAME" '$1 == release || $1 == "stable" { print $2; exit }')
[ -n "$mirror" ] || { echo "newest-peers: apt's sources name no archive for $VERSION_CODENAME" >&2; exit 1; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{etc/sources.d,lists/partial,cache/archives/partial}
: >"$tree/status"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options=
[ -r "$keyring" ] && options="[signed-by=$keyring] "
private_apt() {
  apt-get -q -o Dir::Etc::SourceList="$tree/etc/sources.list" -o Dir::Etc::SourceParts="$tree/etc/sources.d" -o Dir::Etc::Preferences=/dev/null \
    -o Dir::Etc::PreferencesParts="$tree/etc/sources.d" -o Dir::State::Lists="$tree/lists" -o Dir::State::Status="$tree/status" \
    -o Dir::Cache="$tree/cache" -o Dir::Cache::Archives="$tree/cache/archives" -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o Acquire::Retries=3 -o APT::Get::List-Cleanup=0 "$@"
}

# A suite that the mirror lacks, or whose key this system does not know yet, is left out and said so.
usable=()
for suite in "${suites[@]}"; do
  echo "deb $options$mirror $suite main" >"$tree/etc/sources.list"
  if private_apt -o APT::Update::Error-Mode=any update >"$tree/log" 2>&1; then usable+=("$suite"); else
    echo "newest-peers: suite $suite left out: $(grep -m1 -E '^(E|W|Err):' "$tree/log" | sed -E 's#https?://[^ ]*##g')" >&2
  fi
done
[ ${#usable[@]} -gt 0 ] || { echo "newest-peers: no newer suite could be read" >&2; exit 1; }
printf "deb $options$mirror %s main\n" "${usable[@]}" >"$tree/etc/sources.list"
private_apt update >/dev/null

# Of versions with equal priority apt takes the newest.
(cd "$tree" && private_apt download restic docker-compose >/dev/null)
for package in "$tree"/*.deb; do dpkg -x "$package" "$target"; done
"$target/usr/bin/restic" version
"$target/usr/bin/docker-compose" version
