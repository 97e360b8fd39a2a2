# shellcheck shell=bash
# helm/push-s3 to a real S3 server with conditional writes (versitygw) on loopback: the package is created once, the index
# loses nothing, also under racing writers and after it was cut off. Sourced by scripts.sh.
# shellcheck disable=SC2154  # root and out are run's

s3_port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p "$out/s3/data" "$out/s3/versions"
ROOT_ACCESS_KEY=verify ROOT_SECRET_KEY=no-secret-on-loopback versitygw --port "127.0.0.1:$s3_port" posix --versioning-dir "$out/s3/versions" "$out/s3/data" >"$out/s3.log" 2>&1 &
server=$!
trap 'kill "$registry" "$server" 2>/dev/null || true' EXIT
export AWS_ACCESS_KEY_ID=verify AWS_SECRET_ACCESS_KEY=no-secret-on-loopback AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_ENDPOINT_URL=http://127.0.0.1:$s3_port AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_SESSION_TOKEN
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$s3_port") 2>/dev/null && break; sleep 0.1; done
aws s3api create-bucket --bucket charts >/dev/null
aws s3api put-bucket-versioning --bucket charts --versioning-configuration Status=Enabled

# chart <version> [line]: publishes the chart of a tree of its own under that version.
chart() {
  local tree=$out/charts/$1
  rm -rf "$tree"
  mkdir -p "$tree/target/tools"
  cp -r helm "$tree/"
  ln -s "$root/target/tools/helm" "$tree/target/tools/helm"
  sed -i "s/^version: .*/version: $1/" "$tree/helm/hodoscope/Chart.yaml"
  [ -z "${2:-}" ] || echo "$2" >>"$tree/helm/hodoscope/values.yaml"
  (cd "$tree" && helm/push-s3 s3://charts/stable)
}
index() { aws s3api get-object --bucket charts --key stable/index.yaml "$out/index.yaml" >/dev/null && cat "$out/index.yaml"; }
versions() { index | sed -n 's/^    version: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' | sort; }

first() { chart 1.0.0 && [ "$(versions)" = 1.0.0 ]; }
check "the first chart begins the index" first
same() { chart 1.0.0 >"$out/same" && grep -q "with the same files" "$out/same"; }
check "the same chart again is no change" same
refuses "another chart under the same version, in the bucket" "raise the version" chart 1.0.0 "# changed"
usable() { # by Helm itself, from the index and the package as they lie there
  rm -rf "$out/served" && mkdir -p "$out/served/pulled"
  aws s3 cp --recursive --quiet s3://charts/stable "$out/served"
  python -m http.server --bind 127.0.0.1 --directory "$out/served" 0 >"$out/served.log" 2>&1 &
  local web=$! port status=0
  for _ in $(seq 100); do port=$(grep -oE 'port [0-9]+' "$out/served.log" | cut -d' ' -f2) && break; sleep 0.1; done
  helm pull hodoscope --repo "http://127.0.0.1:$port" --version 1.0.0 --destination "$out/served/pulled" || status=1
  kill "$web"
  return "$status"
}
check "helm installs from it" usable

racing() { # five writers at once, each with a version of its own
  local writers=() minor
  for minor in $(seq 5); do
    chart "1.$minor.0" >"$out/race.$minor" 2>&1 &
    writers+=($!)
  done
  local failed_writers=0 writer
  for writer in "${writers[@]}"; do wait "$writer" || failed_writers=1; done
  [ "$failed_writers" -eq 0 ] || { cat "$out"/race.*; return 1; }
  [ "$(versions | xargs)" = "1.0.0 1.1.0 1.2.0 1.3.0 1.4.0 1.5.0" ] || { versions; return 1; }
}
check "five racing writers lose no entry" racing
raced() { grep -qh "another writer was faster" "$out"/race.*; }
check "and they did race" raced
shorter() { # over all versions of the index that ever were, oldest first (this server's ids sort by time)
  local key=stable/index.yaml before=0 id size
  while read -r id; do
    aws s3api get-object --bucket charts --key "$key" --version-id "$id" "$out/version.yaml" >/dev/null
    size=$(grep -c '^    version: ' "$out/version.yaml")
    [ "$size" -gt "$before" ] || { echo "version $id of the index names $size after $before"; return 1; }
    before=$size
  done < <(aws s3api list-object-versions --bucket charts --prefix "$key" --query 'Versions[].VersionId' --output text | tr '\t' '\n' | sort)
  [ "$before" -eq 6 ]
}
check "no version of the index was shorter than the one before" shorter

cut_off() { # half an index, as a writer that died or a foreign tool leaves it
  index >"$out/whole.yaml"
  head -c "$1" "$out/whole.yaml" >"$out/half.yaml"
  aws s3api put-object --bucket charts --key stable/index.yaml --body "$out/half.yaml" >/dev/null
  chart "$2" && [ "$(versions | wc -l)" -eq "$3" ]
}
check "an index that was cut off is made whole" cut_off 700 1.9.0 7
emptied() { cut_off 0 1.10.0 8; }
check "an index that was emptied is made whole" emptied
foreign() { # an entry whose package does not lie here, in an index that Helm cannot read
  { index; echo "  - digest: $(printf '%064d' 7)"; echo " broken: ["; } >"$out/foreign.yaml"
  aws s3api put-object --bucket charts --key stable/index.yaml --body "$out/foreign.yaml" >/dev/null
  chart 1.11.0
}
refuses "a new index that would lose an entry" "nothing was written" foreign
outside() { AWS_ENDPOINT_URL=http://127.0.0.1:1 AWS_MAX_ATTEMPTS=1 chart 1.12.0; }
refuses "a bucket that does not answer" "cannot create" outside
refuses "a target that is no bucket" "is no s3://" helm/push-s3 https://charts.example
