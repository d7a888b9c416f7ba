//go:build linux

package nvrtc

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsWrongInASourceIsSaid(t *testing.T) {
	n, err := Open(0)
	if err != nil {
		t.Skip(err)
	}
	s := Source{Name: "some.cu", Header: "some.cuh", HeaderText: "typedef float number;\n"}
	s.Text = "#include \"some.cuh\"\nextern \"C\" __global__ void some(number *x) { x[threadIdx.x] = 1; }"
	code, log, err := n.Compile(s, append(Options(80), "--ptxas-options=-v"))
	require.NoError(t, err)
	assert.NotEmpty(t, code)
	assert.Contains(t, log, "0 bytes spill stores")
	s.Text = `extern "C" __global__ void some(float *x) { y = 1; }`
	_, _, err = n.Compile(s, Options(80))
	require.ErrorContains(t, err, `some.cu(1): error: identifier "y" is undefined`)
	_, _, err = n.Compile(s, Options(70))
	require.Error(t, err, "Volta")
	assert.Contains(t, n.Archs, int32(90))
}

func TestAMissingLibraryIsNamedWithItsPackage(t *testing.T) {
	_, err := load([]string{"libnothing.so.13", "/nowhere/libnvrtc.so.13"})
	require.ErrorContains(t, err, "libnothing.so.13")
	require.ErrorContains(t, err, "nvidia-cuda-nvrtc")
	_, err = load([]string{"libm.so.6"})
	require.ErrorContains(t, err, "libm.so.6: it has no nvrtc")
}

// A driver loads what the compilers of its own major version and of those before it make.
func TestTheNewestThatTheDriverLoadsIsTaken(t *testing.T) {
	all := []string{"libnvrtc.so.13", "libnvrtc.so.12", "/a/lib64/libnvrtc.so.12", "/b/nvidia/cu13/lib/libnvrtc.so.13"}
	older := []string{"libnvrtc.so.12", "/a/lib64/libnvrtc.so.12", "libnvrtc.so.13", "/b/nvidia/cu13/lib/libnvrtc.so.13"}
	newer := []string{"libnvrtc.so.13", "/b/nvidia/cu13/lib/libnvrtc.so.13", "libnvrtc.so.12", "/a/lib64/libnvrtc.so.12"}
	for most, want := range map[int][]string{0: newer, 11: older, 12: older, 13: newer, 14: newer} {
		assert.Equal(t, want, candidates(most, slices.Clone(all)), "CUDA %d", most)
	}
}
