#!/bin/sh
# What needs an NVIDIA GPU, with what `make gpu` has packed: no Go is needed. Ends with a
# table of what was tested, what came out and how long it took, and fails if anything fails.
#
#	backend_cuda/test-gpu.sh [--strict] [PART]   only the parts with PART in their names
#
# Each part has a limit of its own, all together have GOUNET_GPU_SECONDS (520): what does
# not begin before is not tested. With --strict what was skipped or had no time has failed.
# GOUNET_DATA names the folder of reference data where the archive has none,
# GOUNET_FOLD_EPOCHS and GOUNET_FOLD_TIME how long the fold trains, and GOUNET_BIN the
# folder of the archive.
set -u
strict=
if [ "${1:-}" = --strict ]; then
	strict=1
	shift
fi
only=${1:-}
cd "$(dirname "$0")/.." || exit 1
root=$PWD
bin=${GOUNET_BIN:-$root/bin}
seconds=${GOUNET_GPU_SECONDS:-520}
epochs=${GOUNET_FOLD_EPOCHS:-16} fold_time=${GOUNET_FOLD_TIME:-85s}
unset GOUNET_BIN GOUNET_GPU_SECONDS GOUNET_FOLD_EPOCHS GOUNET_FOLD_TIME # they are no settings of gounet's
began=$(date +%s)
now() { echo $(($(date +%s) - began)); }

