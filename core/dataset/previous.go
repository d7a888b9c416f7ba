package dataset

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/safetensors"
)

// WritePrevious keeps the labels [D H W] that the previous stage of a cascade gave
// to the preprocessed case s in dir. key says what they were made of.
func WritePrevious(dir string, s *Sample, labels []uint8, key string) error {
	err := atomicfile.Write(filepath.Join(dir, s.ID+Ending), func(w io.Writer) error {
		return safetensors.Write(w, map[string]string{"key": key}, []safetensors.Tensor{
			{Name: "labels", DType: safetensors.U8, Shape: s.Shape[:], Bytes: labels},
		})
	})
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

// OpenPrevious maps what WritePrevious has written into s.Previous. It says false
// where there is nothing, or something that was made of something else.
func (s *Sample) OpenPrevious(dir, key string) (bool, error) {
	path := filepath.Join(dir, s.ID+Ending)
	f, err := safetensors.Open(path)
	if err != nil {
		return false, nil //nolint:nilerr // it is made again
	}
	defer f.Close()
	labels, ok := f.Info("labels")
	if !ok || labels.DType != safetensors.U8 || !slices.Equal(labels.Shape, s.Shape[:]) || f.Metadata()["key"] != key {
		return false, nil
	}
	data, unmap, err := mapFile(path)
	if err != nil {
		return false, fmt.Errorf("dataset: %w", err)
	}
	if end := labels.Offset + labels.Bytes; end > int64(len(data)) {
		return false, errors.Join(fmt.Errorf("dataset: %s: has %d bytes, its tensor ends at %d: remove it", path, len(data), end), unmap())
	}
	s.Previous, s.unmapPrev = data[labels.Offset:][:labels.Bytes], unmap
	return true, nil
}
