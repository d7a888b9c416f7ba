package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/safetensors"
)

// Ending of the file of a preprocessed case: safetensors with
//
//	image f32[D H W C]   labels u8[D H W], 255 outside the mask   voxels i32[n], see locations
//
// and in the metadata the placement of the case in its scan as JSON, and the CRC-32C
// of the tensors in this order.
const Ending = ".safetensors"

// Sample is a preprocessed case on disk, mapped into memory: reading a patch
// touches the pages of that patch alone.
type Sample struct {
	ID        string
	Shape     [3]int
	C         int
	Image     []float32 // [D H W C]; read-only
	Labels    []uint8   // [D H W]; read-only
	Classes   []int     // foreground labels or regions that are present: index into Plan.Foreground
	Locations [][]int32 // voxel indices of some voxels of each of Classes
	Previous  []uint8   // [D H W]; read-only: labels of a cascade's previous stage; nil without one
	Placement volume.Placement
	key       string
	verify    func() error
	unmap     func() error
	unmapPrev func() error

	findComponents sync.Once
	components     [][]volume.Box // of each label that is present: those of CornerByComponent
}

// Verify reads the case once, when it is called first, and returns an error if it
// is not what was written. Of a sample that is not from a file it returns nil.
func (s *Sample) Verify() error {
	if s.verify == nil {
		return nil
	}
	return s.verify()
}

// Close unmaps the files. Image, Labels and Previous must not be used any more.
func (s *Sample) Close() error {
	if s.unmapPrev == nil {
		return s.unmap()
	}
	return errors.Join(s.unmap(), s.unmapPrev())
}

// Store is the preprocessed cases of one configuration.
type Store struct {
	Dir     string
	Samples []*Sample
}

// OpenStore maps the cases of the given IDs.
func OpenStore(dir string, ids []string) (*Store, error) {
	st := &Store{Dir: dir}
	for _, id := range ids {
		s, err := openSample(filepath.Join(dir, id+Ending))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dataset: preprocessed case %s: %w: run gounet preprocess again", id, err), st.Close())
		}
		s.ID = id
		st.Samples = append(st.Samples, s)
	}
	return st, nil
}

