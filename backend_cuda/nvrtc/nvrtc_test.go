//go:build linux

package nvrtc

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsWrongInASourceIsSaid(t *testing.T) {
	n, err := Open()
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
