package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math"

	"github.com/gounet/gounet/core/measure"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

var errNoScan = fail(api.FailedRequest, errors.New("there is no scan: open one first"))

// seen is a channel of the scan as a page sees it.
type seen struct {
	*volume.Image
	channel int
}

// page reads a channel of the scan, or has it from before.
func (w *Worker) page(j *job, channel int) (*volume.Image, error) {
	if w.scan == nil {
		return nil, errNoScan
	}
	if channel < 0 || channel >= w.scan.Channels {
		return nil, fail(api.FailedRequest, fmt.Errorf("channel %d of %d", channel, w.scan.Channels))
	}
	if w.seen != nil && w.seen.channel == channel {
		return w.seen.Image, nil
	}
	w.seen = nil
	if need := 4 * int64(w.scan.Grid.Voxels()) * int64(w.scan.Channels+1); w.host.Bytes > 0 && need > w.host.Bytes {
		return nil, &tooLarge{need, w.host.Bytes}
	}
	im, err := w.scan.Image(j.ctx)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	t := turnOf(w.scan.Grid)
	w.seen = &seen{&volume.Image{Grid: t.grid(), C: 1, Data: toPage(t, im.Data, im.C, channel)}, channel}
	return w.seen.Image, w.rest()
}

// tooLarge is a scan that a browser cannot hold.
type tooLarge struct{ need, have int64 }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("the scan takes %d MiB, of %d MiB that a program in a browser may take", e.need>>20, e.have>>20)
}

const bins = 96 // of the histogram

// look gives the voxels of the scan to a page.
func (w *Worker) look(j *job) (*api.Looked, []byte, error) {
	w.tell(j, api.Answer{Progress: &api.Progress{Stage: api.StageRead}})
	im, err := w.page(j, j.Look.Channel)
	if err != nil {
		return nil, nil, err
	}
	l := &api.Looked{Grid: gridOf(im.Grid), Histogram: make([]int, bins)}
	l.Min, l.Max = math.Inf(1), math.Inf(-1)
	whole := true
	for _, v := range im.Data {
		x := float64(v)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			whole = false
			continue
		}
		l.Min, l.Max = min(l.Min, x), max(l.Max, x)
		whole = whole && x == math.Trunc(x)
	}
	if l.Min > l.Max {
		return nil, nil, fail(api.FailedScan, errors.New("no voxel of the scan is a number"))
	}
	perValue := bins / max(l.Max-l.Min, 1e-30)
	for _, v := range im.Data {
		if at := (float64(v) - l.Min) * perValue; at >= 0 {
			l.Histogram[min(int(at), bins-1)]++
		}
	}
	l.Window[0], l.Window[1] = preview.Window(im)
	if s := w.scan.Series(); s != nil {
		l.Modality, l.Unit = s.Modality, s.Volumes[0].Unit
	}
	file := niftiOf(im, whole && l.Min >= math.MinInt16 && l.Max <= math.MaxInt16)
	l.Hash = fmt.Sprintf("%016x", crc64.Checksum(file, crc64.MakeTable(crc64.ECMA)))
	return l, file, nil
}

// niftiOf is a NIfTI-1 file of im, of whole numbers or of floats.
func niftiOf(im *volume.Image, whole bool) []byte {
	const offset = 352 // of the voxels
	kind, size := 16, 4
	if whole {
		kind, size = 4, 2
	}
	b := make([]byte, offset+size*len(im.Data))
	le := binary.LittleEndian
	le.PutUint32(b, 348)
	short := func(at int, v int) { le.PutUint16(b[at:], uint16(v)) }
	float := func(at int, v float64) { le.PutUint32(b[at:], math.Float32bits(float32(v))) }
	short(40, 3)
	float(76, 1)
	for i := range 3 {
		short(42+2*i, im.Shape[2-i])
		float(80+4*i, im.Spacing[2-i])
	}
	for i := 3; i < 7; i++ {
		short(42+2*i, 1)
	}
	short(70, kind)
	short(72, 8*size)
	float(108, offset)
	float(112, 1) // slope
	b[123] = 2    // mm
	short(254, 2) // sform: aligned
	place := im.Affine
	if place == ([4][4]float64{}) {
		place = [4][4]float64{{im.Spacing[2]}, {0, im.Spacing[1]}, {0, 0, im.Spacing[0]}}
	}
	for r := range 3 {
		for c := range 4 {
			float(280+16*r+4*c, place[r][c])
		}
	}
	copy(b[344:], "n+1")
	if whole {
		for i, v := range im.Data {
			le.PutUint16(b[offset+2*i:], uint16(int16(v)))
		}
		return b
	}
	for i, v := range im.Data {
		le.PutUint32(b[offset+4*i:], math.Float32bits(v))
	}
	return b
}

