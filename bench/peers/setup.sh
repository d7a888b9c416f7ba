#!/usr/bin/env bash
# Makes the Python environment of the peers: PyTorch from PyPI, to run on a CPU.
#
#   bench/peers/setup.sh [FOLDER]        FOLDER is .tools/peers if not given
#
# The wheel is linked to CUDA libraries of several gigabytes that a CPU run loads
# and never calls. torch is therefore installed without its dependencies, the few
# that it imports are named here, and the CUDA libraries are replaced by empty
# ones of the same names, in which every call answers "no device". Needs gcc and
# binutils. With a GPU, or in doubt, `pip install torch` does as well.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-"$here/../../.tools/peers"}

torch=2.15.0 # the version that made the golden tensors
leaves=(numpy filelock typing-extensions sympy mpmath networkx jinja2 markupsafe fsspec setuptools)

[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
python=$folder/bin/python
"$python" -m pip install --quiet --disable-pip-version-check "${leaves[@]}"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps "torch==$torch"

# Writes functions, a name a line, as C that answers cudaErrorNoDevice.
stub() {
	echo 'const char *cudaGetErrorString(int e) { return "no CUDA on this machine"; }'
	echo 'int cudaGetLastError(void) { return 0; }'
	echo 'int cudaPeekAtLastError(void) { return 0; }'
	sed -E '/^cuda(GetErrorString|GetLastError|PeekAtLastError)$/d; s/.*/int &(void) { return 100; }/' "$1"
}

lib=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/torch/lib
if ! "$python" -c 'import torch' 2>/dev/null; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	[ ! -e "$lib/stubs" ] || (cd "$lib" && xargs rm -f <stubs)

	# Libraries that torch is linked to and that are not here.
	for file in "$lib"/*.so; do
		readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'
	done | sort -u | grep -E '^lib(cu|nv|nccl)' | while read -r name; do
		[ -e "$lib/$name" ] || echo "$name"
	done >"$lib/stubs"

	# Functions that torch wants from them: name@version, the version being the
	# library's name but for nvshmem; some have none and go to any of them.
	nm -D --undefined-only "$lib"/*.so | awk 'NF == 2 { print $2 }' |
		grep -E '^(cu|__cuda|nccl|nvrtc|nvshmem)' | sort -u >"$work/wanted"
	while read -r name; do
		version=$name
		case $name in libnvshmem*) version=NVSHMEM ;; esac
		grep -F "@$version" "$work/wanted" | sed 's/@.*//' >"$work/functions" || true
		case $name in libnccl*) grep -v @ "$work/wanted" >"$work/functions" || true ;; esac
		stub "$work/functions" >"$work/stub.c"
		echo "$version { global: *; };" >"$work/stub.map"
		gcc -w -shared -fPIC -fno-builtin -Wl,-soname,"$name" -Wl,--version-script,"$work/stub.map" \
			-o "$lib/$name" "$work/stub.c"
	done <"$lib/stubs"
fi

"$python" -c 'import torch; print("torch", torch.__version__, "CPU threads", torch.get_num_threads())'
