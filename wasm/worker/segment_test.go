package worker

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	backendcpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/api"
)

// tinyModel has random weights, a small patch and the hippocampus' labels.
func tinyModel() *checkpoint.Model {
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "Dataset004_Hippocampus", Ignore: -1, FileEnding: ".nii.gz",
		Transpose: [3]int{0, 1, 2}, TransposeBack: [3]int{0, 1, 2}, Recipe: plan.NNUNet(3),
		Channels:      []plan.Channel{{Name: "MR", Normalization: plan.NormZScore}},
		MedianSpacing: [3]float64{1, 1, 1}, MedianShape: [3]int{36, 50, 35},
		Intensities: []plan.Intensity{{Std: 1}},
		Labels:      []plan.Label{{Name: "background", Values: []int{0}}, {Name: "anterior", Values: []int{1}}, {Name: "posterior", Values: []int{2}}},
	}
	p.Configurations = []plan.Configuration{{
		Name: "test", Dim: 3, MedianShape: [3]float64{36, 50, 35}, Patch: [3]int{8, 16, 16}, Batch: 1, Spacing: [3]float64{1, 1, 1}, Resampling: plan.DefaultResampling(),
		Normalization: []string{plan.NormZScore}, MaskNorm: []bool{false},
		Network: plan.Network{
			Kind: plan.Plain, Features: []int{4, 6}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
			Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}}, Convs: []int{1, 1}, DecoderConvs: []int{1},
		},
	}}
	c := &p.Configurations[0]
	m := &checkpoint.Model{Plan: p, Configuration: c.Name, Mirror: p.Recipe.For(c).Inference.Mirror}
	r := rand.New(rand.NewPCG(1, 2))
	w := checkpoint.Weights{}
	for _, q := range checkpoint.Parameters(p, c) {
		n := 1
		for _, d := range q.Shape {
			n *= d
		}
		t := checkpoint.Tensor{Shape: q.Shape, Data: make([]float32, n)}
		for i := range t.Data {
			switch {
			case strings.HasSuffix(q.Name, "norm.weight"):
				t.Data[i] = 1
			case !strings.HasSuffix(q.Name, ".bias"):
				t.Data[i] = float32(r.NormFloat64())
			}
		}
		w[q.Name] = t
	}
	m.Folds = []checkpoint.Fold{{Name: "0", Weights: w}}
	return m
}

func TestASegmentationTellsOfEveryRun(t *testing.T) {
	p := prepared(t, Host{})
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{NoMirror: true}}))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	d := m.Done
	require.Len(t, m.buffers, 1)
	voxels := [3]int{}
	for _, v := range m.buffers[0] {
		voxels[v]++
	}
	assert.Len(t, m.buffers[0], d.Grid.Shape[0]*d.Grid.Shape[1]*d.Grid.Shape[2])
	require.Len(t, d.Labels, 2)
	for i, l := range d.Labels {
		assert.Equal(t, voxels[i+1], l.Voxels)
		assert.InDelta(t, float64(l.Voxels)/1000, l.ML, 1e-9, "voxels of 1 mm")
	}
	assert.Equal(t, api.DeviceCPU, d.Device.Kind)
	assert.Equal(t, errNoGPU.Error(), d.Device.Why)
	assert.Positive(t, d.Memory.DeviceBytes)
	assert.Positive(t, d.Memory.HostBytes)
	assert.Greater(t, d.Times.TotalMS, d.Times.SegmentMS)
	var tiles []api.Progress
	for _, b := range before {
		if b.Progress.Stage == api.StageSegment {
			tiles = append(tiles, *b.Progress)
		}
	}
	require.Len(t, tiles, d.Memory.Runs)
	for i, a := range tiles {
		assert.Equal(t, int64(d.Memory.Tiles), a.Of)
		if i > 0 {
			assert.Greater(t, a.Done, tiles[i-1].Done)
		}
	}
	assert.Equal(t, tiles[0].Of, tiles[len(tiles)-1].Done)
	assert.Zero(t, tiles[len(tiles)-1].LeftMS)
}

func TestWhatDoesNotFitIsRefusedWithNumbers(t *testing.T) {
	p := prepared(t, Host{})
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{Memory: 1 << 17}}))
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedMemory, m.Failed.Code)
	assert.Equal(t, int64(1<<17), m.Failed.Have)
	assert.Greater(t, m.Failed.Need, m.Failed.Have)
	assert.Empty(t, before, "before anything is read")

	p = prepared(t, Host{Bytes: 1000})
	f := p.failed(api.Request{Segment: &api.Segment{}})
	assert.Equal(t, api.FailedMemory, f.Code)
	assert.Equal(t, int64(1000), f.Have)
	assert.Greater(t, f.Need, f.Have)
}