// labelsIn reads a label map that a page has sent, in the page's grid.
func (w *Worker) labelsIn(j *job, f api.File) (*volume.Labels, error) {
	if w.scan == nil {
		return nil, errNoScan
	}
	files, err := w.files(j, []api.File{f}, false)
	if err != nil {
		return nil, err
	}
	g := turnOf(w.scan.Grid).grid()
	if files[0].Size != int64(g.Voxels()) {
		return nil, fail(api.FailedRequest, fmt.Errorf("%d labels for a scan of %v voxels (D H W)", files[0].Size, g.Shape))
	}
	l := volume.NewLabels(g)
	if n, err := files[0].ReadAt(l.Data, 0); n < len(l.Data) {
		return nil, fail(api.FailedRequest, err)
	}
	return l, nil
}

// measure says how large labels are, and how bright below them.
func (w *Worker) measure(j *job) (*api.Measured, error) {
	l, err := w.labelsIn(j, j.Measure.Labels)
	if err != nil {
		return nil, err
	}
	im, err := w.page(j, 0)
	if err != nil {
		return nil, err
	}
	t, err := measure.Labels(w.scan.Name, l, im, nil)
	if err != nil {
		return nil, fail(api.FailedRequest, err)
	}
	m := &api.Measured{Labels: []api.Structure{}}
	centres := centresOf(l)
	for _, s := range t.Structures {
		m.Labels = append(m.Labels, api.Structure{
			Value: int(s.Label), Voxels: s.Voxels, ML: float64(s.VolumeML), Mean: finite(float64(s.Mean)), Std: finite(float64(s.Std)),
			Centre: centres[s.Label], Place: [3]float64{finite(float64(s.Centroid[0])), finite(float64(s.Centroid[1])), finite(float64(s.Centroid[2]))},
		})
	}
	return m, w.rest()
}

func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// centresOf are the voxels of labels that are nearest to their mean places: a bent
// structure has nothing at its mean.
func centresOf(l *volume.Labels) (at [256][3]int) {
	var sum [256][3]float64
	var n [256]float64
	each := func(visit func(v uint8, d, h, w int)) {
		i := 0
		for d := range l.Shape[0] {
			for h := range l.Shape[1] {
				for w := range l.Shape[2] {
					if v := l.Data[i]; v != 0 {
						visit(v, d, h, w)
					}
					i++
				}
			}
		}
	}
	each(func(v uint8, d, h, w int) {
		n[v]++
		sum[v][0], sum[v][1], sum[v][2] = sum[v][0]+float64(d), sum[v][1]+float64(h), sum[v][2]+float64(w)
	})
	var best [256]float64
	for v := range best {
		best[v] = math.Inf(1)
	}
	each(func(v uint8, d, h, w int) {
		x, y, z := float64(d)-sum[v][0]/n[v], float64(h)-sum[v][1]/n[v], float64(w)-sum[v][2]/n[v]
		x, y, z = x*l.Spacing[0], y*l.Spacing[1], z*l.Spacing[2]
		if r := x*x + y*y + z*z; r < best[v] {
			best[v], at[v] = r, [3]int{d, h, w}
		}
	})
	return at
}
