package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cuda "github.com/gounet/gounet/backend_cuda"
)

// noGPU skips where CUDA finds a GPU.
func noGPU(t *testing.T) {
	if dev, err := cuda.Open(cuda.Options{}); err == nil {
		require.NoError(t, dev.Close())
		t.Skip("this machine has an NVIDIA GPU")
	}
}

func TestWithoutADriverCUDASaysWhatIsMissing(t *testing.T) {
	noGPU(t)
	for _, device := range []string{"cuda", "cuda:3"} {
		got := gounet(t, smallBench("train", "--device", device)...)
		assert.Equal(t, exitError, got.code)
		assert.Contains(t, got.err, "cuda: no CUDA device: ")
	}
	for _, device := range []string{"cuda:first", "cuda:-1", "cuda:"} {
		got := gounet(t, smallBench("train", "--device", device+"x")...)
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.err, "the number of a GPU, from 0 on")
	}
}

// Kernels that are wrong on a GPU can be left out by a flag or the environment.
func TestKernelsOfCUDAAreASetting(t *testing.T) {
	got := gounet(t, smallBench("train", "--cuda-kernels", "some")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "--cuda-kernels some: wanted all, warps, simple")
	t.Setenv("GOUNET_CUDA_KERNELS", "none")
	got = gounet(t, smallBench("train")...)
	assert.NotEqual(t, exitOK, got.code)
	assert.Contains(t, got.err, "wanted all, warps, simple")
	assert.Equal(t, "warps", (&deviceFlags{kernels: "warps"}).cuda(2).Kernels)
}

// The libraries that CUDA needs are named, each with where it is or what has it.
func TestDoctorSaysWhatCUDANeeds(t *testing.T) {
	got := gounet(t, "doctor", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var d diagnosis
	require.NoError(t, json.Unmarshal([]byte(got.out), &d))
	require.GreaterOrEqual(t, len(d.Devices), 3)
	assert.Equal(t, onCUDA, d.Devices[1].Name[:len(onCUDA)])
	assert.NotEmpty(t, d.Devices[1].Why)
	if !cuda.Built {
		assert.Empty(t, d.Libraries)
		assert.Contains(t, d.Devices[1].Why, "CUDA is not in this binary")
		return
	}
	require.Len(t, d.Libraries, 3)
	for i, name := range []string{"driver", "NVRTC", "NCCL"} {
		l := d.Libraries[i]
		assert.Equal(t, name, l.Name)
		assert.NotEmpty(t, l.Needed)
		if l.Path == "" {
			assert.Contains(t, l.Missing, "install")
		} else {
			assert.NotEmpty(t, l.Version)
		}
	}
}
