package dicom

import (
	"context"
	"fmt"

	"github.com/gounet/gounet/core/volume"
)

// Labels reads the voxels, in the grid of v, or of the segmentation itself where v is
// nil. A fraction counts from half of the maximum on. Where segments overlap, the one
// of the largest label is kept, and overlap has the number of such voxels.
func (s *Segmentation) Labels(ctx context.Context, v *Volume) (l *volume.Labels, overlap int64, err error) {
	grid, at := s.Grid, make([]int, len(s.frames))
	if v != nil {
		grid = v.Grid
		if at, err = s.onto(v); err != nil {
			return nil, 0, fmt.Errorf("dicom: %s: %w", s.file.Name, err)
		}
	} else {
		for i := range s.frames {
			at[i] = s.frames[i].slice
		}
	}
	p := &painter{Labels: volume.NewLabels(grid)}
	if s.Kind == "BINARY" {
		err = s.readBits(ctx, p, at)
	} else {
		err = s.readNumbers(ctx, p, at)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("dicom: %s: %w", s.file.Name, err)
	}
	return p.Labels, p.overlap, nil
}

// painter puts labels over each other.
type painter struct {
	*volume.Labels
	twice   []uint64 // bits of voxels that more than one label claims
	overlap int64
}

// put gives voxel i a label.
func (p *painter) put(i int, label uint8) {
	old := p.Data[i]
	if old == 0 || old == label {
		p.Data[i] = label
		return
	}
	if p.twice == nil {
		p.twice = make([]uint64, (len(p.Data)+63)/64)
	}
	if bit := uint64(1) << (i & 63); p.twice[i>>6]&bit == 0 {
		p.twice[i>>6] |= bit
		p.overlap++
	}
	p.Data[i] = max(old, label)
}

// readBits paints frames of bits, which follow each other within a byte too.
func (s *Segmentation) readBits(ctx context.Context, p *painter, at []int) error {
	r := &pixelReader{format: &s.format, info: s.info}
	if err := r.open(s.file); err != nil {
		return err
	}
	defer r.close()
	n := s.format.count()
	buf := make([]byte, n/8+2)
	have := 0 // bits of the last frame's last byte that are not used, at the front of buf
	for i := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		kept := (have + 7) / 8
		bytes := (n - have + 7) / 8
		if err := r.p.read(buf[kept : kept+bytes]); err != nil {
			return fmt.Errorf("frame %d of %d: %w", i+1, len(s.frames), err)
		}
		start := (8 - have) & 7
		label, base := s.frames[i].label, at[i]*n-start
		for k, b := range buf[:kept+bytes] {
			if b == 0 {
				continue
			}
			for bit := range 8 {
				if j := 8*k + bit; b>>bit&1 == 1 && j >= start && j < start+n {
					p.put(base+j, label)
				}
			}
		}
		buf[0] = buf[kept+bytes-1]
		have = 8*(kept+bytes) - start - n
	}
	return nil
}

// readNumbers paints frames of fractions or of labels.
func (s *Segmentation) readNumbers(ctx context.Context, p *painter, at []int) error {
	r, err := openPixels(s.file, s.info, &s.format, nil)
	if err != nil {
		return err
	}
	defer r.close()
	known := make(map[int32]uint8, len(s.Segments)+1)
	for _, g := range s.Segments {
		known[int32(g.Number)] = g.Label
	}
	known[int32(s.background)] = 0
	fr := &frame{}
	n := s.format.count()
	for i := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := r.next(i)
		if err == nil {
			err = s.format.decode(fr, s.info.syntax.codec, b)
		}
		if err == nil && s.Kind == "LABELMAP" {
			err = paintLabels(p, fr.ints[:n], at[i]*n, known)
		} else if err == nil {
			for k, x := range fr.ints[:n] {
				if 2*float64(x) >= s.maximum {
					p.put(at[i]*n+k, s.frames[i].label)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("frame %d of %d: %w", i+1, len(s.frames), err)
		}
	}
	return nil
}

// paintLabels paints a frame of a label map.
func paintLabels(p *painter, values []int32, base int, known map[int32]uint8) error {
	last, label := int32(-1), uint8(0)
	for k, x := range values {
		if x != last {
			l, ok := known[x]
			if !ok {
				return fmt.Errorf("pixel %d has value %d, which no segment of element %v has", k, x, tagSegments)
			}
			last, label = x, l
		}
		if label != 0 {
			p.put(base+k, label)
		}
	}
	return nil
}
