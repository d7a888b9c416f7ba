package predict

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Probabilities of each class, or region, of each voxel of a scan, Data
// [D H W K] in the scan's own axes. Around the part of the scan that was cropped
// away the background is 1, or with regions all are 0.
type Probabilities struct {
	Shape [3]int // D H W
	K     int
	Data  []float32
}

// probabilities brings the logits of a preprocessed scan to the grid of the scan,
// as nnU-Net's convert_predicted_logits_to_segmentation_with_correct_shape does.
func (p *Predictor) probabilities(place volume.Placement, logits []float32) (*Probabilities, error) {
	k := p.plan.Classes()
	export := place.ExportLogits
	if p.cubic(place) {
		export = place.ExportCubic
	}
	l, err := export(logits, k)
	if err != nil {
		return nil, err
	}
	regions := p.plan.HasRegions()
	for i := 0; i < len(l.Data); i += k {
		if regions {
			sigmoid(l.Data[i : i+k])
		} else {
			softmax(l.Data[i : i+k])
		}
	}
	data, err := place.UncropProbabilities(l.Data, k, !regions)
	if err != nil {
		return nil, err
	}
	return &Probabilities{Shape: place.Original.Shape, K: k, Data: data}, nil
}

// Ensemble is the mean of what several models say of one scan, which is how
// nnU-Net puts configurations together (the folds of one it averages as logits).
func Ensemble(ps ...*Probabilities) (*Probabilities, error) {
	if len(ps) == 0 {
		return nil, errors.New("predict: an ensemble of no models")
	}
	first := ps[0]
	mean := &Probabilities{Shape: first.Shape, K: first.K, Data: make([]float32, len(first.Data))}
	for _, p := range ps {
		if err := mean.add(p, 1/float32(len(ps))); err != nil {
			return nil, fmt.Errorf("predict: %w", err)
		}
	}
	return mean, nil
}

// add adds q, times w.
func (p *Probabilities) add(q *Probabilities, w float32) error {
	if p.Shape != q.Shape || p.K != q.K {
		return fmt.Errorf("an ensemble of shapes %v and %v (D H W) with %d and %d classes, wanted those of one scan and one data set",
			p.Shape, q.Shape, p.K, q.K)
	}
	for i, x := range q.Data {
		p.Data[i] += x * w
	}
	return nil
}

// Labels decides: the most probable class, the first of equal ones; for a plan
// with regions, regions is its RegionOrder, and the last of those above ½ counts.
func (p *Probabilities) Labels(g volume.Grid, regions []int) *volume.Labels {
	l := volume.NewLabels(g)
	for v := range l.Data {
		row := p.Data[v*p.K : (v+1)*p.K]
		best := 0
		for k, x := range row {
			switch {
			case regions == nil && x > row[best]:
				best = k
			case regions != nil && x > 0.5:
				best = regions[k]
			}
		}
		l.Data[v] = uint8(best)
	}
	return l
}

func sigmoid(z []float32) {
	for i, x := range z {
		z[i] = float32(1 / (1 + math.Exp(-float64(x))))
	}
}

func softmax(z []float32) {
	most := z[0]
	for _, x := range z {
		most = max(most, x)
	}
	sum := 0.0
	for _, x := range z {
		sum += math.Exp(float64(x - most))
	}
	for i, x := range z {
		z[i] = float32(math.Exp(float64(x-most)) / sum)
	}
}

// WriteProbabilities writes p to path as nnU-Net's --save_probabilities does: an
// .npz file with the array "probabilities", float32 [K D H W]. The file appears
// whole or not at all.
func WriteProbabilities(path string, p *Probabilities) error {
	err := atomicfile.Write(path, func(w io.Writer) error { return EncodeProbabilities(w, p) })
	if err != nil {
		return fmt.Errorf("predict: %s: %w", path, err)
	}
	return nil
}

// EncodeProbabilities writes what WriteProbabilities writes to a file.
//
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html,
// version 1.0, in a zip file.
func EncodeProbabilities(w io.Writer, p *Probabilities) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed) // most values are 0 or 1; better levels take 5 times as long for a tenth
	})
	entry, err := z.Create("probabilities.npy")
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(entry, 1<<18)
	if _, err := b.WriteString(npyHeader(p.K, p.Shape[0], p.Shape[1], p.Shape[2])); err != nil {
		return err
	}
	row := make([]byte, 4*p.Shape[2])
	for c := range p.K {
		for at := c; at < len(p.Data); at += p.Shape[2] * p.K {
			for x := range p.Shape[2] {
				binary.LittleEndian.PutUint32(row[4*x:], math.Float32bits(p.Data[at+x*p.K]))
			}
			if _, err := b.Write(row); err != nil {
				return err
			}
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return z.Close()
}

// npyHeader describes a dense array of little-endian f32, padded so that the
// data begin at a multiple of 64 bytes.
func npyHeader(shape ...int) string {
	const magic = "\x93NUMPY\x01\x00"
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	text := "{'descr': '<f4', 'fortran_order': False, 'shape': (" + dims + "), }"
	n := (len(magic)+2+len(text)+1+63)/64*64 - len(magic) - 2
	text += strings.Repeat(" ", n-len(text)-1) + "\n"
	return magic + string(binary.LittleEndian.AppendUint16(nil, uint16(n))) + text
}
