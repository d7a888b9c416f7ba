package worker

import "github.com/gounet/gounet/internal/api"

// serve answers what a page asks for beside models, scans and segmentations.
func (w *Worker) serve(j *job, a *api.Answer) (buffers [][]byte, err error) {
	one := func(b []byte) [][]byte { return [][]byte{b} }
	var b []byte
	switch {
	case j.List != nil:
		a.Listed, err = w.list(j)
	case j.Thumb != nil:
		a.Thumbed, b, err = w.thumb(j)
		buffers = one(b)
	case j.Look != nil:
		a.Looked, b, err = w.look(j)
		buffers = one(b)
	case j.Check != nil:
		a.Checked, err = w.check(j)
	case j.Measure != nil:
		a.Measured, err = w.measure(j)
	case j.Surface != nil:
		a.Surfaced, buffers, err = w.surface(j)
	case j.Export != nil:
		a.Exported, buffers, err = w.export(j)
	case j.Read != nil:
		a.ReadLabels, b, err = w.readLabels(j)
		buffers = one(b)
	}
	return buffers, err
}
