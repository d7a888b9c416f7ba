//go:build cuda && linux

package cuda

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/nvrtc"
)

// A driver that is older than NVRTC, and an NVRTC that does not know the GPU, are named
// with what helps.
func TestACompilerThatDoesNotFitIsNamed(t *testing.T) {
	e := emulatedOnly(t)
	c := &nvidia{NVRTC: &nvrtc.NVRTC{Path: "libnvrtc.so.13", Major: 13, Archs: []int32{75, 80}}}
	_, err := open(e.driver, c, &cache{}, Options{})
	require.ErrorContains(t, err, "NVRTC 13.0 (libnvrtc.so.13) compiles for [75 80], not for compute capability 9.0 of emulated: install a newer one")
	e.set("driver", 12040)
	_, err = open(e.driver, c, &cache{}, Options{})
	require.ErrorContains(t, err, "the driver of emulated has CUDA 12.4, NVRTC 13.0 (libnvrtc.so.13) makes code for CUDA 13: install a newer driver, or an NVRTC of CUDA 12")
	c.Major, c.Archs = 12, append(c.Archs, 90)
	require.NoError(t, c.fits(facts{driver: 13000, arch: 90}), "a newer driver loads what is older")
}

// What is free is known before anything is taken, also what others have.
func TestFreeMemoryIsWhatNobodyHas(t *testing.T) {
	e := emulatedOnly(t)
	e.set("memory", 64<<20)
	d, other := closing(t), closing(t)
	require.EqualValues(t, 64<<20, d.Limits().FreeBytes)
	b, err := other.NewBuffer(16 << 20)
	require.NoError(t, err)
	require.EqualValues(t, 48<<20, d.Limits().FreeBytes)
	b.Free()
	require.EqualValues(t, 64<<20, d.Limits().FreeBytes)
}
