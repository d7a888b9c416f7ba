//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// packed is a folder with an archive of programs that answer with a text.
func packed(t *testing.T, data, text string) string {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz")
	}
	bin := t.TempDir()
	folder := filepath.Join(bin, "gpu")
	require.NoError(t, os.Mkdir(folder, 0o777))
	for _, name := range []string{"gounet.test", "backend_cuda.test"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+text), 0o777))
	}
	cmd := exec.Command("sh", "../../backend_cuda/pack-gpu.sh", bin)
	cmd.Env = append(os.Environ(), "GOUNET_DATA="+data)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "MiB "+filepath.Join(bin, "gpu.tar.xz"))
	require.NoError(t, os.RemoveAll(folder))
	return bin
}

// testGPU runs test-gpu.sh with an archive.
func testGPU(bin string, args ...string) (string, error) {
	cmd := exec.Command("sh", append([]string{"../../backend_cuda/test-gpu.sh"}, args...)...)
	cmd.Env = append(os.Environ(), "GOUNET_BIN="+bin, "GOUNET_DATA=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestWithoutAGPUNothingIsTested(t *testing.T) {
	out, err := testGPU(packed(t, "", `echo '{"devices": []}'`))
	require.Error(t, err)
	assert.Contains(t, out, "unpacking")
	assert.Contains(t, out, "no GPU: nothing is tested")
}

// On a GPU that the programs say is there each part has its row: what fails, hangs or is skipped
// is named, and counts.
func TestThePartsOfTestGPUHaveTheirRows(t *testing.T) {
	const gpu = `case "$*" in
doctor*) echo '"name": "cuda:0"' ;;
*TestWrites*) echo '--- SKIP: TestSome (0.00s)' ;;
*TestPrecisionsTrainAlike*) echo '--- FAIL: TestSome (0.00s)'; exit 1 ;;
*EqualThoseOf*) exit 124 ;;
*TestAFold*) [ "$GOUNET_TEST_FOLD_EPOCHS" = 16 ] && [ "$GOUNET_DEVICE" = cuda ] && [ -z "$GOUNET_TUNE" ] ;;
esac`
	bin := packed(t, "", gpu)
	out, err := testGPU(bin)
	require.Error(t, err)
	for _, want := range []string{
		`(?m)^memory, order, errors, measured kernels +1 skipped +\d+ s$`, `(?m)^f32, f16 and bf16 train alike, and as the CPU +FAILED +\d+ s$`,
		`(?m)^networks, gradients and steps of PyTorch and MONAI +TIME OUT +\d+ s$`, `(?m)^a fold to a Dice of 0.87 +passed +\d+ s$`,
		`(?m)^speed of ops +passed +\d+ s$`, `all together \d+ s`,
	} {
		assert.Regexp(t, want, out)
	}
	out, err = testGPU(bin, "memory, order")
	require.NoError(t, err, out)
	assert.Contains(t, out, "1 tests were SKIPPED")
	out, err = testGPU(bin, "--strict", "memory, order")
	require.Error(t, err, out)
	t.Setenv("GOUNET_GPU_SECONDS", "5")
	out, err = testGPU(bin, "a fold")
	require.NoError(t, err, out)
	assert.Regexp(t, `(?m)^a fold to a Dice of 0.87 +no time *$`, out)
	_, err = testGPU(bin, "--strict", "a fold")
	require.Error(t, err)
	t.Setenv("GOUNET_GPU_SECONDS", "100")
	out, err = testGPU(bin, "a fold")
	require.NoError(t, err, out)
	assert.Contains(t, out, "all passed\n")
	assert.NotContains(t, out, "unpacking", "it is unpacked once")
	later := time.Now().Add(time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(bin, "gpu.tar.xz"), later, later))
	out, err = testGPU(bin, "a fold")
	require.NoError(t, err, out)
	assert.Contains(t, out, "unpacking", "another archive")
}

func TestTheArchiveHasWhatTheTestsRead(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	// 30 MB take seconds: empty folders and files stand for scans.
	small := t.TempDir()
	golden := filepath.Join("golden", "nnunetv2_results", "Dataset004_Hippocampus", "nnUNetTrainer__nnUNetPlansF8__3d_fullres")
	for _, folder := range []string{filepath.Join("golden", "networks"), golden, "golden/predict/small3d_no_tta", "golden/predict/small3d_tta", "golden/predict/inputs", "msd_task04_hippocampus/imagesTr", "msd_task04_hippocampus/labelsTr"} {
		require.DirExists(t, filepath.Join(data, folder))
		require.NoError(t, os.MkdirAll(filepath.Join(small, folder), 0o777))
	}
	for _, file := range []string{"golden/predict/inputs/hippocampus_017_0000.nii.gz", "msd_task04_hippocampus/dataset.json"} {
		require.FileExists(t, filepath.Join(data, file))
		require.NoError(t, os.WriteFile(filepath.Join(small, file), nil, 0o666))
	}
	bin := packed(t, small, `echo "$GOUNET_DATA"`)
	out, err := testGPU(bin)
	require.Error(t, err)
	assert.Contains(t, out, "reference data: "+filepath.Join(bin, "gpu", "data"))
	assert.FileExists(t, filepath.Join(bin, "gpu/data/golden/predict/inputs/hippocampus_017_0000.nii.gz"))
	assert.FileExists(t, filepath.Join(bin, "gpu/data/msd_task04_hippocampus/dataset.json"))
	assert.DirExists(t, filepath.Join(bin, "gpu/data", golden))
}