# The program is the test binary, which runs as it.
gounet=$bin/gpu/gounet
if [ ! -x "$gounet" ] || [ "$bin/gpu.tar.xz" -nt "$gounet" ]; then
	echo "unpacking $bin/gpu.tar.xz"
	tar -xJf "$bin/gpu.tar.xz" -C "$bin" 2>/dev/null || python3 -m tarfile -e "$bin/gpu.tar.xz" "$bin" || exit 1
	chmod +x "$bin"/gpu/gounet "$bin"/gpu/*.test
	touch "$gounet" # newer than the archive that it is of
fi
if [ -z "${GOUNET_DATA:-}" ] && [ -d "$bin/gpu/data" ]; then
	export GOUNET_DATA="$bin/gpu/data"
fi
echo "reference data: ${GOUNET_DATA:-none}"

timeout 60 "$gounet" doctor
if ! timeout 60 "$gounet" doctor --json | grep -q '"name": "cuda:0"'; then
	echo "no GPU: nothing is tested"
	exit 1
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>/dev/null

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
table=$work/table failed=0 skipped=0 untested=0
: >"$table"

# part LIMIT NAME COMMAND...: runs COMMAND for at most LIMIT seconds. Its output is shown
# when it is over: of a test that passed the line of its result, and what it says.
part() {
	limit=$1 name=$2
	shift 2
	case $name in *"$only"*) ;; *) return ;; esac
	left=$((seconds - $(now)))
	if [ $left -lt 10 ]; then
		untested=$((untested + 1))
		printf '%-52s %-10s\n' "$name" "no time" >>"$table"
		return
	fi
	[ "$limit" -le $left ] || limit=$left
	printf '\n== %s, %d s at most\n' "$name" "$limit"
	start=$(now)
	"$@" >"$work/log" 2>&1
	status=$?
	took=$(($(now) - start))
	skips=$(grep -c -e '--- SKIP' "$work/log")
	result=passed
	if [ $status -eq 124 ] || [ $status -eq 137 ] || grep -q "^panic: test timed out" "$work/log"; then
		result="TIME OUT"
	elif [ $status -ne 0 ]; then
		result=FAILED
	elif [ "$skips" -gt 0 ]; then
		result="$skips skipped"
	fi
	if [ $status -eq 0 ]; then
		grep -vE '^(=== |PASS$| +--- PASS)' "$work/log" | tail -n 200
	else
		grep -E '^ *--- FAIL' "$work/log" | head -n 40
		grep -vE '^(=== | +--- PASS)' "$work/log" | head -n 60
		echo "…"
		tail -n 40 "$work/log"
	fi
	if [ $status -ne 0 ] || { [ -n "$strict" ] && [ "$skips" -gt 0 ]; }; then
		failed=$((failed + 1))
	fi
	skipped=$((skipped + skips))
	printf '%-52s %-10s %4d s\n' "$name" "$result" "$took" | tee -a "$table"
}

# within COMMAND...: a command that a signal ends after the part's limit.
within() { timeout -k 5 "$limit" "$@"; }

# Go ends its tests itself a little earlier, and says where each of them is.
backend() { (cd backend_cuda && GOUNET_GPU=1 within "$bin/gpu/backend_cuda.test" -test.v -test.timeout $((limit - 3))s -test.run "$1"); }

# program PRECISION TESTS: the program's tests on the GPU, by kernels that are not measured.
program() {
	(cd cmd/gounet && GOUNET_DEVICE=cuda GOUNET_PRECISION=$1 GOUNET_TUNE=false \
		within "$bin/gpu/gounet.test" -test.v -test.timeout $((limit - 3))s -test.run "$2")
}

# beside PATTERN...: tests beside each other, as each compiles its kernels one after the other.
beside() {
	list=
	for pattern; do
		list="$list $work/$(echo "$pattern" | tr -dc 'a-zA-Z0-9_')"
		backend "$pattern" >"${list##* }" 2>&1 &
		echo $! >"${list##* }.pid"
	done
	all=0
	for file in $list; do
		wait "$(cat "$file.pid")" || all=$?
		cat "$file"
	done
	return $all
}

# fold: with the kernels that are measured to be the fastest.
fold() {
	(cd cmd/gounet && GOUNET_DEVICE=cuda GOUNET_PRECISION=f16 GOUNET_TEST_FOLD_EPOCHS=$epochs GOUNET_TEST_FOLD_TIME=$fold_time \
		within "$bin/gpu/gounet.test" -test.v -test.timeout $((limit - 3))s -test.run '^TestAFoldOfTheHippocampus$')
}

# ranks: two ranks on one GPU train together, or say why not, as NCCL takes one rank a GPU.
# Neither waits for the other without an end.
ranks() {
	for rank in 0 1; do
		RANK=$rank WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=29517 within "$gounet" train testdata/hippocampus 3d_fullres \
			--device cuda:0 --tune=false --work "$work/ranks" --output "$work/ranks/run" --no-validation \
			--epochs 1 --iterations 2 --val-iterations 1 --batch 2 --width 4 >"$work/rank$rank" 2>&1 &
		eval "pid_$rank=$!"
	done
	wait "$pid_0"
	status_0=$?
	wait "$pid_1"
	status_1=$?
	tail -n 5 "$work/rank0" "$work/rank1"
	echo "ranks ended with $status_0 and $status_1"
	for status in $status_0 $status_1; do
		[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || return 124
	done
	[ $status_0 -eq $status_1 ] || return 1
	if grep -q 'no NCCL' "$work/rank0"; then
		echo "--- SKIP: NCCL is not installed"
		return 0
	fi
	[ $status_0 -eq 0 ] || grep -q NCCL "$work/rank0" "$work/rank1"
}

# memcheck: each access to memory of a short test, where NVIDIA's checker is there and
# knows the GPU.
memcheck() {
	checker=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
	if [ -z "$checker" ]; then
		echo "--- SKIP: compute-sanitizer is not installed"
		return 0
	fi
	(cd backend_cuda && GOUNET_GPU=1 within "$checker" --tool memcheck --report-api-errors no --error-exitcode 9 "$bin/gpu/backend_cuda.test" \
		-test.v -test.run '^TestWritesAndRunsHappenInTheOrderOfTheCalls$|^TestWhatIsMeasuredMakesTheSameNumbers$' >"$work/memcheck" 2>&1)
	status=$?
	if grep -q 'Device not supported' "$work/memcheck"; then
		echo "--- SKIP: compute-sanitizer does not support this device"
		return 0
	fi
	cat "$work/memcheck"
	return $status
}

speed() { within "$gounet" bench "$@" --device cuda --precision f16; }

all='^TestConformanceOfTheBackend$' chosen='^TestConformanceOfWhatIsChosen$'
part 110 "conformance in f16, f32 and bf16" beside "$all/^f16\$" "$all/^f32\$" "$all/^bf16\$"
part 110 "conformance of Hopper's instructions" beside "$chosen/^groups\$/^f16\$" "$chosen/^groups\$/^bf16\$" "$chosen/^groups_split\$/^f16\$"
part 60 "the network of the suite, memory" backend "$all/^(network|memory)\$"
part 40 "memory, order, errors, measured kernels" backend \
	'^TestWrites|^TestWhatIsWritten|^TestWhatIsMeasured|^TestAProfile|^TestALaunch|^TestAKernelMay|^TestARunWithout|^TestADeviceGoes'
part 60 "networks, gradients and steps of PyTorch and MONAI" backend 'EqualThoseOf(PyTorch|MONAI)$'
part 60 "a short training in f16" program f16 '^TestTrainLeavesAModel'
part 150 "a fold to a Dice of 0.87" fold
part 60 "f32, f16 and bf16 train alike, and as the CPU" program f32 '^TestPrecisionsTrainAlike$'
part 40 "labels of nnU-Net, without and with mirroring" program f32 '^TestPredictionsEqualThoseOfNNUNet$'
part 90 "killed and resumed to the same bits" program f16 '^TestKilledTraining'
part 40 "two trainings beside each other" program f16 '^TestTrainingsBesideEachOther'
part 40 "a group of one rank by NCCL" backend '^TestAGroupOfOneRank|^TestADeviceWithoutAGroup'
part 40 "two ranks on one GPU train or say why not" ranks
part 60 "a short training in f32" program f32 '^TestTrainLeavesAModel'
part 60 "a short training in bf16" program bf16 '^TestTrainLeavesAModel'
part 60 "every access to memory (compute-sanitizer)" memcheck
part 60 "speed of a training step of the brain's network" speed train --seconds 2 --patch 128 --stages 6 --channels 4 --classes 4 --batch 2
part 60 "speed of a prediction of the brain's network" speed predict --seconds 2 --patch 128 --stages 6 --channels 4 --classes 4
part 60 "speed of ops" speed ops --seconds 0.2 --width 32 --large=false
part 90 "conformance of norms in prologues and split sums" beside "$chosen/^warps\$/^f16\$" "$chosen/^warps_split\$/^f16\$"

printf '\n%s\n' "part                                                 result     seconds"
cat "$table"
printf 'all together %d s\n' "$(now)"
if [ $failed -gt 0 ]; then
	echo "$failed parts failed, $skipped tests skipped, $untested parts had no time"
	exit 1
fi
if [ $((skipped + untested)) -gt 0 ]; then
	echo "all passed that ran; $skipped tests were SKIPPED, and say why above; $untested parts had NO TIME"
	[ -z "$strict" ] || exit 1
	exit 0
fi
echo "all passed"
