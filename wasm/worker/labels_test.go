package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	backendcpu "github.com/gounet/gounet/backend_cpu"
	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
)

var update = flag.Bool("update", false, "write testdata/labels.json anew: natively, on the CPU")

// expected are the labels of a scan by the small model of nnU-Net, natively on the
// CPU: core/predict compares those with nnU-Net's own.
type expected struct {
	Scan   string `json:"scan"` // in golden/predict/inputs
	Mirror bool   `json:"mirror"`
	SHA256 string `json:"sha256"` // of the labels, those of near voxels being Best
	Near   []near `json:"near"`
}

// near is a voxel whose two best logits are within 1e-3, where devices may differ.
type near struct {
	At     int   `json:"at"`
	Best   uint8 `json:"best"`
	Second uint8 `json:"second"`
}

const nearBy = 1e-3 // logits

// match makes sure that labels differ from those expected at near voxels only.
func (e *expected) match(labels []uint8) error {
	same := slices.Clone(labels)
	for _, n := range e.Near {
		if n.At >= len(same) || same[n.At] != n.Best && same[n.At] != n.Second {
			return fmt.Errorf("voxel %d has neither of its two best labels", n.At)
		}
		same[n.At] = n.Best
	}
	if sum := sha256.Sum256(same); hex.EncodeToString(sum[:]) != e.SHA256 {
		return fmt.Errorf("labels differ where the two best logits are further apart than %v", nearBy)
	}
	return nil
}

func TestOneVoxelThatIsNotNearIsSeen(t *testing.T) {
	sum := sha256.Sum256([]byte{0, 1, 2})
	e := expected{SHA256: hex.EncodeToString(sum[:]), Near: []near{{1, 1, 2}}}
	assert.NoError(t, e.match([]byte{0, 1, 2}))
	assert.NoError(t, e.match([]byte{0, 2, 2}))
	assert.Error(t, e.match([]byte{0, 0, 2}))
	assert.Error(t, e.match([]byte{1, 1, 2}))
}

// golden is a folder of expected values, which other programs made.
func golden(t testing.TB) string {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with golden/")
	}
	return filepath.Join(dir, "golden")
}

// smallModel is nnU-Net's small model as a .gounet file.
func smallModel(t testing.TB) []byte {
	m, err := checkpoint.Open(filepath.Join(golden(t), "nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres"))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, checkpoint.Write(&b, m))
	return b.Bytes()
}

func inputPath(t testing.TB, scan string) string {
	return filepath.Join(golden(t), "predict/inputs", scan+"_0000.nii.gz")
}

const labelsFile = "../testdata/labels.json"

func allExpected(t testing.TB) (list []expected) {
	b, err := os.ReadFile(labelsFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &list))
	require.NotEmpty(t, list)
	return list
}

// make is what a CPU makes of the scan, by core/predict without a worker.
func (e *expected) make(t *testing.T, m *checkpoint.Model, dev backend.Device) {
	p, err := predict.New(m, predict.Options{Device: dev, NoMirror: !e.Mirror})
	require.NoError(t, err)
	defer p.Close()
	im, _, err := nifti.ReadImage(inputPath(t, e.Scan))
	require.NoError(t, err)
	r, err := p.Image(t.Context(), im, predict.ImageOptions{Probabilities: true})
	require.NoError(t, err)
	e.Near = []near{}
	labels, k := r.Labels.Data, r.Probabilities.K
	for v := range labels {
		row := r.Probabilities.Data[v*k : (v+1)*k]
		best := 0
		for c, x := range row {
			if x > row[best] {
				best = c
			}
		}
		second := (best + 1) % k
		for c, x := range row {
			if c != best && x > row[second] {
				second = c
			}
		}
		// The difference of two logits is the logarithm of the quotient of their
		// probabilities.
		if math.Log(float64(row[best])/float64(row[second])) < nearBy {
			e.Near = append(e.Near, near{v, uint8(best), uint8(second)})
			labels[v] = uint8(best)
		}
	}
	sum := sha256.Sum256(labels)
	e.SHA256 = hex.EncodeToString(sum[:])
}

func TestExpectedLabelsAreThoseOfTheNativeCPU(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("natively")
	}
	file := smallModel(t)
	m, err := checkpoint.Read(bytes.NewReader(file), int64(len(file)), "small", checkpoint.Options{})
	require.NoError(t, err)
	dev := backendcpu.Open(backendcpu.Options{})
	defer dev.Close()
	list := []expected{
		{Scan: "hippocampus_033"}, {Scan: "thick_s"}, {Scan: "hippocampus_017", Mirror: true}, {Scan: "hippocampus_049"},
	}
	for i := range list {
		list[i].make(t, m, dev)
	}
	if *update {
		b, err := json.MarshalIndent(list, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(labelsFile, append(b, '\n'), 0o666))
	}
	// Instruction sets differ in the last bits of logits, so that a voxel may be near
	// for one only: the labels have to match, not the lists.
	for i, want := range allExpected(t) {
		t.Logf("%s: %d voxels are near", want.Scan, len(list[i].Near))
		assert.Equal(t, want.Scan, list[i].Scan)
		assert.Equal(t, want.SHA256, list[i].SHA256)
	}
}

// The worker on this host's devices: natively, and in a browser by
// `go test -exec bin/browserexec`.
func TestWorkersOnAllDevicesGiveTheSameLabels(t *testing.T) {
	p := newPage(t, Host{WebGPU: func(software bool) (backend.Device, error) { return webgpu.Open(webgpu.Options{Software: software}) }})
	segmentAll(t, p)
}

// asker sends requests to a worker and waits for what they end in.
type asker interface {
	asked(r api.Request, blobs ...[]byte) message
}

// segmentAll compares labels on the devices of a worker. WebGPU by software takes
// seconds a tile: without GOUNET_LONG it segments two scans.
func segmentAll(t *testing.T, p asker) {
	m := p.asked(loadOne("small.gounet"), smallModel(t))
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	for i, e := range allExpected(t) {
		b, err := os.ReadFile(inputPath(t, e.Scan))
		require.NoError(t, err)
		m := p.asked(openOne(), b)
		require.NotNil(t, m.Opened, "%+v", m.Failed)
		for _, kind := range []string{api.DeviceCPU, api.DeviceWebGPU} {
			if kind == api.DeviceWebGPU && i > 1 && os.Getenv("GOUNET_LONG") == "" {
				continue
			}
			t.Run(kind+"/"+e.Scan, func(t *testing.T) {
				m := p.asked(api.Request{Segment: &api.Segment{Device: kind, NoMirror: !e.Mirror}})
				if m.Failed != nil && m.Failed.Code == api.FailedDevice && kind == api.DeviceWebGPU {
					t.Skip(m.Failed.Reason)
				}
				require.NotNil(t, m.Done, "%+v", m.Failed)
				require.NoError(t, e.match(m.buffers[0]))
				d := m.Done
				t.Logf("%s: %d tiles in %d runs, %.0f ms, of which model %.0f, reading %.0f, preprocessing %.0f; %d KiB on the device",
					d.Device.Name, d.Memory.Tiles, d.Memory.Runs, d.Times.TotalMS, d.Times.ModelMS, d.Times.ReadMS, d.Times.PreprocessMS, d.Memory.DeviceBytes>>10)
			})
		}
	}
}
