package worker

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	backendcpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
)

// cascade is where core/predict keeps two networks of random weights, and what nnU-Net
// makes of a scan with them.
const cascade = "../../core/predict/testdata/cascade"

// nearby is how many of 53,760 voxels may have other labels on another processor: its
// sums round in another order, and the networks' labels change from voxel to voxel.
const nearby = 60

// cascadeModel is both networks as one model, and cascadeFile as a file.
func cascadeModel(t testing.TB) *checkpoint.Model {
	m, err := checkpoint.Open(filepath.Join(cascade, "T__P__"+plan.ConfigCascade))
	require.NoError(t, err)
	before, err := checkpoint.Open(filepath.Join(cascade, "T__P__"+plan.ConfigLowRes))
	require.NoError(t, err)
	require.NoError(t, m.SetBefore(before))
	return m
}

func cascadeFile(t testing.TB) []byte {
	var b bytes.Buffer
	require.NoError(t, checkpoint.Write(&b, cascadeModel(t)))
	return b.Bytes()
}

func cascadeScan(t testing.TB) []byte { return contents(t, filepath.Join(cascade, "scan_0000.nii.gz")) }

// nativeLabels are those of core/predict on an x86 processor, which TestBothNetworks…
// writes with -update.
const nativeLabels = "../testdata/cascade.nii.gz"

// differ counts the voxels in which labels are not the native ones.
func differ(t testing.TB, labels []byte) (n int) {
	l, _, err := nifti.ReadLabels(nativeLabels)
	require.NoError(t, err)
	require.Len(t, labels, len(l.Data))
	for i, v := range l.Data {
		if labels[i] != v {
			n++
		}
	}
	return n
}

// cascaded is a page with both networks and their scan.
func cascaded(t *testing.T, h Host) *page {
	p := newPage(t, h)
	m := p.asked(loadOne("m.gounet"), cascadeFile(t))
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	assert.Equal(t, 2, m.Loaded.Networks)
	require.NotNil(t, p.asked(openOne(), cascadeScan(t)).Opened)
	return p
}

func TestBothNetworksOfACascadeRun(t *testing.T) {
	p := cascaded(t, Host{})
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{}}))
	require.NotNil(t, m.Done, "%+v", m.Failed)

	// As core/predict does on the same device, alone.
	model := cascadeModel(t)
	whole, err := predict.New(model, predict.Options{Device: backendcpu.Open(backendcpu.Options{})})
	require.NoError(t, err)
	defer whole.Close()
	im, _, err := nifti.DecodeImage(bytes.NewReader(cascadeScan(t)), "scan_0000.nii.gz")
	require.NoError(t, err)
	r, err := whole.Image(t.Context(), im, predict.ImageOptions{})
	require.NoError(t, err)
	assert.Equal(t, r.Labels.Data, m.buffers[0])
	if *update {
		require.NoError(t, nifti.WriteLabels(nativeLabels, r.Labels, nil))
	}
	assert.Less(t, differ(t, m.buffers[0]), nearby)

	// One progress over both, which says where it is.
	var tiles []api.Progress
	for _, b := range before {
		if b.Progress.Stage == api.StageSegment {
			tiles = append(tiles, *b.Progress)
		}
	}
	for i, g := range tiles {
		assert.Equal(t, 2, g.Networks)
		if i > 0 {
			assert.Greater(t, g.Done, tiles[i-1].Done)
			assert.GreaterOrEqual(t, g.Network, tiles[i-1].Network)
		}
	}
	first, last := tiles[0], tiles[len(tiles)-1]
	assert.Equal(t, 1, first.Network)
	assert.Positive(t, first.LeftMS+1)
	assert.Equal(t, 2, last.Network)
	assert.Equal(t, last.Of, last.Done)

	// What it takes is known before: the larger of both, and the labels between them.
	c := p.asked(api.Request{PageRequest: api.PageRequest{Check: &api.Check{Plan: true}}})
	require.NotNil(t, c.Checked, "%+v", c.Failed)
	low, err := predict.New(model.Before, predict.Options{Device: backendcpu.Open(backendcpu.Options{})})
	require.NoError(t, err)
	defer low.Close()
	one, err := low.Plan(im.Grid)
	require.NoError(t, err)
	two, err := whole.Plan(im.Grid)
	require.NoError(t, err)
	assert.Equal(t, max(one.Total(), two.Total()), c.Checked.Memory.DeviceBytes)
	assert.Equal(t, max(one.Host, two.Host)+int64(im.Voxels()), c.Checked.Memory.HostBytes)
	assert.Equal(t, one.Tiles+two.Tiles, c.Checked.Memory.Tiles)
	assert.LessOrEqual(t, m.Done.Memory.DeviceBytes, c.Checked.Memory.DeviceBytes)
	c = p.asked(api.Request{PageRequest: api.PageRequest{Check: &api.Check{}}})
	require.NotNil(t, c.Checked, "%+v", c.Failed)
	assert.Equal(t, one.Steps+two.Steps, c.Checked.Rows)
	assert.Equal(t, int64(one.Steps+two.Steps), last.Of)
	assert.Positive(t, c.Checked.TileMS)
	require.NotNil(t, p.asked(api.Request{Segment: &api.Segment{}}).Done)
}

