#!/bin/sh
# Packs the tests in BIN/gpu, and where GOUNET_DATA names it the reference data that they
# read, into BIN/gpu.tar.xz, which test-gpu.sh unpacks where BIN/gpu is not there. Prints
# the sizes, and fails above 60 MiB.
#
#	backend_cuda/pack-gpu.sh [BIN]
set -eu
bin=${1:-$(dirname "$0")/../bin}

# The program is its test binary: one file less of fifty megabytes.
cat >"$bin/gpu/gounet" <<'END'
#!/bin/sh
GOUNET_TEST_AS_PROGRAM=1 exec "$(dirname "$0")/gounet.test" "$@"
END
chmod +x "$bin/gpu/gounet"

set -- -C "$bin" gpu/gounet gpu/gounet.test gpu/backend_cuda.test
if [ -n "${GOUNET_DATA:-}" ]; then
	model=golden/nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres
	predict=golden/predict
	hippocampus=msd_task04_hippocampus
	set -- "$@" --transform 's,^\(golden\|msd_\),gpu/data/\1,' -C "$GOUNET_DATA" golden/networks "$model" \
		$predict/inputs/hippocampus_017_0000.nii.gz $predict/small3d_no_tta $predict/small3d_tta \
		$hippocampus/dataset.json $hippocampus/imagesTr $hippocampus/labelsTr
else
	echo "GOUNET_DATA is not set: tests against reference data, and the fold, will be skipped"
fi
# Data is readable only where it comes from, and must be removable where it goes.
tar -c --mode=u+w "$@" | xz -9 -T0 >"$bin/gpu.tar.xz"
touch "$bin/gpu/gounet" # test-gpu.sh unpacks an archive that is newer
ls -l "$bin"/gpu/*.test | awk '{printf "%5.1f MiB %s\n", $5 / 1048576, $NF}'
bytes=$(wc -c <"$bin/gpu.tar.xz")
echo "$bytes" | awk -v name="$bin/gpu.tar.xz" '{printf "%5.1f MiB %s\n", $1 / 1048576, name}'
if [ "$bytes" -gt 62914560 ]; then
	echo "$bin/gpu.tar.xz is larger than 60 MiB"
	exit 1
fi