// full is a device that others have filled.
type full struct{ backend.Device }

func (full) NewBuffer(bytes int64) (backend.Buffer, error) {
	return nil, fmt.Errorf("%w: %d bytes", backend.ErrMemory, bytes)
}

func TestADeviceThatIsFullIsToldAsMissingMemory(t *testing.T) {
	p := prepared(t, Host{CPU: func() (backend.Device, error) { return full{backendcpu.Open(backendcpu.Options{})}, nil }})
	f := p.failed(api.Request{Segment: &api.Segment{}})
	assert.Equal(t, api.FailedMemory, f.Code)
	assert.Contains(t, f.Do, "server")
}

// cancelled is what comes before the end of a segmentation that is cancelled, to be saved, when its first tile is done.
func (p *page) cancelled() (before []message) {
	p.t.Helper()
	p.seen = func(a api.Answer) {
		if a.Progress != nil && a.Progress.Stage == api.StageSegment && a.Progress.Done > 0 {
			p.Post(api.Request{Cancel: &api.Cancel{Request: a.ID, Save: true}}, nil)
		}
	}
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{}}))
	p.seen = nil
	require.NotNil(p.t, m.Failed)
	assert.Equal(p.t, api.FailedCancelled, m.Failed.Code)
	return before
}

func TestACancelledSegmentationGoesOnFromItsState(t *testing.T) {
	p := prepared(t, Host{})
	whole := p.asked(api.Request{Segment: &api.Segment{}})
	require.NotNil(t, whole.Done)

	before := p.cancelled()
	last := before[len(before)-1]
	require.NotNil(t, last.Saved)
	assert.Positive(t, last.Saved.Done)
	assert.Less(t, last.Saved.Done, last.Saved.Of)
	assert.Equal(t, int(last.Saved.Bytes), len(last.buffers[0]))

	m, before := p.end(p.post(api.Request{Segment: &api.Segment{Resume: &api.File{Name: "state"}}}, last.buffers[0]))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	assert.Equal(t, whole.buffers, m.buffers)
	for _, b := range before {
		if b.Progress.Stage == api.StageSegment {
			assert.Greater(t, b.Progress.Done, last.Saved.Done, "no tile is done twice")
		}
	}
	f := p.failed(api.Request{Segment: &api.Segment{NoMirror: true, Resume: &api.File{Name: "state"}}}, last.buffers[0])
	assert.Contains(t, f.Reason, "the state is that of another")
}

func TestStatesThatDoNotFitAreNotMade(t *testing.T) {
	p := prepared(t, Host{Bytes: 1 << 20}) // the scan takes 0.8 MB, a state another 1
	f := p.failed(api.Request{Segment: &api.Segment{SaveSeconds: 1}})
	assert.Equal(t, api.FailedMemory, f.Code)
	assert.Contains(t, f.Reason, "saved states")
	before := p.cancelled()
	for _, b := range before {
		assert.Nil(t, b.Saved)
	}
}

func TestStatesComeAsOftenAsAskedFor(t *testing.T) {
	p := prepared(t, Host{})
	_, before := p.end(p.post(api.Request{Segment: &api.Segment{SaveSeconds: 1e-9}}))
	saved := 0
	for _, b := range before {
		if b.Saved != nil {
			saved++
		}
	}
	assert.Greater(t, saved, 1)
}

func TestARequestThatWaitsIsCancelled(t *testing.T) {
	p := prepared(t, Host{})
	first := p.post(api.Request{Segment: &api.Segment{}})
	second := p.post(api.Request{Segment: &api.Segment{}})
	p.Post(api.Request{Cancel: &api.Cancel{Request: second, Save: true}}, nil)
	p.Post(api.Request{Cancel: &api.Cancel{Request: first}}, nil)
	for _, id := range []int{first, second} {
		m, before := p.end(id)
		require.NotNil(t, m.Failed)
		assert.Equal(t, api.FailedCancelled, m.Failed.Code)
		for _, b := range before {
			assert.Nil(t, b.Saved)
		}
	}
	p.Post(api.Request{Cancel: &api.Cancel{Request: first}}, nil) // over already
	require.NotNil(t, p.asked(api.Request{Segment: &api.Segment{NoMirror: true}}).Done, "the worker goes on")
}

// named is a processor that another device's name is said of.
type named struct {
	backend.Device
	name string
}

func (n named) Name() string { return n.name }

