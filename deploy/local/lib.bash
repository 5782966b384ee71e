# shellcheck shell=bash
# What `kafka` and `postgres` of this folder and `.ci/run` share. Sourced, never run.

# Only results go to standard output; everything said to a person goes to standard error.
say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# needs COMMAND PACKAGE: notes the Debian package when the command is not there.
missing_packages=()
needs() {
  command -v "$1" >/dev/null || missing_packages+=("$2")
}

# provide INSTALL: installs what `needs` noted when INSTALL is `yes`, else says what to install.
provide() {
  ((${#missing_packages[@]})) || return 0
  [[ $1 == yes ]] ||
    die "not installed: ${missing_packages[*]}; run 'apt-get install ${missing_packages[*]}' or repeat with --install"
  [[ $EUID == 0 ]] || die "--install needs root; run 'apt-get install ${missing_packages[*]}' as root"
  say "installing ${missing_packages[*]}"
  apt-get -qq update >&2 </dev/null || die "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends \
    "${missing_packages[@]}" >&2 </dev/null || die "apt-get install ${missing_packages[*]} failed"
  hash -r
  missing_packages=()
}

# parse_options KIND DEFAULT_PORT ARGUMENTS...: sets action, dir, port, port_given and install.
parse_options() {
  local kind=$1
  # shellcheck disable=SC2034 # read by the scripts that source this
  port=$2 port_given=no install=no action=${3:-}
  dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.run/$kind
  case $action in
    start | stop | status | reset) ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 64 ;;
  esac
  shift 3
  # shellcheck disable=SC2034 # read by the scripts that source this
  while (($#)); do
    case $1 in
      --dir) dir=$(realpath -m -- "${2:?--dir needs a folder}") && shift 2 ;;
      --port) port=${2:?--port needs a number} port_given=yes && shift 2 ;;
      --install) install=yes && shift ;;
      -h | --help) usage && exit 0 ;;
      *) say "${0##*/}: unknown option '$1'" && usage >&2 && exit 64 ;;
    esac
  done
  [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -lt 65535 ]] || die "not a port: '$port'"
}

# listens PORT: whether something accepts connections there on the loopback address.
listens() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port PORT: waits a moment, for what was killed just now may still hold it.
free_port() {
  local deadline=$((SECONDS + 5))
  while listens "$1"; do
    ((SECONDS < deadline)) || die "port $1 is in use by another program; choose one with --port"
    sleep 0.1
  done
}

# only_one: one call at a time per folder; the lock goes with this process.
only_one() {
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock -w 120 9 || die "another call still works on $dir"
}
