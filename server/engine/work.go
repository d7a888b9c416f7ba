package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// begin finds the model of a job, and makes its folder.
func (o *owner) begin(j *job) error {
	m, ok := o.o.Models.Get(j.Submit.Model)
	if !ok {
		return failed(api.FailedModel, fmt.Errorf("there is no model %.100q", j.Submit.Model))
	}
	if m.Problem != "" {
		return failed(api.FailedModel, errors.New(m.Problem))
	}
	j.model = m
	return failed(api.FailedDisk, os.MkdirAll(o.folder(j), 0o700))
}

// prepare finds the scan of a job, waits for the host memory that it needs, and
// reads and preprocesses it.
func (o *owner) prepare(j *job) error {
	m := j.model
	at := time.Now().Add(-j.fetched)
	if err := o.find(j); err != nil {
		return err
	}
	c, err := configuration(m.Plan, m.Configuration)
	if err != nil {
		return failed(api.FailedModel, err)
	}
	if have, want := j.scan.Channels, m.Plan.Scans(); have != want {
		return failed(api.FailedScan, fmt.Errorf("the scan has %d channels, the model was trained on %d", have, want))
	}
	if err := o.fit(j); err != nil {
		return err
	}
	options := dataset.PreprocessOptions(m.Plan, c)
	if err := o.grant(j, options); err != nil {
		return err
	}
	grid := api.Grid{Shape: j.scan.Grid.Shape, Spacing: j.scan.Grid.Spacing, Affine: j.scan.Grid.Affine}
	if err := j.Update(j.ctx, func(r *queue.Record) { r.Grid, r.Warnings = &grid, j.scan.Warnings }); err != nil {
		return err
	}
	j.Progress(api.Progress{Stage: api.StageRead})
	im, err := j.scan.Image(j.ctx)
	if err != nil {
		return failed(api.FailedScan, err)
	}
	o.took(j, api.StageRead, &j.times.ReadMS, at)
	if j.Submit.Statistics || j.Submit.Preview || c.Previous != "" {
		j.image = im
	}
	if c.Previous != "" { // it is preprocessed with the labels of the first stage
		return failed(api.FailedScan, volume.CheckFinite(im))
	}
	at = time.Now()
	j.Progress(api.Progress{Stage: api.StagePreprocess})
	if j.pre, err = volume.Preprocess(im, nil, options); err != nil {
		return failed(api.FailedScan, err)
	}
	o.took(j, api.StagePreprocess, &j.times.PreprocessMS, at)
	return nil
}

// took tells of a stage of a job that went well.
func (o *owner) took(j *job, stage string, ms *float64, since time.Time) {
	d := time.Since(since)
	*ms = float64(d) / float64(time.Millisecond)
	if o.o.Observe != nil {
		o.o.Observe.Stage(stage, d)
	}
	if o.o.Trace != nil {
		o.o.Trace(Span{Name: stage, Job: j.ID, Begun: since, Took: d})
	}
}

func configuration(p *plan.Plan, name string) (*plan.Configuration, error) {
	for i := range p.Configurations {
		if p.Configurations[i].Name == name {
			return &p.Configurations[i], nil
		}
	}
	return nil, fmt.Errorf("the plan has no configuration %q", name)
}

// find opens the scan of a job's inputs.
func (o *owner) find(j *job) (err error) {
	options := scan.Options{Series: j.Submit.Series}
	if j.archive() != nil {
		if j.scan, err = scan.Open(j.ctx, options, o.fetchFolder(j)); err != nil {
			return failed(api.FailedScan, err)
		}
		j.scan.Name = j.ID
		return nil
	}
	var files []voxel.File
	for i := range j.Submit.Inputs {
		f, err := o.uploaded(j, j.Submit.Inputs[i].Upload)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	byName := map[string]voxel.File{}
	for _, f := range files {
		byName[path.Base(f.Name)] = f
	}
	for i := range files {
		files[i].Folder = func(name string) (voxel.File, error) {
			f, ok := byName[name]
			if !ok {
				return f, fmt.Errorf("%.100s is not among the uploads of the job: %w", name, os.ErrNotExist)
			}
			return f, nil
		}
	}
	j.scan, err = scan.OpenFiles(j.ctx, options, files)
	return failed(api.FailedScan, err)
}

// uploaded is the file of an upload.
func (o *owner) uploaded(j *job, id string) (voxel.File, error) {
	u, err := o.o.Queue.Uploads.Get(j.ctx, id)
	if err != nil || !u.Complete { // another process may have written it a moment ago
		u, err = o.o.Queue.Uploads.Read(j.ctx, id)
	}
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return voxel.File{}, failed(api.FailedFetch, err)
	}
	if u == nil || !u.Complete || u.Owner != j.Owner {
		return voxel.File{}, failed(api.FailedScan, fmt.Errorf("there is no upload %.64q", id))
	}
	name := UploadBlob(id)
	return voxel.File{
		Name: u.Name, Size: u.Bytes,
		Open: func() (io.ReadCloser, error) { return o.o.Blobs.Open(j.ctx, name) },
	}, nil
}

