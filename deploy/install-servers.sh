#!/bin/sh
# Makes sure that this machine has what `make` needs: a C compiler, PostgreSQL and redis-server. With `--for-tests` also
# PgBouncer, libfaketime for processes with a wrong clock, Prometheus, and Python with virtual environments. Only tests need these.
# With `--for-image` only what `make image-check` needs: buildah, crun and mmdebstrap.
#
# On Debian and Ubuntu the script installs the missing packages, as root or with sudo. It installs programs only: it makes
# no cluster, and starts no service now or at the next boot. On other systems, or without the right to install, the script
# names the missing packages and exits with 1. It does not change installed packages.
set -eu

say() { printf '%s\n' "$*" >&2; }

has_postgres() {
    if command -v postgres >/dev/null && command -v initdb >/dev/null; then return 0; fi
    for program in /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /usr/local/pgsql/bin/postgres; do
        if [ -x "$program" ]; then return 0; fi
    done
    return 1
}

has_faketime() {
    for library in /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1; do
        if [ -e "$library" ]; then return 0; fi
    done
    return 1
}

has_python() {
    command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null
}

missing() {
    if [ "$for_image" = yes ]; then
        for program in buildah crun mmdebstrap; do
            command -v "$program" >/dev/null || printf ' %s' "$program"
        done
        return 0
    fi
    command -v cc >/dev/null || printf ' build-essential'
    has_postgres || printf ' postgresql'
    command -v redis-server >/dev/null || printf ' redis-server'
    if [ "$for_tests" = yes ]; then
        command -v pgbouncer >/dev/null || printf ' pgbouncer'
        has_faketime || printf ' libfaketime'
        { command -v prometheus && command -v promtool; } >/dev/null || printf ' prometheus'
        has_python || printf ' python3 python3-venv'
    fi
}

# These files are changed during the install. `restore` restores them, however the install ends.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
policy_is_ours=no
restore() {
    status=$?
    if [ "$policy_is_ours" = yes ]; then rm -f "$policy"; fi
    if [ -e "$clusters.before-leasehold" ]; then mv "$clusters.before-leasehold" "$clusters"; fi
    if [ "$status" != 0 ]; then say "could not install:$packages"; fi
}

# apt-get without questions and without starting services.
apt() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2
}

install_packages() {
    trap restore EXIT
    trap 'exit 130' INT TERM HUP
    if [ ! -e "$policy" ]; then
        policy_is_ours=yes
        printf '#!/bin/sh\n# During an install: start no service.\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt update || say "apt-get update failed; continuing with the existing package lists"
    case " $* " in
    *' postgresql '*)
        apt install -y --no-install-recommends postgresql-common
        if [ -e "$clusters" ]; then
            cp -p "$clusters" "$clusters.before-leasehold"
            printf '\ncreate_main_cluster = false\n' >>"$clusters"
        fi
        ;;
    esac
    apt install -y --no-install-recommends "$@"
    for service in redis-server pgbouncer prometheus; do
        case " $* " in
        *" $service "*)
            # The package enables the service for the next boot.
            if command -v systemctl >/dev/null; then systemctl disable "$service" >/dev/null 2>&1 || true; fi
            ;;
        esac
    done
}

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
for_tests=no
for_image=no
case "${1-}" in
--for-tests) for_tests=yes ;;
--for-image) for_image=yes ;;
esac
packages=$(missing)
if [ -z "$packages" ]; then exit 0; fi
say "missing on this machine:$packages"

give_up() {
    say "$1; install these packages yourself, then run this again:$packages"
    exit 1
}

command -v apt-get >/dev/null || give_up "this system is neither Debian nor Ubuntu"
if [ "$(id -u)" = 0 ]; then
    # Each word of the list is a package name.
    # shellcheck disable=SC2086
    install_packages $packages
elif ! command -v sudo >/dev/null; then
    give_up "not root, and there is no sudo"
elif sudo -n true 2>/dev/null; then
    sudo -n sh "$0" "$@"
elif [ -t 0 ] && [ -t 2 ]; then
    say "installing them needs root:"
    sudo sh "$0" "$@"
else
    give_up "not root, and sudo wants a password"
fi

packages=$(missing)
[ -z "$packages" ] || give_up "still missing after the install"
