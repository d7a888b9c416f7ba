// Package volume holds scans as numbers on a grid with a place in the body, and
// what nnU-Net does to them between the file and the network: crop, normalise,
// resample, connected components, distance transform. It reads no files and
// knows no networks.
//
// Axes are D H W, slowest first: the reverse of a file's x y z. Images are
// channels last, [D H W C]; labels are one byte a voxel, [D H W].
package volume

// Outside marks label voxels outside the non-zero mask of the images: nnU-Net's
// label −1, kept in a byte.
const Outside = 255

// MaxLabel is the largest label that a Labels can hold beside Outside.
const MaxLabel = 254

// Grid says where the voxels of a scan are.
type Grid struct {
	Shape   [3]int        // D H W, in voxels
	Spacing [3]float64    // of D H W, in mm
	Affine  [4][4]float64 // voxel (x, y, z) of the file to mm, RAS+: x is the axis W, z the axis D
}

// Voxels is the number of voxels, D*H*W.
func (g Grid) Voxels() int { return g.Shape[0] * g.Shape[1] * g.Shape[2] }

// Image is a scan of C channels, Data [D H W C].
type Image struct {
	Grid
	C    int
	Data []float32
}

// NewImage returns a zero image of c channels on g.
func NewImage(g Grid, c int) *Image {
	return &Image{Grid: g, C: c, Data: make([]float32, g.Voxels()*c)}
}

// Labels is a segmentation, Data [D H W].
type Labels struct {
	Grid
	Data []uint8
}

// NewLabels returns a segmentation of zeros (background) on g.
func NewLabels(g Grid) *Labels {
	return &Labels{Grid: g, Data: make([]uint8, g.Voxels())}
}

// Box is a half-open range of voxels: Lo included, Hi excluded, in D H W.
type Box struct{ Lo, Hi [3]int }

// Shape is the extent of b.
func (b Box) Shape() [3]int {
	return [3]int{b.Hi[0] - b.Lo[0], b.Hi[1] - b.Lo[1], b.Hi[2] - b.Lo[2]}
}
