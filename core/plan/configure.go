package plan

import (
	"fmt"
	"math"
)

// draft is a configuration that is being fitted to the memory.
type draft struct {
	d       *dataset
	spacing []float64 // of the 2 or 3 axes
	shape   []float64 // median
	topo    topology
	c       Configuration
}

// configuration plans one: the largest patch of the scan's proportions whose
// step fits the memory, then the batch that fills it. voxels are those of all
// training cases.
func (d *dataset) configuration(name string, spacing, shape []float64, voxels float64) (Configuration, error) {
	f := &draft{d: d, spacing: spacing, shape: shape, c: d.blank(name, spacing, shape)}
	f.plan(f.initial())
	var err error
	if d.Memory == nil {
		err = f.fitEstimate(voxels)
	} else {
		err = f.fitMemory(voxels)
	}
	if err != nil {
		return Configuration{}, fmt.Errorf("%s: %w", name, err)
	}
	if f.c.Network.Stages() < 2 {
		return Configuration{}, fmt.Errorf("%s: a patch of %v voxels is too small for a U-Net, which halves an axis of 12 or two of 8: check shapes and spacings of the scans", name, f.c.Patch)
	}
	return f.c, nil
}

// blank is a configuration without patch, batch and network.
func (d *dataset) blank(name string, spacing, shape []float64) Configuration {
	c := Configuration{
		Name: name, Dim: len(spacing), Spacing: cube(spacing, 0), MedianShape: cube(shape, 1),
		Data: d.Name + "_" + name, Preprocessor: "DefaultPreprocessor", Resampling: DefaultResampling(),
	}
	if d.sharesDefaultNames && (name == Config2D || name == ConfigFullRes) {
		c.Data = "nnUNetPlans_" + name
	}
	for _, channel := range d.ds.Channels {
		s := normalizationOf(channel)
		c.Normalization = append(c.Normalization, s)
		c.MaskNorm = append(c.MaskNorm, s == NormZScore && d.fp.MedianRelativeSize < maskBelow)
	}
	return c
}

// initial is a patch of 256³ or 2048² voxels with the proportions of the
// spacing, cut to the median shape.
func (f *draft) initial() []float64 {
	dim := len(f.spacing)
	volume := 256.0 * 256 * 256
	if dim == 2 {
		volume = 2048 * 2048
	}
	density := make([]float64, dim)
	for a, s := range f.spacing {
		density[a] = 1 / s
	}
	scale := math.Pow(volume/product(density), 1/float64(dim))
	size := make([]float64, dim)
	for a := range size {
		size[a] = max(min(math.RoundToEven(density[a]*scale), f.shape[a]), 1)
	}
	return size
}

// plan derives patch and network from a size.
func (f *draft) plan(size []float64) {
	f.topo = shapeNetwork(f.spacing, size)
	f.c.Patch = cube(f.topo.patch, 1)
	f.c.Network = f.topo.network(&f.d.planner)
}

// shrink takes one step off the axis that is largest beside the median shape. It
// says false where that would be too small for a U-Net.
func (f *draft) shrink() bool {
	patch := f.topo.patch
	axis, worst := 0, 0.0
	for a := range patch {
		if r := float64(patch[a]) / f.shape[a]; r >= worst {
			axis, worst = a, r
		}
	}
	// A step of the divisor could skip sizes that are valid with fewer
	// poolings, so it is the divisor of the smaller patch that counts.
	size := make([]float64, len(patch))
	for a := range patch {
		size[a] = float64(patch[a])
	}
	whole := size[axis]
	size[axis] = whole - float64(f.topo.divisor[axis])
	size[axis] = whole - float64(shapeNetwork(f.spacing, size).divisor[axis])
	if size[axis] < 1 || len(shapeNetwork(f.spacing, size).strides) < 2 {
		return false
	}
	f.plan(size)
	return true
}

// fitEstimate uses nnU-Net's costs.
func (f *draft) fitEstimate(voxels float64) error {
	d := f.d
	reference, batch := d.cost3D, float64(referenceBatch)
	if f.c.Dim == 2 {
		reference, batch = d.cost2D, referencePlane
	}
	reference *= d.MemoryGB / d.gb
	labels := d.ds.entries()
	for {
		cost := f.c.Network.Cost(f.c.Patch, labels)
		scaled := cost
		if d.perBatch {
			scaled = cost / batch * minBatch
		}
		if scaled <= reference {
			f.c.Batch = max(min(int(math.RoundToEven(reference/cost*batch)), f.cap(voxels)), minBatch)
			return nil
		}
		if !f.shrink() {
			return fmt.Errorf("no patch fits %.3g GB: the smallest tried is %v", d.MemoryGB, f.c.Patch)
		}
	}
}

// fitMemory uses the bytes that a step really needs.
func (f *draft) fitMemory(voxels float64) error {
	limit := int64(f.d.MemoryGB * (1 << 30))
	fits := func(batch int) (bool, error) {
		c := f.c
		c.Batch = batch
		need, err := f.d.Memory(&c, len(f.d.ds.Channels), f.d.classes)
		return need <= limit, err
	}
	for {
		ok, err := fits(minBatch)
		if err != nil {
			return err
		}
		if ok {
			break
		}
		if !f.shrink() {
			return fmt.Errorf("no patch fits %.3g GB: the smallest tried is %v", f.d.MemoryGB, f.c.Patch)
		}
	}
	lo, hi := minBatch, min(max(f.cap(voxels), minBatch), maxBatch)
	for lo < hi { // lo fits, more than hi does not or is not wanted
		mid := (lo + hi + 1) / 2
		ok, err := fits(mid)
		if err != nil {
			return err
		}
		if ok {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	f.c.Batch = lo
	return nil
}

// cap is the batch that covers the allowed share of the data set.
func (f *draft) cap(voxels float64) int {
	n := math.RoundToEven(voxels * f.d.covered / float64(prod(f.c.Patch)))
	return int(min(n, maxBatch))
}
