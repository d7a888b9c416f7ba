package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

const (
	partialEvery  = 2 * time.Second // or more seldom
	partialShare  = 0.02            // of the device's time
	partialPauses = 10              // times as long as a file of them takes
)

// PartialBlob is the blob with the labels that an attempt of a job has so far.
func PartialBlob(id string, attempt int) string {
	return ResultFolder(id, attempt) + "partial/labels.nii.gz"
}

// partials makes a blob of the labels of the tiles of a job that are done, again and
// again, beside the device. The labels are those that add gets; end ends it, and the blob.
func (o *owner) partials(j *job) (add func(predict.Partial), end func()) {
	ctx, cancel := context.WithCancel(j.ctx)
	l := volume.NewLabels(j.scan.Grid)
	var mu sync.Mutex // of l
	fresh := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		pause := time.Duration(0)
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			select {
			case <-fresh:
			case <-ctx.Done():
				return
			}
			begun := time.Now()
			mu.Lock()
			now := &volume.Labels{Grid: l.Grid, Data: bytes.Clone(l.Data)}
			mu.Unlock()
			if err := o.putPartial(ctx, j, now); err != nil && ctx.Err() == nil {
				j.log.Warn("labels of the tiles that are done are not to be had", "error", err)
				return
			}
			pause = max(partialEvery, partialPauses*time.Since(begun))
		}
	})
	add = func(p predict.Partial) {
		mu.Lock()
		paste(l, p)
		mu.Unlock()
		select {
		case fresh <- struct{}{}:
		default:
		}
	}
	end = func() {
		cancel()
		wg.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), time.Minute)
		defer cancel()
		if err := o.o.Blobs.Delete(ctx, PartialBlob(j.ID, j.Attempts)); err != nil {
			j.log.Warn("labels of the tiles that were done stay", "error", err)
		}
	}
	return add, end
}

// paste puts a part of labels where it is.
func paste(l *volume.Labels, p predict.Partial) {
	b, shape := p.Box, p.Box.Shape()
	for d := range shape[0] {
		for h := range shape[1] {
			at := ((b.Lo[0]+d)*l.Shape[1]+b.Lo[1]+h)*l.Shape[2] + b.Lo[2]
			copy(l.Data[at:at+shape[2]], p.Labels[(d*shape[1]+h)*shape[2]:])
		}
	}
}

// putPartial makes the blob. It says nothing of the scan but its grid.
func (o *owner) putPartial(ctx context.Context, j *job, l *volume.Labels) error {
	format, err := scan.FormatNamed(scan.Formats(), "nifti")
	if err != nil {
		return err
	}
	folder := filepath.Join(o.folder(j), "partial")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file := filepath.Join(folder, "labels.nii.gz")
	if err := format.Write(file, j.scan.WithoutHeader(), l, nil); err != nil {
		return fmt.Errorf("partial labels: %w", err)
	}
	return o.o.Blobs.PutFile(ctx, PartialBlob(j.ID, j.Attempts), file)
}
