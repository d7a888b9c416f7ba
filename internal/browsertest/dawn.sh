#!/usr/bin/env bash
# What `go test -exec` starts for a js/wasm program that wants WebGPU in node: by npm's
# webgpu, which is Dawn, as in Chromium, but on any Vulkan. A software one that has
# shader-f16 is lavapipe of Mesa 25; VK_ICD_FILENAMES chooses another than the system's.
#
#   GOOS=js GOARCH=wasm go test -exec "$PWD/internal/browsertest/dawn.sh" ./backend_webgpu
#
# Needs npm and Go. The package goes to .tools/peers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=0.6.2
folder=$here/../../.tools/peers/dawn
if ! grep -qs "\"version\": \"$version\"" "$folder/node_modules/webgpu/package.json"; then
	mkdir -p "$folder"
	npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent "webgpu@$version" >&2
fi
GOUNET_DAWN=$folder/node_modules/webgpu/index.js GOUNET_GOROOT=$(go env GOROOT) exec node --stack-size=8192 "$here/dawn.cjs" "$@"
