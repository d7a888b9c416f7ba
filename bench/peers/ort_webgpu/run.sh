#!/usr/bin/env bash
# Times gounet's kernels beside onnxruntime-web's WebGPU provider: the same layers,
# and nnU-Net's small network where GOUNET_DATA has it, by turns on one adapter in
# one page of a headless Chromium. Prints a table with ratios.
#
#   bench/peers/ort_webgpu/run.sh [PATTERN]     only rows that match, as of go test -run
#
# Both write their inputs and read their outputs back in every run; the best of three
# counts, of the network the best of two. onnxruntime-web has no three-dimensional
# transposed convolution on WebGPU: those of the network are told to run on its CPU.
# Needs npm, Go and a Chromium. onnxruntime-web goes to .tools/peers.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
version=1.30.0
folder=$root/.tools/peers/ort_webgpu
dist=$folder/node_modules/onnxruntime-web/dist
if ! grep -qs "\"version\": \"$version\"" "$dist/../package.json"; then
	mkdir -p "$folder"
	npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent "onnxruntime-web@$version"
fi
cd "$root"
go build -o bin/browserexec ./internal/browsertest/exec
GOUNET_ORT=$dist GOOS=js GOARCH=wasm go test -count 1 -exec "$root/bin/browserexec" \
	-run "TestBesideONNXRuntime/${1:-}" ./backend_webgpu -v | grep --line-buffered -v '^\(===\|---\|    ---\)'
