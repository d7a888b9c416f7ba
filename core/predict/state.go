package predict

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/internal/safetensors"
)

// ErrPaused says that a segmentation has ended because ImageOptions.Pause was
// closed.
var ErrPaused = errors.New("paused")

// State is a segmentation between two runs of the device. It keeps the sums of
// logits and weights of the planes that are on the device, the labels that are
// decided, and how many tiles are in the sums; scan and model are not in it.
type State struct {
	Done, Total int // tiles, as in Progress
	// Previous are the labels of the first stage of a cascade, [D H W] of the scan, for
	// who goes on with the second one; nil: none were put here.
	Previous []uint8

	of         string // what it belongs to
	next, kept int
	acc, norm  []float32
	labels     []uint8
}

// keeper is what a sweep knows of the states that it made.
type keeper struct {
	last time.Time // the last was made, or the sweep began
	of   string    // see sweep.of
}

// keep makes a state if it is time, and ends the sweep if that is asked for.
func (s *sweep) keep(ctx context.Context) error {
	if s.done == s.total() {
		return nil
	}
	paused := false
	select {
	case <-s.o.Pause: // never, if it is nil
		paused = true
	default:
	}
	due := s.o.SaveEvery > 0 && time.Since(s.keeper.last) >= s.o.SaveEvery
	if s.o.Save != nil && (paused || due) {
		if err := s.show(ctx, true); err != nil { // with the labels of all tiles so far
			return err
		}
		state, err := s.state(ctx)
		if err != nil {
			return err
		}
		s.o.Save(state)
		s.keeper.last = time.Now()
	}
	if paused {
		return ErrPaused
	}
	return nil
}

func (s *sweep) state(ctx context.Context) (*State, error) {
	plane := s.planes * s.volume[1] * s.volume[2]
	st := &State{
		Done: s.done, Total: s.total(), of: s.of(), next: s.next, kept: s.kept, labels: bytes.Clone(s.labels),
		acc: make([]float32, plane*s.p.plan.Classes()), norm: make([]float32, plane),
	}
	if err := s.tiler.ReadF32(ctx, s.tile.Acc, st.acc); err != nil {
		return nil, err
	}
	return st, s.tiler.ReadF32(ctx, s.tile.Norm, st.norm)
}

// resume brings the sweep to where st was made.
func (s *sweep) resume(ctx context.Context, st *State) error {
	if st.of != s.of() {
		return errors.New("the state is that of another scan, model, option or memory: begin anew, or give those of its segmentation")
	}
	plane := s.planes * s.volume[1] * s.volume[2]
	if len(st.acc) != plane*s.p.plan.Classes() || len(st.norm) != plane || len(st.labels) != len(s.labels) ||
		st.Total != s.total() || st.Done < 0 || st.Done > st.Total || st.next < 0 || st.next > s.out[0] || st.kept < 0 || st.kept > s.volume[0] {
		return errors.New("the state does not have the sizes of its segmentation: it is damaged, begin anew")
	}
	if err := s.tiler.WriteF32(ctx, s.tile.Acc, st.acc); err != nil {
		return err
	}
	if err := s.tiler.WriteF32(ctx, s.tile.Norm, st.norm); err != nil {
		return err
	}
	copy(s.labels, st.labels)
	s.done, s.next, s.kept, s.shower.all = st.Done, st.next, st.kept, true
	return nil
}

// of names all that the sums of a sweep depend on but the device.
func (s *sweep) of() string {
	if s.keeper.of != "" {
		return s.keeper.of
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %v %v %v %v %v\n", s.o.Model, s.p.config.Name, s.layout, s.tiles, s.p.mirrors, s.p.o.Storage, s.p.config.Patch)
	for _, f := range s.p.Model.Folds {
		fmt.Fprintf(h, "%q %d\n", f.Name, f.Epoch)
	}
	voxels := crc64.Checksum(backend.F32Bytes(s.image.Data), table)
	fmt.Fprintf(h, "%016x\n", voxels)
	s.keeper.of = hex.EncodeToString(h.Sum(nil))
	return s.keeper.of
}

// Names in a state's file, which is a safetensors file.
const (
	stateFormat = "gounet segmentation 1"
	metaFormat  = "format"
	metaOf      = "of"
	metaSum     = "crc64"
	previousKey = "previous"
)

// counts are the numbers of a state by their names in the file.
func (st *State) counts() map[string]*int {
	return map[string]*int{"done": &st.Done, "total": &st.Total, "next": &st.next, "kept": &st.kept}
}

// table of the sums of states and scans, which are large: SHA-256 takes seconds of
// them in a browser.
var table = crc64.MakeTable(crc64.ECMA)

// sum is that of all that a state says, to notice damage.
func (st *State) sum() string {
	c := crc64.New(table)
	fmt.Fprintf(c, "%q %d %d %d %d\n", st.of, st.Done, st.Total, st.next, st.kept)
	for _, b := range [][]byte{backend.F32Bytes(st.acc), backend.F32Bytes(st.norm), st.labels, st.Previous} {
		_, _ = c.Write(b) // never fails
	}
	return fmt.Sprintf("%016x", c.Sum64())
}

// Bytes is how many Write writes, or a few more.
func (st *State) Bytes() int64 {
	const header = 1 << 12
	return header + 4*int64(len(st.acc)+len(st.norm)) + int64(len(st.labels)+len(st.Previous))
}

// Write writes the state to w.
func (st *State) Write(w io.Writer) error {
	meta := map[string]string{metaFormat: stateFormat, metaOf: st.of, metaSum: st.sum()}
	for name, n := range st.counts() {
		meta[name] = strconv.Itoa(*n)
	}
	tensors := []safetensors.Tensor{
		{Name: "acc", DType: safetensors.F32, Shape: []int{len(st.acc)}, Float32s: st.acc},
		{Name: "norm", DType: safetensors.F32, Shape: []int{len(st.norm)}, Float32s: st.norm},
		{Name: "labels", DType: safetensors.U8, Shape: []int{len(st.labels)}, Bytes: st.labels},
	}
	if st.Previous != nil {
		tensors = append(tensors, safetensors.Tensor{Name: previousKey, DType: safetensors.U8, Shape: []int{len(st.Previous)}, Bytes: st.Previous})
	}
	return safetensors.Write(w, meta, tensors)
}

// ReadState reads the size bytes of a state. Errors call it name.
func ReadState(r io.ReaderAt, size int64, name string) (*State, error) {
	f, err := safetensors.New(r, size, name)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	meta := f.Metadata()
	if meta[metaFormat] != stateFormat {
		return nil, fmt.Errorf("predict: %s: format %.40q, wanted %q: it is no saved segmentation of this version", name, meta[metaFormat], stateFormat)
	}
	st := &State{of: meta[metaOf]}
	for key, n := range st.counts() {
		if *n, err = strconv.Atoi(meta[key]); err != nil {
			return nil, fmt.Errorf("predict: %s: %s: %w", name, key, err)
		}
	}
	if st.acc, _, err = f.Float32s("acc"); err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	if st.norm, _, err = f.Float32s("norm"); err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	if st.labels, err = f.Bytes("labels"); err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	if _, ok := f.Info(previousKey); ok {
		if st.Previous, err = f.Bytes(previousKey); err != nil {
			return nil, fmt.Errorf("predict: %w", err)
		}
	}
	if st.sum() != meta[metaSum] {
		return nil, fmt.Errorf("predict: %s: its numbers are not those that were saved: it is damaged, begin anew", name)
	}
	return st, nil
}