// archive is the input of an archive, nil if the job has uploads.
func (j *job) archive() *api.DICOMwebInput {
	for _, in := range j.Submit.Inputs {
		if in.Dicomweb != nil {
			return in.Dicomweb
		}
	}
	return nil
}

func (o *owner) fetchFolder(j *job) string { return filepath.Join(o.folder(j), "in") }

// fetch gets the series of an archive.
func (o *owner) fetch(j *job) error {
	if o.o.Fetch == nil {
		return failed(api.FailedRequest, errors.New("this server knows no archives"))
	}
	at := time.Now()
	if err := os.MkdirAll(o.fetchFolder(j), 0o700); err != nil {
		return failed(api.FailedDisk, err)
	}
	told := func(done, of int64) { j.Progress(api.Progress{Stage: api.StageFetch, Done: done, Of: of}) }
	if err := o.o.Fetch(j.ctx, j.archive(), o.fetchFolder(j), told); err != nil {
		return failed(api.FailedFetch, err)
	}
	j.fetched = time.Since(at)
	return nil
}

// grant waits until there is host memory for the scan.
func (o *owner) grant(j *job, options volume.PreprocessOptions) error {
	if most, bytes := o.o.VolumeBytes, 4*voxelsOf(j.scan.Grid)*float64(j.scan.Channels); most > 0 && bytes > float64(most) {
		return failed(api.FailedMemory, &predict.MemoryError{Need: int64(min(bytes, countable)), Have: most, Text: fmt.Sprintf(
			"the scan of %v voxels (D H W) and %d channels has %.0f MiB as numbers, this server takes at most %d MiB", j.scan.Grid.Shape, j.scan.Channels, bytes/(1<<20), most>>20)})
	}
	channels := j.scan.Channels
	if c, err := configuration(j.model.Plan, j.model.Configuration); err == nil {
		channels = j.model.Plan.InputChannels(c)
	}
	need := hostBytes(j.scan.Grid, channels, options)
	if need == math.MaxInt64 {
		return failed(api.FailedScan, fmt.Errorf("the scan of %v voxels (D H W) of %v mm cannot be resampled to voxels of %v mm: is its spacing right?", j.scan.Grid.Shape, j.scan.Grid.Spacing, options.Spacing))
	}
	if j.Submit.Partial { // so far, and as they were when they were written
		need += 2 * int64(j.scan.Grid.Voxels())
	}
	if o.host == nil {
		return nil
	}
	if need > o.o.HostBytes {
		return failed(api.FailedMemory, &predict.MemoryError{Need: need, Have: o.o.HostBytes, Text: fmt.Sprintf(
			"the scan takes up to %d MiB beside the device, of %d MiB that this server may take", need>>20, o.o.HostBytes>>20)})
	}
	if err := o.host.Acquire(j.ctx, need); err != nil {
		return err
	}
	j.granted = need
	return nil
}

// hostBytes are what predict.Memory.Host says of a scan that cannot be cropped: as
// it was read, cropped and resampled, and two label maps. Of a scan of which that is
// more than can be counted they are math.MaxInt64.
func hostBytes(g volume.Grid, channels int, o volume.PreprocessOptions) int64 {
	var shape [3]int
	var spacing, wanted [3]float64
	resampled := 1.0
	for a := range 3 {
		shape[a], spacing[a] = g.Shape[o.Axes[a]], g.Spacing[o.Axes[a]]
		if wanted[a] = o.Spacing[a]; wanted[a] == 0 {
			wanted[a] = spacing[a]
		}
		resampled *= max(float64(shape[a])*spacing[a]/wanted[a], 1)
	}
	c := float64(channels)
	if n := voxelsOf(g); !(4*c*(2*n+resampled)+2*n < countable) {
		return math.MaxInt64
	}
	count := func(s [3]int) int64 { return int64(s[0]) * int64(s[1]) * int64(s[2]) }
	n := count(shape)
	return 4*int64(channels)*(2*n+count(volume.ResampledShape(shape, spacing, wanted))) + 2*n
}

// countable bytes are fewer than math.MaxInt64 also after rounding.
const countable = 1 << 62

// voxelsOf counts the voxels of a grid, however many they are.
func voxelsOf(g volume.Grid) float64 {
	n := 1.0
	for _, d := range g.Shape {
		n *= float64(d)
	}
	return n
}

