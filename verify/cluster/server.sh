# shellcheck shell=bash
# A real API server on the loopback, with no kubelet and no controllers: it stores what it admits, and nothing runs.
# Sourced by run; kubectl and helm find it by KUBECONFIG. It ends with run, and after half an hour whatever happens.
# shellcheck disable=SC2154  # out and python are run's

servers=()
# shellcheck disable=SC2317  # called by the trap
stop() {
  local server
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  wait "${servers[@]}" 2>/dev/null || true
}

background() { # background <name> <command…>
  local name=$1
  shift
  timeout -k 1 1800 "$@" >"$folder/$name.log" 2>&1 &
  servers+=($!)
}

answers() { # answers <path>: waits a minute for a 200
  local tries
  for tries in $(seq 300); do
    if kubectl get --raw "$1" >/dev/null 2>&1; then return; fi
    kill -0 "${servers[@]}" 2>/dev/null || break
    sleep 0.2
  done
  echo "the API server is not ready after $tries tries; the end of its log:" >&2
  tail -n 5 "$folder"/*.log | cut -c1-400 >&2
  exit 1
}

start() {
  folder=$out/server
  mkdir -p "$folder"
  local peer client secure
  read -r peer client secure < <("$python" -c '
import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*[s.getsockname()[1] for s in taken])')
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$folder/accounts.key"
  openssl pkey -in "$folder/accounts.key" -pubout -out "$folder/accounts.pub"
  local token
  token=$(openssl rand -hex 16)
  (umask 077 && echo "$token,admin,admin,system:masters" >"$folder/tokens.csv")
  export KUBECONFIG=$folder/kubeconfig KUBECACHEDIR=$folder/cache
  trap stop EXIT
  background etcd etcd --data-dir "$folder/etcd" --log-level error \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer" \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client"
  # Privileged pods are allowed, as in EKS, so that it is the namespace's profile that refuses them.
  background apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$client" --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --secure-port="$secure" --cert-dir="$folder/certificates" \
    --service-cluster-ip-range=10.0.0.0/24 --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$folder/accounts.pub" --service-account-signing-key-file="$folder/accounts.key" \
    --token-auth-file="$folder/tokens.csv" --authorization-mode=RBAC --allow-privileged=true
  "$python" - "$secure" "$folder/certificates/apiserver.crt" "$token" >"$KUBECONFIG" <<'PY'
import json, sys
port, authority, token = sys.argv[1:]
print(json.dumps({
    "apiVersion": "v1", "kind": "Config", "current-context": "check",
    "clusters": [{"name": "check", "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority": authority}}],
    "users": [{"name": "check", "user": {"token": token}}],
    "contexts": [{"name": "check", "context": {"cluster": "check", "user": "check"}}],
}))
PY
  answers /readyz
}