func TestTheDeviceIsAGPUThenTheCPUAndSoftwareIfAskedFor(t *testing.T) {
	processor := func(name string) backend.Device { return named{backendcpu.Open(backendcpu.Options{}), name} }
	for _, c := range []struct {
		name, asked, kind, device string
		gpu                       bool
	}{
		{"a GPU", "", api.DeviceWebGPU, "gpu", true},
		{"a GPU, the CPU asked for", api.DeviceCPU, api.DeviceCPU, "cpu", true},
		{"no GPU", "", api.DeviceCPU, "cpu", false},
		{"software asked for", api.DeviceWebGPU, api.DeviceWebGPU, "software", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepared(t, Host{
				CPU: func() (backend.Device, error) { return processor("cpu"), nil },
				WebGPU: func(software bool) (backend.Device, error) {
					switch {
					case c.gpu:
						return processor("gpu"), nil
					case software:
						return processor("software"), nil
					}
					return nil, errNoGPU
				},
			})
			m := p.asked(api.Request{Segment: &api.Segment{Device: c.asked, NoMirror: true}})
			require.NotNil(t, m.Done, "%+v", m.Failed)
			assert.Equal(t, c.kind, m.Done.Device.Kind)
			assert.Equal(t, c.device, m.Done.Device.Name)
			assert.Equal(t, c.device == "software", m.Done.Device.Software)
			assert.NotEmpty(t, m.Done.Device.Why)
		})
	}
}

// dying is a device whose buffers are lost after some writes.
type dying struct {
	backend.Device
	left *int
}

func (d dying) NewBuffer(n int64) (backend.Buffer, error) {
	if *d.left--; *d.left < 0 {
		return nil, errors.Join(errors.New("webgpu: gone"), backend.ErrLost)
	}
	return d.Device.NewBuffer(n)
}

func TestALostDeviceIsOpenedAgain(t *testing.T) {
	opens := 0
	p := prepared(t, Host{WebGPU: func(bool) (backend.Device, error) {
		opens++
		left := 1 << 20
		if opens == 1 {
			left = 1
		}
		return dying{backendcpu.Open(backendcpu.Options{}), &left}, nil
	}})
	f := p.failed(api.Request{Segment: &api.Segment{NoMirror: true}})
	assert.Equal(t, api.FailedLost, f.Code)
	require.NotNil(t, p.asked(api.Request{Segment: &api.Segment{NoMirror: true}}).Done)
	assert.Equal(t, 2, opens)
}

func TestUncertaintyComesWithTheLabelsIfItIsAskedFor(t *testing.T) {
	p := prepared(t, Host{})
	c := p.asked(api.Request{PageRequest: api.PageRequest{Check: &api.Check{Segment: api.Segment{NoMirror: true}}}})
	require.NotNil(t, c.Checked, "%+v", c.Failed)
	m := p.asked(api.Request{Segment: &api.Segment{NoMirror: true, Page: true, Uncertainty: true}})
	require.NotNil(t, m.Done, "%+v", m.Failed)
	require.True(t, m.Done.Uncertainty)
	require.Len(t, m.buffers, 2)
	unsure := m.buffers[1]
	require.Len(t, unsure, len(m.buffers[0]))
	assert.Greater(t, c.Checked.Uncertainty, int64(len(unsure)), "logits, and two maps")

	e := api.Export{Formats: []string{api.ExportUncertainty}, Labels: api.File{Name: "labels"}, Name: "x", Uncertainty: &api.File{Name: "unsure", Blob: 1}}
	f := p.asked(api.Request{PageRequest: api.PageRequest{Export: &e}}, m.buffers[0], unsure)
	require.NotNil(t, f.Exported, "%+v", f.Failed)
	assert.Equal(t, "x_uncertainty.nii.gz", f.Exported.Files[0].Name)
	im, _, err := nifti.DecodeImage(bytes.NewReader(f.buffers[0]), "u.nii.gz")
	require.NoError(t, err)
	plain := p.asked(api.Request{Segment: &api.Segment{NoMirror: true, Uncertainty: true}})
	require.Equal(t, plain.Done.Grid.Shape, im.Shape, "in the scan's own grid")
	for i, v := range im.Data {
		require.InDelta(t, float64(plain.buffers[1][i])/255, v, 0x1p-24)
	}
	e.Uncertainty = nil
	assert.Contains(t, p.failed(api.Request{PageRequest: api.PageRequest{Export: &e}}, m.buffers[0]).Reason, "ask for one")
	assert.Len(t, p.asked(api.Request{Segment: &api.Segment{NoMirror: true}}).buffers, 1)
}