func TestACascadeGoesOnInTheNetworkThatWasInterrupted(t *testing.T) {
	p := cascaded(t, Host{})
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{Step: 0.3, NoMirror: true, SaveSeconds: 1e-9, Page: true}}))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	states := map[int]message{} // the first of each network
	network, partial := 0, map[int]bool{}
	for _, b := range before {
		switch {
		case b.Progress != nil && b.Progress.Network > 0:
			network = b.Progress.Network
		case b.Partial != nil:
			partial[network] = true
		case b.Saved != nil && states[network].Saved == nil:
			states[network] = b
		}
	}
	require.NotNil(t, states[1].Saved)
	require.NotNil(t, states[2].Saved)
	assert.True(t, partial[1] && partial[2], "labels of both are shown as they come")
	for k, s := range states {
		assert.Less(t, s.Saved.Done, s.Saved.Of)
		again, before := p.end(p.post(api.Request{Segment: &api.Segment{Step: 0.3, NoMirror: true, Page: true, Resume: &api.File{Name: "state"}}}, s.buffers[0]))
		require.NotNil(t, again.Done, "%+v", again.Failed)
		assert.Equal(t, m.buffers, again.buffers)
		for _, b := range before {
			if b.Progress != nil && b.Progress.Stage == api.StageSegment {
				assert.GreaterOrEqual(t, b.Progress.Network, k, "what is done is not done again")
				assert.Greater(t, b.Progress.Done, s.Saved.Done)
			}
		}
	}

	// A state of two networks is none of one, nor of another scan.
	require.NotNil(t, p.asked(openOne(), scanFile(t)).Opened)
	f := p.failed(api.Request{Segment: &api.Segment{Step: 0.3, NoMirror: true, Resume: &api.File{Name: "state"}}}, states[2].buffers[0])
	assert.Equal(t, api.FailedRequest, f.Code)
	assert.Contains(t, f.Reason, "another network or scan")
	require.NotNil(t, p.asked(loadOne("m.gounet"), modelFile(t)).Loaded)
	f = p.failed(api.Request{Segment: &api.Segment{Step: 0.3, NoMirror: true, Resume: &api.File{Name: "state"}}}, states[2].buffers[0])
	assert.Contains(t, f.Reason, "another network or scan")
}

func TestACascadeIsCancelledInEitherNetwork(t *testing.T) {
	p := cascaded(t, Host{})
	id := p.post(api.Request{Segment: &api.Segment{}})
	p.Post(api.Request{Cancel: &api.Cancel{Request: id}}, nil)
	m, _ := p.end(id)
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedCancelled, m.Failed.Code)

	p.seen = func(a api.Answer) {
		if g := a.Progress; g != nil && g.Network == 2 {
			p.Post(api.Request{Cancel: &api.Cancel{Request: a.ID, Save: true}}, nil)
		}
	}
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{}}))
	p.seen = nil
	require.NotNil(t, m.Failed, "%+v", m.Answer)
	assert.Equal(t, api.FailedCancelled, m.Failed.Code)
	require.NotNil(t, before[len(before)-1].Saved)
	require.NotNil(t, p.asked(api.Request{Segment: &api.Segment{Step: 0.3, NoMirror: true}}).Done, "the worker goes on")
}

func TestHalfACascadeIsRefusedBeforeAScanIsRead(t *testing.T) {
	m := cascadeModel(t)
	m.Before = nil
	var b bytes.Buffer
	require.NoError(t, checkpoint.Write(&b, m))
	p := newPage(t, Host{})
	require.NotNil(t, p.asked(loadOne("m.gounet"), b.Bytes()).Loaded, "its labels and channels are shown")
	require.NotNil(t, p.asked(openOne(), cascadeScan(t)).Opened)
	for _, r := range []api.Request{{PageRequest: api.PageRequest{Check: &api.Check{}}}, {Segment: &api.Segment{}}} {
		f := p.failed(r)
		assert.Equal(t, api.FailedModel, f.Code)
		assert.Contains(t, f.Reason, "3d_cascade_fullres is the second of two networks, and the first, 3d_lowres, is not in the file: gounet export --to zip")
	}
}

func TestMemoryIsAskedForBothNetworks(t *testing.T) {
	p := cascaded(t, Host{Bytes: 1 << 10})
	f := p.failed(api.Request{Segment: &api.Segment{}})
	assert.Equal(t, api.FailedMemory, f.Code)
	assert.Equal(t, int64(1<<10), f.Have)
	assert.Greater(t, f.Need, f.Have)
}