// segment sends the scan through the model.
func (o *owner) segment(j *job) error {
	if o.open == nil {
		return fmt.Errorf("%s: %w", o.device.Name, backend.ErrLost)
	}
	j.device = o.open.Name()
	at := time.Now()
	w, err := o.predictor(j)
	if err != nil {
		return err
	}
	o.took(j, "model", &j.times.ModelMS, at)
	if j.memory, err = o.admit(w, j); err != nil {
		return err
	}
	if o.announce(j, j.memory); j.err != nil {
		return j.err
	}
	at = time.Now()
	p := pace{j: j, o: o}
	options := predict.ImageOptions{EveryRun: true, Progress: p.tell}
	if j.Submit.Partial && j.pre != nil { // what the first stage of a cascade finds has other names
		add, end := o.partials(j)
		defer end()
		options.Partial, options.PartialEvery, options.PartialShare = add, partialEvery, partialShare
	}
	run := func() (*predict.Result, error) {
		if j.pre == nil { // a cascade
			return w.Image(j.ctx, j.image, options)
		}
		return w.Case(j.ctx, j.pre, options)
	}
	r, err := run()
	if errors.Is(err, backend.ErrMemory) && j.ctx.Err() == nil && len(o.warm) > 1 { // the device has less than it says
		o.evict(len(o.warm) - 1)
		p = pace{j: j, o: o}
		r, err = run()
	}
	if err != nil {
		return err
	}
	j.pre = nil
	j.labels, j.memory = r.Labels, r.Memory
	o.took(j, api.StageSegment, &j.times.SegmentMS, at)
	return nil
}

// announce puts into a job's record what it is about to take.
func (o *owner) announce(j *job, m predict.Memory) {
	if m.Runs > 1 { // else it is over before anybody looks, and the device would wait for the disk
		j.err = j.Update(j.ctx, func(r *queue.Record) { r.Device, r.Memory = j.device, memoryOf(m) })
	}
}

// pace tells how far a segmentation is, and estimates what is left by the pace since
// the first progress: the time before that is of kernels that are compiled.
type pace struct {
	j     *job
	o     *owner
	first time.Time
	done  int
	last  time.Time
	seen  int
}

// tellEvery bounds how often progress is told.
const tellEvery = 50 * time.Millisecond

func (p *pace) tell(now predict.Progress) {
	if now.Done < p.seen { // the next stage of a cascade
		*p = pace{j: p.j, o: p.o}
	}
	if p.o.o.Observe != nil {
		p.o.o.Observe.Tiles(now.Done - p.seen)
	}
	p.seen = now.Done
	t := time.Now()
	if p.first.IsZero() {
		p.first, p.done = t, now.Done
	}
	if t.Sub(p.last) < tellEvery && now.Done < now.Total {
		return
	}
	p.last = t
	left := 0.0
	if now.Done > p.done {
		left = float64(t.Sub(p.first)) / float64(now.Done-p.done) * float64(now.Total-now.Done) / float64(time.Millisecond)
	}
	p.j.Progress(api.Progress{Stage: api.StageSegment, Done: int64(now.Done), Of: int64(now.Total), LeftMS: left})
}

// write makes the results and keeps them.
func (o *owner) write(j *job) error {
	at := time.Now()
	j.Progress(api.Progress{Stage: api.StageWrite})
	if err := o.o.Blobs.Check(j.ctx); err != nil {
		return err
	}
	folder := filepath.Join(o.folder(j), "out")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return failed(api.FailedDisk, err)
	}
	made, err := o.files(j, folder)
	if err != nil {
		return err
	}
	for _, r := range made {
		if err := o.keep(j, folder, r); err != nil {
			return err
		}
	}
	if err := o.sendBack(j); err != nil {
		return err
	}
	j.counted = labelsOf(j.model.Plan)
	api.CountLabels(j.counted, j.labels.Counts(), mesh.VoxelVolume(j.labels.Grid)/1000)
	var ms float64
	o.took(j, api.StageWrite, &ms, at)
	j.times.TotalMS = float64(time.Since(j.begun)) / float64(time.Millisecond)
	return nil
}

// keep makes a blob of a file.
func (o *owner) keep(j *job, folder string, r api.JobResult) error {
	local := filepath.Join(folder, r.Name)
	f, err := os.Open(local)
	if err != nil {
		return failed(api.FailedDisk, err)
	}
	h := sha256.New()
	r.Bytes, err = io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return failed(api.FailedDisk, err)
	}
	r.SHA256 = hex.EncodeToString(h.Sum(nil))
	r.URL = "/api/v1/jobs/" + j.ID + "/results/" + r.Name
	if err := o.o.Blobs.PutFile(j.ctx, ResultFolder(j.ID, j.Attempts)+r.Name, local); err != nil {
		return failed(api.FailedDisk, err)
	}
	j.results = append(j.results, r)
	return nil
}

// sendBack stores the segmentation in the archive that the scan came from, if that
// was asked for.
func (o *owner) sendBack(j *job) error {
	for _, in := range j.Submit.Inputs {
		if in.Dicomweb == nil || !in.Dicomweb.Store || o.o.Store == nil {
			continue
		}
		for _, r := range j.results {
			if !strings.HasSuffix(r.Name, ".dcm") {
				continue
			}
			b, err := o.o.Blobs.Open(j.ctx, ResultFolder(j.ID, j.Attempts)+r.Name)
			if err != nil {
				return err
			}
			err = o.o.Store(j.ctx, in.Dicomweb, b)
			if err := errors.Join(err, b.Close()); err != nil {
				return failed(api.FailedFetch, err)
			}
		}
	}
	return nil
}
