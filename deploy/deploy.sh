#!/usr/bin/env bash
# Builds the image inside Minikube, starts the service there, and shows its state. From anywhere, after `dvc pull`:
#   deploy/deploy.sh           start, or bring up to date
#   deploy/deploy.sh forward   the service on http://localhost:9696 until Ctrl+C
#   deploy/deploy.sh delete    take it away again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

need() {
  command -v "$1" > /dev/null || { echo "deploy.sh: $1 is not installed" >&2; exit 1; }
}

start() {
  for tool in minikube kubectl docker openssl; do need "$tool"; done
  for folder in models/masks models/breakout data; do
    [ -d "$folder" ] || { echo "deploy.sh: there is no $folder; run dvc pull first" >&2; exit 1; }
  done
  minikube status > /dev/null || minikube start
  eval "$(minikube docker-env)" # from here on, docker is the one inside Minikube
  DOCKER_BUILDKIT=1 docker build --file deploy/Dockerfile --tag ohlcv-ta:latest .
  kubectl get secret ohlcv-ta > /dev/null 2>&1 || # a key of its own, which no command line ever shows
    openssl rand -hex 32 | kubectl create secret generic ohlcv-ta --from-file=OHLCV_TA_API_KEY=/dev/stdin
  kubectl apply --filename deploy/kubernetes
  kubectl rollout restart deployment/ohlcv-ta # the tag is the same, the image may not be
  kubectl rollout status deployment/ohlcv-ta --timeout=10m
  kubectl get pods,service --selector app.kubernetes.io/name=ohlcv-ta
  echo "Reach it with: deploy/deploy.sh forward; its key (X-API-Key, or the password that a browser asks for) says:"
  echo "  kubectl get secret ohlcv-ta --output jsonpath='{.data.OHLCV_TA_API_KEY}' | base64 --decode"
}

forward() {
  need kubectl
  kubectl port-forward service/ohlcv-ta 9696:9696
}

delete() {
  need kubectl
  kubectl delete --ignore-not-found --filename deploy/kubernetes
}

case "${1:-start}" in
  start | forward | delete) "${1:-start}" ;;
  *) echo "deploy.sh: start, forward or delete, not $1" >&2; exit 2 ;;
esac