// Close unmaps all cases.
func (st *Store) Close() error {
	var errs []error
	for _, s := range st.Samples {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Subset returns the samples of the given IDs, in their order.
func (st *Store) Subset(ids []string) ([]*Sample, error) {
	at := map[string]*Sample{}
	for _, s := range st.Samples {
		at[s.ID] = s
	}
	out := make([]*Sample, len(ids))
	for i, id := range ids {
		if out[i] = at[id]; out[i] == nil {
			return nil, fmt.Errorf("dataset: %s: has no case %s", st.Dir, id)
		}
	}
	return out, nil
}

// source is a file of a case as the folder shows it: one that was repaired has
// another time or size.
type source struct {
	Name string
	Size int64
	Time int64 // of modification, ns since 1970
}

// sources are the files at paths, and those in them where they are folders.
func (c Case) sources(paths []string) (all []source, err error) {
	whole := slices.Clone(paths)
	for _, path := range paths {
		if beside := scan.SpacingFile(path); beside != "" {
			whole = append(whole, beside)
		}
	}
	for _, path := range whole {
		err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := os.Stat(file)
			if err == nil && (file == path || !st.IsDir()) {
				all = append(all, source{filepath.Base(file), st.Size(), st.ModTime().UnixNano()})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("dataset: %s: %w", c.ID, err)
		}
	}
	return all, nil
}

// Stamp changes with the files of c's image: their names, sizes and times.
func (c Case) Stamp() (string, error) {
	sources, err := c.sources(c.Images)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(fmt.Append(nil, sources, c.Series))
	return hex.EncodeToString(h[:]), nil
}

// preprocessKey changes whenever the preprocessed form of c would: with what is
// done to it, the labels whose voxels are listed, and the files it is made of.
func preprocessKey(c Case, p *plan.Plan, o volume.PreprocessOptions) (string, error) {
	sources, err := c.sources(append(slices.Clone(c.Images), c.Label))
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(struct {
		Version int
		volume.PreprocessOptions
		Foreground []plan.Label
		Sources    []source
	}{3, o, p.Foreground(), sources})
	if err != nil {
		return "", fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), nil
}

// sampleMeta is what the metadata of a file holds beside the tensors.
type sampleMeta struct {
	Placement volume.Placement `json:"placement"`
	Classes   []int            `json:"classes"`
	Counts    []int            `json:"counts"` // voxels listed for each class
}

func writeSample(path string, pre *volume.Preprocessed, p *plan.Plan, key string, i int) error {
	classes, locations := locate(pre.Labels.Data, p, uint64(i))
	meta := sampleMeta{Placement: pre.Placement, Classes: classes}
	var voxels []int32
	for _, l := range locations {
		meta.Counts = append(meta.Counts, len(l))
		voxels = append(voxels, l...)
	}
	if voxels == nil {
		voxels = []int32{0} // a tensor is not empty
	}
	b, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", path, err)
	}
	s := pre.Image.Shape
	tensors := []safetensors.Tensor{
		{Name: "image", DType: safetensors.F32, Shape: []int{s[0], s[1], s[2], pre.Image.C}, Float32s: pre.Image.Data},
		{Name: "labels", DType: safetensors.U8, Shape: s[:], Bytes: pre.Labels.Data},
		{Name: "voxels", DType: safetensors.I32, Shape: []int{len(voxels)}, Bytes: bytesOf(voxels)},
	}
	sum := checksum(bytesOf(pre.Image.Data), pre.Labels.Data, bytesOf(voxels))
	err = atomicfile.Write(path, func(w io.Writer) error {
		return safetensors.Write(w, map[string]string{"gounet": string(b), "key": key, "crc32c": sum}, tensors)
	})
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

// bytesOf is the memory of values of four bytes.
func bytesOf[T float32 | int32](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// checksum is a CRC-32C, which processors compute about as fast as they read.
func checksum(parts ...[]byte) string {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return fmt.Sprintf("%08x", sum)
}

// nnU-Net keeps at most so many voxels of a class, but at least this share of them.
const (
	locationsMost  = 10000
	locationsShare = 0.01
)

// locate lists voxels of each foreground label or region that is present: all,
// or a random choice where there are many.
func locate(labels []uint8, p *plan.Plan, seed uint64) (classes []int, locations [][]int32) {
	for k, l := range p.Foreground() {
		var is [256]bool
		for _, v := range l.Values {
			is[v] = true
		}
		var at []int32
		for i, v := range labels {
			if is[v] {
				at = append(at, int32(i))
			}
		}
		if len(at) == 0 {
			continue
		}
		if keep := max(locationsMost, int(float64(len(at))*locationsShare)); keep < len(at) {
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			r.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
			at = at[:keep]
		}
		classes, locations = append(classes, k), append(locations, at)
	}
	return classes, locations
}

// openSample maps a file and checks it against what it says of itself.
func openSample(path string) (*Sample, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	image, ok1 := f.Info("image")
	labels, ok2 := f.Info("labels")
	voxels, ok3 := f.Info("voxels")
	if !ok1 || !ok2 || !ok3 || image.DType != safetensors.F32 || len(image.Shape) != 4 || labels.DType != safetensors.U8 ||
		voxels.DType != safetensors.I32 || len(labels.Shape) != 3 || [3]int(labels.Shape) != [3]int(image.Shape[:3]) {
		return nil, fmt.Errorf("%s: wanted image f32[D H W C], labels u8[D H W] and voxels i32[n]", path)
	}
	var meta sampleMeta
	if err := json.Unmarshal([]byte(f.Metadata()["gounet"]), &meta); err != nil {
		return nil, fmt.Errorf("%s: metadata: %w", path, err)
	}
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	if end := max(image.Offset+image.Bytes, labels.Offset+labels.Bytes, voxels.Offset+voxels.Bytes); end > int64(len(data)) {
		return nil, errors.Join(fmt.Errorf("%s: has %d bytes, its tensors end at %d", path, len(data), end), unmap())
	}
	s := &Sample{
		Shape: [3]int(labels.Shape), C: image.Shape[3], Classes: meta.Classes, Placement: meta.Placement,
		key: f.Metadata()["key"], unmap: unmap,
		Image:  unsafe.Slice((*float32)(unsafe.Pointer(&data[image.Offset])), image.Elements()),
		Labels: data[labels.Offset:][:labels.Bytes],
	}
	want, all := f.Metadata()["crc32c"], unsafe.Slice((*int32)(unsafe.Pointer(&data[voxels.Offset])), voxels.Elements())
	whole := bytesOf(all)
	s.verify = sync.OnceValue(func() error {
		if got := checksum(bytesOf(s.Image), s.Labels, whole); got != want {
			return fmt.Errorf("%s is damaged: its CRC-32C is %s, not %s: remove the file and run gounet preprocess again", path, got, want)
		}
		return nil
	})
	for _, n := range meta.Counts {
		if n < 1 || n > len(all) || len(s.Locations) == len(s.Classes) {
			return nil, errors.Join(fmt.Errorf("%s: counts %v do not go with %d voxels of %d classes", path, meta.Counts, voxels.Elements(), len(meta.Classes)), unmap())
		}
		s.Locations, all = append(s.Locations, all[:n]), all[n:]
	}
	if len(s.Locations) != len(s.Classes) {
		return nil, errors.Join(fmt.Errorf("%s: %d counts for %d classes", path, len(meta.Counts), len(meta.Classes)), unmap())
	}
	return s, nil
}
