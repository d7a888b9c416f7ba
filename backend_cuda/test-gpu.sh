#!/bin/sh
# What needs an NVIDIA GPU, with what `make gpu` has built: no Go is needed. Says what
# it found, and fails if anything fails. GOUNET_DATA names the folder of PyTorch's
# tensors; tests that say SKIP need it.
#
#	backend_cuda/test-gpu.sh [PART]     only the parts with PART in their names
set -u
only=${1:-}
cd "$(dirname "$0")/.."
root=$PWD
failed=

# part NAME FOLDER COMMAND...: runs COMMAND in FOLDER.
part() {
	name=$1 folder=$2
	shift 2
	case $name in *"$only"*) ;; *) return ;; esac
	printf '\n== %s\n' "$name"
	if (cd "$folder" && "$@"); then
		echo "== $name: passed"
	else
		echo "== $name: FAILED"
		failed="$failed, $name"
	fi
}

# tests COMMAND...: the line of each test, and all that a failed one says.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests() {
	"$@" -test.v >"$log" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		grep -E '^--- ' "$log"
	else
		grep -vE '^=== ' "$log" | tail -n 200
	fi
	return $status
}
backend() { tests env GOUNET_GPU=1 "$root/bin/gpu/backend_cuda.test" -test.run "$1"; }
program() { tests env GOUNET_DEVICE=cuda GOUNET_PRECISION="$1" "$root/bin/gpu/gounet.test" -test.timeout 8m -test.run "$2"; }
speed() { bin/gounet bench "$@" --device cuda --seconds 3; }

bin/gounet doctor
if ! bin/gounet doctor --json | grep -q '"name": "cuda:0"'; then
	echo "no GPU: nothing is tested"
	exit 1
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>/dev/null
part "conformance in f32, f16 and bf16" backend_cuda backend 'TestConformanceOfTheBackend'
part "conformance of Hopper's instructions, norms in prologues and split sums" backend_cuda backend 'TestConformanceOfWhatIsChosen'
part "memory, order, errors" backend_cuda backend 'TestNVRTC|TestWrites|TestWhatIsWritten|TestAProfile|TestALaunch|TestARunWithout|TestADevice'
part "PyTorch's networks, gradients and steps" backend_cuda backend 'PyTorch'
for precision in f32 f16 bf16; do
	part "a short training in $precision" cmd/gounet program $precision 'TestTrainLeavesAModel'
done
part "labels of nnU-Net" cmd/gounet program f32 'TestPredictionsEqualThoseOfNNUNet'
part "killed and resumed to the same bits" cmd/gounet program f16 'TestKilledTraining'
part "ops" . speed ops --precision f16 --large=false
part "a training step of the brain's network" . speed train --precision f16 --patch 128 --stages 6 --channels 4 --classes 4 --batch 2
part "a prediction of the brain's network" . speed predict --precision f16 --patch 128 --stages 6 --channels 4 --classes 4

printf '\n'
if [ -n "$failed" ]; then
	echo "failed: ${failed#, }"
	exit 1
fi
echo "all passed"
